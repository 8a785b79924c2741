/*
 * queue_work.c - the runner's delivery threads: each takes a group, attempts
 * it, tells its destination what came of that, and settles it. They are made
 * when they are needed, and stay.
 */
#include "queue/queue_parts.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "queue/retire.h"

#define FRESH_MS 1000		/* what waited less is not looked at again */
#define SETTLE_FIRST_MS 1000	/* pauses while the store fails, doubling */
#define SETTLE_MOST_MS 60000

/* The wall clock, since that is what leases are measured by. */
static bool
has_lease(const struct group *g)
{
	return clock_wall() + DELIVER_MOST_MS <= g->leased_until_ms;
}

/* False when the queue drains. */
static bool
pause_worker(struct queue *q, int64_t ms)
{
	int64_t end = clock_mono() + ms, now;
	bool go_on;

	pthread_mutex_lock(&q->lock);
	while (!q->draining && (now = clock_mono()) < end)
		queue_wait(q, &q->all_idle, end - now);
	go_on = !q->draining;
	pthread_mutex_unlock(&q->lock);
	return go_on;
}

/* What the other side has taken and the store does not know of would go out
 * twice: while the lease lasts the store is asked again. */
static void
settle(struct queue *q, struct group *g)
{
	int64_t pause = SETTLE_FIRST_MS;
	struct err e = {0};

	while (retire_group(&q->house, g, &e) < 0) {
		log_error("queue.settle", LOG_S("message", g->trace),
			LOG_S("error", e.text));
		if (clock_wall() + pause > g->leased_until_ms ||
			!pause_worker(q, pause))
			return;
		pause = pause * 2 > SETTLE_MOST_MS ? SETTLE_MOST_MS :
			pause * 2;
	}
	if (g->deferred)	/* due earlier than the claimer knows */
		queue_poke(q);
}

/* Once: its next attempt is made again. */
static bool
is_suspect(struct queue *q, const struct group *g)
{
	struct str all = str_from(q->suspects), one;
	bool found = false;

	pthread_mutex_lock(&q->lock);
	while (!found && (one = str_word(&all)).len) {
		found = str_is(one, g->trace);
		if (found)
			memset(q->suspects + (one.at - q->suspects), ' ',
				one.len);
	}
	pthread_mutex_unlock(&q->lock);
	return found;
}

/* ------------------------------------------- a destination that is down */

/* Its sender has to be told that it is late, and it was never tried: what its
 * destination said to others stands for an attempt. */
static bool
is_late_untried(const struct queue *q, const struct group *g)
{
	int64_t warning = q->house.settings->delay_warning;
	size_t i;

	if (!warning || clock_wall() - g->created_ms < warning)
		return false;
	for (i = 0; i < g->n; i++)
		if (g->item[i].attempts)
			return false;
	return true;
}

static void
settle_untried(struct queue *q, struct group *g, int64_t until,
	const char *reason)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		g->item[i].reply = reply_printf(&g->arena, 451, "4.4.1", "%s",
			reason);
	g->retry_ms = until;
	settle(q, g);
}

static void
put_back(struct queue *q, struct group *list, int64_t until,
	const char *reason)
{
	const struct store *s = &q->house.store;
	struct mr_queue_change c = {.size = sizeof c, .op = MR_QUEUE_RETURN,
		.owner = q->house.owner, .next_ms = clock_wall()};
	int64_t id[QUEUE_GROUP_MOST];
	struct mr_error me = {{0}};
	struct group *next;
	uint32_t n;

	for (; list; list = next) {
		next = list->next;
		if (is_late_untried(q, list)) {
			settle_untried(q, list, until, reason);
			queue_free_group(list);
			continue;
		}
		for (c.n = 0; c.n < list->n; c.n++)
			id[c.n] = list->item[c.n].id;
		c.id = id;
		if (store_queue_change(s, &c, &n, &me) != MR_STORE_OK)
			log_error("queue.return", LOG_S("error", me.text));
		queue_free_group(list);
	}
}

/* The group's destination is left alone now. Sets when it is tried again, and
 * takes out what waits. Lock held. */
