/*
 * master.c - the loop of the master: signals, workers, the control socket,
 * time. It parses no mail, loads no plugin, speaks no TLS and asks no DNS.
 *
 * Reload. The new text is read into a new team; its sockets are bound beside
 * the old ones; its workers start; when all are ready the old team retires and
 * the new one is the server. If one of them ends before that, the new team is
 * dropped and the old one goes on as if nothing had happened. Several old
 * teams may be ending at once; a reload that comes while another one starts,
 * or while too many are ending, waits for its turn.
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
#include "proc/bound.h"
#include "proc/ctl.h"
#include "proc/daemon.h"
#include "proc/keeper.h"
#include "proc/priv.h"
#include "proc/spawn.h"
#include "proc/team.h"

#define OLD_MOST 8	/* teams that end at once */
#define BIND_MS 1000
#define GRACE_MS 5000	/* for workers to say good-bye after drain_timeout */

struct master {
	const char *config_file;
	unsigned generation;
	struct team *current;	/* serves */
	struct team *next;	/* is being started by a reload, or NULL */
	struct team *old;	/* they end; newest first */
	bool wants_reload, rolls_back;
	struct probation probation;
	struct bound bound;
	struct keeper keeper;	/* filters that we run, of all generations */
	struct isolate_ledger isolate;	/* plugins that crash, over all generations */
	int signals, control, ready_pipe;
	bool stopping, failed;
	int64_t stop_deadline, started;
};

/* ------------------------------------------------------------ starting */

