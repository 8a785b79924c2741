/*
 * imap_out.h - small things that several answers of IMAP are built of.
 */
#ifndef SERVE_IMAP_OUT_H
#define SERVE_IMAP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/arena.h"
#include "base/buf.h"

struct imap_box;

/* Numbers or UIDs that come in order, kept as ranges. Starts as {0}. */
struct imap_list {
	struct mr_range *at;
	size_t n, room;
	uint32_t count;		/* of numbers */
};
void imap_list_add(struct imap_list *l, uint32_t number);
bool imap_list_has(const struct imap_list *l, uint32_t number);
void imap_list_free(struct imap_list *l);

void imap_number_out(struct buf *out, uint64_t n);
/* "1:3,5" */
void imap_ranges_out(struct buf *out, const struct mr_range *r, size_t n);

/* How many messages that this session knows have UIDs in these ranges
 * (sorted, apart from each other). */
uint32_t imap_count_known(const struct imap_box *b, const struct mr_range *r,
	size_t n);
/* The UIDs in `in` but for those in `out` (sorted), in the arena. */
struct mr_range *imap_ranges_without(const struct mr_range *in, size_t n,
	const struct imap_list *out, struct arena *a, size_t *n_out);

#endif
