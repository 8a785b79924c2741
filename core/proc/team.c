/*
 * team.c - starting, watching and ending the workers of one generation.
 *
 * Restart back-off: a worker that lived shorter than YOUNG doubles the pause
 * before its successor starts, up to workers.restart_most; one that lived
 * longer resets it.
 */
#include "proc/team.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proc/spawn.h"

#define YOUNG 10000	/* ms */

static bool
has_listener(const struct config *c, enum role r)
{
	size_t i;
	bool is_smtp;

	for (i = 0; i < c->n_listener; i++) {
		is_smtp = c->listener[i].protocol == SERVE_SMTP ||
			c->listener[i].protocol == SERVE_SUBMISSION ||
			c->listener[i].protocol == SERVE_LMTP;
		if (is_smtp == (r == ROLE_SMTP))
			return true;
	}
	return false;
}

static void
add_places(struct team *t, enum role r, int64_t count)
{
	int64_t i;

	if (r != ROLE_RUNNER && !has_listener(t->config, r))
		return;
	t->worker = mem_grow(t->worker,
		(t->n + (size_t)count) * sizeof *t->worker);
	for (i = 0; i < count; i++)
		t->worker[t->n++] = (struct worker){.role = r,
			.index = (unsigned)i, .control = -1,
			.pause = t->config->workers.restart_first};
}

struct team *
team_new(unsigned generation, struct config *c, struct str text, struct err *e)
{
	struct team *t = mem_alloc(sizeof *t);

	t->generation = generation;
	t->config = c;
	modules_init(&t->modules);
	t->config_fd = spawn_sealed_fd("mailroom-config", text, e);
	if (t->config_fd < 0) {
		free(t);
		return NULL;
	}
	add_places(t, ROLE_SMTP, c->workers.smtp);
	add_places(t, ROLE_MAILBOX, c->workers.mailbox);
	add_places(t, ROLE_RUNNER, 1);
	return t;
}

int
team_config_text(int fd, struct arena *a, struct str *out, struct err *e)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "configuration of a generation");
	text = arena_alloc(a, (size_t)st.st_size + 1);
	*out = str_of(text, (size_t)st.st_size);
	return file_pread_all(fd, text, out->len, 0, e);
}

/* The sockets that a worker of this role serves. */
static size_t
pick_sockets(const struct team *t, enum role r, const struct bound *b,
	struct spawn_listen *out, size_t room)
{
	size_t n = 0, i, j;

	for (i = 0; i < t->config->n_listener; i++) {
		const struct listener *l = &t->config->listener[i];
		bool is_smtp = l->protocol == SERVE_SMTP ||
			l->protocol == SERVE_SUBMISSION ||
			l->protocol == SERVE_LMTP;

		if (r == ROLE_RUNNER || is_smtp != (r == ROLE_SMTP))
			continue;
		for (j = 0; j < l->address.n && n < room; j++)
			out[n++] = (struct spawn_listen){l->name,
				bound_fd(b, l->address.item[j])};
	}
	return n;
}

static void
start_one(struct team *t, struct worker *w, const struct bound *b)
{
	struct spawn_listen listen[256];
	struct module_copy copies[SPAWN_FDS];
	struct spawn s = {.role = w->role, .generation = t->generation,
		.config_file = t->config->file, .config_fd = t->config_fd,
		.listen = listen, .isolate = t->isolate, .copies = copies};
	struct err e = {0};

	s.n_listen = pick_sockets(t, w->role, b, listen, 256);
	s.n_copies = modules_lost(&t->modules, copies,
		SPAWN_FDS - s.n_listen);
	s.orphans = w->orphans[0] ? w->orphans : NULL;
	s.suspects = w->suspects[0] ? w->suspects : NULL;
	w->ready = false;
	w->started = clock_mono();
	w->restart_at = CLOCK_NEVER;
	w->pid = spawn_worker(&s, &w->control, &e);
	if (w->pid > 0) {
		log_info("worker.start", LOG_S("kind", role_name(w->role)),
			LOG_N("worker", w->pid),
			LOG_N("generation", t->generation));
		return;
	}
	w->pid = 0;
	w->restart_at = clock_mono() + w->pause;
	log_error("worker.start", LOG_S("kind", role_name(w->role)),
		LOG_S("error", e.text));
}

void
team_start(struct team *t, const struct bound *b, bool first)
{
	int64_t now = clock_mono();
	size_t i;

	for (i = 0; i < t->n; i++) {
		struct worker *w = &t->worker[i];

		if (first && w->role == ROLE_RUNNER)
			snprintf(w->orphans, sizeof w->orphans, "%.50s/",
				t->config->server.hostname);
		if (!w->pid && w->restart_at <= now)
			start_one(t, w, b);
	}
}

static void
close_control(struct worker *w)
{
	if (w->control >= 0)
		close(w->control);
	w->control = -1;
}

static void
log_end(const struct worker *w, pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_error("worker.died", LOG_S("kind", role_name(w->role)),
			LOG_N("worker", pid),
			LOG_S("signal", strsignal(WTERMSIG(status))),
			LOG_N("restart_ms", w->pause));
	else
		log_warn("worker.ended", LOG_S("kind", role_name(w->role)),
			LOG_N("worker", pid),
			LOG_N("status", WEXITSTATUS(status)),
			LOG_N("restart_ms", w->pause));
}

