/*
 * rows.c - gathering entries and taking them out of a mailbox. The writing
 * thread, inside a change; rows_ranges is anybody's.
 */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

static void *
grown(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (!p)
		abort();	/* a few MB: the machine is at its end */
	return p;
}

static void
take(struct rows *r, sqlite3_stmt *st)
{
	const char *keywords = sq_text(st, 6);
	struct entry *e;

	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 64;
		r->item = grown(r->item, r->room * sizeof *r->item);
	}
	e = &r->item[r->n++];
	*e = (struct entry){
		.uid = (uint32_t)sqlite3_column_int64(st, 0),
		.flags = (uint32_t)sqlite3_column_int64(st, 1),
		.modseq = (uint64_t)sqlite3_column_int64(st, 2),
		.message = sqlite3_column_int64(st, 3),
		.length = sqlite3_column_int64(st, 4),
		.received_ms = sqlite3_column_int64(st, 5),
		.sent = {sqlite3_column_int64(st, 7),
			sqlite3_column_int(st, 8)},
		.saved_ms = sqlite3_column_int64(st, 9),
	};
	if (*keywords)
		e->keywords = strcpy(grown(NULL, strlen(keywords) + 1),
			keywords);
}

static int
by_first(const void *a, const void *b)
{
	const struct mr_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

size_t
rows_ranges(const struct mr_range *range, size_t n, struct mr_range **out)
{
	static const struct mr_range all = {1, UINT32_MAX};
	struct mr_range *r = grown(NULL, (n ? n : 1) * sizeof *r);
	size_t i, used = 0;

	memcpy(r, n ? range : &all, (n ? n : 1) * sizeof *r);
	qsort(r, n, sizeof *r, by_first);
	for (i = 0; i < (n ? n : 1); i++) {
		if (used && r[i].first <= (uint64_t)r[used - 1].last + 1) {
			if (r[i].last > r[used - 1].last)
				r[used - 1].last = r[i].last;
		} else if (r[i].first <= r[i].last) {
			r[used++] = r[i];
		}
	}
	*out = r;
	return used;
}

int
rows_gather(struct sq_db *db, int64_t mailbox, const struct mr_range *range,
	size_t n, uint32_t mask, struct rows *out, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT uid, flags, modseq, message,"
		" length, received_ms, keywords, sent_ms, sent_zone,"
		" saved_ms FROM entry WHERE mailbox = ?"
		" AND uid BETWEEN ? AND ? AND flags & ?4 = ?4 ORDER BY uid");
	int step = SQLITE_DONE;
	struct mr_range *ordered;
	size_t i;

	*out = (struct rows){NULL, 0, 0};
	n = rows_ranges(range, n, &ordered);
	for (i = 0; i < n && step == SQLITE_DONE; i++) {
		sq_bind(st, "iiii", mailbox, (int64_t)ordered[i].first,
			(int64_t)ordered[i].last, (int64_t)mask);
		while ((step = sqlite3_step(st)) == SQLITE_ROW)
			take(out, st);
		if (step == SQLITE_DONE)
			sqlite3_reset(st);
	}
	free(ordered);
	if (step == SQLITE_DONE)
		return MR_STORE_OK;
	step = sq_fail_db(err, db, "reading messages");
	sqlite3_reset(st);
	return step;
}

void
rows_free(struct rows *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		free(r->item[i].keywords);
	free(r->item);
	*r = (struct rows){NULL, 0, 0};
}

int
rows_next_modseq(struct sq_db *db, int64_t mailbox, int64_t *modseq,
	struct mr_error *err)
{
	int code = sq_number(db, err, modseq, "SELECT modseq + 1 FROM mailbox"
		" WHERE id = ?", "i", mailbox);

	return code == MR_STORE_MISSING ?
		sq_fail(err, code, "there is no such mailbox") : code;
}

/* --------------------------------------------------------------- removal */

