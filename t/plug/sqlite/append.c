/*
 * append.c - several messages and a removal in one change: all or nothing,
 * in and beyond the row, under a quota, with bytes that are there already.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define MOST 8

static struct fake store;
static const char *folder;

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
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

struct messages {
	struct mr_commit commit[MOST], *list[MOST];
	struct mr_piece piece[MOST];
	struct mr_placement place[MOST];
	char *body[MOST];
	size_t n;
};

static void
add(struct messages *m, unsigned number, size_t length, const char *mailbox)
{
	size_t i = m->n++;

	m->body[i] = fake_body(number, length);
	m->piece[i] = (struct mr_piece){.mem = m->body[i], .fd = -1,
		.length = length};
	m->place[i] = (struct mr_placement){.kind = MR_PLACE_MAILBOX,
		.account = "a@x.test", .mailbox = mailbox,
		.received_ms = number};
	m->commit[i] = (struct mr_commit){.size = sizeof m->commit[i],
		.trace = "t", .origin = "test", .piece = &m->piece[i],
		.n_piece = 1, .length = length, .place = &m->place[i],
		.n_place = 1};
	memset(m->commit[i].sha256, (int)number, 32);
	m->list[i] = &m->commit[i];
}

static void
drop(struct messages *m)
{
	while (m->n)
		free(m->body[--m->n]);
}

static int
append(struct messages *m, int64_t mailbox, uint32_t uid)
{
	struct mr_append a = {.size = sizeof a, .commit = m->list, .n = m->n,
		.mailbox = mailbox, .uid = uid};
	struct mr_error err = {{0}};

	return store.op->append(store.self, &a, &err);
}

static int
check_row(void *arg, const struct mr_row *r)
{
	unsigned number;

	assert_true(fake_is_whole(&store, r->message_id, &number));
	assert_int_equal(number, r->received_ms);
	++*(unsigned *)arg;
	return 0;
}

/* Every message is whole; how many. */
static unsigned
look(struct mr_mailbox *m)
{
	struct mr_error err = {{0}};
	unsigned n = 0;

	fake_mailbox(&store, "a@x.test", "INBOX", m);
	assert_int_equal(store.op->scan(store.self, m->id, NULL, 0, 0,
		MR_ROW_MESSAGE, check_row, &n, &err), MR_STORE_OK);
	assert_int_equal(n, m->messages);
	return n;
}

static void
test_all(void **state)
{
	static const size_t lengths[] = {30, 100000, 5000, 200000, 300000};
	struct messages m = {.n = 0};
	struct mr_mailbox box;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++)
		add(&m, (unsigned)i + 1, lengths[i], "INBOX");
	assert_int_equal(append(&m, 0, 0), MR_STORE_OK);
	for (i = 0; i < COUNT(lengths); i++)
		assert_int_equal(m.place[i].out_uid, i + 1);
	assert_int_equal(look(&box), COUNT(lengths));
	drop(&m);
}

static void
test_none(void **state)
{
	struct messages m = {.n = 0};
	struct mr_mailbox box;
	uint64_t modseq;

	(void)state;
	add(&m, 1, 100, "INBOX");
	assert_int_equal(append(&m, 0, 0), MR_STORE_OK);
	look(&box);
	modseq = box.modseq;
	add(&m, 2, 200000, "INBOX");
	add(&m, 3, 100, "nothing");
	assert_int_equal(append(&m, 0, 0), MR_STORE_MISSING);
	assert_int_equal(append(&m, box.id, 1), MR_STORE_MISSING);
	assert_int_equal(append(&m, 4711, 1), MR_STORE_MISSING);
	m.n = 2;
	assert_int_equal(append(&m, box.id, 2), MR_STORE_MISSING);
	m.place[1].account = NULL;
	assert_int_equal(append(&m, 0, 0), MR_STORE_INVALID);
	assert_int_equal(look(&box), 1);
	assert_int_equal(box.modseq, modseq);
	assert_int_equal(box.uidnext, 2);
	m.n = 3;
	drop(&m);
}

/* The bytes that go make room for those that come, also for the same ones. */
static void
test_replace(void **state)
{
	struct messages m = {.n = 0};
	struct mr_error err = {{0}};
	struct mr_mailbox box;
	uint32_t uid;

	(void)state;
	assert_int_equal(store.op->account_set(store.self, "a@x.test", NULL,
		250000, -1, &err), MR_STORE_OK);
	add(&m, 1, 200000, "INBOX");
	assert_int_equal(append(&m, 0, 0), MR_STORE_OK);
	assert_int_equal(append(&m, 0, 0), MR_STORE_OVER_QUOTA);
	look(&box);
	for (uid = 1; uid < 5; uid++) {
		assert_int_equal(append(&m, box.id, uid), MR_STORE_OK);
		assert_int_equal(m.place[0].out_uid, uid + 1);
		assert_int_equal(look(&box), 1);
	}
	drop(&m);
	add(&m, 2, 210000, "INBOX");
	assert_int_equal(append(&m, box.id, 5), MR_STORE_OK);
	add(&m, 3, 100000, "INBOX");
	assert_int_equal(append(&m, box.id, 6), MR_STORE_OVER_QUOTA);
	assert_int_equal(look(&box), 1);
	drop(&m);
	assert_int_equal(append(&m, box.id, 6), MR_STORE_OK);
	assert_int_equal(look(&box), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	TEST(test_all), TEST(test_none), TEST(test_replace),
};
UNIT_MAIN(tests)
