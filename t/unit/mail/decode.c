/*
 * decode.c - transfer encodings and charsets in pieces: whatever the cuts,
 * the result is that of the whole.
 */
#include "unit.h"

#include "base/enc.h"
#include "mail/charset.h"
#include "mail/decode.h"

static const char *const encoded[] = {
	"", "=", "==", "=3", "=3D", "=3d=3D", "a=\r\nb", "a=\nb", "a=  \r\nb",
	"a= \t", "a= \r", "a=\r", "a==3D", "=a=b=c=", "=g=0", "a =\r\n b  \r\n",
	"= x=\r=3D", "===\r\n=", "J=C3=B6rg is =\r\nhere=20\r\n",
	"SGVsbG8gd29ybGQ=", "SGVs\r\nbG8=\r\nSGk=", "S*G V\ts bA", "AAA", "A",
};

static void
in_pieces(enum decode_kind kind, struct str s, size_t cut, struct buf *out)
{
	struct decode d;
	size_t i;

	decode_init(&d, kind);
	for (i = 0; i < s.len; i += cut)
		decode_add(&d, out, str_sub(s, i, cut));
	decode_end(&d, out);
}

static void
check(enum decode_kind kind, struct str s,
	void (*whole)(struct buf *, struct str))
{
	struct buf want, got;
	size_t cut;

	buf_init(&want, BUF_NO_CAP);
	whole(&want, s);
	for (cut = 1; cut < 8; cut++) {
		buf_init(&got, BUF_NO_CAP);
		in_pieces(kind, s, cut, &got);
		assert_string_equal(buf_c(&got), buf_c(&want));
		assert_int_equal(got.len, want.len);
		buf_free(&got);
	}
	buf_free(&want);
}

static void
test_cuts(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(encoded); i++) {
		check(DECODE_QP, str_from(encoded[i]), enc_mime_unqp);
		check(DECODE_BASE64, str_from(encoded[i]), enc_mime_unbase64);
	}
}

static void
test_names(void **state)
{
	enum decode_kind kind;

	(void)state;
	assert_true(decode_find(STR("Base64"), &kind));
	assert_int_equal(kind, DECODE_BASE64);
	assert_true(decode_find(STR(""), &kind));
	assert_int_equal(kind, DECODE_NONE);
	assert_false(decode_find(STR("x-uuencode"), &kind));
}

static const struct {
	const char *name, *text, *want;
} texts[] = {
	{"iso-8859-1", "J\xf6rg", "J\xc3\xb6rg"},
	{"gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd"},
	{"gb2312", "\xc4", "\xef\xbf\xbd"},
	{"iso-2022-jp", "\x1b$B$3\x1b(B.", "\xe3\x81\x93."},
	{"euc-jp", "\xa4\xb3x\xff.", "\xe3\x81\x93x\xef\xbf\xbd."},
};

static void
test_charsets(void **state)
{
	struct buf got;
	size_t i, at, cut;

	(void)state;
	for (i = 0; i < COUNT(texts); i++)
		for (cut = 1; cut < 5; cut++) {
			struct str s = str_from(texts[i].text);
			struct charset *c = charset_new(
				str_from(texts[i].name));

			assert_non_null(c);
			buf_init(&got, BUF_NO_CAP);
			for (at = 0; at < s.len; at += cut)
				charset_add(c, &got, str_sub(s, at, cut));
			charset_end(c, &got);
			charset_free(c);
			assert_string_equal(buf_c(&got), texts[i].want);
			buf_free(&got);
		}
	assert_null(charset_new(STR("utf-8")));
	assert_null(charset_new(STR("x-unheard-of")));
	assert_false(charset_is_known(STR("x-unheard-of")));
	assert_true(charset_is_known(STR("ISO-8859-15")));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_cuts),
	cmocka_unit_test(test_names),
	cmocka_unit_test(test_charsets),
};

UNIT_MAIN(tests)
