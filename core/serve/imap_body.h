/*
 * imap_body.h - the bytes and the structure of one message after another,
 * while FETCH or SEARCH look at them.
 *
 * Nothing is read before it is asked for, and never more than a block is in
 * memory. The first failure sticks until the next message: reads then give
 * nothing.
 */
#ifndef SERVE_IMAP_BODY_H
#define SERVE_IMAP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/mime.h"

struct store;

struct imap_body {
	const struct store *store;
	const struct mr_row *row;	/* with MR_ROW_MESSAGE, MR_ROW_CACHE */
	int code;			/* enum mr_store_code of what failed */
	struct mr_error error;
	/* private */
	void *handle;			/* NULL: not open */
	uint64_t length;
	bool has_view;
	struct mime_view view;
	struct buf parsed;		/* instead of a cache of old form */
	char *block;
	uint64_t block_at;
	size_t block_len;
};

void imap_body_init(struct imap_body *b, const struct store *store);
/* Turns to a message; row is borrowed until the next call. */
void imap_body_turn(struct imap_body *b, const struct mr_row *row);
void imap_body_free(struct imap_body *b);

/* false: it failed; code says how. */
bool imap_body_open(struct imap_body *b);
/* NULL: it failed (only a cache of old form needs the body). */
const struct mime_view *imap_body_view(struct imap_body *b);
/* The same, with what older caches do not hold. */
const struct mime_view *imap_body_whole_view(struct imap_body *b);
/* Bytes from `at` on, at least one, none at or behind `end`; valid until the
 * next call. Empty: the end, or it failed. */
struct str imap_body_peek(struct imap_body *b, uint64_t at, uint64_t end);
/* A whole range, cut at IMAP_HEADER_MOST, in the arena. */
#define IMAP_HEADER_MOST (2 * 1024 * 1024)
struct str imap_body_range(struct imap_body *b, uint64_t at, uint64_t end,
	struct arena *a);

#endif
