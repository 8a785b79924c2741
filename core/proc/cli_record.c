/*
 * cli_record.c - mailroom milter record and replay: what a filter was told
 * and what it said, in lines that can be read, kept, and played to a filter
 * again.
 */
#include "proc/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "net/sock.h"
#include "plug/milter_link.h"
#include "proc/cli_dry.h"
#include "proc/milter_proxy.h"
#include "proc/milter_replay.h"

#define TRANSCRIPT_MOST (256u << 20)

/* ------------------------------------------------------------ one message */

struct recording {
	int listener;
	const char *filter;
	FILE *to;
	struct err why;
	bool failed;
};

static void *
record_one(void *arg)
{
	struct recording *r = arg;
	struct sock_addr peer;
	int fd = -1;

	if (poll(&(struct pollfd){r->listener, POLLIN, 0}, 1, 60000) == 1)
		fd = sock_accept(r->listener, &peer, &r->why);
	r->failed = fd < 0 || milter_proxy_run(fd, r->filter, r->to,
		&r->why) < 0;
	return NULL;
}

static void
write_head(FILE *to, const char *filter)
{
	char when[40];
	time_t now = time(NULL);
	struct tm t;

	gmtime_r(&now, &t);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &t);
	fprintf(to, "# milter transcript 1, %s, filter %s\n", when, filter);
}

static int
record_message(struct cli *c, struct recording *r, int argc, char **argv)
{
	char folder[] = "/tmp/mailroom-record.XXXXXX", path[64];
	struct err e = {0};
	pthread_t thread;
	int code;

	if (!mkdtemp(folder))
		return err_sys(&e, "%s", folder), cli_fail("record", &e);
	snprintf(path, sizeof path, "%s/s", folder);
	r->listener = milter_proxy_listen(path, &e);
	if (r->listener < 0) {
		rmdir(folder);
		return cli_fail("record", &e);
	}
	write_head(r->to, r->filter);
	pthread_create(&thread, NULL, record_one, r);
	code = cli_dry_milter(c, argc, argv, path, folder);
	/* If no session came the thread still waits for one. */
	shutdown(r->listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(r->listener);
	unlink(path);
	rmdir(folder);
	if (code != 2 && r->failed)
		return cli_fail(r->filter, &r->why);
	return code == 2 ? 2 : 0;
}

/* ------------------------------------------------------------ live traffic */

struct live {
	const char *filter, *folder;
	int fd;
	unsigned number;
};

static void *
record_connection(void *arg)
{
	struct live *l = arg;
	char path[400], when[32];
	time_t now = time(NULL);
	struct err e = {0};
	struct tm t;
	FILE *to;
	int fd;

	gmtime_r(&now, &t);
	strftime(when, sizeof when, "%Y%m%d-%H%M%S", &t);
	snprintf(path, sizeof path, "%s/%s-%u.milter", l->folder, when,
		l->number);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to) {
		err_sys(&e, "%s", path);
		cli_fail("record", &e);
		close(l->fd);
	} else {
		write_head(to, l->filter);
		if (milter_proxy_run(l->fd, l->filter, to, &e) < 0)
			cli_fail(l->filter, &e);
		fclose(to);
	}
	free(l);
	return NULL;
}

static volatile sig_atomic_t stopped;

static void
stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void
serve_live(int listener, const char *filter, const char *folder)
{
	pthread_attr_t detached;
	struct sock_addr peer;
	unsigned number = 0;
	struct live *l;
	pthread_t t;
	int fd;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while (!stopped) {
		if (poll(&(struct pollfd){listener, POLLIN, 0}, 1, -1) < 1 ||
			(fd = sock_accept(listener, &peer, NULL)) < 0)
			continue;
		l = mem_alloc(sizeof *l);
		*l = (struct live){filter, folder, fd, ++number};
		if (pthread_create(&t, &detached, record_connection, l)) {
			close(fd);
			free(l);
		}
	}
	pthread_attr_destroy(&detached);
}

static int
record_live(struct cli *c, const char *filter, int argc, char **argv)
{
	const char *path = NULL, *folder = NULL;
	struct sigaction end = {.sa_handler = stop};
	struct err e = {0};
	int i, listener;

	for (i = 0; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--listen"))
			path = argv[i + 1];
		else if (!strcmp(argv[i], "--folder"))
			folder = argv[i + 1];
	}
	if (!path || !folder || argc != 4)
		return cli_usage(c, "--listen and --folder go together");
	if (!strncmp(path, "unix:", 5))
		path += 5;
	listener = milter_proxy_listen(path, &e);
	if (listener < 0 || file_mkdirs(folder, 0700, &e) < 0)
		return cli_fail("record", &e);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	signal(SIGPIPE, SIG_IGN);
	fprintf(stderr, "Recording what is said between unix:%s and %s into "
		"%s; Ctrl-C ends it.\n", path, filter, folder);
	serve_live(listener, filter, folder);
	close(listener);
	unlink(path);
	return 0;
}

