/*
 * imap_parse.c - arguments of IMAP commands, and whole commands off a
 * socket.
 */
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "serve/imap_parse.h"

/* ---------------------------------------------------------------- strings */

enum kind { ATOM, STRING, ASTRING, NSTRING, PATTERN };

static const struct {
	enum kind kind;
	const char *in;
	const char *want;	/* NULL: refused */
	const char *rest;
} strings[] = {
	{ATOM, "abc def", "abc", " def"},
	{ATOM, "a.b-c+d/e[f", "a.b-c+d/e[f", ""},
	{ATOM, "a]", "a", "]"},
	{ATOM, "", NULL, ""},
	{ATOM, "(a)", NULL, ""},
	{ATOM, "\x7f", NULL, ""},
	{ATOM, "\xc3\xa4", NULL, ""},
	{STRING, "\"a b\" c", "a b", " c"},
	{STRING, "\"\"", "", ""},
	{STRING, "\"a\\\"\\\\b\"x", "a\"\\b", "x"},
	{STRING, "\"a\\b\"", NULL, ""},
	{STRING, "\"a", NULL, ""},
	{STRING, "\"a\r\n\"", NULL, ""},
	{STRING, "\"gr\xc3\xbc\"", "gr\xc3\xbc", ""},
	{STRING, "{3}\r\na\"b c", "a\"b", " c"},
	{STRING, "~{2}\r\nab", "ab", ""},
	{STRING, "{0}\r\n", "", ""},
	{STRING, "{4}\r\nabc", NULL, ""},
	{STRING, "{3}\nabc", NULL, ""},
	{STRING, "{99999999999999999999}\r\n", NULL, ""},
	{STRING, "abc", NULL, ""},
	{ASTRING, "a]b c", "a]b", " c"},
	{ASTRING, "\"x\"", "x", ""},
	{ASTRING, "{1}\r\n)", ")", ""},
	{ASTRING, "*", NULL, ""},
	{NSTRING, "nil x", NULL, " x"},
	{NSTRING, "\"NIL\"", "NIL", ""},
	{NSTRING, "nul", NULL, ""},
	{PATTERN, "a/%*b c", "a/%*b", " c"},
	{PATTERN, "\"%\"", "%", ""},
	{PATTERN, "(a)", NULL, ""},
};

static bool
take_string(enum kind kind, struct imap_in *in, struct str *out)
{
	switch (kind) {
	case ATOM:
		return imap_atom(in, out);
	case STRING:
		return imap_string(in, out);
	case ASTRING:
		return imap_astring(in, out);
	case NSTRING:
		return imap_nstring(in, out);
	default:
		return imap_list_mailbox(in, out);
	}
}

static void
test_strings(void **state)
{
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(strings); i++) {
		struct imap_in in = {str_from(strings[i].in), &a, NULL};
		bool is_nil = strings[i].kind == NSTRING && *strings[i].rest;
		struct str out = STR("?");
		bool good = take_string(strings[i].kind, &in, &out);

		print_message("# row %zu\n", i);
		assert_int_equal(good, strings[i].want || is_nil);
		assert_int_equal(good, !in.wrong);
		if (is_nil)
			assert_null(out.at);
		else if (good)
			assert_true(str_is(out, strings[i].want));
		if (good)
			assert_true(str_is(in.rest, strings[i].rest));
	}
	arena_free(&a);
}

/* ------------------------------------------------------------------- sets */

static const struct {
	const char *in;
	const char *want;	/* NULL: refused */
} sets[] = {
	{"1", "1-1"}, {"1:3,5 x", "1-3 5-5"}, {"3:1", "1-3"},
	{"*", "4294967295-4294967295"}, {"*:7", "7-4294967295"},
	{"7:*,2", "7-4294967295 2-2"}, {"4294967295", "4294967295-4294967295"},
	{"$ x", "saved"},
	{"0", NULL}, {"1,", NULL}, {"1,,2", NULL}, {"1:", NULL}, {":1", NULL},
	{"1::2", NULL}, {"4294967296", NULL}, {"a", NULL}, {"", NULL},
	{"1:0", NULL}, {"-1", NULL},
};

static void
test_sets(void **state)
{
	struct mr_range *r;
	struct arena a;
	size_t i, j, n;
	struct buf b;
	bool saved;

	(void)state;
	arena_init(&a);
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < COUNT(sets); i++) {
		struct imap_in in = {str_from(sets[i].in), &a, NULL};
		bool good = imap_set(&in, &r, &n, &saved);

		print_message("# row %zu\n", i);
		assert_int_equal(good, sets[i].want != NULL);
		if (!good)
			continue;
		buf_reset(&b);
		buf_adds(&b, saved ? "saved" : "");
		for (j = 0; j < n; j++)
			buf_addf(&b, "%s%u-%u", j ? " " : "", r[j].first,
				r[j].last);
		assert_string_equal(buf_c(&b), sets[i].want);
	}
	buf_free(&b);
	arena_free(&a);
}

