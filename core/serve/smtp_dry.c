/*
 * smtp_dry.c - one message through an SMTP session over a socketpair.
 *
 * Commands are written at one end and the session takes its turns at the
 * other, on the same thread; only the message itself, which may exceed what
 * the kernel holds, is written by a thread of its own. A login is taken as
 * given: there is no password to check.
 */
#include "serve/smtp_dry.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "serve/smtp.h"

#define COMMAND_MOST 2048
#define ANSWER_MS 1000		/* what was written is there already */

/* ---------------------------------------------- a store that is only read */

struct dry_store {
	struct mr_store op;
	struct store real;
	const struct smtp_dry *d;
};

static int
dry_commit(void *self, struct mr_commit *c, struct mr_error *err)
{
	const struct dry_store *s = self;

	(void)err;
	s->d->placed(s->d->arg, c);
	return MR_STORE_OK;
}

static int
dry_state_get(void *self, const char *space, const char *key, int64_t now_ms,
	void (*found)(void *arg, struct mr_str value), void *arg,
	struct mr_error *err)
{
	const struct dry_store *s = self;
	const struct mr_store *op = s->real.op;

	if (!op || !MR_HAS(op, state_get) || !op->state_get)
		return MR_STORE_OK;
	return op->state_get(s->real.self, space, key, now_ms, found, arg,
		err);
}

static int
dry_state_set(void *self, const char *space, const char *key,
	struct mr_str value, int64_t expires_ms, struct mr_error *err)
{
	(void)self;
	(void)space;
	(void)key;
	(void)value;
	(void)expires_ms;
	(void)err;
	return MR_STORE_OK;
}

/* There is no way to ask for a counter without adding to it: each run counts
 * from nothing. */
static int
dry_state_add(void *self, const char *space, const char *key, int64_t by,
	int64_t now_ms, int64_t expires_ms, int64_t *sum, struct mr_error *err)
{
	(void)now_ms;
	*sum = by;
	return dry_state_set(self, space, key, (struct mr_str){"", 0},
		expires_ms, err);
}

static void
dry_store_init(struct dry_store *s, const struct smtp_dry *d)
{
	*s = (struct dry_store){.op = {.size = sizeof s->op,
		.commit = dry_commit, .state_get = dry_state_get,
		.state_set = dry_state_set, .state_add = dry_state_add},
		.real = d->house->store, .d = d};
}

/* ------------------------------------------------------------- the client */

struct client {
	const struct smtp_dry *d;
	struct session session;
	struct stream stream;		/* our end */
	struct arena arena;		/* of answers */
};

/* All lines of one answer; code 0: there is none. */
static struct reply
read_answer(struct client *c)
{
	struct reply r = {.code = 0, .text = STR("")};
	struct str line;
	int more = 1;

	while (more == 1 && stream_line(&c->stream, 4096, &line) ==
		STREAM_LINE_OK) {
		more = reply_parse(line, &c->arena, &r) == 0;
	}
	return r;
}

static struct reply
hear(struct client *c, const char *command)
{
	struct reply r;

	stream_flush(&c->session.stream);
	r = read_answer(c);
	c->d->said(c->d->arg, command, &r);
	return r;
}

static struct reply
say(struct client *c, const char *command)
{
	stream_printf(&c->stream, "%s\r\n", command);
	stream_flush(&c->stream);
	c->session.protocol->turn(&c->session);
	return hear(c, command);
}

/* ------------------------------------------------------------ the message */

static void
add_line(struct buf *out, struct str line)
{
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	if (line.len && line.at[0] == '.')
		buf_addc(out, '.');
	buf_addstr(out, line);
	buf_adds(out, "\r\n");
}

struct feed {
	int fd;
	struct buf bytes;
};