static struct team *
make_team(struct master *m, struct str text, struct err *e)
{
	struct conf_report report;
	struct team *t = NULL;
	struct config *c;

	conf_report_init(&report);
	c = config_parse(text, m->config_file, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	if (report.errors)
		err_set(e, ERR_CONFIG, "%s has %u error%s", m->config_file,
			report.errors, report.errors == 1 ? "" : "s");
	else
		t = team_new(++m->generation, c, text, e);
	if (t)
		t->isolate = &m->isolate;
	else
		config_free(c);
	conf_report_free(&report);
	return t;
}

static struct team *
read_team(struct master *m, struct err *e)
{
	struct team *t = NULL;
	struct arena a;
	struct str text;

	arena_init(&a);
	if (config_read(m->config_file, &a, &text, e) == 0)
		t = make_team(m, text, e);
	arena_free(&a);
	return t;
}

/* Workers own the data folder; we only make it. */
static int
give_data(const struct config *c, struct err *e)
{
	static const char *const sub[] = {"", "/tmp", "/milters"};
	uid_t uid;
	gid_t gid;
	char path[4096];
	size_t i;

	if (geteuid() == 0 &&
		priv_find_user(c->server.user, &uid, &gid, e) < 0)
		return err_wrap(e, "user");
	for (i = 0; i < sizeof sub / sizeof *sub; i++) {
		snprintf(path, sizeof path, "%s%s", c->server.data, sub[i]);
		if (file_mkdirs(path, 0700, e) < 0)
			return -1;
		if (geteuid() == 0 && chown(path, uid, gid) < 0)
			return err_sys(e, "%s", path);
	}
	return 0;
}

static int
open_control(struct master *m, struct err *e)
{
	struct sock_addr a;
	char name[256];

	snprintf(name, sizeof name, "unix:%s",
		m->current->config->server.control_socket);
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

	return file_replace(m->current->config->server.pid_file,
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

static void
set_log(const struct config *c)
{
	log_open(2, (enum log_level)c->log.level, c->log.format == 1,
		"master");
}

/* The kernel closes what a killed process held in no order of ours: its
 * sockets may outlive its lock by a moment. */
static int
bind_all(struct master *m, struct err *e)
{
	int64_t end = clock_mono() + BIND_MS;

	while (bound_take(&m->bound, m->current->config, e) < 0) {
		if (e->sys != EADDRINUSE || clock_mono() > end)
			return -1;
		poll(NULL, 0, 20);
	}
	return 0;
}

/* All teams, for a loop: after NULL comes the first. */
static struct team *
team_after(const struct master *m, const struct team *t)
{
	if (!t)
		return m->current;
	if (t == m->current && m->next)
		return m->next;
	return t == m->current || t == m->next ? m->old : t->older;
}

static bool
all_gone(const struct master *m)
{
	const struct team *t;

	for (t = m->current; t; t = team_after(m, t))
		if (!team_is_gone(t))
			return false;
	return true;
}

/* Filters live as long as workers that may talk to them. */
static void
keep_filters(struct master *m)
{
	const struct team *t;

	keeper_begin(&m->keeper);
	for (t = m->current; t && !(m->stopping && all_gone(m));
		t = team_after(m, t))
		keeper_want(&m->keeper, t->config);
	keeper_settle(&m->keeper, m->stopping ? NULL : m->current->config);
}

static int
start_up(struct master *m, struct err *e)
{
	m->current = read_team(m, e);
	if (!m->current)
		return -1;
	set_log(m->current->config);
	if (m->current->config->n_listener == 0)
		return err_set(e, ERR_CONFIG, "%s has no [listen.NAME] "
			"section: nothing to serve", m->config_file);
	if (daemon_lock(&m->current->config->server, e) < 0 || give_data(m->current->config, e) < 0 ||
		bind_all(m, e) < 0 || open_control(m, e) < 0 ||
		write_pid(m, e) < 0)
		return -1;
	probation_clean(m->current->config);
	probation_keep_modules(m->current->config, m->generation,
		&m->current->modules);
	m->current->probation = &m->probation;
	m->signals = open_signals();
	if (m->signals < 0)
		return err_sys(e, "signalfd");
	keep_filters(m);
	team_start(m->current, &m->bound, true);
	return 0;
}

/* ------------------------------------------------------------- changes */

static void
announce_ready(struct master *m)
{
	log_info("master.ready", LOG_N("workers", m->current->n),
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

static bool
can_reload(const struct master *m)
{
	const struct team *t;
	unsigned n = 0;

	for (t = m->old; t; t = t->older)
		n++;
	return !m->next && !m->stopping && n < OLD_MOST;
}

/* The team that is to take over begins to start. */
static void
begin_next(struct master *m, struct team *t, struct err *e)
{
	m->next = t;
	if (m->next && bound_take(&m->bound, m->next->config, e) < 0) {
		bound_trim(&m->bound, m->current->config);
		team_free(m->next);
		m->next = NULL;
	}
	if (!m->next) {
		log_error("master.reload", LOG_S("error", e->text),
			LOG_S("kept", "the configuration in use"));
		return;
	}
	log_info("master.reload", LOG_N("generation", m->next->generation));
	team_start(m->next, &m->bound, false);
}

static void
reload(struct master *m)
{
	struct err e = {0};
	struct team *t = read_team(m, &e);

	m->wants_reload = m->rolls_back = false;
	if (t)
		probation_keep_modules(t->config, t->generation,
			&t->modules);
	begin_next(m, t, &e);
}

/* The generation before comes back, from what was kept of it. */
static void
roll_back(struct master *m)
{
	struct probation *p = &m->probation;
	struct err e = {0};
	struct team *t = NULL;
	struct arena a;
	struct str text;

	log_error("master.rollback", LOG_S("plugin", p->plugin),
		LOG_S("reason", p->why),
		LOG_N("generation", m->current->generation),
		LOG_N("back_to", p->generation));
	p->rolled_back_from = m->current->generation;
	snprintf(p->rolled_back_why, sizeof p->rolled_back_why, "%s: %s",
		p->plugin, p->why);
	arena_init(&a);
	if (team_config_text(p->config_fd, &a, &text, &e) == 0)
		t = make_team(m, text, &e);
	arena_free(&a);
	if (t) {
		t->modules = p->modules;
		t->uses_kept = true;
		p->modules.folder[0] = '\0';
	}
	probation_end(p);
	m->rolls_back = true;
	begin_next(m, t, &e);
}

static void
retire(struct master *m, struct team *t)
{
	t->deadline = clock_mono() + GRACE_MS +
		t->config->workers.drain_timeout;
	t->older = m->old;
	m->old = t;
	team_retire(t);
}

/* The new team is ready: it is the server now. */
static void
switch_over(struct master *m)
{
	struct team *before = m->current;

	m->current = m->next;
	m->next = NULL;
	set_log(m->current->config);
	before->probation = NULL;
	m->current->probation = &m->probation;
	/* What came back was proved before. */
	if (m->rolls_back)
		probation_end(&m->probation);
	else
		probation_begin(&m->probation, before, m->current);
	retire(m, before);
	bound_trim(&m->bound, m->current->config);
	log_info("master.reloaded",
		LOG_N("generation", m->current->generation));
}

/* The new team failed to start: the old one never stopped serving. Those of
 * the new one that were ready may have sessions. */
static void
abandon_next(struct master *m)
{
	struct team *failed = m->next;

	log_error("master.reload", LOG_S("error",
		"a new worker did not become ready"),
		LOG_S("kept", "the configuration in use"));
	m->next = NULL;
	retire(m, failed);
	bound_trim(&m->bound, m->current->config);
}

static void
stop(struct master *m)
{
	struct team *t;

	if (m->stopping)
		return;
	log_info("master.stop", LOG_N("workers", m->current->n));
	daemon_notify("STOPPING=1");
	m->stopping = true;
	m->stop_deadline = clock_mono() + GRACE_MS +
		m->current->config->workers.drain_timeout;
	for (t = m->current; t; t = team_after(m, t))
		team_drain(t);
}

static void
reap(struct master *m)
{
	struct team *t;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (keeper_ended(&m->keeper, pid, status))
			continue;
		for (t = m->current; t && !team_ended(t, pid, status);)
			t = team_after(m, t);
		if (t && t == m->next) {
			abandon_next(m);
		} else if (t == m->current && !t->was_ready && !m->stopping) {
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
			m->wants_reload = true;	/* take_time does it */
		else
			stop(m);
	}
}

/* ------------------------------------------------------ control socket */

static json_t *
describe_team(const struct team *t)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < t->n; i++) {
		const struct worker *w = &t->worker[i];

		json_array_append_new(list, json_pack(
			"{s:s, s:i, s:b, s:i, s:I}",
			"kind", role_name(w->role), "pid", (int)w->pid,
			"ready", w->ready, "crashes", (int)w->crashes,
			"uptime_ms", (json_int_t)(w->pid ?
				clock_mono() - w->started : 0)));
	}
	return list;
}

/* Plugins that ever crashed. */
static json_t *
describe_plugins(const struct isolate_ledger *all)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < all->n; i++)
		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:b}",
			"name", all->plugin[i].name,
			"crashes", (int)all->plugin[i].crashes,
			"restarts", (int)all->plugin[i].restarts,
			"moved", all->plugin[i].is_moved));
	return list;
}

