/*
 * entries.c - the messages of a mailbox, read: UIDs, rows, what vanished.
 * Callers' threads, each on one snapshot.
 */
#include "rows.h"

#include <stdbool.h>
#include <stdlib.h>

/* Gives maximal runs of ascending UIDs on. */
struct runs {
	int (*each)(void *arg, struct mr_range run);
	void *arg;
	struct mr_range run;	/* first 0: none yet */
};

/* Overlapping and adjacent ranges, in order of their first, become one. */
static int
runs_add(struct runs *r, uint32_t first, uint32_t last)
{
	int stop = 0;

	if (r->run.first && first <= r->run.last + 1) {
		if (last > r->run.last)
			r->run.last = last;
		return 0;
	}
	if (r->run.first)
		stop = r->each(r->arg, r->run);
	r->run = (struct mr_range){first, last};
	return stop;
}

static int
runs_end(struct runs *r)
{
	return r->run.first ? r->each(r->arg, r->run) : 0;
}

/* Two columns of each row are a range; code of the walk. A statement that
 * could not be made fails when it is stepped. */
static int
walk_runs(struct sq_db *db, sqlite3_stmt *st, struct runs *r,
	struct mr_error *err)
{
	int step, stop = 0;

	while (!stop && (step = sqlite3_step(st)) == SQLITE_ROW)
		stop = runs_add(r, (uint32_t)sqlite3_column_int64(st, 0),
			(uint32_t)sqlite3_column_int64(st, 1));
	if (!stop && step != SQLITE_DONE) {
		stop = sq_fail_db(err, db, "reading UIDs");
		sqlite3_reset(st);
		return stop;
	}
	sqlite3_reset(st);
	if (!stop)
		stop = runs_end(r);
	return stop ? MR_STORE_STOPPED : MR_STORE_OK;
}

int
sq_uids(void *self, int64_t mailbox,
	int (*each)(void *arg, struct mr_range run), void *arg,
	struct mr_error *err)
{
	struct runs r = {.each = each, .arg = arg};
	struct sq_db *db = sq_read(self, err);
	sqlite3_stmt *st;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT uid, uid FROM entry WHERE mailbox = ?"
		" ORDER BY uid");
	sq_bind(st, "i", mailbox);
	code = sq_mailbox_check(db, mailbox, err);
	if (code == MR_STORE_OK)
		code = walk_runs(db, st, &r, err);
	sq_read_end(self, db);
	return code;
}

/* From before what is remembered: all that is not there. */
#define GAPS "SELECT first, last FROM (" \
	"SELECT coalesce(lag(uid) OVER (ORDER BY uid), 0) + 1 AS first," \
	" uid - 1 AS last FROM (SELECT uid FROM entry WHERE mailbox = ?1" \
	" UNION ALL SELECT uidnext FROM mailbox WHERE id = ?1))" \
	" WHERE first <= last ORDER BY first"

static int
walk_vanished(struct sq_db *db, int64_t mailbox, int64_t since,
	struct runs *r, struct mr_error *err)
{
	sqlite3_stmt *st;
	int64_t forgotten;
	int code = sq_number(db, err, &forgotten,
		"SELECT forgotten FROM mailbox WHERE id = ?", "i", mailbox);

	if (code != MR_STORE_OK)
		return code;
	if (since < forgotten) {
		st = sq_sql(db, GAPS);
		sq_bind(st, "i", mailbox);
	} else {
		st = sq_sql(db, "SELECT first, last FROM vanished"
			" WHERE mailbox = ? AND modseq > ? ORDER BY first");
		sq_bind(st, "ii", mailbox, since);
	}
	return walk_runs(db, st, r, err);
}

int
sq_vanished(void *self, int64_t mailbox, uint64_t since,
	int (*each)(void *arg, struct mr_range run), void *arg,
	struct mr_error *err)
{
	struct runs r = {.each = each, .arg = arg};
	struct sq_db *db = sq_read(self, err);
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_mailbox_check(db, mailbox, err);
	if (code == MR_STORE_OK)
		code = walk_vanished(db, mailbox, (int64_t)since, &r, err);
	sq_read_end(self, db);
	return code;
}

/* ------------------------------------------------------------------ scan */

struct scan {
	uint32_t want;
	bool few;		/* changed */
	int (*each)(void *arg, const struct mr_row *row);
	void *arg;
};

/* The plus keeps the index of modseqs out of it: all is read, in order. */
#define SCAN_ALL " WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ?" \
	" AND +e.modseq > ? ORDER BY e.uid"
