/*
 * park.h - connections that wait hold no thread.
 *
 * A park is an epoll, a timer heap, a ready queue and a bounded number of
 * threads with small stacks. Each connection is a guest in one of three
 * states: parked (in the epoll and perhaps the timer heap), ready (queued) or
 * running (one thread is in guest->serve). serve does one turn of work and
 * returns what to wait for; the park acts on that after the call, so a guest
 * is never touched by two threads, and serve does not touch it after
 * returning. Lawful reasons to park: a command boundary, IMAP IDLE, a
 * deliberate delay. Nobody sleeps in a thread.
 *
 * park_wake may come from any thread at any time between park_add and the
 * guest's PARK_LEAVE; a wake that meets a running guest is remembered.
 */
#ifndef NET_PARK_H
#define NET_PARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct park;

enum park_why {		/* bits: why serve is called */
	PARK_WHY_INPUT = 1,	/* readable, or the peer closed */
	PARK_WHY_TIMER = 2,	/* wake_at came */
	PARK_WHY_WAKE = 4,	/* park_wake */
	PARK_WHY_DRAIN = 8,	/* the park is draining: finish soon */
	PARK_WHY_START = 16,	/* first turn */
	PARK_WHY_AGAIN = 32,	/* after PARK_READY */
};

enum park_next {
	PARK_READY,	/* more to do now: to the back of the ready queue */
	PARK_INPUT,	/* wait for input, or wake_at */
	PARK_TIMER,	/* wait for wake_at only (delay); input may pile up */
	PARK_LEAVE,	/* the end: the park forgets it and calls leave */
};

struct guest {
	int fd;
	int64_t wake_at;	/* clock_mono ms, CLOCK_NEVER; set by serve */
	enum park_next (*serve)(struct guest *g, unsigned why);
	/* After PARK_LEAVE, on the same thread: closes fd, frees. */
	void (*leave)(struct guest *g);
	/* the park's own */
	struct guest *next;
	uint32_t heap_at, serial;
	uint8_t state;
	uint8_t pending;
	_Atomic uint8_t armed;	/* which arming counts, 0: none */
	uint8_t armings;
	bool in_epoll, is_deaf;
};

struct park_figures {
	unsigned parked, ready, running, threads;
};

/* At most that many threads, made when there is work for them. stack in bytes
 * (0: 256 KiB). max_guests bounds park_add. */
struct park *park_new(unsigned threads, size_t stack, unsigned max_guests,
	struct err *e);
/* Takes the guest and runs its first turn soon. false when full or
 * stopping: the caller keeps it. */
bool park_add(struct park *p, struct guest *g);
void park_wake(struct park *p, struct guest *g);
/* A listening descriptor: accepted(arg, fd) is called on the park's own
 * polling thread when it is readable, unless all threads that there may be
 * are busy; it must accept and park_add without blocking. */
int park_listen(struct park *p, int fd, void (*accepted)(void *arg, int fd),
	void *arg, struct err *e);
/* Stops listening for good; guests stay. When it returns no `accepted` runs
 * any more: who connects from now on waits for another process. */
void park_close(struct park *p);
/* Stops listening, wakes each guest with PARK_WHY_DRAIN. */
void park_drain(struct park *p);
/* True once all guests have left; waits at most ms. */
bool park_wait_empty(struct park *p, int64_t ms);
void park_stop(struct park *p);		/* ends the threads; guests must be gone */
void park_count(struct park *p, struct park_figures *out);

#endif
