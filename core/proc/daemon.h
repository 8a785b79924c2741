/*
 * daemon.h - becoming the one server on a data folder. The master's start.
 */
#ifndef PROC_DAEMON_H
#define PROC_DAEMON_H

#include "base/err.h"
#include "proc/config.h"

/* Makes the data folder and locks it, as descriptor SPAWN_LOCK_FD, which
 * workers inherit: one master for each data folder. Waits for workers that
 * outlive a killed one. */
int daemon_lock(const struct server_settings *s, struct err *e);
/* To the background. The parent stays until a byte is written to *ready_pipe
 * and then ends with 0; if that is closed before, with 1. -1: errno. */
int daemon_become(int *ready_pipe);
/* Tells systemd, if it asked to be told: "READY=1". */
void daemon_notify(const char *text);

#endif
