/*
 * header.c - fields of a header section, their text, values from filters.
 */
#include "unit.h"

#include "mail/header.h"

/* Fields as "name=value", then what is left. */
static const struct {
	const char *in, *fields[4], *rest;
} sections[] = {
	{"A: b\r\n\r\nbody", {"A= b"}, "body"},
	{"A: b\n\nbody", {"A= b"}, "body"},
	{"A:b\r\nC: d\r\n\te\r\n f\r\n\r\n", {"A=b", "C= d\r\n\te\r\n f"}, ""},
	{"A: b", {"A= b"}, ""},
	{"A: b\r\n", {"A= b"}, ""},
	{"A: b\r", {"A= b\r"}, ""},
	{"A: \r\n\r\n", {"A= "}, ""},
	{"A:\r\n\r\n", {"A="}, ""},
	{"A \t: b\r\n\r\nx", {"A= b"}, "x"},
	{"", {NULL}, ""},
	{"\r\nbody", {NULL}, "body"},
	{"\nbody", {NULL}, "body"},
	{"no field\r\nA: b\r\n", {NULL}, "no field\r\nA: b\r\n"},
	{"A: b\r\nno field\r\nC: d\r\n", {"A= b"}, "no field\r\nC: d\r\n"},
	{" fold\r\nA: b\r\n", {NULL}, " fold\r\nA: b\r\n"},
	{": b\r\n", {NULL}, ": b\r\n"},
	{"A b: c\r\n", {NULL}, "A b: c\r\n"},
	{"\xc3\xa4: b\r\n", {NULL}, "\xc3\xa4: b\r\n"},
	{"A: b\r\n \r\n\r\nx", {"A= b\r\n "}, "x"},
	{"A: b\r\r\n\r\nx", {"A= b\r"}, "x"},
};

static void
test_sections(void **state)
{
	struct header_field f;
	struct str in;
	char shown[200];
	size_t i, k, used;

	(void)state;
	for (i = 0; i < COUNT(sections); i++) {
		in = str_from(sections[i].in);
		used = 0;
		for (k = 0; header_next(&in, &f); k++) {
			snprintf(shown, sizeof shown, "%.*s=%.*s",
				STR_ARGS(f.name), STR_ARGS(f.value));
			assert_non_null(sections[i].fields[k]);
			assert_string_equal(shown, sections[i].fields[k]);
			assert_ptr_equal(f.raw.at, sections[i].in + used);
			used += f.raw.len;
		}
		assert_null(sections[i].fields[k]);
		assert_true(str_is(in, sections[i].rest));
	}
}

static void
test_find(void **state)
{
	struct str section = STR("To: a\r\nsubject: b\r\nTO: c\r\n\r\nX: y\r\n");
	struct header_field f;

	(void)state;
	assert_true(header_find(section, "Subject", &f));
	assert_true(str_is(f.value, " b"));
	assert_true(header_find(section, "to", &f));
	assert_true(str_is(f.value, " a"));
	assert_false(header_find(section, "X", &f));
}

static void
test_unfold(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_true(str_is(header_unfold(&a, STR(" a\r\n\tb\n c \r\n ")),
		"a\tb c"));
	assert_true(str_is(header_unfold(&a, STR("")), ""));
	arena_free(&a);
}

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *in, *out;
} decoded[] = {
	{" plain", "plain"},
	{"", ""},
	{"=?utf-8?q?J=C3=B6rg?=", "J\xc3\xb6rg"},
	{"=?UTF-8?B?SsO2cmc=?= x", "J\xc3\xb6rg x"},
	{"=?iso-8859-1?Q?a_b=E4?=", "a b\xc3\xa4"},
	{"=?iso-8859-1*de?Q?=E4?=", "\xc3\xa4"},
	{"x =?us-ascii?q?a?= =?us-ascii?q?b?= y", "x ab y"},
	{"=?us-ascii?q?a?=\r\n =?iso-8859-1?q?b?=\r\n c", "ab c"},
	{"=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "\xc3\xb6"},
	{"=?utf-8?b?w7Y?= =?utf-8?q?x?=", "\xc3\xb6x"},
	{"=?iso-2022-jp?b?GyRCJCIbKEI=?=", "\xe3\x81\x82"},
	{"=?shift_jis?b?gqA=?=", "\xe3\x81\x82"},
	{"=?gb2312?q?=B0=A1?=", "\xe5\x95\x8a"},
	{"=?ks_c_5601-1987?q?=B0=A1?=", "\xea\xb0\x80"},
	{"=?iso-8859-8-i?q?=E0?=", "\xd7\x90"},
	{"=?utf-8?q?=FF=41?=", FFFD "A"},
	{"=?utf-8?q?=C3?=", FFFD},
	{"=?us-ascii?q?a=80?=", "a" FFFD},
	{"=?x-unknown?q?a=80?=", "a" FFFD},
	{"=?euc-jp?q?=A4?=", FFFD},
	{"=?../../etc/x?q?a?=", "a"},
	{"=?utf-8//TRANSLIT?q?=C3=B6?=", FFFD FFFD},
	{"\xc3\xb6 raw", "\xc3\xb6 raw"},
	{"\xf6 raw", FFFD " raw"},
	{"=?utf-8?x?a?=", "=?utf-8?x?a?="},
	{"=?utf-8?q?a", "=?utf-8?q?a"},
	{"=?utf-8?q?a?", "=?utf-8?q?a?"},
	{"=??q?a?=", "=??q?a?="},
	{"=?=?=?", "=?=?=?"},
	{"=?utf-8?q?\?=", ""},
	{"=?utf-8?q?=4=zz=?=", "=4=zz="},
	{"=?utf-8?b?!!!?=x", "x"},
	{"a=?utf-8?q?b?=c", "abc"},
};

static void
test_decode(void **state)
{
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < COUNT(decoded); i++) {
		buf_reset(&out);
		header_decode(&out, str_from(decoded[i].in));
		assert_string_equal(buf_c(&out), decoded[i].out);
	}
	buf_free(&out);
}

