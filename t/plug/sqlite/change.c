/*
 * change.c - flags, expunge, copy, move: thousands of random changes beside a
 * plain model (model.h), then the cases that chance would not meet.
 *
 * CHANGE_SEED picks the run, CHANGE_STEPS its length.
 */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "fake.h"
#include "model.h"

#define BOXES 4
#define STEPS 1500
#define ROWS_MOST 400		/* a mailbox that has grown that far shrinks */

static struct fake store;
static const char *folder;
static struct mr_error err;
static unsigned seed;

struct box {
	const char *account, *name;
	struct mr_mailbox before;
	struct model model;
};

static struct box box[BOXES] = {
	{.account = "a@x.test", .name = "INBOX"},
	{.account = "a@x.test", .name = "Lists/one"},
	{.account = "b@x.test", .name = "INBOX"},
	{.account = "b@x.test", .name = "Trash"},
};

static unsigned
pick(unsigned below)
{
	return (unsigned)rand_r(&seed) % below;
}

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
	fake_add(&store, "b@x.test");
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

/* ------------------------------------------------------------- comparing */

struct seen {
	const struct model *model;
	size_t at;		/* rows met so far */
	uint64_t since;
	uint32_t last;		/* UID; of runs: the last one's end */
	size_t count;
};

static int
see_row(void *arg, const struct mr_row *r)
{
	struct seen *s = arg;
	const struct model_row *want;

	while (s->at < s->model->n &&
		s->model->row[s->at].modseq <= s->since)
		s->at++;
	assert_true(s->at < s->model->n);
	want = &s->model->row[s->at++];
	assert_int_equal(r->uid, want->uid);
	assert_int_equal(r->flags, want->flags);
	assert_int_equal(r->modseq, want->modseq);
	assert_int_equal(model_read_words(r->keywords.at, r->keywords.len),
		want->words);
	assert_int_equal(r->received_ms, want->received_ms);
	assert_int_equal(r->length, want->length);
	assert_int_equal(r->message_id, want->message);
	s->count++;
	return 0;
}

static int
see_run(void *arg, struct mr_range run)
{
	struct seen *s = arg;
	uint32_t uid;

	assert_true(run.first <= run.last);
	assert_true(!s->count || run.first > s->last + 1);	/* maximal */
	for (uid = run.first; uid <= run.last; uid++, s->at++)
		assert_int_equal(s->model->row[s->at].uid, uid);
	s->last = run.last;
	s->count++;
	return 0;
}

static int
see_gone(void *arg, struct mr_range run)
{
	struct seen *s = arg;
	uint32_t uid;

	assert_true(!s->last || run.first > s->last + 1);
	for (uid = run.first; uid <= run.last; uid++, s->count++)
		assert_true(model_is_gone(s->model, uid, s->since));
	s->last = run.last;
	return 0;
}

static size_t
count_changed(const struct model *m, uint64_t since)
{
	size_t i, n = 0;

	for (i = 0; i < m->n; i++)
		n += m->row[i].modseq > since;
	return n;
}

static size_t
count_gone(const struct model *m, uint64_t since)
{
	size_t i, n = 0;

	for (i = 0; i < m->n_gone; i++)
		n += m->gone[i].modseq > since;
	return n;
}

static void
compare_counters(const struct box *b)
{
	struct mr_mailbox m;

	assert_int_equal(store.op->mailbox_get(store.self, b->before.id, &m,
		&err), MR_STORE_OK);
	assert_int_equal(m.messages, b->model.n);
	assert_int_equal(m.unseen, model_unseen(&b->model));
	assert_int_equal(m.bytes, model_bytes(&b->model));
	assert_int_equal(m.uidnext, b->model.uidnext);
	assert_int_equal(m.modseq, b->model.modseq);
	assert_int_equal(m.uidvalidity, b->before.uidvalidity);
}

