/*
 * conf.c - setting tables over the reader: messages, ranges, units, secrets,
 * and the way back to text. The reader's grammar is toml.t's.
 */
#include "unit.h"

#include <mailroom/setting.h>

#include "base/conf.h"
#include "base/file.h"

struct all {
	bool flag;
	int64_t number, size, duration, choice;
	const char *text, *path, *secret;
	struct mr_list list;
};

#define AT(field) offsetof(struct all, field)

static const struct mr_setting table[] = {
	{"enabled", MR_BOOL, 0, AT(flag), "true", 0, 0, NULL, "Whether."},
	{"threads", MR_INT, 0, AT(number), "8", 1, 64, NULL, "How many."},
	{"message_size", MR_SIZE, 0, AT(size), "\"50 MB\"", 1000,
		1000000000000, NULL, "How large."},
	{"timeout", MR_DURATION, 0, AT(duration), "\"5m\"", 1000, 86400000,
		NULL, "How long."},
	{"on_failure", MR_CHOICE, 0, AT(choice), "\"accept\"", 0, 0,
		"tempfail|accept|reject", "What then."},
	{"banner", MR_TEXT, 0, AT(text), "\"hello\"", 0, 0, NULL, "Text."},
	{"certificate", MR_PATH, 0, AT(path), NULL, 0, 0, NULL, "File."},
	{"password", MR_SECRET, 0, AT(secret), NULL, 0, 0, NULL, "Secret."},
	{"names", MR_LIST, 0, AT(list), "[\"a\", \"b\"]", 0, 0, NULL, "List."},
	MR_SETTINGS_END,
};

/* One parsed and filled file. */
struct filled {
	struct conf *c;
	struct conf_report report;
	struct arena a;
	struct all all;
	bool good;
};

static void
fill(struct filled *f, const char *text, const char *section)
{
	arena_init(&f->a);
	conf_report_init(&f->report);
	f->c = conf_parse(str_from(text), "/etc/mr/config.toml", &f->report);
	f->good = conf_fill(f->c, *section ?
		conf_find(conf_root(f->c), section) : conf_root(f->c),
		section, table, &f->all, false, &f->a, &f->report);
}

static void
drop(struct filled *f)
{
	conf_free(f->c);
	conf_report_free(&f->report);
	arena_free(&f->a);
}

/* ------------------------------------------------------------- messages */

