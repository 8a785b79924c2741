/*
 * park.c - the park: serving threads that wait for events themselves, and
 * one polling thread for time and for connections that come in.
 *
 * States of a guest, all guarded by p->lock:
 *
 *	PARKED   armed in the epoll of guests (one-shot, unless it waits for
 *	         time only) and perhaps in the timer heap
 *	READY    in the ready queue, `pending` says why
 *	RUNNING  in serve() on one thread; wakes are gathered in `pending`
 *
 * A thread with nothing to do waits in epoll_wait(2) for the next guest with
 * input, and serves what it gets: no other thread hands it on. The kernel
 * wakes one thread an event, the last one that went to wait first. What
 * becomes READY otherwise (first turn, timer, wake) is told to a waiting
 * thread by `nudge`, an eventfd that is edge-triggered and never read: each
 * write wakes one. As long as there may be more threads one of them waits, so
 * that no event is left lying while all are in long turns.
 *
 * Arming is a system call and is made outside the lock, while the guest is
 * RUNNING still: `armed` numbers it. An event counts if it carries the number
 * that stands there; it is 0 as soon as anything else made the guest ready.
 * One that comes before the guest is PARKED is gathered like a wake.
 *
 * A guest may leave between epoll_wait and the lock. Events therefore carry
 * no pointer but the descriptor, the guest's serial number and the number of
 * the arming; a guest is taken out of by_fd before its leave closes the
 * descriptor.
 */
#include "net/park.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/arena.h"
#include "base/clock.h"

#define STACK_DEFAULT (256 << 10)
#define EVENTS 128
#define MOST_LISTENERS 64

enum guest_state { PARKED, READY, RUNNING };

struct listening {
	int fd;
	void (*accepted)(void *arg, int fd);
	void *arg;
};

struct park {
	pthread_mutex_t lock;
	pthread_cond_t empty;
	int guests_epoll, nudge;
	bool must_nudge;	/* by unlock() */
	int epoll, bell;	/* the polling thread's: listeners, bell */
	int64_t polls_until;	/* it looks at the timers then */
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
	pthread_t *thread;
	unsigned n_threads, most_threads, n_waiting;
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

/* Wakes who waits for an eventfd. */
static void
ring(int bell)
{
	uint64_t one = 1;

	if (write(bell, &one, sizeof one) < 0)
		assert(errno == EAGAIN);	/* it is ringing already */
}

/* Every lock of p->lock ends here. */
static void
unlock(struct park *p)
{
	bool must_nudge = p->must_nudge;

	p->must_nudge = false;
	pthread_mutex_unlock(&p->lock);
	if (must_nudge)
		ring(p->nudge);
}

/* Lock held. */
static void
set_running(struct park *p, struct guest *g, unsigned *why)
{
	p->n_running++;
	*why = g->pending;
	g->pending = 0;
	g->state = RUNNING;
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
	set_running(p, g, why);
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
add_thread(struct park *p)
{
	int code = start_thread(&p->thread[p->n_threads], p->stack, run_server,
		p);

	if (!code)
		p->n_threads++;
	errno = code;
	return code ? -1 : 0;
}

/* Lock held. A thread that waits is told, or one is added that will look.
 * Threads are made as they are needed and stay. */
static void
call_thread(struct park *p)
{
	if (p->n_waiting)
		p->must_nudge = true;
	else if (p->n_threads < p->most_threads && !p->stopping)
		add_thread(p);		/* without it the guest waits */
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
	g->armed = 0;
	heap_remove(p, g);
	queue_ready(p, g);
	call_thread(p);
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

/* fd in 24 bits, the arming in 8, the serial number in 32. */
#define FD_BITS 24

static uint64_t
event_key(const struct guest *g, unsigned arming)
{
	return (uint64_t)g->serial << 32 | (uint64_t)arming << FD_BITS |
		(uint32_t)g->fd;
}

/* Lock not held, the guest runs here. From now on its events are heard. */
static void
arm(struct park *p, struct guest *g)
{
	unsigned arming = g->armings = g->armings % 255 + 1;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP |
		EPOLLONESHOT, .data.u64 = event_key(g, arming)};

	atomic_store(&g->armed, (uint8_t)arming);
	if (epoll_ctl(p->guests_epoll, g->in_epoll ? EPOLL_CTL_MOD :
		EPOLL_CTL_ADD, g->fd, &ev) < 0)
		g->is_deaf = true;	/* its next turn will see why */
	else
		g->in_epoll = true;
}

/* Lock held. */
static void
park_guest(struct park *p, struct guest *g)
{
	g->state = PARKED;
	if (g->wake_at == CLOCK_NEVER)
		return;
	heap_add(p, g);
	if (g->wake_at < p->polls_until) {
		p->polls_until = g->wake_at;
		ring(p->bell);
	}
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
	if (next == PARK_INPUT)
		arm(p, g);
	pthread_mutex_lock(&p->lock);
	p->n_running--;
	if (next == PARK_READY)
		g->pending |= PARK_WHY_AGAIN;
	if (g->is_deaf)
		g->pending |= PARK_WHY_INPUT;
	g->is_deaf = false;
	if (!g->pending) {
		park_guest(p, g);
		return;
	}
	g->armed = 0;
	queue_ready(p, g);	/* this thread takes the next one */
}

/* Lock held. The guest that an event is for; NULL: it is an old one. It is
 * PARKED, or runs and will find the event in `pending`. */
static struct guest *
find_event(struct park *p, uint64_t key)
{
	uint32_t fd = (uint32_t)key & ((1u << FD_BITS) - 1);
	struct guest *g = fd < p->by_fd_room ? p->by_fd[fd] : NULL;

	if (!g || g->serial != key >> 32 ||
		g->armed != (uint8_t)(key >> FD_BITS))
		return NULL;
	g->armed = 0;
	g->pending |= PARK_WHY_INPUT;
	return g;
}

/* Lock held, and given up while this thread waits. NULL: look again. */
static struct guest *
wait_for_event(struct park *p, unsigned *why)
{
	struct epoll_event ev;
	struct guest *g;
	int n;

	p->n_waiting++;
	unlock(p);
	n = epoll_wait(p->guests_epoll, &ev, 1, -1);
	pthread_mutex_lock(&p->lock);
	p->n_waiting--;
	if (n < 1 || ev.data.u64 == UINT64_MAX)
		return NULL;
	g = find_event(p, ev.data.u64);
	if (!g || g->state != PARKED)
		return NULL;
	heap_remove(p, g);
	set_running(p, g, why);
	return g;
}

/* Lock held, and given up meanwhile. While guests are ready and no thread
 * waits, those with input join the queue behind them. */
static void
gather_events(struct park *p)
{
	struct epoll_event ev[EVENTS];
	struct guest *g;
	int n, i;

	unlock(p);
	n = epoll_wait(p->guests_epoll, ev, EVENTS, 0);
	pthread_mutex_lock(&p->lock);
	for (i = 0; i < n; i++) {
		g = ev[i].data.u64 == UINT64_MAX ? NULL :
			find_event(p, ev[i].data.u64);
		if (!g || g->state != PARKED)
			continue;
		heap_remove(p, g);
		queue_ready(p, g);
	}
}

static void *
run_server(void *arg)
{
	struct park *p = arg;
	struct guest *g;
	unsigned why;

	pthread_mutex_lock(&p->lock);
	while (!p->stopping) {
		if (p->ready && !p->n_waiting)
			gather_events(p);
		g = take_ready(p, &why);
		if (!g)
			g = wait_for_event(p, &why);
		if (!g)
			continue;
		if (p->ready || !p->n_waiting)
			call_thread(p);
		unlock(p);
		serve_one(p, g, why);
	}
	call_thread(p);			/* the next one hears of it too */
	unlock(p);
	return NULL;
}

/* -------------------------------------------------------------- polling */

static void
arm_listener(struct park *p, struct listening *l, bool on)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.u64 = (uint64_t)(l - p->listening)};

