/*
 * queue.c - leases, groups, fates, the admin's handling.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define LEASE 60000

static struct fake store;
static const char *folder;
static int64_t now;

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
	now = fake_now_ms();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fake_close(&store);
	fake_folder_remove(folder);
	return 0;
}

/* One message to `n` recipients at each of the hops. */
static void
enqueue(unsigned number, const char *const *hop, size_t n_hop, size_t n,
	int64_t next_ms)
{
	static char rcpt[64][40];
	char *body = fake_body(number, 100), trace[16];
	struct mr_piece piece = {.mem = body, .fd = -1, .length = 100};
	struct mr_placement p[64];
	struct mr_commit c = {.size = sizeof c, .trace = trace, .piece = &piece,
		.n_piece = 1, .length = 100, .place = p};
	struct mr_error err = {{0}};
	size_t h, i;

	snprintf(trace, sizeof trace, "t%u", number);
	snprintf((char *)c.sha256, sizeof c.sha256, "%u", number);
	for (i = 0; i < n; i++)
		for (h = 0; h < n_hop; h++) {
			snprintf(rcpt[c.n_place], sizeof *rcpt, "r%zu@%s", i,
				hop[h]);
			p[c.n_place] = (struct mr_placement){
				.kind = MR_PLACE_QUEUE, .sender = "s@y.test",
				.rcpt = rcpt[c.n_place], .next_hop = hop[h],
				.dsn = h ? "NOTIFY=NEVER" : NULL,
				.next_ms = next_ms,
				.expire_ms = next_ms + 1000};
			c.n_place++;
		}
	assert_int_equal(store.op->commit(store.self, &c, &err), MR_STORE_OK);
	free(body);
}

struct items {
	struct mr_queue_item item[64];
	char hop[64][40], rcpt[64][40], trace[64][16];
	size_t n;
};

static int
keep(void *arg, const struct mr_queue_item *i)
{
	struct items *k = arg;

	k->item[k->n] = *i;
	snprintf(k->hop[k->n], sizeof *k->hop, "%s", i->next_hop);
	snprintf(k->rcpt[k->n], sizeof *k->rcpt, "%s", i->rcpt);
	snprintf(k->trace[k->n], sizeof *k->trace, "%s", i->trace);
	k->n++;
	return 0;
}

static struct items *
claim(int64_t at, uint32_t max)
{
	static struct items k;
	struct mr_error err = {{0}};

	k.n = 0;
	assert_int_equal(store.op->queue_claim(store.self, "host.1", at,
		LEASE, max, keep, &k, &err), MR_STORE_OK);
	return &k;
}

static struct items *
list(int64_t id)
{
	static struct items k;
	struct mr_error err = {{0}};

	k.n = 0;
	assert_int_equal(store.op->queue_list(store.self, id, keep, &k, &err),
		MR_STORE_OK);
	return &k;
}

static int
settle(int64_t id, uint32_t kind, int64_t next_ms, struct mr_commit *report)
{
	struct mr_fate fate = {.id = id, .kind = kind, .next_ms = next_ms,
		.reply = "250 2.0.0 fine"};
	struct mr_error err = {{0}};

	return store.op->queue_settle(store.self, &fate, 1, report, &err);
}

static int64_t
next(void)
{
	struct mr_error err = {{0}};
	int64_t when;

	assert_int_equal(store.op->queue_next(store.self, &when, &err),
		MR_STORE_OK);
	return when;
}

