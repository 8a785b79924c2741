/*
 * imap_context.h - searches whose results are kept up to date: RETURN
 * (UPDATE) of SEARCH and SORT, ADDTO and REMOVEFROM (RFC 5267 4.3).
 *
 * A context belongs to the selected mailbox and ends with it. Its keys live in
 * an arena of its own: numbers, "$" and ages in them are what they were when
 * the search was asked.
 */
#ifndef SERVE_IMAP_CONTEXT_H
#define SERVE_IMAP_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/imap_order.h"
#include "serve/imap_search.h"

struct imap_context {
	struct imap_context *next;
	struct arena arena;		/* of the tag and the keys */
	struct str tag;
	struct search_tree tree;
	bool uid, sorts;
	struct imap_list members;	/* UIDs in the order of the mailbox */
	struct order order;		/* sorts: the same, as they are sorted */
	uint64_t modseq;		/* changes up to this are in it */
};

/* For a search that asked for UPDATE: *keys is what to read its arguments from
 * in place of `in`. *out: the context, or NULL where there are too many, which
 * the client is told. false, with in->wrong: the tag is in use. */
bool imap_context_begin(struct imap *k, struct imap_in *in,
	struct imap_context **out, struct imap_in *keys);
/* The search is done; takes the context, and of `found` what it needs: UIDs as
 * they were found, `order` for SORT (or NULL), which is then empty. */
void imap_context_take(struct imap *k, struct imap_context *c,
	const struct imap_list *found, struct order *order);
/* It is not to go on after all: tells so, and frees it. */
void imap_context_refuse(struct imap *k, struct imap_context *c);
void imap_context_free(struct imap_context *c);

/* These UIDs are going to be told as removed. */
void imap_contexts_remove(struct imap *k, const struct mr_range *gone,
	size_t n);
/* Looks again at what changed up to this modseq; a store code. */
int imap_contexts_sync(struct imap *k, uint64_t modseq, struct mr_error *me);
/* Ends those that answer in message numbers (RFC 9586 forbids them). */
void imap_contexts_drop_numbers(struct imap_box *b);
void imap_contexts_free(struct imap_box *b);

#endif
