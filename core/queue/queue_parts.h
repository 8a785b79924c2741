/*
 * queue_parts.h - what the files of the runner share: queue.c (settings, life),
 * queue_claim.c (the claimer), queue_work.c (the delivery threads). Nobody
 * else includes it. "Lock held" is q->lock.
 */
#ifndef QUEUE_QUEUE_PARTS_H
#define QUEUE_QUEUE_PARTS_H

#include <pthread.h>

#include "queue/deliver.h"
#include "queue/queue.h"

#define QUEUE_GROUP_MOST 100	/* recipients of one attempt */
#define QUEUE_WAITING_MOST 1000	/* groups in memory */
#define QUEUE_STACK (512 << 10)

struct queue {
	struct queue_house house;
	struct deliver_tools tools;
	bool asks_sender;	/* some route depends on who sends */
	pthread_mutex_t lock;
	pthread_cond_t claim_now, work_now, all_idle;
	struct destinations to;
	bool poked, hinted, draining;
	bool full;		/* memory is; until half of it is free */
	int64_t kick;		/* the admin's last (QUEUE_KICK) */
	char *suspects;
	struct mr_claim claim;	/* the claimer's */
	bool found;		/* something in this lap of the claim */
	pthread_t claimer, *worker;
	unsigned n_worker, n_idle;
};

struct queue_claim {		/* a claim that runs */
	struct queue *q;
	struct group *first, **end, *last;
	unsigned n;
	int64_t until;		/* when the leases run out */
};

/* queue_claim.c */
void *queue_run_claimer(void *q);
/* Claims once on these terms, of which only those that differ need be set.
 * MR_STORE_*; the failure is logged. */
int queue_claim_once(struct queue *q, struct queue_claim *c,
	struct mr_claim *terms);
/* The list waits for its destinations from now on. */
void queue_take_in(struct queue *q, struct group *list);
void queue_free_group(struct group *g);
/* Where it goes, by which route; lock held. */
struct destination *queue_destination(struct queue *q, struct str next_hop,
	struct str sender, const struct nexthop **hop);
int64_t queue_read_kick(const struct queue *q);

/* queue_work.c */
/* A thread for each group that may go; lock held. */
void queue_call_workers(struct queue *q);

/* queue.c */
/* Waits at most ms; lock held. */
void queue_wait(struct queue *q, pthread_cond_t *cond, int64_t ms);

#endif
