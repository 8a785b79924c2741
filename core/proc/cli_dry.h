/*
 * cli_dry.h - messages through sessions that nobody holds.
 */
#ifndef PROC_CLI_DRY_H
#define PROC_CLI_DRY_H

#include "proc/cli.h"
#include "serve/serve.h"

/* The house as the server would be, with its user and its chains. false: said
 * why. The caller frees h->dns. */
bool cli_dry_open(struct cli *c, struct house *h);
/* A client at this address. */
int cli_dry_peer(const char *ip, struct sock_addr *out, struct err *e);
/* Where strangers come in, or those with a login. */
const struct listener *cli_dry_listener(const struct config *c,
	bool has_login);

/* FILE.eml [--from S] [--to R] [--ip A] [--helo H] through the milter at the
 * unix socket. folder: an empty one, for the data of a server. 0 however the
 * filter decides, 1 if it could not be run, 2 for wrong usage. */
int cli_dry_milter(struct cli *c, int argc, char **argv, const char *socket,
	const char *folder);

/* plugin test, with the plugin built from `source` (a file, or a folder with
 * one of its name) and the sanitizers on. Status 99: they found something. */
int cli_test_sanitized(struct cli *c, const char *source, int argc,
	char **argv);

#endif
