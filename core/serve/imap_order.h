/*
 * imap_order.h - messages put in the order that SORT asks for. Private to the
 * files of SEARCH, SORT and THREAD.
 */
#ifndef SERVE_IMAP_ORDER_H
#define SERVE_IMAP_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/imap_rows.h"
#include "serve/imap_search.h"

#define ORDER_KEYS_MOST 32

enum sort_kind { SORT_ARRIVAL, SORT_CC, SORT_DATE, SORT_FROM, SORT_SIZE,
	SORT_SUBJECT, SORT_TO, SORT_DISPLAYFROM, SORT_DISPLAYTO };

struct order_row {
	uint32_t seq, uid;
	uint64_t modseq;
	size_t at, len;		/* its bytes */
	size_t subject;		/* of these the first: THREAD, which has the
				   date behind it */
};

struct order {
	struct {
		enum sort_kind kind;
		bool reverse;
	} key[ORDER_KEYS_MOST];
	size_t n_key;
	bool uid;		/* answered in UIDs */
	struct buf bytes;	/* of all */
	struct buf row;		/* struct order_row, one behind the other */
	size_t dead;		/* of `bytes`: of rows that are gone */
	struct buf text, name, domain;	/* used again and again */
};

static inline uint32_t
order_number(const struct order *o, const struct order_row *row)
{
	return o->uid ? row->uid : row->seq;
}

void order_init(struct order *o);
void order_free(struct order *o);
/* "(SUBJECT REVERSE DATE) " */
bool order_read(struct order *o, struct imap_in *in);
/* MR_ROW_* that order_add looks at. */
uint32_t order_wants(const struct order *o);
/* One more message, behind all others until they are sorted. */
void order_add(struct order *o, const struct imap_row *r,
	struct search_match *m);
/* The rows as they stand; sorted. */
struct order_row *order_rows(const struct order *o, size_t *n);
struct order_row *order_sort(struct order *o, size_t *n);
/* Row `n` goes to its place among those before it, which are sorted: where. */
size_t order_settle(struct order *o, size_t n);
void order_remove(struct order *o, size_t at);
/* Only the first n rows stay; the others were added last. */
void order_cut(struct order *o, size_t n);

#endif
