/*
 * sched.h - when and how much: pure decisions of the queue, no clock, no
 * I/O, so that they can be tested row by row.
 */
#ifndef QUEUE_SCHED_H
#define QUEUE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/str.h"

/* Pause before the next attempt after `attempts` failed ones: `first`
 * doubled each time up to `most`, spread by up to an eighth either way by
 * `random` (any number), so that retries do not arrive in step. */
int64_t sched_pause(int64_t first, int64_t most, uint32_t attempts,
	uint32_t random);
/* The time of the next attempt: never past the end of the lifetime, so that
 * the last attempt is made and then reported. */
int64_t sched_next(int64_t now, int64_t pause, int64_t expire);

/* How many deliveries are under way to each destination. Not locked. */
struct sched_load {
	struct map busy;
	unsigned most;		/* to one destination */
};
void sched_load_init(struct sched_load *l, unsigned most);
void sched_load_free(struct sched_load *l);
bool sched_load_take(struct sched_load *l, struct str destination);
void sched_load_give(struct sched_load *l, struct str destination);

#endif
