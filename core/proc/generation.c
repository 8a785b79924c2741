/*
 * generation.c - reading, starting, replacing and ending teams.
 */
#include "proc/generation.h"

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"

#define OLD_MOST 8	/* teams that end at once */

/* --------------------------------------------------------------- reading */

static struct team *
make_team(struct generations *g, struct str text, struct err *e)
{
	struct conf_report report;
	struct team *t = NULL;
	struct config *c;

	conf_report_init(&report);
	c = config_parse(text, g->config_file, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	if (report.errors)
		err_set(e, ERR_CONFIG, "%s has %u error%s", g->config_file,
			report.errors, report.errors == 1 ? "" : "s");
	else
		t = team_new(++g->newest, c, text, e);
	if (t)
		t->isolate = &g->isolate;
	else
		config_free(c);
	conf_report_free(&report);
	return t;
}

static struct team *
read_team(struct generations *g, struct err *e)
{
	struct team *t = NULL;
	struct arena a;
	struct str text;

	arena_init(&a);
	if (config_read(g->config_file, &a, &text, e) == 0)
		t = make_team(g, text, e);
	arena_free(&a);
	return t;
}

static void
set_log(const struct config *c)
{
	log_open(2, (enum log_level)c->log.level, c->log.format == 1,
		"master");
}

int
generation_first(struct generations *g, struct err *e)
{
	g->current = read_team(g, e);
	if (!g->current)
		return -1;
	modules_take(&g->current->modules, g->current->config, NULL);
	set_log(g->current->config);
	return 0;
}

/* ----------------------------------------------------------- looking over */

struct team *
generation_after(const struct generations *g, const struct team *t)
{
	if (!t)
		return g->current;
	if (t == g->current && g->next)
		return g->next;
	return t == g->current || t == g->next ? g->old : t->older;
}

bool
generation_all_gone(const struct generations *g)
{
	const struct team *t;

	for (t = g->current; t; t = generation_after(g, t))
		if (!team_is_gone(t))
			return false;
	return true;
}

bool
generation_can_reload(const struct generations *g)
{
	const struct team *t;
	unsigned n = 0;

	for (t = g->old; t; t = t->older)
		n += !team_is_gone(t);
	return !g->next && !g->is_stopping && n < OLD_MOST;
}

/* ------------------------------------------------------------- replacing */

/* The team that is to take over begins to start. */
static void
begin_next(struct generations *g, struct team *t, struct err *e)
{
	g->next = t;
	if (g->next && bound_take(&g->bound, g->next->config, e) < 0) {
		bound_trim(&g->bound, g->current->config);
		team_free(g->next);
		g->next = NULL;
	}
	if (!g->next) {
		log_error("master.reload", LOG_S("error", e->text),
			LOG_S("kept", "the configuration in use"));
		return;
	}
	log_info("master.reload", LOG_N("generation", g->next->generation));
	team_start(g->next, &g->bound, false);
}

void
generation_reload(struct generations *g)
{
	struct err e = {0};
	struct team *t = read_team(g, &e);

	g->wants_reload = g->rolls_back = false;
	if (t)
		modules_take(&t->modules, t->config, &g->current->modules);
	/* So that the new ones' figures have something to be compared with. */
	team_ask_rates(g->current);
	begin_next(g, t, &e);
}

/* Text and modules of a team that was. */
static struct team *
make_again(struct generations *g, const struct team *like, struct err *e)
{
	struct team *t = NULL;
	struct arena a;
	struct str text;

	arena_init(&a);
	if (team_config_text(like->config_fd, &a, &text, e) == 0)
		t = make_team(g, text, e);
	if (t)
		modules_share(&t->modules, &like->modules);
	arena_free(&a);
	return t;
}

static void
roll_back(struct generations *g)
{
	const struct probation *p = &g->probation;
	struct err e = {0};

	log_error("master.rollback", LOG_S("plugin", p->blame.plugin),
		LOG_S("reason", p->blame.why),
		LOG_N("generation", g->current->generation),
		LOG_N("back_to", p->before->generation));
	isolate_forgive(&g->isolate);
	g->rolls_back = true;
	begin_next(g, make_again(g, p->before, &e), &e);
	/* Once is enough, even if it cannot start. */
	probation_end(&g->probation);
}

static void
retire(struct generations *g, struct team *t)
{
	t->deadline = clock_mono() + GENERATION_GRACE_MS +
		t->config->workers.drain_timeout;
	t->older = g->old;
	g->old = t;
	team_retire(t);
}

/* What came back was proved before. */
static void
note_change(struct generations *g, struct team *before)
{
	const struct blame *b = &g->probation.blame;

	isolate_mark(&g->isolate);
	g->rolled_back_from = g->rolls_back ? before->generation : 0;
	if (g->rolls_back)
		snprintf(g->rolled_back_why, sizeof g->rolled_back_why,
			"%s: %s", b->plugin, b->why);
	else
		probation_begin(&g->probation, before, g->current);
}

/* The new team is ready: it is the server now. */
static void
switch_over(struct generations *g)
{
	struct team *before = g->current;

	g->current = g->next;
	g->next = NULL;
	set_log(g->current->config);
	note_change(g, before);
	retire(g, before);
	bound_trim(&g->bound, g->current->config);
	log_info("master.reloaded",
		LOG_N("generation", g->current->generation));
}

/* The new team failed to start: the old one never stopped serving. Those of
 * the new one that were ready may have sessions. */
static void
abandon_next(struct generations *g)
{
	struct team *failed = g->next;

	log_error("master.reload", LOG_S("error",
		"a new worker did not become ready"),
		LOG_S("kept", "the configuration in use"));
	g->next = NULL;
	retire(g, failed);
	bound_trim(&g->bound, g->current->config);
}

/* --------------------------------------------------------------- hearing */

bool
generation_ended(struct generations *g, pid_t pid, int status)
{
	struct team *t;

	for (t = g->current; t && !team_ended(t, pid, status);)
		t = generation_after(g, t);
	if (t && t == g->next)
		abandon_next(g);
	return t == g->current && !t->was_ready && !g->is_stopping;
}

/* The worker whose channel this is; *t its team. */
static struct worker *
find_worker(struct generations *g, int fd, struct team **t)
{
	struct worker *w = NULL;

	for (*t = g->current; *t; *t = generation_after(g, *t)) {
		w = team_find(*t, fd);
		if (w)
			break;
	}
	return w;
}

bool
generation_heard(struct generations *g, int fd)
{
	struct team *t;
	struct worker *w = find_worker(g, fd, &t);

	if (!w || !team_heard(t, w))
		return false;
	if (t == g->next)
		switch_over(g);
	else if (t == g->current)
		return true;
	return false;
}

/* ------------------------------------------------------------------ time */

static void
end_old(struct generations *g, int64_t now)
{
	struct team **at = &g->old, *t;

	while ((t = *at)) {
		if (team_is_gone(t) && t != g->probation.before) {
			*at = t->older;
			team_free(t);
			continue;
		}
		at = &t->older;
		if (now < t->deadline)
			continue;
		team_signal(t, SIGKILL);
		t->deadline = now + 1000;
	}
}

void
generation_settle(struct generations *g)
{
	int64_t now = clock_mono();

	if (!g->is_stopping)
		team_start(g->current, &g->bound, false);
	end_old(g, now);
	if (generation_can_reload(g) &&
		probation_has_failed(&g->probation, g->current))
		roll_back(g);
	if (g->wants_reload && generation_can_reload(g))
		generation_reload(g);
}

int64_t
generation_when(const struct generations *g)
{
	int64_t when = team_next(g->current);
	const struct team *t;

	if (generation_can_reload(g) && probation_when(&g->probation) < when)
		when = probation_when(&g->probation);
	for (t = g->old; t; t = t->older)
		if (!team_is_gone(t) && t->deadline < when)
			when = t->deadline;
	return when;
}

/* ---------------------------------------------------------------- status */

static json_t *
describe_workers(const struct team *t)
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

void
generation_describe(const struct generations *g, json_t *status)
{
	json_object_set_new(status, "generation",
		json_integer(g->current->generation));
	json_object_set_new(status, "ready", json_boolean(
		team_is_ready(g->current) && !g->is_stopping));
	json_object_set_new(status, "workers", describe_workers(g->current));
	json_object_set_new(status, "plugins", describe_plugins(&g->isolate));
	json_object_set_new(status, "probation",
		json_boolean(g->probation.before != NULL));
	json_object_set_new(status, "rolled_back_from",
		json_integer(g->rolled_back_from));
	json_object_set_new(status, "rolled_back_why",
		json_string(g->rolled_back_why));
}

/* ------------------------------------------------------------------- end */

void
generation_free(struct generations *g)
{
	struct team *t;

	bound_close(&g->bound);
	while ((t = g->old)) {
		g->old = t->older;
		team_free(t);
	}
	team_free(g->next);
	team_free(g->current);
}
