/*
 * destination.c - turns, windows and pauses of destinations. Called under the
 * queue's lock by the claimer and the delivery threads.
 *
 * Those with something waiting stand in a ring and take turns. How many of a
 * destination's groups are kept here follows how fast it takes them, so that
 * a slow one holds few and a fast one is never without. A quarter of the
 * threads is kept for destinations that are known to answer: any number of
 * others cannot stop them.
 */
#include "queue/destination.h"

#include <assert.h>

#include "base/arena.h"
#include "base/clock.h"
#include "queue/deliver.h"

#define LIMIT_MOST 400		/* groups of one destination */
#define KEPT_MS 600000		/* what was learned, while nothing is sent */
#define MANY 2000		/* destinations; beyond that only so long: */
#define KEPT_OF_MANY_MS 10000

void
destinations_init(struct destinations *all, unsigned most_busy,
	unsigned most_waiting)
{
	*all = (struct destinations){.most_busy = most_busy,
		.most_waiting = most_waiting, .wake = CLOCK_NEVER};
	map_init(&all->all);
}

struct destination *
destinations_get(struct destinations *all, struct str key, unsigned most,
	int64_t gap)
{
	struct destination *d = map_get(&all->all, key);

	if (d)
		return d;
	d = mem_alloc(sizeof *d);
	d->key = mem_alloc(key.len + 1);
	memcpy(d->key, key.at, key.len);
	d->most = most;
	d->gap = gap;
	sched_pace_init(&d->pace, most);
	map_put(&all->all, key, d);
	return d;
}

/* ------------------------------------------------------------------ room */

static unsigned
started_lately(const struct destination *d, int64_t now)
{
	int64_t age = now - d->second;

	return age < 1000 ? (d->started > d->started_before ? d->started :
		d->started_before) : age < 2000 ? d->started : 0;
}

static void
count_start(struct destination *d, int64_t now)
{
	int64_t age = now - d->second;

	if (age >= 1000) {
		d->started_before = age < 2000 ? d->started : 0;
		d->started = 0;
		d->second = now;
	}
	d->started++;
}

static unsigned
limit_of(const struct destinations *all, const struct destination *d,
	int64_t now)
{
	unsigned window = (unsigned)d->pace.window, limit;

	if (d->pace.pauses)
		return 1;
	limit = window + 1;
	/* When memory runs short none has more than it can begin. */
	if (all->n_waiting < all->most_waiting / 2)
		limit += 10 + window + started_lately(d, now) / 2;
	return limit < LIMIT_MOST ? limit : LIMIT_MOST;
}

unsigned
destination_room(struct destinations *all, struct destination *d, int64_t now)
{
	d->used = now;
	d->limit = limit_of(all, d, now);
	if (d->pace.until <= now && d->n_waiting < d->limit)
		return d->limit - d->n_waiting;
	d->is_starved = true;
	if (d->pace.until > now && d->pace.until < all->wake)
		all->wake = d->pace.until;
	return 0;
}

/* -------------------------------------------------------- what waits */

static void
enter_ring(struct destinations *all, struct destination *d)
{
	struct destination *at = all->turn;

	if (!at) {
		all->turn = d->next = d->prev = d;
		return;
	}
	d->next = at;		/* last in turn */
	d->prev = at->prev;
	at->prev->next = d;
	at->prev = d;
}

static void
leave_ring(struct destinations *all, struct destination *d)
{
	if (all->turn == d)
		all->turn = d->next == d ? NULL : d->next;
	d->next->prev = d->prev;
	d->prev->next = d->next;
	d->next = d->prev = NULL;
}

void
destination_add(struct destinations *all, struct destination *d,
	struct group *g)
{
	struct group **at, **place = NULL;

	g->to = d;
	g->turn = d->turn + 1;
	for (at = &d->waiting; *at; at = &(*at)->next)
		if ((*at)->priority == g->priority &&
			str_eq((*at)->sender, g->sender) &&
			(*at)->turn >= g->turn)
			g->turn = (*at)->turn + 1;
	for (at = &d->waiting; *at && !place; at = &(*at)->next)
		if ((*at)->priority < g->priority ||
			((*at)->priority == g->priority &&
			(*at)->turn > g->turn))
			place = at;
	if (!place)
		place = at;
	g->next = *place;
	*place = g;
	if (d->n_waiting++ == 0)
		enter_ring(all, d);
	if (d->n_waiting >= d->limit)
		d->is_starved = true;
	all->n_waiting++;
	all->n_special += g->priority != 0;
}

static struct group *
take_first(struct destinations *all, struct destination *d)
{
	struct group *g = d->waiting;

	d->waiting = g->next;
	g->next = NULL;
	if (--d->n_waiting == 0)
		leave_ring(all, d);
	all->n_waiting--;
	all->n_special -= g->priority != 0;
	return g;
}

struct group *
destination_drop_waiting(struct destinations *all, struct destination *d)
{
	struct group *first = NULL, **end = &first;

	while (d->waiting) {
		*end = take_first(all, d);
		end = &(*end)->next;
	}
	return first;
}

/* ------------------------------------------------------------------ turns */

