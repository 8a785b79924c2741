/*
 * master.c - the loop of the master: signals, workers, the control socket,
 * time. It parses no mail, loads no plugin, speaks no TLS and asks no DNS.
 * What becomes of the teams of workers is generation.c's.
 */
#include "proc/master.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/sock.h"
#include "proc/ctl.h"
#include "proc/daemon.h"
#include "proc/generation.h"
#include "proc/keeper.h"
#include "proc/priv.h"
#include "proc/spawn.h"

#define BIND_MS 1000

struct master {
	struct generations all;
	struct keeper keeper;	/* filters that we run, of all generations */
	int signals, control, ready_pipe;
	bool failed;
	int64_t stop_deadline, started;
};

/* ------------------------------------------------------------ starting */

/* Where all users may leave mail, and nobody but the server can see what is
 * there. One that exists is left as the admin made it. */
static int
give_drop(const struct server_settings *s, uid_t uid, gid_t gid, struct err *e)
{
	struct stat st;
	mode_t usual;
	int code;

	if (stat(s->drop, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : err_set(e, ERR_CONFIG,
			"drop: %s is not a folder", s->drop);
	/* All users pass through the folders above it. */
	usual = umask(s->drop_is_open ? 022 : 077);
	code = file_mkdirs(s->drop, 0700, e);
	umask(usual);
	if (code < 0)
		return err_wrap(e, "drop");
	if ((s->drop_is_open && chmod(s->drop, 01733) < 0) ||
		(geteuid() == 0 && lchown(s->drop, uid, gid) < 0))
		return err_sys(e, "drop: %s", s->drop);
	return 0;
}

/* Workers own the data folder; we only make it. */
static int
give_data(const struct config *c, struct err *e)
{
	static const char *const sub[] = {"", "/tmp", "/milters"};
	uid_t uid = 0;
	gid_t gid = 0;
	char path[4096];
	size_t i;

	if (geteuid() == 0 &&
		priv_find_user(c->server.user, &uid, &gid, e) < 0)
		return err_wrap(e, "user");
	for (i = 0; i < sizeof sub / sizeof *sub; i++) {
		snprintf(path, sizeof path, "%s%s", c->server.data, sub[i]);
		if (file_mkdirs(path, 0700, e) < 0)
			return -1;
		/* Below it workers may have put a link to anywhere. */
		if (geteuid() == 0 && (*sub[i] ? lchown : chown)(path, uid,
			gid) < 0)
			return err_sys(e, "%s", path);
	}
	return give_drop(&c->server, uid, gid, e);
}

static int
open_control(struct master *m, struct err *e)
{
	struct sock_addr a;
	char name[256];

	snprintf(name, sizeof name, "unix:%s",
		m->all.current->config->server.control_socket);
	if (sock_parse(str_from(name), &a, e) < 0)
		return err_wrap(e, "control_socket");
	umask(0177);
	m->control = sock_listen(&a, 16, e);
	umask(077);
	return m->control < 0 ? err_wrap(e, "control_socket") : 0;
}

static int
write_pid(const struct master *m, struct err *e)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

	return file_replace(m->all.current->config->server.pid_file,
		str_of(text, (size_t)n), 0644, e);
}

static int
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The kernel closes what a killed process held in no order of ours: its
 * sockets may outlive its lock by a moment. */
static int
bind_all(struct master *m, struct err *e)
{
	int64_t end = clock_mono() + BIND_MS;

	while (bound_take(&m->all.bound, m->all.current->config, e) < 0) {
		if (e->sys != EADDRINUSE || clock_mono() > end)
			return -1;
		poll(NULL, 0, 20);
	}
	return 0;
}

/* Filters live as long as workers that may talk to them. */
static void
keep_filters(struct master *m)
{
	const struct team *t;

	keeper_begin(&m->keeper);
	if (!m->all.is_stopping || !generation_all_gone(&m->all))
		for (t = m->all.current; t; t = generation_after(&m->all, t))
			if (!t->draining || !team_is_gone(t))
				keeper_want(&m->keeper, t->config);
	keeper_settle(&m->keeper, m->all.is_stopping ? NULL :
		m->all.current->config);
}

static int
start_up(struct master *m, struct err *e)
{
	if (generation_first(&m->all, e) < 0)
		return -1;
	if (m->all.current->config->n_listener == 0)
		return err_set(e, ERR_CONFIG, "%s has no [listen.NAME] "
			"section: nothing to serve", m->all.config_file);
	if (daemon_lock(&m->all.current->config->server, e) < 0 ||
		give_data(m->all.current->config, e) < 0 ||
		bind_all(m, e) < 0 || open_control(m, e) < 0 ||
		write_pid(m, e) < 0)
		return -1;
	m->signals = open_signals();
	if (m->signals < 0)
		return err_sys(e, "signalfd");
	keep_filters(m);
	team_start(m->all.current, &m->all.bound, true);
	return 0;
}

/* ------------------------------------------------------------- changes */

static void
announce_ready(struct master *m)
{
	log_info("master.ready", LOG_N("workers", m->all.current->n),
		LOG_N("after_ms", clock_mono() - m->started));
	daemon_notify("READY=1");
	if (m->ready_pipe >= 0) {
		if (write(m->ready_pipe, "\n", 1) < 0)
			log_warn("master.ready", LOG_S("error",
				strerror(errno)));
		close(m->ready_pipe);
		m->ready_pipe = -1;
	}
}

static void
stop(struct master *m)
{
	struct team *t;

	if (m->all.is_stopping)
		return;
	log_info("master.stop", LOG_N("workers", m->all.current->n));
	daemon_notify("STOPPING=1");
	m->all.is_stopping = true;
	m->stop_deadline = clock_mono() + GENERATION_GRACE_MS +
		m->all.current->config->workers.drain_timeout;
	for (t = m->all.current; t; t = generation_after(&m->all, t))
		team_drain(t);
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (keeper_ended(&m->keeper, pid, status))
			continue;
		if (generation_ended(&m->all, pid, status)) {
			m->failed = true;
			stop(m);
		}
	}
}

