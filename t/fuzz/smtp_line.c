/*
 * smtp_line.c - a client that sends anything: whole SMTP and submission
 * sessions, with a login that always works and a store that takes all.
 * Whatever comes, each answer is a reply of RFC 5321 4.2, and what is taken
 * into the envelope is an address and nothing more.
 */
#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/log.h"
#include "mail/addr.h"
#include "serve/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --------------------------------------------------------------- the house */

static enum mr_auth_answer
verify(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t size)
{
	(void)self;
	(void)password;
	(void)service;
	if (login.len >= size)
		return MR_AUTH_DENIED;
	snprintf(account, size, "%.*s", (int)login.len, login.at);
	return MR_AUTH_OK;
}

/* "b..." is an account here, "q..." is full, others are elsewhere. */
static enum mr_route_answer
resolve(void *self, struct mr_str address, uint64_t length,
	void (*add)(void *arg, const struct mr_target *t), void *arg)
{
	struct mr_target t = {.size = sizeof t, .account = "bob@example.test",
		.mailbox = "INBOX", .forward = ""};

	(void)self;
	(void)length;
	if (address.len && address.at[0] == 'q')
		return MR_ROUTE_OVER_QUOTA;
	if (!address.len || address.at[0] != 'b')
		return MR_ROUTE_NOT_MINE;
	add(arg, &t);
	return MR_ROUTE_FOUND;
}

static int
commit(void *self, struct mr_commit *c, struct mr_error *err)
{
	size_t i;

	(void)self;
	(void)err;
	for (i = 0; i < c->n_place; i++) {
		const struct mr_placement *p = &c->place[i];

		assert(p->kind == MR_PLACE_MAILBOX || *p->rcpt);
		assert(p->kind == MR_PLACE_MAILBOX ||
			!strpbrk(p->sender, "\r\n"));
	}
	return MR_STORE_OK;
}

static const struct mr_auth auth = {.size = sizeof auth, .verify = verify};
static const struct mr_route route = {.size = sizeof route,
	.resolve = resolve};
static const struct mr_store store = {.size = sizeof store, .commit = commit};
static const struct mr_plugin description = {MR_PLUGIN_HEAD, .name = "fake",
	.version = "1", .auth = &auth, .route = &route, .store = &store};
static struct plugin plugin = {.name = "fake", .desc = &description};
static struct plugin *item[] = {&plugin};
static const struct plugins plugins = {.item = item, .n = 1};
static const struct limits_settings limits = {.message_size = 10000,
	.memory_message = 20000, .recipients = 5, .errors = 50,
	.commands = 200, .auth_tries = 3, .command_timeout = 1000,
	.data_timeout = 1000, .received_fields = 5,
	.cleartext_loopback = true};
static const struct smtp_settings settings = {.authserv_id = ""};
static struct house house = {.hostname = "mx.example.test",
	.data = "/nowhere", .limits = &limits, .smtp = &settings,
	.plugins = &plugins, .store = {&store, NULL}};

/* --------------------------------------------------------------- a session */

static void
check_address(struct str address)
{
	size_t i;

	assert(address.len <= ADDR_MAX);
	for (i = 0; i < address.len; i++)
		assert(address.at[i] >= ' ' && address.at[i] < 127);
}

static void
check_state(const struct smtp *k)
{
	const struct envelope *e = &k->envelope;
	size_t i;

	assert(!!k->facts.envelope == k->in_mail);
	assert(!*k->account || k->is_submission);
	if (!k->in_mail)
		return;
	assert(k->facts.helo.len && *k->facts.queue_id);
	assert(*k->account || !k->is_submission);
	assert(e->n_rcpt <= (size_t)limits.recipients);
	check_address(e->sender);
	for (i = 0; i < e->n_rcpt; i++) {
		check_address(e->rcpt[i].address);
		assert(str_has_byte(e->rcpt[i].address, '@'));
	}
}

/* Takes what the server wrote; it must be whole replies. */
static void
check_replies(int fd, struct arena *a)
{
	static char text[65536];
	ssize_t got = recv(fd, text, sizeof text, MSG_DONTWAIT);
	struct str rest = str_of(text, got > 0 ? (size_t)got : 0), line;
	struct reply r = {.code = 0};
	int more = 1;

	assert(got < (ssize_t)sizeof text);
	while (rest.len) {
		line = str_cut(&rest, '\n');
		assert(line.len && line.len <= 511);
		assert(line.at[line.len - 1] == '\r');
		line.len--;
		assert(!str_has_byte(line, '\r') && !str_has_byte(line, '\0'));
		if (more == 1)
			r.code = 0;
		more = reply_parse(line, a, &r);
		assert(more >= 0 && r.code >= 200 && r.code < 600);
	}
	assert(more == 1);
}

static void
serve(struct session *s, int client)
{
	enum session_next next = s->protocol->open(s);

	do {
		check_state(s->state);
		stream_flush(&s->stream);
		check_replies(client, &s->command);
		arena_reset(&s->command);
		if (next == SESSION_END)
			return;
		next = s->protocol->turn(s);
	} while (!stream_failed(&s->stream));
}

static void
try_session(struct str in, struct listener *listener, const char *peer)
{
	struct session s = {.listener = listener, .house = &house,
		.protocol = &smtp_protocol, .id = "fuzz"};
	struct err e;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return;
	if (send(fd[1], in.at, in.len, 0) < 0)
		in.len = 0;
	shutdown(fd[1], SHUT_WR);
	assert(sock_parse(str_from(peer), &s.peer, &e) == 0);
	s.guest.fd = fd[0];
	arena_init(&s.arena);
	arena_init(&s.command);
	stream_init(&s.stream, fd[0]);
	stream_limit(&s.stream, 1000, 0);
	serve(&s, fd[1]);
	smtp_protocol.close(&s);
	stream_close(&s.stream);
	close(fd[1]);
	arena_free(&s.command);
	arena_free(&s.arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct listener mx = {.name = "mx", .protocol = SERVE_SMTP,
		.house = &house};
	static struct listener submission = {.name = "submission",
		.protocol = SERVE_SUBMISSION, .house = &house};
	struct str in = str_of(data, size);

	log_open(2, LOG_ERROR, false, "fuzz");
	try_session(in, &mx, "192.0.2.1:25");
	try_session(in, &submission, "127.0.0.1:587");
	return 0;
}
