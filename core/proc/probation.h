/*
 * probation.h - a new generation of workers proves itself, or the one before
 * comes back.
 *
 * For a while after a reload the master keeps what the old generation ran
 * with: the text of its configuration, and copies of its modules, for files
 * may have been overwritten since. It counts what the workers say of plugins.
 * When one whose module or section is not what it was crashes, or fails much
 * more often than it did, the old generation is started again from that.
 *
 * The master's one thread.
 */
#ifndef PROC_PROBATION_H
#define PROC_PROBATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "proc/config.h"

#define PROBATION_NAMES 64

/* What is known of a plugin in one generation. */
struct probation_count {
	char name[64];
	unsigned crashes;
	uint64_t messages, failures;
};

struct probation_counts {
	struct probation_count plugin[PROBATION_NAMES];
	size_t n;
};

/* What a generation runs with, of plugins. */
struct kept_modules {
	char folder[300];	/* copies, NAME.so; "": none */
	struct {
		char name[64];
		uint64_t digest;	/* of the module and its section */
	} item[PROBATION_NAMES];
	size_t n;
};

struct team;

struct probation {
	struct probation_counts now, before;
	int64_t until;		/* clock_mono; 0: none is under way */
	unsigned generation;	/* the one that may come back */
	int config_fd;		/* its text; -1 */
	struct kept_modules modules, modules_now;
	bool is_due;		/* roll back: `why` */
	char plugin[64], why[160];
	/* The last that was done, for status. */
	unsigned rolled_back_from;
	char rolled_back_why[240];
};

void probation_init(struct probation *p);
void probation_free(struct probation *p);

/* Copies the modules of a configuration to DATA/generations/N; what cannot be
 * copied is left out, and its worker will say why. */
void probation_keep_modules(const struct config *c, unsigned generation,
	struct kept_modules *out);
void probation_drop_modules(const char *folder);
/* At the start of a master: what its predecessors left. */
void probation_clean(const struct config *c);

/* `now` took over from `before`, which is about to retire and gives up its
 * modules. */
void probation_begin(struct probation *p, struct team *before,
	const struct team *now);
/* Words of a worker of the generation that serves: "crash NAME", "died NAME",
 * "rate NAME MESSAGES FAILURES". Others are passed over. */
void probation_heard(struct probation *p, struct str words);
/* Its time is over, or it was carried out. */
void probation_end(struct probation *p);

#endif
