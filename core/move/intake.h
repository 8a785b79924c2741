/*
 * intake.h - messages of any source go into the store, many at a time.
 *
 * The caller's thread reads and parses, a thread of the intake commits what
 * was read before. A batch is one transaction; memory is bounded by two
 * batches. What the store has under a message's key already is passed over,
 * so whatever was cut off is simply run again.
 */
#ifndef MOVE_INTAKE_H
#define MOVE_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "mail/spool.h"
#include "move/progress.h"
#include "plug/store.h"

struct intake;

struct intake_message {
	struct str key;			/* names it at its source */
	uint32_t uid, flags;
	struct str keywords;		/* blank between */
	int64_t received_ms;
};

#define INTAKE_BATCH 256		/* messages */

/* NULL: the store cannot import (e). temp: folder for large messages.
 * again: what was imported before comes once more. */
struct intake *intake_new(const struct store *s, const char *account,
	const char *temp, bool again, struct err *e);
/* What follows goes into this mailbox, in UTF-8 with '/'; uidvalidity 0: it
 * had no UIDs. uidnext as of the source, or 0. */
int intake_open(struct intake *in, const char *name, uint32_t uidvalidity,
	uint32_t uidnext, struct err *e);
/* there[i] is set for those that came before; at most INTAKE_BATCH keys. */
int intake_known(struct intake *in, const struct str *key, size_t n,
	uint8_t *there, struct err *e);
/* Where the bytes of the next message are to be written. */
struct spool *intake_spool(struct intake *in);
/* The message that was written is whole. One without a byte is dropped. */
int intake_add(struct intake *in, const struct intake_message *m,
	struct progress *p, struct err *e);
/* The bytes that were written are not wanted. */
void intake_drop(struct intake *in);
/* Returns when all is durable; before the next intake_open too. */
int intake_flush(struct intake *in, struct progress *p, struct err *e);
void intake_free(struct intake *in);

/* Writes with CR LF where a line ends in LF alone. */
struct intake_lines {
	bool after_cr;
};
int intake_write_lines(struct intake_lines *l, struct spool *s, struct str
	bytes, struct err *e);

#endif
