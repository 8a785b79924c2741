/*
 * keeper.c - starting, watching and ending filters of other people.
 *
 * A filter runs as the workers' user in a session of its own, so that its
 * children end with it, with nothing of ours open and an environment of two
 * names; what it writes becomes lines of our log. The folder of its socket is
 * the workers' alone. If the master dies the kernel tells it to end.
 */
#include "proc/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "plug/milter_link.h"
#include "proc/priv.h"

#define YOUNG 10000		/* ms; who dies younger is started later */
#define GRACE_MS 5000		/* from SIGTERM to SIGKILL */
#define LINE_MOST 1000

struct kept {
	struct arena arena;
	const char *name;
	const char *path;	/* of its socket; "" if the admin chose it */
	char **argv;
	bool wanted;
	pid_t pid;		/* 0: it does not run */
	int out;		/* what it writes; -1: nobody has the other end */
	struct buf line;
	unsigned starts;
	int64_t started, pause, first_pause, most_pause;
	int64_t restart_at;	/* CLOCK_NEVER: not waiting */
	int64_t kill_at;	/* CLOCK_NEVER: it was not told to end */
	struct kept *next;
};

/* The keys of [milter.NAME] that concern us. */
struct command {
	const char *socket;
	struct mr_list exec;
};

static const struct mr_setting rows[] = {
	{"socket", MR_TEXT, 0, offsetof(struct command, socket), "\"\"", 0, 0,
		NULL, ""},
	{"exec", MR_LIST, 0, offsetof(struct command, exec), "[]", 0, 0, NULL,
		""},
	MR_SETTINGS_END,
};

/* --------------------------------------------------------------- wanting */

/* Each {path} in an argument is the socket's. */
static char *
fill_in(struct arena *a, const char *arg, const char *path)
{
	struct str rest = str_from(arg), mark = STR("{path}");
	struct buf b;
	char *text;
	size_t at;

	buf_init(&b, BUF_NO_CAP);
	while ((at = str_find_str(rest, mark)) < rest.len) {
		buf_addstr(&b, str_sub(rest, 0, at));
		buf_adds(&b, path);
		rest = str_sub(rest, at + mark.len, rest.len);
	}
	buf_addstr(&b, rest);
	text = arena_cstr(a, buf_str(&b));
	buf_free(&b);
	return text;
}

static struct kept *
kept_new(const char *name, const char *data, const struct command *command)
{
	struct kept *f = mem_alloc(sizeof *f);
	struct buf path;
	size_t i;

	arena_init(&f->arena);
	buf_init(&path, BUF_NO_CAP);
	if (!*command->socket)
		milter_link_own_socket(&path, data, name, &command->exec);
	f->name = arena_cstr(&f->arena, str_from(name));
	f->path = arena_cstr(&f->arena, buf_str(&path));
	buf_free(&path);
	f->argv = arena_alloc(&f->arena,
		(command->exec.n + 1) * sizeof *f->argv);
	for (i = 0; i < command->exec.n; i++)
		f->argv[i] = fill_in(&f->arena, command->exec.item[i],
			f->path);
	f->out = -1;
	f->kill_at = CLOCK_NEVER;
	buf_init(&f->line, LINE_MOST);
	return f;
}

static void
kept_free(struct kept *f)
{
	if (f->out >= 0)
		close(f->out);
	buf_free(&f->line);
	arena_free(&f->arena);
	free(f);
}

static bool
is_same(const struct kept *a, const struct kept *b)
{
	size_t i;

	if (strcmp(a->name, b->name) || strcmp(a->path, b->path))
		return false;
	for (i = 0; a->argv[i] && b->argv[i]; i++)
		if (strcmp(a->argv[i], b->argv[i]))
			return false;
	return !a->argv[i] && !b->argv[i];
}

void
keeper_begin(struct keeper *k)
{
	struct kept *f;

	for (f = k->first; f; f = f->next)
		f->wanted = false;
}

