/*
 * queue.c - the runner's threads: one claims what is due, the others each
 * take a group through deliver and retire.
 *
 * The queue has two levels. The store holds all of it; here is the table of
 * destinations (destination.h) with a few groups for each that takes mail. The
 * claimer asks the store only for what has room here, so that a destination
 * which is slow or down costs others nothing, however much waits for it, and
 * memory is bounded whatever the length of the queue.
 *
 * What waits for a destination that is down is given back untried, and stays
 * due: when a single delivery finds it again, all goes out at once. What
 * expires meanwhile is returned with the reason why it is down.
 *
 * An attempt is begun only while the lease outlasts the longest attempt, so
 * that nobody else claims what is being delivered. A message whose transport
 * crashed the last runner is put off as if it had been refused for now: else
 * all would crash again at once, and the others with it. Locks: q->lock guards
 * the destinations, the suspects, the threads and the flags.
 */
#include "queue/queue.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "net/tls.h"
#include "queue/deliver.h"
#include "queue/retire.h"

#define LEASE_MS (3 * DELIVER_MOST_MS)
#define POLL_MS 60000		/* a lost hint costs at most this */
#define CLAIM_MOST 200
#define GROUP_MOST 100		/* recipients of one attempt */
#define WAITING_MOST 1000	/* groups in memory */
#define FRESH_MS 1000		/* what waited less is not looked at again */
#define SWEEP_MS 5000
#define KICK_MS 200		/* how often the admin's word is looked for */
#define SETTLE_FIRST_MS 1000	/* pauses while the store fails, doubling */
#define SETTLE_MOST_MS 60000
#define STACK (512 << 10)

#define AT(field) offsetof(struct queue_settings, field)
/* RFC 5321 4.5.3.2 */
#define WAIT(name_, field_, most_, what_) \
	{name_, MR_DURATION, 0, AT(field_), "\"" most_ "\"", 100, 3600000, \
		NULL, "Longest wait for " what_ "."}

const struct mr_setting queue_settings_table[] = {
	{"lifetime", MR_DURATION, 0, AT(lifetime), "\"5d\"", 1000,
		30 * 86400000LL, NULL, "How long delivery is tried before the "
		"sender is told."},
	{"retry_first", MR_DURATION, 0, AT(retry_first), "\"5m\"", 100,
		86400000, NULL, "Pause before the second attempt; it doubles "
		"after each."},
	{"retry_most", MR_DURATION, 0, AT(retry_most), "\"4h\"", 100,
		7 * 86400000LL, NULL, "Longest pause between attempts."},
	{"probe_most", MR_DURATION, 0, AT(probe_most), "\"30m\"", 100,
		86400000, NULL, "Longest pause before a destination that is "
		"down is tried again; the first is retry_first."},
	{"concurrency", MR_INT, 0, AT(concurrency), "100", 1, 500, NULL,
		"Deliveries under way at once."},
	{"per_destination", MR_INT, 0, AT(per_destination), "20", 1, 500, NULL,
		"Of these, to one domain at most: it begins with 5, grows "
		"while they succeed and shrinks when they fail."},
	{"rate", MR_INT, 0, AT(rate), "0", 0, 1000000, NULL,
		"Deliveries a minute to one domain. 0: no limit."},
	{"connection_idle", MR_DURATION, 0, AT(connection_idle), "\"2s\"", 0,
		300000, NULL, "How long a connection is kept open for the "
		"next message."},
	{"connection_uses", MR_INT, 0, AT(connection_uses), "100", 1, 100000,
		NULL, "Messages over one connection."},
	{"source", MR_LIST, 0, AT(source), "[]", 0, 0, NULL,
		"Our addresses that mail leaves from, one a family. None: "
		"the system chooses."},
	{"prefer", MR_CHOICE, 0, AT(prefer), "\"auto\"", 0, 0,
		"auto|ipv4|ipv6", "Which family is tried first where a host "
		"has both: auto takes the one whose address of ours has a "
		"name in DNS."},
	{"port", MR_INT, 0, AT(port), "25", 1, 65535, NULL,
		"Port of other servers (another one is for test networks)."},
	{"smarthost", MR_TEXT, 0, AT(smarthost), "\"\"", 0, 0, NULL,
		"\"host:port\" that all outgoing mail goes to. Empty: each "
		"domain's own servers."},
	{"smarthost_login", MR_TEXT, 0, AT(smarthost_login), "\"\"", 0, 0,
		NULL, "Login there. Empty: none."},
	{"smarthost_password", MR_SECRET, 0, AT(smarthost_password), "\"\"",
		0, 0, NULL, "Password there."},
	{"smarthost_tls", MR_CHOICE, 0, AT(smarthost_tls), "\"required\"", 0,
		0, "none|opportunistic|required", "TLS with the smarthost: "
		"required verifies its certificate."},
	{"ca_file", MR_PATH, 0, AT(ca_file), "\"\"", 0, 0, NULL,
		"Certificates to verify a smarthost with. Empty: the "
		"system's."},
	{"timeout", MR_DURATION, 0, AT(timeout), "\"10m\"", 100, 3600000, NULL,
		"Longest wait for any one answer of another server: none of "
		"the following is longer."},
	{"connect_timeout", MR_DURATION, 0, AT(connect_timeout), "\"30s\"",
		100, 600000, NULL, "Longest wait for a connection."},
	WAIT("greeting_timeout", greeting_timeout, "5m", "its greeting"),
	WAIT("helo_timeout", helo_timeout, "5m", "the answer to EHLO, "
		"STARTTLS, AUTH and RSET"),
	WAIT("mail_timeout", mail_timeout, "5m", "the answer to MAIL"),
	WAIT("rcpt_timeout", rcpt_timeout, "5m", "the answer to RCPT"),
	WAIT("data_timeout", data_timeout, "2m", "the answer to DATA"),
	WAIT("block_timeout", block_timeout, "3m", "a piece of the message to "
		"be taken"),
	WAIT("dot_timeout", dot_timeout, "10m", "the answer to the whole "
		"message"),
	MR_SETTINGS_END,
};

