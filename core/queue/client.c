/*
 * client.c - the sending side of RFC 5321, in the order of the protocol.
 * Runner threads; straight-line and blocking, under the stream's deadline.
 *
 * A broken connection before the final answer to the message is a temporary
 * failure for all recipients that were not refused for good: only a 250 to
 * the message counts.
 */
#include "queue/client.h"

#include <poll.h>

#include "base/clock.h"
#include "base/enc.h"
#include "net/stream.h"

#define LINE_MOST 2048
#define REPLY_LINES 100

/* t, a and out are those of the call that runs; between calls t is `own`. */
struct client {
	const struct client_talk *t;
	struct stream s;
	struct arena *a;
	struct client_result *out;
	bool pipelining, size, eightbit, utf8, starttls, auth_plain;
	bool secure, spoiled;
	int64_t patience;	/* for one answer, ms */
	struct client_talk own;
	struct host host;
};

static struct reply
lost(struct client *k, const char *when)
{
	const struct err *e = stream_error(&k->s);

	return reply_printf(k->a, 451, "4.4.2",
		"%s: connection lost while %s%s%s", k->t->host->name, when,
		e ? ": " : "", e ? e->text : "");
}

/* The next calls may wait as long as one answer may take, and not beyond the
 * end of the whole talk. */
static void
limit(struct client *k)
{
	int64_t left = k->t->deadline - clock_mono();

	if (left > k->patience)
		left = k->patience;
	stream_limit(&k->s, left > 0 ? left : 0, 0);
}

/* One answer, all its lines. */
static struct reply
hear(struct client *k, const char *when)
{
	struct reply r = {0};
	struct str line;
	int lines, more;

	limit(k);
	if (!stream_flush(&k->s))
		return lost(k, when);
	for (lines = 0; lines < REPLY_LINES; lines++) {
		enum stream_line got = stream_line(&k->s, LINE_MOST, &line);

		if (got == STREAM_LINE_FAILED)
			return lost(k, when);
		more = got == STREAM_LINE_LONG ? -1 :
			reply_parse(line, k->a, &r);
		if (more == 1)
			return r;
		if (more < 0)
			break;
	}
	stream_fail(&k->s, ERR_PROTOCOL, "not an SMTP reply");
	return reply_printf(k->a, 451, "4.5.0",
		"%s does not speak SMTP while %s", k->t->host->name, when);
}

static struct reply
ask(struct client *k, const char *when, const char *command)
{
	stream_puts(&k->s, command);
	stream_write(&k->s, "\r\n", 2);
	return hear(k, when);
}

static void
note_extension(struct client *k, struct str line)
{
	static const char auth[] = "AUTH";
	struct str word = str_word(&line);

	if (str_iis(word, "PIPELINING"))
		k->pipelining = true;
	else if (str_iis(word, "SIZE"))
		k->size = true;
	else if (str_iis(word, "8BITMIME"))
		k->eightbit = true;
	else if (str_iis(word, "SMTPUTF8"))
		k->utf8 = true;
	else if (str_iis(word, "STARTTLS"))
		k->starttls = true;
	else if (str_iis(word, auth))
		while ((word = str_word(&line)).len)
			if (str_iis(word, "PLAIN"))
				k->auth_plain = true;
}

/* EHLO, or HELO for a server that does not know it. */
static struct reply
greet(struct client *k)
{
	struct reply r;
	struct str rest;

	k->pipelining = k->size = k->eightbit = k->utf8 = false;
	k->starttls = k->auth_plain = false;
	k->patience = k->t->timeout.helo;
	stream_printf(&k->s, "EHLO %s\r\n", k->t->hostname);
	r = hear(k, "greeting");
	if (r.code == 500 || r.code == 502) {
		stream_printf(&k->s, "HELO %s\r\n", k->t->hostname);
		return hear(k, "greeting");
	}
	if (r.code != 250)
		return r;
	rest = r.text;
	str_cut(&rest, '\n');		/* its name */
	while (rest.len)
		note_extension(k, str_cut(&rest, '\n'));
	return r;
}

/* false: the talk is over, out->whole says why. */
static bool
start_tls(struct client *k)
{
	struct err e = {0};
	struct reply r;

	if (k->t->tls == CLIENT_TLS_NONE)
		return true;
	if (!k->starttls) {
		if (k->t->tls == CLIENT_TLS_MAY)
			return true;
		k->out->whole = reply_printf(k->a, 451, "4.7.10",
			"%s does not offer TLS, which is required",
			k->t->host->name);
		return false;
	}
	r = ask(k, "starting TLS", "STARTTLS");
	if (r.code != 220) {
		k->out->tls_failed = k->t->tls == CLIENT_TLS_MAY;
		k->out->whole = r;
		return false;
	}
	stream_discard_input(&k->s);
	if (stream_tls_connect(&k->s, k->t->tls_ctx, k->t->host->name,
		&e) < 0) {
		k->out->tls_failed = k->t->tls == CLIENT_TLS_MAY;
		k->out->whole = reply_printf(k->a, 451, "4.7.5",
			"TLS with %s: %s", k->t->host->name, e.text);
		return false;
	}
	k->secure = true;
	r = greet(k);
	if (r.code == 250)
		return true;
	k->out->whole = r;
	return false;
}

