/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pipe - runs a program for each recipient, the message on its standard
 * input.
 *
 * Standard input is a file that holds the whole message, not a pipe: a
 * program that outlives a killed server never sees half a message and takes
 * it for all. The program is run without a shell, in a group of its own, with
 * nothing open but its three descriptors; the group is ended when the time is
 * over. What it exits with is read as sysexits(3); faults of the set-up (not
 * found, usage, configuration) are tried again, so that they do not return
 * everybody's mail.
 */
#define _GNU_SOURCE	/* O_TMPFILE, pipe2, addclosefrom_np */
#include <mailroom/plugin.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 16384
#define TEXT_MOST 400	/* of what it wrote, for the sender */
#define ENVIRONMENT 7

struct config {
	struct mr_list command;
	int64_t timeout;
	int64_t line_ends;	/* 0: lf, 1: crlf */
	bool return_path;
	const char *data;
};

#define AT(field) offsetof(struct config, field)

static const struct mr_setting settings[] = {
	{"command", MR_LIST, MR_REQUIRED, AT(command), NULL, 0, 0, NULL,
		"The program by its full path, and its arguments. It is run "
		"once for each recipient, with SENDER, RECIPIENT, LOCAL, "
		"DOMAIN and MESSAGE_ID in its environment."},
	{"timeout", MR_DURATION, 0, AT(timeout), "\"1m\"", 100, 1800000, NULL,
		"Time after which it is ended and the message tried later."},
	{"line_ends", MR_CHOICE, 0, AT(line_ends), "\"lf\"", 0, 0, "lf|crlf",
		"Line ends of the message as the program gets it."},
	{"return_path", MR_BOOL, 0, AT(return_path), "true", 0, 0, NULL,
		"Put a Return-Path field with the sender on top."},
	MR_SETTINGS_END,
};

/* -------------------------------------------------------------- the message */

static int
write_all(int fd, const char *at, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Takes the CR out of CR LF. A CR at the end of a block stays for the next:
 * returns how much of the block was used. */
static size_t
to_lf(char *block, size_t len, bool is_last, size_t *out)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (block[i] == '\r' && i + 1 == len && !is_last)
			break;
		if (block[i] != '\r' || i + 1 == len || block[i + 1] != '\n')
			block[n++] = block[i];
	}
	*out = n;
	return i;
}

/* As much as fits, so that a short read never splits a CR LF for good. */
static int64_t
fill(struct mr_delivery *d, uint64_t at, char *block)
{
	size_t n = 0;
	int64_t got = 0;

	while (n < BLOCK && (got = d->read(d, at + n, block + n,
		BLOCK - n)) > 0)
		n += (size_t)got;
	return got < 0 ? -1 : (int64_t)n;
}

static int
copy_message(const struct config *c, struct mr_delivery *d, int fd)
{
	char block[BLOCK];
	uint64_t at = 0;
	size_t used, n;
	int64_t got;

	while ((got = fill(d, at, block)) > 0) {
		n = used = (size_t)got;
		if (c->line_ends == 0)
			used = to_lf(block, used, at + used >= d->length, &n);
		if (write_all(fd, block, n) < 0)
			return -1;
		at += used;
	}
	return got < 0 ? -1 : 0;
}

/* An unlinked file with the message; -1 with errno. */
static int
make_input(const struct config *c, struct mr_delivery *d)
{
	char path[4096], head[1200];
	int fd, n;

	snprintf(path, sizeof path, "%s/tmp", c->data);
	fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)	/* a file system without them */
		fd = memfd_create("message", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	n = c->return_path ? snprintf(head, sizeof head,
		"Return-Path: <%.1000s>%s", d->sender,
		c->line_ends ? "\r\n" : "\n") : 0;
	if (write_all(fd, head, (size_t)n) == 0 && copy_message(c, d, fd) == 0)
		return fd;
	close(fd);
	return -1;
}

/* -------------------------------------------------------------- the program */

/* Its facts, as NAME=value. Addresses hold no NUL and no line end. */
static char **
make_environment(const struct mr_delivery *d, const char *rcpt)
{
	const char *at = strrchr(rcpt, '@');
	int local = at ? (int)(at - rcpt) : (int)strlen(rcpt);
	char **e = calloc(ENVIRONMENT, sizeof *e);
	bool good = e &&
		asprintf(&e[0], "PATH=/usr/local/bin:/usr/bin:/bin") >= 0 &&
		asprintf(&e[1], "SENDER=%s", d->sender) >= 0 &&
		asprintf(&e[2], "RECIPIENT=%s", rcpt) >= 0 &&
		asprintf(&e[3], "LOCAL=%.*s", local, rcpt) >= 0 &&
		asprintf(&e[4], "DOMAIN=%s", at ? at + 1 : "") >= 0 &&
		asprintf(&e[5], "MESSAGE_ID=%s", d->message) >= 0;

	if (!good)
		abort();	/* as the house does without memory */
	return e;
}

static void
free_environment(char **e)
{
	size_t i;

	for (i = 0; i < ENVIRONMENT; i++)
		free(e[i]);
	free(e);
}

static void
reset_signals(posix_spawnattr_t *attr)
{
	sigset_t set;

	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP |
		POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(attr, 0);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(attr, &set);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(attr, &set);
}

static int
start(const struct config *c, int in, int out, char *const *environment,
	pid_t *pid)
{
	char **argv = calloc(c->command.n + 1, sizeof *argv);
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int code;

	if (!argv)
		return ENOMEM;
	memcpy(argv, c->command.item, c->command.n * sizeof *argv);
	posix_spawnattr_init(&attr);
	reset_signals(&attr);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, 1, 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	code = posix_spawn(pid, argv[0], &files, &attr, argv, environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(argv);
	return code;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Has it ended? Without taking its status, so that its id stays ours. */
static bool
has_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) <
		0 || info.si_pid == pid;
}

