/*
 * message.h - one message on its way in: immutable bytes plus a list of
 * edits, each with its owner.
 *
 * The spool is filled while DATA is read (memory up to a small limit, then an
 * unlinked temporary file) and never changed. The view that filters see and
 * the bytes that are stored are spool + edits. Own fields that the server puts
 * on top (Received, Authentication-Results) are kept apart: filters do not
 * see them, insertion counts them (plugin.h, header_insert).
 *
 * Field positions follow Postfix (MILTER.md 1.6): removal shifts what is
 * behind, add appends at the end, a change keeps the place.
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>	/* struct mr_piece */

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct message;

struct message_field {
	uint64_t id;
	struct str name;
	struct str value;	/* behind the colon as it will be sent: leading
				   blank included, folds as CRLF + blank */
};

/* Lives in the arena but for its spool; message_free closes that. Bytes
 * beyond memory_limit go to a temporary file in spool_dir. */
struct message *message_new(struct arena *a, const char *spool_dir,
	size_t memory_limit);
void message_free(struct message *m);
/* CRLF text, dots unstuffed. -1: the disk failed (ERR_FULL, ERR_SYS). */
int message_write(struct message *m, struct str bytes, struct err *e);
/* All is written: finds the fields. Must come before what follows. */
int message_seal(struct message *m, struct err *e);
uint64_t message_raw_length(const struct message *m);	/* as received */

/* Visible fields as they stand now. false past the last. */
bool message_field(struct message *m, size_t index, struct message_field *out);
size_t message_field_count(struct message *m);
/* The nth (0 first) visible field of that name; false if none. */
bool message_find(struct message *m, struct str name, size_t nth,
	struct message_field *out);
uint64_t message_body_length(struct message *m);
int64_t message_body_read(struct message *m, uint64_t offset, void *out,
	size_t len, struct err *e);

/* A field of our own, on top of all. Value without leading blank. */
void message_own(struct message *m, const char *name, struct str value);

/* Edits. `who` is remembered. mark/undo brackets what one filter does. */
size_t message_mark(struct message *m);
void message_undo(struct message *m, size_t mark);
/* position: see mr_host.header_insert; SIZE_MAX: at the end. leading: put a
 * blank before the value (false: the value brings its own, LEADSPC). */
int message_insert(struct message *m, const char *who, size_t position,
	struct str name, struct str value, bool leading);
int message_change(struct message *m, const char *who, uint64_t id,
	struct str name, struct str value, bool leading);
int message_remove(struct message *m, const char *who, uint64_t id);
/* The first call after a mark empties the body, further ones append. */
int message_body_replace(struct message *m, const char *who,
	struct str bytes, struct err *e);
bool message_is_edited(const struct message *m);
/* The edits that stand, in order; false past the last. */
struct message_edit {
	const char *who;
	const char *what;	/* "added", "changed", "removed", "body" */
	struct str name;	/* of the field, "" for the body */
	struct str before, after;	/* values, trimmed */
};
bool message_edit(const struct message *m, size_t index,
	struct message_edit *out);
/* For who has to tell another server of the edits: how many visible fields
 * stand above our own Received; whether the body is a filter's. */
size_t message_count_above(const struct message *m);
bool message_has_new_body(const struct message *m);
/* The id that the newest field got; the next one gets one more. */
uint64_t message_last_id(const struct message *m);
/* If the end of the body lies in a file: its descriptor (still ours); the
 * body's bytes from *from on stand at *offset of it. -1: not so. */
int message_body_file(struct message *m, uint64_t *from, uint64_t *offset);

/* The final bytes as pieces for the store, own fields first. Valid until the
 * next edit or message_free; the array lives in the arena. */
int message_pieces(struct message *m, struct mr_piece **out, size_t *n,
	uint64_t *length, struct err *e);

#endif
