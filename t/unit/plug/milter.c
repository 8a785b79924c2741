/*
 * milter.c - what filters send and are sent: options, replies, frames,
 * edits, macros.
 */
#include "unit.h"

#include <sys/socket.h>

#include "fakehost.h"
#include "plug/milter_edit.h"
#include "plug/milter_macro.h"
#include "plug/milter_wire.h"

#define U32(n) "\0\0\0" n

static struct mr_call call = {.size = sizeof call, .host = &fake_host};

static int
begin(void **state)
{
	(void)state;
	buf_init(&fake_seen, BUF_NO_CAP);
	arena_init(&fake_memory);
	memset(fake_facts, 0, sizeof fake_facts);
	fake_n_fields = 0;
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	buf_free(&fake_seen);
	arena_free(&fake_memory);
	return 0;
}

/* -------------------------------------------------------------- options */

static const struct {
	struct str data;
	const char *error;	/* NULL: fine */
	uint32_t steps;
	const char *at_connect, *at_eoh;
} options[] = {
	{STR(U32("\6") U32("\x3f") U32("\x7f")), NULL, 0x7f, NULL, NULL},
	{STR(U32("\6") U32("\0") "\xff\xff\xff\xff"), NULL, 0x1fffff, NULL,
		NULL},
	{STR(U32("\2") U32("\0") U32("\0")), NULL, 0x300, NULL, NULL},
	{STR(U32("\3") U32("\0") U32("\0")), NULL, 0x200, NULL, NULL},
	{STR(U32("\6") U32("\0") U32("\0") U32("\0") "j v\0" U32("\6")
		"\0"), NULL, 0, "j v", ""},
	{STR(U32("\6") U32("\0") U32("\0") U32("\x63") "x\0"), NULL, 0, NULL,
		NULL},
	{STR(U32("\6") U32("\0") U32("\0") "\0\0"), NULL, 0, NULL, NULL},
	{STR(""), "too short", 0, NULL, NULL},
	{STR(U32("\6") U32("\0") "\0\0\0"), "too short", 0, NULL, NULL},
	{STR(U32("\1") U32("\0") U32("\0")), "version 1", 0, NULL, NULL},
	{STR(U32("\7") U32("\0") U32("\0")), "version 7", 0, NULL, NULL},
	{STR("HTTP/1.1 400 B"), "version 1213486160", 0, NULL, NULL},
	{STR(U32("\6") U32("\0") U32("\0") U32("\0") "j v"),
		"without an end", 0, NULL, NULL},
};

static void
check_symbols(struct str got, const char *want)
{
	assert_int_equal(got.at != NULL, want != NULL);
	if (want)
		assert_true(str_is(got, want));
}

static void
test_options(void **state)
{
	struct milter_options o;
	struct err e;
	size_t i;
	int code;

	(void)state;
	for (i = 0; i < COUNT(options); i++) {
		code = milter_parse_options(options[i].data, &o, &e);
		assert_int_equal(code, options[i].error ? -1 : 0);
		if (code < 0) {
			assert_int_equal(e.kind, ERR_PROTOCOL);
			assert_non_null(strstr(e.text, options[i].error));
			continue;
		}
		assert_int_equal(o.steps, options[i].steps);
		check_symbols(o.symbols[MILTER_AT_CONNECT],
			options[i].at_connect);
		check_symbols(o.symbols[MILTER_AT_EOH], options[i].at_eoh);
	}
}

/* -------------------------------------------------------------- replies */

