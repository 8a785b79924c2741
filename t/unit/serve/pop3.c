/*
 * pop3.c - whole POP3 talks over a socket pair, with a store and a password
 * check that live in this file.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/limit.h"
#include "serve/session.h"

/* ------------------------------------------------------------ a false store */

#define LARGE 100000

struct mail {
	uint32_t uid;
	const char *text;
	bool gone;
	uint64_t cut;		/* reading fails from here on; 0: never */
};
static char large[LARGE + 1];
static struct mail box[] = {
	{7, "A: 1\r\n\r\none\r\n.two\r\n", false, 0},
	{8, ".A: 2\r\nB: 3\r\n\r\n\r\n..\r\nend", false, 0},
	{20, "\r\nx\n.\ny\r\n", false, 0},
	{21, large, false, 0},
};
static int store_code, expunged;

static int
find(void *self, const char *account, const char *name,
	struct mr_mailbox *out, struct mr_error *err)
{
	(void)self;
	(void)err;
	assert_string_equal(account, "bob@example.test");
	assert_string_equal(name, "INBOX");
	/* Fewer than there are: more may come before the scan. */
	*out = (struct mr_mailbox){.id = 5, .uidvalidity = 0x1234,
		.messages = 2};
	return store_code;
}

static int
scan(void *self, int64_t mailbox, const struct mr_range *range, size_t n,
	uint64_t since, uint32_t want,
	int (*each)(void *arg, const struct mr_row *row), void *arg,
	struct mr_error *err)
{
	(void)self;
	(void)err;
	assert_true(mailbox == 5 && since == 0 && want == MR_ROW_MESSAGE);
	for (size_t i = 0; i < COUNT(box); i++) {
		struct mr_row row = {.uid = box[i].uid,
			.message_id = (int64_t)i + 1,
			.length = strlen(box[i].text)};

		if (!box[i].gone && (!n || (range->first <= row.uid &&
			row.uid <= range->last)) && each(arg, &row))
			return MR_STORE_STOPPED;
	}
	return MR_STORE_OK;
}

static int
body_open(void *self, int64_t id, void **body, uint64_t *length,
	struct mr_error *err)
{
	(void)self;
	(void)err;
	*body = &box[id - 1];
	*length = strlen(box[id - 1].text);
	return box[id - 1].gone ? MR_STORE_MISSING : store_code;
}

static int64_t
body_read(void *body, uint64_t offset, void *out, size_t len,
	struct mr_error *err)
{
	struct mail *m = body;
	size_t left = strlen(m->text) - offset;

	(void)err;
	if (m->cut && offset >= m->cut)
		return -1;
	if (len > left)
		len = left;
	if (len > 1000)		/* short reads are lawful */
		len = 1000;
	memcpy(out, m->text + offset, len);
	return (int64_t)len;
}

static void
body_close(void *body)
{
	(void)body;
}

static int
expunge(void *self, int64_t mailbox, const struct mr_range *range, size_t n,
	int any, struct mr_error *err)
{
	(void)self;
	(void)err;
	assert_true(mailbox == 5 && any && n > 0);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < COUNT(box); j++)
			if (box[j].uid >= range[i].first &&
				box[j].uid <= range[i].last && !box[j].gone)
				box[j].gone = store_code == MR_STORE_OK;
	expunged += (int)n;
	return store_code;
}

static const struct mr_store store = {.size = sizeof store,
	.body_open = body_open, .body_read = body_read,
	.body_close = body_close, .mailbox_find = find, .scan = scan,
	.expunge = expunge};

static enum mr_auth_answer
verify(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t size)
{
	(void)self;
	assert_string_equal(service, "pop3");
	snprintf(account, size, "%.*s@example.test", (int)login.len, login.at);
	if (password.len == 4 && !memcmp(password.at, "down", 4))
		return MR_AUTH_TEMPFAIL;
	return login.len == 3 && password.len == 7 &&
		!memcmp(password.at, "a  pass", 7) ? MR_AUTH_OK :
		MR_AUTH_DENIED;
}

static const struct mr_auth auth = {.size = sizeof auth, .verify = verify};
static const struct mr_plugin description = {MR_PLUGIN_HEAD, .name = "fake",
	.version = "1", .auth = &auth};
static struct plugin plugin = {.name = "fake", .desc = &description};
static struct plugin *items[] = {&plugin};
static const struct plugins plugins = {.item = items, .n = 1};

/* ------------------------------------------------------------------ a talk */

