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
};
UNIT_MAIN(tests)
