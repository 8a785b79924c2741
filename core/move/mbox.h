/*
 * mbox.h - mailboxes as one file each, in and out.
 *
 * Read are mboxrd, mboxo and mboxcl2, with what mail programs note in
 * Status, X-Status, X-Keywords, X-UID, X-IMAPbase and X-Mozilla-Status.
 * Written is mboxrd with these (RFC 4155 but for the quoting), and a field
 * X-Mailroom, from which exactly the message that was comes back.
 */
#ifndef MOVE_MBOX_H
#define MOVE_MBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "move/maildir.h"

/* m->path is a file, or a folder of files and folders (Thunderbird, mutt,
 * Dovecot). One file goes to m->mailbox, or to INBOX. */
int mbox_import(struct move *m, struct err *e);
/* Writes the account into files below m->path, which is there. */
int mbox_export(struct move *m, struct err *e);

/* "From a@b.c Thu Jan  1 00:00:00 2026": true, and when. A line of text that
 * only begins so is none. */
bool mbox_from_line(struct str line, int64_t *received_ms);

/* What is said of a message in its header. */
struct mbox_notes {
	uint32_t flags, uid;
	uint32_t uidvalidity, uid_last;	/* X-IMAPbase; 0: not there */
	int64_t length;			/* Content-Length, or -1 */
	bool is_internal;		/* no mail: where UW IMAP keeps notes */
	bool is_expunged;		/* removed, but not from the file yet */
	/* X-Mailroom: */
	bool is_exact, is_raw;
	uint64_t exact_length;
	int64_t received_ms;
	char keywords[4000];
};
/* Reads the notes off a header section (line ends as they are) and appends
 * what is left of it to out. */
void mbox_read_header(struct str header, struct buf *out,
	struct mbox_notes *n);

#endif