/* Every charset of the table must be one that iconv has. */
static void
test_charsets(void **state)
{
	static const char *const names[] = {
		"utf-7", "utf-16", "gbk", "big5", "euc-tw", "euc-kr",
		"iso-2022-kr", "koi8-r", "koi8-u", "tis-620", "viscii",
		"x-mac-roman", "windows-874", "iso-8859-16", "windows-1258",
		"cp866", "iso-8859-6-i", "windows-31j",
	};
	struct buf out;
	char word[80];
	size_t i;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < COUNT(names); i++) {
		bool wide = strcmp(names[i], "utf-16") == 0;

		buf_reset(&out);
		snprintf(word, sizeof word, "=?%s?q?%sA?=", names[i],
			wide ? "=FE=FF=00" : "");
		header_decode(&out, str_from(word));
		assert_string_equal(buf_c(&out), "A");
	}
	buf_free(&out);
}

static const struct {
	struct str in;
	bool leading;
	const char *out;
} normalised[] = {
	{STR("a"), true, " a"},
	{STR("a"), false, "a"},
	{STR(" a"), false, " a"},
	{STR(""), true, ""},
	{STR("a\n\tb"), true, " a\r\n\tb"},
	{STR("a\r\n\tb"), true, " a\r\n\tb"},
	{STR("a\r\n  b"), true, " a\r\n  b"},
	{STR("a\n"), true, " a"},
	{STR("a \t\r\n \r\n"), true, " a"},
	{STR("a\nX-Injected: b"), true, " a\r\n\tX-Injected: b"},
	{STR("a\r\nX-Injected: b"), true, " a\r\n\tX-Injected: b"},
	{STR("a\n\nb"), true, " a\r\n\tb"},
	{STR("a\r\n \r\nb"), true, " a\r\n\tb"},
	{STR("a\n\n b"), true, " a\r\n b"},
	{STR("a\rb"), true, " a b"},
	{STR("a\0b"), true, " a b"},
	{STR("a\r\r\nb"), true, " a \r\n\tb"},
	{STR("\n\nb"), true, " \r\n\tb"},
	{STR("a\n\0\r\0"), true, " a"},
	{STR("a \t\n b"), true, " a \t\r\n b"},
	{STR("a\n \0b"), true, " a\r\n  b"},
	{STR(" \0\r\n"), true, ""},
	{STR("\xff"), true, " \xff"},
};

static void
test_normalise(void **state)
{
	struct arena a;
	struct str out;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(normalised); i++) {
		out = header_normalise(&a, normalised[i].in,
			normalised[i].leading);
		assert_true(str_is(out, normalised[i].out));
	}
	arena_free(&a);
}

static void
test_names(void **state)
{
	char name[256];

	(void)state;
	memset(name, 'x', sizeof name);
	assert_true(header_is_name(STR("X-!#$%&'*+")));
	assert_true(header_is_name(str_of(name, 255)));
	assert_false(header_is_name(str_of(name, 256)));
	assert_false(header_is_name(STR("")));
	assert_false(header_is_name(STR("a:b")));
	assert_false(header_is_name(STR("a b")));
	assert_false(header_is_name(STR("a\r\nb")));
	assert_false(header_is_name(STR("\xc3\xa4")));
	assert_false(header_is_name(STR("a\0b")));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_sections),
	cmocka_unit_test(test_find),
	cmocka_unit_test(test_unfold),
	cmocka_unit_test(test_decode),
	cmocka_unit_test(test_charsets),
	cmocka_unit_test(test_normalise),
	cmocka_unit_test(test_names),
};
UNIT_MAIN(tests)
