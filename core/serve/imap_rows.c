/*
 * imap_rows.c - gathers a batch of rows, then lets the scan go. The session's
 * thread; blocks in the store.
 */
#include "serve/imap_rows.h"

#include "base/arena.h"
#include "serve/imap.h"
#include "serve/row_cache.h"

#define ROWS_MOST 4096
#define BYTES_MOST (1024 * 1024)	/* the last row may go beyond it */

void
imap_rows_begin(struct imap_rows *r, struct imap *k,
	const struct mr_range *range, size_t n, uint32_t want)
{
	*r = (struct imap_rows){.k = k, .n_range = n, .want = want};
	r->ranges = r->range = mem_grow(NULL, (n + 1) * sizeof *range);
	if (n > 0)
		memcpy(r->ranges, range, n * sizeof *range);
	buf_init(&r->bytes, BUF_NO_CAP);
}

/* The scan goes on behind this UID. */
static void
pass(struct imap_rows *r, uint32_t uid)
{
	while (r->n_range > 0 && r->range->last <= uid) {
		r->range++;
		r->n_range--;
	}
	if (r->n_range > 0 && r->range->first <= uid)
		r->range->first = uid + 1;
}

static struct imap_row *
add_row(struct imap_rows *r)
{
	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 16;
		r->at = mem_grow(r->at, r->room * sizeof *r->at);
	}
	return &r->at[r->n++];
}

static int
take_row(void *arg, const struct mr_row *row)
{
	struct imap_rows *r = arg;
	uint32_t seq = imap_box_seq(r->k->box, row->uid);
	struct imap_row *kept;

	if (seq == 0)
		return 0;
	kept = add_row(r);
	kept->seq = seq;
	kept->row = *row;
	if (row->keywords.len > 0)
		buf_add(&r->bytes, row->keywords.at, row->keywords.len);
	if (row->cache.len > 0)
		buf_add(&r->bytes, row->cache.at, row->cache.len);
	return r->n == ROWS_MOST || r->bytes.len >= BYTES_MOST;
}

/* The bytes do not move any more: now the views can point at them. */
static void
set_views(struct imap_rows *r)
{
	const char *at = buf_c(&r->bytes);
	struct mr_row *row;
	size_t i;

	for (i = 0; i < r->n; i++) {
		row = &r->at[i].row;
		row->keywords.at = at;
		at += row->keywords.len;
		row->cache.at = at;
		at += row->cache.len;
	}
}

int
imap_rows_next(struct imap_rows *r, struct mr_error *me)
{
	const struct house *h = r->k->house;
	struct row_query q = {.mailbox = r->k->box->id, .range = r->range,
		.n = r->n_range, .since = r->since, .want = r->want,
		.with = r->with, .without = r->without,
		.each = take_row, .arg = r};
	int code;

	r->n = 0;
	buf_reset(&r->bytes);
	if (r->n_range == 0)	/* which would mean all to the store */
		return MR_STORE_OK;
	code = row_cache_scan(h->rows, &h->store, &q, me);
	if (code != MR_STORE_OK && code != MR_STORE_STOPPED)
		return code;
	set_views(r);
	r->given += (uint32_t)r->n;
	if (code == MR_STORE_STOPPED)
		pass(r, r->at[r->n - 1].row.uid);
	else
		r->n_range = 0;
	return MR_STORE_OK;
}

struct giving {
	struct imap_rows *rows;
	void (*each)(void *arg, const struct imap_row *row);
	void *arg;
};

static int
give_row(void *arg, const struct mr_row *row)
{
	struct giving *g = arg;
	struct imap_row r = {.seq = imap_box_seq(g->rows->k->box, row->uid)};

	if (r.seq == 0)
		return 0;
	r.row = *row;
	g->each(g->arg, &r);
	return 0;
}

int
imap_rows_each(struct imap_rows *r,
	void (*each)(void *arg, const struct imap_row *row), void *arg,
	struct mr_error *me)
{
	const struct house *h = r->k->house;
	struct giving g = {r, each, arg};
	struct row_query q = {.mailbox = r->k->box->id, .range = r->range,
		.n = r->n_range, .since = r->since, .want = r->want,
		.with = r->with, .without = r->without,
		.each = give_row, .arg = &g};

	if (r->n_range == 0)
		return MR_STORE_OK;
	r->n_range = 0;
	return row_cache_scan(h->rows, &h->store, &q, me);
}

void
imap_rows_end(struct imap_rows *r)
{
	free(r->at);
	free(r->ranges);
	buf_free(&r->bytes);
}
