/*
 * observe.h - telling observers what happened, after the fact.
 *
 * One bounded queue and one thread a process. observe_post never waits for a
 * plugin: when there is no room the event is dropped and counted, and the
 * next one that gets through says how many were lost.
 */
#ifndef PLUG_OBSERVE_H
#define PLUG_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "plug/plugin.h"

#define OBSERVE_MOST 4096	/* events that wait */

/* After plugins_open, once. Starts no thread when nobody observes. role: for
 * the events, kept by pointer. */
int observe_start(const struct plugins *p, const char *role, struct err *e);
/* Is anybody told? For callers whose facts are dear to gather. */
bool observe_wanted(enum mr_event_kind kind);
/* Any thread; returns at once. Strings are copied, NULL is "". size, time_ms,
 * role and dropped are filled in here. */
void observe_post(const struct mr_event *e);
/* Tells what waits, at most ms long. False: a plugin did not return, and
 * nothing it uses may be taken away. */
bool observe_stop(int64_t ms);

#endif
