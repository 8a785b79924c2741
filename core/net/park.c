/*
 * park.c - the park: one polling thread, some serving threads.
 *
 * States of a guest, all guarded by p->lock:
 *
 *	PARKED   in the epoll (armed one-shot, unless it waits for time only)
 *	         and perhaps in the timer heap
 *	READY    in the ready queue, `pending` says why
 *	RUNNING  in serve() on one thread; wakes are gathered in `pending`
 *
 * The polling thread turns epoll events and due timers into READY guests and
 * calls the listeners. A serving thread that has nothing to do waits on a word
 * of its own (futex(2)), the last one that went idle first in the list: a
 * guest is handed to it under p->lock and it is woken behind the lock, so that
 * no thread is woken to wait again. A guest that becomes READY leaves the timer heap; its
 * epoll registration is one-shot and has fired, or is switched off by the
 * next arming. An event that meets a guest which is not PARKED any more (its
 * timer was faster), or is PARKED for time only, is dropped: the descriptor
 * is level-triggered and will tell again when the guest is armed next.
 *
 * A guest may leave between epoll_wait and the lock. Events therefore carry
 * no pointer but the descriptor and the guest's serial number, which are
 * looked up in by_fd; a guest is taken out of there before its leave closes
 * the descriptor.
 */
#include "net/park.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/clock.h"

#define STACK_DEFAULT (256 << 10)
#define EVENTS 128
#define READY_FACTOR 4		/* ready guests a thread before we stop
				   accepting */
#define MOST_LISTENERS 64

enum guest_state { PARKED, READY, RUNNING };

struct listening {
	int fd;
	void (*accepted)(void *arg, int fd);
	void *arg;
};

struct server {			/* a serving thread */
	struct park *park;
	pthread_t thread;
	_Atomic uint32_t bell;	/* 1: look at `given`, or at `stopping` */
	struct guest *given;
	unsigned why;
	struct server *next;	/* idle, or about to be woken */
};

struct park {
	pthread_mutex_t lock;
	pthread_cond_t empty;
	struct server *idle;	/* last one first */
	struct server *to_wake;	/* by unlock() */
	int epoll, bell;	/* bell wakes the polling thread */
	struct guest **by_fd;	/* the guest that owns a descriptor */
	unsigned by_fd_room;
	struct guest **heap;	/* of wake_at, smallest first, from 1 */
	unsigned heap_n, heap_room;
	struct guest *ready, **ready_end;
	unsigned n_guests, most_guests, n_ready, n_running;
	uint32_t serial;
	struct listening listening[MOST_LISTENERS];
	unsigned n_listening;
	bool paused;		/* listeners are switched off */
	bool closing, closed;	/* for good: asked for, done by the poller */
	bool draining, stopping;
	pthread_t poller;
	struct server *server;
	unsigned n_threads, most_threads;
	size_t stack;
};

/* ----------------------------------------------------------- timer heap */

static void
heap_set(struct park *p, unsigned at, struct guest *g)
{
	p->heap[at] = g;
	g->heap_at = at;
}

static void
heap_up(struct park *p, unsigned at, struct guest *g)
{
	while (at > 1 && p->heap[at / 2]->wake_at > g->wake_at) {
		heap_set(p, at, p->heap[at / 2]);
		at /= 2;
	}
	heap_set(p, at, g);
}

static void
heap_down(struct park *p, unsigned at, struct guest *g)
{
	unsigned child;

	while ((child = at * 2) <= p->heap_n) {
		if (child < p->heap_n && p->heap[child + 1]->wake_at <
			p->heap[child]->wake_at)
			child++;
		if (p->heap[child]->wake_at >= g->wake_at)
			break;
		heap_set(p, at, p->heap[child]);
		at = child;
	}
	heap_set(p, at, g);
}

static void
heap_add(struct park *p, struct guest *g)
{
	if (p->heap_n + 2 > p->heap_room) {
		p->heap_room = p->heap_room ? p->heap_room * 2 : 64;
		p->heap = mem_grow(p->heap, p->heap_room * sizeof *p->heap);
	}
	p->heap_n++;
	heap_up(p, p->heap_n, g);
}

static void
heap_remove(struct park *p, struct guest *g)
{
	unsigned at = g->heap_at;
	struct guest *last;

	if (!at)
		return;
	g->heap_at = 0;
	last = p->heap[p->heap_n--];
	if (last == g)
		return;
	if (at > 1 && p->heap[at / 2]->wake_at > last->wake_at)
		heap_up(p, at, last);
	else
		heap_down(p, at, last);
}

