/*
 * imap_metadata.h - annotations as GETMETADATA and LIST ask for them.
 */
#ifndef SERVE_IMAP_METADATA_H
#define SERVE_IMAP_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/imap_parse.h"

struct imap;

#define IMAP_ENTRIES_MOST 100	/* of a mailbox, and of one command */

struct imap_entries {		/* which annotations are wanted */
	const char *name[IMAP_ENTRIES_MOST];	/* lower case; arena */
	bool found[IMAP_ENTRIES_MOST];
	size_t n;
	unsigned depth;		/* levels below them; UINT_MAX: all */
	uint64_t most;		/* longer values are left out ... */
	uint64_t left_out;	/* ... out: the longest of these, 0: none */
};

/* "/private/comment" or "(/shared/comment /private/comment)". The rest of
 * *out is what stands without options: no levels below, values of any size. */
bool imap_metadata_entries(struct imap_in *in, struct imap_entries *out);
/* One METADATA answer, if there is something to say. m->id 0: of the server,
 * whose name is "". m->special: as the account is to see it. */
int imap_metadata_line(struct imap *k, const struct mr_mailbox *m,
	const char *name, struct imap_entries *w, struct mr_error *me);
/* The name of an annotation as it stands in an answer. */
struct buf;
void imap_metadata_name(struct buf *out, const char *name);
/* The store keeps annotations. */
bool imap_has_metadata(const struct imap *k);

#endif
