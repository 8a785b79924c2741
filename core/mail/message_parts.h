/*
 * message_parts.h - what message.c and message_pieces.c share. Nobody else
 * includes it.
 */
#ifndef MAIL_MESSAGE_PARTS_H
#define MAIL_MESSAGE_PARTS_H

#include "mail/message.h"
#include "mail/spool.h"

/* A field, or (id 0) one of our own. Never changed once it is in the list:
 * a change puts another item with the same id in its place. */
struct item {
	uint64_t id;
	struct str name, value;
	struct str text;	/* as it leaves; empty: the anchor, not filled */
	uint64_t at;		/* is_received: where text stands in the spool */
	bool is_received;
};

/* A body given by a filter: CRLF lines. */
struct body {
	struct body *next;	/* all that were ever made, for freeing */
	struct spool spool;
	char last;		/* last byte that was written */
	bool has_cr;		/* a CR came and waits for its LF */
};

struct edit {
	const char *who;
	struct item *before, *after;	/* NULL: was not there; is gone */
	size_t slot;
	struct body *old_body, *new_body;	/* new_body NULL: a field edit */
};

struct message {
	struct arena *arena;
	const char *dir;
	size_t memory_limit;
	struct spool raw;
	uint64_t header_end, body_at;	/* between them: the empty line */
	bool sealed;
	bool had_fields;
	struct item *anchor;
	struct item **item;
	size_t n_item, room, n_visible;
	size_t cursor, cursor_slot;	/* visible index, and a slot not behind */
	uint64_t last_id;
	struct edit *edit;
	size_t n_edit, edit_room, mark;
	struct body *body;	/* NULL: the received one */
	struct body *bodies;
};

struct edit *message_edit_new(struct message *m, const char *who);
/* The line end that the body given by a filter still lacks: 0 or 2. */
size_t body_missing_end(const struct body *b);

#endif