static void
compare(const struct box *b)
{
	struct seen rows = {.model = &b->model}, runs = {.model = &b->model},
		gone = {.model = &b->model};

	compare_counters(b);
	rows.since = pick(2) ? pick((unsigned)b->model.modseq + 1) : 0;
	gone.since = rows.since;
	assert_int_equal(store.op->scan(store.self, b->before.id, NULL, 0,
		rows.since, MR_ROW_KEYWORDS | MR_ROW_MESSAGE, see_row, &rows,
		&err), MR_STORE_OK);
	assert_int_equal(rows.count, count_changed(&b->model, rows.since));
	assert_int_equal(store.op->uids(store.self, b->before.id, see_run,
		&runs, &err), MR_STORE_OK);
	assert_int_equal(runs.at, b->model.n);
	assert_int_equal(store.op->vanished(store.self, b->before.id,
		gone.since, see_gone, &gone, &err), MR_STORE_OK);
	assert_int_equal(gone.count, count_gone(&b->model, gone.since));
}

/* Every message counts its entries, and no other is left. */
static void
check_references(void)
{
	char path[4096];
	sqlite3 *db;
	sqlite3_stmt *st;

	snprintf(path, sizeof path, "%s/sqlite/mailroom.db", folder);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE,
		NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM"
		" (SELECT m.id FROM message m LEFT JOIN entry e"
		" ON e.message = m.id GROUP BY m.id HAVING"
		" m.refs <> count(e.message) OR"
		" (m.refs = 0) <> (m.dead_ms IS NOT NULL))", -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 0), 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* ---------------------------------------------------------- random steps */

#define RANGES_MOST 5

/* Any order, overlapping, beyond the end; 0 of them means all. */
static size_t
pick_ranges(const struct box *b, struct mr_range *out)
{
	size_t n = pick(RANGES_MOST + 1), i;

	for (i = 0; i < n; i++) {
		out[i].first = 1 + pick(b->model.uidnext + 1);
		out[i].last = out[i].first + pick(8);
		if (pick(30) == 0)
			out[i].last = UINT32_MAX;
	}
	return n;
}

static int
take_message(void *arg, const struct mr_row *r)
{
	*(int64_t *)arg = r->message_id;
	return 0;
}

static void
step_commit(void)
{
	struct box *b = &box[pick(BOXES)], *c = &box[pick(BOXES)];
	struct model_row row = {.flags = pick(32), .words = pick(32),
		.received_ms = pick(1000000), .length = 22 + pick(3000)};
	char words[128], trace[] = "t";
	char *body = fake_body(pick(1000000), row.length);
	struct mr_piece piece = {.mem = body, .fd = -1, .length = row.length};
	struct mr_placement p[2] = {{.kind = MR_PLACE_MAILBOX,
		.mailbox_id = b->before.id, .flags = row.flags,
		.keywords = words, .received_ms = row.received_ms}};
	struct mr_commit commit = {.size = sizeof commit, .trace = trace,
		.origin = "test", .piece = &piece, .n_piece = 1,
		.length = row.length, .place = p, .n_place = 1 + pick(2)};
	struct mr_range one;

	p[1] = p[0];
	p[1].mailbox_id = c->before.id;
	model_write_words(row.words, pick(16), words);
	snprintf((char *)commit.sha256, 32, "%u", pick(1u << 30));
	assert_int_equal(store.op->commit(store.self, &commit, &err),
		MR_STORE_OK);
	free(body);
	one = (struct mr_range){p[0].out_uid, p[0].out_uid};
	assert_int_equal(store.op->scan(store.self, b->before.id, &one, 1, 0,
		MR_ROW_MESSAGE, take_message, &row.message, &err),
		MR_STORE_OK);
	b->model.modseq++;
	model_add(&b->model, &row);
	if (commit.n_place == 1)
		return;
	c->model.modseq++;
	model_add(&c->model, &row);
	assert_int_equal(p[1].out_uid, c->model.uidnext - 1);
}

struct told {
	uint32_t uid[4096];
	struct mr_uid_pair pair[4096];
	size_t n;
};

static int
tell_uid(void *arg, uint32_t uid)
{
	struct told *t = arg;

	t->uid[t->n++] = uid;
	return 0;
}

static int
tell_pair(void *arg, struct mr_uid_pair p)
{
	struct told *t = arg;

	t->pair[t->n++] = p;
	return 0;
}