static int
note_vanished(struct sq_tx *tx, int64_t mailbox, int64_t modseq, uint32_t first,
	uint32_t last, struct mr_error *err)
{
	return sq_run(tx->db, err, "INSERT INTO vanished (mailbox, modseq,"
		" first, last, at_ms) VALUES (?, ?, ?, ?, ?)", "iiiii",
		mailbox, modseq, (int64_t)first, (int64_t)last, tx->now_ms);
}

static int
drop_messages(struct sq_tx *tx, const struct entry *e, size_t n,
	enum rows_fate fate, struct mr_error *err)
{
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < n && code == MR_STORE_OK; i++)
		code = fate == ROWS_EXPUNGED ?
			sq_message_expunge(tx, e[i].message, err) :
			sq_message_drop(tx, e[i].message, 1, err);
	return code;
}

/* Entries whose UIDs follow each other. */
static int
remove_run(struct sq_tx *tx, int64_t mailbox, const struct entry *e, size_t n,
	enum rows_fate fate, struct mr_error *err)
{
	uint32_t first = e[0].uid, last = e[n - 1].uid;
	int code = sq_run(tx->db, err, "DELETE FROM entry WHERE mailbox = ?"
		" AND uid BETWEEN ? AND ?", "iii", mailbox, (int64_t)first,
		(int64_t)last);

	return code == MR_STORE_OK && fate != ROWS_MOVED ?
		drop_messages(tx, e, n, fate, err) : code;
}

static int
remove_entries(struct sq_tx *tx, int64_t mailbox, int64_t modseq,
	const struct rows *r, enum rows_fate fate, struct mr_error *err)
{
	size_t i, start = 0;
	int code = MR_STORE_OK;

	for (i = 0; i < r->n && code == MR_STORE_OK; i++) {
		if (i + 1 < r->n && r->item[i + 1].uid == r->item[i].uid + 1)
			continue;
		code = remove_run(tx, mailbox, &r->item[start], i + 1 - start,
			fate, err);
		if (code == MR_STORE_OK)
			code = note_vanished(tx, mailbox, modseq,
				r->item[start].uid, r->item[i].uid, err);
		start = i + 1;
	}
	return code;
}

int
rows_remove(struct sq_tx *tx, int64_t mailbox, const struct rows *r,
	enum rows_fate fate, struct mr_error *err)
{
	int64_t modseq = 0, unseen = 0, bytes = 0;
	size_t i;
	int code;

	if (!r->n)
		return MR_STORE_OK;
	code = rows_next_modseq(tx->db, mailbox, &modseq, err);
	if (code == MR_STORE_OK && fate == ROWS_EXPUNGED &&
		tx->sq->undelete > 0)
		code = sq_removed_keep(tx, mailbox, r, err);
	if (code == MR_STORE_OK)
		code = remove_entries(tx, mailbox, modseq, r, fate, err);
	for (i = 0; i < r->n; i++) {
		unseen += !(r->item[i].flags & MR_FLAG_SEEN);
		bytes += r->item[i].length;
	}
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE mailbox SET modseq = ?,"
			" messages = messages - ?, unseen = unseen - ?,"
			" bytes = bytes - ? WHERE id = ?", "iiiii", modseq,
			(int64_t)r->n, unseen, bytes, mailbox);
	sq_changed(tx, MR_CHANGE_MAILBOX, mailbox, (uint64_t)modseq);
	return code;
}

int
sq_mailbox_remove(struct sq_tx *tx, int64_t mailbox, struct mr_error *err)
{
	struct rows r;
	int code = rows_gather(tx->db, mailbox, NULL, 0, 0, &r, err);

	if (code == MR_STORE_OK)
		code = rows_remove(tx, mailbox, &r, ROWS_EXPUNGED, err);
	rows_free(&r);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM vanished"
			" WHERE mailbox = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM metadata"
			" WHERE mailbox = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM imported"
			" WHERE mailbox = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM metadata_change"
			" WHERE mailbox = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM acl WHERE mailbox = ?",
			"i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM mailbox WHERE id = ?",
			"i", mailbox);
	sq_changed(tx, MR_CHANGE_MAILBOX, mailbox, 0);
	return code;
}
