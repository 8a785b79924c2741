/*
 * imap_index.h - the store's search index as one SEARCH uses it.
 *
 * It says of a message and a key "no", or nothing, and may have the
 * message's legible texts at hand. Without an index it says nothing of any.
 */
#ifndef SERVE_IMAP_INDEX_H
#define SERVE_IMAP_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "plug/store.h"

struct imap_index {
	const struct store *store;
	uint64_t unknown;		/* times that it could not tell */
	/* private */
	void *handle;			/* NULL: none */
	bool was_asked, has_failed;
	struct index_needle *needle;	/* by the key's number */
	size_t n;
};

void imap_index_init(struct imap_index *x, const struct store *store);
/* Opens it, the first time. */
bool imap_index_is_there(struct imap_index *x);
/* number: small, another for each needle. true: this text of the message does
 * not contain it. */
bool imap_index_excludes(struct imap_index *x, enum mr_index_space space,
	unsigned number, struct str needle, int64_t message);
/* Valid until the next message's. */
bool imap_index_text(struct imap_index *x, enum mr_index_space space,
	int64_t message, struct str *text);
void imap_index_free(struct imap_index *x);

#endif