static const struct {
	struct str data;
	int code;		/* 0: refused */
	const char *enhanced, *text;
} replies[] = {
	{STR("550 5.7.1 no\0"), 550, "5.7.1", "no"},
	{STR("550 5.7.1 no"), 550, "5.7.1", "no"},
	{STR("451 no code\0"), 451, "", "no code"},
	{STR("421\0"), 421, "", ""}, {STR("421 \0"), 421, "", ""},
	{STR("550 5.7.1\0"), 550, "5.7.1", ""},
	{STR("550-5.7.1 a\r\n550 5.7.1 b\0"), 550, "5.7.1", "a\nb"},
	{STR("550-5.7.1 a\n550-b\n550 5.7.1 c\0"), 550, "5.7.1", "a\nb\nc"},
	{STR("550 5.7.1 a\nb\0"), 550, "5.7.1", "a\nb"},
	{STR("550-5.7.1 a\r\n451 4.7.1 b\0"), 550, "5.7.1", "a\n4.7.1 b"},
	{STR("550 100%% of 5%\0"), 550, "", "100% of 5%"},
	{STR("550 %%%\0"), 550, "", "%%"},
	{STR("550 4.7.1 class\0"), 550, "", "4.7.1 class"},
	{STR("550 5..71 x\0"), 550, "", "5..71 x"},
	{STR("550 5.7.1234 x\0"), 550, "", "5.7.1234 x"},
	{STR("550 5.7.1x\0"), 550, "", "5.7.1x"},
	{STR("250 2.0.0 ok\0"), 0, "", ""}, {STR("354 go\0"), 0, "", ""},
	{STR("600 x\0"), 0, "", ""}, {STR("55 x\0"), 0, "", ""},
	{STR("5501 x\0"), 0, "", ""}, {STR("550x\0"), 0, "", ""},
	{STR("no\0"), 0, "", ""}, {STR("\0"), 0, "", ""}, {STR(""), 0, "", ""},
	{STR("\n550 x\0"), 0, "", ""},
};

static void
test_replies(void **state)
{
	char enhanced[12];
	struct buf text;
	size_t i;
	int code;

	(void)state;
	buf_init(&text, BUF_NO_CAP);
	for (i = 0; i < COUNT(replies); i++) {
		buf_reset(&text);
		if (milter_parse_reply(replies[i].data, &code, enhanced,
			&text) != (replies[i].code != 0))
			fail_msg("row %zu", i);
		if (!replies[i].code)
			continue;
		assert_int_equal(code, replies[i].code);
		assert_string_equal(enhanced, replies[i].enhanced);
		assert_string_equal(buf_c(&text), replies[i].text);
	}
	buf_free(&text);
}

/* --------------------------------------------------------------- frames */

static const struct {
	struct str sent;
	int command;		/* -1: refused */
	struct str data;
	enum err_kind kind;
} frames[] = {
	{STR(U32("\1") "c"), 'c', STR(""), 0},
	{STR(U32("\5") "hA\0b\0"), 'h', STR("A\0b\0"), 0},
	{STR(U32("\1") "\xff"), 255, STR(""), 0},
	{STR(U32("\0")), -1, STR(""), ERR_PROTOCOL},
	{STR("HTTP/1.1"), -1, STR(""), ERR_PROTOCOL},
	{STR("\0\x10\0\1x"), -1, STR(""), ERR_PROTOCOL},
	{STR(U32("\5") "hA"), -1, STR(""), ERR_CLOSED},
	{STR(U32("\1")), -1, STR(""), ERR_CLOSED},
	{STR("\0\0"), -1, STR(""), ERR_CLOSED},
	{STR(""), -1, STR(""), ERR_CLOSED},
};

static void
test_frames(void **state)
{
	struct stream s;
	struct buf data;
	struct err e;
	int pair[2];
	size_t i;

	(void)state;
	buf_init(&data, BUF_NO_CAP);
	for (i = 0; i < COUNT(frames); i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM |
			SOCK_NONBLOCK, 0, pair), 0);
		stream_init(&s, pair[0]);
		assert_int_equal(write(pair[1], frames[i].sent.at,
			frames[i].sent.len), frames[i].sent.len);
		close(pair[1]);
		assert_int_equal(milter_receive(&s, &data, &e),
			frames[i].command);
		if (frames[i].command < 0)
			assert_int_equal(e.kind, frames[i].kind);
		else
			assert_true(str_eq(buf_str(&data), frames[i].data));
		stream_close(&s);
	}
	buf_free(&data);
}

