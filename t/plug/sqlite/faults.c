/*
 * faults.c - the disk fails at each step of a commit: nothing refused is
 * there, nothing acknowledged is lost, and the next one works when the disk
 * does. Runs itself again under t/kill/failfs.so.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake.h"

#define MOST 60			/* more calls than one commit makes */
#define THREADS 10

enum { KIND_WRITE = 1, KIND_SYNC = 2, KIND_GROW = 4 };

/* As failfs.c has it. */
struct control {
	_Atomic int64_t kinds, nth, error, sticky, seen;
};

static struct control *control;
static struct fake store;
static const char *folder;
static unsigned next_number;
static uint8_t is_acked[10000], is_there[10000];

static void
arm(int64_t kinds, int64_t nth, int error, int sticky)
{
	control->seen = 0;
	control->nth = nth;
	control->error = error;
	control->sticky = sticky;
	control->kinds = kinds;
}

static int
commit(unsigned number, size_t length)
{
	struct mr_placement p;
	struct mr_error err = {{0}};
	int code = fake_commit(&store, "a@x.test", "INBOX", number, length,
		&p, &err);

	if (code == MR_STORE_OK)
		is_acked[number] = 1;
	else
		assert_true(err.text[0] != 0);
	return code;
}

static int
note_row(void *arg, const struct mr_row *r)
{
	int64_t **at = arg;

	*(*at)++ = r->message_id;
	return 0;
}

static void
check(void)
{
	static int64_t id[10000];
	struct mr_error err = {{0}};
	struct mr_mailbox m;
	int64_t *at = id, *one;
	unsigned number;

	memset(is_there, 0, sizeof is_there);
	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_int_equal(store.op->scan(store.self, m.id, NULL, 0, 0,
		MR_ROW_MESSAGE, note_row, &at, &err), MR_STORE_OK);
	assert_int_equal(at - id, m.messages);
	for (one = id; one < at; one++) {
		assert_true(fake_is_whole(&store, *one, &number));
		assert_int_equal(is_there[number]++, 0);
	}
	assert_memory_equal(is_there, is_acked, next_number);
}

/* Fails the 1st, 2nd, ... call until a commit needs no more. */
static void
step_through(int64_t kinds, int error, size_t length, int expected)
{
	int nth, code, hit = 0;

	for (nth = 1; nth < MOST; nth++) {
		arm(kinds, nth, error, 0);
		code = commit(next_number++, length);
		control->kinds = 0;
		if (control->seen < nth)
			break;
		hit++;
		/* What fails may be harmless, such as giving space back. */
		if (code != MR_STORE_OK)
			assert_int_equal(code, expected);
		assert_int_equal(commit(next_number++, length), MR_STORE_OK);
	}
	assert_true(hit > 0 && nth < MOST);
	check();
}

static void
test_steps(void **state)
{
	static const size_t lengths[] = {800, 200000};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		step_through(KIND_WRITE, EIO, lengths[i], MR_STORE_FAILED);
		step_through(KIND_WRITE, ENOSPC, lengths[i], MR_STORE_FULL);
		step_through(KIND_SYNC, EIO, lengths[i], MR_STORE_FAILED);
	}
}

static void *
commit_big(void *arg)
{
	commit((unsigned)(uintptr_t)arg, 100000);
	return NULL;
}

static void *
commit_small(void *arg)
{
	commit((unsigned)(uintptr_t)arg, 1000);
	return NULL;
}

static void
fill_disk(void *(*run)(void *arg))
{
	pthread_t t[THREADS];
	unsigned i;

	arm(KIND_WRITE | KIND_GROW, 1, ENOSPC, 1);
	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, run,
			(void *)(uintptr_t)(next_number + i));
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	control->kinds = 0;
	for (i = 0; i < THREADS; i++)
		assert_false(is_acked[next_number + i]);
	next_number += THREADS;
	assert_int_equal(commit(next_number++, 1000), MR_STORE_OK);
	assert_int_equal(commit(next_number++, 100000), MR_STORE_OK);
	check();
}

static void
test_full_disk(void **state)
{
	(void)state;
	fill_disk(commit_small);
	fill_disk(commit_big);
}

static void
test_again(void **state)
{
	(void)state;
	fake_close(&store);
	fake_open(&store, folder, NULL);
	check();
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_steps),
	cmocka_unit_test(test_full_disk),
	cmocka_unit_test(test_again),
};

/* failfs.so looks at its environment when it is loaded. */
static int
run_again(char **argv)
{
	char path[5000];
	int fd;

	folder = fake_folder();
	snprintf(path, sizeof path, "%s/control", folder);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *control) < 0)
		return 1;
	setenv("FAILFS_ROLE", argv[0], 1);
	setenv("FAILFS_CONTROL", path, 1);
	snprintf(path, sizeof path, "%s/sqlite", folder);
	setenv("FAILFS_DIR", path, 1);
	setenv("FAULTS_FOLDER", folder, 1);
	setenv("LD_PRELOAD", FAILFS, 1);
	execv("/proc/self/exe", argv);
	return 1;
}

int
main(int argc, char **argv)
{
	int fd, failed;

	(void)argc;
	folder = getenv("FAULTS_FOLDER");
	if (!folder)
		return run_again(argv);
	fd = open(getenv("FAILFS_CONTROL"), O_RDWR);
	control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, 0);
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fake_close(&store);
	fake_folder_remove(strdup(folder));
	return failed;
}