	epoll_ctl(p->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->fd, &ev);
}

/* Lock held. Back pressure: connections wait in the kernel while all threads
 * that there may be are busy. */
static void
adjust_listeners(struct park *p)
{
	bool pause = p->draining || p->closing ||
		(p->n_threads == p->most_threads && !p->n_waiting);
	unsigned i;

	if (pause == p->paused)
		return;
	p->paused = pause;
	for (i = 0; i < p->n_listening; i++)
		arm_listener(p, &p->listening[i], !pause);
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
	/* While paused look again soon: threads go to wait silently. */
	if (p->paused && !p->draining && !p->closed && (left < 0 || left > 10))
		left = 10;
	p->polls_until = left < 0 ? CLOCK_NEVER : now + left;
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
		for (i = 0; i < n; i++) {
			uint64_t key = ev[i].data.u64;

			if (key == UINT64_MAX)
				take_bell(p);
			else if (!__atomic_load_n(&p->draining,
				__ATOMIC_ACQUIRE))
				p->listening[key].accepted(
					p->listening[key].arg,
					p->listening[key].fd);
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ life */

static void
close_polls(struct park *p)
{
	const int fd[] = {p->epoll, p->bell, p->guests_epoll, p->nudge};
	size_t i;

	for (i = 0; i < sizeof fd / sizeof *fd; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static int
open_polls(struct park *p, struct err *e)
{
	struct epoll_event level = {.events = EPOLLIN,
		.data.u64 = UINT64_MAX};
	struct epoll_event edge = {.events = EPOLLIN | EPOLLET,
		.data.u64 = UINT64_MAX};

	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->guests_epoll = epoll_create1(EPOLL_CLOEXEC);
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->epoll >= 0 && p->guests_epoll >= 0 && p->bell >= 0 &&
		p->nudge >= 0 &&
		!epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->bell, &level) &&
		!epoll_ctl(p->guests_epoll, EPOLL_CTL_ADD, p->nudge, &edge))
		return 0;
	err_sys(e, "epoll");
	return -1;
}

struct park *
park_new(unsigned threads, size_t stack, unsigned max_guests, struct err *e)
{
	struct park *p = mem_alloc(sizeof *p);
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
	p->polls_until = CLOCK_NEVER;
	if (open_polls(p, e) < 0)
		goto out;
	p->thread = mem_alloc(threads * sizeof *p->thread);
	pthread_mutex_lock(&p->lock);
	code = add_thread(p) < 0 ? errno : 0;
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
	close_polls(p);
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
		g->in_epoll = g->is_deaf = false;
		g->armed = g->armings = 0;
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
	ring(p->bell);
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
	p->must_nudge = true;
	unlock(p);
	ring(p->bell);
	pthread_join(p->poller, NULL);
	for (i = 0; i < p->n_threads; i++)
		pthread_join(p->thread[i], NULL);
	close_polls(p);
	free(p->by_fd);
	free(p->heap);
	free(p->thread);
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