/* Reads what it writes until it ends; keeps the head. A program that leaves
 * others behind with our pipe is not waited for longer than itself. False:
 * the time was over. */
static bool
listen_to(int fd, pid_t pid, int64_t until, char *text, size_t room)
{
	struct pollfd p = {fd, POLLIN, 0};
	char block[1024];
	size_t len = 0, n;
	ssize_t got;

	while (!has_ended(pid)) {
		if (now_ms() >= until)
			return false;
		if (poll(&p, 1, 20) <= 0)
			continue;
		got = read(fd, block, sizeof block);
		if (got <= 0)
			p.fd = -1;	/* closed: only its end is left */
		n = got <= 0 ? 0 : (size_t)got;
		if (n > room - 1 - len)
			n = room - 1 - len;
		memcpy(text + len, block, n);
		len += n;
	}
	if (p.fd >= 0 && poll(&p, 1, 0) == 1 && (got = read(fd, text + len,
		room - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	return true;
}

/* ------------------------------------------------------------------ fates */

struct fate {
	int exit, code;
	const char *enhanced, *text;
};

static const struct fate fates[] = {	/* sysexits(3) */
	{0, 250, "2.0.0", "delivered"},
	{64, 451, "4.3.5", "the program was called wrongly"},
	{65, 550, "5.6.0", "the program cannot use the message"},
	{66, 550, "5.3.0", "the program misses an input"},
	{67, 550, "5.1.1", "there is no such user"},
	{68, 550, "5.1.2", "there is no such host"},
	{69, 550, "5.3.0", "the service is not available"},
	{70, 550, "5.3.0", "the program failed"},
	{71, 451, "4.3.0", "the system failed"},
	{72, 550, "5.3.0", "a system file is missing"},
	{73, 550, "5.2.0", "the program cannot write its output"},
	{74, 451, "4.3.0", "input or output failed"},
	{75, 451, "4.3.0", "the program asks to try later"},
	{76, 550, "5.5.0", "a protocol failed"},
	{77, 550, "5.7.0", "the program refuses"},
	{78, 451, "4.3.5", "the program is configured wrongly"},
};

static struct fate
fate_of(int status)
{
	struct fate other = {0, 451, "4.3.0", "the program failed"};
	size_t i;

	if (!WIFEXITED(status))
		return other;
	for (i = 0; i < sizeof fates / sizeof *fates; i++)
		if (fates[i].exit == WEXITSTATUS(status))
			return fates[i];
	return other;
}

/* One line of what it wrote, made harmless. */
static void
first_line(char *text)
{
	char *p;

	text[strcspn(text, "\r\n")] = '\0';
	for (p = text; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
}

static void
settle(struct mr_delivery *d, size_t i, int status, char *said)
{
	struct fate f = fate_of(status);
	char text[TEXT_MOST + 100];

	first_line(said);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "the program died of signal %d",
			WTERMSIG(status));
	else if (f.exit || !WEXITSTATUS(status))
		snprintf(text, sizeof text, "%s%s%s", f.text,
			*said ? ": " : "", said);
	else
		snprintf(text, sizeof text, "%s with status %d%s%s", f.text,
			WEXITSTATUS(status), *said ? ": " : "", said);
	d->result(d, i, f.code, f.enhanced, text);
}

/* --------------------------------------------------------------- delivery */

static int64_t
time_limit(const struct config *c, struct mr_delivery *d)
{
	int64_t left = d->deadline(d);

	return now_ms() + (left < c->timeout ? left : c->timeout);
}

static void
wait_and_settle(const struct config *c, struct mr_delivery *d, size_t i,
	int out, pid_t pid)
{
	char said[TEXT_MOST] = "";
	bool ended = listen_to(out, pid, time_limit(c, d), said, sizeof said);
	int status = 0;

	if (!ended)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ended)
		settle(d, i, status, said);
	else
		d->result(d, i, 451, "4.3.0", "the program took too long");
}

static void
run_for(const struct config *c, struct mr_delivery *d, size_t i, int in)
{
	char **environment = make_environment(d, d->rcpt[i].address.at);
	char text[200];
	int out[2], code;
	pid_t pid;

	lseek(in, 0, SEEK_SET);
	if (pipe2(out, O_CLOEXEC) < 0) {
		d->result(d, i, 451, "4.3.0", strerror(errno));
		free_environment(environment);
		return;
	}
	code = start(c, in, out[1], environment, &pid);
	close(out[1]);
	free_environment(environment);
	if (code == 0) {
		wait_and_settle(c, d, i, out[0], pid);
	} else {
		snprintf(text, sizeof text, "%.100s: %s", c->command.item[0],
			strerror(code));
		d->result(d, i, 451, "4.3.5", text);
	}
	close(out[0]);
}

static void
on_deliver(void *self, struct mr_delivery *d)
{
	const struct config *c = self;
	int in = make_input(c, d);
	size_t i;

	for (i = 0; i < d->n_rcpt; i++)
		if (in < 0)
			d->result(d, i, 451, "4.3.0", "the message cannot be "
				"laid ready for the program");
		else
			run_for(c, d, i, in);
	if (in >= 0)
		close(in);
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;

	c->data = strdup(open->data);
	if (c->data && c->command.n && c->command.item[0][0] == '/')
		return 0;
	snprintf(open->error, open->error_size,
		"command must begin with the full path of a program");
	return -1;
}

static void
on_close(void *self)
{
	struct config *c = self;

	free((char *)c->data);
}

static const struct mr_transport transport = {
	.size = sizeof transport, .deliver = on_deliver,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "pipe", .version = "1.0",
	.summary = "runs a program for each recipient",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .transport = &transport,
};
