/*
 * destination.h - where mail is going, and what waits for it in memory.
 *
 * The second level of the queue: the store holds everything, this table holds
 * a few groups for each destination that takes mail now. A destination is a
 * domain, or the host or transport of a route. Not locked: the queue's lock
 * guards it. Times are clock_mono.
 */
#ifndef QUEUE_DESTINATION_H
#define QUEUE_DESTINATION_H

#include "base/map.h"
#include "queue/sched.h"

struct group;

struct destination {
	char *key;
	struct sched_pace pace;
	unsigned most;		/* deliveries at once */
	int64_t gap;		/* from one start to the next, ms */
	int64_t next_start;
	struct group *waiting;	/* in the order in which they go */
	unsigned n_waiting, n_busy;
	unsigned limit;		/* of those that wait */
	bool is_starved;	/* the store may have more for it */
	bool is_proven;		/* the last delivery found it */
	uint32_t turn;		/* of the last group that went */
	int64_t second;		/* started: in the second that began then, */
	unsigned started, started_before;	/* and in the one before */
	int64_t used;
	char *reason;		/* why it was down last, or NULL */
	struct destination *next, *prev;	/* ring of those that wait */
};

struct destinations {
	struct map all;
	struct destination *turn;
	unsigned n_waiting, n_busy, n_unproven, n_special;
	unsigned most_busy, most_waiting;
	int64_t wake;		/* look again at this time */
	bool is_hungry;		/* a starved one has room: claim again */
};

void destinations_init(struct destinations *all, unsigned most_busy,
	unsigned most_waiting);
/* Made if it is new, with at most `most` deliveries at once, `gap` apart. */
struct destination *destinations_get(struct destinations *all,
	struct str key, unsigned most, int64_t gap);
/* How many more groups it should be given now; 0: none, and it is marked
 * starved. */
unsigned destination_room(struct destinations *all, struct destination *d,
	int64_t now);
/* Puts the group behind those of its priority, its sender's groups behind
 * those of others that had fewer turns. Sets g->to. */
void destination_add(struct destinations *all, struct destination *d,
	struct group *g);
/* The next group that may go, or NULL: nothing may before all->wake, unless
 * a delivery ends. */
struct group *destinations_take(struct destinations *all, int64_t now);

/* How many groups could be taken now, at most `most`. */
unsigned destinations_ready(const struct destinations *all, unsigned most,
	int64_t now);

enum outcome {
	OUTCOME_NONE,		/* says nothing of the destination */
	OUTCOME_GOOD,		/* somebody there took the talk */
	OUTCOME_BAD,		/* nobody did */
};
enum news {
	NEWS_NONE,
	NEWS_MORE,		/* more may go at once than before */
	NEWS_BACK,		/* it was down */
	NEWS_DOWN,		/* the caller sets pace.until and reason, calls
				   destination_rest, and gives back what waits */
};
/* What the delivery of a group that was taken says of its destination. */
enum news destination_heed(const struct group *g, enum outcome outcome,
	int64_t now);
/* The delivery has ended; another may begin. */
void destination_end(struct destinations *all, const struct group *g);
void destination_rest(struct destinations *all, struct destination *d);
/* All that waits, as a list; it waits no more. */
struct group *destination_drop_waiting(struct destinations *all,
	struct destination *d);
/* At all->wake: who may go again? */
void destinations_wake(struct destinations *all, int64_t now);
/* The admin wants everything tried now. */
void destinations_end_pauses(struct destinations *all);
/* Forgets those that say nothing any more. */
void destinations_sweep(struct destinations *all, int64_t now);

#endif
