/*
 * isolate.h - the master's account of plugins that crash: how often, and
 * which of them may not run in a worker any more.
 *
 * Used by the master only, from its one thread. It knows plugins by name from
 * what dying workers say (proc/crash.h) and from the workers that hold a
 * plugin's process; a plugin that never crashed is not known.
 */
#ifndef PROC_ISOLATE_H
#define PROC_ISOLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define ISOLATE_NAMES 64	/* plugins that are counted */
#define ISOLATE_LIMIT 32	/* most that crash_limit may be */

struct isolate_count {
	char name[64];
	unsigned crashes;	/* in a worker and in its own process */
	unsigned restarts;	/* of its own process */
	bool is_moved;		/* out of the workers, until the master ends */
	bool was_moved;		/* before the generation that serves */
	int64_t recent[ISOLATE_LIMIT];	/* crashes in a worker, a ring */
};

struct isolate_ledger {
	struct isolate_count plugin[ISOLATE_NAMES];
	size_t n;
};

/* Takes "crash NAME", "died NAME" or "restart NAME" (a crash in a worker;
 * the end and the new start of a plugin's own process). limit crashes in a
 * worker within window_ms move the plugin; 0: never. True: it was moved just
 * now. Other words are passed over. */
bool isolate_heard(struct isolate_ledger *i, struct str words, int64_t limit,
	int64_t window_ms);

/* A new generation serves from now on. */
void isolate_mark(struct isolate_ledger *i);
/* It is given up: what it moved out is taken back. */
void isolate_forgive(struct isolate_ledger *i);

#endif