#define SCAN_CHANGED " WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ?" \
	" AND e.modseq > ? ORDER BY e.uid"
#define FROM_ENTRY " FROM entry e"
#define FROM_CHANGED " FROM entry e INDEXED BY entry_modseq"
#define WITH_CACHE " LEFT JOIN cache c ON c.message = e.message"
#define FEW 2000		/* changes that are faster looked up one by one */
#define SCAN_ROW "SELECT e.uid, e.flags, e.modseq, e.keywords," \
	" e.received_ms, e.message, e.length, e.saved_ms," \
	" e.sent_ms, e.sent_zone"

static void
take_row(sqlite3_stmt *st, uint32_t want, struct mr_row *row)
{
	*row = (struct mr_row){
		.uid = (uint32_t)sqlite3_column_int64(st, 0),
		.flags = (uint32_t)sqlite3_column_int64(st, 1),
		.modseq = (uint64_t)sqlite3_column_int64(st, 2),
	};
	if (want & MR_ROW_KEYWORDS) {
		row->keywords.at = sq_text(st, 3);
		row->keywords.len = (size_t)sqlite3_column_bytes(st, 3);
	}
	if (want & MR_ROW_MESSAGE) {
		row->received_ms = sqlite3_column_int64(st, 4);
		row->message_id = sqlite3_column_int64(st, 5);
		row->length = (uint64_t)sqlite3_column_int64(st, 6);
	}
	if (want & MR_ROW_SAVED)
		row->saved_ms = sqlite3_column_int64(st, 7);
	if (want & MR_ROW_SENT)
		row->sent = (struct mr_sent){sqlite3_column_int64(st, 8),
			sqlite3_column_int(st, 9)};
	if (want & MR_ROW_CACHE) {
		row->cache.at = sqlite3_column_blob(st, 10);
		row->cache.len = (size_t)sqlite3_column_bytes(st, 10);
	}
}

static sqlite3_stmt *
scan_statement(struct sq_db *db, const struct scan *s)
{
	if (s->want & MR_ROW_CACHE)
		return s->few ? sq_sql(db, SCAN_ROW ", c.bytes" FROM_CHANGED
			WITH_CACHE SCAN_CHANGED) : sq_sql(db, SCAN_ROW
			", c.bytes" FROM_ENTRY WITH_CACHE SCAN_ALL);
	return s->few ? sq_sql(db, SCAN_ROW FROM_CHANGED SCAN_CHANGED) :
		sq_sql(db, SCAN_ROW FROM_ENTRY SCAN_ALL);
}

static int
count_changed(struct sq_db *db, int64_t mailbox, uint64_t since, bool *few,
	struct mr_error *err)
{
	int64_t n;
	int code;

	*few = false;
	if (since == 0)
		return MR_STORE_OK;
	code = sq_number(db, err, &n, "SELECT count(*) FROM (SELECT 1 FROM"
		" entry WHERE mailbox = ? AND modseq > ? LIMIT ?)", "iii",
		mailbox, (int64_t)since, (int64_t)FEW);
	*few = code == MR_STORE_OK && n < FEW;
	return code;
}

static int
scan_range(struct sq_db *db, const struct scan *s, int64_t mailbox,
	struct mr_range range, uint64_t since, struct mr_error *err)
{
	sqlite3_stmt *st = scan_statement(db, s);
	struct mr_row row;
	int step, code = MR_STORE_OK;

	if (!st)
		return sq_fail_db(err, db, "reading messages");
	sq_bind(st, "iiii", mailbox, (int64_t)range.first,
		(int64_t)range.last, (int64_t)since);
	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		take_row(st, s->want, &row);
		if (s->each(s->arg, &row)) {
			code = MR_STORE_STOPPED;
			break;
		}
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading messages");
	sqlite3_reset(st);
	return code;
}

int
sq_scan(void *self, int64_t mailbox, const struct mr_range *range, size_t n,
	uint64_t since, uint32_t want,
	int (*each)(void *arg, const struct mr_row *row), void *arg,
	struct mr_error *err)
{
	struct scan s = {.want = want, .each = each, .arg = arg};
	struct sq_db *db = sq_read(self, err);
	struct mr_range *ordered;
	size_t i;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_mailbox_check(db, mailbox, err);
	if (code == MR_STORE_OK)
		code = count_changed(db, mailbox, since, &s.few, err);
	n = rows_ranges(range, n, &ordered);
	for (i = 0; i < n && code == MR_STORE_OK; i++)
		code = scan_range(db, &s, mailbox, ordered[i], since, err);
	free(ordered);
	sq_read_end(self, db);
	return code;
}
