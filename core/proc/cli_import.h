/*
 * cli_import.h - what the verbs of mailroom import share.
 */
#ifndef PROC_CLI_IMPORT_H
#define PROC_CLI_IMPORT_H

#include "move/maildir.h"
#include "proc/cli.h"

/* Says what came; the exit status. */
int cli_import_report(struct cli *c, const struct move *m);
/* cli_import_imap.c: the verb. */
int cli_import_imap(struct cli *c, int argc, char **argv);

#endif