/* The oldest are forgotten. */
static void
note_suspect(struct worker *w, struct str message)
{
	struct str old = str_from(w->suspects);
	char all[sizeof w->suspects];

	while (old.len && old.len + message.len + 2 > sizeof all)
		str_cut(&old, ' ');
	snprintf(all, sizeof all, "%.*s%s%.*s", STR_ARGS(old),
		old.len ? " " : "", STR_ARGS(message));
	memcpy(w->suspects, all, sizeof all);
}

/* What a worker says beside "ready" is of plugins that crash. */
static void
hear_words(struct team *t, struct worker *w, struct str words)
{
	const struct workers_settings *set = &t->config->workers;
	struct str rest = words;

	if (str_is(str_cut(&rest, ' '), "suspect"))
		note_suspect(w, rest);
	tally_heard(&t->tally, words);
	if (t->isolate)
		isolate_heard(t->isolate, words, set->crash_limit,
			set->crash_window);
}

static void
hear_last_words(struct team *t, struct worker *w)
{
	char text[128];
	ssize_t n;

	while (w->control >= 0 && (n = recv(w->control, text, sizeof text,
		MSG_DONTWAIT)) > 0)
		hear_words(t, w, str_of(text, (size_t)n));
}

/* Leases that the next runner gives back. One that was ready had given back
 * those of its predecessors; one that died before may have left theirs, and
 * taken some itself. */
static void
note_orphans(const struct team *t, struct worker *w, pid_t pid)
{
	size_t n = w->ready ? 0 : strlen(w->orphans);

	snprintf(w->orphans + n, sizeof w->orphans - n, "%s%.50s/%d:",
		n ? " " : "", t->config->server.hostname, (int)pid);
}

bool
team_ended(struct team *t, pid_t pid, int status)
{
	int64_t now = clock_mono();
	const struct workers_settings *set = &t->config->workers;
	size_t i;

	struct worker *w;

	for (i = 0; i < t->n && t->worker[i].pid != pid; i++)
		;
	if (i == t->n)
		return false;
	w = &t->worker[i];
	hear_last_words(t, w);
	if (now - w->started > YOUNG)
		w->pause = set->restart_first;
	w->crashes++;
	if (!t->draining)
		tally_worker_ended(&t->tally);
	if (!t->draining || status)
		log_end(w, pid, status);
	if (w->role == ROLE_RUNNER)
		note_orphans(t, w, pid);
	w->pid = 0;
	w->ready = false;
	w->restart_at = t->draining ? CLOCK_NEVER : now + w->pause;
	w->pause = w->pause * 2 > set->restart_most ? set->restart_most :
		w->pause * 2;
	close_control(w);
	return true;
}

bool
team_is_ready(const struct team *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!t->worker[i].ready)
			return false;
	return true;
}

bool
team_heard(struct team *t, struct worker *w)
{
	char text[128];
	ssize_t n = recv(w->control, text, sizeof text - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {		/* it is ending; waitpid will tell how */
		close_control(w);
		return false;
	}
	text[n] = '\0';
	if (strcmp(text, "ready")) {
		hear_words(t, w, str_of(text, (size_t)n));
		return false;
	}
	w->ready = true;
	log_info("worker.ready", LOG_S("kind", role_name(w->role)),
		LOG_N("worker", w->pid),
		LOG_N("after_ms", clock_mono() - w->started));
	if (t->was_ready || !team_is_ready(t))
		return false;
	t->was_ready = true;
	return true;
}

int64_t
team_next(const struct team *t)
{
	int64_t when = CLOCK_NEVER;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!t->worker[i].pid && t->worker[i].restart_at < when)
			when = t->worker[i].restart_at;
	return when;
}

struct worker *
team_find(struct team *t, int control)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->worker[i].control == control)
			return &t->worker[i];
	return NULL;
}

/* One that does not listen does not keep us. */
static void
tell_all(struct team *t, const char *word)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->worker[i].control >= 0 &&
			send(t->worker[i].control, word, strlen(word),
			MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_warn("worker.tell", LOG_S("word", word),
				LOG_N("worker", t->worker[i].pid),
				LOG_S("error", strerror(errno)));
}

static void
end_all(struct team *t, const char *word)
{
	size_t i;

	t->draining = true;
	for (i = 0; i < t->n; i++)
		t->worker[i].restart_at = CLOCK_NEVER;
	tell_all(t, word);
}

void
team_retire(struct team *t)
{
	end_all(t, "retire");
}

void
team_drain(struct team *t)
{
	end_all(t, "drain");
}

void
team_ask_rates(struct team *t)
{
	tell_all(t, "rates");
}

void
team_signal(struct team *t, int sig)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->worker[i].pid)
			kill(t->worker[i].pid, sig);
}

bool
team_is_gone(const struct team *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->worker[i].pid)
			return false;
	return true;
}

void
team_free(struct team *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->n; i++)
		close_control(&t->worker[i]);
	close(t->config_fd);
	modules_free(&t->modules);
	config_free(t->config);
	free(t->worker);
	free(t);
}
