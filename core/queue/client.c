/*
 * client.c - the sending side of RFC 5321, in the order of the protocol.
 * Runner threads; straight-line and blocking, under the stream's deadline.
 *
 * A broken connection before the final answer to the message is a temporary
 * failure for all recipients that were not refused for good: only a 250 to
 * the message counts.
 */
#include "queue/client_parts.h"

#include <poll.h>

#include "base/clock.h"
#include "base/enc.h"

#define LINE_MOST 2048
#define REPLY_LINES 100

struct reply
client_lost(struct client *k, const char *when)
{
	const struct err *e = stream_error(&k->s);

	return reply_printf(k->a, 451, "4.4.2",
		"%s: connection lost while %s%s%s", k->t->host->name, when,
		e ? ": " : "", e ? e->text : "");
}

/* The next calls may wait as long as one answer may take, and not beyond the
 * end of the whole talk. */
void
client_limit(struct client *k)
{
	int64_t left = k->t->deadline - clock_mono();

	if (left > k->patience)
		left = k->patience;
	stream_limit(&k->s, left > 0 ? left : 0, 0);
}

/* One answer, all its lines. */
struct reply
client_hear(struct client *k, const char *when)
{
	struct reply r = {0};
	struct str line;
	int lines, more;

	client_limit(k);
	if (!stream_flush(&k->s))
		return client_lost(k, when);
	for (lines = 0; lines < REPLY_LINES; lines++) {
		enum stream_line got = stream_line(&k->s, LINE_MOST, &line);

		if (got == STREAM_LINE_FAILED)
			return client_lost(k, when);
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

struct reply
client_ask(struct client *k, const char *when, const char *command)
{
	stream_puts(&k->s, command);
	stream_write(&k->s, "\r\n", 2);
	return client_hear(k, when);
}

static const struct {
	const char *name;
	unsigned offer;
} extensions[] = {
	{"PIPELINING", OFFERS_PIPELINING}, {"SIZE", OFFERS_SIZE},
	{"8BITMIME", OFFERS_8BITMIME}, {"SMTPUTF8", OFFERS_SMTPUTF8},
	{"STARTTLS", OFFERS_STARTTLS}, {"CHUNKING", OFFERS_CHUNKING},
	{"BINARYMIME", OFFERS_BINARYMIME}, {"DSN", OFFERS_DSN},
	{"DELIVERBY", OFFERS_DELIVERBY}, {"MT-PRIORITY", OFFERS_PRIORITY},
	{"REQUIRETLS", OFFERS_REQUIRETLS},
};

static void
note_details(struct client *k, struct str name, struct str rest)
{
	static const char auth[] = "AUTH";
	struct str word;
	uint64_t n;

	while ((word = str_word(&rest)).len)
		if (str_iis(name, auth) && str_iis(word, "PLAIN"))
			k->auth_plain = true;
		else if (str_iis(name, "SIZE") && str_u64(word, INT64_MAX, &n))
			k->size_limit = n;
		else if (str_iis(name, "LIMITS") &&
			str_istarts(word, "RCPTMAX=") && str_u64(str_sub(word,
			8, word.len), INT64_MAX, &n))
			k->rcpt_limit = n;
}

static void
note_extension(struct client *k, struct str line)
{
	struct str word = str_word(&line);
	size_t i;

	for (i = 0; i < sizeof extensions / sizeof *extensions; i++)
		if (str_iis(word, extensions[i].name))
			k->offers |= extensions[i].offer;
	note_details(k, word, line);
}

/* EHLO, or HELO for a server that does not know it. */
static struct reply
greet(struct client *k)
{
	struct reply r;
	struct str rest;

	k->offers = 0;
	k->size_limit = k->rcpt_limit = 0;
	k->auth_plain = false;
	k->patience = k->t->timeout.helo;
	stream_printf(&k->s, "EHLO %s\r\n", k->t->hostname);
	r = client_hear(k, "greeting");
	if (r.code == 500 || r.code == 502) {
		stream_printf(&k->s, "HELO %s\r\n", k->t->hostname);
		return client_hear(k, "greeting");
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
	struct tls_want plain = {.name = k->t->host->name};
	const char *why = k->t->tls_why ? k->t->tls_why : "";
	struct err e = {0};
	struct reply r;

	if (k->t->tls == CLIENT_TLS_NONE)
		return true;
	if (!client_offers(k, OFFERS_STARTTLS)) {
		if (k->t->tls == CLIENT_TLS_MAY)
			return true;
		k->out->tls_fault = "starttls-not-supported";
		k->out->whole = reply_printf(k->a, 451, "4.7.10",
			"%s does not offer TLS, which is required%s",
			k->t->host->name, why);
		return false;
	}
	r = client_ask(k, "starting TLS", "STARTTLS");
	if (r.code != 220) {
		k->out->tls_failed = k->t->tls == CLIENT_TLS_MAY;
		k->out->tls_fault = "starttls-not-supported";
		k->out->whole = k->t->tls == CLIENT_TLS_MAY ? r :
			reply_printf(k->a, 451, "4.7.10", "%s cannot do TLS "
			"now, which is required%s: %d %.*s", k->t->host->name,
			why, r.code, STR_ARGS(r.text));
		return false;
	}
	stream_discard_input(&k->s);
	if (stream_tls_connect(&k->s, k->t->tls_ctx, k->t->want ? k->t->want :
		&plain, &e) < 0) {
		k->out->tls_failed = k->t->tls == CLIENT_TLS_MAY;
		k->out->tls_fault = stream_tls_fault(&k->s);
		if (!k->out->tls_fault)
			k->out->tls_fault = "validation-failure";
		k->out->whole = reply_printf(k->a, 451, "4.7.5",
			"TLS with %s%s: %s", k->t->host->name, why, e.text);
		return false;
	}
	k->secure = true;
	k->out->is_secure = true;
	k->out->tls_fault = k->fault = stream_tls_fault(&k->s);
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
	r = client_ask(k, "logging in", buf_c(&line));
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

/* Up to the point where a message may be sent. */
static bool
introduce(struct client *k)
{
	struct reply r;

	k->patience = k->t->timeout.greeting;
	r = client_hear(k, "waiting for the greeting");
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
	out->is_secure = k->secure;
	out->tls_fault = k->fault;
	client_send_message(k);
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

bool
client_is_verified(const struct client *k)
{
	return k->secure && !k->fault;
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
		client_ask(k, "saying good-bye", "QUIT");
		arena_free(&scratch);
	}
	free_client(k);
}
