/*
 * generation.h - the teams of a running server: the one that serves, the one
 * that a reload starts, and those that end.
 *
 * Reload. The new text is read into a new team; its sockets are bound beside
 * the old ones; its workers start; when all are ready the old team retires and
 * the new one is the server. If one of them ends before that, the new team is
 * dropped and the old one goes on as if nothing had happened. Several old
 * teams may be ending at once; a reload that comes while another one starts,
 * or while too many are ending, waits for its turn.
 *
 * For a time the new team is on probation (probation.h). If it fails, one like
 * the team before is started as a reload would start it.
 *
 * The master's one thread; nothing here blocks.
 */
#ifndef PROC_GENERATION_H
#define PROC_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "proc/bound.h"
#include "proc/isolate.h"
#include "proc/probation.h"
#include "proc/team.h"

struct generations {
	const char *config_file;
	unsigned newest;	/* the number given last */
	struct team *current;	/* serves */
	struct team *next;	/* is being started, or NULL */
	struct team *old;	/* they end, or have; newest first */
	bool wants_reload;	/* as soon as it may be */
	bool rolls_back;	/* next is one that was before */
	struct probation probation;
	/* The last that was given up, for status. */
	unsigned rolled_back_from;	/* 0: none */
	char rolled_back_why[240];
	bool is_stopping;
	struct bound bound;
	struct isolate_ledger isolate;	/* plugins that crash, over all */
};

/* How long workers may take to say good-bye after drain_timeout. */
#define GENERATION_GRACE_MS 5000

/* Reads the file into the first team, `current`; starts nothing. */
int generation_first(struct generations *g, struct err *e);
/* All teams, for a loop: after NULL comes the first. */
struct team *generation_after(const struct generations *g,
	const struct team *t);
bool generation_all_gone(const struct generations *g);
/* Not while another one starts, too many end, or the server does. */
bool generation_can_reload(const struct generations *g);
/* Starts `next`, or logs why not. */
void generation_reload(struct generations *g);
/* A child ended. True: the first team did not become ready, all is over. */
bool generation_ended(struct generations *g, pid_t pid, int status);
/* A control channel has something to read. True: the first team is ready. */
bool generation_heard(struct generations *g, int fd);
/* What time brings: restarts, ends of patience, a reload's turn. */
void generation_settle(struct generations *g);
/* When it has something to do, clock_mono. */
int64_t generation_when(const struct generations *g);
/* Adds what `mailroom status` shows of it. */
void generation_describe(const struct generations *g, json_t *status);
/* All must be gone. */
void generation_free(struct generations *g);

#endif
