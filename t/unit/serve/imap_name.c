/*
 * imap_name.c - names, patterns and flags on IMAP's wire.
 */
#include "unit.h"

#include "serve/imap.h"

static const struct {
	const char *in;
	bool utf8;
	const char *name;	/* NULL: not a name */
	const char *out;	/* as it is written again */
} names[] = {
	{"INBOX", false, "INBOX", "INBOX"},
	{"inBox", false, "INBOX", "INBOX"},
	{"inbox/a", false, "INBOX/a", "INBOX/a"},
	{"inboxes", false, "inboxes", "inboxes"},
	{"a b", false, "a b", "\"a b\""},
	{"nil", false, "nil", "\"nil\""},
	{"a\"\\b", false, "a\"\\b", "\"a\\\"\\\\b\""},
	{"Entw&APw-rfe", false, "Entw\xc3\xbcrfe", "Entw&APw-rfe"},
	{"A&-B", false, "A&B", "A&-B"},
	{"Entw\xc3\xbcrfe", true, "Entw\xc3\xbcrfe", "\"Entw\xc3\xbcrfe\""},
	{"A&B", true, "A&B", "A&B"},
	{"", false, NULL, NULL}, {"/a", false, NULL, NULL},
	{"a/", false, NULL, NULL}, {"a//b", false, NULL, NULL},
	{"a\x01", false, NULL, NULL}, {"a\x7f", false, NULL, NULL},
	{"&AGE-", false, NULL, NULL}, {"&", false, NULL, NULL},
	{"\xc3\xbc", false, NULL, NULL}, {"\xc3", true, NULL, NULL},
};

static void
test_names(void **state)
{
	struct session s = {.tls = false};
	struct imap k = {.session = &s};
	const char *name;
	struct buf out;
	size_t i;

	(void)state;
	arena_init(&s.command);
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < COUNT(names); i++) {
		print_message("# row %zu\n", i);
		k.enabled = names[i].utf8 ? IMAP_UTF8 : 0;
		name = imap_name_in(&k, str_from(names[i].in));
		assert_int_equal(name != NULL, names[i].name != NULL);
		if (!name)
			continue;
		assert_string_equal(name, names[i].name);
		buf_reset(&out);
		imap_name_out(&k, &out, name);
		assert_string_equal(buf_c(&out), names[i].out);
	}
	assert_null(imap_name_in(&k, str_of("a\0b", 3)));
	buf_free(&out);
	arena_free(&s.command);
}

static const struct {
	const char *pattern, *name;
	bool matches;
} patterns[] = {
	{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "A", false},
	{"*", "", true}, {"*", "a/b/c", true}, {"%", "a", true},
	{"%", "a/b", false}, {"%/%", "a/b", true}, {"%/%", "a/b/c", false},
	{"a*", "a/b", true}, {"a%", "a/b", false}, {"a%", "ab", true},
	{"*c", "a/b/c", true}, {"%c", "a/b/c", false}, {"a/*c", "a/b/c", true},
	{"%b", "ab", true}, {"a%c", "abbc", true}, {"a%c", "ab/c", false},
	{"**", "x/y", true}, {"%%", "x", true}, {"%%", "x/y", false},
	{"%*", "x/y", true}, {"*%", "x/y", true}, {"*a*a*", "banana", true},
	{"*a*x*", "banana", false}, {"inbox", "INBOX", true},
	{"inbox/x", "INBOX/x", true}, {"inbox/X", "INBOX/x", false},
	{"i%", "INBOX", true}, {"inbox", "INBOXX", false},
	{"%/", "a/", true}, {"a/%", "a/", true},
};

static void
test_patterns(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(patterns); i++) {
		print_message("# row %zu\n", i);
		assert_int_equal(imap_name_matches(patterns[i].pattern,
			patterns[i].name), patterns[i].matches);
	}
}

static void
test_flags(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	imap_flags_out(&b, 0, STR(""), false);
	imap_flags_out(&b, MR_FLAG_SEEN, STR(""), true);
	imap_flags_out(&b, MR_FLAG_DRAFT, STR("a $b"), false);
	imap_flags_out(&b, 0, STR("kw"), false);
	assert_string_equal(buf_c(&b),
		"()(\\Seen \\Recent)(\\Draft a $b)(kw)");
	buf_free(&b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_names),
	cmocka_unit_test(test_patterns),
	cmocka_unit_test(test_flags),
};
UNIT_MAIN(tests)