/* ------------------------------------------------------------------ flags */

static const struct {
	const char *in;
	bool bare, good;
	uint32_t flags;
	const char *keywords, *rest;
} flags[] = {
	{"()", false, true, 0, "", ""},
	{"(\\seen \\Draft)", false, true, MR_FLAG_SEEN | MR_FLAG_DRAFT, "",
		""},
	{"(a \\Deleted $b) x", false, true, MR_FLAG_DELETED, "a $b", " x"},
	{"\\Flagged", true, true, MR_FLAG_FLAGGED, "", ""},
	{"\\Answered kw", true, true, MR_FLAG_ANSWERED, "kw", ""},
	{"(a)", true, true, 0, "a", ""},
	{"\\Seen", false, false, 0, "", ""},
	{"(\\Recent)", false, false, 0, "", ""},
	{"(\\Frob)", false, false, 0, "", ""},
	{"(a", false, false, 0, "", ""},
	{"(a  b)", false, false, 0, "", ""},
	{"( a)", false, false, 0, "", ""},
	{"(a )", false, false, 0, "", ""},
	{"(a]b)", false, false, 0, "", ""},
	{"(a\\b)", false, false, 0, "", ""},
	{"", true, false, 0, "", ""},
};

static void
test_flags(void **state)
{
	const char *keywords;
	struct arena a;
	uint32_t bits;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(flags); i++) {
		struct imap_in in = {str_from(flags[i].in), &a, NULL};

		print_message("# row %zu\n", i);
		assert_int_equal(imap_flag_list(&in, flags[i].bare, &bits,
			&keywords), flags[i].good);
		if (!flags[i].good)
			continue;
		assert_int_equal(bits, flags[i].flags);
		assert_string_equal(keywords, flags[i].keywords);
		assert_true(str_is(in.rest, flags[i].rest));
	}
	arena_free(&a);
}

static void
test_dates(void **state)
{
	struct imap_in in = {STR("1-Feb-1970"), NULL, NULL};
	struct arena a;
	int64_t n;

	(void)state;
	arena_init(&a);
	in.arena = &a;
	assert_true(imap_day(&in, &n));
	assert_int_equal(n, 31);
	in.rest = STR("\" 2-Jan-1970 01:00:00 +0100\" x");
	assert_true(imap_date_time(&in, &n));
	assert_int_equal(n, 86400000);
	assert_true(str_is(in.rest, " x"));
	in.rest = STR("31-Foo-2020");
	assert_false(imap_day(&in, &n));
	in.rest = STR("2-Jan-1970");
	assert_false(imap_date_time(&in, &n));
	arena_free(&a);
}

/* ---------------------------------------------------------- whole commands */

static const struct {
	const char *in;		/* all that the client sends */
	enum imap_got got;
	const char *tag, *verb, *rest;
	bool uid;
	const char *asked;	/* what the server sent meanwhile */
} commands[] = {
	{"a NOOP\r\n", IMAP_GOT_COMMAND, "a", "NOOP", "", false, ""},
	{"a uid fetch 1 x\r\n", IMAP_GOT_COMMAND, "a", "fetch", "1 x", true,
		""},
	{"a UID\r\n", IMAP_GOT_COMMAND, "a", "UID", "", false, ""},
	{"a LOGIN {1+}\r\nb {2}\r\ncd\r\n", IMAP_GOT_COMMAND, "a", "LOGIN",
		"{1}\r\nb {2}\r\ncd", false, "+ OK\r\n"},
	{"a X {0}\r\n\r\n", IMAP_GOT_COMMAND, "a", "X", "{0}\r\n", false,
		"+ OK\r\n"},
	{"a APPEND b (\\Seen) {5}\r\n", IMAP_GOT_LITERAL, "a", "APPEND",
		"b (\\Seen) ", false, ""},
	{"a APPEND {1+}\r\nb ~{5+}\r\n", IMAP_GOT_LITERAL, "a", "APPEND",
		"{1}\r\nb ", false, ""},
	{"\r\n", IMAP_GOT_BAD, "", "", "", false, ""},
	{"* NOOP\r\n", IMAP_GOT_BAD, "", "", NULL, false, ""},
	{"+ NOOP\r\n", IMAP_GOT_BAD, "", "", NULL, false, ""},
	{"a\r\n", IMAP_GOT_BAD, "a", "", "", false, ""},
	{"a NOOP\n", IMAP_GOT_BAD, "a", "NOOP", "", false, ""},
	{"a NO\rOP\r\n", IMAP_GOT_BAD, "a", NULL, "", false, ""},
	{"a( X {3+}\r\nb c\r\n", IMAP_GOT_BAD, "", "", NULL, false, ""},
	{"a( X {3}\r\n", IMAP_GOT_BAD, "", "", NULL, false, ""},
	{"a X {999999}\r\n", IMAP_GOT_LONG, "a", "X", NULL, false, ""},
	{"a X {200000+}\r\n", IMAP_GOT_LOST, "a", "X", NULL, false, ""},
	{"a X {5}\r\nab", IMAP_GOT_LOST, "a", "X", NULL, false, "+ OK\r\n"},
	{"a X", IMAP_GOT_LOST, "", "", NULL, false, ""},
};

