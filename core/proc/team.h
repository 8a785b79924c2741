/*
 * team.h - one generation of workers: its configuration and its processes.
 *
 * Used by the master only, from its one thread. A team never blocks; what it
 * waits for (an exit, a readiness, a time) is brought to it by the master's
 * loop.
 */
#ifndef PROC_TEAM_H
#define PROC_TEAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proc/bound.h"
#include "proc/config.h"
#include "proc/isolate.h"
#include "proc/modules.h"
#include "proc/tally.h"

struct worker {			/* a place in the team and who fills it */
	enum role role;
	unsigned index;
	pid_t pid;		/* 0: nobody now */
	int control;		/* -1: none */
	bool ready;
	int64_t started;	/* clock_mono */
	int64_t restart_at;	/* CLOCK_NEVER: not waiting */
	int64_t pause;		/* next back-off, ms */
	unsigned crashes;
	char suspects[256];	/* runner: messages whose transport crashed,
				   a blank between, the newest last */
	char orphans[1024];	/* runner: leases of its predecessors, owners
				   with a blank between */
};

struct team {
	unsigned generation;
	struct config *config;
	int config_fd;
	struct worker *worker;
	size_t n;
	bool was_ready;		/* all of them were, once */
	bool draining;		/* nobody is started again */
	int64_t deadline;	/* then who is left is killed, clock_mono */
	struct modules modules;
	struct tally tally;	/* how its plugins do */
	struct isolate_ledger *isolate;	/* the master's; NULL: none is kept */
	struct team *older;	/* the master's list of those that drain */
};

/* Takes the configuration. Starts nothing yet. NULL with e. */
struct team *team_new(unsigned generation, struct config *c, struct str text,
	struct err *e);
/* The text that a config_fd holds, in the arena. */
int team_config_text(int fd, struct arena *a, struct str *out,
	struct err *e);
/* Starts all whose time has come. first: a fresh master, no runner of this
 * machine holds leases any more. */
void team_start(struct team *t, const struct bound *b, bool first);
/* A child ended. True if it was one of ours; then its place waits for its
 * restart, later and later while it keeps dying young. */
bool team_ended(struct team *t, pid_t pid, int status);
/* Reads control channels; true if the team became ready just now. */
bool team_heard(struct team *t, struct worker *w);
bool team_is_ready(const struct team *t);
/* The earliest restart_at. */
int64_t team_next(const struct team *t);
/* Whose control channel this is, or NULL. */
struct worker *team_find(struct team *t, int control);
/* Asks all to take nobody new and to end when their sessions have ended. */
void team_retire(struct team *t);
/* Asks all to end, sessions at their next command. Also after team_retire. */
void team_drain(struct team *t);
/* How do the filters do? The answers come in time, to the tally. */
void team_ask_rates(struct team *t);
void team_signal(struct team *t, int sig);
bool team_is_gone(const struct team *t);
void team_free(struct team *t);		/* all must be gone */

#endif