static struct limits_settings limits;
static struct house house = {.hostname = "mx.example.test",
	.limits = &limits, .plugins = &plugins, .store = {.op = &store}};
static struct listener listener = {.name = "pop3",
	.protocol = SERVE_POP3, .tls = SERVE_TLS_STARTTLS, .house = &house};
static struct session session;
static enum session_next next;
static int client;
static char heard[4 * LARGE];

static int
set_up(void **state)
{
	(void)state;
	limits = (struct limits_settings){.errors = 10, .auth_tries = 3,
		.connections_per_login = 1, .cleartext_loopback = true,
		.command_timeout = 5000, .data_timeout = 5000};
	for (size_t i = 0; i < COUNT(box); i++)
		box[i].gone = false, box[i].cut = 0;
	for (size_t i = 0; i < LARGE; i++)
		large[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' :
			i % 150 == 0 ? '.' : 'x';
	store_code = MR_STORE_OK;
	expunged = 0;
	house.logins = limit_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	limit_free(house.logins);
	return 0;
}

/* What the server has written until now. */
static const char *
hear(void)
{
	size_t n = 0;
	ssize_t got;

	stream_flush(&session.stream);
	while ((got = recv(client, heard + n, sizeof heard - n - 1,
		MSG_DONTWAIT)) > 0)
		n += (size_t)got;
	heard[n] = '\0';
	return heard;
}

static void
begin(const char *peer)
{
	int pair[2], room = 4 * LARGE;
	struct err e;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room,
		sizeof room), 0);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	client = pair[0];
	session = (struct session){.listener = &listener, .house = &house,
		.protocol = &pop3_protocol, .id = "test"};
	assert_int_equal(sock_parse(str_from(peer), &session.peer, &e), 0);
	arena_init(&session.arena);
	arena_init(&session.command);
	stream_init(&session.stream, pair[1]);
	stream_limit(&session.stream, 5000, 0);
	next = pop3_protocol.open(&session);
	assert_string_equal(hear(), "+OK mx.example.test POP3 Mailroom\r\n");
}

/* Says all of it at once, and hears all that comes back. */
static const char *
say(const char *commands)
{
	size_t lines = 0;

	for (const char *c = commands; *c; c++)
		lines += *c == '\n';
	assert_int_equal(send(client, commands, strlen(commands), 0),
		strlen(commands));
	while (lines-- && next != SESSION_END) {
		next = pop3_protocol.turn(&session);
		arena_reset(&session.command);
	}
	return stream_failed(&session.stream) ? "" : hear();
}

static void
end(void)
{
	pop3_protocol.close(&session);
	if (session.login_key.len)
		limit_give(house.logins, session.login_key);
	stream_close(&session.stream);
	close(client);
	arena_free(&session.command);
	arena_free(&session.arena);
}

static void
log_in(void)
{
	begin("127.0.0.1:1");
	assert_string_equal(say("USER bob\r\nPASS a  pass\r\n"),
		"+OK Now the password\r\n+OK 4 messages\r\n");
}

/* ------------------------------------------------------------------- tests */

struct row {
	const char *say, *hear;
};

static void
walk(const struct row *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_string_equal(say(row[i].say), row[i].hear);
}

static void
test_maildrop(void **state)
{
	static const struct row rows[] = {
		{"STAT\r\n", "+OK 4 100052\r\n"},
		{"LIST\r\n", "+OK Sizes follow\r\n1 19\r\n2 24\r\n3 9\r\n"
			"4 100000\r\n.\r\n"},
		{"list 2\r\n", "+OK 2 24\r\n"},
		{"UIDL\r\n", "+OK Ids follow\r\n1 0000123400000007\r\n"
			"2 0000123400000008\r\n3 0000123400000014\r\n"
			"4 0000123400000015\r\n.\r\n"},
		{"UIDL 3\r\n", "+OK 3 0000123400000014\r\n"},
		{"RETR 1\r\n", "+OK 19 octets\r\n"
			"A: 1\r\n\r\none\r\n..two\r\n.\r\n"},
		{"RETR 2\r\n", "+OK 24 octets\r\n"
			"..A: 2\r\nB: 3\r\n\r\n\r\n...\r\nend\r\n.\r\n"},
		{"RETR 3\r\n", "+OK 9 octets\r\n\r\nx\n..\ny\r\n.\r\n"},
		{"TOP 1 0\r\n", "+OK 19 octets\r\nA: 1\r\n\r\n.\r\n"},
		{"TOP 1 1\r\n", "+OK 19 octets\r\nA: 1\r\n\r\none\r\n.\r\n"},
		{"TOP 2 1\r\n", "+OK 24 octets\r\n"
			"..A: 2\r\nB: 3\r\n\r\n\r\n.\r\n"},
		{"TOP 3 9\r\n", "+OK 9 octets\r\n\r\nx\n..\ny\r\n.\r\n"},
		{"NOOP\r\nSTAT\r\n", "+OK \r\n+OK 4 100052\r\n"},
	};

	(void)state;
	log_in();
	walk(rows, COUNT(rows));
	end();
}

