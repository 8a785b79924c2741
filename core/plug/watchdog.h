/*
 * watchdog.h - filters that do not come back.
 *
 * A thread looks at the hooks that run. One that is past its deadline is
 * given up: its session is told so by `give_up` on the watchdog's thread, and
 * whatever the hook returns later counts as MR_TEMPFAIL. The thread that is
 * stuck stays stuck; when half of a worker's threads are, the process ends
 * itself and is started again.
 *
 * While give_up runs, the session's thread is inside the hook, or waits in
 * watchdog_end: give_up has the session's stream to itself.
 */
#ifndef PLUG_WATCHDOG_H
#define PLUG_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct watchdog_call {
	const char *plugin, *hook, *session;
	int64_t deadline;		/* clock_mono */
	void (*give_up)(void *arg);	/* or NULL */
	void *arg;
};

/* Starts the thread; once a process that runs filters. threads: how many of
 * the worker's may be in hooks. */
void watchdog_start(unsigned threads);
/* Around a hook, by the thread that calls it. end: true if the hook was given
 * up meanwhile. The call must stay until then. */
void watchdog_begin(const struct watchdog_call *call);
bool watchdog_end(void);

#endif
