/*
 * idle.c - holds many IMAP connections in IDLE and watches them wake.
 *
 * idle PORT CONNECTIONS USERS PASSWORD [tls]: connection n logs in as
 * uNNN@bench.test, selects INBOX, idles. When all do, prints "idle" and waits
 * for commands on standard input: "wake NNN" waits until all connections of
 * that user have been told of new mail and prints the milliseconds of each,
 * counted from the command; "end" closes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

struct link {
	int fd;
	SSL *tls;
};

static struct link *links;
static int n_links, users;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int
link_read(struct link *l, char *out, size_t size)
{
	return l->tls ? SSL_read(l->tls, out, (int)size) :
		(int)read(l->fd, out, size);
}

static bool
link_open(struct link *l, int port, SSL_CTX *tls)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	l->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&a, sizeof a))
		return false;
	if (!tls)
		return true;
	l->tls = SSL_new(tls);
	return SSL_set_fd(l->tls, l->fd) && SSL_connect(l->tls) == 1;
}

/* Sends (if anything) and reads until `want` is seen. */
static bool
ask(struct link *l, const char *text, const char *want)
{
	char in[8192];
	size_t have = 0;
	int n = (int)strlen(text);

	if (n && (l->tls ? SSL_write(l->tls, text, n) :
		(int)write(l->fd, text, (size_t)n)) != n)
		return false;
	for (;;) {
		n = link_read(l, in + have, sizeof in - 1 - have);
		if (n <= 0)
			return false;
		have += (size_t)n;
		in[have] = 0;
		if (strstr(in, want))
			return true;
		if (strstr(in, " NO ") || strstr(in, " BAD "))
			break;
	}
	fprintf(stderr, "idle: wanted %s, got %s\n", want, in);
	return false;
}

static bool
begin_idle(struct link *l, int number, int port, SSL_CTX *tls,
	const char *password)
{
	char login[256];

	snprintf(login, sizeof login, "a LOGIN u%03d@bench.test \"%s\"\r\n",
		number % users, password);
	return link_open(l, port, tls) && ask(l, "", "* OK") &&
		ask(l, login, "a OK") &&
		ask(l, "b SELECT INBOX\r\n", "b OK") &&
		ask(l, "c IDLE\r\n", "+ ");
}

/* All connections of the user, until each has something to read. */
static void
wait_woken(int user)
{
	double start = now_ms();
	char in[4096];

	for (int i = user; i < n_links; i += users) {
		struct pollfd p = {links[i].fd, POLLIN, 0};

		if (poll(&p, 1, 10000) != 1 ||
		    link_read(&links[i], in, sizeof in) <= 0) {
			printf("never\n");
			continue;
		}
		printf("%.2f\n", now_ms() - start);
	}
	printf("done\n");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	SSL_CTX *tls = NULL;
	char line[64];

	if (argc < 5) {
		fputs("usage: idle PORT CONNECTIONS USERS PASSWORD [tls]\n",
			stderr);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	n_links = (int)strtol(argv[2], NULL, 10);
	users = (int)strtol(argv[3], NULL, 10);
	links = calloc((size_t)n_links, sizeof *links);
	if (!links || users < 1)
		return 2;
	if (argc > 5) {
		tls = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS |
			SSL_MODE_AUTO_RETRY);
	}
	for (int i = 0; i < n_links; i++)
		if (!begin_idle(&links[i], i, (int)strtol(argv[1], NULL, 10),
			tls, argv[4])) {
			fprintf(stderr, "idle: connection %d: %s\n", i,
				strerror(errno));
			return 1;
		}
	puts("idle");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) && strncmp(line, "end", 3))
		wait_woken((int)strtol(line + 5, NULL, 10));
	return 0;
}
