/*
 * outlet.h - what an export reads from the store: the mailboxes of an
 * account, the messages of one, the bytes of each.
 */
#ifndef MOVE_OUTLET_H
#define MOVE_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "plug/store.h"

struct outlet_box {
	int64_t id;
	const char *name;
	uint32_t special, uidvalidity, uidnext, messages;
	uint64_t modseq;
	bool subscribed;
};

struct outlet_row {
	uint32_t uid, flags;
	const char *keywords;		/* "" for none */
	int64_t received_ms, message_id;
	uint64_t length;
};

struct outlet_rows {
	struct outlet_row *row;		/* malloc */
	size_t n, room;
	struct arena arena;
};

/* Of the account, INBOX first; in the arena. */
int outlet_boxes(const struct store *s, const char *account, struct arena *a,
	struct outlet_box **out, size_t *n, struct err *e);
/* Those behind `after_uid`. */
int outlet_rows(const struct store *s, int64_t mailbox, uint32_t after_uid,
	struct outlet_rows *out, struct err *e);
void outlet_rows_free(struct outlet_rows *r);
/* The bytes in blocks. 1: the message went meanwhile. */
int outlet_body(const struct store *s, int64_t message_id,
	int (*each)(void *arg, struct str some, struct err *e), void *arg,
	struct err *e);

#endif
