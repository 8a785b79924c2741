/*
 * header.c - header sections, encoded words and values from filters: fields
 * tile their section, decoded text is UTF-8, no value becomes two fields.
 */
#include <assert.h>
#include <stdint.h>

#include "base/enc.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_section(struct str in)
{
	struct str rest = in;
	struct header_field f;
	size_t used = 0;

	while (header_next(&rest, &f)) {
		assert(f.raw.at == in.at + used && f.raw.len > 0);
		used += f.raw.len;
		assert(used + rest.len == in.len);
		assert(f.name.len > 0 &&
			f.name.len + f.value.len < f.raw.len);
	}
	assert(in.len - rest.len - used <= 2);
}

static void
try_text(struct str in)
{
	struct arena a;
	struct buf out;
	struct str plain;

	arena_init(&a);
	buf_init(&out, BUF_NO_CAP);
	plain = header_unfold(&a, in);
	assert(!str_has_byte(plain, '\n') && !str_has_byte(plain, '\r'));
	header_decode(&out, in);
	assert(enc_is_utf8(buf_str(&out)));
	buf_free(&out);
	arena_free(&a);
}

static void
try_value(struct str in, bool leading)
{
	struct header_field f;
	struct arena a;
	struct buf out;
	struct str value, rest;

	arena_init(&a);
	buf_init(&out, BUF_NO_CAP);
	value = header_normalise(&a, in, leading);
	assert(str_eq(header_normalise(&a, value, false), value));
	buf_adds(&out, "X:");
	buf_addstr(&out, value);
	buf_adds(&out, "\r\n\r\nbody");
	rest = buf_str(&out);
	assert(header_next(&rest, &f));
	assert(str_eq(f.value, value));
	assert(!header_next(&rest, &f) && str_is(rest, "body"));
	buf_free(&out);
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size);

	try_section(in);
	try_text(in);
	try_value(in, true);
	try_value(in, false);
	return 0;
}
