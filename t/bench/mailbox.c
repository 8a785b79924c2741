/*
 * mailbox.c - how long a mailbox of 100,000 messages takes to read and to
 * change, through the store's table and nothing else.
 *
 * usage: t/bench/mailbox [MESSAGES]. Prints one line an operation, in ms: the
 * median and the best of ROUNDS for those that can be repeated.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../plug/sqlite/fake.h"

#define THREADS 32
#define ROUNDS 9
#define CACHE 700		/* bytes of a usual envelope and structure */
#define ACCOUNT "a@x.test"

static struct fake store;
static unsigned messages = 100000;
static atomic_uint next_number;
static int64_t box_id;
static volatile uint64_t sink;	/* what is read counts as used */

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
check(int code, const struct mr_error *err)
{
	if (code == MR_STORE_OK)
		return;
	fprintf(stderr, "code %d: %s\n", code, err->text);
	exit(1);
}

/* ------------------------------------------------------------ filling it */

static void
put(unsigned number)
{
	static const char cache[CACHE] = "an envelope";
	char body[64];
	struct mr_piece piece = {.mem = body, .fd = -1,
		.length = sizeof body};
	struct mr_placement p = {.kind = MR_PLACE_MAILBOX,
		.account = ACCOUNT, .mailbox = "Big", .create = 1,
		.flags = number % 3 ? MR_FLAG_SEEN : 0,
		.keywords = number % 10 ? NULL : "$Label1",
		.received_ms = number};
	struct mr_commit c = {.size = sizeof c, .trace = "t",
		.origin = "bench", .piece = &piece, .n_piece = 1,
		.length = sizeof body, .cache = {cache, sizeof cache},
		.place = &p, .n_place = 1};
	struct mr_error err = {{0}};

	memset(body, 'x', sizeof body);
	snprintf((char *)c.sha256, sizeof c.sha256, "%u", number);
	check(store.op->commit(store.self, &c, &err), &err);
}

static void *
fill(void *arg)
{
	unsigned n;

	while ((n = atomic_fetch_add(&next_number, 1)) < messages)
		put(n);
	return arg;
}

static void
fill_all(void)
{
	pthread_t t[THREADS];
	struct mr_mailbox m;
	size_t i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, fill, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	fake_mailbox(&store, ACCOUNT, "Big", &m);
	box_id = m.id;
}

/* -------------------------------------------------------------- reading */

static int
take_run(void *arg, struct mr_range run)
{
	(void)arg;
	sink += run.last - run.first;
	return 0;
}

static int
take_row(void *arg, const struct mr_row *row)
{
	(void)arg;
	sink += row->uid + row->flags + row->cache.len;
	return 0;
}

static void
scan(uint64_t since, uint32_t want)
{
	struct mr_error err = {{0}};

	check(store.op->scan(store.self, box_id, NULL, 0, since, want,
		take_row, NULL, &err), &err);
}

static void
read_select(void)
{
	struct mr_mailbox m;

	fake_mailbox(&store, ACCOUNT, "Big", &m);
}

static void
read_uids(void)
{
	struct mr_error err = {{0}};

	check(store.op->uids(store.self, box_id, take_run, NULL, &err), &err);
}

static void
read_flags(void)
{
	scan(0, MR_ROW_KEYWORDS);
}

static void
read_sizes(void)
{
	scan(0, MR_ROW_KEYWORDS | MR_ROW_MESSAGE);
}

static void
read_cache(void)
{
	scan(0, MR_ROW_KEYWORDS | MR_ROW_MESSAGE | MR_ROW_CACHE);
}

static void
read_changed(void)
{
	scan(messages - 10, MR_ROW_KEYWORDS);
}

static void
read_vanished(void)
{
	struct mr_error err = {{0}};

	check(store.op->vanished(store.self, box_id, 1, take_run, NULL, &err),
		&err);
}

/* ------------------------------------------------------------- changing */

/* `n` UIDs: in one range, or each apart from the next. */
static struct mr_range *
pick(uint32_t first, unsigned n, bool scattered, size_t *count)
{
	struct mr_range *r = calloc(n, sizeof *r);
	unsigned i;

	*count = scattered ? n : 1;
	for (i = 0; i < *count; i++)
		r[i].first = r[i].last = first + i * 3;
	if (!scattered)
		r[0].last = first + n - 1;
	return r;
}

