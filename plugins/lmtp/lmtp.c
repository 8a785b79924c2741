/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * lmtp - hands mail to another program's LMTP socket (RFC 2033).
 *
 * One connection a delivery. Each recipient that was taken at RCPT gets its
 * own answer after the message, and that answer is its fate. Whatever breaks
 * before leaves the rest to the next attempt. Lines go out in CRLF with dots
 * stuffed, as they are in the queue.
 */
#include <mailroom/plugin.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MOST 1024
#define LINES_MOST 100
#define BLOCK 16384

struct config {
	const char *address;
	int64_t timeout, connect_timeout;
	char hostname[256];
};

#define AT(field) offsetof(struct config, field)

static const struct mr_setting settings[] = {
	{"address", MR_TEXT, MR_REQUIRED, AT(address), NULL, 0, 0, NULL,
		"Where the LMTP server listens: \"unix:/run/x/lmtp\", or "
		"\"host:port\"."},
	{"timeout", MR_DURATION, 0, AT(timeout), "\"5m\"", 100, 3600000, NULL,
		"Longest wait for one answer."},
	{"connect_timeout", MR_DURATION, 0, AT(connect_timeout), "\"10s\"",
		100, 600000, NULL, "Longest wait for the connection."},
	MR_SETTINGS_END,
};

struct answer {
	int code;
	char enhanced[12];
	char text[LINE_MOST];
};

struct talk {
	const struct config *config;
	struct mr_delivery *delivery;
	int fd;
	bool broken;
	const char *when;	/* what we are about, for the log */
	char in[4096];
	size_t at, end;
	char line[LINE_MOST];
	char out[BLOCK];
	size_t n_out;
	bool line_start;	/* of the message */
};

/* ------------------------------------------------------------- connecting */

static int
wait_for(const struct talk *k, short events, int64_t ms)
{
	struct pollfd p = {k->fd, events, 0};
	int64_t left = k->delivery->deadline(k->delivery);
	int n;

	if (left < ms)
		ms = left;
	do
		n = poll(&p, 1, (int)ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1 ? 0 : -1;
}

static int
connect_to(struct talk *k, const struct sockaddr *to, socklen_t len,
	int family)
{
	int why = 0;
	socklen_t size = sizeof why;

	k->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->fd < 0)
		return -1;
	if (connect(k->fd, to, len) == 0)
		return 0;
	if (errno == EINPROGRESS && wait_for(k, POLLOUT,
		k->config->connect_timeout) == 0 && getsockopt(k->fd,
		SOL_SOCKET, SO_ERROR, &why, &size) == 0 && why == 0)
		return 0;
	why = why ? why : errno;
	close(k->fd);
	k->fd = -1;
	errno = why;
	return -1;
}

static int
connect_unix(struct talk *k, const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, path, strlen(path) + 1);
	return connect_to(k, (struct sockaddr *)&to, sizeof to, AF_UNIX);
}

/* "host:port", "[2001:db8::1]:24": each of its addresses in turn. */
static int
connect_host(struct talk *k, const char *address)
{
	struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *all, *one;
	const char *colon = strrchr(address, ':');
	char host[256];
	int code = -1;

	snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
	if (*host == '[' && host[strlen(host) - 1] == ']') {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	if (getaddrinfo(host, colon + 1, &want, &all) != 0) {
		errno = EHOSTUNREACH;
		return -1;
	}
	for (one = all; one && code < 0; one = one->ai_next)
		code = connect_to(k, one->ai_addr, one->ai_addrlen,
			one->ai_family);
	freeaddrinfo(all);
	return code;
}

/* ------------------------------------------------------- lines and answers */

static void
flush(struct talk *k)
{
	size_t at = 0;
	ssize_t n;

	while (!k->broken && at < k->n_out) {
		n = send(k->fd, k->out + at, k->n_out - at, MSG_NOSIGNAL);
		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EINTR && (errno != EAGAIN ||
			wait_for(k, POLLOUT, k->config->timeout) < 0))
			k->broken = true;
	}
	k->n_out = 0;
}

