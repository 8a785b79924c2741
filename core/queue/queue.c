/*
 * queue.c - the runner's threads: one claims what is due, the others each
 * take a group through deliver and retire.
 *
 * A claimed group whose destination is busy waits in memory, behind others
 * that can go; the number of waiting groups is bounded. An attempt is begun
 * only while the lease outlasts the longest attempt, so that nobody else
 * claims what is being delivered. A message whose transport crashed the last
 * runner is put off as if it had been refused for now: else all would crash
 * again at once, and the others with it. Locks: q->lock guards the list of
 * groups, the load, the suspects, and the flags.
 */
#include "queue/queue.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/tls.h"
#include "queue/deliver.h"
#include "queue/retire.h"
#include "queue/sched.h"

#define LEASE_MS (3 * DELIVER_MOST_MS)
#define POLL_MS 60000		/* a lost hint costs at most this */
#define CLAIM_MOST 100
#define SETTLE_FIRST_MS 1000	/* pauses while the store fails, doubling */
#define SETTLE_MOST_MS 60000
#define STACK (512 << 10)

#define AT(field) offsetof(struct queue_settings, field)

const struct mr_setting queue_settings_table[] = {
	{"lifetime", MR_DURATION, 0, AT(lifetime), "\"5d\"", 1000,
		30 * 86400000LL, NULL, "How long delivery is tried before the "
		"sender is told."},
	{"delay_warning", MR_DURATION, 0, AT(delay_warning), "\"4h\"", 0,
		30 * 86400000LL, NULL, "After that time without success the "
		"sender is told, once, that the mail is late. 0: never."},
	{"srs", MR_BOOL, 0, AT(srs), "true", 0, 0, NULL, "Mail that an alias "
		"leads elsewhere gets a sender of the alias' domain (SRS), so "
		"that SPF of the sender's own domain does not refuse it. "
		"Bounces are led back."},
	{"retry_first", MR_DURATION, 0, AT(retry_first), "\"5m\"", 100,
		86400000, NULL, "Pause before the second attempt; it doubles "
		"after each."},
	{"retry_most", MR_DURATION, 0, AT(retry_most), "\"4h\"", 100,
		7 * 86400000LL, NULL, "Longest pause between attempts."},
	{"concurrency", MR_INT, 0, AT(concurrency), "20", 1, 500, NULL,
		"Deliveries under way at once."},
	{"per_destination", MR_INT, 0, AT(per_destination), "5", 1, 500, NULL,
		"Of these, to one domain."},
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
	{"timeout", MR_DURATION, 0, AT(timeout), "\"5m\"", 100, 3600000, NULL,
		"Longest wait for one answer of another server."},
	{"connect_timeout", MR_DURATION, 0, AT(connect_timeout), "\"30s\"",
		100, 600000, NULL, "Longest wait for a connection."},
	MR_SETTINGS_END,
};

struct queue {
	struct queue_house house;
	struct deliver_tls tls;
	pthread_mutex_t lock;
	pthread_cond_t claim_now, work_now, all_idle;
	struct group *waiting, **waiting_end;
	unsigned n_waiting, n_busy;
	struct sched_load load;
	bool poked, draining;
	char *suspects;
	pthread_t claimer, *worker;
	unsigned n_worker;
};

/* -------------------------------------------------------------- claiming */

struct claim {
	struct group *first, **end, *last;
	unsigned n;
	int64_t until;		/* when the leases run out */
};

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
	g->item = arena_alloc(&g->arena, CLAIM_MOST * sizeof *g->item);
	return g;
}

static void
free_group(struct group *g)
{
	arena_free(&g->arena);
	free(g);
}

/* Items of a group come one after another (store.h). */
static int
claim_item(void *arg, const struct mr_queue_item *i)
{
	struct claim *c = arg;
	struct group *g = c->last;

	if (!g || g->n == CLAIM_MOST || g->message_id != i->message_id ||
		!str_is(g->next_hop, i->next_hop) ||
		!str_is(g->sender, i->sender)) {
		g = c->last = new_group(i, c->until);
		*c->end = g;
		c->end = &g->next;
		c->n++;
	}
	g->item[g->n++] = (struct delivery){.id = i->id,
		.rcpt = arena_str(&g->arena, str_from(i->rcpt)),
		.dsn = arena_str(&g->arena, str_from(i->dsn)),
		.attempts = i->attempts};
	return 0;
}

/* Claims what is due and puts it behind what waits. Returns the wall-clock
 * time to look again. */