static void
step_store(void)
{
	struct box *b = &box[pick(BOXES)];
	struct model_change c = {.op = 1 + pick(3), .flags = pick(32),
		.words = pick(3) ? 0 : pick(32), .unchanged_since =
		pick(3) ? 0 : pick((unsigned)b->model.modseq + 2)};
	struct mr_range range[RANGES_MOST];
	size_t n = pick_ranges(b, range), want;
	static struct told got, model;
	char words[128];
	struct mr_flag_change change = {.op = c.op, .flags = c.flags,
		.keywords = c.words || pick(2) ? words : NULL,
		.unchanged_since = c.unchanged_since};
	uint64_t modseq, before = b->model.modseq;

	model_write_words(c.words, pick(16), words);
	got.n = 0;
	assert_int_equal(store.op->store_flags(store.self, b->before.id, range,
		n, &change, tell_uid, &got, &modseq, &err), MR_STORE_OK);
	want = model_store(&b->model, range, n, &c, model.uid);
	assert_int_equal(got.n, want);
	assert_memory_equal(got.uid, model.uid, want * sizeof *got.uid);
	assert_int_equal(modseq, b->model.modseq == before ? 0 :
		b->model.modseq);
}

static void
step_expunge(void)
{
	struct box *b = &box[pick(BOXES)];
	struct mr_range range[RANGES_MOST];
	size_t n = pick_ranges(b, range);
	bool any = n && pick(3) == 0;

	assert_int_equal(store.op->expunge(store.self, b->before.id, range, n,
		any, &err), MR_STORE_OK);
	model_expunge(&b->model, range, n, any);
}

static void
step_copy(void)
{
	struct box *b = &box[pick(BOXES)], *to = &box[pick(BOXES)];
	bool move = pick(2) || to->model.n > ROWS_MOST;
	struct mr_range range[RANGES_MOST];
	size_t n = pick_ranges(b, range), want;
	static struct told got, model;
	uint32_t validity = 0, moved_from = b->model.uidnext;
	size_t i;

	got.n = 0;
	assert_int_equal(store.op->copy(store.self, b->before.id, range, n,
		to->before.id, move, &validity, tell_pair, &got, &err),
		MR_STORE_OK);
	want = model_copy(&b->model, &to->model, range, n, model.pair);
	assert_int_equal(got.n, want);
	assert_memory_equal(got.pair, model.pair, want * sizeof *got.pair);
	assert_int_equal(validity, to->before.uidvalidity);
	if (!move)
		return;
	/* In one mailbox the new rows are not removed with the old ones. */
	for (i = 0; i < want; i++)
		assert_true(got.pair[i].from < moved_from);
	if (n == 0) {
		range[0] = (struct mr_range){1, moved_from - 1};
		model_expunge(&b->model, range, 1, true);
		return;
	}
	for (i = 0; i < n; i++)
		if (range[i].last >= moved_from)
			range[i].last = moved_from - 1;
	model_expunge(&b->model, range, n, true);
}

static void
shrink(struct box *b)
{
	struct mr_range r = {1, b->model.uidnext / 2 + b->model.uidnext / 4};

	if (b->model.n < ROWS_MOST)
		return;
	assert_int_equal(store.op->expunge(store.self, b->before.id, &r, 1, 1,
		&err), MR_STORE_OK);
	model_expunge(&b->model, &r, 1, true);
}

static void
one_step(void)
{
	static void (*const step[])(void) = {step_commit, step_commit,
		step_commit, step_commit, step_store, step_store, step_expunge,
		step_copy};
	size_t i;

	step[pick(COUNT(step))]();
	for (i = 0; i < BOXES; i++) {
		shrink(&box[i]);
		if (pick(8))
			compare_counters(&box[i]);
		else
			compare(&box[i]);
	}
}

static void
test_model(void **state)
{
	const char *given = getenv("CHANGE_SEED"), *long_run =
		getenv("CHANGE_STEPS");
	long steps = long_run ? atol(long_run) : STEPS, i;

	(void)state;
	seed = given ? (unsigned)atol(given) : 20240917;
	assert_int_equal(store.op->mailbox_create(store.self, box[1].account,
		box[1].name, 0, &err), MR_STORE_OK);
	for (i = 0; i < BOXES; i++) {
		fake_mailbox(&store, box[i].account, box[i].name,
			&box[i].before);
		box[i].model.uidnext = box[i].before.uidnext;
		box[i].model.modseq = box[i].before.modseq;
	}
	for (i = 0; i < steps; i++)
		one_step();
	for (i = 0; i < BOXES; i++) {
		compare(&box[i]);
		model_free(&box[i].model);
	}
	check_references();
}