static struct group *
close_destination(struct queue *q, struct group *g)
{
	const struct queue_settings *s = q->house.settings;
	int64_t most = s->probe_most < s->retry_most ? s->probe_most :
		s->retry_most, pause;
	struct destination *d = g->to;
	uint32_t random;
	size_t i;

	enc_random(&random, sizeof random);
	pause = sched_pause(s->retry_first, most, d->pace.pauses, random);
	d->pace.until = clock_mono() + pause;
	for (i = 0; i < g->n && g->item[i].reply.code / 100 != 4; i++)
		;
	free(d->reason);
	d->reason = mem_cstr(i < g->n ? arena_cstr(&g->arena,
		g->item[i].reply.text) : "no answer");
	destination_rest(&q->to, d);
	return destination_drop_waiting(&q->to, d);
}

/* Is it to be returned unsent? Then its reply is set. */
static bool
has_outlived(struct queue *q, struct group *g)
{
	struct destination *d;
	bool is_down;
	size_t i;

	pthread_mutex_lock(&q->lock);
	d = queue_destination(q, g->next_hop, g->sender, &g->hop);
	is_down = d->pace.until > clock_mono();
	for (i = 0; i < g->n && is_down; i++)
		g->item[i].reply = reply_printf(&g->arena, 451, "4.4.1", "%s",
			d->reason);
	pthread_mutex_unlock(&q->lock);
	return is_down;
}

/* Messages that expire while nothing is tried. */
static void
return_expired(struct queue *q, const struct group *g)
{
	bool is_own = str_is(g->next_hop, g->to->key);
	struct mr_claim terms = {.expired_of = is_own ?
		g->to->key : ""};
	struct group *one, *next;
	struct queue_claim c;

	do {
		if (queue_claim_once(q, &c, &terms) != MR_STORE_OK)
			return;
		for (one = c.first; one; one = next) {
			next = one->next;
			one->next = NULL;
			if (!has_outlived(q, one)) {
				queue_take_in(q, one);
				continue;
			}
			settle(q, one);
			queue_free_group(one);
		}
	} while (c.n);
}

/* For `mailroom queue`: which destination is down, until when and why. */
static void
publish(struct queue *q, const struct destination *d, int64_t until,
	const char *reason)
{
	const struct store *s = &q->house.store;
	struct mr_error me = {{0}};
	char key[640], value[300];
	int n;

	snprintf(key, sizeof key, QUEUE_DOWN "%s", d->key);
	n = snprintf(value, sizeof value, "%lld %s", (long long)until, reason);
	if (s->op->state_set(s->self, QUEUE_SPACE, key, (struct mr_str){value,
		(size_t)n < sizeof value ? (size_t)n : sizeof value - 1},
		until, &me) != MR_STORE_OK)
		log_error("queue.publish", LOG_S("error", me.text));
}

/* Takes to heart what the attempt says of the destination, before the fates
 * are written, since they depend on it. */
static void
heed(struct queue *q, struct group *g, enum outcome outcome)
{
	struct group *waiting = NULL;
	int64_t now = clock_mono(), until;
	const char *reason;
	enum news news;

	pthread_mutex_lock(&q->lock);
	news = destination_heed(g, outcome, now);
	if (news == NEWS_DOWN)
		waiting = close_destination(q, g);
	if (news == NEWS_MORE || news == NEWS_BACK)
		queue_call_workers(q);
	if (news == NEWS_BACK)
		q->to.is_hungry = true;
	if (q->to.is_hungry || news == NEWS_DOWN)
		pthread_cond_signal(&q->claim_now);
	until = clock_wall() + g->to->pace.until - now;
	reason = arena_cstr(&g->arena, str_from(g->to->reason));
	if (outcome == OUTCOME_BAD && g->to->pace.until > now)
		g->retry_ms = until;
	pthread_mutex_unlock(&q->lock);
	if (news == NEWS_DOWN) {
		log_info("queue.down", LOG_S("destination", g->to->key),
			LOG_S("reason", reason),
			LOG_N("seconds", (until - clock_wall()) / 1000));
		put_back(q, waiting, until, reason);
		publish(q, g->to, until, reason);
	} else if (news == NEWS_BACK) {
		log_info("queue.back", LOG_S("destination", g->to->key));
		publish(q, g->to, 1, "");
	}
}

