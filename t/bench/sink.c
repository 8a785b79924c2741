/*
 * sink.c - an SMTP server that throws mail away, and counts.
 *
 * sink ADDRESS PORT: serves any number of sessions on one thread. On standard
 * input a line asks: the answer is "COUNT CONNECTIONS SECONDS", of which the
 * last is when the last message came, by the monotonic clock.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM 65536
#define EVENTS 256

struct session {
	int fd;
	bool in_data, began;	/* began: a line of the message was seen */
	size_t to;
	char in[ROOM];
};

static long count, connections;
static double last;
static int poll_fd;
static char out[ROOM];
static size_t out_len;

static void
say(const char *text)
{
	size_t n = strlen(text);

	if (out_len + n > sizeof out)
		return;
	memcpy(out + out_len, text, n);
	out_len += n;
}

static void
keep_message(struct session *s)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	last = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	count++;
	s->in_data = s->began = false;
	say("250 2.0.0 kept\r\n");
}

static bool
serve_line(struct session *s, const char *line)
{
	if (!strncasecmp(line, "EHLO", 4)) {
		say("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
			"250 ENHANCEDSTATUSCODES\r\n");
	} else if (!strncasecmp(line, "DATA", 4)) {
		say("354 go on\r\n");
		s->in_data = true;
	} else if (!strncasecmp(line, "QUIT", 4)) {
		say("221 2.0.0 bye\r\n");
		return false;
	} else {
		say("250 2.0.0 ok\r\n");
	}
	return true;
}

/* Bytes of the message that are in; 0: more is needed. */
static size_t
serve_data(struct session *s, char *at, size_t n)
{
	char *dot;

	if (!s->began && n >= 3 && !memcmp(at, ".\r\n", 3)) {
		keep_message(s);
		return 3;
	}
	dot = memmem(at, n, "\r\n.\r\n", 5);
	if (dot) {
		keep_message(s);
		return (size_t)(dot - at) + 5;
	}
	if (n <= 4)
		return 0;
	s->began = true;
	return n - 4;
}

static bool
serve_input(struct session *s)
{
	char *at = s->in, *end = s->in + s->to, *lf;
	bool goes_on = true;
	size_t n;

	while (at < end && goes_on) {
		if (s->in_data) {
			n = serve_data(s, at, (size_t)(end - at));
			if (n == 0)
				break;
			at += n;
			continue;
		}
		lf = memchr(at, '\n', (size_t)(end - at));
		if (!lf)
			break;
		goes_on = serve_line(s, at);
		at = lf + 1;
	}
	s->to = (size_t)(end - at);
	memmove(s->in, at, s->to);
	return goes_on;
}

static void
take_new(int listener)
{
	static const char greeting[] = "220 sink.test ESMTP\r\n";
	struct epoll_event e = {.events = EPOLLIN};
	struct session *s;
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		s = calloc(1, sizeof *s);
		if (!s)
			exit(1);
		s->fd = fd;
		e.data.ptr = s;
		connections++;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e);
		if (write(fd, greeting, sizeof greeting - 1) < 0)
			continue;	/* its end will be read */
	}
}

static void
serve(struct session *s)
{
	ssize_t n = read(s->fd, s->in + s->to, sizeof s->in - s->to);
	bool goes_on = n > 0;

	out_len = 0;
	if (goes_on) {
		s->to += (size_t)n;
		goes_on = serve_input(s);
	}
	if (out_len && write(s->fd, out, out_len) < 0)
		goes_on = false;
	if (goes_on)
		return;
	close(s->fd);
	free(s);
}

static void
answer(void)
{
	char line[64];

	if (read(0, line, sizeof line) <= 0)
		exit(0);
	printf("%ld %ld %.6f\n", count, connections, last);
	fflush(stdout);
}

static int
open_listener(const char *address, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	a.sin_port = htons((unsigned short)strtol(port, NULL, 10));
	inet_pton(AF_INET, address, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
		listen(fd, 4096) < 0) {
		perror("sink");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	static int input;	/* its address marks standard input */
	struct epoll_event e = {.events = EPOLLIN}, events[EVENTS];
	int listener, i, n;

	if (argc != 3) {
		fputs("usage: sink ADDRESS PORT\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	listener = open_listener(argv[1], argv[2]);
	poll_fd = epoll_create1(0);
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
	e.data.ptr = &input;
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &e);
	for (;;) {
		n = epoll_wait(poll_fd, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (!events[i].data.ptr)
				take_new(listener);
			else if (events[i].data.ptr == &input)
				answer();
			else
				serve(events[i].data.ptr);
	}
}