/* ------------------------------------------------------- chosen cases */

#define MISSING_BOX 999999

static int64_t
fill(const char *account, const char *name, unsigned n, size_t length)
{
	struct mr_placement p = {.kind = 0};
	unsigned i;

	for (i = 0; i < n; i++)
		assert_int_equal(fake_commit(&store, account, name, i, length,
			&p, &err), MR_STORE_OK);
	return p.out_mailbox_id;
}

static void
flag(int64_t mailbox, uint32_t uid, uint32_t op, const char *words,
	uint64_t *modseq)
{
	struct mr_flag_change c = {.op = op, .keywords = words};
	struct mr_range r = {uid, uid};

	assert_int_equal(store.op->store_flags(store.self, mailbox, &r, 1, &c,
		NULL, NULL, modseq, &err), MR_STORE_OK);
}

static int
take_words(void *arg, const struct mr_row *r)
{
	snprintf(arg, 128, "%.*s", (int)r->keywords.len, r->keywords.at);
	return 0;
}

static void
test_keywords(void **state)
{
	static const struct {
		uint32_t op;
		const char *given, *after;
		bool changes;
	} rows[] = {
		{MR_FLAGS_SET, "$Junk  work", "$Junk work", true},
		{MR_FLAGS_SET, "work $junk", "$Junk work", false},
		{MR_FLAGS_ADD, "WORK", "$Junk work", false},
		{MR_FLAGS_ADD, " new New NEW ", "$Junk work new", true},
		{MR_FLAGS_REMOVE, "wor", "$Junk work new", false},
		{MR_FLAGS_REMOVE, "Work", "$Junk new", true},
		{MR_FLAGS_ADD, NULL, "$Junk new", false},
		{MR_FLAGS_ADD, "", "$Junk new", false},
		{MR_FLAGS_SET, NULL, "", true},
		{MR_FLAGS_SET, "x X", "x", true},
	};
	int64_t id = fill("a@x.test", "Words", 1, 30);
	uint64_t last = 0, modseq;
	char words[128];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		flag(id, 1, rows[i].op, rows[i].given, &modseq);
		assert_int_equal(modseq > 0, rows[i].changes);
		assert_true(!modseq || modseq > last);
		last = modseq ? modseq : last;
		assert_int_equal(store.op->scan(store.self, id, NULL, 0, 0,
			MR_ROW_KEYWORDS, take_words, words, &err),
			MR_STORE_OK);
		assert_string_equal(words, rows[i].after);
	}
}

static int
is_own_thread(void *arg, uint32_t uid)
{
	(void)uid;
	assert_true(pthread_equal(*(pthread_t *)arg, pthread_self()));
	return 1;	/* one is enough */
}

static int
is_own_thread_pair(void *arg, struct mr_uid_pair p)
{
	return is_own_thread(arg, p.from);
}

/* Nothing of the caller's runs on the writing thread, and a callback that
 * stops early does not take back what was done. */
static void
test_callbacks(void **state)
{
	int64_t id = fill("a@x.test", "Calls", 5, 30);
	int64_t to = fill("a@x.test", "Calls/to", 1, 30);
	struct mr_flag_change c = {.op = MR_FLAGS_ADD, .flags = MR_FLAG_SEEN,
		.unchanged_since = 3};
	pthread_t self = pthread_self();
	struct mr_mailbox m;
	uint64_t modseq;

	(void)state;
	assert_int_equal(store.op->store_flags(store.self, id, NULL, 0, &c,
		is_own_thread, &self, &modseq, &err), MR_STORE_OK);
	store.op->mailbox_get(store.self, id, &m, &err);
	assert_int_equal(m.unseen, 3);	/* two were not changed since */
	assert_int_equal(m.modseq, modseq);
	assert_int_equal(store.op->copy(store.self, id, NULL, 0, to, 1, NULL,
		is_own_thread_pair, &self, &err), MR_STORE_OK);
	store.op->mailbox_get(store.self, to, &m, &err);
	assert_int_equal(m.messages, 6);
}

