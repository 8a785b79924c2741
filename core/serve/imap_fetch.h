/*
 * imap_fetch.h - what the files of FETCH share: the plan that is made of the
 * items once, and the state of the walk over the messages. Private to
 * imap_fetch.c, imap_plan.c, imap_items.c and imap_section.c.
 */
#ifndef SERVE_IMAP_FETCH_H
#define SERVE_IMAP_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "serve/imap.h"
#include "serve/imap_body.h"
#include "serve/imap_out.h"
#include "serve/imap_rows.h"

enum fetch_kind { FETCH_UID, FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_SIZE,
	FETCH_MODSEQ, FETCH_SAVEDATE, FETCH_EMAILID, FETCH_THREADID,
	FETCH_PREVIEW, FETCH_ENVELOPE, FETCH_BODY, FETCH_STRUCTURE,
	FETCH_SECTION, FETCH_BINARY, FETCH_BINARY_SIZE };

enum section_text { SECTION_ALL, SECTION_HEADER, SECTION_FIELDS,
	SECTION_FIELDS_NOT, SECTION_TEXT, SECTION_MIME };

struct fetch_section {
	struct str label;	/* as it is answered: "BODY[1.2]<0>" */
	uint32_t *path;
	size_t n_path;
	enum section_text text;
	struct str *field;	/* of SECTION_FIELDS and _NOT */
	size_t n_field;
	uint64_t from, most;	/* partial; most UINT64_MAX: all */
};

struct fetch_item {
	enum fetch_kind kind;
	struct fetch_section section;
};

struct fetch_plan {
	struct fetch_item *item;
	size_t n, room;
	unsigned has;		/* bits by kind, but for sections */
	uint32_t want;		/* MR_ROW_* */
	bool sets_seen;
	bool needs_body;
	bool needs_whole;	/* more than the oldest caches hold */
	bool lazy;		/* PREVIEW that is not at hand is NIL */
	uint64_t since;		/* CHANGEDSINCE; 0: none */
	bool vanished;		/* RFC 7162 3.2.6 */
	bool partial;		/* RFC 9394 3.3: only those in the window */
	struct imap_window window;
};

/* Reads "FLAGS", "(UID BODY[])", "FULL" ... with_uid: UID is answered in any
 * case. false: in->wrong says why. */
bool fetch_plan_read(struct fetch_plan *p, struct imap_in *in, bool with_uid);
/* One more item that the client did not ask for. */
void fetch_plan_add(struct fetch_plan *p, struct arena *a,
	enum fetch_kind kind);

/* "1.2.HEADER]", with the bracket and without a partial. */
bool fetch_section_read(struct imap_in *in, struct fetch_section *s);

/* For CATENATE: the bytes of a section, cut as its partial says. */
struct fetch_bytes {
	uint64_t at, end;	/* of the message */
	struct str picked;	/* instead, where fields were picked; arena */
};
/* false: the message has no such section. Its view must be there. */
bool fetch_find_bytes(struct imap_body *b, const struct fetch_section *s,
	struct arena *a, struct fetch_bytes *out);

/* The walk. */
struct fetch {
	struct imap *k;
	const struct fetch_plan *plan;
	struct imap_list unseen;	/* UIDs that this FETCH marked as read */
	struct buf line;		/* text that is not written yet */
	struct imap_body body;
	struct arena message;		/* reset with each message */
	bool gone;			/* somebody removed a message meanwhile */
	bool failed;			/* a message could not be read */
	bool unknown_encoding;		/* BINARY, RFC 3516 4.3 */
};

/* imap_items.c: the whole "* n FETCH (...)" of a row. */
void fetch_write_row(struct fetch *f, const struct imap_row *r);
/* imap_section.c: one BODY[...], BINARY[...] or BINARY.SIZE[...]. */
void fetch_write_section(struct fetch *f, const struct fetch_section *s);
void fetch_write_binary(struct fetch *f, const struct fetch_section *s);
void fetch_write_binary_size(struct fetch *f, const struct fetch_section *s);
/* Sends the line as far as it is built. */
void fetch_flush(struct fetch *f);

#endif
