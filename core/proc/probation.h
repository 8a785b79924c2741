/*
 * probation.h - a new generation of workers proves itself, or the one before
 * comes back.
 *
 * For a while after a reload the team before is kept, when its processes are
 * long gone, with all that it ran with: the text of its configuration and its
 * modules. The new one's workers are asked how their filters do. If workers
 * or plugins crash that did not, or a filter fails for many more messages
 * than it did, and a plugin is not what it was before, then that is the
 * reason. What is as it was would be no better in the generation before.
 *
 * The master's one thread.
 */
#ifndef PROC_PROBATION_H
#define PROC_PROBATION_H

#include <stdbool.h>
#include <stdint.h>

#include "proc/team.h"

struct blame {
	char plugin[64];
	unsigned crashes;	/* of it */
	char why[160];
};

struct probation {
	struct team *before;	/* would come back; NULL: none is under way */
	int64_t until;		/* clock_mono */
	int64_t ask_at;		/* how the filters do */
	struct blame blame;
};

/* `now` took over from `before`. Which team would come back is decided: of
 * one that is in doubt itself, the one before that. */
void probation_begin(struct probation *p, struct team *before,
	struct team *now);
/* It is over: `before` may go. */
void probation_end(struct probation *p);
/* Judges, and asks when it is time. True: `now` is to be given up, for what
 * p->blame says. */
bool probation_has_failed(struct probation *p, struct team *now);
/* When it has something to do, clock_mono. */
int64_t probation_when(const struct probation *p);

#endif
