/*
 * load.c - sends mail by SMTP as fast as it is taken, and counts.
 *
 * load PORT SESSIONS SECONDS SIZE USERS: that many parallel sessions on
 * 127.0.0.1, each many messages long, envelope commands pipelined; message n
 * goes to one of uNNN@bench.test. Prints one JSON object. Only the time up
 * to the last acknowledged message counts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_MAX 1024
#define LATENCIES_MAX 2000000

struct link {
	int fd;
	size_t from, to;	/* unread part of in */
	char in[8192];
};

static int port, users;
static double end;
static char *body;
static size_t body_len;
static atomic_long sent, acked, refused;
static _Atomic double last_ack;
static double *latency;
static _Atomic(const char *) trouble;

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
	struct timeval patience = {60, 0};
	int one = 1;

	*l = (struct link){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return connect(l->fd, (struct sockaddr *)&a, sizeof a) == 0;
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

/* One line, without its end; NULL when the other side is gone. */
static char *
link_line(struct link *l)
{
	for (;;) {
		char *start = l->in + l->from;
		char *lf = memchr(start, '\n', l->to - l->from);
		ssize_t n;

		if (lf) {
			l->from = (size_t)(lf - l->in) + 1;
			*lf = 0;
			return start;
		}
		memmove(l->in, start, l->to - l->from);
		l->to -= l->from;
		l->from = 0;
		n = read(l->fd, l->in + l->to, sizeof l->in - l->to);
		if (n <= 0)
			return NULL;
		l->to += (size_t)n;
	}
}

/* The code of a whole reply; 0 when there is none. */
static int
link_reply(struct link *l)
{
	char *line;

	while ((line = link_line(l)))
		if (strlen(line) < 4 || line[3] != '-')
			return (int)strtol(line, NULL, 10);
	return 0;
}

static bool
expect(struct link *l, int code, const char *what)
{
	if (link_reply(l) == code)
		return true;
	trouble = what;
	return false;
}

/* Header and body as one write; the header differs in each message. */
static bool
send_message(struct link *l, long number, char *buffer)
{
	char envelope[256];
	double start = now();
	int head, n;

	n = snprintf(envelope, sizeof envelope,
		"MAIL FROM:<load@elsewhere.test>\r\n"
		"RCPT TO:<u%03ld@bench.test>\r\nDATA\r\n", number % users);
	if (!link_write(l, envelope, (size_t)n) ||
	    !expect(l, 250, "MAIL") || !expect(l, 250, "RCPT") ||
	    !expect(l, 354, "DATA"))
		return false;
	head = sprintf(buffer, "From: load@elsewhere.test\r\n"
		"To: u%03ld@bench.test\r\nSubject: message %ld\r\n"
		"Message-ID: <%ld.%d@elsewhere.test>\r\n"
		"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\n",
		number % users, number, number, (int)getpid());
	memcpy(buffer + head, body, body_len);
	if (!link_write(l, buffer, (size_t)head + body_len) ||
	    !expect(l, 250, "the final dot"))
		return false;
	last_ack = now();
	n = (int)atomic_fetch_add(&acked, 1);
	if (n < LATENCIES_MAX)
		latency[n] = now() - start;
	return true;
}

static void *
session(void *unused)
{
	char *buffer = malloc(body_len + 1024);
	struct link *l = malloc(sizeof *l);
	bool fine = l && buffer && link_open(l) &&
		expect(l, 220, "the greeting") &&
		link_write(l, "EHLO load.test\r\n", 16) &&
		expect(l, 250, "EHLO");

	(void)unused;
	while (fine && now() < end)
		fine = send_message(l, atomic_fetch_add(&sent, 1), buffer);
	if (!fine)
		refused++;
	else
		link_write(l, "QUIT\r\n", 6);
	if (l)
		close(l->fd);
	free(l);
	free(buffer);
	return NULL;
}

/* Lines of words up to the size, and the final dot. */
static void
make_body(size_t size)
{
	static const char line[] = "The quick brown fox jumps over the lazy "
		"dog while the band plays on.\r\n";

	body = malloc(size + 128);
	if (!body)
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
		"\"trouble\": \"%s\"}\n", (long)acked, (long)refused,
		took > 0 ? (double)acked / took : 0,
		n ? latency[n / 2] * 1e3 : 0, n ? latency[n * 99 / 100] * 1e3 : 0,
		(double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9,
		trouble ? trouble : "");
}

int
main(int argc, char **argv)
{
	pthread_t thread[SESSIONS_MAX];
	pthread_attr_t attr;
	double start;
	int sessions;

	if (argc != 6) {
		fputs("usage: load PORT SESSIONS SECONDS SIZE USERS\n", stderr);
		return 2;
	}
	port = (int)strtol(argv[1], NULL, 10);
	sessions = (int)strtol(argv[2], NULL, 10);
	users = (int)strtol(argv[5], NULL, 10);
	if (sessions < 1 || sessions > SESSIONS_MAX || users < 1)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	make_body((size_t)strtol(argv[4], NULL, 10));
	latency = calloc(LATENCIES_MAX, sizeof *latency);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	start = now();
	end = start + strtod(argv[3], NULL);
	for (int i = 0; i < sessions; i++)
		pthread_create(&thread[i], &attr, session, NULL);
	for (int i = 0; i < sessions; i++)
		pthread_join(thread[i], NULL);
	print_result(start);
	return 0;
}
