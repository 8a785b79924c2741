/*
 * milter_link.c - connecting to a filter and agreeing with it; the gate.
 *
 * The gate is a circuit breaker: shut after breaker_failures in a row, for
 * breaker_pause. Then one session tries; if it gets through the others may
 * too, and the next failure shuts the gate again at once, until the filter
 * has decided about a message.
 */
#include "plug/milter_link.h"

#include <netdb.h>
#include <poll.h>

#include "base/clock.h"
#include "net/sock.h"
#include "plug/milter_macro.h"

#define PROGRESS_MOST 10	/* times the time-out, in all */
#define START_PAUSE 50		/* ms between tries at the start */

static const struct str none = {"", 0};

/* ------------------------------------------------------------------ gate */

void
milter_gate_init(struct milter_gate *g)
{
	pthread_condattr_t attr;

	*g = (struct milter_gate){.failures = 0};
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->freed, &attr);
	pthread_condattr_destroy(&attr);
}

static bool
wait_freed(struct milter_gate *g, int64_t end)
{
	struct timespec at = {end / 1000, end % 1000 * 1000000};

	return pthread_cond_timedwait(&g->freed, &g->lock, &at) == 0;
}

/* Under the lock. */
static int
take_place(struct milter_config *m, struct err *e)
{
	struct milter_gate *g = &m->gate;
	int64_t now = clock_mono(), end = now + m->connection_wait;

	if (g->shut_until && (g->is_trying || now < g->shut_until))
		return err_set(e, ERR_REFUSED, "not asked now: it failed %lld "
			"times in a row", (long long)g->failures);
	while (m->connections && g->in_use >= m->connections)
		if (!wait_freed(g, end) && g->in_use >= m->connections)
			return err_set(e, ERR_TIMEOUT, "all of its %lld "
				"connections are in use",
				(long long)m->connections);
	g->is_trying = g->shut_until != 0;
	g->in_use++;
	return 0;
}

static int
gate_enter(struct milter_config *m, struct err *e)
{
	int code;

	pthread_mutex_lock(&m->gate.lock);
	code = take_place(m, e);
	pthread_mutex_unlock(&m->gate.lock);
	return code;
}

static void
gate_leave(struct milter_gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->in_use--;
	pthread_cond_signal(&g->freed);
	pthread_mutex_unlock(&g->lock);
}

/* It has answered: whoever waited for that may go on. */
static void
gate_answered(struct milter_gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->shut_until = 0;
	g->is_trying = false;
	pthread_mutex_unlock(&g->lock);
}

bool
milter_gate_failed(struct milter_config *m)
{
	struct milter_gate *g = &m->gate;
	bool shuts;

	pthread_mutex_lock(&g->lock);
	g->failures++;
	g->is_trying = false;
	shuts = m->breaker_failures && g->failures >= m->breaker_failures;
	if (shuts)
		g->shut_until = clock_mono() + m->breaker_pause;
	pthread_mutex_unlock(&g->lock);
	return shuts;
}

void
milter_gate_well(struct milter_config *m)
{
	pthread_mutex_lock(&m->gate.lock);
	m->gate.failures = 0;
	pthread_mutex_unlock(&m->gate.lock);
}

/* ---------------------------------------------------------------- address */

struct place {
	char host[256], port[8];	/* of inet; host "": none */
	int family;
	struct str path;		/* of unix */
};

static int
wrong_socket(const char *text, struct err *e)
{
	return err_set(e, ERR_CONFIG, "`%s` is no \"unix:/path\", "
		"\"inet:host:port\", \"inet6:[address]:port\" or "
		"\"inet:port@host\"", text);
}

static int
split_inet(struct str s, struct place *out)
{
	struct str host, port;
	uint64_t n;

	if (str_has_byte(s, '@')) {
		port = str_cut(&s, '@');
		host = s;
	} else {
		size_t colon = str_rfind(s, ':');

		host = str_sub(s, 0, colon);
		port = str_sub(s, colon + 1, s.len);
	}
	if (host.len > 1 && host.at[0] == '[' && host.at[host.len - 1] == ']')
		host = str_sub(host, 1, host.len - 2);
	if (!host.len || host.len >= sizeof out->host ||
		!str_u64(port, 65535, &n) || !n)
		return -1;
	snprintf(out->host, sizeof out->host, "%.*s", STR_ARGS(host));
	snprintf(out->port, sizeof out->port, "%u", (unsigned)n);
	return 0;
}