struct queue {
	struct queue_house house;
	struct deliver_tools tools;
	bool asks_sender;	/* some route depends on who sends */
	pthread_mutex_t lock;
	pthread_cond_t claim_now, work_now, all_idle;
	struct destinations to;
	bool poked, hinted, draining;
	bool full;		/* memory is; until half of it is free */
	int64_t kick;		/* the admin's last (QUEUE_KICK) */
	char *suspects;
	struct mr_claim claim;	/* the claimer's */
	bool found;		/* something in this lap of the claim */
	pthread_t claimer, *worker;
	unsigned n_worker, n_idle;
};

/* ---------------------------------------------------------- destinations */

static struct destination *
destination_of(struct queue *q, struct str next_hop, struct str sender,
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

/* --------------------------------------------------------------- threads */

static void *run_worker(void *arg);

static bool
start_worker(struct queue *q)
{
	pthread_attr_t attr;
	int code;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = pthread_create(&q->worker[q->n_worker], &attr, run_worker, q);
	pthread_attr_destroy(&attr);
	if (code)
		log_error("queue.thread", LOG_S("error", strerror(code)));
	q->n_worker += !code;
	return !code;
}

/* A thread for each group that may go; lock held. */
static void
call_workers(struct queue *q)
{
	unsigned i, idle = q->n_idle, n = destinations_ready(&q->to);

	for (i = 0; i < n && i < idle; i++)
		pthread_cond_signal(&q->work_now);
	for (; i < n && q->n_worker < q->to.most_busy; i++)
		if (!start_worker(q))
			return;
}

/* -------------------------------------------------------------- claiming */

struct claim {
	struct queue *q;
	struct group *first, **end, *last;
	unsigned n;
	int64_t until;		/* when the leases run out */
};

/* Asked by the store, inside a claim. */
static int32_t
wanted(void *arg, const char *next_hop, const char *sender)
{
	struct claim *c = arg;
	struct queue *q = c->q;
	const struct nexthop *hop;
	struct destination *d;
	int32_t room = MR_CLAIM_STOP;

	pthread_mutex_lock(&q->lock);
	if (!q->full) {
		d = destination_of(q, str_from(next_hop), str_from(sender),
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

static void
free_group(struct group *g)
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
	if (i->expire_ms < g->expire_ms)
		g->expire_ms = i->expire_ms;
}

/* Items of a group come one after another (store.h). */
static int
claim_item(void *arg, const struct mr_queue_item *i)
{
	struct claim *c = arg;
	struct group *g = c->last;

	if (!g || g->n == GROUP_MOST || g->message_id != i->message_id ||
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

static int
claim_once(struct queue *q, struct claim *c, struct mr_claim *terms)
{
	const struct store *s = &q->house.store;
	struct mr_error me = {{0}};
	int code;

	*c = (struct claim){.q = q, .end = &c->first};
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

static void
take_in(struct queue *q, struct group *g)
{
	struct group *next;

	pthread_mutex_lock(&q->lock);
	for (; g; g = next) {
		next = g->next;
		destination_add(&q->to, destination_of(q, g->next_hop,
			g->sender, &g->hop), g);
	}
	q->full = q->to.n_waiting >= WAITING_MOST;
	call_workers(q);
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
	struct claim c;

	if (claim_once(q, &c, terms) != MR_STORE_OK)
		return now + SETTLE_FIRST_MS;
	q->found |= c.n > 0;
	if (c.n)
		take_in(q, c.first);
	lap_ended = !terms->at[0];
	if (lap_ended && !q->found)
		return terms->next_ms < now + POLL_MS ? terms->next_ms :
			now + POLL_MS;
	if (lap_ended)
		q->found = false;
	return now;
}

static void
wait_until(struct queue *q, pthread_cond_t *cond, int64_t ms)
{
	struct timespec at;

	if (ms <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(cond, &q->lock, &at);
}

static void
note_kick(void *arg, struct mr_str value)
{
	uint64_t ms = 0;

	if (str_u64(str_of(value.at, value.len), INT64_MAX, &ms))
		*(int64_t *)arg = (int64_t)ms;
}

static int64_t
read_kick(const struct queue *q)
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
	kick = read_kick(q);
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
		call_workers(q);
	}
	if (now - *swept >= SWEEP_MS) {
		*swept = now;
		destinations_sweep(&q->to, now);
	}
	if (q->to.is_hungry)
		q->poked = true;
	q->to.is_hungry = false;
}

static void *
run_claimer(void *arg)
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
		wait_until(q, &q->claim_now, left);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* ------------------------------------------------------------ delivering */

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
		wait_until(q, &q->all_idle, end - now);
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

static void
put_back(struct queue *q, struct group *list)
{
	const struct store *s = &q->house.store;
	struct mr_queue_change c = {.size = sizeof c, .op = MR_QUEUE_RETURN,
		.owner = q->house.owner, .next_ms = clock_wall()};
	int64_t id[GROUP_MOST];
	struct mr_error me = {{0}};
	struct group *next;
	uint32_t n;

	for (; list; list = next) {
		next = list->next;
		for (c.n = 0; c.n < list->n; c.n++)
			id[c.n] = list->item[c.n].id;
		c.id = id;
		if (store_queue_change(s, &c, &n, &me) != MR_STORE_OK)
			log_error("queue.return", LOG_S("error", me.text));
		free_group(list);
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
	d = destination_of(q, g->next_hop, g->sender, &g->hop);
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
	struct claim c;

	do {
		if (claim_once(q, &c, &terms) != MR_STORE_OK)
			return;
		for (one = c.first; one; one = next) {
			next = one->next;
			one->next = NULL;
			if (!has_outlived(q, one)) {
				take_in(q, one);
				continue;
			}
			settle(q, one);
			free_group(one);
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
		call_workers(q);
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
		put_back(q, waiting);
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

	if (q->full && q->to.n_waiting <= WAITING_MOST / 2) {
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
		pthread_mutex_unlock(&q->lock);
		work_on(q, g);
		pthread_mutex_lock(&q->lock);
		destination_end(&q->to, g);
		free_group(g);
		pthread_cond_broadcast(&q->all_idle);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* ------------------------------------------------------------------ life */

static int
start_claimer(struct queue *q, struct err *e)
{
	pthread_attr_t attr;
	int code;

	q->worker = mem_alloc(q->to.most_busy * sizeof *q->worker);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = pthread_create(&q->claimer, &attr, run_claimer, q);
	pthread_attr_destroy(&attr);
	errno = code;
	return code ? err_sys(e, "starting the queue's thread") : 0;
}

static int
return_orphans(const struct queue_house *h, struct err *e)
{
	struct str all = str_from(h->orphans), one;
	struct mr_error me = {{0}};
	char prefix[80];

	while ((one = str_word(&all)).len) {
		snprintf(prefix, sizeof prefix, "%.*s", STR_ARGS(one));
		if (store_result(h->store.op->queue_unclaim(h->store.self,
			prefix, &me), &me, e) < 0)
			return -1;
	}
	return 0;
}

static int
make_tls(struct queue *q, struct err *e)
{
	const struct queue_house *h = &q->house;
	const char *ca = h->settings->ca_file;
	size_t i, n = h->routes ? h->routes->n : 0;

	q->tools.opportunistic = tls_client_new(false, NULL, e);
	q->tools.verified = tls_client_new(true, *ca ? ca : NULL, e);
	if (!q->tools.opportunistic || !q->tools.verified)
		return -1;
	q->tools.route_tls = mem_alloc((n + 1) * sizeof *q->tools.route_tls);
	for (i = 0; i < n; i++) {
		const struct nexthop *hop = &h->routes->item[i];

		if (hop->tls != CLIENT_TLS_MUST || !*hop->ca_file)
			continue;
		q->tools.route_tls[i] = tls_client_new(true, hop->ca_file, e);
		if (!q->tools.route_tls[i])
			return err_wrap(e, "[route.%s] ca_file", hop->name);
	}
	return 0;
}

/* [queue] smarthost is a route for what no other is for. */
static void
make_tools(struct queue *q)
{
	const struct queue_settings *s = q->house.settings;
	struct conns_settings keep = {.idle = s->connection_idle,
		.uses = s->connection_uses,
		.most = 4 * (unsigned)s->concurrency};

	q->tools.smarthost = (struct nexthop){.name = "smarthost",
		.transport = "", .host = s->smarthost,
		.login = s->smarthost_login,
		.password = s->smarthost_password, .tls = s->smarthost_tls};
	q->tools.conns = conns_new(&keep);
	q->tools.families = families_new((enum families_prefer)s->prefer);
	q->asks_sender = nexthop_asks_sender(q->house.routes);
}

static void
make_conditions(struct queue *q)
{
	pthread_condattr_t clock;

	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&q->claim_now, &clock);
	pthread_cond_init(&q->work_now, &clock);
	pthread_cond_init(&q->all_idle, &clock);
	pthread_condattr_destroy(&clock);
}

struct queue *
queue_start(const struct queue_house *h, struct err *e)
{
	struct queue *q = mem_alloc(sizeof *q);

	q->house = *h;
	if (h->suspects)
		q->suspects = strdup(h->suspects);
	destinations_init(&q->to, (unsigned)h->settings->concurrency,
		WAITING_MOST);
	make_conditions(q);
	make_tools(q);
	if (make_tls(q, e) < 0)
		return NULL;
	q->kick = read_kick(q);
	if (return_orphans(h, e) < 0 || start_claimer(q, e) < 0)
		return NULL;	/* the runner ends with this */
	return q;
}

void
queue_poke(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->poked = q->hinted = true;
	pthread_cond_signal(&q->claim_now);
	pthread_mutex_unlock(&q->lock);
}

bool
queue_drain(struct queue *q, int64_t ms)
{
	int64_t end = clock_mono() + ms;
	bool idle;

	pthread_mutex_lock(&q->lock);
	q->draining = true;
	pthread_cond_broadcast(&q->claim_now);
	pthread_cond_broadcast(&q->work_now);
	while (q->to.n_busy && clock_mono() < end)
		wait_until(q, &q->all_idle, end - clock_mono());
	idle = q->to.n_busy == 0;
	pthread_mutex_unlock(&q->lock);
	return idle;
}

void
queue_stop(struct queue *q)
{
	struct mr_error me = {{0}};
	unsigned i;

	/* Deliveries that would not end keep their leases until the next
	 * runner gives them back: the process ends now. */
	if (!queue_drain(q, 0))
		return;
	pthread_join(q->claimer, NULL);
	for (i = 0; i < q->n_worker; i++)
		pthread_join(q->worker[i], NULL);
	conns_free(q->tools.conns);
	if (q->house.store.op->queue_unclaim(q->house.store.self,
		q->house.owner, &me) != MR_STORE_OK)
		log_error("queue.unclaim", LOG_S("error", me.text));
}
