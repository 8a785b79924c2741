/*
 * imap.c - an IMAP and POP3 client that only measures: it sends commands,
 * swallows what comes back, and says how long that took.
 *
 * imap PORT USER PASSWORD fill MAILBOX FIRST COUNT CONNECTIONS
 *		BATCH
 *	appends messages FIRST.. of generated mail (message N is the same
 *	bytes whenever it is made), dated from 2020 on, one every hour; BATCH
 *	in each command.
 * imap PORT USER PASSWORD time MAILBOX CONNECTIONS RANGE COMMAND...
 *	Each connection selects MAILBOX ("" selects nothing), all then send
 *	the same command at once; prints a line for each command:
 *	milliseconds until the last connection has its answer, and bytes that
 *	came. "%a" and "%b" stand for the ends of a range of so many UIDs,
 *	another one for each connection, "%d" for its number.
 * imap PORT USER PASSWORD append MAILBOX CONNECTIONS SECONDS
 * imap PORT USER PASSWORD login CONNECTIONS SECONDS
 *	print how many a second were done.
 * imap PORT USER PASSWORD pop3 COUNT
 *	RETR of the first COUNT messages, pipelined by 50; prints milliseconds
 *	and bytes.
 * In USER and MAILBOX a "%d" becomes the connection's number.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 600		/* seconds for one answer */

struct link {
	int fd;
	size_t at, have;	/* in buf */
	uint64_t total;
	char buf[65536];
};

static int port;
static const char *user, *password;
static atomic_llong done;

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
give_up(const char *what, const char *line)
{
	fprintf(stderr, "%s: %s\n", what, line);
	exit(1);
}

/* ------------------------------------------------------------- one link */

static void
fill_buffer(struct link *l)
{
	ssize_t n;

	if (l->at < l->have)
		return;
	n = read(l->fd, l->buf, sizeof l->buf);
	if (n <= 0)
		give_up("the connection ended", user);
	l->at = 0;
	l->have = (size_t)n;
	l->total += (uint64_t)n;
}

static void
skip(struct link *l, uint64_t n)
{
	while (n > 0) {
		size_t part;

		fill_buffer(l);
		part = l->have - l->at < n ? l->have - l->at : (size_t)n;
		l->at += part;
		n -= part;
	}
}

/* The line's last `size` - 1 bytes without CR LF, and in *head its first
 * ones; a long line is not kept whole. */
static size_t
line(struct link *l, char *head, size_t size, char *tail, size_t tail_size)
{
	size_t length = 0, kept = 0;

	for (;;) {
		char *from, *end;
		size_t n, i;

		fill_buffer(l);
		from = l->buf + l->at;
		end = memchr(from, '\n', l->have - l->at);
		n = end ? (size_t)(end - from) : l->have - l->at;
		for (i = 0; i < n && length + i < size - 1; i++)
			head[length + i] = from[i];
		length += n;
		if (n >= tail_size) {
			memcpy(tail, from + n - tail_size + 1, tail_size - 1);
			kept = tail_size - 1;
		} else {
			size_t old = kept + n < tail_size ? kept :
				tail_size - 1 - n;

			memmove(tail, tail + kept - old, old);
			memcpy(tail + old, from, n);
			kept = old + n;
		}
		l->at += n + (end != NULL);
		if (end)
			break;
	}
	head[length < size - 1 ? length : size - 1] = '\0';
	tail[kept] = '\0';
	if (kept && tail[kept - 1] == '\r')
		tail[kept - 1] = '\0';
	return length;
}

/* Reads up to the line that begins so; literals are passed over. */
static void
await(struct link *l, const char *tag)
{
	char head[256], tail[32], *brace;
	bool fresh = true;

	for (;;) {
		line(l, head, sizeof head, tail, sizeof tail);
		if (fresh && strncmp(head, tag, strlen(tag)) == 0) {
			if (strncmp(head + strlen(tag), " NO", 3) == 0 ||
				strncmp(head + strlen(tag), " BAD", 4) == 0)
				give_up("refused", head);
			return;
		}
		brace = strrchr(tail, '{');
		fresh = !brace || tail[strlen(tail) - 1] != '}';
		if (!fresh)
			skip(l, strtoull(brace + 1, NULL, 10));
	}
}