static void
test_refusals(void **state)
{
	static const char *const login[] = {"STAT", "LIST", "RETR 1", "NOOP",
		"RSET", "PASS x", "FROB", "", "USER", "AUTH FROB",
		"AUTH PLAIN =", "AUTH PLAIN a b c", "AUTH PLAIN !", "STLS", "QUIT x"};
	static const char *const maildrop[] = {"USER x", "STLS", "AUTH", "RETR",
		"RETR 0", "RETR 5", "RETR -1", "RETR 1x", "RETR 1 2",
		"RETR 99999999999999999999", "TOP 1", "TOP 1 -1", "TOP 5 1",
		"LIST 0", "UIDL x", "DELE", "STAT 1", "NOOP 1"};
	char line[64];

	(void)state;
	begin("127.0.0.1:1");
	for (size_t i = 0; i < COUNT(login); i++) {
		snprintf(line, sizeof line, "%s\r\n", login[i]);
		assert_memory_equal(say(line), "-ERR ", 5);
	}
	end();
	log_in();
	for (size_t i = 0; i < COUNT(maildrop); i++) {
		snprintf(line, sizeof line, "%s\r\n", maildrop[i]);
		assert_memory_equal(say(line), "-ERR ", 5);
	}
	end();
}

static void
test_delete(void **state)
{
	static const struct row rows[] = {
		{"DELE 1\r\nDELE 1\r\nRETR 1\r\n", "+OK 1 is marked\r\n"
			"-ERR No such message\r\n-ERR No such message\r\n"},
		{"RSET\r\nSTAT\r\n", "+OK No message is marked\r\n"
			"+OK 4 100052\r\n"},
		{"DELE 1\r\nDELE 2\r\nDELE 4\r\n", "+OK 1 is marked\r\n"
			"+OK 2 is marked\r\n+OK 4 is marked\r\n"},
		{"STAT\r\nLIST\r\n", "+OK 1 9\r\n"
			"+OK Sizes follow\r\n3 9\r\n.\r\n"},
	};

	(void)state;
	log_in();
	assert_string_equal(say("DELE 1\r\n"), "+OK 1 is marked\r\n");
	pop3_protocol.bye(&session, true);
	end();
	assert_int_equal(expunged, 0);
	log_in();
	walk(rows, COUNT(rows));
	assert_false(box[0].gone);
	assert_string_equal(say("QUIT\r\n"), "+OK Bye\r\n");
	end();
	assert_int_equal(expunged, 2);	/* 7 and 8 are one run */
	assert_true(box[0].gone && box[1].gone && !box[2].gone && box[3].gone);
}

static void
test_vanished(void **state)
{
	(void)state;
	log_in();
	box[1].gone = true;
	assert_string_equal(say("RETR 2\r\nTOP 1 0\r\n"),
		"-ERR The message was removed meanwhile\r\n"
		"+OK 19 octets\r\nA: 1\r\n\r\n.\r\n");
	end();
}

static void
test_large(void **state)
{
	static char want[2 * LARGE];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < LARGE; i++) {
		if (i % 150 == 0)
			want[n++] = '.';
		want[n++] = large[i];
	}
	memcpy(want + n, ".\r\n", 4);
	log_in();
	assert_string_equal(say("RETR 4\r\n") + strlen("+OK 100000 octets\r\n"),
		want);
	end();
}

/* A torn message must not look like a whole one. */
static void
test_torn(void **state)
{
	(void)state;
	log_in();
	box[3].cut = 50000;
	assert_string_equal(say("RETR 4\r\n"), "");
	assert_true(stream_failed(&session.stream));
	assert_null(strstr(hear(), "\r\n.\r\n"));
	end();
}