/* ------------------------------------------------------------- guests */

static void
ring_bell(struct park *p)
{
	uint64_t one = 1;

	if (write(p->bell, &one, sizeof one) < 0)
		assert(errno == EAGAIN);	/* it is ringing already */
}

/* Every lock of p->lock ends here. */
static void
unlock(struct park *p)
{
	struct server *s = p->to_wake, *next;

	p->to_wake = NULL;
	pthread_mutex_unlock(&p->lock);
	for (; s; s = next) {
		next = s->next;		/* it is another list's at once */
		atomic_store_explicit(&s->bell, 1, memory_order_release);
		syscall(SYS_futex, &s->bell, FUTEX_WAKE_PRIVATE, 1, NULL,
			NULL, 0);
	}
}

static void
wait_for_bell(struct server *s)
{
	while (!atomic_exchange_explicit(&s->bell, 0, memory_order_acquire))
		syscall(SYS_futex, &s->bell, FUTEX_WAIT_PRIVATE, 0, NULL,
			NULL, 0);
}

/* Lock held. The first ready guest begins to run; NULL: there is none. */
static struct guest *
take_ready(struct park *p, unsigned *why)
{
	struct guest *g = p->ready;

	if (!g)
		return NULL;
	p->ready = g->next;
	if (!p->ready)
		p->ready_end = &p->ready;
	p->n_ready--;
	p->n_running++;
	*why = g->pending;
	g->pending = 0;
	g->state = RUNNING;
	return g;
}

static void *run_server(void *arg);

static int
start_thread(pthread_t *t, size_t stack, void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	int code;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	code = pthread_create(t, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return code;
}

/* Lock held. -1: no thread, errno says why. */
static int
add_server(struct park *p)
{
	struct server *s = &p->server[p->n_threads];
	int code;

	s->park = p;
	code = start_thread(&s->thread, p->stack, run_server, s);
	if (!code)
		p->n_threads++;
	errno = code;
	return code ? -1 : 0;
}

/* Lock held. A guest became ready: the thread that went idle last takes it,
 * or a new one while there may be more. Threads are made as they are needed
 * and stay. */
static void
wake_idle(struct park *p)
{
	struct server *s = p->idle;

	if (!s) {
		if (p->n_threads < p->most_threads && !p->stopping)
			add_server(p);	/* without it the guest waits */
		return;
	}
	p->idle = s->next;
	s->given = take_ready(p, &s->why);
	s->next = p->to_wake;
	p->to_wake = s;
}

/* Lock held. For a PARKED guest, or one that runs no more. */
static void
queue_ready(struct park *p, struct guest *g)
{
	g->state = READY;
	g->next = NULL;
	*p->ready_end = g;
	p->ready_end = &g->next;
	p->n_ready++;
}

/* Lock held. */
static void
make_ready(struct park *p, struct guest *g, unsigned why)
{
	g->pending |= (uint8_t)why;
	if (g->state != PARKED)
		return;
	heap_remove(p, g);
	queue_ready(p, g);
	wake_idle(p);
}

static void
own_fd(struct park *p, int fd, struct guest *g)
{
	unsigned room = p->by_fd_room;

	if ((unsigned)fd >= room) {
		while ((unsigned)fd >= room)
			room = room ? room * 2 : 256;
		p->by_fd = mem_grow(p->by_fd, room * sizeof *p->by_fd);
		memset(p->by_fd + p->by_fd_room, 0,
			(room - p->by_fd_room) * sizeof *p->by_fd);
		p->by_fd_room = room;
	}
	p->by_fd[fd] = g;
}

static uint64_t
event_key(const struct guest *g)
{
	return (uint64_t)g->serial << 32 | (uint32_t)g->fd;
}

/* Lock held. Arms the descriptor and the timer of a guest that parks. */
static void
park_guest(struct park *p, struct guest *g, enum park_next next)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP |
		EPOLLONESHOT, .data.u64 = event_key(g)};
	bool first;

	g->state = PARKED;
	g->wants_input = next != PARK_TIMER;
	if (g->wake_at != CLOCK_NEVER) {
		heap_add(p, g);
		first = p->heap[1] == g;
		if (first)
			ring_bell(p);
	}
	if (next == PARK_TIMER)
		return;
	if (epoll_ctl(p->epoll, g->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
		g->fd, &ev) < 0)
		make_ready(p, g, PARK_WHY_INPUT); /* it will see the error */
	else
		g->in_epoll = true;
}

