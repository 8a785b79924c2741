/*
 * maildir.h - whole accounts as Maildir on disk, in and out.
 *
 * Read are Maildir++ (".Sent.2026", as Dovecot, Courier and cPanel have it)
 * and folders in folders (Dovecot's fs layout, mbsync), with what Dovecot and
 * Courier keep beside them. Written is Maildir++ with Dovecot's files.
 */
#ifndef MOVE_MAILDIR_H
#define MOVE_MAILDIR_H

#include <stdbool.h>

#include "base/err.h"
#include "move/intake.h"
#include "move/progress.h"
#include "plug/store.h"

struct move {
	const struct store *store;
	const char *account;	/* as the directory has it */
	const char *path;
	const char *temp;	/* folder for large messages on their way */
	const char *mailbox;	/* mbox: what one file goes to; else NULL */
	const char *quoting;	/* mbox: how lines with From were saved */
	bool again;		/* what was imported before comes once more */
	struct progress progress;
	uint32_t mailboxes;	/* out */
};

/* Reads all mailboxes below m->path. What cannot be read of a message is
 * named and left out; -1 where it cannot go on. */
int maildir_import(struct move *m, struct err *e);
/* Writes the account below m->path, which is there; what is of an earlier
 * export is brought up to date. */
int maildir_export(struct move *m, struct err *e);

#endif
