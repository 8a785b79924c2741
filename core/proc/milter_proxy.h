/*
 * milter_proxy.h - stands between a mail server and a filter and writes down
 * what they say, as milter_text.h has it.
 */
#ifndef PROC_MILTER_PROXY_H
#define PROC_MILTER_PROXY_H

#include <stdio.h>

#include "base/err.h"

/* Forwards one connection until both sides have closed. Blocks. Takes
 * `client`; `to` stays the caller's. -1: the filter cannot be reached. */
int milter_proxy_run(int client, const char *filter, FILE *to,
	struct err *e);

/* A listening unix socket at path, 0666: who may reach it is said by its
 * folder. */
int milter_proxy_listen(const char *path, struct err *e);

#endif