static void
flag(bool scattered)
{
	static unsigned turn;
	struct mr_flag_change c = {.op = turn++ & 1 ? MR_FLAGS_REMOVE :
		MR_FLAGS_ADD, .flags = MR_FLAG_FLAGGED};
	struct mr_error err = {{0}};
	uint64_t modseq;
	size_t n;
	struct mr_range *r = pick(1000, messages / 10, scattered, &n);

	check(store.op->store_flags(store.self, box_id, r, n, &c, NULL, NULL,
		&modseq, &err), &err);
	free(r);
}

static void
flag_range(void)
{
	flag(false);
}

static void
flag_scattered(void)
{
	flag(true);
}

static void
add_keyword(void)
{
	static unsigned turn;
	struct mr_flag_change c = {.op = turn++ & 1 ? MR_FLAGS_REMOVE :
		MR_FLAGS_ADD, .keywords = "$Work"};
	struct mr_range r = {1000, 999 + messages / 10};
	struct mr_error err = {{0}};
	uint64_t modseq;

	check(store.op->store_flags(store.self, box_id, &r, 1, &c, NULL, NULL,
		&modseq, &err), &err);
}

static void
copy(const char *to, int move, uint32_t first)
{
	struct mr_range r = {first, first + messages / 10 - 1};
	struct mr_error err = {{0}};
	struct mr_mailbox m;
	uint32_t validity;

	fake_mailbox(&store, ACCOUNT, to, &m);
	check(store.op->copy(store.self, box_id, &r, 1, m.id, move, &validity,
		NULL, NULL, &err), &err);
}

static void
copy_range(void)
{
	copy("Archive", 0, 1);
}

static void
move_range(void)
{
	copy("Trash", 1, messages * 9 / 10 + 1);
}

static void
expunge_range(void)
{
	struct mr_range r = {messages / 2, messages / 2 + messages / 10 - 1};
	struct mr_error err = {{0}};

	check(store.op->expunge(store.self, box_id, &r, 1, 1, &err), &err);
}

static void
expunge_scattered(void)
{
	struct mr_error err = {{0}};
	size_t n;
	struct mr_range *r = pick(1, messages / 10, true, &n);

	check(store.op->expunge(store.self, box_id, r, n, 1, &err), &err);
	free(r);
}

static void
delete_mailbox(void)
{
	struct mr_error err = {{0}};

	check(store.op->mailbox_delete(store.self, ACCOUNT, "Big", &err),
		&err);
}

/* ------------------------------------------------------------ the table */

static const struct {
	const char *name;
	void (*run)(void);
	bool once;
} operation[] = {
	{"SELECT (find by name)", read_select, false},
	{"uids", read_uids, false},
	{"scan flags and keywords", read_flags, false},
	{"scan with sizes and dates", read_sizes, false},
	{"scan with the cache", read_cache, false},
	{"scan changed since, 10 rows", read_changed, false},
	{"store flag, a tenth in one range", flag_range, false},
	{"store flag, a tenth scattered", flag_scattered, false},
	{"store keyword, a tenth", add_keyword, false},
	{"copy a tenth", copy_range, false},
	{"move a tenth", move_range, true},
	{"expunge a tenth in one range", expunge_range, true},
	{"expunge a tenth scattered", expunge_scattered, true},
	{"uids, with gaps", read_uids, false},
	{"vanished", read_vanished, false},
	{"delete the mailbox", delete_mailbox, true},
};

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
measure(size_t i)
{
	size_t n = operation[i].once ? 1 : ROUNDS, k;
	double ms[ROUNDS], start;

	for (k = 0; k < n; k++) {
		start = now_ms();
		operation[i].run();
		ms[k] = now_ms() - start;
	}
	qsort(ms, n, sizeof *ms, by_size);
	printf("%-34s %9.2f ms  (best %.2f)\n", operation[i].name, ms[n / 2],
		ms[0]);
}

int
main(int argc, char **argv)
{
	const char *folder = fake_folder();
	double start;
	size_t i;

	if (argc > 1)
		messages = (unsigned)strtoul(argv[1], NULL, 10);
	fake_open(&store, folder, NULL);
	fake_add(&store, ACCOUNT);
	start = now_ms();
	fill_all();
	printf("%-34s %9.0f ms\n", "commit all", now_ms() - start);
	for (i = 0; i < sizeof operation / sizeof *operation; i++)
		measure(i);
	fake_close(&store);
	fake_folder_remove(folder);
	return 0;
}
