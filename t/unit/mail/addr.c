/*
 * addr.c - envelope paths, domains, address lists.
 */
#include "unit.h"

#include "base/buf.h"
#include "mail/addr.h"

#define L64 "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
#define D63 "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
#define D255 D63 "." D63 "." D63 "." D63

enum { NULL_OK = 1, POSTMASTER_OK = 2 };

static const struct {
	const char *in;
	unsigned allow;
	const char *full;		/* NULL: refused */
	const char *local, *domain, *rest;
} paths[] = {
	{"<a@b>", 0, "a@b", "a", "b", ""},
	{"  <a@b>  SIZE=3 X ", 0, "a@b", "a", "b", "SIZE=3 X"},
	{"<a.b+c@d-e.example>", 0, "a.b+c@d-e.example", "a.b+c",
		"d-e.example", ""},
	{"<>", NULL_OK, "", "", "", ""},
	{"<> BODY=8BITMIME", NULL_OK, "", "", "", "BODY=8BITMIME"},
	{"<>", 0, NULL, NULL, NULL, NULL},
	{"<PostMaster>", POSTMASTER_OK, "PostMaster", "PostMaster", "", ""},
	{"<postmaster>", NULL_OK, NULL, NULL, NULL, NULL},
	{"<root>", POSTMASTER_OK, NULL, NULL, NULL, NULL},
	{"<\"a b\\\"c>\"@d>", 0, "\"a b\\\"c>\"@d", "\"a b\\\"c>\"", "d", ""},
	{"<a@[192.0.2.1]>", 0, "a@[192.0.2.1]", "a", "[192.0.2.1]", ""},
	{"<a@[IPv6:2001:db8::1]>", 0, "a@[IPv6:2001:db8::1]", "a",
		"[IPv6:2001:db8::1]", ""},
	{"<@x,@y.z:a@b>", 0, "a@b", "a", "b", ""},
	{"<@x:a@b>", 0, "a@b", "a", "b", ""},
	{"<j\xc3\xb6rg@b\xc3\xbc.example>", 0, "j\xc3\xb6rg@b\xc3\xbc.example",
		"j\xc3\xb6rg", "b\xc3\xbc.example", ""},
	{"<" L64 "@b>", 0, L64 "@b", L64, "b", ""},
	{"<a@" D63 ">", 0, "a@" D63, "a", D63, ""},
	{"<" L64 "@" D255 ">", 0, L64 "@" D255, L64, D255, ""},
	{"a@b", 0, NULL, NULL, NULL, NULL},
	{"<a@b", 0, NULL, NULL, NULL, NULL},
	{"<a@b>x", 0, NULL, NULL, NULL, NULL},
	{"<a@b >", 0, NULL, NULL, NULL, NULL},
	{"< a@b>", 0, NULL, NULL, NULL, NULL},
	{"<a>", 0, NULL, NULL, NULL, NULL},
	{"<@b>", 0, NULL, NULL, NULL, NULL},
	{"<a@>", 0, NULL, NULL, NULL, NULL},
	{"<a..b@c>", 0, NULL, NULL, NULL, NULL},
	{"<.a@c>", 0, NULL, NULL, NULL, NULL},
	{"<a.@c>", 0, NULL, NULL, NULL, NULL},
	{"<a@b..c>", 0, NULL, NULL, NULL, NULL},
	{"<a@b.>", 0, NULL, NULL, NULL, NULL},
	{"<a@-b>", 0, NULL, NULL, NULL, NULL},
	{"<a@b_c>", 0, NULL, NULL, NULL, NULL},
	{"<a@b@c>", 0, NULL, NULL, NULL, NULL},
	{"<a b@c>", 0, NULL, NULL, NULL, NULL},
	{"<\"a@b>", 0, NULL, NULL, NULL, NULL},
	{"<\"a\nb\"@c>", 0, NULL, NULL, NULL, NULL},
	{"<\xff@b>", 0, NULL, NULL, NULL, NULL},
	{"<a@\xff>", 0, NULL, NULL, NULL, NULL},
	{"<a@[192.0.2]>", 0, NULL, NULL, NULL, NULL},
	{"<a@[x]>", 0, NULL, NULL, NULL, NULL},
	{"<a@[192.0.2.1>", 0, NULL, NULL, NULL, NULL},
	{"<@x,a@b>", 0, NULL, NULL, NULL, NULL},
	{"<@x,:a@b>", 0, NULL, NULL, NULL, NULL},
	{"<@x>", 0, NULL, NULL, NULL, NULL},
	{"<" L64 L64 L64 "llllllll@b>", 0, L64 L64 L64 "llllllll@b",
		L64 L64 L64 "llllllll", "b", ""},
	{"<" L64 L64 L64 "lllllllll@b>", 0, NULL, NULL, NULL, NULL},
	{"<a@" D63 "d>", 0, NULL, NULL, NULL, NULL},
	{"<a@" D255 ".d>", 0, NULL, NULL, NULL, NULL},
	{"", NULL_OK, NULL, NULL, NULL, NULL},
	{"<", NULL_OK, NULL, NULL, NULL, NULL},
};

