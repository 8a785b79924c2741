/*
 * str.c - views: cutting, finding, comparing, numbers.
 */
#include "unit.h"

#include "base/str.h"

static const struct {
	const char *text;
	size_t from, len;
	const char *part;
} parts[] = {
	{"abc", 0, 3, "abc"}, {"abc", 1, 1, "b"}, {"abc", 1, 99, "bc"},
	{"abc", 3, 1, ""}, {"abc", 99, 1, ""}, {"abc", 1, SIZE_MAX, "bc"},
	{"", 0, 0, ""}, {NULL, 5, 5, ""},
};

static void
test_sub(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(parts); i++)
		assert_true(str_is(str_sub(str_from(parts[i].text),
			parts[i].from, parts[i].len), parts[i].part));
	assert_int_equal(str_sub((struct str){NULL, 0}, 1, 1).len, 0);
}

static const struct {
	const char *a, *b;
	int order, folded;
} compared[] = {
	{"a", "a", 0, 0}, {"a", "b", -1, -1}, {"b", "a", 1, 1},
	{"a", "ab", -1, -1}, {"", "a", -1, -1}, {"", "", 0, 0},
	{"a", "A", 1, 0}, {"A", "b", -1, -1}, {"[", "a", -1, -1},
	{"\xe4", "\xc4", 1, 1}, {"z", "\xe4", -1, -1}, {"@", "`", -1, -1},
	{"aB", "Ab", 1, 0},
};

static int
sign(int n)
{
	return (n > 0) - (n < 0);
}

static void
test_compare(void **state)
{
	struct str a, b;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(compared); i++) {
		a = str_from(compared[i].a);
		b = str_from(compared[i].b);
		assert_int_equal(sign(str_cmp(a, b)), compared[i].order);
		assert_int_equal(sign(str_cmp(b, a)), -compared[i].order);
		assert_int_equal(sign(str_icmp(a, b)), compared[i].folded);
		assert_int_equal(str_eq(a, b), compared[i].order == 0);
		assert_int_equal(str_ieq(a, b), compared[i].folded == 0);
	}
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_false(str_is(STR("a\0"), "a"));
}

static const struct {
	const char *text, *part;
	bool starts, istarts, ends;
} edges[] = {
	{"Subject", "Sub", true, true, false},
	{"Subject", "sub", false, true, false},
	{"Subject", "ject", false, false, true},
	{"Subject", "", true, true, true},
	{"Subject", "Subject:", false, false, false},
	{"", "", true, true, true}, {"", "x", false, false, false},
};

static void
test_edges(void **state)
{
	struct str s;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(edges); i++) {
		s = str_from(edges[i].text);
		assert_int_equal(str_starts(s, edges[i].part),
			edges[i].starts);
		assert_int_equal(str_istarts(s, edges[i].part),
			edges[i].istarts);
		assert_int_equal(str_ends(s, edges[i].part), edges[i].ends);
	}
}

static const struct {
	const char *text, *needle;
	size_t at, folded;
} found[] = {
	{"abcabc", "bc", 1, 1}, {"abcabc", "BC", 6, 1}, {"abc", "", 0, 0},
	{"", "a", 0, 0}, {"ab", "abc", 2, 2}, {"aab", "ab", 1, 1},
	{"ABab", "ab", 2, 0}, {"", "", 0, 0},
};

static void
test_find(void **state)
{
	struct str s = STR("a,b\0,c"), n;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(found); i++) {
		n = str_from(found[i].needle);
		assert_int_equal(str_find_str(str_from(found[i].text), n),
			found[i].at);
		assert_int_equal(str_ifind_str(str_from(found[i].text), n),
			found[i].folded);
	}
	assert_int_equal(str_find(s, ','), 1);
	assert_int_equal(str_rfind(s, ','), 4);
	assert_int_equal(str_find(s, '\0'), 3);
	assert_int_equal(str_find(s, 'x'), s.len);
	assert_int_equal(str_rfind(s, 'x'), s.len);
	assert_true(str_has_byte(s, '\0'));
	assert_int_equal(str_find((struct str){NULL, 0}, 'x'), 0);
}

