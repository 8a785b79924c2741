/*
 * remote_process.c - the processes of isolated plugins, seen from the worker:
 * fork and exec of our own binary, what it writes to standard error, its end.
 *
 * Between fork and exec only async-signal-safe calls are made, since the
 * worker has threads by then.
 */
#include "plug/remote_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"

#define START_MS 60000		/* until the plugin is loaded, and opened */
#define CLOSE_MS 2000
#define READER_STACK (64u << 10)
#define LIFTED 10		/* descriptors below are the child's own */

/* --------------------------------------------------------- standard error */

struct reader {
	const char *plugin;
	int fd;
	pid_t pid;
};

static void
log_lines(const struct reader *r, struct buf *b, bool is_end)
{
	struct str rest = buf_str(b), line;

	while (str_has_byte(rest, '\n') || (is_end && rest.len) ||
		rest.len >= b->cap) {
		line = str_cut(&rest, '\n');
		log_warn("plugin.stderr", LOG_S("plugin", r->plugin),
			LOG_N("process", r->pid), LOG_STR("text", line));
	}
	buf_shift(b, b->len - rest.len);
}

/* Its own thread; ends when nobody has the other end. */
static void *
read_stderr(void *arg)
{
	struct reader *r = arg;
	struct buf b;
	ssize_t n;

	buf_init(&b, 1000);
	for (;;) {
		char *at = buf_reserve(&b, b.cap - b.len);

		n = read(r->fd, at, b.cap - b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0)
			buf_grew(&b, (size_t)n);
		log_lines(r, &b, n <= 0);
		if (n <= 0)
			break;
	}
	buf_free(&b);
	close(r->fd);
	free(r);
	return NULL;
}

static void
start_reader(const char *plugin, pid_t pid, int fd)
{
	struct reader *r = mem_alloc(sizeof *r);
	pthread_attr_t attr;
	pthread_t t;

	*r = (struct reader){plugin, fd, pid};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, READER_STACK);
	if (pthread_create(&t, &attr, read_stderr, r)) {
		close(fd);
		free(r);
	}
	pthread_attr_destroy(&attr);
}

/* -------------------------------------------------------------- fork, exec */

