/*
 * indexer.c - fills the search index while nobody waits for it.
 *
 * The thread has the lowest priority, and after each batch it sleeps for as
 * long as the batch took in time that was not its own: on a machine that has
 * nothing else to do hardly at all, on a busy one most of the time. What is
 * not in the index yet is found all the same, so it may lag behind.
 */
#include "proc/indexer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/index_fill.h"

#define STACK (512 << 10)
#define GATHER_MS 1000		/* deliveries come in flocks */
#define LOOK_MS (10 * 60000)	/* removed messages do not poke */
#define FAILED_MS 60000
#define PAUSE_MOST 2000

struct indexer {
	const struct store *store;
	pthread_t thread;
	int wake;		/* eventfd */
	atomic_bool stopping, poked;
};

/* Until it is poked (with `heeds`), time is up, or it is to stop: false. */
static bool
rest(struct indexer *i, int64_t ms, bool heeds)
{
	struct pollfd p = {i->wake, POLLIN, 0};
	int64_t until = clock_mono() + ms, left = ms;
	uint64_t n;

	while (!atomic_load(&i->stopping) && left > 0 &&
	    !(heeds && atomic_load(&i->poked))) {
		if (poll(&p, 1, (int)left) > 0 &&
		    read(i->wake, &n, sizeof n) < 0)
			break;		/* cannot happen */
		left = until - clock_mono();
	}
	return !atomic_load(&i->stopping);
}

static int64_t
own_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How long to sleep after a batch. */
static int64_t
pause_after(int64_t wall, int64_t own)
{
	int64_t others = wall > own ? wall - own : 0;
	int64_t pause = wall / 4 + others * 4;

	return pause < PAUSE_MOST ? pause : PAUSE_MOST;
}

/* Batch after batch. false: the index is turned off. */
static bool
fill(struct indexer *i, struct index_fill *f)
{
	struct err e = {0};
	int64_t wall, own;
	int n;

	do {
		wall = clock_mono();
		own = own_ms();
		n = index_fill_some(f, &e);
		if (n <= 0)
			break;
	} while (rest(i, pause_after(clock_mono() - wall, own_ms() - own),
	    false));
	if (n >= 0)
		return true;
	if (e.kind == ERR_MISSING)
		return false;
	log_error("index.fill", LOG_S("error", e.text));
	rest(i, FAILED_MS, false);
	return true;
}

static void *
run(void *arg)
{
	struct indexer *i = arg;
	struct index_fill *f;
	bool is_on = true;

	setpriority(PRIO_PROCESS, (id_t)gettid(), 19);	/* of this thread */
	while (is_on && rest(i, GATHER_MS, false)) {
		atomic_store(&i->poked, false);
		f = index_fill_new(i->store);
		is_on = fill(i, f);
		index_fill_free(f);	/* its memory is not for idle times */
		if (is_on)
			rest(i, LOOK_MS, true);
	}
	return NULL;
}

struct indexer *
indexer_start(const struct store *s, struct err *e)
{
	struct indexer *i;
	pthread_attr_t attr;
	int code;

	if (!index_is_there(s))
		return NULL;
	i = mem_alloc(sizeof *i);
	i->store = s;
	i->wake = eventfd(0, EFD_CLOEXEC);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = i->wake < 0 ? errno : pthread_create(&i->thread, &attr, run, i);
	pthread_attr_destroy(&attr);
	if (!code)
		return i;
	if (i->wake >= 0)
		close(i->wake);
	free(i);
	errno = code;
	err_sys(e, "starting the thread of the search index");
	return NULL;
}

void
indexer_poke(struct indexer *i)
{
	uint64_t one = 1;

	if (i && !atomic_exchange(&i->poked, true) &&
	    write(i->wake, &one, sizeof one) < 0)
		return;		/* cannot happen */
}

void
indexer_stop(struct indexer *i)
{
	uint64_t one = 1;

	if (!i)
		return;
	atomic_store(&i->stopping, true);
	if (write(i->wake, &one, sizeof one) < 0)
		return;		/* cannot happen */
	pthread_join(i->thread, NULL);
}

void
indexer_free(struct indexer *i)
{
	if (i)
		close(i->wake);
	free(i);
}