/* One that was told to end is not taken back: it is started again after. */
static void
want(struct keeper *k, struct kept *one)
{
	struct kept **at;

	for (at = &k->first; *at; at = &(*at)->next)
		if (is_same(*at, one)) {
			(*at)->wanted = true;
			kept_free(one);
			return;
		}
	one->wanted = true;
	*at = one;
}

void
keeper_want(struct keeper *k, const struct config *c)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "milter");
	const struct conf_node *n;
	struct command command;
	struct arena a;
	struct str key;
	size_t at = 0;

	arena_init(&a);
	while (all && (n = conf_next(all, &at, &key))) {
		if (conf_type_of(n) != CONF_TABLE)
			continue;
		conf_fill_known(c->doc, n, rows, &command, &a);
		if (command.exec.n)
			want(k, kept_new(arena_cstr(&a, key), c->server.data,
				&command));
	}
	arena_free(&a);
}

/* -------------------------------------------------------------- starting */

/* The child's side. The master has one thread, so all calls are allowed. */
static void
become(const struct kept *f, const struct config *c, int out, pid_t master)
{
	struct err e = {0};
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
		dup2(out, 2) < 0)
		_exit(71);
	syscall(SYS_close_range, 3, ~0u, 0);
	setsid();
	if (priv_drop(c->server.user, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		_exit(71);
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != master)
		_exit(71);
	umask(077);
	if (chdir("/") < 0)
		_exit(71);
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		"/sbin:/bin", 1);
	setenv("HOME", c->server.data, 1);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(f->argv[0], f->argv);
	fprintf(stderr, "%s: %s\n", f->argv[0], strerror(errno));
	_exit(71);
}

static void
start(struct kept *f, const struct config *c)
{
	pid_t master = getpid();
	int out[2];

	f->started = clock_mono();
	f->first_pause = c->workers.restart_first;
	f->most_pause = c->workers.restart_most;
	f->restart_at = f->started + f->most_pause;
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0) {
		log_error("milter.start", LOG_S("filter", f->name),
			LOG_S("error", strerror(errno)));
		return;
	}
	fcntl(out[1], F_SETFL, 0);	/* programs do not expect less */
	/* Not all filters remove a socket that a dead one has left. */
	if (*f->path)
		unlink(f->path);
	f->pid = fork();
	if (f->pid == 0)
		become(f, c, out[1], master);
	close(out[1]);
	if (f->pid < 0) {
		f->pid = 0;
		close(out[0]);
		log_error("milter.start", LOG_S("filter", f->name),
			LOG_S("error", strerror(errno)));
		return;
	}
	if (f->out >= 0)
		close(f->out);
	f->out = out[0];
	f->starts++;
	f->restart_at = CLOCK_NEVER;
	log_info("milter.start", LOG_S("filter", f->name),
		LOG_N("process", f->pid), LOG_S("program", f->argv[0]));
}

/* ---------------------------------------------------------------- ending */

static void
tell(const struct kept *f, int sig)
{
	if (kill(-f->pid, sig) < 0)
		kill(f->pid, sig);
}

static void
end(struct kept *f, int64_t now)
{
	if (f->kill_at == CLOCK_NEVER) {
		tell(f, SIGTERM);
		f->kill_at = now + GRACE_MS;
	} else if (now >= f->kill_at) {
		tell(f, SIGKILL);
		f->kill_at = now + GRACE_MS;
	}
}

void
keeper_settle(struct keeper *k, const struct config *c)
{
	struct kept **at = &k->first, *f;
	int64_t now = clock_mono();

	while ((f = *at)) {
		if (f->pid && (!f->wanted || f->kill_at != CLOCK_NEVER))
			end(f, now);
		else if (!f->pid && f->wanted && c && now >= f->restart_at)
			start(f, c);
		else if (!f->pid && !c)
			f->restart_at = CLOCK_NEVER;
		if (f->pid || f->wanted) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		if (*f->path)
			unlink(f->path);
		kept_free(f);
	}
}