static void *
feed(void *arg)
{
	struct feed *f = arg;
	struct pollfd p = {f->fd, POLLOUT, 0};
	size_t done = 0;
	ssize_t n;

	while (done < f->bytes.len) {
		n = send(f->fd, f->bytes.at + done, f->bytes.len - done,
			MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	return NULL;
}

/* DATA and the message in one go; the session answers twice. */
static int
send_message(struct client *c, int fd, struct err *e)
{
	struct feed f = {.fd = fd};
	struct str rest = c->d->message;
	struct reply r;
	pthread_t thread;

	buf_init(&f.bytes, BUF_NO_CAP);
	buf_adds(&f.bytes, "DATA\r\n");
	while (rest.len)
		add_line(&f.bytes, str_cut(&rest, '\n'));
	buf_adds(&f.bytes, ".\r\n");
	if (pthread_create(&thread, NULL, feed, &f))
		return err_set(e, ERR_SYS, "no thread");
	c->session.protocol->turn(&c->session);
	stream_flush(&c->session.stream);
	r = read_answer(c);
	if (r.code == 354)
		r = read_answer(c);
	c->d->said(c->d->arg, "DATA", &r);
	shutdown(fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	buf_free(&f.bytes);
	return 0;
}

/* ----------------------------------------------------------------- the run */

static const char *
path_command(struct client *c, const char *verb, const char *address)
{
	return arena_printf(&c->arena, "%s:<%.1000s>", verb, address);
}

static void
log_in(struct client *c)
{
	struct smtp *k = smtp_of(&c->session);

	if (!*c->d->login)
		return;
	snprintf(k->account, sizeof k->account, "%s", c->d->login);
	k->facts.auth_login = str_from(k->account);
	k->facts.auth_mechanism = "PLAIN";
}

static int
converse(struct client *c, int fd, struct err *e)
{
	const struct smtp_dry *d = c->d;
	size_t i, taken = 0;
	struct reply r;

	c->session.protocol->open(&c->session);
	r = hear(c, "connect");
	if (r.code != 220)
		return 0;
	log_in(c);
	r = say(c, arena_printf(&c->arena, "EHLO %.255s", d->helo));
	if (r.code != 250)
		return 0;
	r = say(c, path_command(c, "MAIL FROM", d->sender));
	if (r.code != 250)
		return 0;
	for (i = 0; i < d->n_rcpt; i++) {
		r = say(c, path_command(c, "RCPT TO", d->rcpt[i]));
		if (r.code == 421)
			return 0;
		taken += r.code == 250;
	}
	return taken ? send_message(c, fd, e) : 0;
}

static void
open_ends(struct client *c, const int fd[2], struct sock_addr *local)
{
	struct session *s = &c->session;

	stream_init(&s->stream, fd[0]);
	stream_init(&c->stream, fd[1]);
	stream_limit(&c->stream, ANSWER_MS, 0);
	s->guest.fd = fd[0];
	s->listener = c->d->listener;
	s->house = c->d->house;
	s->protocol = &smtp_protocol;
	s->peer = c->d->peer;
	s->local = local;
	arena_init(&s->arena);
	arena_init(&s->command);
	snprintf(s->id, sizeof s->id, "dry-run");
}

int
smtp_dry_run(const struct smtp_dry *d, struct err *e)
{
	struct client c = {.d = d};
	struct sock_addr local;
	struct dry_store dry;
	int fd[2], code;

	if (sock_parse(STR("127.0.0.1:25"), &local, e) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
		SOCK_NONBLOCK, 0, fd) < 0)
		return err_sys(e, "socketpair");
	dry_store_init(&dry, d);
	d->house->store = (struct store){&dry.op, &dry};
	arena_init(&c.arena);
	open_ends(&c, fd, &local);
	code = converse(&c, fd[1], e);
	c.session.protocol->close(&c.session);
	stream_close(&c.session.stream);
	stream_close(&c.stream);
	arena_free(&c.session.arena);
	arena_free(&c.session.command);
	arena_free(&c.arena);
	d->house->store = dry.real;
	return code;
}
