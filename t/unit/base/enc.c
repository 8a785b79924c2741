/*
 * enc.c - encodings: what is canonical comes back, what is not is refused.
 */
#include "unit.h"

#include "base/enc.h"

/* --------------------------------------------------------------- base64 */

static const struct {
	const char *bytes, *text;
} base64[] = {	/* RFC 4648 section 10 */
	{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
	{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
	{"\xff\xef\xbe", "/+++"}, {"\xfb\xff", "+/8="},
};

static const char *const bad_base64[] = {
	"Z", "Zg", "Zg=", "Zg===", "Zm8", "Zm8==", "=", "==", "===", "====",
	"Zm9v=", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm9 ", "Zm-v", "Zm_v",
	"Zh==",		/* spare bits */
	"Zm9=", "Z===", "Z=g=", "=Zg=", "Zm9v Zm9v", "Zm9v\r\nZm9v",
};

static void
test_base64(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < COUNT(base64); i++) {
		buf_reset(&b);
		enc_base64(&b, base64[i].bytes, strlen(base64[i].bytes));
		assert_string_equal(buf_c(&b), base64[i].text);
		buf_reset(&b);
		assert_true(enc_unbase64(&b, str_from(base64[i].text)));
		assert_string_equal(buf_c(&b), base64[i].bytes);
	}
	buf_reset(&b);
	buf_adds(&b, "before");
	for (i = 0; i < COUNT(bad_base64); i++) {
		assert_false(enc_unbase64(&b, str_from(bad_base64[i])));
		assert_string_equal(buf_c(&b), "before");
	}
	assert_false(enc_unbase64(&b, STR("Zm\0v")));
	buf_free(&b);
}

static void
test_base64_random(void **state)
{
	unsigned char bytes[100];
	struct buf text, back;
	size_t n;

	(void)state;
	buf_init(&text, BUF_NO_CAP);
	buf_init(&back, BUF_NO_CAP);
	for (n = 0; n < sizeof bytes; n++) {
		enc_random(bytes, n);
		buf_reset(&text);
		buf_reset(&back);
		enc_base64(&text, bytes, n);
		assert_true(enc_unbase64(&back, buf_str(&text)));
		assert_true(str_eq(buf_str(&back), str_of(bytes, n)));
	}
	buf_free(&text);
	buf_free(&back);
}

/* --------------------------------------------- RFC 2045, never failing */

static const struct {
	const char *text, *base64, *qp;
} mime[] = {
	{"Zm9v\r\nYmFy", "foobar", "Zm9v\r\nYmFy"},
	{"Zg==Zg==", "ff", "Zg==Zg="},	/* two glued together */
	{"Zm9v!Y m-F*y", "foobar", "Zm9v!Y m-F*y"},
	{"Zm9", "fo", "Zm9"}, {"Z", "", "Z"}, {"====", "", "==="},
	{"=41=4a=4A", NULL, "AJJ"}, {"a=\r\nb", NULL, "ab"},
	{"a= \t\r\nb", NULL, "ab"}, {"a=\nb", NULL, "ab"},
	{"a=", NULL, "a"}, {"a= ", NULL, "a"}, {"a=4", NULL, "a=4"},
	{"a=4g", NULL, "a=4g"}, {"=", NULL, ""}, {"a=\rb", NULL, "a=\rb"},
	{"==41", NULL, "=A"}, {"\xe4=E4", NULL, "\xe4\xe4"},
};

static void
test_mime(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < COUNT(mime); i++) {
		buf_reset(&b);
		enc_mime_unqp(&b, str_from(mime[i].text));
		assert_string_equal(buf_c(&b), mime[i].qp);
		if (!mime[i].base64)
			continue;
		buf_reset(&b);
		enc_mime_unbase64(&b, str_from(mime[i].text));
		assert_string_equal(buf_c(&b), mime[i].base64);
	}
	buf_free(&b);
}

/* ------------------------------------------------------- modified UTF-7 */

static const struct {
	const char *utf8, *utf7;
} mailboxes[] = {
	{"", ""}, {"INBOX", "INBOX"}, {"a&b", "a&-b"}, {"&", "&-"},
	{"&&", "&-&-"}, {"-", "-"}, {"a/b", "a/b"},
	/* RFC 3501 section 5.1.3 */
	{"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac"
		"\xe8\xaa\x9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
	{"Entw\xc3\xbcrfe", "Entw&APw-rfe"},
	{"\xc3\xa4\xc3\xb6\xc3\xbc", "&AOQA9gD8-"},
	{"\xc3\xa4&\xc3\xb6", "&AOQ-&-&APY-"},
	{"\xc3\xa4-", "&AOQ--"}, {"\xf0\x9f\x98\x80", "&2D3eAA-"},
	{"\xef\xbf\xbf", "&,,8-"}, {"tab\t", "tab&AAk-"},
};

static const char *const bad_utf7[] = {
	"&", "a&", "&AOQ", "&AOQ ", "&AOQ-&APY-", /* one run, cut in two */
	"&AGE-",		/* an ASCII letter in disguise */
	"&AOQAYQ-", "&ACY-",	/* & in disguise */
	"&AOR-",		/* spare bits */
	"&AOQA-",		/* half a unit too much */
	"&AO-", "&A-", "&AOQAA-", "&2D0-", "&2D3YPQ-", "&3gA-", "&3gDYPQ-",
	"&AO/-", "&AOQ=-", "&U/BTFw-", "\xc3\xa4", "a\xff", "a\tb", "\x7f",
	"&-&", "&AOQ-\x01",
};

static void
test_utf7(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < COUNT(mailboxes); i++) {
		buf_reset(&b);
		enc_utf8_to_utf7(&b, str_from(mailboxes[i].utf8));
		assert_string_equal(buf_c(&b), mailboxes[i].utf7);
		buf_reset(&b);
		assert_true(enc_utf7_to_utf8(&b, str_from(mailboxes[i].utf7)));
		assert_string_equal(buf_c(&b), mailboxes[i].utf8);
	}
	for (i = 0; i < COUNT(bad_utf7); i++)
		if (enc_utf7_to_utf8(&b, str_from(bad_utf7[i])))
			fail_msg("took %s", bad_utf7[i]);
	buf_free(&b);
}

