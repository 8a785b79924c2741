/*
 * imap_result.h - what SEARCH and SORT may be asked to return, and how it is
 * answered (RFC 4731, RFC 5182, RFC 5267, RFC 9394). Private to the files of
 * SEARCH and SORT, and to FETCH, whose PARTIAL reads the same.
 *
 * A result is kept in the order in which it is answered: that of the mailbox,
 * or that of SORT. Positions in it begin with 1.
 */
#ifndef SERVE_IMAP_RESULT_H
#define SERVE_IMAP_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "serve/imap_out.h"
#include "serve/imap_parse.h"

struct imap_box;

enum { RETURN_MIN = 1, RETURN_MAX = 2, RETURN_ALL = 4, RETURN_COUNT = 8,
	RETURN_PARTIAL = 16, RETURN_SAVE = 32, RETURN_UPDATE = 64,
	RETURN_CONTEXT = 128 };
#define RETURN_DATA (RETURN_MIN | RETURN_MAX | RETURN_ALL | RETURN_COUNT | \
	RETURN_PARTIAL)
/* What needs the UIDs of what was found, behind the answer. */
#define RETURN_KEEPS (RETURN_SAVE | RETURN_UPDATE)

struct search_return {
	unsigned asked;			/* RETURN_* */
	bool extended;			/* the answer is an ESEARCH */
	struct imap_window window;
};
/* "RETURN (MIN PARTIAL 1:5) ", or nothing. */
bool search_return_read(struct search_return *r, struct imap_in *in);

struct search_found {
	bool uid;			/* shown are UIDs */
	bool keeps_uids, keeps_modseqs;	/* the lists below are wanted */
	struct str of;			/* behind the tag, RFC 7377 2.1 */
	struct imap_list shown;
	struct imap_list uids;
	struct buf modseqs;		/* uint64_t, one behind the other */
};
void search_found_init(struct search_found *f);
void search_found_free(struct search_found *f);
void search_found_add(struct search_found *f, uint32_t seq, uint32_t uid,
	uint64_t modseq);
/* The highest MODSEQ of all; 0: nothing was found. */
uint64_t search_found_modseq(const struct search_found *f);

/* "* ESEARCH (TAG "a1") UID ..." with its end; nothing where the client asked
 * for SAVE alone. */
void search_return_write(const struct search_return *r,
	const struct search_found *f, struct str tag, struct buf *out);
/* For "$", what SAVE is to keep of the UIDs. A failed search empties it. */
void search_return_save(const struct search_return *r,
	struct search_found *f, struct imap_box *b, bool failed);

#endif
