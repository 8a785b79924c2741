/*
 * reply.c - answers of other servers, and what we write from any text.
 */
#include <assert.h>
#include <stdint.h>

#include "mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What we write, a client of ours can read. */
static void
check_written(const struct reply *r, struct arena *a)
{
	struct reply again = {.code = 0};
	struct buf out;
	struct str rest, line;
	int rc = 0;

	buf_init(&out, BUF_NO_CAP);
	reply_write(&out, r);
	for (rest = buf_str(&out); rest.len > 0;) {
		assert(rc == 0);
		line = str_cut(&rest, '\n');
		assert(line.len < 512 && line.at[line.len - 1] == '\r');
		rc = reply_parse(line, a, &again);
	}
	assert(rc == 1 && again.code == r->code);
	buf_reset(&out);
	reply_line(&out, r);
	assert(!str_has_byte(buf_str(&out), '\n') &&
		!str_has_byte(buf_str(&out), '\r'));
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_of(data, size);
	struct reply r = {.code = 0};
	struct arena a;

	arena_init(&a);
	while (rest.len > 0 && reply_parse(str_cut(&rest, '\n'), &a, &r) >= 0)
		;
	if (r.code != 0)
		check_written(&r, &a);
	r = (struct reply){.code = 550, .enhanced = "5.7.1",
		.text = str_of(data, size)};
	check_written(&r, &a);
	arena_free(&a);
	return 0;
}
