/*
 * drop.h - the folder where programs of this machine leave mail, whether the
 * server runs or not.
 *
 * One file a message: lines "key value" (sender, rcpt, args of MAIL, notify
 * of RCPT), an empty line, the message with CR LF. A file is there whole or
 * not at all: it is written under a name that begins with '.', synced and
 * then renamed. Anybody here may write to the folder (mode 1733), so a reader
 * believes nothing but the file's owner.
 */
#ifndef QUEUE_DROP_H
#define QUEUE_DROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define DROP_RCPT_MOST 10000

struct drop {
	struct str sender;	/* "": nobody is told of failures */
	struct str *rcpt;
	size_t n_rcpt;
	struct str args;	/* ESMTP arguments of MAIL */
	struct str notify;	/* value of NOTIFY= for all, or "" */
	/* out, of a file that was opened */
	uid_t uid;		/* its owner */
	int fd;
	uint64_t body_at, length;	/* of the message */
};

/* The envelope, in the arena. Returns when the message is on disk; its name
 * goes to *name if that is not NULL. */
int drop_write(const char *folder, const struct drop *d, struct str message,
	char name[40], struct err *e);
/* Opens and locks a file that somebody left. 1: *out, whose fd is the
 * caller's to close; 0: somebody else has it, or it is gone; -1: it cannot be
 * read, or is none of ours (ERR_PROTOCOL). */
int drop_open(const char *folder, const char *name, struct arena *a,
	struct drop *out, struct err *e);
/* Puts what is left of the envelope into its place; the message is copied
 * from the file that d holds open. */
int drop_replace(const char *folder, const char *name, const struct drop *d,
	struct err *e);

#endif
