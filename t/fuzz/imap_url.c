/* imap_url.c - URLs of messages: a part that is found lies in its bounds. */
#include <assert.h>
#include <stdint.h>

#include "base/enc.h"
#include "serve/imap_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_url url;
	struct arena a;

	arena_init(&a);
	if (imap_url_parse(str_of(data, size), &a, &url)) {
		assert(url.uid && url.mailbox.len && url.most);
		assert(!str_has_byte(url.mailbox, '\0'));
		assert(!str_has_byte(url.section, '\0'));
		assert(url.mailbox.len + url.section.len < size);
		assert(enc_is_utf8(url.mailbox));
	}
	arena_free(&a);
	return 0;
}