/* Every character by itself and beside ASCII; one name, one spelling. */
static void
test_utf7_all(void **state)
{
	struct buf name, utf7, back;
	uint32_t c;

	(void)state;
	buf_init(&name, BUF_NO_CAP);
	buf_init(&utf7, BUF_NO_CAP);
	buf_init(&back, BUF_NO_CAP);
	for (c = 0x80; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
		if (c >= 0xd800 && c < 0xe000)
			continue;
		buf_reset(&name);
		buf_reset(&utf7);
		buf_reset(&back);
		if (c >= 0x10000)
			buf_addf(&name, "%c%c", 0xf0 | c >> 18,
				0x80 | (c >> 12 & 63));
		else if (c >= 0x800)
			buf_addc(&name, (char)(0xe0 | c >> 12));
		if (c >= 0x800)
			buf_addc(&name, (char)(0x80 | (c >> 6 & 63)));
		else
			buf_addc(&name, (char)(0xc0 | c >> 6));
		buf_addc(&name, (char)(0x80 | (c & 63)));
		buf_adds(&name, "x&");
		assert_true(enc_is_utf8(buf_str(&name)));
		enc_utf8_to_utf7(&utf7, buf_str(&name));
		assert_true(enc_is_ascii(buf_str(&utf7)));
		assert_true(enc_utf7_to_utf8(&back, buf_str(&utf7)));
		assert_string_equal(buf_c(&back), buf_c(&name));
	}
	buf_free(&name);
	buf_free(&utf7);
	buf_free(&back);
}

static const struct {
	const char *text;
	bool utf8, ascii;
} kinds[] = {
	{"", true, true}, {"abc\x7f", true, true}, {"\xc3\xa4", true, false},
	{"\xe4", false, false}, {"\xc0\x80", false, false},
	{"\xed\xa0\x80", false, false}, {"\xf4\x90\x80\x80", false, false},
	{"\xf4\x8f\xbf\xbf", true, false}, {"\xe2\x82", false, false},
	{"\xf8\x88\x80\x80\x80", false, false}, {"\x80", false, false},
};

static void
test_kinds(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(kinds); i++) {
		assert_int_equal(enc_is_utf8(str_from(kinds[i].text)),
			kinds[i].utf8);
		assert_int_equal(enc_is_ascii(str_from(kinds[i].text)),
			kinds[i].ascii);
	}
	assert_true(enc_is_utf8(STR("a\0b")));
}

/* ----------------------------------------------- digests and randomness */

static void
test_sha256(void **state)
{
	struct enc_sha256 *h = enc_sha256_new();
	struct buf hex;
	uint8_t out[32];

	(void)state;
	enc_sha256_add(h, "a", 1);
	enc_sha256_add(h, "bc", 2);
	enc_sha256_end(h, out);
	buf_init(&hex, BUF_NO_CAP);
	enc_hex(&hex, out, sizeof out);
	assert_string_equal(buf_c(&hex), "ba7816bf8f01cfea414140de5dae2223"
		"b00361a396177a9cb410ff61f20015ad");
	buf_free(&hex);
}

static void
test_random_word(void **state)
{
	char a[33], b[33], seen[256] = {0};
	int i, n = 0;
	char *p;

	(void)state;
	for (i = 0; i < 200; i++) {
		enc_random_word(a, 32);
		enc_random_word(b, 32);
		assert_int_equal(strlen(a), 32);
		assert_string_not_equal(a, b);
		for (p = a; *p; p++) {
			assert_true(is_alnum(*p) && !strchr("0Ol1I", *p));
			n += !seen[(unsigned char)*p]++;
		}
	}
	assert_int_equal(n, 32);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_base64),
	cmocka_unit_test(test_base64_random),
	cmocka_unit_test(test_mime),
	cmocka_unit_test(test_utf7),
	cmocka_unit_test(test_utf7_all),
	cmocka_unit_test(test_kinds),
	cmocka_unit_test(test_sha256),
	cmocka_unit_test(test_random_word),
};
UNIT_MAIN(tests)