static void
say(struct link *l, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t w = write(l->fd, bytes, n);

		if (w <= 0)
			give_up("the connection ended", user);
		bytes += w;
		n -= (size_t)w;
	}
}

__attribute__((format(printf, 2, 3))) static void
sayf(struct link *l, const char *format, ...)
{
	char text[2048];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	say(l, text, (size_t)n);
}

static struct link *
link_open(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = PATIENCE};
	struct link *l = calloc(1, sizeof *l);
	int on = 1;

	l->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(l->fd, (struct sockaddr *)&a, sizeof a) != 0)
		give_up("no connection", user);
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return l;
}

static void
link_close(struct link *l)
{
	close(l->fd);
	free(l);
}

static const char *
numbered(const char *name, int number, char *out, size_t size)
{
	const char *mark = strstr(name, "%d");

	if (!mark)
		return name;
	snprintf(out, size, "%.*s%d%s", (int)(mark - name), name, number,
		mark + 2);
	return out;
}

static struct link *
imap_open(int number, const char *mailbox)
{
	struct link *l = link_open();
	char name[128];

	await(l, "* OK");
	sayf(l, "a LOGIN \"%s\" \"%s\"\r\n",
		numbered(user, number, name, sizeof name), password);
	await(l, "a");
	if (*mailbox) {
		sayf(l, "b SELECT \"%s\"\r\n",
			numbered(mailbox, number, name, sizeof name));
		await(l, "b");
	}
	return l;
}

/* -------------------------------------------------------- generated mail */

static const char *const words[] = {
	"the", "of", "and", "to", "in", "is", "that", "it", "for", "was",
	"with", "as", "his", "on", "be", "at", "by", "had", "not", "are",
	"meeting", "invoice", "harbour", "letter", "garden", "winter",
	"question", "server", "travel", "number", "question", "morning",
	"paper", "money", "children", "kitchen", "summer", "report", "budget",
	"schedule", "holiday", "window", "bicycle", "library", "contract",
	"answer", "project", "station", "weather", "evening", "ticket",
	"account", "delivery", "address", "picture", "teacher", "concert",
};
#define N_WORDS (sizeof words / sizeof *words)

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

struct mail {
	size_t length;
	char text[32768];
};

__attribute__((format(printf, 2, 3))) static void
put(struct mail *m, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	m->length += (size_t)vsnprintf(m->text + m->length,
		sizeof m->text - m->length, format, ap);
	va_end(ap);
}

static void
put_text(struct mail *m, uint32_t *seed, unsigned n)
{
	for (unsigned i = 1; i <= n; i++)
		put(m, "%s%s", words[next_random(seed) % N_WORDS],
			i % 11 == 0 ? "\r\n" : " ");
	put(m, "\r\n");
}

static void
date_of(uint32_t number, const char *format, char *out, size_t size)
{
	time_t at = 1577836800 + (time_t)number * 3600;
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(out, size, format, &tm);
}

static void
put_headers(struct mail *m, uint32_t number, uint32_t *seed)
{
	char date[64];

	date_of(number, "%a, %d %b %Y %H:%M:%S +0000", date, sizeof date);
	for (int hop = 0; hop < 3; hop++)
		put(m, "Received: from relay%d.example.org (relay%d.example."
			"org [192.0.2.%d])\r\n\tby mx%d.example.net with "
			"ESMTPS id %08x%u\r\n\tfor <u@bench.test>; %s\r\n",
			hop, hop, hop + 1, hop, next_random(seed), number,
			date);
	put(m, "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=k1;\r\n"
		"\th=from:to:subject:date:message-id; bh=");
	for (int i = 0; i < 8; i++)
		put(m, "%06x", next_random(seed));
	put(m, "=;\r\n\tb=");
	for (int i = 0; i < 48; i++)
		put(m, "%06x%s", next_random(seed), i % 10 == 9 ? "\r\n\t" :
			"");
	put(m, "\r\nDate: %s\r\nFrom: \"Sender %u\" <sender%u@example.org>\r\n"
		"To: U <u@bench.test>\r\nCc: team%u@example.net\r\n"
		"Message-ID: <%u.%06x@example.org>\r\n", date, number % 977,
		number % 977, number % 13, number, next_random(seed));
	if (number % 4)
		put(m, "In-Reply-To: <%u.x@example.org>\r\nReferences: "
			"<%u.x@example.org>\r\n", number / 4, number / 4);
	put(m, "Subject: %s%s %s %u\r\nMIME-Version: 1.0\r\n",
		number % 4 ? "Re: " : "", words[number % N_WORDS],
		words[number / 7 % N_WORDS], number);
}

