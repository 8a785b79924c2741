/*
 * junk.c - the words of strangers' mail: fields, multiparts, encodings, markup.
 */
#include <assert.h>

#include "../../plugins/junk/text.c"
#include "../../plugins/junk/words.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
take_header(struct words *w, const char *at, const char *end, char type[1024])
{
	const char *next, *colon;

	for (; at < end && *at != '\r' && *at != '\n'; at = next) {
		size_t len;

		next = field_end(at, end);
		colon = memchr(at, ':', (size_t)(next - at));
		if (!colon)
			continue;
		len = (size_t)(next - colon - 1);
		words_field(w, at, (size_t)(colon - at), colon + 1, len);
		if (colon - at != 12 || strncasecmp(at, "Content-Type", 12))
			continue;
		len = len < 1023 ? len : 1023;
		memcpy(type, colon + 1, len);
		type[len] = '\0';
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1), *out = malloc(TEXT_PLAIN_ROOM(size));
	const char *encodings[] = {"", "base64", "quoted-printable"};
	char type[1024] = "";
	struct words w;
	size_t i;

	assert(copy && out);
	memcpy(copy, data, size);
	copy[size] = '\0';
	assert(text_header(copy, size, out) <= size);
	assert(text_base64(copy, size, out) <= size);
	assert(text_quoted(copy, size, out, true) <= size);
	assert(text_plain(copy, size, out) <= TEXT_PLAIN_ROOM(size));
	words_init(&w);
	take_header(&w, copy, copy + size, type);
	words_body(&w, type, encodings[size % 3], copy, size);
	words_body(&w, "text/html", encodings[size % 3], copy, size);
	words_end(&w);
	assert(w.n <= WORDS_MOST);
	for (i = 1; i < w.n; i++)
		assert(w.hash[i - 1] < w.hash[i]);
	words_free(&w);
	free(copy);
	free(out);
	return 0;
}