static bool
log_in(struct client *k)
{
	const struct client_talk *t = k->t;
	struct buf plain, line;
	struct reply r;

	if (!*t->login)
		return true;
	if (!k->auth_plain || (!k->secure && t->tls == CLIENT_TLS_MUST)) {
		k->out->whole = reply_printf(k->a, 454, "4.7.0",
			"%s does not offer AUTH PLAIN", t->host->name);
		return false;
	}
	buf_init(&plain, 1024);
	buf_init(&line, 2048);
	buf_addf(&plain, "%c%s%c%s", 0, t->login, 0, t->password);
	buf_adds(&line, "AUTH PLAIN ");
	enc_base64(&line, plain.at, plain.len);
	r = ask(k, "logging in", buf_c(&line));
	explicit_bzero(plain.at, plain.len);
	explicit_bzero(line.at, line.len);
	buf_free(&plain);
	buf_free(&line);
	if (r.code == 235)
		return true;
	/* A wrong password here is the admin's to mend: mail waits. */
	k->out->whole = reply_printf(k->a, 451, "4.7.8",
		"%s refused our login: %d %.*s", t->host->name, r.code,
		STR_ARGS(r.text));
	return false;
}

static bool
is_utf8_envelope(const struct client_talk *t)
{
	size_t i;

	if (!enc_is_ascii(t->sender))
		return true;
	for (i = 0; i < t->n_rcpt; i++)
		if (!enc_is_ascii(t->rcpt[i]))
			return true;
	return false;
}

static void
write_mail(struct client *k, bool utf8)
{
	stream_puts(&k->s, "MAIL FROM:<");
	stream_write_str(&k->s, k->t->sender);
	stream_puts(&k->s, ">");
	if (k->size)
		stream_printf(&k->s, " SIZE=%llu",
			(unsigned long long)k->t->length);
	if (k->eightbit)
		stream_puts(&k->s, " BODY=8BITMIME");
	if (utf8)
		stream_puts(&k->s, " SMTPUTF8");
	stream_puts(&k->s, "\r\n");
}

static void
write_rcpt(struct client *k, size_t i)
{
	stream_puts(&k->s, "RCPT TO:<");
	stream_write_str(&k->s, k->t->rcpt[i]);
	stream_puts(&k->s, ">\r\n");
}

/* Those to recipients that were sent along with a refused sender. */
static void
drop_answers(struct client *k)
{
	size_t i;

	for (i = 0; k->pipelining && i < k->t->n_rcpt; i++)
		hear(k, "giving a recipient");
}

/* Sender and recipients, pipelined where offered (RFC 2920; never DATA with
 * them, so that nothing is sent when all are refused). Returns how many were
 * taken; -1: whole is set. */
static int
send_envelope(struct client *k)
{
	bool utf8 = is_utf8_envelope(k->t);
	struct reply r;
	int taken = 0;
	size_t i;

	if (utf8 && !k->utf8) {
		k->out->whole = reply_printf(k->a, 550, "5.6.7",
			"%s does not take internationalised addresses",
			k->t->host->name);
		return -1;
	}
	k->patience = k->t->timeout.mail;
	write_mail(k, utf8);
	if (k->pipelining)
		for (i = 0; i < k->t->n_rcpt; i++)
			write_rcpt(k, i);
	r = hear(k, "giving the sender");
	if (r.code != 250) {
		k->out->whole = r;
		drop_answers(k);
		return -1;
	}
	k->patience = k->t->timeout.rcpt;
	for (i = 0; i < k->t->n_rcpt; i++) {
		if (!k->pipelining)
			write_rcpt(k, i);
		k->out->rcpt[i] = hear(k, "giving a recipient");
		if (k->out->rcpt[i].code / 100 == 2)
			taken++;
	}
	return taken;
}

/* The message with dots stuffed (RFC 5321 4.5.2) and a last CRLF. */
static bool
send_body(struct client *k)
{
	enum { BLOCK = 32768 };
	char *block = arena_alloc(k->a, BLOCK);
	bool line_start = true;
	char last[2] = {'\r', '\n'};
	uint64_t at = 0;
	int64_t n;

	while ((n = k->t->read(k->t->arg, at, block, BLOCK)) > 0) {
		const char *p = block, *end = block + n;

		limit(k);
		while (p < end) {
			const char *lf = memchr(p, '\n', (size_t)(end - p));
			const char *stop = lf ? lf + 1 : end;

			if (line_start && *p == '.')
				stream_write(&k->s, ".", 1);
			stream_write(&k->s, p, (size_t)(stop - p));
			line_start = lf != NULL;
			p = stop;
		}
		last[0] = n > 1 ? block[n - 2] : last[1];
		last[1] = block[n - 1];
		at += (uint64_t)n;
		if (stream_failed(&k->s))
			return false;
	}
	if (n < 0)
		return false;
	if (last[1] != '\n' || last[0] != '\r')
		stream_write(&k->s, "\r\n", 2);
	stream_write(&k->s, ".\r\n", 3);
	return true;
}

