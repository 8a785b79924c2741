/*
 * milter_replay.h - plays a transcript to a filter and shows where it says
 * something else.
 */
#ifndef PROC_MILTER_REPLAY_H
#define PROC_MILTER_REPLAY_H

#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

struct milter_replay {
	const char *filter;	/* its address, as in [milter.NAME] socket */
	struct str transcript;
	const char *name;	/* of the transcript, for errors */
	FILE *to;		/* the differences; NULL: only counted */
	int64_t timeout_ms;	/* for each answer */
	/* out */
	unsigned steps, differences;
};

/* Blocks. -1: the filter cannot be reached or broke off, or the transcript
 * has a line that is none (the error names it). */
int milter_replay_run(struct milter_replay *r, struct err *e);

#endif