static void
test_claim(void **state)
{
	static const char *const hops[] = {"p.test", "q.test"};
	struct items *k;
	unsigned number;
	size_t i;

	(void)state;
	assert_int_equal(claim(now, 10)->n, 0);
	assert_int_equal(next(), INT64_MAX);
	enqueue(1, hops, 2, 3, now);
	enqueue(2, hops, 1, 1, now + 5000);
	assert_int_equal(next(), now);
	k = claim(now, 10);
	assert_int_equal(k->n, 6);
	for (i = 0; i < 6; i++) {
		assert_string_equal(k->hop[i], hops[i / 3]);
		assert_string_equal(k->trace[i], "t1");
		assert_int_equal(k->item[i].state, MR_CLAIMED);
		assert_int_equal(k->item[i].attempts, 0);
		assert_int_equal(k->item[i].length, 100);
		assert_int_equal(k->item[i].message_id, k->item[0].message_id);
	}
	assert_true(fake_is_whole(&store, k->item[0].message_id, &number));
	assert_int_equal(number, 1);
	assert_int_equal(claim(now, 10)->n, 0);
	assert_int_equal(next(), now + 5000);
	/* The other becomes due, then the leases run out. */
	assert_int_equal(claim(now + 5000, 10)->n, 1);
	assert_int_equal(claim(now + LEASE - 1, 10)->n, 0);
	assert_int_equal(claim(now + LEASE, 10)->n, 6);
}

static void
test_groups(void **state)
{
	static const char *const hops[] = {"p.test", "q.test", "r.test"};
	struct items *k;

	(void)state;
	enqueue(1, hops, 3, 4, now);
	/* Two groups fit into ten, the third would be split. */
	assert_int_equal(claim(now, 10)->n, 8);
	k = claim(now, 10);
	assert_int_equal(k->n, 4);
	assert_string_equal(k->hop[0], k->hop[3]);
	/* One that never fits is split. */
	enqueue(2, hops, 1, 7, now);
	assert_int_equal(claim(now, 5)->n, 5);
	assert_int_equal(claim(now, 5)->n, 2);
	assert_int_equal(claim(now, 5)->n, 0);
}

static void
test_settle(void **state)
{
	static const char *const hops[] = {"p.test"};
	struct items *k;
	int64_t id, message;
	uint64_t length;
	struct mr_error err;
	void *body;

	(void)state;
	enqueue(1, hops, 1, 3, now);
	k = claim(now, 10);
	id = k->item[0].id;
	message = k->item[0].message_id;
	assert_int_equal(settle(id, MR_FATE_RETRY, now + 300, NULL),
		MR_STORE_OK);
	assert_int_equal(next(), now + 300);
	k = list(id);
	assert_int_equal(k->n, 1);
	assert_int_equal(k->item[0].attempts, 1);
	assert_int_equal(k->item[0].state, MR_QUEUED);
	assert_int_equal(k->item[0].next_ms, now + 300);
	assert_int_equal(settle(id, MR_FATE_DELIVERED, 0, NULL), MR_STORE_OK);
	assert_int_equal(settle(id, MR_FATE_DELIVERED, 0, NULL),
		MR_STORE_MISSING);
	assert_int_equal(list(0)->n, 2);
	assert_int_equal(settle(id + 1, MR_FATE_FAILED, 0, NULL),
		MR_STORE_OK);
	assert_int_equal(settle(id + 2, 9, 0, NULL), MR_STORE_INVALID);
	assert_int_equal(settle(id + 2, MR_FATE_DROPPED, 0, NULL),
		MR_STORE_OK);
	assert_int_equal(list(0)->n, 0);
	/* The bytes stay for a while. */
	assert_int_equal(store.op->body_open(store.self, message, &body,
		&length, &err), MR_STORE_OK);
	store.op->body_close(body);
}

static void
test_report(void **state)
{
	static const char *const hops[] = {"p.test"};
	char *body = fake_body(7, 30000);
	struct mr_piece piece = {.mem = body, .fd = -1, .length = 30000};
	struct mr_placement p = {.kind = MR_PLACE_MAILBOX,
		.account = "a@x.test", .mailbox = "No such"};
	struct mr_commit report = {.size = sizeof report, .trace = "t9",
		.origin = "bounce", .piece = &piece, .n_piece = 1,
		.length = 30000, .place = &p, .n_place = 1};
	struct mr_mailbox m;
	int64_t id;

	(void)state;
	enqueue(1, hops, 1, 1, now);
	id = claim(now, 1)->item[0].id;
	assert_int_equal(settle(id, MR_FATE_FAILED, 0, &report),
		MR_STORE_MISSING);
	assert_int_equal(list(0)->n, 1);	/* nothing half done */
	p.mailbox = "INBOX";
	assert_int_equal(settle(id, MR_FATE_FAILED, 0, &report), MR_STORE_OK);
	assert_int_equal(list(0)->n, 0);
	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_int_equal(m.messages, 1);
	assert_int_equal(p.out_uid, 1);
	free(body);
}

