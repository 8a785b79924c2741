/*
 * imap_in.h - an account of another IMAP server goes into one of ours.
 */
#ifndef MOVE_IMAP_IN_H
#define MOVE_IMAP_IN_H

#include <stdbool.h>

#include "base/err.h"
#include "move/maildir.h"

struct imap_source {
	const char *host, *port;	/* "993" */
	const char *user, *password;
	const char *ca_file;		/* NULL: the system's */
	bool starttls;
};

/* m->path is not used. TLS is always on and the certificate checked. A lost
 * connection is made again as long as messages come. */
int imap_import(struct move *m, const struct imap_source *from,
	struct err *e);

#endif
