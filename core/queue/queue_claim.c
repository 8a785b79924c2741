/*
 * queue_claim.c - the runner's claimer: what is due and has room comes into
 * memory. It also looks after the times at which something may go again, and
 * hears what the admin wants.
 */
#include "queue/queue_parts.h"

#include "base/clock.h"
#include "base/log.h"

#define LEASE_MS (3 * DELIVER_MOST_MS)
#define POLL_MS 60000		/* a lost hint costs at most this */
#define CLAIM_MOST 200
#define PAUSE_MS 1000		/* while the store fails */
#define SWEEP_MS 5000
#define KICK_MS 200		/* how often the admin's word is looked for */

struct destination *
queue_destination(struct queue *q, struct str next_hop, struct str sender,
	const struct nexthop **hop)
{
	const struct queue_settings *s = q->house.settings;
	int64_t most = s->per_destination, rate = s->rate;
	char key[NEXTHOP_KEY];

	*hop = nexthop_find(q->house.routes, next_hop, sender);
	nexthop_key(*hop, *q->tools.smarthost.host, next_hop, key);
	if (*hop && (*hop)->concurrency)
		most = (*hop)->concurrency;
	if (*hop && (*hop)->rate)
		rate = (*hop)->rate;
	return destinations_get(&q->to, str_from(key), (unsigned)most,
		rate ? 60000 / rate : 0);
}

/* Asked by the store, inside a claim. */
static int32_t
wanted(void *arg, const char *next_hop, const char *sender)
{
	struct queue_claim *c = arg;
	struct queue *q = c->q;
	const struct nexthop *hop;
	struct destination *d;
	int32_t room = MR_CLAIM_STOP;

	pthread_mutex_lock(&q->lock);
	if (!q->full) {
		d = queue_destination(q, str_from(next_hop), str_from(sender),
			&hop);
		room = (int32_t)destination_room(&q->to, d, clock_mono());
		if (room == 0 && !q->asks_sender)
			room = MR_CLAIM_NO_HOP;
	}
	pthread_mutex_unlock(&q->lock);
	return room;
}

static struct group *
new_group(const struct mr_queue_item *i, int64_t until)
{
	struct group *g = mem_alloc(sizeof *g);

	arena_init(&g->arena);
	g->message_id = i->message_id;
	g->length = i->length;
	g->trace = arena_cstr(&g->arena, str_from(i->trace));
	g->sender = arena_str(&g->arena, str_from(i->sender));
	g->next_hop = arena_str(&g->arena, str_from(i->next_hop));
	g->created_ms = i->created_ms;
	g->expire_ms = i->expire_ms;
	g->leased_until_ms = until;
	g->claimed = clock_mono();
	g->priority = sched_priority(str_from(i->dsn));
	return g;
}

void
queue_free_group(struct group *g)
{
	arena_free(&g->arena);
	free(g);
}

static void
add_item(struct group *g, const struct mr_queue_item *i)
{
	struct delivery *grown;

	if (g->n == g->room) {
		g->room = g->room ? g->room * 2 : 2;
		grown = arena_alloc(&g->arena, g->room * sizeof *grown);
		if (g->n)
			memcpy(grown, g->item, g->n * sizeof *grown);
		g->item = grown;
	}
	g->item[g->n++] = (struct delivery){.id = i->id,
		.rcpt = arena_str(&g->arena, str_from(i->rcpt)),
		.args = arena_str(&g->arena, str_from(i->dsn)),
		.attempts = i->attempts};
}

/* Items of a group come one after another (store.h). Those that expire at
 * another time are another group: it is one decision. */
static int
claim_item(void *arg, const struct mr_queue_item *i)
{
	struct queue_claim *c = arg;
	struct group *g = c->last;

	if (!g || g->n == QUEUE_GROUP_MOST || g->message_id != i->message_id ||
		g->expire_ms != i->expire_ms ||
		!str_is(g->next_hop, i->next_hop) ||
		!str_is(g->sender, i->sender)) {
		g = c->last = new_group(i, c->until);
		*c->end = g;
		c->end = &g->next;
		c->n++;
	}
	add_item(g, i);
	return 0;
}