static void
make(struct mail *m, uint32_t number)
{
	uint32_t seed = number * 2654435761u + 1;
	unsigned size = 100 + next_random(&seed) % 500;

	m->length = 0;
	put_headers(m, number, &seed);
	if (number % 3) {
		put(m, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		put_text(m, &seed, size);
	} else {
		put(m, "Content-Type: multipart/alternative; boundary=b%u\r\n"
			"\r\n--b%u\r\nContent-Type: text/plain; "
			"charset=utf-8\r\n\r\n", number, number);
		put_text(m, &seed, size);
		put(m, "--b%u\r\nContent-Type: text/html; charset=utf-8\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
			"<html><body><p>", number);
		put_text(m, &seed, size);
		put(m, "</p></body></html>\r\n--b%u--\r\n", number);
	}
	if (number % 1000 == 7)
		put(m, "\r\nThe rare word is quetzalcoatl.\r\n");
}

/* --------------------------------------------------------------- threads */

struct job {
	void (*run)(struct job *j);
	int number;
	const char *mailbox;
	uint32_t first, count, batch;
	double until;
	int n_command;
	char **command;
};

static pthread_barrier_t barrier;
static int connections, range;
static atomic_llong bytes;

static void *
job_main(void *arg)
{
	struct job *j = arg;

	j->run(j);
	return NULL;
}

static void
run_all(const struct job *model)
{
	pthread_t thread[1024];
	struct job job[1024];

	for (int i = 0; i < connections; i++) {
		job[i] = *model;
		job[i].number = i;
		pthread_create(&thread[i], NULL, job_main, &job[i]);
	}
	for (int i = 0; i < connections; i++)
		pthread_join(thread[i], NULL);
}

/* Message n as an argument of APPEND. */
static void
say_mail(struct link *l, struct mail *m, uint32_t n)
{
	char date[64];

	make(m, n);
	date_of(n, "%d-%b-%Y %H:%M:%S +0000", date, sizeof date);
	sayf(l, " (%s%s) \"%s\" {%zu+}\r\n", n % 3 ? "\\Seen " : "",
		n % 50 ? "$Label1" : "\\Flagged", date, m->length);
	say(l, m->text, m->length);
}

static void
append(struct link *l, struct mail *m, const char *mailbox, uint32_t n,
	uint32_t count)
{
	sayf(l, "c APPEND \"%s\"", mailbox);
	for (uint32_t i = 0; i < count; i++)
		say_mail(l, m, n + i);
	say(l, "\r\n", 2);
	await(l, "c");
}

static void
run_fill(struct job *j)
{
	struct link *l = imap_open(j->number, "");
	struct mail *m = malloc(sizeof *m);

	for (;;) {
		uint32_t n = (uint32_t)atomic_fetch_add(&done, j->batch);

		if (n >= j->count)
			break;
		append(l, m, j->mailbox, j->first + n, j->count - n <
			j->batch ? j->count - n : j->batch);
	}
	free(m);
	link_close(l);
}

static void
run_append(struct job *j)
{
	struct link *l = imap_open(j->number, "");
	struct mail *m = malloc(sizeof *m);
	uint32_t n = (uint32_t)j->number * 100000;

	while (now_s() < j->until) {
		append(l, m, j->mailbox, n++, 1);
		atomic_fetch_add(&done, 1);
	}
	free(m);
	link_close(l);
}

static void
run_login(struct job *j)
{
	while (now_s() < j->until) {
		struct link *l = imap_open(j->number, "");

		sayf(l, "z LOGOUT\r\n");
		await(l, "z");
		link_close(l);
		atomic_fetch_add(&done, 1);
	}
}

/* The command with its range of UIDs. */
static void
expand(const char *command, int number, char *out, size_t size)
{
	size_t n = 0;

	for (; *command && n + 16 < size; command++)
		if (command[0] == '%' && strchr("abd", command[1])) {
			n += (size_t)snprintf(out + n, size - n, "%d",
				command[1] == 'd' ? number : command[1] ==
				'a' ? number * range + 1 :
				number * range + range);
			command++;
		} else {
			out[n++] = *command;
		}
	out[n] = '\0';
}

static void
run_time(struct job *j)
{
	struct link *l = imap_open(j->number, j->mailbox);

	for (int i = 0; i < j->n_command; i++) {
		char text[1024];
		uint64_t before = l->total;
		double start;

		expand(j->command[i], j->number, text,
			sizeof text);
		pthread_barrier_wait(&barrier);
		start = now_s();
		sayf(l, "t%d %s\r\n", i, text);
		snprintf(text, sizeof text, "t%d", i);
		await(l, text);
		atomic_fetch_add(&bytes, (long long)(l->total - before));
		pthread_barrier_wait(&barrier);
		if (j->number == 0) {
			printf("%.3f %lld\n", (now_s() - start) * 1e3,
				atomic_exchange(&bytes, 0));
			fflush(stdout);
		}
	}
	link_close(l);
}

/* ------------------------------------------------------------------ POP3 */

static void
pop3_body(struct link *l)
{
	char head[8], tail[8];

	line(l, head, sizeof head, tail, sizeof tail);
	if (head[0] != '+')
		give_up("refused", head);
	do
		line(l, head, sizeof head, tail, sizeof tail);
	while (strcmp(head, ".\r") != 0);
}

static void
pop3(int count)
{
	struct link *l = link_open();
	char head[64], tail[8];
	double start;
	int asked = 0;

	line(l, head, sizeof head, tail, sizeof tail);
	sayf(l, "USER %s\r\n", user);
	line(l, head, sizeof head, tail, sizeof tail);
	sayf(l, "PASS %s\r\n", password);
	line(l, head, sizeof head, tail, sizeof tail);
	if (head[0] != '+')
		give_up("login", head);
	start = now_s();
	for (int got = 0; got < count; got++) {
		if (asked == got)
			for (; asked < count && asked < got + 50; asked++)
				sayf(l, "RETR %d\r\n", asked + 1);
		pop3_body(l);
	}
	printf("%.3f %llu\n", (now_s() - start) * 1e3,
		(unsigned long long)l->total);
	sayf(l, "QUIT\r\n");
	line(l, head, sizeof head, tail, sizeof tail);
	link_close(l);
}

int
main(int n, char **v)
{
	struct job j = {0};
	const char *mode = n > 5 ? v[4] : "";
	double seconds;

	if (n < 6)
		give_up("usage", "see the head of imap.c");
	port = atoi(v[1]);
	user = v[2];
	password = v[3];
	if (strcmp(mode, "pop3") == 0) {
		pop3(atoi(v[5]));
	} else if (strcmp(mode, "fill") == 0 && n == 10) {
		connections = atoi(v[8]);
		j = (struct job){.run = run_fill, .mailbox = v[5],
			.first = (uint32_t)atoi(v[6]),
			.count = (uint32_t)atoi(v[7]),
			.batch = (uint32_t)atoi(v[9])};
		run_all(&j);
	} else if (strcmp(mode, "time") == 0 && n > 8) {
		connections = atoi(v[6]);
		pthread_barrier_init(&barrier, NULL, (unsigned)connections);
		j = (struct job){.run = run_time, .mailbox = v[5],
			.n_command = n - 8, .command = v + 8};
		range = atoi(v[7]);
		run_all(&j);
	} else if ((strcmp(mode, "append") == 0 && n == 8) ||
		(strcmp(mode, "login") == 0 && n == 7)) {
		bool append = *mode == 'a';

		connections = atoi(v[append ? 6 : 5]);
		seconds = atof(v[append ? 7 : 6]);
		j = (struct job){.run = append ? run_append : run_login,
			.mailbox = v[5], .until = now_s() + seconds};
		run_all(&j);
		printf("%.1f\n", (double)done / seconds);
	} else {
		give_up("usage", "see the head of imap.c");
	}
	return 0;
}