static json_t *
answer(void *arg, const char *verb)
{
	struct master *m = arg;

	if (!strcmp(verb, "status"))
		return json_pack("{s:i, s:i, s:b, s:I, s:o, s:o, s:o, s:i, "
			"s:s}", "pid", (int)getpid(),
			"generation", (int)m->current->generation,
			"ready", team_is_ready(m->current) && !m->stopping,
			"uptime_ms", (json_int_t)(clock_mono() - m->started),
			"workers", describe_team(m->current),
			"plugins", describe_plugins(&m->isolate),
			"milters", keeper_describe(&m->keeper),
			"rolled_back_from", (int)m->probation.rolled_back_from,
			"rolled_back_why", m->probation.rolled_back_why);
	if (!strcmp(verb, "reload")) {
		unsigned before = m->generation;

		if (!can_reload(m)) {
			m->wants_reload = !m->stopping;
			return json_pack("{s:b}", "waits", m->wants_reload);
		}
		reload(m);
		return m->next ? json_pack("{s:i}", "generation",
			(int)m->generation) : json_pack("{s:s, s:i}", "error",
			"not reloaded: see the server's log", "generation",
			(int)before);
	}
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

/* The worker whose channel this is; *t its team. */
static struct worker *
find_worker(struct master *m, int fd, struct team **t)
{
	struct worker *w = NULL;

	for (*t = m->current; *t; *t = team_after(m, *t)) {
		w = team_find(*t, fd);
		if (w)
			break;
	}
	return w;
}

static void
take_worker(struct master *m, int fd)
{
	struct team *t;
	struct worker *w = find_worker(m, fd, &t);

	if (!w || !team_heard(t, w))
		return;
	if (t == m->next)
		switch_over(m);
	else if (t == m->current)
		announce_ready(m);
}

static int
wait_ms(const struct master *m)
{
	int64_t when = team_next(m->current), now = clock_mono();
	const struct team *t;

	if (keeper_next(&m->keeper) < when)
		when = keeper_next(&m->keeper);
	if (m->probation.until && m->probation.until < when)
		when = m->probation.until;

	for (t = m->old; t; t = t->older)
		if (t->deadline < when)
			when = t->deadline;
	if (m->stopping && m->stop_deadline < when)
		when = m->stop_deadline;
	if (when == CLOCK_NEVER)
		return -1;
	return when <= now ? 0 : when - now > 60000 ? 60000 :
		(int)(when - now);
}

static void
end_old(struct master *m, int64_t now)
{
	struct team **at = &m->old, *t;

	while ((t = *at)) {
		if (now >= t->deadline) {
			team_signal(t, SIGKILL);
			t->deadline = now + 1000;
		}
		if (!team_is_gone(t)) {
			at = &t->older;
			continue;
		}
		*at = t->older;
		team_free(t);
	}
}

/* What time brings: restarts, ends of patience, a reload's turn. */
static void
take_time(struct master *m)
{
	int64_t now = clock_mono();
	struct team *t;

	if (!m->stopping)
		team_start(m->current, &m->bound, false);
	end_old(m, now);
	keep_filters(m);
	if (m->probation.is_due && can_reload(m))
		roll_back(m);
	else if (m->probation.until && now >= m->probation.until)
		probation_end(&m->probation);
	if (m->wants_reload && can_reload(m))
		reload(m);
	if (m->stopping && now >= m->stop_deadline) {
		for (t = m->current; t; t = team_after(m, t))
			team_signal(t, SIGKILL);
		m->stop_deadline = now + 1000;
	}
}

static void
loop(struct master *m)
{
	struct pollfd fds[256];
	const struct team *t;
	size_t n, i;

	while (!m->stopping || !all_gone(m) ||
		!keeper_is_empty(&m->keeper)) {
		fds[0] = (struct pollfd){m->signals, POLLIN, 0};
		fds[1] = (struct pollfd){m->control, POLLIN, 0};
		n = 2;
		for (t = m->current; t; t = team_after(m, t))
			n = add_team(fds, n, 256, t);
		n = keeper_poll(&m->keeper, fds, n, 256);
		if (poll(fds, n, wait_ms(m)) < 0 && errno != EINTR)
			log_error("master.poll", LOG_S("error",
				strerror(errno)));
		else
			for (i = 2; i < n; i++)
				if (fds[i].revents &&
					!keeper_heard(&m->keeper, fds[i].fd))
					take_worker(m, fds[i].fd);
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
	const struct server_settings *s = m->current ?
		&m->current->config->server : NULL;
	struct team *t;

	if (s && m->control >= 0) {
		unlink(s->control_socket);
		unlink(s->pid_file);
	}
	bound_close(&m->bound);
	while ((t = m->old)) {
		m->old = t->older;
		team_free(t);
	}
	team_free(m->next);
	team_free(m->current);
	probation_free(&m->probation);
}

int
master_run(const char *config_file, bool foreground)
{
	struct master m = {.config_file = config_file, .signals = -1,
		.control = -1, .ready_pipe = -1};
	struct err e = {0};

	probation_init(&m.probation);
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
