/*
 * cli_dry.h - one message through a session that nobody holds, with one
 * filter only.
 */
#ifndef PROC_CLI_DRY_H
#define PROC_CLI_DRY_H

#include "proc/cli.h"

/* FILE.eml [--from S] [--to R] [--ip A] [--helo H] through the milter at the
 * unix socket. folder: an empty one, for the data of a server. 0 however the
 * filter decides, 1 if it could not be run, 2 for wrong usage. */
int cli_dry_milter(struct cli *c, int argc, char **argv, const char *socket,
	const char *folder);

#endif
