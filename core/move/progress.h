/*
 * progress.h - how far an import or export has come, for those who wait.
 *
 * A line on standard error, once a second where that is a terminal and once
 * in ten seconds where it is not. One thread.
 */
#ifndef MOVE_PROGRESS_H
#define MOVE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	uint64_t total;		/* messages there are; 0: not known */
	uint64_t done;		/* moved now */
	uint64_t passed;	/* there already */
	uint64_t failed;	/* left out; each was named */
	uint64_t bytes;
	uint64_t size, at;	/* of what is read, where total is not known */
	int64_t begun_ms, shown_ms;
	bool is_quiet, is_terminal;
};

void progress_begin(struct progress *p, bool quiet);
/* Shows where we are if it is time to. */
void progress_tick(struct progress *p);
/* Takes the line away. */
void progress_end(struct progress *p);
double progress_rate(const struct progress *p);	/* messages a second */
/* "mailroom: PATH: why", a line of its own. */
void progress_warn(struct progress *p, const char *what, const char *why);

#endif