static int64_t
claim_due(struct queue *q)
{
	const struct store *s = &q->house.store;
	int64_t now = clock_wall(), next = now + POLL_MS;
	struct claim c = {.end = &c.first, .until = now + LEASE_MS};
	struct mr_error me = {{0}};

	if (s->op->queue_claim(s->self, q->house.owner, now, LEASE_MS,
		CLAIM_MOST, claim_item, &c, &me) != MR_STORE_OK)
		log_error("queue.claim", LOG_S("error", me.text));
	else if (c.n)
		next = now;	/* there may be more */
	else if (s->op->queue_next(s->self, &next, &me) != MR_STORE_OK)
		next = now + POLL_MS;
	if (c.n) {
		pthread_mutex_lock(&q->lock);
		*q->waiting_end = c.first;
		q->waiting_end = c.end;
		q->n_waiting += c.n;
		pthread_cond_broadcast(&q->work_now);
		pthread_mutex_unlock(&q->lock);
	}
	return next < now + POLL_MS ? next : now + POLL_MS;
}

static void
wait_until(struct queue *q, pthread_cond_t *cond, int64_t ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(cond, &q->lock, &at);
}

static void *
run_claimer(void *arg)
{
	struct queue *q = arg;
	int64_t next = 0, now;

	pthread_mutex_lock(&q->lock);
	while (!q->draining) {
		bool room = q->n_waiting < 2 * q->n_worker;

		now = clock_wall();
		if (room && (q->poked || next <= now)) {
			q->poked = false;
			pthread_mutex_unlock(&q->lock);
			next = claim_due(q);
			pthread_mutex_lock(&q->lock);
			continue;
		}
		/* Without room a worker that takes a group wakes us. */
		wait_until(q, &q->claim_now, room ? next - now : POLL_MS);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* ------------------------------------------------------------ delivering */

/* The first waiting group whose destination has room; lock held. */
static struct group *
take_group(struct queue *q)
{
	struct group **at, *g;

	for (at = &q->waiting; (g = *at); at = &g->next) {
		if (!sched_load_take(&q->load, g->next_hop))
			continue;
		*at = g->next;
		if (!g->next)
			q->waiting_end = at;
		g->next = NULL;
		q->n_waiting--;
		q->n_busy++;
		pthread_cond_signal(&q->claim_now);
		return g;
	}
	return NULL;
}

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

static void
work_on(struct queue *q, struct group *g)
{
	size_t i;

	if (!has_lease(g)) {
		/* It waited too long here. It is due again when its lease
		 * has run out. */
		log_info("queue.lease", LOG_S("message", g->trace),
			LOG_STR("next_hop", g->next_hop));
		return;
	}
	if (is_suspect(q, g))
		for (i = 0; i < g->n; i++)
			g->item[i].reply = REPLY(451, "4.3.0", "the transport "
				"crashed on this message");
	else
		deliver_group(&q->house, &q->tls, g);
	settle(q, g);
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
			pthread_cond_wait(&q->work_now, &q->lock);
			continue;
		}
		pthread_mutex_unlock(&q->lock);
		work_on(q, g);
		pthread_mutex_lock(&q->lock);
		sched_load_give(&q->load, g->next_hop);
		q->n_busy--;
		free_group(g);
		/* Its destination has room again. */
		pthread_cond_signal(&q->work_now);
		pthread_cond_broadcast(&q->all_idle);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* ------------------------------------------------------------------ life */

static int
start_threads(struct queue *q, struct err *e)
{
	pthread_attr_t attr;
	int code;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	q->worker = mem_alloc((size_t)q->house.settings->concurrency *
		sizeof *q->worker);
	/* The claimer last: it looks at n_worker. */
	for (code = 0; !code && q->n_worker < q->house.settings->concurrency;
		q->n_worker += !code)
		code = pthread_create(&q->worker[q->n_worker], &attr,
			run_worker, q);
	if (!code)
		code = pthread_create(&q->claimer, &attr, run_claimer, q);
	pthread_attr_destroy(&attr);
	errno = code;
	return code ? err_sys(e, "starting the queue's threads") : 0;
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

struct queue *
queue_start(const struct queue_house *h, struct err *e)
{
	struct queue *q = mem_alloc(sizeof *q);
	const char *ca = h->settings->ca_file;
	pthread_condattr_t clock;

	q->house = *h;
	if (h->suspects)
		q->suspects = strdup(h->suspects);
	q->waiting_end = &q->waiting;
	sched_load_init(&q->load, (unsigned)h->settings->per_destination);
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&q->claim_now, &clock);
	pthread_cond_init(&q->work_now, &clock);
	pthread_cond_init(&q->all_idle, &clock);
	pthread_condattr_destroy(&clock);
	q->tls.opportunistic = tls_client_new(false, NULL, e);
	q->tls.verified = tls_client_new(true, *ca ? ca : NULL, e);
	if (!q->tls.opportunistic || !q->tls.verified)
		return NULL;
	if (return_orphans(h, e) < 0 || start_threads(q, e) < 0)
		return NULL;	/* the runner ends with this */
	return q;
}

void
queue_poke(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->poked = true;
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
	while (q->n_busy && clock_mono() < end)
		wait_until(q, &q->all_idle, end - clock_mono());
	idle = q->n_busy == 0;
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
	if (q->house.store.op->queue_unclaim(q->house.store.self,
		q->house.owner, &me) != MR_STORE_OK)
		log_error("queue.unclaim", LOG_S("error", me.text));
}