static void
test_store_trouble(void **state)
{
	(void)state;
	log_in();
	store_code = MR_STORE_FAILED;
	assert_string_equal(say("RETR 1\r\nDELE 1\r\nQUIT\r\n"),
		"-ERR [SYS/TEMP] The mail store cannot do it now\r\n"
		"+OK 1 is marked\r\n-ERR [SYS/TEMP] The mail store cannot do "
		"it now; nothing was removed\r\n");
	end();
	begin("127.0.0.1:1");
	store_code = MR_STORE_BUSY;
	assert_string_equal(say("USER bob\r\nPASS a  pass\r\n"),
		"+OK Now the password\r\n");
	while (next == SESSION_DELAY)	/* it may be free in a moment */
		next = pop3_protocol.wake(&session, 0);
	assert_string_equal(hear(),
		"-ERR [IN-USE] The mailbox is busy, try again\r\n");
	assert_int_equal(next, SESSION_END);
	end();
}

static void
test_passwords(void **state)
{
	static const struct row rows[] = {
		{"USER bob\r\nPASS a pass\r\n", "+OK Now the password\r\n"
			"-ERR [AUTH] Login or password is wrong\r\n"},
		{"PASS a  pass\r\n", "-ERR USER comes first\r\n"},
		{"USER eve\r\nPASS down\r\n", "+OK Now the password\r\n"
			"-ERR [SYS/TEMP] Cannot check passwords now\r\n"},
		{"AUTH PLAIN AGJvYgBub25l\r\n",
			"-ERR [AUTH] Login or password is wrong\r\n"},
		{"USER eve\r\nPASS 3\r\nNOOP\r\n", "+OK Now the password\r\n"
			"-ERR [AUTH] Too many wrong passwords\r\n"},
	};

	(void)state;
	begin("127.0.0.1:1");
	walk(rows, COUNT(rows));
	assert_int_equal(next, SESSION_END);
	end();
}

static void
test_auth(void **state)
{
	static const struct row rows[] = {
		{"AUTH\r\n", "+OK Mechanisms follow\r\n"
			"PLAIN\r\nLOGIN\r\n.\r\n"},
		{"AUTH PLAIN\r\n*\r\n", "+ \r\n"
			"-ERR Not what the mechanism asks for\r\n"},
		{"AUTH LOGIN\r\nYm9i\r\n", "+ VXNlcm5hbWU6\r\n"
			"+ UGFzc3dvcmQ6\r\n"},
		{"YSAgcGFzcw==\r\nSTAT\r\n", "+OK 4 messages\r\n"
			"+OK 4 100052\r\n"},
	};

	(void)state;
	begin("127.0.0.1:1");
	walk(rows, COUNT(rows));
	end();
	begin("127.0.0.1:1");
	assert_string_equal(say("auth plain AGJvYgBhICBwYXNz\r\n"),
		"+OK 4 messages\r\n");
	end();
	begin("127.0.0.1:1");
	assert_string_equal(say("AUTH PLAIN\r\nAGJvYgBhICBwYXNz\r\n"),
		"+ \r\n+OK 4 messages\r\n");
	end();
}

static void
test_not_private(void **state)
{
	(void)state;
	begin("192.0.2.1:1");
	assert_string_equal(say("USER bob\r\nAUTH PLAIN\r\nPASS x\r\n"),
		"-ERR Start TLS first\r\n-ERR Start TLS first\r\n"
		"-ERR USER comes first\r\n");
	assert_null(strstr(say("CAPA\r\n"), "\r\nUSER\r\n"));
	assert_null(strstr(heard, "SASL"));
	assert_non_null(strstr(heard, "\r\nPIPELINING\r\n"));
	end();
}

static void
test_limits(void **state)
{
	struct session one;
	int its_client;

	(void)state;
	log_in();
	one = session;
	its_client = client;
	begin("127.0.0.1:1");
	say("USER bob\r\nPASS a  pass\r\n");
	assert_non_null(strstr(heard, "-ERR [IN-USE] "));
	assert_int_equal(next, SESSION_END);
	end();
	session = one;
	client = its_client;
	end();
	limits.auth_delay = 2000;
	begin("127.0.0.1:1");
	say("USER bob\r\nPASS x\r\n");
	assert_int_equal(next, SESSION_DELAY);
	assert_true(session.guest.wake_at > clock_mono());
	end();
	begin("127.0.0.1:1");
	say("a\r\nb\r\nc\r\nd\r\ne\r\nf\nQUIT\r\ng\r\nh\r\ni\r\nj\r\n");
	assert_int_equal(next, SESSION_END);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(test_maildrop), T(test_refusals), T(test_delete),
		T(test_vanished), T(test_large), T(test_torn),
		T(test_store_trouble), T(test_passwords), T(test_auth),
		T(test_not_private), T(test_limits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
