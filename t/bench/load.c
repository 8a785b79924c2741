/*
 * load.c - sends mail by SMTP as fast as it is taken, and counts.
 *
 * load PORT SESSIONS SECONDS SIZE USERS [GAP]: that many parallel sessions on
 * 127.0.0.1, each many messages long, envelope commands pipelined; message n
 * goes to one of uNNN@bench.test. With GAP a session begins a message at most
 * every so many ms, and the sessions begin spread over that time. Prints one
 * JSON object. Only the time up to the last acknowledged message counts.
 *
 * Environment: LOAD_FILE, a message with CR LF that is sent as it is in place
 * of made ones; LOAD_SENDER, its envelope sender; LOAD_XCLIENT, attributes of
 * an XCLIENT that comes first.
 *
 * One thread serves all sessions, so that the load costs the machine little:
 * a session is what it waits for, an answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_MAX 1024
#define LATENCIES_MAX 2000000

enum step { GREETING, XCLIENT, HELO, MAIL, RCPT, DATA, DOT };

struct link {
	int fd;
	enum step step;		/* what the next answer is to */
	long number;
	double start;
	struct link *next;	/* waits for its gap to end */
	size_t to;		/* bytes in `in` */
	char in[4096];
};

/* What the answer to each step begins with, and its name in a complaint. */
static const struct {
	const char *code, *name;
} answer[] = {
	[GREETING] = {"220", "the greeting"}, [XCLIENT] = {"220", "XCLIENT"},
	[HELO] = {"250", "EHLO"},
	[MAIL] = {"250", "MAIL"}, [RCPT] = {"250", "RCPT"},
	[DATA] = {"354", "DATA"}, [DOT] = {"250", "the final dot"},
};

static int port, users, poll_fd;
static double end, gap;
static char *body, *buffer;
static const char *sender = "load@elsewhere.test", *xclient;
static bool as_it_is;		/* the body is a whole message */
static size_t body_len;
static long sent, acked, refused;
static double last_ack;
static double *latency;
static const char *trouble = "";

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
link_open(struct link *l)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};
	int one = 1;

	*l = (struct link){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return connect(l->fd, (struct sockaddr *)&a, sizeof a) == 0 &&
		epoll_ctl(poll_fd, EPOLL_CTL_ADD, l->fd, &ev) == 0;
}

