/*
 * mirror.c - a mailbox that shows the queue: held or waiting entries, each
 * message once, and what comes and goes with them.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define MAILBOX "Held"

static struct fake store;
static const char *folder;

static int
set_up(void **state)
{
	struct mr_error err = {{0}};

	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
	return store.op->mailbox_create(store.self, "a@x.test", MAILBOX,
		MR_SPECIAL_HELD, &err);
}

static int
tear_down(void **state)
{
	(void)state;
	fake_close(&store);
	fake_folder_remove(folder);
	return 0;
}

/* One message for two recipients. */
static void
queue(unsigned number, size_t length, int held)
{
	struct mr_error err = {{0}};
	char *body = fake_body(number, length);
	struct mr_piece piece = {.mem = body, .fd = -1, .length = length};
	struct mr_placement place[] = {
		{.kind = MR_PLACE_QUEUE, .sender = "s@y.test",
		.rcpt = "one@z.test", .held = held,
		.expire_ms = INT64_MAX / 2},
		{.kind = MR_PLACE_QUEUE, .sender = "s@y.test",
		.rcpt = "two@z.test", .held = held,
		.expire_ms = INT64_MAX / 2}};
	struct mr_commit c = {.size = sizeof c, .trace = "t",
		.origin = "test", .piece = &piece, .n_piece = 1,
		.length = length, .place = place, .n_place = 2};

	memset(c.sha256, (int)number, sizeof c.sha256);
	assert_int_equal(store.op->commit(store.self, &c, &err), MR_STORE_OK);
	free(body);
}

struct seen {
	unsigned number[16];
	size_t n;
};

static int
see(void *arg, const struct mr_row *row)
{
	struct seen *s = arg;

	assert_true(fake_is_whole(&store, row->message_id,
		&s->number[s->n++]));
	return 0;
}

/* Mirrors, and how many messages are shown then; *modseq as it is. */
static size_t
mirror(int held, int64_t until_ms, uint32_t most, uint64_t *modseq)
{
	struct mr_error err = {{0}};
	struct seen s = {.n = 0};
	struct mr_mailbox box;
	struct mr_mirror m = {.size = sizeof m, .held = held,
		.until_ms = until_ms, .most = most};

	fake_mailbox(&store, "a@x.test", MAILBOX, &box);
	m.mailbox = box.id;
	assert_int_equal(store.op->queue_mirror(store.self, &m, &err),
		MR_STORE_OK);
	fake_mailbox(&store, "a@x.test", MAILBOX, &box);
	assert_int_equal(store.op->scan(store.self, box.id, NULL, 0, 0,
		MR_ROW_MESSAGE, see, &s, &err), MR_STORE_OK);
	assert_int_equal(box.messages, s.n);
	assert_int_equal(box.unseen, s.n);
	*modseq = box.modseq;
	return s.n;
}

#define EVER INT64_MAX

static void
test_comes_and_goes(void **state)
{
	struct mr_error err = {{0}};
	uint64_t modseq, before;

	(void)state;
	queue(1, 100, 1);
	queue(2, 100000, 1);
	queue(3, 100, 0);
	assert_int_equal(mirror(1, EVER, 100, &before), 2);
	assert_int_equal(mirror(1, EVER, 100, &modseq), 2);
	assert_int_equal(modseq, before);	/* nothing was written */
	assert_int_equal(store.op->queue_hold(store.self, 1, 0, &err),
		MR_STORE_OK);
	assert_int_equal(mirror(1, EVER, 100, &modseq), 2);	/* the other */
	assert_int_equal(store.op->queue_hold(store.self, 2, 0, &err),
		MR_STORE_OK);
	assert_int_equal(mirror(1, EVER, 100, &modseq), 1);
	assert_true(modseq > before);
	assert_int_equal(mirror(0, EVER, 100, &modseq), 2);
	assert_int_equal(mirror(1, EVER, 100, &modseq), 1);
}

static void
test_bounds(void **state)
{
	uint64_t modseq;
	unsigned i;

	(void)state;
	for (i = 1; i <= 5; i++)
		queue(i, 100, 1);
	assert_int_equal(mirror(1, EVER, 3, &modseq), 3);
	assert_int_equal(mirror(1, fake_now_ms() - 60000, 3, &modseq), 0);
	assert_int_equal(mirror(1, EVER, 10, &modseq), 5);
	assert_int_equal(mirror(1, EVER, 2, &modseq), 3);	/* in steps */
	assert_int_equal(mirror(1, EVER, 2, &modseq), 2);
}

/* What the queue gives up stays as long as it is shown, and the other way
 * round. */
static void
test_bytes(void **state)
{
	struct mr_fate fate[] = {{.id = 1, .kind = MR_FATE_DROPPED,
		.reply = ""}, {.id = 2, .kind = MR_FATE_DROPPED, .reply = ""}};
	struct mr_error err = {{0}};
	struct mr_mailbox box;
	struct seen s = {.n = 0};
	uint64_t modseq;

	(void)state;
	queue(1, 100000, 1);
	assert_int_equal(mirror(1, EVER, 10, &modseq), 1);
	assert_int_equal(store.op->queue_settle(store.self, fate, 2, NULL,
		&err), MR_STORE_OK);
	fake_mailbox(&store, "a@x.test", MAILBOX, &box);
	assert_int_equal(store.op->scan(store.self, box.id, NULL, 0, 0,
		MR_ROW_MESSAGE, see, &s, &err), MR_STORE_OK);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.number[0], 1);
	assert_int_equal(mirror(1, EVER, 10, &modseq), 0);
	queue(2, 100000, 1);
	assert_int_equal(mirror(1, EVER, 10, &modseq), 1);
	fake_mailbox(&store, "a@x.test", MAILBOX, &box);
	assert_int_equal(store.op->expunge(store.self, box.id, NULL, 0, 1,
		&err), MR_STORE_OK);
	assert_int_equal(mirror(1, EVER, 10, &modseq), 1);	/* again */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	TEST(test_comes_and_goes), TEST(test_bounds), TEST(test_bytes),
};
UNIT_MAIN(tests)