static void
spread(struct client *k, struct reply r)
{
	size_t i;

	for (i = 0; i < k->t->n_rcpt; i++)
		if (k->out->rcpt[i].code / 100 == 2)
			k->out->rcpt[i] = r;
}

/* What stands of a transaction is forgotten, for the next message. */
static void
start_over(struct client *k)
{
	k->patience = k->t->timeout.helo;
	if (ask(k, "starting over", "RSET").code != 250)
		k->spoiled = true;
}

static void
send_message(struct client *k)
{
	int taken = send_envelope(k);
	struct reply r;

	if (taken <= 0) {
		if (!stream_failed(&k->s) && k->out->whole.code != 421)
			start_over(k);
		return;
	}
	k->out->began = true;
	k->patience = k->t->timeout.data;
	r = ask(k, "starting the message", "DATA");
	if (r.code != 354) {
		k->spoiled = true;
		spread(k, r.code / 100 == 2 ? REPLY(451, "4.5.0",
			"unexpected answer to DATA") : r);
		return;
	}
	k->patience = k->t->timeout.block;
	if (!send_body(k)) {
		spread(k, stream_failed(&k->s) ? lost(k, "sending") :
			REPLY(451, "4.3.0", "the message cannot be read"));
		/* Without the final dot the other side drops it. */
		stream_fail(&k->s, ERR_SYS, "message not readable");
		return;
	}
	k->patience = k->t->timeout.dot;
	spread(k, hear(k, "waiting for the final answer"));
}

/* Up to the point where a message may be sent. */
static bool
introduce(struct client *k)
{
	struct reply r;

	k->patience = k->t->timeout.greeting;
	r = hear(k, "waiting for the greeting");
	if (r.code == 220)
		r = greet(k);
	if (r.code == 250)
		return start_tls(k) && log_in(k);
	k->out->whole = r;
	return false;
}

static void
begin_result(const struct client_talk *t, struct arena *a,
	struct client_result *out)
{
	size_t i;

	*out = (struct client_result){.connected = true, .rcpt =
		arena_alloc(a, (t->n_rcpt + 1) * sizeof *out->rcpt)};
	for (i = 0; i < t->n_rcpt; i++)
		out->rcpt[i] = REPLY(451, "4.4.2", "not attempted");
}

static void
begin_call(struct client *k, const struct client_talk *t, struct arena *a,
	struct client_result *out)
{
	begin_result(t, a, out);
	k->t = t;
	k->a = a;
	k->out = out;
}

static void
end_call(struct client *k)
{
	k->t = &k->own;
	k->a = NULL;
	k->out = NULL;
}

static void
free_client(struct client *k)
{
	stream_close(&k->s);
	free((char *)k->host.name);
	free(k);
}

struct client *
client_adopt(int fd, const struct client_talk *t, struct arena *a,
	struct client_result *out)
{
	struct client *k = mem_alloc(sizeof *k);
	bool is_ready;

	k->host = *t->host;
	k->host.name = mem_cstr(t->host->name);
	k->own = (struct client_talk){.host = &k->host, .timeout = t->timeout};
	begin_call(k, t, a, out);
	stream_init(&k->s, fd);
	is_ready = introduce(k);
	end_call(k);
	if (is_ready)
		return k;
	client_close(k, CLIENT_QUIT_MS);
	return NULL;
}

struct client *
client_open(const struct client_talk *t, struct arena *a,
	struct client_result *out)
{
	struct err e = {0};
	int fd = sock_connect(&t->host->address, t->source,
		clock_mono() + t->timeout.connect, &e);

	if (fd >= 0)
		return client_adopt(fd, t, a, out);
	begin_result(t, a, out);
	out->connected = false;
	out->whole = reply_printf(a, 451, "4.4.1", "%s: %s", t->host->name,
		e.text);
	return NULL;
}

void
client_send(struct client *k, const struct client_talk *t, struct arena *a,
	struct client_result *out)
{
	begin_call(k, t, a, out);
	send_message(k);
	out->lost = stream_failed(&k->s);
	if (out->whole.code == 421)
		k->spoiled = true;
	end_call(k);
}

/* A server that has closed, or said 421 meanwhile, left something to read. */
bool
client_is_good(struct client *k)
{
	struct pollfd p = {.fd = k->s.fd, .events = POLLIN};

	return !stream_failed(&k->s) && !k->spoiled &&
		!stream_pending(&k->s, true) && poll(&p, 1, 0) == 0 &&
		stream_release(&k->s);
}

const struct host *
client_host(const struct client *k)
{
	return &k->host;
}

void
client_close(struct client *k, int64_t ms)
{
	struct arena scratch;

	if (k->s.fd >= 0 && !stream_failed(&k->s)) {
		arena_init(&scratch);
		k->a = &scratch;
		k->own.deadline = clock_mono() + ms;
		k->patience = ms;
		ask(k, "saying good-bye", "QUIT");
		arena_free(&scratch);
	}
	free_client(k);
}
