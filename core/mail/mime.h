/*
 * mime.h - the structure of a message, parsed once when it is stored.
 *
 * mime_feed takes the bytes in any cuts and keeps no more than header
 * sections in memory; mime_end makes the cache: a versioned byte string that
 * the store keeps and gives back (store.h), from which FETCH answers without
 * reading the message again. Limits: depth 100, 10,000 parts, 1 MiB of
 * headers remembered; beyond them the rest counts as body of the part that
 * is open. Never refuses and never alters mail.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct mime;		/* the running parse */

struct mime *mime_new(void);
void mime_feed(struct mime *m, const void *bytes, size_t len);
/* Ends the parse, appends the cache to out, frees m. */
void mime_end(struct mime *m, struct buf *out);
void mime_free(struct mime *m);

/* One part, as byte ranges in the message. Part 0 is the message itself. */
struct mime_part {
	uint32_t parent;	/* index; part 0 is its own */
	uint32_t n_children;	/* multipart children, or 1 for message/rfc822 */
	uint32_t first_child;	/* index of the first, 0: none */
	uint32_t next;		/* next sibling, 0: none */
	uint64_t header_at;	/* start of its header section */
	uint64_t body_at;	/* behind the empty line */
	uint64_t end;
	uint32_t lines;		/* of the body (RFC 9051 BODYSTRUCTURE) */
	bool is_multipart, is_message;
};

#define MIME_NOT_SENT INT64_MIN

/* A read-only view of a cache. */
struct mime_view {
	struct str envelope;	/* IMAP text "(date subject ...)" (RFC 9051 7.5.2)*/
	struct str body;	/* BODY without extension data */
	struct str bodystructure;
	uint32_t n_parts;
	uint64_t length;	/* RFC822.SIZE */
	struct str parts;	/* packed */
	bool is_old;		/* without what follows */
	uint64_t thread;	/* RFC 8474; 0: it has no ids */
	struct str preview;	/* RFC 8970: UTF-8, or empty */
	int64_t sent_ms;	/* its Date; MIME_NOT_SENT: none to read */
	int sent_zone;		/* minutes east of UTC */
};
/* false: not a cache, or of another version: parse the message again. */
bool mime_open(struct str cache, struct mime_view *out);
bool mime_part(const struct mime_view *v, uint32_t index,
	struct mime_part *out);
/* The part that an IMAP section number path names ("1.2.3", RFC 9051
 * 6.4.5.1); 0-length path is part 0. -1: no such part. */
int64_t mime_find(const struct mime_view *v, const uint32_t *path,
	size_t n_path);

/* What it takes to read a part as text, from its header section; empty where
 * nothing is said. Views into the section or the arena. */
struct mime_form {
	struct str type, subtype, charset, encoding;
};
void mime_form_read(struct str section, struct arena *a,
	struct mime_form *out);
/* Parses a whole message, and gives the first `most` of its parts that are no
 * multiparts: their form, and their body with its transfer encoding undone.
 * Both are valid during the call. */
void mime_each_body(struct str message, uint32_t most,
	void (*each)(void *arg, const struct mime_form *form,
	struct str body), void *arg);

/* Appends an IMAP string: quoted if it can be, else a literal; NIL for
 * s.at == NULL. */
void mime_imap_string(struct buf *out, struct str s);

#endif