/* Others of a settle are settled although one was dropped meanwhile. */
static void
test_dropped_meanwhile(void **state)
{
	static const char *const hops[] = {"p.test"};
	struct mr_error err = {{0}};
	struct mr_fate fate[2] = {{.kind = MR_FATE_DELIVERED},
		{.kind = MR_FATE_DELIVERED}};
	struct items *k;

	(void)state;
	enqueue(1, hops, 1, 2, now);
	k = claim(now, 2);
	fate[0].id = k->item[0].id;
	fate[1].id = k->item[1].id;
	assert_int_equal(settle(fate[0].id, MR_FATE_DROPPED, 0, NULL),
		MR_STORE_OK);
	assert_int_equal(store.op->queue_settle(store.self, fate, 2, NULL,
		&err), MR_STORE_OK);
	assert_int_equal(list(0)->n, 0);
}

static void
test_admin(void **state)
{
	static const char *const hops[] = {"p.test"};
	struct mr_error err = {{0}};
	struct mr_queue_item *i;
	uint32_t n;
	int64_t id;

	(void)state;
	enqueue(1, hops, 1, 3, now + 1000000);
	id = list(0)->item[0].id;
	assert_int_equal(store.op->queue_hold(store.self, id, 1, &err),
		MR_STORE_OK);
	i = &list(id)->item[0];
	assert_int_equal(i->state, MR_HELD);
	assert_int_equal(store.op->queue_retry(store.self, 0, &n, &err),
		MR_STORE_OK);
	assert_int_equal(n, 2);
	assert_int_equal(claim(fake_now_ms(), 10)->n, 2);
	assert_int_equal(store.op->queue_hold(store.self, id + 1, 1, &err),
		MR_STORE_BUSY);
	assert_int_equal(store.op->queue_hold(store.self, id, 0, &err),
		MR_STORE_OK);
	assert_int_equal(claim(fake_now_ms(), 10)->n, 1);
	assert_int_equal(store.op->queue_unclaim(store.self, "other.", &err),
		MR_STORE_OK);
	assert_int_equal(claim(fake_now_ms(), 10)->n, 0);
	assert_int_equal(store.op->queue_unclaim(store.self, "host.", &err),
		MR_STORE_OK);
	assert_int_equal(claim(fake_now_ms(), 10)->n, 3);
	assert_int_equal(store.op->queue_retry(store.self, id + 99, &n, &err),
		MR_STORE_MISSING);
	assert_int_equal(store.op->queue_hold(store.self, id + 99, 1, &err),
		MR_STORE_MISSING);
	assert_int_equal(store.op->queue_list(store.self, id + 99, keep,
		list(0), &err), MR_STORE_MISSING);
}

/* ----------------------------------------------------------------- turns */

struct wants {
	const char *busy;	/* a next hop of which nothing is wanted */
	int32_t busy_answer, others;
	unsigned asked, n, of_busy;
	char last[40];
};

static int32_t
wanted(void *arg, const char *next_hop, const char *sender)
{
	struct wants *w = arg;

	assert_string_equal(sender, "s@y.test");
	w->asked++;
	return w->busy && !strcmp(next_hop, w->busy) ? w->busy_answer :
		w->others;
}

static int
count(void *arg, const struct mr_queue_item *i)
{
	struct wants *w = arg;

	assert_int_equal(i->state, MR_CLAIMED);
	w->n++;
	w->of_busy += w->busy && !strcmp(i->next_hop, w->busy);
	snprintf(w->last, sizeof w->last, "%s", i->next_hop);
	return 0;
}

static struct mr_claim turns;