int
queue_claim_once(struct queue *q, struct queue_claim *c, struct mr_claim *terms)
{
	const struct store *s = &q->house.store;
	struct mr_error me = {{0}};
	int code;

	*c = (struct queue_claim){.q = q, .end = &c->first};
	terms->size = sizeof *terms;
	terms->owner = q->house.owner;
	terms->now_ms = clock_wall();
	terms->lease_ms = LEASE_MS;
	terms->max = CLAIM_MOST;
	terms->wanted = wanted;
	terms->each = claim_item;
	terms->arg = c;
	c->until = terms->now_ms + LEASE_MS;
	code = store_claim_turns(s, terms, &me);
	if (code != MR_STORE_OK)
		log_error("queue.claim", LOG_S("error", me.text));
	return code;
}

void
queue_take_in(struct queue *q, struct group *g)
{
	struct group *next;

	pthread_mutex_lock(&q->lock);
	for (; g; g = next) {
		next = g->next;
		destination_add(&q->to, queue_destination(q, g->next_hop,
			g->sender, &g->hop), g);
	}
	q->full = q->to.n_waiting >= QUEUE_WAITING_MOST;
	queue_call_workers(q);
	pthread_mutex_unlock(&q->lock);
}

/* Claims once. Returns the wall-clock time to look again: now, while there may
 * be more that has room. */
static int64_t
claim_due(struct queue *q)
{
	struct mr_claim *terms = &q->claim;
	int64_t now = clock_wall();
	bool lap_ended;
	struct queue_claim c;

	if (queue_claim_once(q, &c, terms) != MR_STORE_OK)
		return now + PAUSE_MS;
	q->found |= c.n > 0;
	if (c.n)
		queue_take_in(q, c.first);
	lap_ended = !terms->at[0];
	if (lap_ended && !q->found)
		return terms->next_ms < now + POLL_MS ? terms->next_ms :
			now + POLL_MS;
	if (lap_ended)
		q->found = false;
	return now;
}

static void
note_kick(void *arg, struct mr_str value)
{
	uint64_t ms = 0;

	if (str_u64(str_of(value.at, value.len), INT64_MAX, &ms))
		*(int64_t *)arg = (int64_t)ms;
}

int64_t
queue_read_kick(const struct queue *q)
{
	const struct store *s = &q->house.store;
	int64_t kick = 0;
	struct mr_error me;

	s->op->state_get(s->self, QUEUE_SPACE, QUEUE_KICK, clock_wall(),
		note_kick, &kick, &me);
	return kick;
}

/* The command line leaves the time when the admin wanted everything tried:
 * pauses of destinations end. Called with the lock, which it lets go. */
static void
hear_admin(struct queue *q)
{
	int64_t kick;

	pthread_mutex_unlock(&q->lock);
	kick = queue_read_kick(q);
	pthread_mutex_lock(&q->lock);
	if (kick != q->kick)
		destinations_end_pauses(&q->to);
	q->kick = kick;
}

/* What has become possible by time, or by room. */
static void
look_round(struct queue *q, int64_t *heard, int64_t *swept)
{
	int64_t now = clock_mono();

	if (q->hinted && now - *heard >= KICK_MS) {
		*heard = now;
		q->hinted = false;
		hear_admin(q);
	}
	if (now >= q->to.wake) {
		destinations_wake(&q->to, now);
		queue_call_workers(q);
	}
	if (now - *swept >= SWEEP_MS) {
		*swept = now;
		destinations_sweep(&q->to, now);
	}
	if (q->to.is_hungry)
		q->poked = true;
	q->to.is_hungry = false;
}

void *
queue_run_claimer(void *arg)
{
	struct queue *q = arg;
	int64_t next = 0, heard = 0, swept = clock_mono(), left;

	pthread_mutex_lock(&q->lock);
	while (!q->draining) {
		look_round(q, &heard, &swept);
		if (!q->full && (q->poked || next <= clock_wall())) {
			q->poked = false;
			pthread_mutex_unlock(&q->lock);
			next = claim_due(q);
			pthread_mutex_lock(&q->lock);
			continue;
		}
		left = q->full ? POLL_MS : next - clock_wall();
		if (q->to.wake - clock_mono() < left)
			left = q->to.wake - clock_mono();
		if (q->hinted && left > KICK_MS)
			left = KICK_MS;
		queue_wait(q, &q->claim_now, left);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}
