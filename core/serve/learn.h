/*
 * learn.h - filters hear of what their accounts think is junk.
 *
 * One bounded queue and one thread a mailbox worker. learn_post never waits:
 * what finds no room is left out and counted in the log. The thread reads the
 * messages from the store and calls the hooks of [chain] learn.
 */
#ifndef SERVE_LEARN_H
#define SERVE_LEARN_H

#include "serve/serve.h"

#define LEARN_QUEUE 64		/* changes that wait */
#define LEARN_RANGES 64		/* of one change */
#define LEARN_MESSAGES 500	/* of one change */
#define LEARN_BYTES (1u << 20)	/* of one message; the rest is not shown */

/* *out NULL: nobody learns, and no thread was started. The house must have
 * its store. */
int learn_start(const struct house *h, struct learn **out, struct err *e);
/* Ends within ms: what waits is dropped. False: a filter did not return, and
 * nothing it uses may be taken away. */
bool learn_stop(struct learn *l, int64_t ms);

/* Any thread; copies what it is given. UIDs of a mailbox of the account. */
void learn_post(struct learn *l, const char *account, int64_t mailbox,
	const struct mr_range *range, size_t n, bool is_junk);

#endif