static void
test_paths(void **state)
{
	struct addr out;
	struct str rest;
	bool good;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(paths); i++) {
		good = addr_parse_path(str_from(paths[i].in),
			paths[i].allow & NULL_OK, paths[i].allow & POSTMASTER_OK,
			&out, &rest);
		if (good != (paths[i].full != NULL))
			fail_msg("%s: %d", paths[i].in, good);
		if (!good)
			continue;
		assert_true(str_is(out.full, paths[i].full));
		assert_true(str_is(out.local, paths[i].local));
		assert_true(str_is(out.domain, paths[i].domain));
		assert_true(str_is(rest, paths[i].rest));
		assert_int_equal(out.is_utf8,
			strchr(paths[i].in, '\xc3') != NULL);
	}
}

static void
test_path_nul(void **state)
{
	struct addr out;
	struct str rest;

	(void)state;
	assert_false(addr_parse_path(STR("<a\0b@c>"), true, true, &out, &rest));
	assert_false(addr_parse_path(STR("<a@b\0c>"), true, true, &out, &rest));
	assert_false(addr_is_literal(STR("[1.2.3.4\0]")));
}

static void
test_bare(void **state)
{
	struct addr out;

	(void)state;
	assert_true(addr_parse(STR("joe@example.org"), &out));
	assert_true(str_is(out.local, "joe"));
	assert_true(str_is(out.domain, "example.org"));
	assert_false(addr_parse(STR("joe@example.org "), &out));
	assert_false(addr_parse(STR("<joe@example.org>"), &out));
	assert_false(addr_parse(STR("joe"), &out));
	assert_false(addr_parse(STR(""), &out));
}

static const struct {
	const char *in, *ascii;		/* NULL: error */
} domains[] = {
	{"Example.ORG", "example.org"},
	{"localhost", "localhost"},
	{"a-b.1.example", "a-b.1.example"},
	{"[192.0.2.1]", "[192.0.2.1]"},
	{"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
	{"B\xc3\x9c" "CHER.example", "xn--bcher-kva.example"},
	{"fa\xc3\x9f.example", "xn--fa-hia.example"},	/* not "fass" */
	{"xn--bcher-kva.example", "xn--bcher-kva.example"},
	{"", NULL}, {".", NULL}, {"a.", NULL}, {"a..b", NULL}, {"-a", NULL},
	{"a_b", NULL}, {"a b", NULL}, {"\xff", NULL}, {"[x]", NULL},
	{"\xe2\x80\x8b.example", NULL},
	{D255 ".d", NULL},
};

static void
test_domains(void **state)
{
	struct arena a;
	struct str out;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(domains); i++) {
		out = addr_domain_ascii(&a, str_from(domains[i].in));
		if (domains[i].ascii == NULL)
			assert_null(out.at);
		else
			assert_true(str_is(out, domains[i].ascii));
	}
	assert_false(addr_is_domain(STR("b\xc3\xbc.example"), false));
	assert_true(addr_is_domain(STR("b\xc3\xbc.example"), true));
	arena_free(&a);
}