static int
no_row(void *arg, const struct mr_row *r)
{
	(void)arg;
	(void)r;
	fail();
	return 0;
}

static int
no_run(void *arg, struct mr_range run)
{
	(void)arg;
	(void)run;
	fail();
	return 0;
}

static void
test_missing(void **state)
{
	int64_t id = fill("a@x.test", "There", 1, 30);
	struct mr_flag_change c = {.op = MR_FLAGS_ADD, .flags = MR_FLAG_SEEN};
	struct mr_mailbox m;
	uint64_t modseq;

	(void)state;
	assert_int_equal(store.op->store_flags(store.self, MISSING_BOX, NULL,
		0, &c, NULL, NULL, &modseq, &err), MR_STORE_MISSING);
	assert_int_equal(store.op->expunge(store.self, MISSING_BOX, NULL, 0, 0,
		&err), MR_STORE_MISSING);
	assert_int_equal(store.op->copy(store.self, MISSING_BOX, NULL, 0, id,
		0, NULL, NULL, NULL, &err), MR_STORE_MISSING);
	assert_int_equal(store.op->copy(store.self, id, NULL, 0, MISSING_BOX,
		1, NULL, NULL, NULL, &err), MR_STORE_MISSING);
	assert_int_equal(store.op->mailbox_get(store.self, MISSING_BOX, &m,
		&err), MR_STORE_MISSING);
	assert_int_equal(store.op->mailbox_take_recent(store.self, MISSING_BOX,
		&m, &err), MR_STORE_MISSING);
	assert_int_equal(store.op->uids(store.self, MISSING_BOX, no_run, NULL,
		&err), MR_STORE_MISSING);
	assert_int_equal(store.op->scan(store.self, MISSING_BOX, NULL, 0, 0, 0,
		no_row, NULL, &err), MR_STORE_MISSING);
	assert_int_equal(store.op->vanished(store.self, MISSING_BOX, 0, no_run,
		NULL, &err), MR_STORE_MISSING);
}

static void
test_quota(void **state)
{
	int64_t full, from, within;
	struct mr_mailbox m;

	(void)state;
	fake_add(&store, "small@x.test");
	full = fill("small@x.test", "INBOX", 3, 1000);
	within = fill("small@x.test", "Sent", 1, 1000);
	from = fill("a@x.test", "From", 1, 1000);
	assert_int_equal(store.op->account_set(store.self, "small@x.test",
		NULL, 4500, -1, &err), MR_STORE_OK);
	assert_int_equal(store.op->copy(store.self, from, NULL, 0, full, 1,
		NULL, NULL, NULL, &err), MR_STORE_OVER_QUOTA);
	store.op->mailbox_get(store.self, from, &m, &err);
	assert_int_equal(m.messages, 1);
	assert_int_equal(store.op->copy(store.self, within, NULL, 0, full, 0,
		NULL, NULL, NULL, &err), MR_STORE_OVER_QUOTA);
	assert_int_equal(store.op->copy(store.self, within, NULL, 0, full, 1,
		NULL, NULL, NULL, &err), MR_STORE_OK);
	store.op->mailbox_get(store.self, full, &m, &err);
	assert_int_equal(m.messages, 4);
}

/* Ranges in any order, a UID in two of them: each row once, by UID. */
static int
ascends(void *arg, const struct mr_row *r)
{
	uint32_t *last = arg;

	assert_true(r->uid > *last);
	*last = r->uid;
	return 0;
}

static void
test_scan_order(void **state)
{
	static const struct mr_range range[] = {{7, 9}, {2, 3}, {3, 5},
		{8, UINT32_MAX}, {1, 1}};
	int64_t id = fill("a@x.test", "Order", 10, 30);
	uint32_t last = 0;

	(void)state;
	assert_int_equal(store.op->scan(store.self, id, range, COUNT(range),
		0, 0, ascends, &last, &err), MR_STORE_OK);
	assert_int_equal(last, 10);
}

/* ----------------------------------------------------------- at one time */

#define THREADS 8
#define EACH 60

static int64_t shared_box, other_box;

