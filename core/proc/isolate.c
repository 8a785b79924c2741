/*
 * isolate.c - counting the crashes of plugins and moving repeat offenders
 * out of the workers.
 */
#include "proc/isolate.h"

#include "base/clock.h"
#include "base/log.h"

static struct isolate_count *
find(struct isolate_ledger *i, struct str name)
{
	size_t at;

	for (at = 0; at < i->n; at++)
		if (str_is(name, i->plugin[at].name))
			return &i->plugin[at];
	if (i->n == ISOLATE_NAMES || !name.len ||
		name.len >= sizeof i->plugin[0].name)
		return NULL;
	memcpy(i->plugin[i->n].name, name.at, name.len);
	return &i->plugin[i->n++];
}

/* A crash in a worker. The ring holds the last `limit` of them: the one that
 * is overwritten next is the oldest. */
static bool
count_crash(struct isolate_count *p, int64_t limit, int64_t window_ms)
{
	int64_t now = clock_mono();
	size_t i, recent = 0;

	p->recent[p->crashes++ % ISOLATE_LIMIT] = now;
	if (!limit || p->is_moved)
		return false;
	for (i = 0; i < ISOLATE_LIMIT; i++)
		recent += p->recent[i] && now - p->recent[i] <= window_ms;
	if ((int64_t)recent < limit)
		return false;
	p->is_moved = true;
	log_warn("plugin.isolate", LOG_S("plugin", p->name),
		LOG_N("crashes", recent), LOG_N("within_s", window_ms / 1000),
		LOG_S("now", "if a filter, it runs in a process of its own"));
	return true;
}

bool
isolate_heard(struct isolate_ledger *i, struct str words, int64_t limit,
	int64_t window_ms)
{
	struct str what = str_cut(&words, ' ');
	struct isolate_count *p;

	if (!str_is(what, "crash") && !str_is(what, "died") &&
		!str_is(what, "restart"))
		return false;
	p = find(i, words);
	if (!p)
		return false;
	if (str_is(what, "crash"))
		return count_crash(p, limit, window_ms);
	if (str_is(what, "died"))
		p->crashes++;
	else
		p->restarts++;
	return false;
}

void
isolate_mark(struct isolate_ledger *i)
{
	size_t at;

	for (at = 0; at < i->n; at++)
		i->plugin[at].was_moved = i->plugin[at].is_moved;
}

void
isolate_forgive(struct isolate_ledger *i)
{
	size_t at;

	for (at = 0; at < i->n; at++) {
		struct isolate_count *p = &i->plugin[at];

		p->is_moved = p->was_moved;
		memset(p->recent, 0, sizeof p->recent);
	}
}