static const struct {
	const char *text, *section, *report;
} complained[] = {
	/* syntax: the place is that of the fault, or of the open quote */
	{"threads = \n", "",
		"/etc/mr/config.toml:1:11: a value is missing; strings need "
		"quotes\n     1 | threads = \n       |           ^\n"},
	{"# one\n\tbanner = yes # no\n", "",
		"/etc/mr/config.toml:2:11: `yes` is no value; strings need "
		"quotes\n     2 | \tbanner = yes # no\n"
		"       | \t         ^\n"},
	{"banner = \"gr\xc3\xbc\xc3\x9f\" x\n", "",
		"/etc/mr/config.toml:1:17: unexpected text behind the value\n"
		"     1 | banner = \"gr\xc3\xbc\xc3\x9f\" x\n"
		"       |                 ^\n"},
	{"banner = \"a\r\n", "",
		"/etc/mr/config.toml:1:10: the string has no end on its line\n"
		"     1 | banner = \"a\n       |          ^\n"},
	{"threads = 1\nthreads = 2", "",
		"/etc/mr/config.toml:2:1: `threads` is set twice\n"
		"     2 | threads = 2\n       | ^\n"},
	{"[a]\n[a]", "",
		"/etc/mr/config.toml:2:2: `a` is defined already\n"
		"     2 | [a]\n       |  ^\n"
		"/etc/mr/config.toml:1:2: unknown key `a`\n"
		"     1 | [a]\n       |  ^\n"},
	/* unknown keys */
	{"thread = 1", "",
		"/etc/mr/config.toml:1:1: unknown key `thread`\n"
		"     1 | thread = 1\n       | ^~~~~~ did you mean `threads`?"
		"\n"},
	{"[x]\n  mesage_size = 1", "x",
		"/etc/mr/config.toml:2:3: unknown key `mesage_size` in [x]\n"
		"     2 |   mesage_size = 1\n       |   ^~~~~~~~~~~ did you "
		"mean `message_size`?\n"},
	{"quux = 1", "",
		"/etc/mr/config.toml:1:1: unknown key `quux`\n"
		"     1 | quux = 1\n       | ^~~~\n"},
	{"timeout_file = \"x\"", "",
		"/etc/mr/config.toml:1:1: unknown key `timeout_file`\n"
		"     1 | timeout_file = \"x\"\n       | ^~~~~~~~~~~~ did you "
		"mean `timeout`?\n"},
	/* types and ranges */
	{"enabled = 1", "",
		"/etc/mr/config.toml:1:11: `enabled` must be true or false\n"
		"     1 | enabled = 1\n       |           ^\n"},
	{"threads = 0", "",
		"/etc/mr/config.toml:1:11: `threads` must be 1 to 64\n"
		"     1 | threads = 0\n       |           ^\n"},
	{"threads = \"8\"", "",
		"/etc/mr/config.toml:1:11: `threads` must be a whole number\n"
		"     1 | threads = \"8\"\n       |           ^~~\n"},
	{"message_size = \"999 B\"", "",
		"/etc/mr/config.toml:1:16: `message_size` must be \"1 kB\" to "
		"\"1 TB\"\n     1 | message_size = \"999 B\"\n"
		"       |                ^~~~~~~\n"},
	{"message_size = -1", "",
		"/etc/mr/config.toml:1:16: `message_size` must be a size, like "
		"\"50 MB\", \"16 KiB\" or a number of bytes\n"
		"     1 | message_size = -1\n       |                ^~\n"},
	{"timeout = 30", "",
		"/etc/mr/config.toml:1:11: `timeout` must be a duration, like "
		"\"30s\", \"5m\", \"4h\", \"5d\" or \"7y\"\n"
		"     1 | timeout = 30\n       |           ^~\n"},
	{"timeout = \"2d\"", "",
		"/etc/mr/config.toml:1:11: `timeout` must be \"1s\" to \"1d\"\n"
		"     1 | timeout = \"2d\"\n       |           ^~~~\n"},
	{"on_failure = \"acept\"", "",
		"/etc/mr/config.toml:1:14: `on_failure` must be one of "
		"tempfail|accept|reject\n     1 | on_failure = \"acept\"\n"
		"       |              ^~~~~~~\n"},
	{"on_failure = \"\"", "",
		"/etc/mr/config.toml:1:14: `on_failure` must be one of "
		"tempfail|accept|reject\n     1 | on_failure = \"\"\n"
		"       |              ^~\n"},
	{"banner = 5", "",
		"/etc/mr/config.toml:1:10: `banner` must be a string in quotes"
		"\n     1 | banner = 5\n       |          ^\n"},
	{"banner = \"a\\u0000b\"", "",
		"/etc/mr/config.toml:1:10: `banner` must not hold a NUL\n"
		"     1 | banner = \"a\\u0000b\"\n"
		"       |          ^~~~~~~~~~\n"},
	{"names = [\"a\", 5]", "",
		"/etc/mr/config.toml:1:15: every item of `names` must be a "
		"string\n     1 | names = [\"a\", 5]\n"
		"       |               ^\n"},
	{"names = [\"a\\u0000b\"]", "",
		"/etc/mr/config.toml:1:10: `names` must not hold a NUL\n"
		"     1 | names = [\"a\\u0000b\"]\n"
		"       |          ^~~~~~~~~~\n"},
	{"names = \"a\"", "",
		"/etc/mr/config.toml:1:9: `names` must be a list of strings, "
		"like [\"a\", \"b\"]\n     1 | names = \"a\"\n"
		"       |         ^~~\n"},
	{"password_file = 5", "",
		"/etc/mr/config.toml:1:17: `password_file` must be a file name "
		"in quotes\n     1 | password_file = 5\n"
		"       |                 ^\n"},
	{"password = \"x\"\npassword_file = \"y\"", "",
		"/etc/mr/config.toml:2:17: `password` and `password_file` are "
		"both set\n     2 | password_file = \"y\"\n"
		"       |                 ^~~\n"},
};

static void
test_messages(void **state)
{
	struct filled f;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(complained); i++) {
		fill(&f, complained[i].text, complained[i].section);
		assert_string_equal(buf_c(&f.report.text),
			complained[i].report);
		assert_true(f.report.errors > 0);
		drop(&f);
	}
}

