/*
 * row_cache.c - a mailbox that changes at random, also between the look-ups
 * that make the cache true again: what it answers is what the store holds,
 * and while others change it, never older than what it held before.
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "serve/row_cache.h"

#define MOST 4000
#define FIRST 600
#define ROUNDS 3000
#define ID 7

struct message {
	uint32_t flags;
	uint64_t modseq, gone_at;	/* gone_at 0: it is there */
	char keywords[200];
};

static struct message message[MOST + 1];	/* by UID */
static uint32_t last_uid, count, uidvalidity;
static uint64_t modseq;
static unsigned slips;			/* changes in between are wanted */
static unsigned scans, seed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned
dice(unsigned sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 10) % sides;
}

/* ------------------------------------------------------------- the store */

static void
add_message(void)
{
	if (last_uid == MOST)
		return;
	message[++last_uid] = (struct message){.flags = dice(32),
		.modseq = ++modseq};
	count++;
}

static void
change_one(void)
{
	uint32_t uid = 1 + dice(last_uid);

	if (message[uid].gone_at)
		return;
	message[uid].modseq = ++modseq;
	if (dice(3) == 0) {
		message[uid].gone_at = modseq;
		count--;
		return;
	}
	message[uid].flags = dice(32);
	snprintf(message[uid].keywords, sizeof message[uid].keywords, "%s%u",
		"$k", dice(20));
	if (dice(4) == 0)
		message[uid].keywords[0] = '\0';
}

static void
change(void)
{
	if (dice(3) == 0)
		add_message();
	else
		change_one();
}

static void
slip(void)
{
	if (slips > 0 && dice(slips) == 0)
		change();
}

static int
get(void *self, int64_t id, struct mr_mailbox *out, struct mr_error *err)
{
	(void)self;
	(void)err;
	pthread_mutex_lock(&lock);
	*out = (struct mr_mailbox){.id = id, .uidvalidity = uidvalidity,
		.uidnext = last_uid + 1, .modseq = modseq, .messages = count};
	slip();
	pthread_mutex_unlock(&lock);
	return MR_STORE_OK;
}

static int
uids(void *self, int64_t id, int (*each)(void *, struct mr_range), void *arg,
	struct mr_error *err)
{
	uint32_t uid, first = 0;

	(void)self;
	(void)id;
	(void)err;
	pthread_mutex_lock(&lock);
	for (uid = 1; uid <= last_uid + 1; uid++) {
		bool is_there = uid <= last_uid && !message[uid].gone_at;

		if (is_there && !first)
			first = uid;
		if (is_there || !first)
			continue;
		each(arg, (struct mr_range){first, uid - 1});
		first = 0;
	}
	pthread_mutex_unlock(&lock);
	return MR_STORE_OK;
}

static int
scan(void *self, int64_t id, const struct mr_range *range, size_t n,
	uint64_t since, uint32_t want,
	int (*each)(void *, const struct mr_row *), void *arg,
	struct mr_error *err)
{
	uint32_t uid;
	int stop = 0;

	(void)self;
	(void)id;
	(void)err;
	(void)want;
	pthread_mutex_lock(&lock);
	scans++;
	for (uid = 1; uid <= last_uid && !stop; uid++) {
		const struct message *m = &message[uid];
		struct mr_row row = {.uid = uid, .flags = m->flags,
			.modseq = m->modseq, .received_ms = uid * 3,
			.message_id = uid + 5, .length = uid * 2,
			.saved_ms = uid * 7, .sent = {uid * 9, -60},
			.keywords = {m->keywords, strlen(m->keywords)}};

		if (!m->gone_at && m->modseq > since && (n == 0 ||
			(uid >= range->first && uid <= range->last)))
			stop = each(arg, &row);
	}
	slip();
	pthread_mutex_unlock(&lock);
	return stop ? MR_STORE_STOPPED : MR_STORE_OK;
}