static void
take_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			reap(m);
		else if (info.ssi_signo == SIGHUP)
			m->all.wants_reload = true;	/* as time brings it */
		else
			stop(m);
	}
}

/* ------------------------------------------------------ control socket */

static json_t *
describe(const struct master *m)
{
	json_t *s = json_pack("{s:i, s:I, s:o}", "pid", (int)getpid(),
		"uptime_ms", (json_int_t)(clock_mono() - m->started),
		"milters", keeper_describe(&m->keeper));

	generation_describe(&m->all, s);
	return s;
}

static json_t *
reload(struct master *m)
{
	struct generations *g = &m->all;
	unsigned before = g->newest;

	if (!generation_can_reload(g)) {
		g->wants_reload = !g->is_stopping;
		return json_pack("{s:b}", "waits", g->wants_reload);
	}
	generation_reload(g);
	return g->next ? json_pack("{s:i}", "generation", (int)g->newest) :
		json_pack("{s:s, s:i}", "error",
			"not reloaded: see the server's log", "generation",
			(int)before);
}

static json_t *
answer(void *arg, const char *verb)
{
	struct master *m = arg;

	if (!strcmp(verb, "status"))
		return describe(m);
	if (!strcmp(verb, "reload"))
		return reload(m);
	if (!strcmp(verb, "stop")) {
		stop(m);
		return json_pack("{s:b}", "stopping", 1);
	}
	return json_pack("{s:s}", "error", "unknown request");
}

static void
take_control(struct master *m)
{
	struct sock_addr peer;
	int fd = sock_accept(m->control, &peer, NULL);

	if (fd >= 0)
		ctl_serve(fd, answer, m);
}

/* ------------------------------------------------------------ the loop */

static size_t
add_team(struct pollfd *fds, size_t n, size_t room, const struct team *t)
{
	size_t i;

	for (i = 0; i < t->n && n < room; i++)
		if (t->worker[i].control >= 0)
			fds[n++] = (struct pollfd){t->worker[i].control,
				POLLIN, 0};
	return n;
}

static int
wait_ms(const struct master *m)
{
	int64_t when = generation_when(&m->all), now = clock_mono();

	if (keeper_next(&m->keeper) < when)
		when = keeper_next(&m->keeper);
	if (m->all.is_stopping && m->stop_deadline < when)
		when = m->stop_deadline;
	if (when == CLOCK_NEVER)
		return -1;
	return when <= now ? 0 : when - now > 60000 ? 60000 :
		(int)(when - now);
}

static void
take_time(struct master *m)
{
	int64_t now = clock_mono();
	struct team *t;

	generation_settle(&m->all);
	keep_filters(m);
	if (m->all.is_stopping && now >= m->stop_deadline) {
		for (t = m->all.current; t; t = generation_after(&m->all, t))
			team_signal(t, SIGKILL);
		m->stop_deadline = now + 1000;
	}
}

/* Workers and filters that have something to say. */
static void
hear(struct master *m, const struct pollfd *fds, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fds[i].revents &&
			!keeper_heard(&m->keeper, fds[i].fd) &&
			generation_heard(&m->all, fds[i].fd))
			announce_ready(m);
}

static void
loop(struct master *m)
{
	struct pollfd fds[256];
	const struct team *t;
	size_t n;

	while (!m->all.is_stopping || !generation_all_gone(&m->all) ||
		!keeper_is_empty(&m->keeper)) {
		fds[0] = (struct pollfd){m->signals, POLLIN, 0};
		fds[1] = (struct pollfd){m->control, POLLIN, 0};
		n = 2;
		for (t = m->all.current; t; t = generation_after(&m->all, t))
			n = add_team(fds, n, 256, t);
		n = keeper_poll(&m->keeper, fds, n, 256);
		if (poll(fds, n, wait_ms(m)) < 0 && errno != EINTR)
			log_error("master.poll", LOG_S("error",
				strerror(errno)));
		else
			hear(m, fds + 2, n - 2);
		if (fds[0].revents)
			take_signals(m);
		if (fds[1].revents)
			take_control(m);
		take_time(m);
	}
}

static void
clean_up(struct master *m)
{
	const struct server_settings *s = m->all.current ?
		&m->all.current->config->server : NULL;

	if (s && m->control >= 0) {
		unlink(s->control_socket);
		unlink(s->pid_file);
	}
	generation_free(&m->all);
}

int
master_run(const char *config_file, bool foreground)
{
	struct master m = {.all.config_file = config_file, .signals = -1,
		.control = -1, .ready_pipe = -1};
	struct err e = {0};

	umask(077);
	m.started = clock_mono();
	if (!foreground && daemon_become(&m.ready_pipe) < 0) {
		perror("mailroomd: fork");
		return 1;
	}
	/* We lead our own process group, so that one signal reaches the whole
	 * house; not from a terminal, whose signals we want. */
	if (foreground && !isatty(0))
		setpgid(0, 0);
	prctl(PR_SET_NAME, "mailroomd", 0, 0, 0);
	priv_raise_files();
	if (start_up(&m, &e) < 0) {
		fprintf(stderr, "mailroomd: %s\n", e.text);
		clean_up(&m);
		return 1;
	}
	loop(&m);
	clean_up(&m);
	log_info("master.end", LOG_N("failed", m.failed));
	return m.failed ? 1 : 0;
}