/* All errors of a file are told in one run, up to a bound. */
static void
test_many_errors(void **state)
{
	struct filled f;
	struct buf text;
	int i;

	(void)state;
	fill(&f, "a = \nb = 01\nthreads = 0\nenabled = 5\n", "");
	assert_int_equal(f.report.errors, 6);
	assert_false(f.good);
	drop(&f);
	buf_init(&text, BUF_NO_CAP);
	for (i = 0; i < 100000; i++)
		buf_adds(&text, "x y z\n");
	fill(&f, buf_c(&text), "");
	assert_true(f.report.errors > 5);
	assert_true(f.report.text.len < 10000);
	drop(&f);
	buf_free(&text);
}

/* Warnings and errors that others add. */
static void
test_conf_error(void **state)
{
	struct filled f;

	(void)state;
	fill(&f, "names = [\n 'x'\n]", "");
	assert_true(f.good);
	conf_error(f.c, conf_find(conf_root(f.c), "names"), true, &f.report,
		"no %s", "good");
	conf_error(f.c, conf_find(conf_root(f.c), "names"), false, &f.report,
		"bad");
	conf_error(f.c, NULL, true, &f.report, "all");
	assert_string_equal(buf_c(&f.report.text),
		"/etc/mr/config.toml:1:1: no good\n"
		"     1 | names = [\n       | ^~~~~\n"
		"/etc/mr/config.toml:1:9: bad\n"
		"     1 | names = [\n       |         ^\n"
		"/etc/mr/config.toml:1:1: all\n"
		"     1 | names = [\n       | ^\n");
	drop(&f);
}

/* ---------------------------------------------------------------- values */

static void
test_defaults(void **state)
{
	struct filled f;

	(void)state;
	fill(&f, "", "none");
	assert_true(f.good);
	assert_true(f.all.flag);
	assert_int_equal(f.all.number, 8);
	assert_int_equal(f.all.size, 50000000);
	assert_int_equal(f.all.duration, 300000);
	assert_int_equal(f.all.choice, 1);
	assert_string_equal(f.all.text, "hello");
	assert_string_equal(f.all.path, "");
	assert_string_equal(f.all.secret, "");
	assert_int_equal(f.all.list.n, 2);
	assert_string_equal(f.all.list.item[1], "b");
	drop(&f);
}

static const struct {
	const char *text;
	int64_t bytes;		/* -1: refused */
} sizes[] = {
	{"1000", 1000}, {"\"1000B\"", 1000}, {"\"1 kB\"", 1000},
	{"\"1 KB\"", 1000}, {"\"1 KiB\"", 1024}, {"\"16KiB\"", 16384},
	{"\"50 MB\"", 50000000}, {"\"1 MiB\"", 1048576},
	{"\"2 GB\"", 2000000000}, {"\"1  GiB\"", 1073741824},
	{"\"1 TB\"", 1000000000000}, {"0x400", 1024},
	{"\"1000\"", -1}, {"\"\"", -1}, {"\"MB\"", -1}, {"\"1.5 MB\"", -1},
	{"\"-1 MB\"", -1}, {"\"1 MB 1 kB\"", -1}, {"\"1 mb\"", -1},
	{"\"9223372036854775807 TiB\"", -1}, {"1e3", -1}, {"true", -1},
	{"\"99999999999999999999 B\"", -1}, {"[1000]", -1}, {"1000.0", -1},
};

static const struct {
	const char *text;
	int64_t ms;
} durations[] = {
	{"\"1s\"", 1000}, {"\"1500ms\"", 1500}, {"\"5m\"", 300000},
	{"\"5min\"", 300000}, {"\"4h\"", 14400000}, {"\"1d\"", 86400000},
	{"\"1h30m\"", 5400000}, {"\"1h 30m\"", 5400000},
	{"\"90 s\"", 90000}, {"0", -1}, {"30", -1}, {"\"30\"", -1},
	{"\"\"", -1}, {"\"s\"", -1}, {"\"1h30\"", -1}, {"\"1,5h\"", -1},
	{"\"-1s\"", -1}, {"\"1M\"", -1}, {"07:32:00", -1},
	{"\"9223372036854775807w\"", -1},
	{"\"106751991167d 106751991167d\"", -1},
};

