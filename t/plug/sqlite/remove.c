/*
 * remove.c - removed messages are collected, their space comes back, and who
 * reads one meanwhile is not disturbed.
 */
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

#define BIG (300 << 10)
#define PATIENCE_S 15

static struct fake store;
static const char *folder;
static const struct fake_setting settings[] = {{"keep_removed", 0},
	{"segment_size", 1 << 20}, {NULL, 0}};

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, settings);
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

static int64_t
on_disk(int *files)
{
	char path[5000];
	struct dirent *e;
	int64_t blocks = 0;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof path, "%s/sqlite/segments", folder);
	d = opendir(path);
	*files = 0;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st,
			0) == 0) {
			blocks += st.st_blocks;
			++*files;
		}
	closedir(d);
	return blocks * 512;
}

static int
keep_id(void *arg, const struct mr_row *r)
{
	int64_t **at = arg;

	*(*at)++ = r->message_id;
	return 0;
}

static int64_t
fill_mailbox(const char *mailbox, unsigned n, size_t length, int64_t *id)
{
	struct mr_error err = {{0}};
	struct mr_placement p;
	unsigned i;

	for (i = 0; i < n; i++)
		assert_int_equal(fake_commit(&store, "a@x.test", mailbox,
			i + 100 * (mailbox[0] == 'K'), length, &p, &err),
			MR_STORE_OK);
	assert_int_equal(store.op->scan(store.self, p.out_mailbox_id, NULL, 0,
		0, MR_ROW_MESSAGE, keep_id, &id, &err), MR_STORE_OK);
	return p.out_mailbox_id;
}

static bool
is_there(int64_t message)
{
	struct mr_error err;
	uint64_t length;
	void *body;

	if (store.op->body_open(store.self, message, &body, &length, &err) !=
		MR_STORE_OK)
		return false;
	store.op->body_close(body);
	return true;
}

static bool
goes(int64_t message)
{
	int i;

	for (i = 0; i < PATIENCE_S * 10; i++) {
		if (!is_there(message))
			return true;
		usleep(100000);
	}
	return false;
}

static void
remove_all(int64_t mailbox)
{
	struct mr_error err = {{0}};

	assert_int_equal(store.op->expunge(store.self, mailbox, NULL, 0, 1,
		&err), MR_STORE_OK);
}

static void
test_small(void **state)
{
	int64_t id[8], kept[8], box;

	(void)state;
	fill_mailbox("Keep", 2, 1000, kept);
	box = fill_mailbox("INBOX", 3, 1000, id);
	remove_all(box);
	assert_true(goes(id[0]));
	assert_true(goes(id[2]));
	assert_true(is_there(kept[1]));
}

/* Eight of 300 KiB fill two segments; the third is still appended to. */
static void
test_segments(void **state)
{
	int64_t id[16], kept[4], box, before;
	unsigned number;
	int files;

	(void)state;
	box = fill_mailbox("INBOX", 9, BIG, id);
	fill_mailbox("Keep", 1, BIG, kept);
	before = on_disk(&files);
	assert_int_equal(files, 3);
	assert_true(before >= 10 * BIG);
	remove_all(box);
	assert_true(goes(id[0]));
	assert_true(goes(id[8]));
	usleep(300000);
	assert_true(on_disk(&files) <= 2 * BIG);
	assert_int_equal(files, 1);
	assert_true(fake_is_whole(&store, kept[0], &number));
}

static void
test_open_body(void **state)
{
	struct mr_error err = {{0}};
	char *want = fake_body(0, BIG), *got = malloc(BIG);
	int64_t id[4], box, at = 0, n;
	uint64_t length;
	void *body;

	(void)state;
	box = fill_mailbox("INBOX", 2, BIG, id);
	assert_int_equal(store.op->body_open(store.self, id[0], &body,
		&length, &err), MR_STORE_OK);
	remove_all(box);
	assert_true(goes(id[1]));	/* the other one is collected */
	sleep(2);
	while ((n = store.op->body_read(body, (uint64_t)at, got + at,
		(size_t)(BIG - at), &err)) > 0)
		at += n;
	assert_int_equal(at, BIG);
	assert_memory_equal(got, want, BIG);
	store.op->body_close(body);
	assert_true(goes(id[0]));
	free(want);
	free(got);
}

/* Large bytes that come again take no room, and live as long as one of the
 * messages does. */
static void
test_same(void **state)
{
	struct mr_error err = {{0}};
	struct mr_placement p, q;
	int64_t id[8], again[8], *at = again, before;
	unsigned number;
	int files;

	(void)state;
	fill_mailbox("INBOX", 2, BIG, id);
	before = on_disk(&files);
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 1, BIG, &p,
		&err), MR_STORE_OK);
	assert_int_equal(fake_commit(&store, "a@x.test", "Other", 1, BIG, &q,
		&err), MR_STORE_OK);
	assert_int_equal(p.out_uid, 3);
	assert_true(on_disk(&files) < before + BIG / 2);
	remove_all(p.out_mailbox_id);
	assert_true(goes(id[0]));
	assert_int_equal(store.op->scan(store.self, q.out_mailbox_id, NULL, 0,
		0, MR_ROW_MESSAGE, keep_id, &at, &err), MR_STORE_OK);
	assert_true(fake_is_whole(&store, again[0], &number));
	assert_int_equal(number, 1);
}

/* A refused message leaves no bytes behind. */
static void
test_refused(void **state)
{
	struct mr_error err = {{0}};
	struct mr_placement p;
	int files, i;

	(void)state;
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 1, BIG, &p,
		&err), MR_STORE_OK);
	for (i = 0; i < 10; i++)
		assert_int_equal(fake_commit(&store, "nobody@x.test",
			"INBOX", 2, BIG, &p, &err), MR_STORE_MISSING);
	assert_true(on_disk(&files) < 2 * BIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	TEST(test_small),
	TEST(test_segments),
	TEST(test_open_body),
	TEST(test_same),
	TEST(test_refused),
};
UNIT_MAIN(tests)