/* Items as "name|local|domain|route", groups as "{name" and "}". */
static const struct {
	const char *in, *items[6];
} lists[] = {
	{"", {NULL}},
	{" , ,, ", {NULL}},
	{"a@b", {"|a|b|"}},
	{"a@b,c@d", {"|a|b|", "|c|d|"}},
	{"Joe <a@b>", {"Joe|a|b|"}},
	{"Joe Q. Public <a@b>, \"X, Y\"<c@d>",
		{"Joe Q. Public|a|b|", "X, Y|c|d|"}},
	{"\"a \\\"b\\\" \\c\" <a@b>", {"a \"b\" c|a|b|"}},
	{"a@b (Joe)", {"Joe|a|b|"}},
	{"(x) a (y) @ (z) b (Joe)", {"x y z Joe|a|b|"}},
	{"Joe <a@b> (late)", {"Joe|a|b|"}},
	{"<a@b> (late)", {"late|a|b|"}},
	{"a@b.c <d@e>", {"a@b.c|d|e|"}},
	{"Joe =?x?q?y?= <a@b>", {"Joe =?x?q?y?=|a|b|"}},
	{"\"a b\"@c", {"|a b|c|"}},
	{"a . b @ c . d", {"|a.b|c.d|"}},
	{"<@x,@y:a@b>", {"|a|b|@x,@y"}},
	{"a@[1.2.3.4], <b@[IPv6:::1]>", {"|a|[1.2.3.4]|", "|b|[IPv6:::1]|"}},
	{"root", {"|root||"}},
	{"joe@", {"|joe||"}},
	{"@b", {"||b|"}},
	{"Nobody <>", {"Nobody|||"}},
	{"g: a@b, Joe <c@d>; , e@f",
		{"{g", "|a|b|", "Joe|c|d|", "}", "|e|f|"}},
	{"undisclosed recipients:;", {"{undisclosed recipients", "}"}},
	{"A Group (c) : x@y", {"{A Group", "|x|y|"}},
	{"a@b;c@d", {"|a|b|", "}", "|c|d|"}},
	{"Joe <a@b", {"Joe|a|b|"}},
	{"Joe <a@b, c@d", {"Joe|a|b|", "|c|d|"}},
	{"Joe <a@b> junk junk, c@d", {"Joe|a|b|", "|c|d|"}},
	{"a@b junk, c@d", {"|a|b|", "|c|d|"}},
	{"a@b:junk, c@d", {"|a|b|", "|c|d|"}},
	{"John Smith js@x", {"John Smith|js|x|"}},
	{"a@b@c", {"|a|b|"}},
	{"\"open <a@b>, c@d", {"|open <a@b>, c@d||"}},
	{"(open a@b, c@d", {"open a@b, c@d|||"}},
	{"a@b (open, c@d", {"open, c@d|a|b|"}},
	{">>> a@b", {"|a|b|"}},
	{"Joe\r\n Public\r\n\t<a@b>,\r\n c@d", {"Joe Public|a|b|", "|c|d|"}},
	{"\xc3\xa4 <\xff@\xfe>", {"\xc3\xa4|\xff|\xfe|"}},
};

static void
add_shown(struct buf *out, const struct addr_item *i)
{
	if (i->group_end)
		buf_adds(out, "}");
	else if (i->group_start)
		buf_addf(out, "{%.*s", STR_ARGS(i->local));
	else
		buf_addf(out, "%.*s|%.*s|%.*s|%.*s", STR_ARGS(i->name),
			STR_ARGS(i->local), STR_ARGS(i->domain),
			STR_ARGS(i->route));
}

static void
test_lists(void **state)
{
	struct addr_item item;
	struct arena a;
	struct buf shown;
	struct str in;
	size_t i, k;

	(void)state;
	arena_init(&a);
	buf_init(&shown, BUF_NO_CAP);
	for (i = 0; i < COUNT(lists); i++) {
		in = str_from(lists[i].in);
		for (k = 0; addr_list_next(&in, &a, &item); k++) {
			buf_reset(&shown);
			add_shown(&shown, &item);
			assert_non_null(lists[i].items[k]);
			assert_string_equal(buf_c(&shown), lists[i].items[k]);
		}
		assert_null(lists[i].items[k]);
	}
	buf_free(&shown);
	arena_free(&a);
}

/* Lists that are made to recurse or to cost. */
static void
test_hostile_lists(void **state)
{
	static const struct {
		const char *unit;
		size_t times;
	} bombs[] = {
		{"(", 10000}, {"()", 10000}, {"((a)", 10000}, {"<", 10000},
		{"<@", 10000}, {"\"", 10001}, {"\\", 10000}, {"@", 10000},
		{":", 10000}, {";", 10000}, {"a,", 100000}, {"a:", 10000},
		{"a b ", 100000}, {"a.", 100000}, {"[", 10000}, {"\r\n", 10000},
		{"a@b(", 10000}, {"g:a@b;", 20000},
	};
	struct addr_item item;
	struct arena a;
	struct buf text;
	struct str in;
	size_t i, k, n;

	(void)state;
	buf_init(&text, BUF_NO_CAP);
	for (i = 0; i < COUNT(bombs); i++) {
		arena_init(&a);
		buf_reset(&text);
		for (k = 0; k < bombs[i].times; k++)
			buf_adds(&text, bombs[i].unit);
		in = buf_str(&text);
		for (n = 0; addr_list_next(&in, &a, &item); n++)
			;
		assert_true(n <= text.len);
		assert_true(a.used <= 64 * text.len + 4096);
		arena_free(&a);
	}
	buf_free(&text);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_paths),
	cmocka_unit_test(test_path_nul),
	cmocka_unit_test(test_bare),
	cmocka_unit_test(test_domains),
	cmocka_unit_test(test_lists),
	cmocka_unit_test(test_hostile_lists),
};
UNIT_MAIN(tests)
