/*
 * watchdog.c - one slot a thread, looked at a few times a second.
 *
 * slot->state counts the calls of its thread in its upper bits, so that the
 * watchdog never gives up a call it did not look at. The thread changes it
 * without a lock, the watchdog under slot->lock. `slots_lock` guards the list
 * of slots, which only grows; threads live as long as the process.
 */
#include "plug/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"

#define LOOK_MS 200

enum { IDLE, RUNNING, GIVEN_UP, STATES = 4 };

struct slot {
	_Atomic uint64_t state;		/* calls * STATES + one of the above */
	_Atomic int64_t deadline;
	const struct watchdog_call *call;	/* stays while RUNNING */
	pthread_mutex_t lock;
	struct slot *next;
};

static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot *slots;
static unsigned thread_count;
static __thread struct slot *mine;

static struct slot *
my_slot(void)
{
	if (mine)
		return mine;
	mine = mem_alloc(sizeof *mine);
	pthread_mutex_init(&mine->lock, NULL);
	pthread_mutex_lock(&slots_lock);
	mine->next = slots;
	slots = mine;
	pthread_mutex_unlock(&slots_lock);
	return mine;
}

void
watchdog_begin(const struct watchdog_call *call)
{
	struct slot *s = my_slot();
	uint64_t was = atomic_load_explicit(&s->state, memory_order_relaxed);

	s->call = call;
	atomic_store_explicit(&s->deadline, call->deadline,
		memory_order_relaxed);
	atomic_store_explicit(&s->state, was + STATES + RUNNING,
		memory_order_release);
}

bool
watchdog_end(void)
{
	struct slot *s = my_slot();
	uint64_t was = atomic_load_explicit(&s->state, memory_order_relaxed);

	was = atomic_exchange(&s->state, was - was % STATES);
	if (was % STATES != GIVEN_UP)
		return false;
	/* It may still be telling the client. */
	pthread_mutex_lock(&s->lock);
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void
give_up(const struct watchdog_call *c)
{
	log_error("filter.stuck", LOG_S("filter", c->plugin),
		LOG_S("hook", c->hook), LOG_S("session", c->session));
	if (c->give_up)
		c->give_up(c->arg);
}

/* True if the slot's hook is given up, now or before. */
static bool
look_at(struct slot *s, int64_t now)
{
	uint64_t state = atomic_load(&s->state);
	bool stuck = state % STATES == GIVEN_UP;

	if (state % STATES != RUNNING || atomic_load(&s->deadline) >= now)
		return stuck;
	pthread_mutex_lock(&s->lock);
	if (atomic_compare_exchange_strong(&s->state, &state,
		state - RUNNING + GIVEN_UP)) {
		stuck = true;
		give_up(s->call);
	}
	pthread_mutex_unlock(&s->lock);
	return stuck;
}

static void *
run(void *arg)
{
	const struct timespec pause = {0, LOOK_MS * 1000000L};
	struct slot *s;
	unsigned stuck;

	(void)arg;
	for (;;) {
		int64_t now = clock_mono();

		nanosleep(&pause, NULL);
		stuck = 0;
		pthread_mutex_lock(&slots_lock);
		s = slots;
		pthread_mutex_unlock(&slots_lock);
		for (; s; s = s->next)
			stuck += look_at(s, now);
		if (stuck * 2 <= thread_count)
			continue;
		log_error("filter.stuck", LOG_N("threads", stuck),
			LOG_S("now", "this process starts again"));
		abort();
	}
	return NULL;
}

void
watchdog_start(unsigned threads)
{
	pthread_attr_t attr;
	pthread_t t;

	thread_count = threads;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 128 << 10);
	if (pthread_create(&t, &attr, run, NULL))
		log_warn("filter.watchdog", LOG_S("error",
			"no thread: stuck filters are not given up"));
	pthread_attr_destroy(&attr);
}
