/*
 * append.c - several messages and the removal of one, all or none: what
 * MULTIAPPEND and REPLACE of IMAP ask for.
 *
 * The removal goes first, so that its bytes make room under a quota. Large
 * bodies are written by the caller's thread one after another and share their
 * flush; the writing thread does the rest in one change.
 */
#include "engine.h"

#include <stdlib.h>

#include "rows.h"

struct append {
	const struct mr_append *what;
	struct sq_spooled *body;
};

static int
remove_replaced(struct sq_tx *tx, const struct mr_append *a,
	struct mr_error *err)
{
	const struct mr_range one = {a->uid, a->uid};
	struct rows r = {NULL, 0, 0};
	int code = sq_mailbox_check(tx->db, a->mailbox, err);

	if (code == MR_STORE_OK)
		code = rows_gather(tx->db, a->mailbox, &one, 1, 0, &r, err);
	if (code == MR_STORE_OK && !r.n)
		code = sq_fail(err, MR_STORE_MISSING,
			"the message to be replaced is not there");
	if (code == MR_STORE_OK)
		code = rows_may_go(tx, a->mailbox, &r, err);
	if (code == MR_STORE_OK)
		code = rows_remove(tx, a->mailbox, &r, ROWS_EXPUNGED, err);
	rows_free(&r);
	return code;
}

static int
run_append(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct append *a = arg;
	int code = a->what->mailbox ? remove_replaced(tx, a->what, err) :
		MR_STORE_OK;
	size_t i;

	for (i = 0; i < a->what->n && code == MR_STORE_OK; i++)
		code = sq_commit_place(tx, a->what->commit[i], &a->body[i],
			err);
	return code;
}

static int
write_bodies(struct sq *s, struct append *a, struct mr_error *err)
{
	struct sq_segment *open = NULL;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < a->what->n && code == MR_STORE_OK; i++)
		code = sq_commit_write_next(s, a->what->commit[i],
			&a->body[i], &open, err);
	return code == MR_STORE_OK && open ? sq_segment_flush(open, err) :
		code;
}

/* True: a body that was to be shared went meanwhile. */
static bool
free_bodies(struct append *a, int code)
{
	bool again = false;
	size_t i;

	for (i = 0; i < a->what->n; i++) {
		again |= a->body[i].is_stale;
		sq_spooled_free(&a->body[i], code);
	}
	return again;
}

int
sq_append(void *self, const struct mr_append *what, struct mr_error *err)
{
	struct append a = {.what = what};
	int code = MR_STORE_OK;
	bool again = true, is_written;
	size_t i;

	for (i = 0; i < what->n && code == MR_STORE_OK; i++)
		code = sq_commit_check(what->commit[i], err);
	if (code != MR_STORE_OK)
		return code;
	a.body = sq_alloc((what->n + 1) * sizeof *a.body);
	while (again) {
		code = write_bodies(self, &a, err);
		is_written = code == MR_STORE_OK;
		if (is_written)
			code = sq_write(self, run_append, &a, err);
		again = free_bodies(&a, is_written ? code : MR_STORE_STOPPED);
	}
	free(a.body);
	return code;
}