/* As admins of Sendmail and Postfix write them, and "host:port". */
static int
parse_socket(const char *text, struct place *out, struct err *e)
{
	struct str s = str_from(text);

	*out = (struct place){.family = AF_UNSPEC};
	if (str_istarts(s, "unix:") || str_istarts(s, "local:")) {
		str_cut(&s, ':');
		out->path = s;
		return s.len && s.at[0] == '/' ? 0 : wrong_socket(text, e);
	}
	if (str_istarts(s, "inet6:"))
		out->family = AF_INET6;
	else if (str_istarts(s, "inet:"))
		out->family = AF_INET;
	if (out->family != AF_UNSPEC)
		str_cut(&s, ':');
	/* Written "inet:" by many who mean either. */
	if (str_find(s, ':') != str_rfind(s, ':'))
		out->family = AF_INET6;
	return split_inet(s, out) == 0 ? 0 : wrong_socket(text, e);
}

int
milter_link_check(const char *socket, struct err *e)
{
	struct place p;

	return parse_socket(socket, &p, e);
}

static int
connect_unix(const struct place *p, int64_t end, struct err *e)
{
	struct sock_addr to;
	char name[300];

	snprintf(name, sizeof name, "unix:%.*s", STR_ARGS(p->path));
	if (sock_parse(str_from(name), &to, e) < 0)
		return -1;
	return sock_connect(&to, NULL, end, e);
}

/* The names of /etc/hosts and of containers: asked for each time, since
 * they may move. */
