/*
 * probation.c - comparing a generation with the one before.
 */
#include "proc/probation.h"

#include "base/clock.h"
#include "base/log.h"

#define ASK_MS 1000

/* Two workers, or four processes of plugins; ten messages. */
static const struct tally_limits bad = {.score = 4, .failures = 10};
/* Not bad yet, but nothing to go back to. */
static const struct tally_limits doubtful = {.score = 1, .failures = 2};

/* ----------------------------------------------------- what has changed */

/* [KIND.NAME], or NULL. The name may have dots in it. */
static const struct conf_node *
section(const struct config *c, const char *kind, const char *name)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), kind), *n;
	struct str key;
	size_t at = 0;

	while (all && (n = conf_next(all, &at, &key)))
		if (str_is(key, name) && conf_type_of(n) == CONF_TABLE)
			return n;
	return NULL;
}

static bool
is_same_section(const struct config *a, const struct conf_node *of_a,
	const struct config *b, const struct conf_node *of_b)
{
	const struct conf_node *n, *m;
	struct str key, other;
	size_t i = 0, j = 0;

	if (!of_a || !of_b)
		return of_a == of_b;
	do {
		n = conf_next(of_a, &i, &key);
		m = conf_next(of_b, &j, &other);
		if (n && m && (!str_eq(key, other) ||
			!str_eq(conf_raw(a->doc, n), conf_raw(b->doc, m))))
			return false;
	} while (n && m);
	return n == m;
}

static const char *
path_of(const struct config *c, const char *name, struct arena *a)
{
	const struct conf_node *n = section(c, "plugin", name);

	return n ? plugin_path(a, name, c->server.plugin_dir, c->doc, n) : "";
}

/* Is the plugin or milter what it was? */
static bool
is_same(const struct team *before, const struct team *now, const char *name)
{
	const struct config *old = before->config, *new = now->config;
	struct arena a;
	bool same;

	if (!is_same_section(old, section(old, "plugin", name), new,
		section(new, "plugin", name)) ||
		!is_same_section(old, section(old, "milter", name), new,
		section(new, "milter", name)))
		return false;
	arena_init(&a);
	same = modules_are_same(&before->modules, path_of(old, name, &a),
		&now->modules, path_of(new, name, &a));
	arena_free(&a);
	return same;
}

/* The plugin that is not what it was and crashed most, though it may have
 * done so in a place that nobody could name. False: all are as they were. */
static bool
find_suspect(const struct team *before, const struct team *now,
	struct blame *out)
{
	const struct conf_node *all = conf_find(conf_root(now->config->doc),
		"plugin"), *n;
	const struct tally_plugin *p;
	struct arena a;
	struct str key;
	size_t at = 0;

	arena_init(&a);
	while (all && (n = conf_next(all, &at, &key))) {
		const char *name = arena_cstr(&a, key);

		p = tally_find(&now->tally, name);
		if ((*out->plugin && (!p || p->crashes <= out->crashes)) ||
			is_same(before, now, name))
			continue;
		snprintf(out->plugin, sizeof out->plugin, "%s", name);
		out->crashes = p ? p->crashes : 0;
	}
	arena_free(&a);
	return *out->plugin;
}

/* ------------------------------------------------------------- judgement */

static bool
blame_crashes(const struct team *before, const struct team *now,
	const struct tally_limits *limits, struct blame *out)
{
	if (!tally_crashes(&before->tally, &now->tally, limits) ||
		!find_suspect(before, now, out))
		return false;
	if (out->crashes)
		snprintf(out->why, sizeof out->why, "it crashed %u times",
			out->crashes);
	else
		snprintf(out->why, sizeof out->why, "it is new, and %u "
			"workers crashed, not seen to be in it",
			now->tally.crashes);
	return true;
}

static bool
blame_failures(const struct team *before, const struct team *now,
	const struct tally_limits *limits, struct blame *out)
{
	size_t i;

	for (i = 0; i < now->tally.n; i++) {
		const struct tally_plugin *p = &now->tally.plugin[i];

		if (!tally_fails(&before->tally, p, limits) ||
			is_same(before, now, p->name))
			continue;
		snprintf(out->plugin, sizeof out->plugin, "%s", p->name);
		snprintf(out->why, sizeof out->why,
			"%llu of %llu messages failed in it",
			(unsigned long long)p->failures,
			(unsigned long long)p->messages);
		return true;
	}
	return false;
}

static bool
is_worse(const struct team *before, const struct team *now,
	const struct tally_limits *limits, struct blame *out)
{
	*out = (struct blame){.crashes = 0};
	return blame_crashes(before, now, limits, out) ||
		blame_failures(before, now, limits, out);
}

/* ------------------------------------------------------------------ life */

static void
carry(const struct team *before, struct team *now)
{
	size_t i;

	for (i = 0; i < before->tally.n; i++)
		if (is_same(before, now, before->tally.plugin[i].name))
			tally_carry(&now->tally, &before->tally.plugin[i]);
}

void
probation_begin(struct probation *p, struct team *before, struct team *now)
{
	struct blame doubt;

	carry(before, now);
	if (!p->before || !is_worse(p->before, before, &doubtful,
		&doubt))
		p->before = before;
	p->until = clock_mono() + now->config->workers.probation;
	p->ask_at = clock_mono() + ASK_MS;
	if (!now->config->workers.probation)
		probation_end(p);
}

void
probation_end(struct probation *p)
{
	p->before = NULL;
}

bool
probation_has_failed(struct probation *p, struct team *now)
{
	int64_t at = clock_mono();

	if (!p->before)
		return false;
	if (is_worse(p->before, now, &bad, &p->blame))
		return true;
	if (at >= p->ask_at) {
		team_ask_rates(now);
		p->ask_at = at + ASK_MS;
	}
	if (at >= p->until) {
		log_info("master.proven", LOG_N("generation", now->generation));
		probation_end(p);
	}
	return false;
}

int64_t
probation_when(const struct probation *p)
{
	if (!p->before)
		return CLOCK_NEVER;
	return p->ask_at < p->until ? p->ask_at : p->until;
}