static void
put(struct talk *k, const char *bytes, size_t len)
{
	while (len) {
		size_t room = sizeof k->out - k->n_out;
		size_t n = len < room ? len : room;

		memcpy(k->out + k->n_out, bytes, n);
		k->n_out += n;
		bytes += n;
		len -= n;
		if (k->n_out == sizeof k->out)
			flush(k);
	}
}

static void
say(struct talk *k, const char *head, const char *what, const char *tail)
{
	put(k, head, strlen(head));
	put(k, what, strlen(what));
	put(k, tail, strlen(tail));
	put(k, "\r\n", 2);
}

static int
next_byte(struct talk *k)
{
	ssize_t n;

	while (k->at == k->end) {
		n = recv(k->fd, k->in, sizeof k->in, 0);
		if (n > 0) {
			k->at = 0;
			k->end = (size_t)n;
			break;
		}
		if (n == 0)
			errno = ECONNRESET;
		if (n == 0 || (errno != EINTR && (errno != EAGAIN ||
			wait_for(k, POLLIN, k->config->timeout) < 0))) {
			k->broken = true;
			return -1;
		}
	}
	return (unsigned char)k->in[k->at++];
}

/* One line without its end; what is longer is cut. */
static bool
read_line(struct talk *k)
{
	size_t n = 0;
	int c;

	while ((c = next_byte(k)) >= 0 && c != '\n')
		if (n < sizeof k->line - 1)
			k->line[n++] = (char)c;
	while (n && k->line[n - 1] == '\r')
		n--;
	k->line[n] = '\0';
	return c == '\n';
}

/* "5.1.1 " at the head of text moves to `enhanced`. */
static const char *
take_enhanced(struct answer *a, const char *text)
{
	size_t n = strspn(text, "0123456789.");

	if (n < 5 || n >= sizeof a->enhanced || text[n] != ' ' ||
		text[0] != '0' + a->code / 100 || text[1] != '.')
		return text;
	memcpy(a->enhanced, text, n);
	a->enhanced[n] = '\0';
	return text + n + 1;
}

static bool
is_answer(const char *line)
{
	return line[0] >= '2' && line[0] <= '5' && strspn(line,
		"0123456789") == 3 && strchr(" -", line[3]);
}

/* The whole answer; its first line's text is kept. */
static struct answer
hear(struct talk *k)
{
	struct answer a = {0};
	int lines;

	flush(k);
	for (lines = 0; lines < LINES_MOST && !k->broken; lines++) {
		if (!read_line(k))
			break;
		if (!is_answer(k->line)) {
			errno = EPROTO;
			k->broken = true;
			break;
		}
		if (!a.code) {
			a.code = atoi(k->line);
			snprintf(a.text, sizeof a.text, "%s", k->line[3] ?
				take_enhanced(&a, k->line + 4) : "");
		}
		if (k->line[3] != '-')
			return a;
	}
	k->broken = true;
	snprintf(a.text, sizeof a.text, "%s while %s", strerror(errno),
		k->when);
	a.code = 451;
	snprintf(a.enhanced, sizeof a.enhanced, "4.4.2");
	return a;
}

static struct answer
ask(struct talk *k, const char *when, const char *head, const char *what,
	const char *tail)
{
	k->when = when;
	say(k, head, what, tail);
	return hear(k);
}

/* -------------------------------------------------------------- the talk */

static void
settle(struct talk *k, size_t i, const struct answer *a)
{
	k->delivery->result(k->delivery, i, a->code, a->enhanced, a->text);
}

static void
settle_all(struct talk *k, const struct answer *a)
{
	size_t i;

	for (i = 0; i < k->delivery->n_rcpt; i++)
		settle(k, i, a);
}

/* An answer that does not fit its question counts as "later". */
static bool
expects(struct answer *a, int code)
{
	if (a->code == code)
		return true;
	if (a->code < 400) {
		a->code = 451;
		snprintf(a->enhanced, sizeof a->enhanced, "4.5.0");
	}
	return false;
}

static void
send_block(struct talk *k, const char *at, size_t len)
{
	const char *end = at + len;

	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		const char *stop = lf ? lf + 1 : end;

		if (k->line_start && *at == '.')
			put(k, ".", 1);
		put(k, at, (size_t)(stop - at));
		k->line_start = lf != NULL;
		at = stop;
	}
}

