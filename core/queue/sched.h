/*
 * sched.h - when and how much: pure decisions of the queue, no clock, no
 * I/O, so that they can be tested row by row.
 */
#ifndef QUEUE_SCHED_H
#define QUEUE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Pause before the next attempt after `attempts` failed ones: `first`
 * doubled each time up to `most`, spread by up to an eighth either way by
 * `random` (any number), so that retries do not arrive in step. */
int64_t sched_pause(int64_t first, int64_t most, uint32_t attempts,
	uint32_t random);
/* The time of the next attempt: never past the end of the lifetime, so that
 * the last attempt is made and then reported. */
int64_t sched_next(int64_t now, int64_t pause, int64_t expire);

/* What the envelope's arguments say of time (esmtp_args.h). */
struct sched_terms {
	int64_t next_ms;	/* first attempt; the earlier of two that are
				   due goes first */
	int64_t expire_ms;
	int priority;		/* -9 to 9, RFC 6710 */
};
struct sched_terms sched_terms(struct str args, int64_t now,
	int64_t lifetime);
int sched_priority(struct str args);

/* How many deliveries to one destination are right at once: one more for
 * each round of good ones, one less for each that found nobody to talk to.
 * When a whole round of them did, the destination is down: it is left alone
 * until a single delivery tries whether it is back. */
struct sched_pace {
	double window;		/* at least 1 */
	double failed;		/* part of a round, since the last good one */
	uint32_t pauses;	/* in a row: above 0, it is down */
	int64_t until;		/* left alone up to here */
};
#define SCHED_WINDOW_FIRST 5

void sched_pace_init(struct sched_pace *p, unsigned most);
/* True: it was down and is back. */
bool sched_pace_good(struct sched_pace *p, unsigned most);
/* True: it is down (still); the caller sets `until` by sched_pause. Late news
 * of deliveries begun before change nothing. */
bool sched_pace_bad(struct sched_pace *p, int64_t now);

#endif
