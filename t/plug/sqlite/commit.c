/*
 * commit.c - messages come in and are read back: from row and segment, by
 * many threads and two processes, all placements or none.
 */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

#define THREADS 50
#define EACH 200

static struct fake store;
static const char *folder;

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

/* ------------------------------------------------------------ read back */

struct found {
	int64_t message[16];
	struct mr_row row[16];
	size_t n;
};

static int
find_row(void *arg, const struct mr_row *r)
{
	struct found *f = arg;

	f->row[f->n] = *r;
	f->message[f->n++] = r->message_id;
	return f->n == 16;
}

static void
rows_of(const char *account, const char *mailbox, struct found *out)
{
	struct mr_error err = {{0}};
	struct mr_mailbox m;

	*out = (struct found){.n = 0};
	fake_mailbox(&store, account, mailbox, &m);
	assert_int_equal(store.op->scan(store.self, m.id, NULL, 0, 0,
		MR_ROW_MESSAGE, find_row, out, &err), MR_STORE_OK);
}

static void
test_read_back(void **state)
{
	static const size_t lengths[] = {22, 100, 4096, 16384, 16385, 100000,
		3 << 20};
	struct mr_placement p;
	struct mr_error err = {{0}};
	struct mr_mailbox m;
	struct found f;
	unsigned number;
	uint64_t sum = 0;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		assert_int_equal(fake_commit(&store, "a@x.test", "inbox",
			(unsigned)i, lengths[i], &p, &err), MR_STORE_OK);
		assert_int_equal(p.out_uid, i + 1);
		sum += lengths[i];
	}
	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_int_equal(m.id, p.out_mailbox_id);
	assert_int_equal(m.uidvalidity, p.out_uidvalidity);
	assert_int_equal(m.messages, COUNT(lengths));
	assert_int_equal(m.unseen, COUNT(lengths));
	assert_int_equal(m.bytes, sum);
	assert_int_equal(m.uidnext, COUNT(lengths) + 1);
	rows_of("a@x.test", "INBOX", &f);
	assert_int_equal(f.n, COUNT(lengths));
	for (i = 0; i < f.n; i++) {
		assert_int_equal(f.row[i].length, lengths[i]);
		assert_int_equal(f.row[i].received_ms, 1000 + i);
		assert_true(fake_is_whole(&store, f.message[i], &number));
		assert_int_equal(number, i);
	}
}

/* Pieces of memory and of files, in and beyond the row. */
static void
test_pieces(void **state)
{
	static const size_t lengths[] = {9000, 400000};
	struct mr_error err = {{0}};
	struct found f;
	unsigned number;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		size_t length = lengths[i], third = length / 3;
		char *body = fake_body((unsigned)i, length);
		FILE *file = tmpfile();
		struct mr_piece piece[] = {
			{.mem = body, .fd = -1, .length = third},
			{.fd = fileno(file), .offset = 5, .length = third},
			{.mem = body + 2 * third, .fd = -1,
				.length = length - 2 * third}};
		struct mr_placement p = {.kind = MR_PLACE_MAILBOX,
			.account = "a@x.test", .mailbox = "INBOX"};
		struct mr_commit c = {.size = sizeof c, .trace = "t",
			.piece = piece, .n_piece = 3, .length = length,
			.place = &p, .n_place = 1};

		fwrite("junk-", 1, 5, file);
		fwrite(body + third, 1, third, file);
		fflush(file);
		assert_int_equal(store.op->commit(store.self, &c, &err),
			MR_STORE_OK);
		/* A file that is shorter than it was said to be. */
		piece[1].offset = 6;
		assert_int_equal(store.op->commit(store.self, &c, &err),
			MR_STORE_FAILED);
		fclose(file);
		free(body);
	}
	rows_of("a@x.test", "INBOX", &f);
	assert_int_equal(f.n, 2);
	for (i = 0; i < f.n; i++) {
		assert_true(fake_is_whole(&store, f.message[i], &number));
		assert_int_equal(number, i);
	}
}

static void
test_missing_body(void **state)
{
	struct mr_error err = {{0}};
	uint64_t length;
	void *body;

	(void)state;
	assert_int_equal(store.op->body_open(store.self, 12345, &body,
		&length, &err), MR_STORE_MISSING);
	assert_true(err.text[0] != 0);
}

/* --------------------------------------------------------- all or nothing */

static void
queue_place(struct mr_placement *p, const char *rcpt, const char *hop)
{
	*p = (struct mr_placement){.kind = MR_PLACE_QUEUE, .sender = "s@y.test",
		.rcpt = rcpt, .next_hop = hop, .expire_ms = 1};
}