/* Threads that destinations may still take which are not known to answer. */
static unsigned
spare_unproven(const struct destinations *all)
{
	unsigned most = (all->most_busy * 3 + 3) / 4;

	return all->n_unproven < most ? most - all->n_unproven : 0;
}

static int64_t
may_start(const struct destination *d)
{
	return d->pace.until > d->next_start ? d->pace.until : d->next_start;
}

static unsigned
ready_of(const struct destination *d, int64_t now)
{
	unsigned window = (unsigned)d->pace.window, can;

	if (d->n_busy >= window || may_start(d) > now)
		return 0;
	can = d->gap ? 1 : window - d->n_busy;
	return can < d->n_waiting ? can : d->n_waiting;
}

static bool
may_go(struct destinations *all, const struct destination *d, int64_t now)
{
	int64_t when = may_start(d);

	if (d->n_busy >= (unsigned)d->pace.window)
		return false;
	if (!d->is_proven && !spare_unproven(all))
		return false;
	if (when > now && when < all->wake)
		all->wake = when;
	return when <= now;
}

struct group *
destinations_take(struct destinations *all, int64_t now)
{
	struct destination *d = all->turn, *best = NULL;
	struct group *g;

	if (!d || all->n_busy >= all->most_busy)
		return NULL;
	do {
		if (may_go(all, d, now) && (!best ||
			d->waiting->priority > best->waiting->priority))
			best = d;
		d = d->next;
	} while (d != all->turn && !(best && !all->n_special));
	if (!best)
		return NULL;
	all->turn = best->next;
	g = take_first(all, best);
	best->turn = g->turn;
	best->used = now;
	best->n_busy++;
	best->next_start = now + best->gap;
	count_start(best, now);
	all->n_busy++;
	g->is_unproven = !best->is_proven;
	all->n_unproven += g->is_unproven;
	if (best->is_starved && best->n_waiting * 2 <= best->limit) {
		best->is_starved = false;
		all->is_hungry = true;
	}
	return g;
}

unsigned
destinations_ready(const struct destinations *all, unsigned most, int64_t now)
{
	const struct destination *d = all->turn;
	unsigned n = 0, left = spare_unproven(all), can;

	if (!d)
		return 0;
	do {
		can = ready_of(d, now);
		if (!d->is_proven) {
			can = can < left ? can : left;
			left -= can;
		}
		n += can;
		d = d->next;
	} while (d != all->turn && n < most);
	return n < most ? n : most;
}

enum news
destination_heed(const struct group *g, enum outcome outcome, int64_t now)
{
	struct destination *d = g->to;
	bool was_proven = d->is_proven;
	unsigned window = (unsigned)d->pace.window;

	if (outcome == OUTCOME_GOOD) {
		d->is_proven = true;
		if (sched_pace_good(&d->pace, d->most))
			return NEWS_BACK;
		return d->n_waiting && (!was_proven ||
			(unsigned)d->pace.window > window) ? NEWS_MORE :
			NEWS_NONE;
	}
	if (outcome == OUTCOME_BAD && sched_pace_bad(&d->pace, now)) {
		d->is_proven = false;
		return NEWS_DOWN;
	}
	return NEWS_NONE;
}

void
destination_end(struct destinations *all, const struct group *g)
{
	struct destination *d = g->to;

	assert(d->n_busy > 0);
	d->n_busy--;
	all->n_busy--;
	all->n_unproven -= g->is_unproven;
}

void
destination_rest(struct destinations *all, struct destination *d)
{
	d->is_starved = true;
	if (d->pace.until < all->wake)
		all->wake = d->pace.until;
}

/* ---------------------------------------------------------------- times */

void
destinations_wake(struct destinations *all, int64_t now)
{
	struct str key;
	size_t at = 0;
	void *value;

	all->wake = CLOCK_NEVER;
	while (map_next(&all->all, &at, &key, &value)) {
		struct destination *d = value;

		if (d->pace.until > now && d->pace.until < all->wake)
			all->wake = d->pace.until;
		if (d->pace.until && d->pace.until <= now && d->is_starved) {
			d->is_starved = false;
			all->is_hungry = true;
		}
	}
}

void
destinations_end_pauses(struct destinations *all)
{
	struct str key;
	size_t at = 0;
	void *value;

	while (map_next(&all->all, &at, &key, &value)) {
		struct destination *d = value;

		if (d->pace.until)
			d->pace.until = 1;	/* long ago */
	}
	all->wake = 0;
}

void
destinations_sweep(struct destinations *all, int64_t now)
{
	int64_t kept = all->all.count > MANY ? KEPT_OF_MANY_MS : KEPT_MS;
	struct destination *stale = NULL, *d;
	struct str key;
	size_t at = 0;
	void *value;

	while (map_next(&all->all, &at, &key, &value)) {
		d = value;
		if (d->n_waiting || d->n_busy || d->pace.until > now ||
			now - d->used <= kept)
			continue;
		d->next = stale;	/* nothing waits: not in the ring */
		stale = d;
	}
	while ((d = stale)) {
		stale = d->next;
		map_remove(&all->all, str_from(d->key));
		free(d->reason);
		free(d->key);
		free(d);
	}
}