static int
connect_inet(const struct place *p, int64_t end, struct err *e)
{
	struct addrinfo hints = {.ai_family = p->family,
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *all, *a;
	int fd = -1, code;

	code = getaddrinfo(p->host, p->port, &hints, &all);
	if (code)
		return err_set(e, ERR_SYS, "%s: %s", p->host,
			gai_strerror(code));
	for (a = all; a && fd < 0; a = a->ai_next) {
		struct sock_addr to = {.len = a->ai_addrlen};

		memcpy(&to.sa, a->ai_addr, a->ai_addrlen);
		fd = sock_connect(&to, NULL, end, e);
	}
	freeaddrinfo(all);
	return fd;
}

/* ------------------------------------------------------------- connecting */

int
milter_link_hear(struct milter_link *l, int64_t timeout, struct err *e)
{
	/* Progress restarts the clock, up to a ceiling, so that a filter
	 * cannot hold a client for ever. */
	int64_t end = clock_mono() + PROGRESS_MOST * timeout;
	int command;

	do {
		stream_limit(&l->stream, timeout, 0);
		command = milter_receive(&l->stream, &l->in, e);
		if (command == 'p' && clock_mono() > end)
			return err_set(e, ERR_TIMEOUT,
				"only progress, no answer");
	} while (command == 'p');
	return command;
}

int
milter_link_check_quiet(struct milter_link *l, struct err *e)
{
	struct pollfd p = {l->stream.fd, POLLIN, 0};
	int command;

	while (stream_pending(&l->stream, true) || poll(&p, 1, 0) > 0) {
		stream_limit(&l->stream, 1000, 0);
		command = milter_receive(&l->stream, &l->in, e);
		if (command < 0)
			return -1;
		if (command != 'p')
			return err_set(e, ERR_PROTOCOL, "an answer 0x%02x "
				"that was not asked for", (unsigned)command);
	}
	return 0;
}

static int
negotiate(struct milter_link *l, int64_t timeout, struct err *e)
{
	static const unsigned char offer[12] = {
		0, 0, 0, MILTER_VERSION,
		0, 0, MILTER_ACTIONS >> 8, MILTER_ACTIONS & 0xff,
		0, MILTER_STEPS >> 16 & 0xff, MILTER_STEPS >> 8 & 0xff,
		MILTER_STEPS & 0xff,
	};
	int command;

	milter_send(&l->stream, 'O', str_of(offer, sizeof offer), none, none);
	command = milter_link_hear(l, timeout, e);
	if (command < 0)
		return -1;
	if (command != 'O')
		return err_set(e, ERR_PROTOCOL,
			"does not answer as a milter (0x%02x)",
			(unsigned)command);
	return milter_parse_options(buf_str(&l->in), &l->options, e);
}

static void
drop(struct milter_link *l)
{
	stream_close(&l->stream);
	buf_free(&l->in);
	buf_free(&l->out);
	l->open = false;
}

int
milter_link_dial(const char *socket, int64_t timeout, struct err *e)
{
	int64_t end = clock_mono() + timeout;
	struct place p;

	if (parse_socket(socket, &p, e) < 0)
		return -1;
	return p.path.len ? connect_unix(&p, end, e) :
		connect_inet(&p, end, e);
}

/* Without the gate. -1: nothing is left open. */
static int
connect_and_agree(struct milter_link *l, const struct milter_config *m,
	struct err *e)
{
	int fd = milter_link_dial(m->socket, m->connect_timeout, e);

	if (fd < 0)
		return -1;
	stream_init(&l->stream, fd);
	buf_init(&l->in, MILTER_REPLY_MOST);
	buf_init(&l->out, MILTER_DATA_MOST);
	l->open = true;
	if (negotiate(l, m->negotiate_timeout, e) == 0)
		return 0;
	drop(l);
	return -1;
}

/* Of a stage: the filter's list or the usual one, and the admin's names.
 * Copied, because l->in is used again. */
static void
keep_names(struct milter_link *l, struct mr_call *c)
{
	const struct milter_config *m = c->config;
	struct str text;
	struct buf b;
	size_t i, k;
	char *kept;

	for (i = 0; i < MILTER_STAGES; i++) {
		struct str *names = &l->options.symbols[i];

		if (!names->at && !m->names[i].n)
			continue;
		buf_init(&b, MILTER_DATA_MOST);
		buf_addstr(&b, names->at ? *names :
			milter_usual((enum milter_stage)i));
		for (k = 0; k < m->names[i].n; k++)
			buf_addf(&b, " %s", m->names[i].item[k]);
		text = buf_str(&b);
		kept = c->host->session_alloc(c, text.len + 1);
		memcpy(kept, text.at, text.len);
		*names = str_of(kept, text.len);
		buf_free(&b);
	}
}

int
milter_link_open(struct milter_link *l, struct mr_call *c, struct err *e)
{
	struct milter_config *m = c->config;

	if (gate_enter(m, e) < 0)
		return -1;
	if (connect_and_agree(l, m, e) < 0) {
		gate_leave(&m->gate);
		milter_gate_failed(m);
		return -1;
	}
	gate_answered(&m->gate);
	keep_names(l, c);
	return 0;
}

void
milter_link_close(struct milter_link *l, struct milter_config *m)
{
	if (!l->open)
		return;
	drop(l);
	gate_leave(&m->gate);
}

/* --------------------------------------------------- started by ourselves */

void
milter_link_own_socket(struct buf *out, const char *data, const char *name,
	const struct mr_list *exec)
{
	uint32_t h = 0x811c9dc5u;	/* FNV-1a; with the NULs between */
	const char *p;
	size_t i;

	for (i = 0; i < exec->n; i++) {
		for (p = exec->item[i]; *p; p++)
			h = (h ^ (unsigned char)*p) * 0x01000193u;
		h *= 0x01000193u;
	}
	buf_addf(out, "%s/milters/%s.%08x.sock", data, name, h);
}

int
milter_link_await(const struct milter_config *m, struct err *e)
{
	int64_t end = clock_mono() + m->start_timeout;
	struct milter_link l = {.open = false};

	while (connect_and_agree(&l, m, e) < 0) {
		if (clock_mono() + START_PAUSE > end)
			return err_wrap(e, "it does not answer at %s",
				m->socket);
		poll(NULL, 0, START_PAUSE);
	}
	milter_send(&l.stream, 'Q', none, none, none);
	stream_flush(&l.stream);
	drop(&l);
	return 0;
}