static bool
link_write(struct link *l, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(l->fd, data, len);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* false: the time is over. */
static bool
send_envelope(struct link *l)
{
	char envelope[512];
	int n;

	l->start = now();
	if (l->start >= end)
		return false;
	l->number = sent++;
	l->step = MAIL;
	n = snprintf(envelope, sizeof envelope,
		"MAIL FROM:<%s>\r\nRCPT TO:<u%03ld@bench.test>\r\n"
		"DATA\r\n", sender, l->number % users);
	return link_write(l, envelope, (size_t)n);
}

/* Header and body as one write; the header differs in each message. */
static bool
send_body(struct link *l)
{
	int head = as_it_is ? 0 : sprintf(buffer, "From: load@elsewhere.test\r\n"
		"To: u%03ld@bench.test\r\nSubject: message %ld\r\n"
		"Message-ID: <%ld.%d@elsewhere.test>\r\n"
		"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\n",
		l->number % users, l->number, l->number, (int)getpid());

	memcpy(buffer + head, body, body_len);
	return link_write(l, buffer, (size_t)head + body_len);
}

/* All gaps are of one length, so the first in line is due first. */
static struct link *waiting, **waiting_end = &waiting;

static bool
send_later(struct link *l)
{
	if (now() >= l->start + gap)
		return send_envelope(l);
	l->next = NULL;
	*waiting_end = l;
	waiting_end = &l->next;
	return true;
}

static void
count(const struct link *l)
{
	last_ack = now();
	if (acked < LATENCIES_MAX)
		latency[acked] = last_ack - l->start;
	acked++;
}

/* The last line of an answer has come. false: the session is over. */
static bool
take_answer(struct link *l, const char *line)
{
	if (strncmp(line, answer[l->step].code, 3)) {
		trouble = answer[l->step].name;
		refused++;
		return false;
	}
	switch (l->step) {
	case GREETING:
		l->step = xclient ? XCLIENT : HELO;
		if (xclient)
			return dprintf(l->fd, "XCLIENT %s\r\n", xclient) > 0;
		return link_write(l, "EHLO load.test\r\n", 16);
	case XCLIENT:
		l->step = HELO;
		return link_write(l, "EHLO load.test\r\n", 16);
	case MAIL:
	case RCPT:
		l->step++;
		return true;
	case DATA:
		l->step = DOT;
		return send_body(l);
	case DOT:
		count(l);
		return send_later(l);
	default:
		return send_envelope(l);
	}
}

/* What can be read now. false: the session is over. */
static bool
link_serve(struct link *l)
{
	char *at = l->in, *lf;
	ssize_t n = read(l->fd, l->in + l->to, sizeof l->in - l->to);

	if (n <= 0) {
		trouble = "the connection";
		refused++;
		return false;
	}
	l->to += (size_t)n;
	while ((lf = memchr(at, '\n', l->to - (size_t)(at - l->in)))) {
		if (lf - at >= 4 && at[3] != '-' && !take_answer(l, at))
			return false;
		at = lf + 1;
	}
	l->to -= (size_t)(at - l->in);
	memmove(l->in, at, l->to);
	return true;
}

static struct link sessions[SESSIONS_MAX];

/* What is left of a time, for epoll_wait. */
static int
ms_until(double due)
{
	double left = due - now();

	return left <= 0 ? 0 : (int)(left * 1e3) + 1;
}

/* Sessions whose time to begin has come. ms until the next, -1: no more. */
static int
open_due(int total, double start)
{
	static int opened;
	int left;

	for (; opened < total; opened++) {
		left = ms_until(start + gap * opened / total);
		if (left)
			return left;
		if (link_open(&sessions[opened]))
			continue;
		fputs("load: cannot connect\n", stderr);
		exit(1);
	}
	return -1;
}

/* The same for messages after a gap; *over counts sessions that end. */
static int
send_due(int *over)
{
	struct link *l;
	int left;

	while ((l = waiting)) {
		left = ms_until(l->start + gap);
		if (left)
			return left;
		waiting = l->next;
		if (!waiting)
			waiting_end = &waiting;
		if (!send_envelope(l)) {
			close(l->fd);
			++*over;
		}
	}
	return -1;
}

static int
sooner(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void
serve_all(int total, double start)
{
	struct epoll_event ev[64];
	int n, i, over = 0, wait;

	while (over < total) {
		wait = sooner(open_due(total, start), send_due(&over));
		if (over == total)
			return;
		n = epoll_wait(poll_fd, ev, 64, wait < 0 ? 60000 : wait);
		if (n <= 0 && wait < 0) {
			trouble = "a minute's silence";
			return;
		}
		for (i = 0; i < n; i++) {
			struct link *l = ev[i].data.ptr;

			if (link_serve(l))
				continue;
			close(l->fd);
			over++;
		}
	}
}

/* A message without lines that begin with a dot. */
static void
read_body(const char *path)
{
	FILE *f = fopen(path, "rb");
	long len;

	if (!f || fseek(f, 0, SEEK_END) || (len = ftell(f)) < 0)
		exit(1);
	rewind(f);
	body = malloc((size_t)len + 8);
	buffer = malloc((size_t)len + 8);
	if (!body || !buffer)
		exit(1);
	body_len = fread(body, 1, (size_t)len, f);
	fclose(f);
	memcpy(body + body_len, ".\r\n", 3);
	body_len += 3;
	as_it_is = true;
}

/* Lines of words up to the size, and the final dot. */
static void
make_body(size_t size)
{
	static const char line[] = "The quick brown fox jumps over the lazy "
		"dog while the band plays on.\r\n";

	body = malloc(size + 128);
	buffer = malloc(size + 1024);
	if (!body || !buffer)
		exit(1);
	size = size > 300 ? size - 250 : 50;
	while (body_len < size) {
		memcpy(body + body_len, line, sizeof line - 1);
		body_len += sizeof line - 1;
	}
	memcpy(body + body_len, ".\r\n", 3);
	body_len += 3;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_result(double start)
{
	long n = acked < LATENCIES_MAX ? acked : LATENCIES_MAX;
	double took = last_ack - start;
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	qsort(latency, (size_t)n, sizeof *latency, compare);
	printf("{\"acked\": %ld, \"failed_sessions\": %ld, \"rate\": %.1f, "
		"\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"client_cpu_s\": %.3f, "
		"\"trouble\": \"%s\"}\n", acked, refused,
		took > 0 ? (double)acked / took : 0,
		n ? latency[n / 2] * 1e3 : 0, n ? latency[n * 99 / 100] * 1e3 : 0,
		(double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9,
		trouble);
}

int
main(int argc, char **argv)
{
	double start;
	int total;

	if (argc != 6 && argc != 7) {
		fputs("usage: load PORT SESSIONS SECONDS SIZE USERS [GAP]\n",
			stderr);
		return 2;
	}
	port = (int)strtol(argv[1], NULL, 10);
	total = (int)strtol(argv[2], NULL, 10);
	users = (int)strtol(argv[5], NULL, 10);
	if (total < 1 || total > SESSIONS_MAX || users < 1)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	sender = getenv("LOAD_SENDER") ? getenv("LOAD_SENDER") : sender;
	xclient = getenv("LOAD_XCLIENT");
	if (getenv("LOAD_FILE"))
		read_body(getenv("LOAD_FILE"));
	else
		make_body((size_t)strtol(argv[4], NULL, 10));
	latency = calloc(LATENCIES_MAX, sizeof *latency);
	poll_fd = epoll_create1(0);
	gap = argc == 7 ? strtod(argv[6], NULL) / 1e3 : 0;
	start = now();
	end = start + strtod(argv[3], NULL);
	serve_all(total, start);
	print_result(start);
	return 0;
}