static void
test_units(void **state)
{
	char line[100];
	struct filled f;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++) {
		snprintf(line, sizeof line, "message_size = %s",
			sizes[i].text);
		fill(&f, line, "");
		assert_int_equal(f.good, sizes[i].bytes >= 0);
		assert_int_equal(f.all.size, f.good ? sizes[i].bytes :
			50000000);
		drop(&f);
	}
	for (i = 0; i < COUNT(durations); i++) {
		snprintf(line, sizeof line, "timeout = %s", durations[i].text);
		fill(&f, line, "");
		assert_int_equal(f.good, durations[i].ms >= 0);
		assert_int_equal(f.all.duration, f.good ? durations[i].ms :
			300000);
		drop(&f);
	}
}

static const struct {
	const char *value, *path;
} paths[] = {
	{"\"/a/b\"", "/a/b"}, {"\"b\"", "/etc/mr/b"},
	{"\"../b\"", "/etc/mr/../b"}, {"\"\"", ""},
};

static void
test_paths(void **state)
{
	char line[100];
	struct filled f;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(paths); i++) {
		snprintf(line, sizeof line, "certificate = %s",
			paths[i].value);
		fill(&f, line, "");
		assert_true(f.good);
		assert_string_equal(f.all.path, paths[i].path);
		drop(&f);
	}
}

static const struct {
	const char *content, *secret;	/* NULL: refused */
	size_t len;
} secrets[] = {
	{"hunter2\n", "hunter2", 8}, {"hunter2", "hunter2", 7},
	{"hunter2\r\nmore\n", "hunter2", 14}, {"", "", 0},
	{"a b\n", "a b", 4}, {"a\0b\n", NULL, 4},
};

static void
test_secrets(void **state)
{
	char name[] = "/tmp/unit-conf.XXXXXX", line[100];
	struct err e = {0};
	struct filled f;
	size_t i;

	(void)state;
	close(mkstemp(name));
	snprintf(line, sizeof line, "password_file = \"%s\"", name);
	for (i = 0; i < COUNT(secrets); i++) {
		assert_int_equal(file_replace(name, str_of(secrets[i].content,
			secrets[i].len), 0600, &e), 0);
		fill(&f, line, "");
		assert_int_equal(f.good, secrets[i].secret != NULL);
		assert_string_equal(f.all.secret, secrets[i].secret ?
			secrets[i].secret : "");
		assert_false(str_find_str(buf_str(&f.report.text),
			STR("hunter2")) < f.report.text.len);
		drop(&f);
	}
	unlink(name);
	fill(&f, line, "");
	assert_false(f.good);
	assert_true(str_find_str(buf_str(&f.report.text),
		STR("No such file")) < f.report.text.len);
	drop(&f);
}

static void
test_required(void **state)
{
	static const struct mr_setting needed[] = {
		{"password", MR_SECRET, MR_REQUIRED, AT(secret), NULL, 0, 0,
			NULL, "the key"},
		MR_SETTINGS_END,
	};
	struct filled f;
	char name[] = "/tmp/unit-conf.XXXXXX", line[100];
	struct err e = {0};
	struct str text;

	(void)state;
	fill(&f, "[x]\n", "x");
	assert_false(conf_fill(f.c, conf_find(conf_root(f.c), "x"), "x",
		needed, &f.all, false, &f.a, &f.report));
	text = buf_str(&f.report.text);
	assert_true(str_find_str(text, STR("1:2: `password` must be set in "
		"[x]: the key")) < text.len);
	drop(&f);
	/* Its file will do. */
	close(mkstemp(name));
	assert_int_equal(file_replace(name, STR("s"), 0600, &e), 0);
	snprintf(line, sizeof line, "[x]\npassword_file = \"%s\"", name);
	fill(&f, line, "x");
	assert_true(conf_fill(f.c, conf_find(conf_root(f.c), "x"), "x",
		needed, &f.all, false, &f.a, &f.report));
	assert_string_equal(f.all.secret, "s");
	drop(&f);
	unlink(name);
}

static void
test_tables(void **state)
{
	struct filled f;

	(void)state;
	fill(&f, "threads = 2\n[x]\ny = 1\n[[z]]\n", "");
	assert_false(f.good);
	assert_int_equal(f.report.errors, 2);
	assert_false(conf_fill(f.c, conf_root(f.c), "", table, &f.all, true,
		&f.a, &f.report));	/* [[z]] is an array */
	assert_int_equal(f.all.number, 2);
	drop(&f);
	fill(&f, "threads = 2\nnonsense = 1\nbanner = 2\n", "");
	f.all.number = 0;
	conf_fill_known(f.c, conf_root(f.c), table, &f.all, &f.a);
	assert_int_equal(f.all.number, 2);
	assert_string_equal(f.all.text, "hello");
	drop(&f);
}