/* Lock held. */
static void
count_out(struct park *p)
{
	p->n_running--;
	if (--p->n_guests == 0)
		pthread_cond_broadcast(&p->empty);
}

/* One turn. The lock is held on exit, not on entry. */
static void
serve_one(struct park *p, struct guest *g, unsigned why)
{
	enum park_next next = g->serve(g, why);

	if (next == PARK_LEAVE) {
		pthread_mutex_lock(&p->lock);
		p->by_fd[g->fd] = NULL;
		unlock(p);
		g->leave(g);
		pthread_mutex_lock(&p->lock);
		count_out(p);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->n_running--;
	if (next == PARK_READY)
		g->pending |= PARK_WHY_AGAIN;
	if (g->pending)
		queue_ready(p, g);	/* this thread takes the next one */
	else
		park_guest(p, g, next);
}

static void *
run_server(void *arg)
{
	struct server *s = arg;
	struct park *p = s->park;
	struct guest *g;
	unsigned why;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		g = take_ready(p, &why);
		if (!g) {
			s->next = p->idle;
			p->idle = s;
			unlock(p);
			wait_for_bell(s);
			g = s->given;
			why = s->why;
			s->given = NULL;
		} else {
			unlock(p);
		}
		if (g)
			serve_one(p, g, why);
		else
			pthread_mutex_lock(&p->lock);
	}
	unlock(p);
	return NULL;
}

/* -------------------------------------------------------------- polling */

static void
arm_listener(struct park *p, struct listening *l, bool on)
{
	/* The high half tells listeners (0) from guests (serial > 0). */
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.u64 = (uint64_t)(l - p->listening)};

	epoll_ctl(p->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->fd, &ev);
}

/* Lock held. Back pressure: connections wait in the kernel while more guests
 * are ready than the threads can serve soon. */
static void
adjust_listeners(struct park *p)
{
	bool pause = p->draining || p->closing ||
		p->n_ready > READY_FACTOR * p->most_threads;
	unsigned i;

	if (pause == p->paused)
		return;
	p->paused = pause;
	for (i = 0; i < p->n_listening; i++)
		arm_listener(p, &p->listening[i], !pause);
}

/* Lock held. */
static void
take_event(struct park *p, uint64_t key)
{
	uint32_t fd = (uint32_t)key, serial = (uint32_t)(key >> 32);
	struct guest *g = fd < p->by_fd_room ? p->by_fd[fd] : NULL;

	if (g && g->serial == serial && g->state == PARKED && g->wants_input)
		make_ready(p, g, PARK_WHY_INPUT);
}

/* The guests among the events. */
static void
take_events(struct park *p, const struct epoll_event *ev, int n)
{
	int i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < n; i++)
		if (ev[i].data.u64 != UINT64_MAX && ev[i].data.u64 >> 32)
			take_event(p, ev[i].data.u64);
	unlock(p);
}

static void
take_bell(struct park *p)
{
	uint64_t n;

	if (read(p->bell, &n, sizeof n) < 0)
		assert(errno == EAGAIN);
}

/* Makes due guests ready. Returns ms until the next, -1 for none. */
static int
take_timers(struct park *p)
{
	int64_t now = clock_mono(), left = -1;
	struct guest *g;

	pthread_mutex_lock(&p->lock);
	while (p->heap_n && (g = p->heap[1])->wake_at <= now)
		make_ready(p, g, PARK_WHY_TIMER);
	if (p->heap_n)
		left = p->heap[1]->wake_at - now;
	adjust_listeners(p);
	if (p->closing && !p->closed) {
		p->closed = true;
		pthread_cond_broadcast(&p->empty);
	}
	/* While paused look again soon: the ready queue shrinks silently. */
	if (p->paused && !p->draining && !p->closed && (left < 0 || left > 10))
		left = 10;
	unlock(p);
	return left > 60000 ? 60000 : (int)left;
}

