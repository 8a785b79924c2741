/*
 * ctl.h - the control socket: one JSON object a line to the master, one
 * back. Admin rights are the rights to open the socket (mode 0600).
 */
#ifndef PROC_CTL_H
#define PROC_CTL_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

/* Client side: sends {"do": verb}, waits at most ms for the answer. NULL with
 * e; ERR_MISSING: no server is running. The caller decrefs. */
json_t *ctl_ask(const char *socket_path, const char *verb, int64_t ms,
	struct err *e);

/* Server side: reads one request from a connection just accepted and answers
 * with what `answer` makes of the verb; closes the connection. Bounded to
 * 200 ms and 4 KiB, so that a stuck client does not hold the master. */
void ctl_serve(int fd, json_t *(*answer)(void *arg, const char *verb),
	void *arg);

#endif