static void
test_all_or_nothing(void **state)
{
	char *body = fake_body(1, 50000);
	struct mr_piece piece = {.mem = body, .fd = -1, .length = 50000};
	struct mr_placement p[4] = {{.kind = MR_PLACE_MAILBOX,
		.account = "a@x.test", .mailbox = "INBOX"},
		{.kind = MR_PLACE_MAILBOX, .account = "b@x.test",
		.mailbox = "Made/For It", .create = 1},
		{.kind = MR_PLACE_MAILBOX, .account = "b@x.test",
		.mailbox = "Not there"}};
	struct mr_commit c = {.size = sizeof c, .trace = "t", .piece = &piece,
		.n_piece = 1, .length = 50000, .place = p, .n_place = 4};
	struct mr_error err = {{0}};
	struct mr_mailbox m;
	int64_t messages, queued, held, bytes;

	(void)state;
	queue_place(&p[3], "r@z.test", "z.test");
	assert_int_equal(store.op->commit(store.self, &c, &err),
		MR_STORE_MISSING);
	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_int_equal(m.messages, 0);
	assert_int_equal(m.uidnext, 1);
	assert_int_equal(store.op->mailbox_find(store.self, "b@x.test",
		"Made/For It", &m, &err), MR_STORE_MISSING);
	p[2].create = 1;
	assert_int_equal(store.op->commit(store.self, &c, &err), MR_STORE_OK);
	fake_mailbox(&store, "b@x.test", "Not there", &m);
	assert_int_equal(m.messages, 1);
	assert_true(p[3].out_queue_id > 0);
	assert_int_equal(store.op->figures(store.self, &messages, &queued,
		&held, &bytes, &err), MR_STORE_OK);
	assert_int_equal(queued, 1);
	free(body);
}

static void
test_invalid(void **state)
{
	struct mr_error err = {{0}};
	struct mr_placement p = {.kind = 7};
	struct mr_piece piece = {.mem = "x", .fd = -1, .length = 1};
	struct mr_commit c = {.size = sizeof c, .trace = "t", .piece = &piece,
		.n_piece = 1, .length = 1, .place = &p, .n_place = 1};

	(void)state;
	assert_int_equal(store.op->commit(store.self, &c, &err),
		MR_STORE_INVALID);
	queue_place(&p, "r@z.test", "z.test");
	c.length = 2;
	assert_int_equal(store.op->commit(store.self, &c, &err),
		MR_STORE_INVALID);
	c.length = 1;
	c.n_place = 0;
	assert_int_equal(store.op->commit(store.self, &c, &err),
		MR_STORE_INVALID);
	c.discarded_by = "a filter";
	assert_int_equal(store.op->commit(store.self, &c, &err), MR_STORE_OK);
}

static void
test_quota(void **state)
{
	struct mr_placement p;
	struct mr_error err = {{0}};
	struct mr_mailbox m;

	(void)state;
	assert_int_equal(store.op->account_set(store.self, "a@x.test", NULL,
		10000, -1, &err), MR_STORE_OK);
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 1, 6000, &p,
		&err), MR_STORE_OK);
	assert_int_equal(fake_commit(&store, "a@x.test", "Other", 2, 6000, &p,
		&err), MR_STORE_OVER_QUOTA);
	assert_int_equal(store.op->mailbox_find(store.self, "a@x.test",
		"Other", &m, &err), MR_STORE_MISSING);
	assert_int_equal(fake_commit(&store, "a@x.test", "Other", 3, 4000, &p,
		&err), MR_STORE_OK);
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 4, 22, &p,
		&err), MR_STORE_OVER_QUOTA);
	assert_int_equal(fake_commit(&store, "b@x.test", "INBOX", 5, 50000,
		&p, &err), MR_STORE_OK);
	assert_int_equal(store.op->account_set(store.self, "a@x.test", NULL,
		0, -1, &err), MR_STORE_OK);
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 6, 50000,
		&p, &err), MR_STORE_OK);
}

/* ------------------------------------------------------------ concurrency */

static uint8_t seen[THREADS * EACH + 1];

static void *
run_thread(void *arg)
{
	unsigned first = (unsigned)(uintptr_t)arg * EACH, i;
	struct mr_placement p;
	struct mr_error err;
	uintptr_t wrong = 0;

	for (i = 0; i < EACH; i++) {
		size_t length = i % 20 == 7 ? 20000 : 300 + i;

		wrong += fake_commit(&store, "a@x.test", "INBOX", first + i,
			length, &p, &err) != MR_STORE_OK;
		/* An own refusal among others' successes. */
		if (i % 10 == 3)
			wrong += fake_commit(&store, "nobody@x.test", "INBOX",
				1, 100, &p, &err) != MR_STORE_MISSING;
	}
	return (void *)wrong;
}

