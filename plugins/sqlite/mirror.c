/*
 * mirror.c - a mailbox that shows what stands in the queue: held entries, or
 * those that wait.
 *
 * A message of the queue is in the mailbox once, however many recipients it
 * has; it shares the bytes of the queue's. Looking costs a read; only a
 * difference is written, by the writing thread.
 */
#include "rows.h"

#include <stdlib.h>

/* ?1 held or not, ?2 created until, ?3 how many, oldest first; ?4 mailbox. */
#define WANTED "(SELECT message, length, min(created_ms) AS at FROM queue" \
	" WHERE (state = 3) = ?1 AND created_ms <= ?2 GROUP BY message" \
	" ORDER BY min(id) LIMIT ?3)"
#define SHOWN "SELECT message FROM entry WHERE mailbox = ?4"

static void
bind(sqlite3_stmt *st, const struct mr_mirror *m)
{
	sq_bind(st, "iiii", (int64_t)!!m->held, m->until_ms,
		(int64_t)m->most, m->mailbox);
}

static int
find_difference(struct sq *s, const struct mr_mirror *m, bool *differs,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(s, err);
	sqlite3_stmt *st;
	int step, code = MR_STORE_OK;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT EXISTS (SELECT message FROM " WANTED
		" EXCEPT " SHOWN ") OR EXISTS (" SHOWN
		" EXCEPT SELECT message FROM " WANTED ")");
	bind(st, m);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		*differs = sqlite3_column_int64(st, 0);
	else
		code = sq_fail_db(err, db, "comparing a mailbox with the queue");
	sqlite3_reset(st);
	sq_read_end(s, db);
	return code;
}

/* --------------------------------------------------- what is there no more */

static int
remove_gone(struct sq_tx *tx, const struct mr_mirror *m, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT uid FROM entry"
		" WHERE mailbox = ?4 AND message NOT IN (SELECT message FROM "
		WANTED ") ORDER BY uid LIMIT ?3");
	struct mr_range *range = calloc(m->most, sizeof *range);
	struct rows r = {NULL, 0, 0};
	int step = SQLITE_ERROR, code = MR_STORE_OK;
	size_t n = 0;

	if (!range)
		abort();
	bind(st, m);
	while (n < m->most && (step = sqlite3_step(st)) == SQLITE_ROW) {
		range[n].first = (uint32_t)sqlite3_column_int64(st, 0);
		range[n].last = range[n].first;
		n++;
	}
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		code = sq_fail_db(err, tx->db, "reading messages");
	sqlite3_reset(st);
	if (code == MR_STORE_OK && n)	/* no range would mean all */
		code = rows_gather(tx->db, m->mailbox, range, n, 0, &r, err);
	if (code == MR_STORE_OK)
		code = rows_remove(tx, m->mailbox, &r, ROWS_DROPPED, err);
	rows_free(&r);
	free(range);
	return code;
}

/* ------------------------------------------------------------ what is new */

static int
read_new(struct sq_tx *tx, const struct mr_mirror *m, struct rows *out,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT message, length, at FROM "
		WANTED " WHERE message NOT IN (" SHOWN ")");
	int step = SQLITE_ERROR, code = MR_STORE_OK;

	out->item = calloc(m->most, sizeof *out->item);
	if (!out->item)
		abort();
	bind(st, m);
	while (out->n < m->most && (step = sqlite3_step(st)) == SQLITE_ROW)
		out->item[out->n++] = (struct entry){
			.message = sqlite3_column_int64(st, 0),
			.length = sqlite3_column_int64(st, 1),
			.received_ms = sqlite3_column_int64(st, 2)};
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		code = sq_fail_db(err, tx->db, "reading the queue");
	sqlite3_reset(st);
	return code;
}

static int
add_new(struct sq_tx *tx, const struct mr_mirror *m, const struct rows *r,
	struct mr_error *err)
{
	int64_t modseq = 0, uidnext = 0, bytes = 0;
	int code = rows_next_modseq(tx->db, m->mailbox, &modseq, err);
	size_t i;

	if (code == MR_STORE_OK)
		code = sq_number(tx->db, err, &uidnext, "SELECT uidnext"
			" FROM mailbox WHERE id = ?", "i", m->mailbox);
	for (i = 0; i < r->n && code == MR_STORE_OK; i++) {
		const struct entry *e = &r->item[i];

		code = sq_message_hold(tx, e->message, 1, err);
		if (code == MR_STORE_OK)
			code = sq_run(tx->db, err, "INSERT INTO entry"
				" (mailbox, uid, flags, modseq, message,"
				" length, received_ms, saved_ms)"
				" VALUES (?, ?, 0, ?, ?, ?, ?, ?)", "iiiiiii",
				m->mailbox, uidnext + (int64_t)i, modseq,
				e->message, e->length, e->received_ms,
				tx->now_ms);
		bytes += e->length;
	}
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE mailbox SET modseq = ?1,"
			" uidnext = uidnext + ?2, messages = messages + ?2,"
			" unseen = unseen + ?2, bytes = bytes + ?3"
			" WHERE id = ?4", "iiii", modseq, (int64_t)r->n,
			bytes, m->mailbox);
	sq_changed(tx, MR_CHANGE_MAILBOX, m->mailbox, (uint64_t)modseq);
	return code;
}

static int
run_mirror(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct mr_mirror *m = arg;
	struct rows r = {NULL, 0, 0};
	int code = sq_mailbox_check(tx->db, m->mailbox, err);

	if (code == MR_STORE_OK)
		code = remove_gone(tx, m, err);
	if (code == MR_STORE_OK)
		code = read_new(tx, m, &r, err);
	if (code == MR_STORE_OK && r.n)
		code = add_new(tx, m, &r, err);
	rows_free(&r);
	return code;
}

int
sq_queue_mirror(void *self, const struct mr_mirror *what,
	struct mr_error *err)
{
	struct mr_mirror m = *what;
	bool differs = false;
	int code = m.most ? find_difference(self, &m, &differs, err) :
		MR_STORE_INVALID;

	return code == MR_STORE_OK && differs ? sq_write(self, run_mirror, &m,
		err) : code;
}