static void *
change_much(void *arg)
{
	unsigned own = (unsigned)(uintptr_t)arg, i;
	struct mr_error mine = {{0}};
	struct mr_placement p;
	uint64_t modseq;

	for (i = 0; i < EACH; i++) {
		struct mr_flag_change c = {.op = 1 + (i + own) % 3,
			.flags = i % 32};
		struct mr_range r = {1 + rand_r(&own) % 200, 0};

		r.last = r.first + 5;
		if (fake_commit(&store, "a@x.test", "Shared", i, 100, &p,
				&mine) ||
			store.op->store_flags(store.self, shared_box, &r, 1,
				&c, NULL, NULL, &modseq, &mine) ||
			store.op->copy(store.self, shared_box, &r, 1,
				other_box, i % 2, NULL, NULL, NULL, &mine) ||
			store.op->expunge(store.self, shared_box, &r, 1, 0,
				&mine))
			return arg;
	}
	return NULL;
}

struct sum {
	uint32_t messages, unseen;
	uint64_t bytes, modseq;
};

static int
add_up(void *arg, const struct mr_row *r)
{
	struct sum *s = arg;

	s->messages++;
	s->unseen += !(r->flags & MR_FLAG_SEEN);
	s->bytes += r->length;
	if (r->modseq > s->modseq)
		s->modseq = r->modseq;
	return 0;
}

static void
check_sums(int64_t mailbox)
{
	struct sum s = {.messages = 0};
	struct mr_mailbox m;

	store.op->scan(store.self, mailbox, NULL, 0, 0, MR_ROW_MESSAGE, add_up,
		&s, &err);
	store.op->mailbox_get(store.self, mailbox, &m, &err);
	assert_int_equal(m.messages, s.messages);
	assert_int_equal(m.unseen, s.unseen);
	assert_int_equal(m.bytes, s.bytes);
	assert_true(m.modseq >= s.modseq);
	assert_true(s.messages > 0);
}

static void
test_threads(void **state)
{
	pthread_t t[THREADS];
	void *why[THREADS];
	size_t i;

	(void)state;
	shared_box = fill("a@x.test", "Shared", 1, 100);
	other_box = fill("a@x.test", "Other", 1, 100);
	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, change_much,
			(void *)(uintptr_t)(i + 1));
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &why[i]);
		assert_null(why[i]);
	}
	check_sums(shared_box);
	check_sums(other_box);
	check_references();
}

/* What must stay is passed over, or nothing is changed at all. */
static void
test_retain(void **state)
{
	const struct mr_retain_rule rule = {"Kept", 3600000};
	const struct mr_range two = {1, 2};
	struct mr_retained r = {.size = sizeof r, .any = 1, .range = &two,
		.n = 1};
	struct mr_append a = {.size = sizeof a, .uid = 1};
	struct mr_mailbox m;

	(void)state;
	assert_int_equal(store.op->retain(store.self, &rule, 1, &err), 0);
	r.mailbox = a.mailbox = fill("a@x.test", "Kept", 3, 100);
	assert_int_equal(store.op->expunge(store.self, r.mailbox, NULL, 0, 1,
		&err), MR_STORE_OK);
	assert_int_equal(store.op->retained(store.self, &r, &err), 0);
	assert_int_equal(r.messages, 2);
	assert_true(r.until_ms > fake_now_ms() + 3500000 &&
		r.until_ms <= fake_now_ms() + 3600000);
	assert_int_equal(store.op->copy(store.self, r.mailbox, &two, 1,
		r.mailbox, 1, NULL, NULL, NULL, &err), MR_STORE_RETAINED);
	assert_int_equal(store.op->append(store.self, &a, &err),
		MR_STORE_RETAINED);
	assert_int_equal(store.op->mailbox_delete(store.self, "a@x.test",
		"Kept", &err), MR_STORE_RETAINED);
	assert_int_equal(store.op->mailbox_rename(store.self, "a@x.test",
		"Kept", "Gone", &err), MR_STORE_RETAINED);
	store.op->mailbox_get(store.self, r.mailbox, &m, &err);
	assert_int_equal(m.messages, 3);
	assert_int_equal(store.op->account_remove(store.self, "a@x.test",
		&err), MR_STORE_OK);
	check_references();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_callbacks),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_scan_order),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_retain),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