static int
pass_over(void *arg, const struct mr_queue_item *i)
{
	(void)arg;
	(void)i;
	return 0;
}

/* What the admin dropped while it waited here does not go out. */
static void
forget_dropped(struct queue *q, struct group *g)
{
	const struct store *s = &q->house.store;
	struct mr_error me;
	size_t i, kept = 0;

	if (clock_mono() - g->claimed < FRESH_MS)
		return;
	for (i = 0; i < g->n; i++)
		if (s->op->queue_list(s->self, g->item[i].id, pass_over, NULL,
			&me) != MR_STORE_MISSING)
			g->item[kept++] = g->item[i];
	g->n = kept;
}

static void
work_on(struct queue *q, struct group *g)
{
	enum outcome outcome = OUTCOME_NONE;
	struct conn *conn;
	size_t i;

	if (!has_lease(g)) {
		/* It waited too long here. It is due again when its lease
		 * has run out. */
		log_info("queue.lease", LOG_S("message", g->trace),
			LOG_STR("next_hop", g->next_hop));
		return;
	}
	forget_dropped(q, g);
	if (!g->n)
		return;
	if (is_suspect(q, g))
		for (i = 0; i < g->n; i++)
			g->item[i].reply = REPLY(451, "4.3.0", "the transport "
				"crashed on this message");
	else
		outcome = deliver_group(&q->house, &q->tools, g);
	heed(q, g, outcome);
	settle(q, g);
	/* Only now may the next message go over it: if we are killed, each
	 * connection has at most one that is taken but not settled. */
	while ((conn = g->conns)) {
		g->conns = conn->next;
		conns_give(q->tools.conns, conn);
	}
	if (outcome == OUTCOME_BAD && g->retry_ms)
		return_expired(q, g);
}

/* The next group that may go; lock held. The claimer is told what it is to do,
 * or to look at, earlier than it knew. */
static struct group *
take_group(struct queue *q)
{
	int64_t wake = q->to.wake;
	struct group *g = destinations_take(&q->to, clock_mono());

	if (q->full && q->to.n_waiting <= QUEUE_WAITING_MOST / 2) {
		q->full = false;
		q->to.is_hungry = true;
	}
	if (q->to.is_hungry || q->to.wake < wake)
		pthread_cond_signal(&q->claim_now);
	return g;
}

static void *
run_worker(void *arg)
{
	struct queue *q = arg;
	struct group *g;

	pthread_mutex_lock(&q->lock);
	while (!q->draining) {
		g = take_group(q);
		if (!g) {
			q->n_idle++;
			pthread_cond_wait(&q->work_now, &q->lock);
			q->n_idle--;
			continue;
		}
		queue_call_workers(q);
		pthread_mutex_unlock(&q->lock);
		work_on(q, g);
		pthread_mutex_lock(&q->lock);
		destination_end(&q->to, g);
		queue_free_group(g);
		pthread_cond_broadcast(&q->all_idle);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

static bool
start_worker(struct queue *q)
{
	pthread_attr_t attr;
	int code;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, QUEUE_STACK);
	code = pthread_create(&q->worker[q->n_worker], &attr, run_worker, q);
	pthread_attr_destroy(&attr);
	if (code)
		log_error("queue.thread", LOG_S("error", strerror(code)));
	q->n_worker += !code;
	return !code;
}

/* A thread that was called before and has not come yet is counted as idle, so
 * one call may be for two groups: each that takes a group calls again. */
void
queue_call_workers(struct queue *q)
{
	unsigned spare = q->to.most_busy - q->to.n_busy, i, idle = q->n_idle;
	unsigned n = destinations_ready(&q->to, spare, clock_mono());

	for (i = 0; i < n && i < idle; i++)
		pthread_cond_signal(&q->work_now);
	for (; i < n && q->n_worker < q->to.most_busy; i++)
		if (!start_worker(q))
			return;
}