static void
log_end(const struct kept *f, int status)
{
	if (WIFSIGNALED(status))
		log_error("milter.died", LOG_S("filter", f->name),
			LOG_N("process", f->pid),
			LOG_S("signal", strsignal(WTERMSIG(status))),
			LOG_N("restart_ms", f->pause));
	else
		log_error("milter.ended", LOG_S("filter", f->name),
			LOG_N("process", f->pid),
			LOG_N("status", WEXITSTATUS(status)),
			LOG_S("hint", WEXITSTATUS(status) ? "" :
				"it must stay in the foreground"),
			LOG_N("restart_ms", f->pause));
}

/* As for workers: later and later while it keeps dying young. */
static void
plan_restart(struct kept *f, int64_t now)
{
	if (now - f->started > YOUNG || !f->pause)
		f->pause = f->first_pause;
	else
		f->pause = f->pause * 2 > f->most_pause ? f->most_pause :
			f->pause * 2;
	f->restart_at = now + f->pause;
}

bool
keeper_ended(struct keeper *k, pid_t pid, int status)
{
	int64_t now = clock_mono();
	struct kept *f;

	for (f = k->first; f && f->pid != pid; f = f->next)
		;
	if (!f)
		return false;
	if (f->out >= 0)
		keeper_heard(k, f->out);
	/* What it left behind in its session. */
	kill(-pid, SIGTERM);
	if (f->kill_at == CLOCK_NEVER) {
		plan_restart(f, now);
		log_end(f, status);
	} else {
		f->restart_at = now;
		log_info("milter.stopped", LOG_S("filter", f->name),
			LOG_N("process", pid));
	}
	f->pid = 0;
	f->kill_at = CLOCK_NEVER;
	return true;
}

/* --------------------------------------------------------------- hearing */

static void
log_lines(struct kept *f, bool is_end)
{
	struct str rest = buf_str(&f->line), line;

	while (str_has_byte(rest, '\n') || (is_end && rest.len) ||
		rest.len >= f->line.cap) {
		line = str_trim(str_cut(&rest, '\n'));
		if (line.len)
			log_info("milter.says", LOG_S("filter", f->name),
				LOG_N("process", f->pid),
				LOG_STR("text", line));
	}
	buf_shift(&f->line, f->line.len - rest.len);
}

size_t
keeper_poll(const struct keeper *k, struct pollfd *fds, size_t n, size_t room)
{
	const struct kept *f;

	for (f = k->first; f && n < room; f = f->next)
		if (f->out >= 0)
			fds[n++] = (struct pollfd){f->out, POLLIN, 0};
	return n;
}

/* Bounded, so that one that writes without end does not keep the master. */
bool
keeper_heard(struct keeper *k, int fd)
{
	struct kept *f;
	ssize_t n = 0;
	char *at;
	int i;

	for (f = k->first; f && f->out != fd; f = f->next)
		;
	if (!f)
		return false;
	for (i = 0; i < 64; i++) {
		at = buf_reserve(&f->line, f->line.cap - f->line.len);
		n = read(fd, at, f->line.cap - f->line.len);
		if (n > 0)
			buf_grew(&f->line, (size_t)n);
		log_lines(f, n == 0);
		if (n <= 0)
			break;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(fd);
		f->out = -1;
	}
	return true;
}

int64_t
keeper_next(const struct keeper *k)
{
	int64_t when = CLOCK_NEVER;
	const struct kept *f;

	for (f = k->first; f; f = f->next) {
		int64_t mine = f->pid ? f->kill_at : f->restart_at;

		if (mine < when)
			when = mine;
	}
	return when;
}

bool
keeper_is_empty(const struct keeper *k)
{
	return k->first == NULL;
}

json_t *
keeper_describe(const struct keeper *k)
{
	json_t *list = json_array();
	const struct kept *f;

	for (f = k->first; f; f = f->next)
		json_array_append_new(list, json_pack("{s:s, s:i, s:i}",
			"name", f->name, "pid", (int)f->pid,
			"starts", (int)f->starts));
	return list;
}
