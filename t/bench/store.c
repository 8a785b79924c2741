/*
 * store.c - how many messages a second a store plugin takes for good.
 *
 * store FOLDER PRODUCERS SECONDS SIZE [PROCESSES]: that many threads, spread
 * over the processes, each commit messages of SIZE bytes (0: a mixture like
 * mail, 3 KiB to 2 MiB, mean about 75 KiB) to one of 100 accounts. Prints one
 * line. SQLITE_MODULE names another module.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../plug/sqlite/fake.h"

#define ACCOUNTS 100
#define MOST (2 << 20)
#define LATENCIES (1 << 20)

struct shared {
	atomic_int ready, go, stop;
	atomic_long done;
	_Atomic double last;
	float latency[LATENCIES];	/* seconds */
};

static struct shared *shared;
static struct fake store;
static size_t size;
static char *text, cache[700];

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
choose_size(unsigned *seed)
{
	int x;

	if (size)
		return size;
	x = rand_r(seed) % 100;
	if (x < 45)
		return 3000 + (size_t)rand_r(seed) % 12000;
	if (x < 85)
		return 15000 + (size_t)rand_r(seed) % 60000;
	if (x < 97)
		return 75000 + (size_t)rand_r(seed) % 225000;
	return 300000 + (size_t)rand_r(seed) % 1700000;
}

static void
commit_one(unsigned *seed, unsigned number)
{
	char account[40], trace[40];
	struct mr_piece piece = {.fd = -1};
	struct mr_placement place = {.kind = MR_PLACE_MAILBOX,
		.account = account, .mailbox = "INBOX", .received_ms = 1};
	struct mr_commit c = {.size = sizeof c, .trace = trace,
		.origin = "smtp 192.0.2.1", .piece = &piece, .n_piece = 1,
		.place = &place, .n_place = 1, .cache = {cache, sizeof cache}};
	struct mr_error err = {{0}};

	snprintf(account, sizeof account, "user%d@bench.test",
		rand_r(seed) % ACCOUNTS);
	snprintf(trace, sizeof trace, "%08x%08x", *seed, number);
	memcpy(c.sha256, trace, 16);
	c.length = piece.length = choose_size(seed);
	piece.mem = text + number * 2654435761u % 65536;
	if (store.op->commit(store.self, &c, &err) == MR_STORE_OK)
		return;
	fprintf(stderr, "commit: %s\n", err.text);
	exit(1);
}

static void *
produce(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg + 1, number = 0;
	double from, to;
	long at;

	shared->ready++;
	while (!shared->go)
		usleep(1000);
	while (!shared->stop) {
		from = now();
		commit_one(&seed, number++);
		to = now();
		at = shared->done++;
		if (at < LATENCIES)
			shared->latency[at] = (float)(to - from);
		shared->last = to;
	}
	return NULL;
}

static void
run_process(const char *folder, int first, int n)
{
	pthread_t *t = calloc((size_t)n, sizeof *t);
	int i;

	fake_open(&store, folder, NULL);
	for (i = 0; i < n; i++)
		pthread_create(&t[i], NULL, produce,
			(void *)(uintptr_t)(first + i));
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	fake_close(&store);
	exit(0);
}

static int
compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double
cpu_of_children(void)
{
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
report(double began, double cpu)
{
	long n = shared->done, kept = n < LATENCIES ? n : LATENCIES;

	qsort(shared->latency, (size_t)kept, sizeof *shared->latency, compare);
	printf("msg/s=%.0f p50ms=%.2f p99ms=%.2f maxms=%.0f cpu_us=%.0f\n",
		(double)n / (shared->last - began),
		(double)shared->latency[kept / 2] * 1e3,
		(double)shared->latency[kept * 99 / 100] * 1e3,
		(double)shared->latency[kept - 1] * 1e3,
		(cpu_of_children() - cpu) * 1e6 / (double)n);
}

static void
make_accounts(const char *folder)
{
	char account[40];
	int i;

	if (fork() == 0) {
		fake_open(&store, folder, NULL);
		for (i = 0; i < ACCOUNTS; i++) {
			snprintf(account, sizeof account, "user%d@bench.test",
				i);
			fake_add(&store, account);
		}
		fake_close(&store);
		exit(0);
	}
	wait(NULL);
}

int
main(int argc, char **argv)
{
	int threads, processes, i;
	double seconds, began, cpu;

	if (argc < 5)
		return fprintf(stderr, "usage: store FOLDER PRODUCERS SECONDS "
			"SIZE [PROCESSES]\n"), 2;
	threads = atoi(argv[2]);
	seconds = atof(argv[3]);
	size = (size_t)atol(argv[4]);
	processes = argc > 5 ? atoi(argv[5]) : 1;
	text = malloc(MOST + 65536);
	for (i = 0; i < MOST + 65536; i++)
		text[i] = (char)(32 + i * 2654435761u % 95);
	memset(cache, 'c', sizeof cache);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir(argv[1], 0700);
	make_accounts(argv[1]);
	sync();
	cpu = cpu_of_children();
	for (i = 0; i < processes; i++)
		if (fork() == 0)
			run_process(argv[1], threads * i / processes, threads *
				(i + 1) / processes - threads * i / processes);
	while (shared->ready < threads)
		usleep(1000);
	began = now();
	shared->go = 1;
	usleep((useconds_t)(seconds * 1e6));
	shared->stop = 1;
	for (i = 0; i < processes; i++)
		wait(NULL);
	report(began, cpu);
	return 0;
}
