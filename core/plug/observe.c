/*
 * observe.c - the queue and the thread between the house and its observers.
 *
 * Locks: `lock` guards everything below it. The list of observers is written
 * once, before other threads start.
 */
#include "plug/observe.h"

#include <errno.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "plug/hooks.h"

#define STACK (256 << 10)
#define TEXT_MOST 1000	/* of one string */

struct item {
	struct mr_event event;
	char *text;		/* all its strings */
	struct item *next;
};

static struct plugin **observer;
static size_t n_observer;
static uint64_t wanted;		/* kinds that somebody wants */
static const char *role_of_process;
static pthread_t thread;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t there_is_work, is_over;
static struct item *first, **end = &first;
static unsigned n_waiting;
static uint64_t n_dropped;	/* since the last that got through */
static bool stopping, over;

/* ----------------------------------------------------------------- events */

/* Where the strings of an event are, so that all are copied alike. */
static const size_t strings[] = {
	offsetof(struct mr_event, protocol),
	offsetof(struct mr_event, listener),
	offsetof(struct mr_event, session),
	offsetof(struct mr_event, message),
	offsetof(struct mr_event, peer),
	offsetof(struct mr_event, account),
	offsetof(struct mr_event, sender),
	offsetof(struct mr_event, rcpt),
	offsetof(struct mr_event, host),
	offsetof(struct mr_event, text),
};
#define STRINGS (sizeof strings / sizeof *strings)

static const char **
string_at(struct mr_event *e, size_t i)
{
	return (const char **)((char *)e + strings[i]);
}

static struct item *
copy(const struct mr_event *e)
{
	struct item *one = mem_alloc(sizeof *one);
	size_t at[STRINGS], i;
	struct buf b;

	one->event = *e;
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < STRINGS; i++) {
		struct str s = str_sub(str_from(*string_at(&one->event, i)),
			0, TEXT_MOST);

		at[i] = b.len;
		buf_addstr(&b, s);
		buf_addc(&b, '\0');
	}
	one->text = mem_alloc(b.len);
	memcpy(one->text, b.at, b.len);
	buf_free(&b);
	for (i = 0; i < STRINGS; i++)
		*string_at(&one->event, i) = one->text + at[i];
	one->event.size = sizeof one->event;
	one->event.role = role_of_process;
	one->event.time_ms = clock_wall();
	return one;
}

static void
free_item(struct item *one)
{
	free(one->text);
	free(one);
}

bool
observe_wanted(enum mr_event_kind kind)
{
	return wanted & UINT64_C(1) << kind;
}

void
observe_post(const struct mr_event *e)
{
	struct item *one;

	if (!observe_wanted((enum mr_event_kind)e->kind))
		return;
	one = copy(e);
	pthread_mutex_lock(&lock);
	if (n_waiting == OBSERVE_MOST || stopping) {
		n_dropped++;
		pthread_mutex_unlock(&lock);
		free_item(one);
		return;
	}
	one->event.dropped = n_dropped;
	n_dropped = 0;
	*end = one;
	end = &one->next;
	n_waiting++;
	pthread_cond_signal(&there_is_work);
	pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------- the thread */

static uint64_t
wants_of(const struct mr_observer *o)
{
	return o->wants ? o->wants : UINT64_MAX;
}

static void
tell(const struct item *one)
{
	size_t i;

	if (one->event.dropped)
		log_warn("observe.dropped", LOG_N("events",
			one->event.dropped));
	for (i = 0; i < n_observer; i++) {
		const struct mr_observer *o = observer[i]->desc->observer;

		if (!(wants_of(o) & UINT64_C(1) << one->event.kind))
			continue;
		hooks_leave_breadcrumb(observer[i]->name, "event",
			one->event.session);
		o->event(observer[i]->config, &one->event);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
	}
}

static void *
run(void *arg)
{
	struct item *one;

	(void)arg;
	pthread_mutex_lock(&lock);
	while (first || !stopping) {
		if (!first) {
			pthread_cond_wait(&there_is_work, &lock);
			continue;
		}
		one = first;
		first = one->next;
		if (!first)
			end = &first;
		n_waiting--;
		pthread_mutex_unlock(&lock);
		tell(one);
		free_item(one);
		pthread_mutex_lock(&lock);
	}
	over = true;
	pthread_cond_signal(&is_over);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* ------------------------------------------------------------------- life */

static void
find_observers(const struct plugins *p)
{
	size_t i;

	observer = mem_alloc((p->n + 1) * sizeof *observer);
	for (i = 0; i < p->n; i++) {
		const struct mr_observer *o = PLUG_ROLE(p->item[i]->desc,
			observer);

		if (!PLUG_HOOK(o, event))
			continue;
		observer[n_observer++] = p->item[i];
		wanted |= wants_of(o);
	}
}

int
observe_start(const struct plugins *p, const char *role, struct err *e)
{
	pthread_condattr_t clock;
	pthread_attr_t attr;
	int code;

	role_of_process = role;
	find_observers(p);
	if (!n_observer)
		return 0;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&there_is_work, &clock);
	pthread_cond_init(&is_over, &clock);
	pthread_condattr_destroy(&clock);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = pthread_create(&thread, &attr, run, NULL);
	pthread_attr_destroy(&attr);
	errno = code;
	return code ? err_sys(e, "starting the observers' thread") : 0;
}

bool
observe_stop(int64_t ms)
{
	int64_t until = clock_mono() + ms;
	struct timespec at = {until / 1000, until % 1000 * 1000000};
	bool ended;

	if (!n_observer)
		return true;
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_signal(&there_is_work);
	while (!over && clock_mono() < until)
		pthread_cond_timedwait(&is_over, &lock, &at);
	ended = over;
	pthread_mutex_unlock(&lock);
	if (ended)
		pthread_join(thread, NULL);
	return ended;
}
