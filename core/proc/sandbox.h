/*
 * sandbox.h - the confinement of a plugin's process.
 */
#ifndef PROC_SANDBOX_H
#define PROC_SANDBOX_H

#include "base/err.h"
#include "plug/remote.h"

/* For every plugin's process: no new privileges, no core files. */
int sandbox_prepare(struct err *e);
/* For good, for all threads: no programs, no other processes, no network and
 * no files but those that are granted. -1 with e: the kernel cannot hold it
 * to that, and it must not run. */
int sandbox_enter(const struct isolation *i, struct err *e);

#endif