static int
run_record(struct cli *c, int argc, char **argv)
{
	struct recording r = {.filter = argv[0], .to = stdout};
	struct err e = {0};
	const char *file = NULL;
	int i, kept = 1, code;

	if (milter_link_check(argv[0], &e) < 0)
		return cli_fail("record", &e);
	if (!strncmp(argv[1], "--", 2))
		return record_live(c, argv[0], argc - 1, argv + 1);
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-o") && i + 1 < argc)
			file = argv[++i];
		else
			argv[kept++] = argv[i];
	}
	signal(SIGPIPE, SIG_IGN);
	if (file && !(r.to = fopen(file, "we"))) {
		err_sys(&e, "%s", file);
		return cli_fail("record", &e);
	}
	code = record_message(c, &r, kept - 1, argv + 1);
	if (file && fclose(r.to) != 0 && !code) {
		err_sys(&e, "%s", file);
		code = cli_fail("record", &e);
	}
	return code;
}

/* ------------------------------------------------------------------ replay */

/* mailroom-milter with the plugin, on a socket of ours. */
static pid_t
start_plugin(const char *module, const char *path, struct err *e)
{
	char program[4096], address[300];
	pid_t pid;

	cli_beside("mailroom-milter", program, sizeof program);
	snprintf(address, sizeof address, "unix:%s", path);
	pid = fork();
	if (pid == 0) {
		execl(program, "mailroom-milter", "--plugin", module,
			"--listen", address, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		err_sys(e, "starting mailroom-milter");
	return pid;
}

/* Until the plugin listens, or has ended. */
static bool
wait_for_plugin(pid_t pid, const char *address)
{
	int i, fd, status;

	for (i = 0; i < 200; i++) {
		fd = milter_link_dial(address, 100, NULL);
		if (fd >= 0) {
			close(fd);
			return true;
		}
		if (waitpid(pid, &status, WNOHANG) == pid)
			return false;
		poll(NULL, 0, 25);
	}
	return true;		/* the replay will say what is wrong */
}

static int
replay_to(struct milter_replay *r)
{
	struct err e = {0};

	if (milter_replay_run(r, &e) < 0) {
		cli_fail(r->filter, &e);
		return 2;
	}
	printf("%u answers compared, %u differ\n", r->steps, r->differences);
	return r->differences ? 1 : 0;
}

static int
replay_to_plugin(struct milter_replay *r, const char *module)
{
	char folder[] = "/tmp/mailroom-replay.XXXXXX", path[64], address[80];
	struct err e = {0};
	int code = 2, status;
	pid_t pid;

	if (!mkdtemp(folder))
		return err_sys(&e, "%s", folder), cli_fail("replay", &e), 2;
	snprintf(path, sizeof path, "%s/s", folder);
	snprintf(address, sizeof address, "unix:%s", path);
	r->filter = address;
	pid = start_plugin(module, path, &e);
	if (pid < 0) {
		cli_fail("replay", &e);
	} else if (wait_for_plugin(pid, address)) {
		code = replay_to(r);
		kill(pid, SIGTERM);
		waitpid(pid, &status, 0);
	} else {
		fprintf(stderr, "mailroom: replay: %s cannot be served as a "
			"milter\n", module);
	}
	unlink(path);
	rmdir(folder);
	return code;
}

static int
run_replay(struct cli *c, int argc, char **argv)
{
	struct milter_replay r = {.name = argv[0], .timeout_ms = 30000,
		.to = stdout};
	bool is_plugin = !strcmp(argv[1], "--plugin");
	struct err e = {0};
	struct arena a;
	int code = 2;

	if (is_plugin != (argc == 3))
		return cli_usage(c, "an address, or --plugin and a module, is "
			"needed");
	signal(SIGPIPE, SIG_IGN);
	arena_init(&a);
	if (file_read(argv[0], TRANSCRIPT_MOST, &a, &r.transcript, &e) < 0) {
		cli_fail("replay", &e);
	} else if (is_plugin) {
		code = replay_to_plugin(&r, argv[2]);
	} else {
		r.filter = argv[1];
		code = replay_to(&r);
	}
	arena_free(&a);
	return code;
}

const struct cli_verb cli_record_verbs[] = {
	{"milter", "record", 2, 40, run_record,
		"ADDR FILE.eml [--from S] [--to R] [--ip A] [--helo H] [-o F]",
		"what a milter is told and says, as text; or, for what a "
		"server brings: ADDR --listen SOCKET --folder DIR"},
	{"milter", "replay", 2, 3, run_replay,
		"TRANSCRIPT ADDR | TRANSCRIPT --plugin FILE.so",
		"play it to a filter; differences are shown (status 1)"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
