/*
 * retire.h - what an attempt's answers mean for the queue: gone, later, or
 * reported to the sender; written in one transaction.
 */
#ifndef QUEUE_RETIRE_H
#define QUEUE_RETIRE_H

#include "queue/deliver.h"

/* Settles the whole group. -1: the store could not; the leases then run out
 * and the group is attempted again. Blocks. */
int retire_group(const struct queue_house *h, struct group *g,
	struct err *e);

#endif
