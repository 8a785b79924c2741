/*
 * tally.h - how the plugins of one generation do, from what its workers say;
 * and whether they do clearly worse than those of the generation before.
 *
 * Pure counting: the master's one thread, no clock, no files.
 */
#ifndef PROC_TALLY_H
#define PROC_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define TALLY_NAMES 64

struct tally_plugin {
	char name[64];
	unsigned crashes;	/* workers in it, and its own processes */
	/* As a filter: messages it was asked about, and those of them that it
	 * put off or failed. */
	uint64_t messages, failures;
	/* In generations before, as far as it was the same plugin. */
	uint64_t past_messages, past_failures;
};

struct tally {
	struct tally_plugin plugin[TALLY_NAMES];
	size_t n;
	unsigned crashes;	/* of workers, whatever they were doing */
	unsigned score;		/* two for each of these, and one for each
				   process of a plugin's own */
};

/* What is too much for a generation that was just started. */
struct tally_limits {
	unsigned score;		/* above that of the one before */
	unsigned failures;	/* messages that one plugin fails */
};

/* Takes "crash NAME", "died NAME" (a worker in it, its own process) and
 * "rate NAME MESSAGES FAILURES" since last time. Others are passed over. */
void tally_heard(struct tally *t, struct str words);
/* A worker ended that was not told to. */
void tally_worker_ended(struct tally *t);
/* NULL: nothing was said of it. */
const struct tally_plugin *tally_find(const struct tally *t, const char *name);
/* The plugin is in `t` what it was in the generation of `past`. */
void tally_carry(struct tally *t, const struct tally_plugin *past);

/* Did more crash than ever before? */
bool tally_crashes(const struct tally *before, const struct tally *now,
	const struct tally_limits *limits);
/* Does the plugin fail for many messages, and for a much larger share of them
 * than before? False where nothing is known of before: one that puts off
 * every stranger (greylisting) may be meant to. */
bool tally_fails(const struct tally *before, const struct tally_plugin *p,
	const struct tally_limits *limits);

#endif