/* ------------------------------------------------------------ tree, text */

static void
test_raw(void **state)
{
	static const char text[] = "a = 0x1F # c\n[b]\nc = [ 1,\n 2 ]\r\n"
		"d.e = { f = 'x' }\n\"g h\" = \"\"\"\nq\"\"\"\n";
	static const struct {
		const char *path, *raw;
	} rows[] = {
		{"a", "0x1F"}, {"b.c", "[ 1,\n 2 ]"}, {"b.d.e", "{ f = 'x' }"},
		{"b.d.e.f", "'x'"}, {"b.g h", "\"\"\"\nq\"\"\""},
		{"b.none", NULL}, {"a.b", NULL}, {"none", NULL},
	};
	const struct conf_node *n;
	struct conf_report report;
	struct conf *c;
	size_t i;

	(void)state;
	conf_report_init(&report);
	c = conf_parse(STR(text), "f", &report);
	assert_int_equal(report.errors, 0);
	for (i = 0; i < COUNT(rows); i++) {
		n = conf_find(conf_root(c), rows[i].path);
		assert_int_equal(n != NULL, rows[i].raw != NULL);
		if (n)
			assert_true(str_is(conf_raw(c, n), rows[i].raw));
	}
	conf_free(c);
	conf_report_free(&report);
}

/* What is shown can be read again and says the same, but for secrets. */
static void
test_show(void **state)
{
	struct filled f, g;
	struct buf out, again;

	(void)state;
	fill(&f, "enabled = false\nthreads = 3\nmessage_size = '16 KiB'\n"
		"timeout = '90m'\non_failure = 'reject'\n"
		"banner = \"a\\\"\\\\\\n\\u007f\xc3\xa4\"\n"
		"certificate = '/x'\npassword = 'secret'\n"
		"names = [ 'x', '' ]\n", "");
	assert_true(f.good);
	buf_init(&out, BUF_NO_CAP);
	buf_init(&again, BUF_NO_CAP);
	conf_show(&out, table, &f.all, false);
	assert_string_equal(buf_c(&out), "enabled = false\nthreads = 3\n"
		"message_size = \"16 KiB\"\ntimeout = \"90m\"\n"
		"on_failure = \"reject\"\n"
		"banner = \"a\\\"\\\\\\u000a\\u007f\xc3\xa4\"\n"
		"certificate = \"/x\"\npassword = \"(set)\"\n"
		"names = [\"x\", \"\"]\n");
	fill(&g, buf_c(&out), "");
	assert_true(g.good);
	assert_string_equal(g.all.text, f.all.text);
	conf_show(&again, table, &g.all, false);
	assert_string_equal(buf_c(&again), buf_c(&out));
	drop(&g);
	buf_reset(&out);
	conf_show(&out, table, &f.all, true);
	fill(&g, buf_c(&out), "");
	assert_true(g.good);
	drop(&g);
	drop(&f);
	buf_free(&out);
	buf_free(&again);
}

static const struct {
	const char *word, *near;
} nearest[] = {
	{"threads", "threads"}, {"thread", "threads"}, {"treads", "threads"},
	{"bannre", "banner"}, {"baner", "banner"}, {"", NULL}, {"x", NULL},
	{"nothing_like_it", NULL},
	{"a_word_of_more_than_thirty_two_letters", NULL},
};

static void
test_nearest(void **state)
{
	static const char *const names[] = {"threads", "banner", "timeout"};
	const char *near;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(nearest); i++) {
		near = conf_nearest(str_from(nearest[i].word), names, 3);
		assert_int_equal(near != NULL, nearest[i].near != NULL);
		if (near)
			assert_string_equal(near, nearest[i].near);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_messages),
	cmocka_unit_test(test_many_errors),
	cmocka_unit_test(test_conf_error),
	cmocka_unit_test(test_defaults),
	cmocka_unit_test(test_units),
	cmocka_unit_test(test_paths),
	cmocka_unit_test(test_secrets),
	cmocka_unit_test(test_required),
	cmocka_unit_test(test_tables),
	cmocka_unit_test(test_raw),
	cmocka_unit_test(test_show),
	cmocka_unit_test(test_nearest),
};
UNIT_MAIN(tests)
