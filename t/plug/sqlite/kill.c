/*
 * kill.c - a process that commits is killed again and again; what it has
 * acknowledged is there, once, and whole.
 */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

#define ROUNDS 10
#define THREADS 8
#define MOST 400000

struct book {
	atomic_uint next;
	atomic_uchar acked[MOST];
};

static struct book *book;
static struct fake store;

static void *
commit_for_ever(void *arg)
{
	struct mr_placement p;
	struct mr_error err;

	(void)arg;
	for (;;) {
		unsigned number = book->next++;
		size_t length = number % 7 == 0 ? 40000 : 200 + number % 3000;

		if (number >= MOST || fake_commit(&store, "a@x.test", "INBOX",
			number, length, &p, &err) != MR_STORE_OK)
			_exit(3);
		book->acked[number] = 1;
	}
	return NULL;
}

static void
run_child(const char *folder)
{
	pthread_t t[THREADS];
	int i;

	fake_open(&store, folder, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, commit_for_ever, NULL);
	for (;;)
		pause();
}

static int
keep_id(void *arg, const struct mr_row *r)
{
	int64_t **at = arg;

	*(*at)++ = r->message_id;
	return 0;
}

static void
check(void)
{
	static uint8_t seen[MOST];
	static int64_t id[MOST];
	struct mr_error err = {{0}};
	struct mr_mailbox m;
	int64_t *at = id, *one;
	unsigned number, i;

	fake_mailbox(&store, "a@x.test", "INBOX", &m);
	assert_true(m.messages < MOST);
	assert_int_equal(store.op->scan(store.self, m.id, NULL, 0, 0,
		MR_ROW_MESSAGE, keep_id, &at, &err), MR_STORE_OK);
	assert_int_equal(at - id, m.messages);
	for (one = id; one < at; one++) {
		assert_true(fake_is_whole(&store, *one, &number));
		assert_int_equal(seen[number]++, 0);
	}
	for (i = 0; i < book->next && i < MOST; i++)
		assert_true(!book->acked[i] || seen[i]);
}

static void
test_kill(void **state)
{
	const char *folder = fake_folder();
	unsigned before;
	siginfo_t info = {0};
	int round, status;
	pid_t pid;

	(void)state;
	fake_open(&store, folder, NULL);
	fake_add(&store, "a@x.test");
	fake_close(&store);
	for (round = 0; round < ROUNDS; round++) {
		before = book->next;
		pid = fork();
		if (pid == 0)
			run_child(folder);
		while (book->next < before + 50 + (unsigned)rand() % 2000 &&
			waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG |
			WNOWAIT) == 0 && info.si_pid == 0)
			usleep(2000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
	fake_open(&store, folder, NULL);
	check();
	fake_close(&store);
	fake_folder_remove(folder);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_kill),
};

int
main(void)
{
	book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return book == MAP_FAILED || cmocka_run_group_tests(tests, NULL, NULL);
}