static const struct {
	const char *text, *blank, *all;
} trimmed[] = {
	{" \ta \t", "a", "a"}, {"\r\n a\r\n", "\r\n a\r\n", "a"},
	{" ", "", ""}, {"", "", ""}, {"a b", "a b", "a b"},
	{"\v a", "\v a", "\v a"},
};

static void
test_trim(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(trimmed); i++) {
		struct str s = str_from(trimmed[i].text);

		assert_true(str_is(str_trim_blank(s), trimmed[i].blank));
		assert_true(str_is(str_trim(s), trimmed[i].all));
	}
	assert_int_equal(str_trim(STR("\0a\0")).len, 3);
}

static const struct {
	const char *text, *head, *rest, *word, *others;
} cut[] = {
	{"a b", "a", "b", "a", "b"}, {" a  b ", "", "a  b ", "a", "b "},
	{"ab", "ab", "", "ab", ""}, {"", "", "", "", ""},
	{"\ta\tb", "\ta\tb", "", "a", "b"}, {"  ", "", " ", "", ""},
};

static void
test_cut(void **state)
{
	struct str rest;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cut); i++) {
		rest = str_from(cut[i].text);
		assert_true(str_is(str_cut(&rest, ' '), cut[i].head));
		assert_true(str_is(rest, cut[i].rest));
		rest = str_from(cut[i].text);
		assert_true(str_is(str_word(&rest), cut[i].word));
		assert_true(str_is(rest, cut[i].others));
	}
}

static const struct {
	const char *text;
	uint64_t most;
	bool good;
	uint64_t value;
} numbers[] = {
	{"0", 0, true, 0}, {"00", 9, true, 0}, {"12", 12, true, 12},
	{"13", 12, false, 0}, {"100", 99, false, 0}, {"1", 0, false, 0},
	{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
	{"18446744073709551616", UINT64_MAX, false, 0},
	{"99999999999999999999", UINT64_MAX, false, 0},
	{"", 9, false, 0}, {"-1", 9, false, 0}, {"+1", 9, false, 0},
	{" 1", 9, false, 0}, {"1 ", 9, false, 0}, {"1a", 99, false, 0},
	{"0x1", 99, false, 0}, {"5", 4, false, 0},
};

static void
test_u64(void **state)
{
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(numbers); i++) {
		v = 7;
		assert_int_equal(str_u64(str_from(numbers[i].text),
			numbers[i].most, &v), numbers[i].good);
		assert_true(v == (numbers[i].good ? numbers[i].value : 7));
	}
	assert_false(str_u64(STR("1\0"), 99, &v));
}

/* No locale: bytes beyond ASCII are no letters. */
static void
test_letters(void **state)
{
	int c, alpha = 0, digit = 0, blank = 0, changed = 0;

	(void)state;
	for (c = -128; c < 128; c++) {
		alpha += is_alpha((char)c);
		digit += is_digit((char)c);
		blank += is_blank((char)c);
		changed += to_lower((char)c) != (char)c;
		changed += to_upper((char)c) != (char)c;
		assert_int_equal(is_alnum((char)c), is_alpha((char)c) ||
			is_digit((char)c));
	}
	assert_int_equal(alpha, 52);
	assert_int_equal(digit, 10);
	assert_int_equal(blank, 2);
	assert_int_equal(changed, 52);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_sub),
	cmocka_unit_test(test_compare),
	cmocka_unit_test(test_edges),
	cmocka_unit_test(test_find),
	cmocka_unit_test(test_trim),
	cmocka_unit_test(test_cut),
	cmocka_unit_test(test_u64),
	cmocka_unit_test(test_letters),
};
UNIT_MAIN(tests)