static void
test_send(void **state)
{
	struct stream s;
	char out[64];
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
		pair), 0);
	stream_init(&s, pair[0]);
	milter_send(&s, 'D', STR("C"), STR("j\0mx\0"), STR(""));
	milter_send(&s, 'Q', STR(""), STR(""), STR(""));
	assert_true(stream_flush(&s));
	assert_int_equal(read(pair[1], out, sizeof out), 16);
	assert_memory_equal(out, U32("\7") "DCj\0mx\0" U32("\1") "Q", 16);
	stream_close(&s);
	close(pair[1]);
}

/* ---------------------------------------------------------------- edits */

static const struct fake_field fields[] = {
	{"Subject", STR(" a")}, {"X", STR(" 1")}, {"subject", STR(" b")},
};

static const struct {
	char command;
	struct str data;
	const char *seen;	/* NULL: malformed */
} edits[] = {
	{'h', STR("A\0b\0"), "add A|b\n"}, {'h', STR("A\0\0"), "add A|\n"},
	{'h', STR("A\0b"), NULL}, {'h', STR("A\0"), NULL}, {'h', STR(""), NULL},
	{'i', STR(U32("\0") "A\0b\0"), "insert 0 A|b\n"},
	{'i', STR(U32("\2") "A\0b\0"), "insert 2 A|b\n"},
	{'i', STR("\xff\xff\xff\xff" "A\0b\0"), "insert 4294967295 A|b\n"},
	{'i', STR(U32("\0") "A\0b"), NULL}, {'i', STR("\0\0\0"), NULL},
	/* by name and index from 1, 0 counts as 1 */
	{'m', STR(U32("\1") "Subject\0z\0"), "change 100 Subject|z\n"},
	{'m', STR(U32("\0") "Subject\0z\0"), "change 100 Subject|z\n"},
	{'m', STR(U32("\2") "SUBJECT\0z\0"), "change 102 SUBJECT|z\n"},
	{'m', STR(U32("\3") "Subject\0z\0"), "add Subject|z\n"},
	{'m', STR(U32("\1") "X\0\0"), "remove 101\n"},
	{'m', STR(U32("\2") "X\0\0"), ""},
	{'m', STR(U32("\1") "New\0v\0"), "add New|v\n"},
	{'m', STR(U32("\1") "X\0v"), NULL}, {'m', STR(""), NULL},
	{'b', STR("line\r\n"), "body 6 line\r\n\n"}, {'b', STR(""), "body 0 \n"},
	{'e', STR("<a@b>\0"), "sender a@b -\n"}, {'e', STR("<>\0"), "sender  -\n"},
	{'e', STR("a@b\0SIZE=1\0"), "sender a@b SIZE=1\n"},
	{'e', STR("<a@b>"), NULL},
	{'+', STR("<c@d>\0"), "rcpt c@d -\n"}, {'+', STR(" c@d \0"),
		"rcpt c@d -\n"},
	{'2', STR("<c@d>\0NOTIFY=NEVER\0"), "rcpt c@d NOTIFY=NEVER\n"},
	{'2', STR("<c@d>\0"), "rcpt c@d -\n"}, {'+', STR("<c@d>"), NULL},
	{'-', STR("<c@d>\0"), "unrcpt c@d\n"}, {'-', STR("<\0"), "unrcpt <\n"},
	{'-', STR(""), NULL}, {'x', STR("a\0"), NULL},
};

static void
test_edits(void **state)
{
	struct err e;
	size_t i;

	(void)state;
	fake_fields = fields;
	fake_n_fields = COUNT(fields);
	for (i = 0; i < COUNT(edits); i++) {
		buf_reset(&fake_seen);
		if (milter_edit(&call, edits[i].command, edits[i].data, &e) !=
			(edits[i].seen ? 0 : -1))
			fail_msg("row %zu", i);
		assert_string_equal(buf_c(&fake_seen), edits[i].seen ?
			edits[i].seen : "");
		assert_int_equal(milter_is_edit(edits[i].command),
			edits[i].command != 'x');
	}
}

/* --------------------------------------------------------------- macros */

