/*
 * restore.h - mail of a state of a backup goes back into the running store.
 * What is there is never removed or changed.
 */
#ifndef MOVE_RESTORE_H
#define MOVE_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "move/maildir.h"
#include "plug/store.h"

struct restore {
	struct move move;	/* store, account, temp, progress */
	struct store from;	/* the state, as a store */
	const char *state;	/* its name */
	const char *into;	/* mailboxes go below this one; NULL: to where
				   they were, and only what is missing there */
};

/* The account r->move.account, which is there. */
int restore_account(struct restore *r, struct err *e);
/* Messages with this trace or Message-ID, of all accounts or of one (account
 * not NULL), into r->into. r->move.account is changed. */
int restore_message(struct restore *r, const char *account, const char *id,
	struct err *e);

#endif