static int
vanished(void *self, int64_t id, uint64_t since,
	int (*each)(void *, struct mr_range), void *arg, struct mr_error *err)
{
	uint32_t uid;

	(void)self;
	(void)id;
	(void)err;
	pthread_mutex_lock(&lock);
	for (uid = 1; uid <= last_uid; uid++)
		if (message[uid].gone_at > since)
			each(arg, (struct mr_range){uid, uid});
	slip();
	pthread_mutex_unlock(&lock);
	return MR_STORE_OK;
}

static const struct mr_store table = {.size = sizeof table,
	.mailbox_get = get, .uids = uids, .scan = scan, .vanished = vanished};
static struct store store = {.op = &table};

static void
begin(unsigned start)
{
	seed = start;
	memset(message, 0, sizeof message);
	last_uid = count = 0;
	modseq = 1;
	uidvalidity = 1;
	slips = 0;
	while (last_uid < FIRST)
		add_message();
}

/* ------------------------------------------------------------ what is said */

struct seen {
	uint32_t next, n;	/* UID behind the last row */
	uint32_t first, last;
	uint64_t since, newest;
	uint32_t with, without;	/* flags */
	bool exact, stop;
};

static int
check_row(void *arg, const struct mr_row *row)
{
	const struct message *m = &message[row->uid];
	struct seen *s = arg;

	assert_true(row->uid >= s->next && row->uid <= s->last);
	assert_true(row->modseq > s->since);
	assert_int_equal(row->received_ms, row->uid * 3);
	assert_int_equal(row->message_id, row->uid + 5);
	assert_int_equal(row->length, row->uid * 2);
	assert_int_equal(row->saved_ms, row->uid * 7);
	assert_int_equal(row->sent.ms, row->uid * 9);
	assert_int_equal(row->sent.zone, -60);
	s->next = row->uid + 1;
	s->n++;
	if (row->modseq > s->newest)
		s->newest = row->modseq;
	if (!s->exact)
		return s->stop;
	assert_false(m->gone_at);
	assert_int_equal(row->flags, m->flags);
	assert_int_equal(row->modseq, m->modseq);
	assert_int_equal(row->keywords.len, strlen(m->keywords));
	assert_memory_equal(row->keywords.at, m->keywords, row->keywords.len);
	return s->stop;
}

static void
ask(struct row_cache *c, struct seen *s, int wanted)
{
	struct mr_range range = {s->first, s->last};
	struct row_query q = {.mailbox = ID, .range = &range, .n = 1,
		.since = s->since, .want = MR_ROW_KEYWORDS | MR_ROW_MESSAGE |
		MR_ROW_SAVED | MR_ROW_SENT, .with = s->with,
		.without = s->without, .each = check_row, .arg = s};
	struct mr_error me;

	s->next = s->first;
	assert_int_equal(row_cache_scan(c, &store, &q, &me), wanted);
}

static uint32_t
there(const struct seen *s)
{
	uint32_t uid, n = 0;

	for (uid = s->first; uid <= s->last && uid <= last_uid; uid++)
		n += !message[uid].gone_at && message[uid].modseq > s->since &&
			(message[uid].flags & s->with) == s->with &&
			!(message[uid].flags & s->without);
	return n;
}

static int
add_run(void *arg, struct mr_range run)
{
	struct seen *s = arg;
	uint32_t uid;

	assert_true(run.first >= s->next);
	s->next = run.last + 2;		/* runs are maximal */
	for (uid = run.first; uid <= run.last; uid++)
		assert_false(message[uid].gone_at);
	s->n += run.last - run.first + 1;
	return 0;
}

static void
check_all(struct row_cache *c)
{
	struct seen s = {.first = 1, .last = UINT32_MAX, .exact = true};
	struct mr_error me;

	ask(c, &s, MR_STORE_OK);
	assert_int_equal(s.n, count);
	s = (struct seen){.first = 1 + dice(last_uid), .exact = true,
		.since = dice((unsigned)modseq), .with = 1u << dice(5),
		.without = 1u << dice(5)};
	s.last = s.first + dice(200);
	ask(c, &s, MR_STORE_OK);
	assert_int_equal(s.n, there(&s));
	s = (struct seen){.next = 1};
	assert_int_equal(row_cache_uids(c, &store, ID, add_run, &s, &me),
		MR_STORE_OK);
	assert_int_equal(s.n, count);
}

