/*
 * fakestore.h - a mailbox in memory behind the store's table, and an IMAP
 * session on a socket pair that has it selected: what a command answers can
 * be compared as text, without a server and without SQL.
 */
#ifndef UNIT_SERVE_FAKESTORE_H
#define UNIT_SERVE_FAKESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/buf.h"
#include "serve/imap.h"

#define FAKE_MOST 64

struct fake_message {
	uint32_t uid, flags;
	uint64_t modseq;
	char *keywords;
	int64_t received_ms;
	struct str body;		/* borrowed */
	struct buf cache;
	bool removed;
	uint64_t removed_at;
};

struct fake_store {
	struct fake_message message[FAKE_MOST];
	size_t n;
	uint64_t modseq;
	uint32_t uidnext;
	unsigned opened;		/* calls of body_open */
	unsigned scans, changes;
	bool fails;			/* body_read: the disk is broken */
	int commit_code;		/* what commit answers; 0: it works */
	struct buf committed;		/* bytes of the last commit */
	struct mr_commit last;
	struct mr_placement place;
};

struct fake_talk {
	struct fake_store store;
	struct house house;
	struct session session;
	struct imap *imap;
	int peer;
	struct buf heard;
};

/* The body is borrowed. */
void fake_add(struct fake_store *f, uint32_t flags, const char *keywords,
	int64_t received_ms, struct str body);
/* As another session would. */
void fake_remove(struct fake_store *f, uint32_t uid);

/* Messages that are there now are known to the session. */
void fake_select(struct fake_talk *t);
void fake_begin(struct fake_talk *t);
void fake_end(struct fake_talk *t);
/* Sends bytes as they are, serves commands, returns all that was answered. */
const char *fake_say(struct fake_talk *t, struct str bytes);
/* "t " + command + CR LF. */
const char *fake_ask(struct fake_talk *t, const char *command);

#endif
