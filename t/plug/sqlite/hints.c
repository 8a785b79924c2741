/*
 * hints.c - who watches hears of changes by this and other processes.
 */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

static struct fake store;
static const char *folder;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mr_change heard[1000];
static size_t n_heard;

static void
changed(void *arg, const struct mr_change *c)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	if (n_heard < COUNT(heard))
		heard[n_heard++] = *c;
	pthread_mutex_unlock(&lock);
}

static bool
hears(uint32_t kind, int64_t id, int seconds)
{
	bool found = false;
	size_t i;
	int t;

	for (t = 0; t < seconds * 50 && !found; t++) {
		pthread_mutex_lock(&lock);
		for (i = 0; i < n_heard; i++)
			found |= heard[i].kind == kind && heard[i].id == id;
		pthread_mutex_unlock(&lock);
		usleep(20000);
	}
	return found;
}

static void
forget(void)
{
	pthread_mutex_lock(&lock);
	n_heard = 0;
	pthread_mutex_unlock(&lock);
}

static int
set_up(void **state)
{
	struct mr_error err = {{0}};

	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
	forget();
	assert_int_equal(store.op->watch(store.self, changed, NULL, &err),
		MR_STORE_OK);
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

/* In a process of its own: commits there, and ends by `how`. */
static int
elsewhere(const char *what, const char *how)
{
	char program[4096];
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
	int status;
	pid_t pid;

	assert_true(n > 0);
	program[n] = 0;
	pid = fork();
	if (pid == 0) {
		execl(program, program, folder, what, how, NULL);
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_own(void **state)
{
	struct mr_error err = {{0}};
	struct mr_placement p;
	size_t i;

	(void)state;
	assert_int_equal(fake_commit(&store, "a@x.test", "INBOX", 1, 100, &p,
		&err), MR_STORE_OK);
	assert_true(hears(MR_CHANGE_MAILBOX, p.out_mailbox_id, 5));
	for (i = 0; i < n_heard; i++)
		if (heard[i].id == p.out_mailbox_id)
			assert_true(heard[i].modseq > 1);
	assert_int_equal(store.op->watch(store.self, changed, NULL, &err),
		MR_STORE_EXISTS);
}

static void
test_other_process(void **state)
{
	struct mr_mailbox m;

	(void)state;
	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_int_equal(elsewhere("mailbox", "close"), 0);
	assert_true(hears(MR_CHANGE_MAILBOX, m.id, 2));
	forget();
	assert_int_equal(elsewhere("queue", "close"), 0);
	assert_true(hears(MR_CHANGE_QUEUE, 0, 2));
	forget();
	assert_int_equal(elsewhere("put back", "close"), 0);
	assert_true(hears(MR_CHANGE_QUEUE, 0, 2));
	/* One that watched and was killed leaves its socket; it is passed
	 * over and goes. */
	forget();
	elsewhere("watch", "kill");
	assert_int_equal(elsewhere("mailbox", "close"), 0);
	assert_true(hears(MR_CHANGE_MAILBOX, m.id, 2));
}

/* Without a hint the look at the database says that anything may have
 * changed. */
static void
test_lost(void **state)
{
	char from[5000], to[5000];

	(void)state;
	usleep(3500000);
	forget();
	snprintf(from, sizeof from, "%s/sqlite/hints", folder);
	snprintf(to, sizeof to, "%s/sqlite/away", folder);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(elsewhere("mailbox", "close"), 0);
	assert_true(hears(MR_CHANGE_MAILBOX, 0, 10));
	snprintf(from, sizeof from, "rm -rf '%s/sqlite/hints'", folder);
	assert_int_equal(system(from), 0);
	snprintf(from, sizeof from, "%s/sqlite/hints", folder);
	assert_int_equal(rename(to, from), 0);
}

/* One message to more mailboxes than a hint holds. */
static int
commit_wide(void)
{
	static char name[100][8];
	static struct mr_placement p[100];
	struct mr_error err = {{0}};
	struct mr_piece piece = {.mem = "x", .fd = -1, .length = 1};
	struct mr_commit c = {.size = sizeof c, .trace = "t", .piece = &piece,
		.n_piece = 1, .length = 1, .place = p, .n_place = 100};
	size_t i;

	for (i = 0; i < COUNT(p); i++) {
		snprintf(name[i], sizeof *name, "box%zu", i);
		p[i] = (struct mr_placement){.kind = MR_PLACE_MAILBOX,
			.account = "a@x.test", .mailbox = name[i],
			.create = 1};
	}
	return store.op->commit(store.self, &c, &err);
}

static int
commit_queue(void)
{
	struct mr_error err = {{0}};
	struct mr_piece piece = {.mem = "x", .fd = -1, .length = 1};
	struct mr_placement p = {.kind = MR_PLACE_QUEUE, .sender = "",
		.rcpt = "r@p.test", .next_hop = "p"};
	struct mr_commit c = {.size = sizeof c, .trace = "t", .piece = &piece,
		.n_piece = 1, .length = 1, .place = &p, .n_place = 1};

	return store.op->commit(store.self, &c, &err);
}

static int
keep_id(void *arg, const struct mr_queue_item *i)
{
	*(int64_t *)arg = i->id;
	return 0;
}

/* Of one that is claimed: it is due again before its lease ends. */
static int
put_back(void)
{
	struct mr_error err = {{0}};
	struct mr_fate fate = {.kind = MR_FATE_RETRY, .next_ms = 1};
	int code = store.op->queue_claim(store.self, "owner", fake_now_ms(),
		60000, 1, keep_id, &fate.id, &err);

	return code ? code : store.op->queue_settle(store.self, &fate, 1,
		NULL, &err);
}

static int
commit_mailbox(void)
{
	struct mr_error err = {{0}};
	struct mr_placement p;

	return fake_commit(&store, "a@x.test", "INBOX", 1, 100, &p, &err);
}

static int
start_watch(void)
{
	struct mr_error err = {{0}};

	return store.op->watch(store.self, changed, NULL, &err);
}

/* What the program does for `elsewhere`. */
static int
play_other(char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} plays[] = {{"mailbox", commit_mailbox}, {"queue", commit_queue},
		{"put back", put_back}, {"wide", commit_wide},
		{"watch", start_watch}};
	int code = -1;
	size_t i;

	fake_open(&store, argv[1], NULL);
	for (i = 0; i < COUNT(plays); i++)
		if (!strcmp(argv[2], plays[i].name))
			code = plays[i].run();
	if (!strcmp(argv[3], "kill"))
		kill(getpid(), SIGKILL);
	fake_close(&store);
	return code != 0;
}

static void
test_wide(void **state)
{
	(void)state;
	forget();
	assert_int_equal(elsewhere("wide", "close"), 0);
	assert_true(hears(MR_CHANGE_MAILBOX, 0, 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	TEST(test_own),
	TEST(test_other_process),
	TEST(test_lost),
	TEST(test_wide),
};

int
main(int argc, char **argv)
{
	if (argc == 4)
		return play_other(argv);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