/* The child's side. Lifted first, so that no move overwrites a source. */
static void
become_host(int control, int err, const struct remote_plan *plan)
{
	const char *const argv[] = {"mailroomd", PLUGIN_HOST_ARG, plan->name,
		NULL};
	unsigned mine = PLUGIN_HOST_FD;
	static const char *const envp[] = {"PATH=/usr/bin:/bin", NULL};
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	control = fcntl(control, F_DUPFD, LIFTED);
	err = fcntl(err, F_DUPFD, LIFTED);
	if (null < 0 || control < 0 || err < 0 || dup2(null, 0) < 0 ||
		dup2(null, 1) < 0 || dup2(err, 2) < 0 ||
		dup2(control, PLUGIN_HOST_FD) < 0)
		_exit(71);
	/* A worker has it at a number that is not lower. */
	if (plan->module_fd >= 0 && dup2(plan->module_fd,
		PLUGIN_HOST_MODULE_FD) == PLUGIN_HOST_MODULE_FD)
		mine = PLUGIN_HOST_MODULE_FD;
	syscall(SYS_close_range, mine + 1, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", (char *const *)argv, (char *const *)envp);
	_exit(71);
}

static struct remote_process *
spawn(const struct remote *r, struct err *e)
{
	static _Atomic uint64_t numbers;
	struct remote_process *p;
	int pair[2], err[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err_sys(e, "socketpair");
		return NULL;
	}
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(pair[0]);
		close(pair[1]);
		err_sys(e, "pipe");
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		become_host(pair[1], err[1], r->plan);
	close(pair[1]);
	close(err[1]);
	if (pid < 0) {
		close(pair[0]);
		close(err[0]);
		err_sys(e, "fork");
		return NULL;
	}
	start_reader(r->plan->name, pid, err[0]);
	p = mem_alloc(sizeof *p);
	p->number = ++numbers;
	p->pid = pid;
	p->started = clock_mono();
	wire_open(&p->control, pair[0], WIRE_TO_WORKER);
	wire_set_timeout(&p->control, START_MS);
	return p;
}

/* ------------------------------------------------------------------ start */

/* Sends the frame in b and waits for the answer of that type. */
static int
talk(struct remote_process *p, struct buf *b, enum wire_type want,
	struct wire_in *in, struct err *e)
{
	enum wire_type type;

	if (wire_send(&p->control, b, NULL, 0, e) < 0 ||
		wire_next(&p->control, false, &type, in, e) < 0)
		return -1;
	return type == want ? 0 :
		err_set(e, ERR_PROTOCOL, "an answer that was not asked for");
}

static void
write_load(const struct remote *r, bool sandbox, struct buf *b)
{
	const struct remote_plan *plan = r->plan;
	size_t begin = wire_begin(b, WIRE_LOAD);

	wire_text(b, plan->name);
	wire_text(b, plan->file);
	wire_text(b, plan->plugin_dir);
	wire_str(b, plan->section);
	wire_u32(b, sandbox ? ISOLATE_SANDBOX :
		(uint32_t)plan->isolation.isolate);
	wire_end(b, begin);
}

static int
read_manifest(struct wire_in *in, struct remote_manifest *m, struct buf *why)
{
	const char *name, *version;
	struct str trouble = wire_get_str(in);

	if (trouble.len || in->bad) {
		buf_addstr(why, trouble.len ? trouble :
			STR("an answer that is cut short"));
		return -1;
	}
	m->hooks = wire_get_u32(in);
	m->needs = wire_get_u32(in);
	m->may = wire_get_u32(in);
	m->wants = wire_get_u32(in);
	m->is_open_ended = wire_get_u32(in);
	name = wire_get_text(in);
	version = wire_get_text(in);
	snprintf(m->name, sizeof m->name, "%s", name ? name : "");
	snprintf(m->version, sizeof m->version, "%s", version ? version : "");
	return 0;
}

struct remote_process *
remote_process_start(const struct remote *r, bool sandbox,
	struct remote_manifest *m, struct buf *why)
{
	struct err e = {0};
	struct remote_process *p = spawn(r, &e);
	struct wire_in in;
	struct buf b;
	int code;

	buf_init(&b, WIRE_TO_PLUGIN);
	write_load(r, sandbox, &b);
	code = p ? talk(p, &b, WIRE_LOADED, &in, &e) : -1;
	buf_free(&b);
	if (code < 0)
		buf_addf(why, "its own process: %s", e.text);
	else
		code = read_manifest(&in, m, why);
	if (code == 0)
		return p;
	if (p) {
		remote_process_kill(p);
		remote_process_free(p);
	}
	return NULL;
}

int
remote_process_open(const struct remote *r, struct remote_process *p,
	struct err *e)
{
	struct wire_in in;
	struct str trouble;
	struct buf b;
	size_t begin;
	int code;

	buf_init(&b, WIRE_TO_PLUGIN);
	begin = wire_begin(&b, WIRE_OPEN);
	wire_text(&b, r->role);
	wire_text(&b, r->data);
	wire_text(&b, r->hostname);
	wire_end(&b, begin);
	code = talk(p, &b, WIRE_OPENED, &in, e);
	buf_free(&b);
	if (code < 0)
		return err_wrap(e, "opening it in its own process");
	trouble = wire_get_str(&in);
	return trouble.len || in.bad ? err_set(e, ERR_CONFIG, "%.*s",
		STR_ARGS(trouble)) : 0;
}

/* -------------------------------------------------------------------- end */

void
remote_process_kill(struct remote_process *p)
{
	/* One that is a zombie already keeps the status it died with. */
	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		;
	wire_close(&p->control);
	p->is_dead = true;
}

/* It ends itself when nobody speaks to it any more. */
void
remote_process_end(struct remote_process *p)
{
	const struct timespec pause = {0, 5000000};
	int64_t until = clock_mono() + CLOSE_MS;

	shutdown(p->control.fd, SHUT_RDWR);
	while (clock_mono() < until) {
		siginfo_t info = {.si_pid = 0};

		if (waitid(P_PID, (id_t)p->pid, &info,
			WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid)
			break;
		nanosleep(&pause, NULL);
	}
	remote_process_kill(p);
}

void
remote_process_free(struct remote_process *p)
{
	struct remote_line *l;

	if (!p)
		return;
	while ((l = p->idle)) {
		p->idle = l->next;
		remote_line_free(l);
	}
	free(p);
}

/* ------------------------------------------------------------------ lines */

struct remote_line *
remote_line_new(struct remote_process *p, struct err *e)
{
	struct remote_line *l;
	struct buf b;
	size_t begin;
	int pair[2], code;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		err_sys(e, "socketpair");
		return NULL;
	}
	buf_init(&b, 64);
	begin = wire_begin(&b, WIRE_LINE);
	wire_end(&b, begin);
	code = wire_send(&p->control, &b, &pair[1], 1, e);
	buf_free(&b);
	close(pair[1]);
	if (code < 0) {
		close(pair[0]);
		return NULL;
	}
	l = mem_alloc(sizeof *l);
	wire_open(&l->wire, pair[0], WIRE_TO_WORKER);
	buf_init(&l->out, WIRE_TO_PLUGIN);
	return l;
}

void
remote_line_free(struct remote_line *l)
{
	wire_close(&l->wire);
	buf_free(&l->out);
	free(l);
}
