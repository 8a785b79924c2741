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
#include "base/str.h"

struct imap_box;

/* PARTIAL, RFC 9394: "1:500", or "-1:-100", which counts from the end. */
struct imap_window {
	struct str text;
	uint32_t first, last;
	bool from_end;
};
/* false: it is none. */
bool imap_window_read(struct imap_window *w, struct str word);
/* The positions that it names where there are `count`; first > last: none. */
struct mr_range imap_window_place(const struct imap_window *w,
	uint32_t count);

/* Numbers or UIDs that come in order, kept as ranges. Starts as {0}. */
struct imap_list {
	struct mr_range *at;
	size_t n, room;
	uint32_t count;		/* of numbers */
};
void imap_list_add(struct imap_list *l, uint32_t number);
bool imap_list_has(const struct imap_list *l, uint32_t number);
/* The list, empty before, becomes a copy of these. */
void imap_list_copy(struct imap_list *l, const struct mr_range *r, size_t n);
/* What stands at these positions of it, which begin with 1: struct mr_range
 * one behind the other. */
void imap_list_cut(const struct imap_list *l, struct mr_range at,
	struct buf *out);
void imap_list_free(struct imap_list *l);

void imap_number_out(struct buf *out, uint64_t n);
/* "1:3,5" */
void imap_ranges_out(struct buf *out, const struct mr_range *r, size_t n);

/* How many messages that this session knows have UIDs in these ranges
 * (sorted, apart from each other). */
uint32_t imap_count_known(const struct imap_box *b, const struct mr_range *r,
	size_t n);
/* Those messages, as far as they stand at the positions that the window names
 * among them: UIDs in the arena. */
struct mr_range *imap_ranges_place(const struct imap_box *b,
	const struct mr_range *r, size_t *n, const struct imap_window *w,
	struct arena *a);
/* The UIDs in `in` but for those in `out` (sorted), in the arena. */
struct mr_range *imap_ranges_without(const struct mr_range *in, size_t n,
	const struct imap_list *out, struct arena *a, size_t *n_out);

#endif
