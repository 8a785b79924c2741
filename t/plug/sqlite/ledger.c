/*
 * ledger.c - the ledger tells each event in order and finds one message;
 * what is old is forgotten, and vanished UIDs are then found by their gaps.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

#define BODY "Subject: x\r\n\r\nx\r\n"

static struct fake store;
static const char *folder;
static struct mr_error err;

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

/* Events as "event:rcpt ". */
struct told {
	char text[1000], life[100];
	unsigned n;
};

static int
tell(void *arg, const struct mr_ledger_row *row)
{
	struct told *t = arg;
	size_t at = strlen(t->text);

	assert_true(row->size >= sizeof *row && row->id > 0);
	if (t->n++ < 30)
		snprintf(t->text + at, sizeof t->text - at, "%s:%s ",
			row->event, row->rcpt);
	if (*row->life)
		snprintf(t->life, sizeof t->life, "%s", row->life);
	return 0;
}

static struct told
ask(struct mr_ledger_query q)
{
	struct told t = {.text = ""};

	q.size = sizeof q;
	assert_int_equal(store.op->ledger(store.self, &q, tell, &t, &err),
		MR_STORE_OK);
	return t;
}

static int64_t
commit(const char *trace, const char *origin, const char *rcpt)
{
	struct mr_piece piece = {.mem = BODY, .fd = -1,
		.length = sizeof BODY - 1};
	struct mr_placement place[2] = {
		{.kind = MR_PLACE_MAILBOX, .account = "a@x.test",
			.mailbox = "INBOX"},
		{.kind = MR_PLACE_QUEUE, .sender = "s@x.test", .rcpt = rcpt,
			.next_hop = "y.test", .expire_ms = INT64_MAX / 2}};
	struct mr_commit c = {.size = sizeof c, .trace = trace,
		.origin = origin, .piece = &piece, .n_piece = 1,
		.length = piece.length, .place = place, .n_place = 2,
		.life = "{\"a\":1}"};

	assert_int_equal(store.op->commit(store.self, &c, &err), MR_STORE_OK);
	return place[1].out_queue_id;
}

static void
settle(int64_t id, enum mr_fate_kind kind, struct mr_commit *with)
{
	struct mr_fate f = {.id = id, .kind = kind, .reply = "250 ok"};

	assert_int_equal(store.op->queue_settle(store.self, &f, 1, with, &err),
		MR_STORE_OK);
}

static void
test_events(void **state)
{
	int64_t id = commit("T1", "smtp", "b@y.test");
	struct told t;

	(void)state;
	settle(id, MR_FATE_RETRY, NULL);
	settle(id, MR_FATE_DELIVERED, NULL);
	settle(commit("T2", "report T1", "c@y.test"), MR_FATE_FAILED, NULL);
	t = ask((struct mr_ledger_query){.trace = "T1"});
	assert_string_equal(t.text, "delivered:a@x.test queued:b@y.test "
		"deferred:b@y.test relayed:b@y.test "
		"delivered:a@x.test queued:c@y.test ");
	assert_string_equal(t.life, "{\"a\":1}");
	t = ask((struct mr_ledger_query){.trace = "T2"});
	assert_string_equal(t.text, "delivered:a@x.test queued:c@y.test "
		"failed:c@y.test ");
	t = ask((struct mr_ledger_query){.address = "C@Y.TEST"});
	assert_string_equal(t.text, "queued:c@y.test failed:c@y.test ");
	t = ask((struct mr_ledger_query){.after_id = 5});
	assert_string_equal(t.text, "queued:c@y.test failed:c@y.test ");
}

/* What leaves the queue by a commit of its own message. */
static void
test_routed(void **state)
{
	struct mr_piece piece = {.mem = BODY, .fd = -1,
		.length = sizeof BODY - 1};
	struct mr_placement place = {.kind = MR_PLACE_MAILBOX,
		.account = "a@x.test", .mailbox = "INBOX"};
	struct mr_commit c = {.size = sizeof c, .trace = "T1",
		.origin = "queue", .piece = &piece, .n_piece = 1,
		.length = piece.length, .place = &place, .n_place = 1};
	struct told t;

	(void)state;
	settle(commit("T1", "smtp", "b@y.test"), MR_FATE_DELIVERED, &c);
	t = ask((struct mr_ledger_query){.trace = "T1"});
	assert_string_equal(t.text, "delivered:a@x.test queued:b@y.test "
		"routed:b@y.test delivered:a@x.test ");
}

static void
test_since(void **state)
{
	int64_t middle, i;
	struct told t;

	(void)state;
	for (i = 0; i < 50; i++)
		commit("T1", "smtp", "b@y.test");
	usleep(5000);
	middle = fake_now_ms();
	commit("T2", "smtp", "c@y.test");
	t = ask((struct mr_ledger_query){.since_ms = middle});
	assert_string_equal(t.text, "delivered:a@x.test queued:c@y.test ");
	t = ask((struct mr_ledger_query){.since_ms = middle + 3600000});
	assert_int_equal(t.n, 0);
	t = ask((struct mr_ledger_query){.since_ms = middle - 60000});
	assert_int_equal(t.n, 102);
}

static int
add_run(void *arg, struct mr_range run)
{
	char *text = arg;

	snprintf(text + strlen(text), 20, "%u-%u ", run.first, run.last);
	return 0;
}

static const char *
vanished(int64_t mailbox, uint64_t since)
{
	static char text[200];

	*text = '\0';
	assert_int_equal(store.op->vanished(store.self, mailbox, since,
		add_run, text, &err), MR_STORE_OK);
	return text;
}

/* Forgetting begins when a process writes for the first time. */
static void
test_forget(void **state)
{
	static const struct fake_setting short_memory[] = {
		{"keep_removed", 0}, {"keep_ledger", 200},
		{"keep_vanished", 200}, {NULL, 0}};
	struct mr_range gone[] = {{2, 3}, {5, 5}};
	struct mr_mailbox m;
	int i;

	(void)state;
	for (i = 0; i < 6; i++)
		commit("T1", "smtp", "b@y.test");
	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_int_equal(store.op->expunge(store.self, m.id, gone, 2, 1,
		&err), MR_STORE_OK);
	assert_string_equal(vanished(m.id, 1), "2-3 5-5 ");
	assert_string_equal(vanished(m.id, m.modseq + 1), "");
	fake_close(&store);
	usleep(300000);
	fake_open(&store, folder, short_memory);
	commit("T2", "smtp", "c@y.test");
	for (i = 0; i < 100 && ask((struct mr_ledger_query){.trace = "T1"}).n;
		i++)
		usleep(50000);
	assert_int_equal(ask((struct mr_ledger_query){.trace = "T1"}).n, 0);
	commit("T3", "smtp", "c@y.test");
	assert_int_equal(ask((struct mr_ledger_query){.trace = "T3"}).n, 2);
	/* Still right for who asks from then, or from now. */
	assert_string_equal(vanished(m.id, 1), "2-3 5-5 ");
	assert_string_equal(vanished(m.id, m.modseq + 1), "");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_routed, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_since, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_forget, set_up, tear_down),
};
UNIT_MAIN(tests)
