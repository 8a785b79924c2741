/*
 * fsck.h - what the two files of the check share.
 */
#ifndef SQLITE_FSCK_H
#define SQLITE_FSCK_H

#include "engine.h"

struct sq_fsck {
	struct sq *sq;
	struct mr_fsck *out;
	struct sq_db *db;	/* of its own */
};

void sq_fsck_found(struct sq_fsck *k, const char *text, bool is_repaired,
	const char *advice);
/* fsck_bytes.c: every message's bytes against its row, and its structure. */
int sq_fsck_bytes(struct sq_fsck *k, struct mr_error *err);

#endif