static int
check_row(void *arg, const struct mr_row *r)
{
	uint32_t *uid = arg;

	assert_int_equal(r->uid, ++*uid);
	return 0;
}

static int
collect_id(void *arg, const struct mr_row *r)
{
	int64_t **at = arg;

	*(*at)++ = r->message_id;
	return 0;
}

static void
check_all_once(struct fake *f)
{
	static int64_t id[THREADS * EACH];
	struct mr_error err = {{0}};
	struct mr_mailbox m;
	int64_t *at = id;
	uint32_t uid = 0;
	unsigned number, i;

	memset(seen, 0, sizeof seen);
	fake_mailbox(f, "a@x.test", "INBOX", &m);
	assert_int_equal(m.messages, THREADS * EACH);
	assert_int_equal(m.uidnext, THREADS * EACH + 1);
	assert_int_equal(f->op->scan(f->self, m.id, NULL, 0, 0, 0, check_row,
		&uid, &err), MR_STORE_OK);
	assert_int_equal(uid, THREADS * EACH);
	assert_int_equal(f->op->scan(f->self, m.id, NULL, 0, 0,
		MR_ROW_MESSAGE, collect_id, &at, &err), MR_STORE_OK);
	for (i = 0; i < THREADS * EACH; i++) {
		assert_true(fake_is_whole(f, id[i], &number));
		assert_true(number < THREADS * EACH);
		assert_int_equal(seen[number]++, 0);
	}
}

static void
test_threads(void **state)
{
	pthread_t t[THREADS];
	void *wrong;
	unsigned i;

	(void)state;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, run_thread,
			(void *)(uintptr_t)i), 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &wrong);
		assert_null(wrong);
	}
	check_all_once(&store);
}

/* Half of the threads in each of two processes. The parent opens its store
 * only after the fork. */
static void
run_half(const char *where, unsigned first)
{
	pthread_t t[THREADS / 2];
	uintptr_t sum = 0;
	void *wrong;
	unsigned i;

	fake_open(&store, where, NULL);
	for (i = 0; i < THREADS / 2; i++)
		if (pthread_create(&t[i], NULL, run_thread,
			(void *)(uintptr_t)(first + i)))
			_exit(2);
	for (i = 0; i < THREADS / 2; i++) {
		pthread_join(t[i], &wrong);
		sum += (uintptr_t)wrong;
	}
	fake_close(&store);
	_exit(sum ? 1 : 0);
}

static void
test_two_processes(void **state)
{
	int i, status;

	(void)state;
	fake_close(&store);
	for (i = 0; i < 2; i++)
		if (fork() == 0)
			run_half(folder, (unsigned)i * THREADS / 2);
	for (i = 0; i < 2; i++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	fake_open(&store, folder, NULL);
	check_all_once(&store);
}

/* ----------------------------------------------------------------- opening */

static void
test_open_errors(void **state)
{
	char path[5000];
	struct fake other;
	const char *why;
	FILE *f;

	(void)state;
	snprintf(path, sizeof path, "%s/file", folder);
	f = fopen(path, "w");
	fclose(f);
	why = fake_try(&other, path, NULL);
	assert_non_null(strstr(why, "cannot create"));
	assert_non_null(strstr(why, path));
	assert_non_null(strstr(why, "Not a directory"));
	/* Another file where the database should be. */
	snprintf(path, sizeof path, "%s/bad", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/bad/sqlite", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/bad/sqlite/mailroom.db", folder);
	f = fopen(path, "w");
	fprintf(f, "%01000d", 7);
	fclose(f);
	snprintf(path, sizeof path, "%s/bad", folder);
	assert_non_null(strstr(fake_try(&other, path, NULL),
		"not a database"));
}

static void
test_modes(void **state)
{
	static const struct {
		const char *name;
		unsigned mode;
	} files[] = {{"sqlite", 0700}, {"sqlite/segments", 0700},
		{"sqlite/hints", 0700}, {"sqlite/mailroom.db", 0600},
		{"sqlite/mailroom.db-wal", 0600},
		{"sqlite/writer.lock", 0600}};
	struct mr_placement p;
	struct mr_error err;
	char path[5000];
	struct stat st;
	size_t i;

	(void)state;
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 1, 30000,
		&p, &err), MR_STORE_OK);
	for (i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, files[i].mode);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	TEST(test_read_back),
	TEST(test_pieces),
	TEST(test_missing_body),
	TEST(test_all_or_nothing),
	TEST(test_invalid),
	TEST(test_quota),
	TEST(test_threads),
	TEST(test_two_processes),
	TEST(test_open_errors),
	TEST(test_modes),
};
UNIT_MAIN(tests)
