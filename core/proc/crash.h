/*
 * crash.h - the last words of a process that dies of a fatal signal.
 *
 * One line on standard error names the plugin, hook and session that the
 * thread was in, from the breadcrumb of plug/hooks; then the signal takes its
 * course, so that the master sees how the process died.
 */
#ifndef PROC_CRASH_H
#define PROC_CRASH_H

/* role is kept by pointer. control: where the master is told "crash NAME" of
 * the plugin, or -1. */
void crash_install(const char *role, int control);

#endif