static unsigned
take_turn(struct wants *w, int64_t at, uint32_t max)
{
	struct mr_error err = {{0}};

	turns.size = sizeof turns;
	turns.owner = "host.1";
	turns.now_ms = at;
	turns.lease_ms = LEASE;
	turns.max = max;
	turns.wanted = wanted;
	turns.each = count;
	turns.arg = w;
	w->n = w->of_busy = w->asked = 0;
	assert_int_equal(store.op->queue_claim_turns(store.self, &turns,
		&err), MR_STORE_OK);
	return w->n;
}

/* Few items: in order of time, those of a busy next hop are left. */
static void
test_turns_few(void **state)
{
	static const char *const p[] = {"p.test"}, *const q[] = {"q.test"};
	struct wants w = {.busy = "p.test", .others = 2};
	unsigned i;

	(void)state;
	turns = (struct mr_claim){0};
	assert_int_equal(take_turn(&w, now, 10), 0);
	assert_true(turns.next_ms == INT64_MAX);
	for (i = 0; i < 5; i++)
		enqueue(i, p, 1, 1, now);
	enqueue(9, q, 1, 2, now);
	enqueue(10, q, 1, 1, now + 500);
	assert_int_equal(take_turn(&w, now, 10), 2);
	assert_string_equal(w.last, "q.test");
	assert_int_equal(take_turn(&w, now, 10), 0);
	assert_true(turns.next_ms == now + 500);
	w.busy_answer = 3;
	assert_int_equal(take_turn(&w, now, 10), 3);
	w.busy_answer = 1000;
	assert_int_equal(take_turn(&w, now + 500, 10), 3);
}

/* Many: what is behind a busy next hop's backlog is found at once, and each
 * of the others has its turn. */
static void
test_turns_many(void **state)
{
	static const char *const busy[] = {"h100.test"};
	struct wants w = {.busy = "h100.test", .others = 1,
		.busy_answer = MR_CLAIM_NO_HOP};
	char name[20];
	const char *const hop[] = {name};
	unsigned i, all = 0, laps = 0;

	(void)state;
	turns = (struct mr_claim){0};
	for (i = 0; i < 200; i++)
		enqueue(i, busy, 1, 1, now - 1000);
	for (i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "h%03u.test", 70 + i);
		if (i != 30)
			enqueue(1000 + i, hop, 1, 1, now);
	}
	assert_int_equal(take_turn(&w, now, 20), 20);
	assert_string_equal(w.last, "h089.test");
	assert_true(w.asked <= 25);
	for (all = 20; laps < 2; all += w.n) {
		take_turn(&w, now, 20);
		assert_int_equal(w.of_busy, 0);
		laps += !turns.at[0];
	}
	assert_int_equal(all, 59);
	assert_int_equal(take_turn(&w, now, 20), 0);
	w.busy_answer = MR_CLAIM_STOP;
	assert_int_equal(take_turn(&w, now, 20), 0);
	assert_string_equal(turns.at, "h099.test\ns@y.test");
	w.busy_answer = 1000;
	assert_int_equal(take_turn(&w, now, 64), 64);
	assert_int_equal(w.of_busy, 64);
}

static void
test_turns_expired(void **state)
{
	static const char *const p[] = {"p.test"}, *const q[] = {"q.test"};
	struct wants w = {.others = 0};

	(void)state;
	turns = (struct mr_claim){.expired_of = "p.test"};
	enqueue(1, p, 1, 3, now - 2000);	/* expires a second later */
	enqueue(2, p, 1, 1, now);
	enqueue(3, q, 1, 1, now - 2000);
	assert_int_equal(take_turn(&w, now, 10), 3);
	assert_int_equal(w.asked, 0);
	assert_string_equal(w.last, "p.test");
	assert_int_equal(take_turn(&w, now, 10), 0);
}