static const struct {
	enum milter_stage stage;
	const char *names, *rcpt, *sent;	/* pairs as "name=value;" */
} macros[] = {
	{MILTER_AT_HELO, NULL, NULL, "{tls_version}=TLSv1.3;{verify}=NO;"},
	{MILTER_AT_CONNECT, "j, {client_addr}\t{client_port}", NULL,
		"j=mx;{client_addr}=192.0.2.1;"},
	{MILTER_AT_CONNECT, "{client_name} {client_resolve}", NULL,
		"{client_name}=unknown;{client_resolve}=FAIL;"},
	{MILTER_AT_CONNECT, "", NULL, ""},
	{MILTER_AT_CONNECT, "nonsense J {j}", NULL, ""},
	/* absent ones are not sent empty */
	{MILTER_AT_MAIL, NULL, NULL, "i=q1;{auth_author}=<c+3Dd@e.x>;"
		"{mail_addr}=a@from.x;"
		"{mail_host}=from.x;{mail_mailer}=esmtp;"},
	{MILTER_AT_MAIL, "{auth_authen} {auth_type}", NULL, "i=q1;"},
	{MILTER_AT_RCPT, "{rcpt_addr} {rcpt_host} {rcpt_mailer}", "b@to.x",
		"{rcpt_addr}=b@to.x;{rcpt_host}=to.x;{rcpt_mailer}=local;"},
	{MILTER_AT_RCPT, "{rcpt_addr} {rcpt_host}", "postmaster",
		"{rcpt_addr}=postmaster;"},
	{MILTER_AT_DATA, NULL, NULL, "i=q1;"},
	{MILTER_AT_DATA, "", NULL, "i=q1;"},
	{MILTER_AT_MAIL, "{auth_author}", NULL, "{auth_author}=<c+3Dd@e.x>;"},
	/* the admin's come before ours; an empty one is left out */
	{MILTER_AT_CONNECT, "{if_name} {mine} {empty}", NULL,
		"{if_name}=inner;{mine}=x=y;"},
	/* what a stranger put behind a NUL is no macro */
	{MILTER_AT_END, NULL, NULL, "i=q1;{msg_id}=<m@x;"},
};

static void
test_macros(void **state)
{
	static const struct fake_field header[] = {
		{"message-id", STR(" <m@x\0{auth_authen}\0admin>")},
	};
	static const char *const own[] = {"{if_name}=inner", "{mine}=x=y",
		"{empty}="};
	const struct mr_list list = {own, COUNT(own)};
	struct milter_scene about = {.call = &call, .own = &list};
	struct buf out, shown;
	struct str rest;
	size_t i;

	(void)state;
	fake_fields = header;
	fake_n_fields = 1;
	fake_facts[MR_FACT_HOSTNAME] = "mx";
	fake_facts[MR_FACT_QUEUE_ID] = "q1";
	fake_facts[MR_FACT_PEER_ADDRESS] = "192.0.2.1";
	fake_facts[MR_FACT_TLS_VERSION] = "TLSv1.3";
	fake_facts[MR_FACT_SENDER] = "a@from.x";
	fake_facts[MR_FACT_SENDER_ARGS] = "SIZE=5 AUTH=<c+3Dd@e.x>";
	fake_facts[MR_FACT_RCPT_MAILER] = "local";
	buf_init(&out, BUF_NO_CAP);
	buf_init(&shown, BUF_NO_CAP);
	for (i = 0; i < COUNT(macros); i++) {
		buf_reset(&out);
		buf_reset(&shown);
		about.rcpt = macros[i].rcpt;
		milter_macros(&about, macros[i].stage, macros[i].names ?
			str_from(macros[i].names) : (struct str){NULL, 0},
			&out);
		for (rest = buf_str(&out); rest.len;) {
			buf_addstr(&shown, str_cut(&rest, '\0'));
			buf_addc(&shown, '=');
			buf_addstr(&shown, str_cut(&rest, '\0'));
			buf_addc(&shown, ';');
		}
		assert_string_equal(buf_c(&shown), macros[i].sent);
	}
	buf_free(&out);
	buf_free(&shown);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

static const struct CMUnitTest tests[] = {
	TEST(test_options), TEST(test_replies), TEST(test_frames),
	TEST(test_send), TEST(test_edits), TEST(test_macros),
};
UNIT_MAIN(tests)