static bool
send_message(struct talk *k)
{
	char *block = malloc(BLOCK);
	uint64_t at = 0;
	int64_t n = -1;

	k->line_start = true;
	while (block && !k->broken && (n = k->delivery->read(k->delivery, at,
		block, BLOCK)) > 0) {
		send_block(k, block, (size_t)n);
		at += (uint64_t)n;
	}
	free(block);
	if (n != 0 || k->broken)
		return false;
	put(k, k->line_start ? ".\r\n" : "\r\n.\r\n", k->line_start ? 3 : 5);
	return true;
}

/* Which recipients were taken; the others have their answer. */
static size_t
give_rcpts(struct talk *k, bool *taken)
{
	struct mr_delivery *d = k->delivery;
	size_t i, n = 0;

	for (i = 0; i < d->n_rcpt && !k->broken; i++) {
		struct answer a = ask(k, "giving a recipient", "RCPT TO:<",
			d->rcpt[i].address.at, ">");

		taken[i] = a.code == 250 || a.code == 251;
		n += taken[i];
		if (!taken[i]) {
			expects(&a, 250);
			settle(k, i, &a);
		}
	}
	return k->broken ? 0 : n;
}

static void
give_message(struct talk *k, const bool *taken)
{
	struct mr_delivery *d = k->delivery;
	struct answer a = ask(k, "starting the message", "DATA", "", "");
	bool go = expects(&a, 354);
	size_t i;

	if (go && !send_message(k)) {
		k->broken = true;	/* without the last dot */
		return;
	}
	k->when = "waiting for the answer to the message";
	for (i = 0; i < d->n_rcpt; i++) {
		if (!taken[i])
			continue;
		if (go) {
			a = hear(k);
			expects(&a, 250);
		}
		settle(k, i, &a);
	}
}

/* A server that will not begin says nothing of this message: even a 5xx is
 * tried again, so that a fault of its set-up returns no mail. */
static struct answer
greet(struct talk *k)
{
	struct answer a;

	k->when = "waiting for the greeting";
	a = hear(k);
	if (expects(&a, 220))
		a = ask(k, "greeting", "LHLO ", k->config->hostname, "");
	if (!expects(&a, 250) && a.code >= 500) {
		a.code = 451;
		snprintf(a.enhanced, sizeof a.enhanced, "4.3.5");
	}
	return a;
}

static void
talk(struct talk *k)
{
	bool *taken = calloc(k->delivery->n_rcpt, sizeof *taken);
	struct answer a = greet(k);

	if (a.code == 250)
		a = ask(k, "giving the sender", "MAIL FROM:<",
			k->delivery->sender, ">");
	if (!taken || !expects(&a, 250))
		settle_all(k, &a);
	else if (give_rcpts(k, taken))
		give_message(k, taken);
	if (!k->broken) {
		say(k, "QUIT", "", "");
		flush(k);
	}
	free(taken);
}

static void
on_deliver(void *self, struct mr_delivery *d)
{
	const struct config *c = self;
	struct talk *k = calloc(1, sizeof *k);
	struct answer a = {.code = 451, .enhanced = "4.4.1"};

	if (!k)
		return;
	k->config = c;
	k->delivery = d;
	if ((strncmp(c->address, "unix:", 5) ? connect_host(k, c->address) :
		connect_unix(k, c->address + 5)) < 0) {
		snprintf(a.text, sizeof a.text, "%s: %s", c->address,
			strerror(errno));
		settle_all(k, &a);
	} else {
		talk(k);
		close(k->fd);
	}
	free(k);
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;
	const char *colon = strrchr(c->address, ':');

	snprintf(c->hostname, sizeof c->hostname, "%s", open->hostname);
	if (colon && colon > c->address && colon[1])
		return 0;
	snprintf(open->error, open->error_size, "address `%s` is neither "
		"unix:/path nor host:port", c->address);
	return -1;
}

static const struct mr_transport transport = {
	.size = sizeof transport, .deliver = on_deliver,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "lmtp", .version = "1.0",
	.summary = "hands mail to an LMTP server",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .transport = &transport,
};