static void *
run_poller(void *arg)
{
	struct epoll_event ev[EVENTS];
	struct park *p = arg;
	int n, i;

	while (!__atomic_load_n(&p->stopping, __ATOMIC_ACQUIRE)) {
		n = epoll_wait(p->epoll, ev, EVENTS, take_timers(p));
		take_events(p, ev, n);
		for (i = 0; i < n; i++) {
			uint64_t key = ev[i].data.u64;

			if (key == UINT64_MAX)
				take_bell(p);
			else if (!(key >> 32) && !__atomic_load_n(&p->draining,
				__ATOMIC_ACQUIRE))
				p->listening[key].accepted(
					p->listening[key].arg,
					p->listening[key].fd);
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ life */

struct park *
park_new(unsigned threads, size_t stack, unsigned max_guests, struct err *e)
{
	struct park *p = mem_alloc(sizeof *p);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
	pthread_condattr_t monotonic;
	int code;

	if (!stack)
		stack = STACK_DEFAULT;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->empty, &monotonic);
	pthread_condattr_destroy(&monotonic);
	p->ready_end = &p->ready;
	p->most_guests = max_guests;
	p->most_threads = threads;
	p->stack = stack;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->epoll < 0 || p->bell < 0 || epoll_ctl(p->epoll,
		EPOLL_CTL_ADD, p->bell, &ev) < 0) {
		err_sys(e, "epoll");
		goto out;
	}
	p->server = mem_alloc(threads * sizeof *p->server);
	pthread_mutex_lock(&p->lock);
	code = add_server(p) < 0 ? errno : 0;
	unlock(p);
	if (!code)
		code = start_thread(&p->poller, STACK_DEFAULT, run_poller, p);
	if (!code)
		return p;
	/* The thread that runs already keeps using p: it must stay. */
	errno = code;
	err_sys(e, "starting threads");
	return NULL;
out:
	if (p->epoll >= 0)
		close(p->epoll);
	if (p->bell >= 0)
		close(p->bell);
	free(p);
	return NULL;
}

bool
park_add(struct park *p, struct guest *g)
{
	bool taken;

	pthread_mutex_lock(&p->lock);
	taken = p->n_guests < p->most_guests && !p->draining && !p->stopping;
	if (taken) {
		p->n_guests++;
		if (++p->serial == 0)
			p->serial = 1;
		g->serial = p->serial;
		g->heap_at = 0;
		g->pending = 0;
		g->in_epoll = g->wants_input = false;
		g->state = PARKED;
		own_fd(p, g->fd, g);
		make_ready(p, g, PARK_WHY_START);
	}
	unlock(p);
	return taken;
}

void
park_wake(struct park *p, struct guest *g)
{
	pthread_mutex_lock(&p->lock);
	make_ready(p, g, PARK_WHY_WAKE);
	unlock(p);
}

int
park_listen(struct park *p, int fd, void (*accepted)(void *arg, int fd),
	void *arg, struct err *e)
{
	struct listening *l;

	pthread_mutex_lock(&p->lock);
	if (p->n_listening == MOST_LISTENERS) {
		unlock(p);
		return err_set(e, ERR_CONFIG, "more than %d addresses",
			MOST_LISTENERS);
	}
	l = &p->listening[p->n_listening];
	*l = (struct listening){fd, accepted, arg};
	p->n_listening++;
	if (!p->paused)
		arm_listener(p, l, true);
	unlock(p);
	return 0;
}

/* The poller does it, between two rounds: so none of the events that it has
 * fetched already can bring another connection. */
void
park_close(struct park *p)
{
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	ring_bell(p);
	while (!p->closed)
		pthread_cond_wait(&p->empty, &p->lock);
	unlock(p);
}

void
park_drain(struct park *p)
{
	unsigned i;

	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->draining, true, __ATOMIC_RELEASE);
	adjust_listeners(p);
	for (i = 0; i < p->by_fd_room; i++)
		if (p->by_fd[i])
			make_ready(p, p->by_fd[i], PARK_WHY_DRAIN);
	unlock(p);
}

bool
park_wait_empty(struct park *p, int64_t ms)
{
	struct timespec end;
	bool empty;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&p->lock);
	while (p->n_guests && pthread_cond_timedwait(&p->empty, &p->lock,
		&end) != ETIMEDOUT)
		;
	empty = p->n_guests == 0;
	unlock(p);
	return empty;
}

void
park_stop(struct park *p)
{
	unsigned i;

	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->stopping, true, __ATOMIC_RELEASE);
	while (p->idle)
		wake_idle(p);
	unlock(p);
	ring_bell(p);
	pthread_join(p->poller, NULL);
	for (i = 0; i < p->n_threads; i++)
		pthread_join(p->server[i].thread, NULL);
	close(p->epoll);
	close(p->bell);
	free(p->by_fd);
	free(p->heap);
	free(p->server);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
park_count(struct park *p, struct park_figures *out)
{
	pthread_mutex_lock(&p->lock);
	*out = (struct park_figures){.ready = p->n_ready,
		.running = p->n_running, .threads = p->n_threads};
	out->parked = p->n_guests - p->n_ready - p->n_running;
	unlock(p);
}
