/*
 * master.h - the process that parses no mail: it binds sockets, starts
 * workers, restarts them with back-off and replaces them by generations.
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

#include <stdbool.h>

/* Runs until SIGTERM, SIGINT or the control socket's stop. With foreground
 * false it becomes a daemon; the caller's process ends with 0 once all
 * workers are ready. Returns the exit status. */
int master_run(const char *config_file, bool foreground);

#endif