static uint32_t
change(uint32_t op, const int64_t *id, size_t n, int64_t next_ms)
{
	struct mr_queue_change c = {.size = sizeof c, .op = op, .id = id,
		.n = n, .next_ms = next_ms, .expire_ms = next_ms + 777,
		.owner = "host.1"};
	struct mr_error err = {{0}};
	uint32_t changed = 99;

	assert_int_equal(store.op->queue_change(store.self, &c, &changed,
		&err), MR_STORE_OK);
	return changed;
}

static void
test_change(void **state)
{
	static const char *const hops[] = {"p.test", "q.test"};
	struct mr_queue_change wrong = {.size = sizeof wrong, .op = 99};
	struct mr_error err = {{0}};
	struct mr_queue_item *i;
	int64_t id[4] = {0, 0, 0, 12345};
	uint32_t n;
	size_t k;

	(void)state;
	enqueue(1, hops, 1, 2, now);
	enqueue(2, hops + 1, 1, 1, now + 1000000);
	for (k = 0; k < 3; k++)
		id[k] = list(0)->item[k].id;
	assert_int_equal(claim(now, 2)->n, 2);
	/* The first two are being delivered: only the third is touched. */
	assert_int_equal(change(MR_QUEUE_HOLD, id, 4, now), 1);
	assert_int_equal(change(MR_QUEUE_HOLD, id, 4, now), 0);
	assert_int_equal(change(MR_QUEUE_RETRY, id, 4, now), 0);
	assert_int_equal(change(MR_QUEUE_RELEASE, id, 4, now + 50), 1);
	assert_int_equal(change(MR_QUEUE_RETURN, id, 4, now + 70), 2);
	assert_int_equal(next(), now + 50);
	i = &list(id[0])->item[0];
	assert_int_equal(i->attempts, 0);
	assert_int_equal(i->next_ms, now + 70);
	assert_int_equal(settle(id[1], MR_FATE_RETRY, now + 900, NULL),
		MR_STORE_OK);
	assert_int_equal(change(MR_QUEUE_RETRY, id, 4, now + 60), 3);
	assert_int_equal(list(id[2])->item[0].next_ms, now + 50);
	assert_int_equal(list(id[1])->item[0].attempts, 1);
	assert_int_equal(change(MR_QUEUE_REQUEUE, id + 1, 1, now + 5), 1);
	i = &list(id[1])->item[0];
	assert_int_equal(i->attempts, 0);
	assert_int_equal(i->next_ms, now + 5);
	assert_int_equal(i->expire_ms, now + 782);
	assert_null(i->reply);
	assert_int_equal(store.op->queue_change(store.self, &wrong, &n, &err),
		MR_STORE_INVALID);
}

static int
stop(void *arg, const struct mr_queue_item *i)
{
	(void)i;
	++*(int *)arg;
	return 1;
}

static void
test_held(void **state)
{
	char *body = fake_body(1, 100);
	struct mr_piece piece = {.mem = body, .fd = -1, .length = 100};
	struct mr_placement p = {.kind = MR_PLACE_QUEUE, .sender = "",
		.rcpt = "r@p.test", .next_hop = "p.test", .held = 1,
		.reason = "looks odd"};
	struct mr_commit c = {.size = sizeof c, .trace = "t1", .piece = &piece,
		.n_piece = 1, .length = 100, .place = &p, .n_place = 1};
	struct mr_error err = {{0}};
	int n = 0;

	(void)state;
	assert_int_equal(store.op->commit(store.self, &c, &err), MR_STORE_OK);
	assert_int_equal(claim(now + LEASE, 10)->n, 0);
	assert_int_equal(list(p.out_queue_id)->item[0].state, MR_HELD);
	assert_int_equal(store.op->queue_list(store.self, 0, stop, &n, &err),
		MR_STORE_STOPPED);
	assert_int_equal(n, 1);
	free(body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	TEST(test_claim),
	TEST(test_groups),
	TEST(test_settle),
	TEST(test_report),
	TEST(test_dropped_meanwhile),
	TEST(test_admin),
	TEST(test_held),
	TEST(test_turns_few),
	TEST(test_turns_many),
	TEST(test_turns_expired),
	TEST(test_change),
};
UNIT_MAIN(tests)