/* A stream on which `in` was sent and then closed; *far reads answers. */
static void
connect_pair(struct stream *s, int *far, struct str in)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
		fd), 0);
	assert_int_equal(write(fd[1], in.at, in.len), (ssize_t)in.len);
	shutdown(fd[1], SHUT_WR);
	stream_init(s, fd[0]);
	stream_limit(s, 5000, 0);
	*far = fd[1];
}

static struct str
answers(int far, char out[4096])
{
	ssize_t n = read(far, out, 4096);

	return str_of(out, n > 0 ? (size_t)n : 0);
}

static void
test_commands(void **state)
{
	struct imap_command c;
	char said[4096];
	struct stream s;
	struct arena a;
	size_t i;
	int far;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(commands); i++) {
		connect_pair(&s, &far, str_from(commands[i].in));
		print_message("# row %zu\n", i);
		assert_int_equal(imap_read(&s, &a, &c), commands[i].got);
		assert_true(str_is(c.tag, commands[i].tag));
		if (commands[i].verb)
			assert_true(str_is(c.verb, commands[i].verb));
		if (commands[i].rest)
			assert_true(str_is(c.in.rest, commands[i].rest));
		assert_int_equal(c.uid, commands[i].uid);
		assert_true(str_is(answers(far, said), commands[i].asked));
		stream_close(&s);
		close(far);
	}
	arena_free(&a);
}

/* `before`, a long literal that reads like commands, its end, a NOOP. */
static bool
connect_long(struct stream *s, int *far, const char *before)
{
	size_t whole = strlen(before) + 200000;
	int fd[2], size = 1 << 20;
	struct buf in;
	bool sent;

	buf_init(&in, BUF_NO_CAP);
	buf_adds(&in, before);
	while (in.len < whole)
		buf_adds(&in, "x BAD\r\n   ");
	in.len = whole;
	buf_adds(&in, " {3+}\r\ny B\r\nz NOOP\r\n");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
		fd), 0);
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	sent = write(fd[1], in.at, in.len) == (ssize_t)in.len;
	shutdown(fd[1], SHUT_WR);
	stream_init(s, fd[0]);
	stream_limit(s, 5000, 0);
	*far = fd[1];
	buf_free(&in);
	return sent;
}

/* What follows is what is read next, whatever came before. */
static void
test_step(void **state)
{
	static const char *const before[] = {
		"a X {200000+}\r\n", "a( X {200000+}\r\n",
		"a X \r {200000+}\r\n", "a APPEND b {200000+}\r\n",
		"a APPEND {1+}\r\nb {200000+}\r\n",
	};
	struct imap_command c;
	struct stream s;
	struct arena a;
	size_t i;
	int far;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(before); i++) {
		if (!connect_long(&s, &far, before[i]))
			skip();		/* small socket buffers here */
		imap_read(&s, &a, &c);
		imap_pass_over(&s, &a, &c);
		assert_int_equal(imap_read(&s, &a, &c), IMAP_GOT_COMMAND);
		assert_true(str_is(c.tag, "z"));
		stream_close(&s);
		close(far);
	}
	arena_free(&a);
}

/* Behind the message of an APPEND. */
static void
test_more(void **state)
{
	struct imap_command c;
	struct stream s;
	struct arena a;
	char body[4];
	int far;

	(void)state;
	arena_init(&a);
	connect_pair(&s, &far, STR("a APPEND b {4+}\r\nbody (x) {2}\r\n"));
	assert_int_equal(imap_read(&s, &a, &c), IMAP_GOT_LITERAL);
	assert_int_equal(c.literal.length, 4);
	assert_false(c.literal.synchronising);
	assert_true(c.literal.waiting && c.unfinished);
	c.literal.waiting = false;
	assert_true(stream_read(&s, body, 4));
	assert_int_equal(imap_read_more(&s, &a, &c), IMAP_GOT_LITERAL);
	assert_true(str_is(c.in.rest, " (x) "));
	assert_true(c.literal.synchronising && c.literal.length == 2);
	/* Refused: it never comes, and nothing is awaited. */
	imap_pass_over(&s, &a, &c);
	assert_false(stream_failed(&s));
	stream_close(&s);
	close(far);
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_strings),
	cmocka_unit_test(test_sets),
	cmocka_unit_test(test_flags),
	cmocka_unit_test(test_dates),
	cmocka_unit_test(test_commands),
	cmocka_unit_test(test_step),
	cmocka_unit_test(test_more),
};
UNIT_MAIN(tests)