/* ------------------------------------------------------------------ tests */

static void
changes(void **state)
{
	struct row_cache *c = row_cache_new(1 << 20);
	struct seen s;
	unsigned i;

	(void)state;
	begin(1);
	for (i = 0; i < ROUNDS; i++) {
		slips = dice(4);
		change();
		s = (struct seen){.first = 1, .last = UINT32_MAX};
		ask(c, &s, MR_STORE_OK);
		slips = 0;
		if (dice(50) == 0)
			uidvalidity++;
		check_all(c);
	}
	row_cache_free(c);
}

static void
is_kept(void **state)
{
	struct row_cache *c = row_cache_new(1 << 20);
	struct seen s = {.first = 1, .last = UINT32_MAX, .exact = true};

	(void)state;
	begin(2);
	check_all(c);
	scans = 0;
	check_all(c);
	assert_int_equal(scans, 0);
	change();
	check_all(c);
	assert_int_equal(scans, 1);
	s.stop = true;
	ask(c, &s, MR_STORE_STOPPED);
	assert_int_equal(s.n, 1);
	assert_int_equal(scans, 1);
	row_cache_free(c);
}

/* Keywords count, too. */
static void
keywords_are_counted(void **state)
{
	struct row_cache *c = row_cache_new(100000);
	uint32_t uid;

	(void)state;
	begin(3);
	check_all(c);
	scans = 0;
	check_all(c);
	assert_int_equal(scans, 0);
	for (uid = 1; uid <= last_uid; uid++) {
		snprintf(message[uid].keywords, sizeof message->keywords,
			"%0*u", 190, uid);
		message[uid].modseq = ++modseq;
	}
	check_all(c);
	scans = 0;
	check_all(c);
	assert_true(scans > 0);
	row_cache_free(c);
}

/* Neither what is too large nor a count that is wrong is kept, and the latter
 * is not tried again and again. */
static void
is_not_kept(void **state)
{
	struct row_cache *c = row_cache_new(FIRST * 16);
	struct seen s = {.first = 1, .last = UINT32_MAX, .exact = true};

	(void)state;
	begin(3);
	check_all(c);
	scans = 0;
	check_all(c);
	assert_int_equal(scans, 2);
	row_cache_free(c);
	c = row_cache_new(1 << 20);
	count++;
	ask(c, &s, MR_STORE_OK);
	assert_int_equal(s.n, count - 1);
	scans = 0;
	ask(c, &s, MR_STORE_OK);
	assert_int_equal(scans, 1);
	row_cache_free(c);
}

static struct row_cache *shared;
static atomic_bool over;

static void *
read_on(void *arg)
{
	uint64_t newest = 0;

	(void)arg;
	while (!atomic_load(&over)) {
		struct seen s = {.first = 1, .last = UINT32_MAX};

		ask(shared, &s, MR_STORE_OK);
		assert_true(s.newest >= newest);
		newest = s.newest;
	}
	return NULL;
}

static void
many_threads(void **state)
{
	pthread_t thread[4];
	unsigned i;

	(void)state;
	begin(4);
	atomic_store(&over, false);
	shared = row_cache_new(1 << 20);
	for (i = 0; i < COUNT(thread); i++)
		pthread_create(&thread[i], NULL, read_on, NULL);
	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&lock);
		add_message();
		pthread_mutex_unlock(&lock);
	}
	atomic_store(&over, true);
	for (i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	check_all(shared);
	row_cache_free(shared);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(changes),
	cmocka_unit_test(is_kept),
	cmocka_unit_test(keywords_are_counted),
	cmocka_unit_test(is_not_kept),
	cmocka_unit_test(many_threads),
};
UNIT_MAIN(tests)
