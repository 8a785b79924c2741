/*
 * undelete.c - what was expunged stays for `undelete`, and comes back with its
 * flags and dates.
 *
 * Taking entries out of a mailbox copies their rows into the table `removed`,
 * a run of UIDs by one statement; the message stays where it is, marked as
 * dead from the time when it may go, so collect.c need not know of this. It
 * does not count to the account meanwhile. The mailbox may be gone by then and
 * is made again. The writing thread, but for the list.
 */
#include "engine.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 500	/* rows of one transaction */

int
sq_removed_keep(struct sq_tx *tx, int64_t mailbox, uint32_t first,
	uint32_t last, struct mr_error *err)
{
	return sq_run(tx->db, err, "INSERT INTO removed (removed_ms, mailbox,"
		" uid, account, name, flags, message, length, received_ms,"
		" keywords) SELECT ?1, e.mailbox, e.uid, m.account, m.name,"
		" e.flags, e.message, e.length, e.received_ms, e.keywords"
		" FROM entry e JOIN mailbox m ON m.id = e.mailbox"
		" WHERE e.mailbox = ?2 AND e.uid BETWEEN ?3 AND ?4", "iiii",
		tx->now_ms, mailbox, (int64_t)first, (int64_t)last);
}

static int
run_forget(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const int64_t *before_ms = arg;

	return sq_run(tx->db, err, "DELETE FROM removed WHERE (removed_ms,"
		" mailbox, uid) IN (SELECT removed_ms, mailbox, uid"
		" FROM removed WHERE removed_ms < ? LIMIT 1000)", "i",
		*before_ms);
}

void
sq_removed_forget(struct sq *s)
{
	int64_t before_ms = sq_clock_wall() - s->undelete, one;
	struct mr_error err;

	if (sq_number(sq_writer_db(s), NULL, &one, "SELECT 1 FROM removed"
		" WHERE removed_ms < ? LIMIT 1", "i", before_ms) ==
		MR_STORE_OK)
		sq_write_now(s, run_forget, &before_ms, &err);
}

/* The account is gone: so is its mail. */
int
sq_removed_drop(struct sq_tx *tx, int64_t account, struct mr_error *err)
{
	int code = sq_run(tx->db, err, "UPDATE message SET dead_ms = ?1"
		" WHERE dead_ms > ?1 AND id IN (SELECT message FROM removed"
		" WHERE account = ?2)", "ii", tx->now_ms, account);

	return code != MR_STORE_OK ? code : sq_run(tx->db, err,
		"DELETE FROM removed WHERE account = ?", "i", account);
}

/* ------------------------------------------------------------ choosing */

#define CHOSEN " FROM removed r WHERE r.account = ?1 AND r.removed_ms >= ?2" \
	" AND (?3 IS NULL OR r.name = ?3) AND EXISTS (SELECT 1 FROM message x" \
	" WHERE x.id = r.message) ORDER BY r.name, r.mailbox, r.uid"

static void
bind_chosen(sqlite3_stmt *st, const struct mr_undelete *u, int64_t account)
{
	sq_bind(st, "iis", account, u->since_ms, u->mailbox);
}

static int
list(struct sq_db *db, const struct mr_undelete *u, int64_t account,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT r.name, r.uid, r.removed_ms,"
		" r.received_ms, r.length, r.flags" CHOSEN);
	int step = SQLITE_ERROR, code = MR_STORE_OK;

	bind_chosen(st, u, account);
	while (code == MR_STORE_OK && st &&
	    (step = sqlite3_step(st)) == SQLITE_ROW) {
		const struct mr_removed r = {.size = sizeof r,
			.mailbox = sq_text(st, 0),
			.uid = (uint32_t)sqlite3_column_int64(st, 1),
			.removed_ms = sqlite3_column_int64(st, 2),
			.received_ms = sqlite3_column_int64(st, 3),
			.length = (uint64_t)sqlite3_column_int64(st, 4),
			.flags = (uint32_t)sqlite3_column_int64(st, 5)};

		if (u->each(u->arg, &r))
			code = MR_STORE_STOPPED;
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading what was removed");
	sqlite3_reset(st);
	return code;
}

/* ------------------------------------------------------------ restoring */

struct removed {
	int64_t removed_ms, mailbox, uid, flags, message, length, received_ms;
	char *name, *keywords;
};

struct restoring {
	struct mr_undelete *u;
	struct removed item[BATCH];
	size_t n;
};

static char *
copy_text(sqlite3_stmt *st, int column)
{
	return sqlite3_column_type(st, column) == SQLITE_NULL ? NULL :
		sq_printf("%s", sq_text(st, column));
}

static int
choose(struct sq_tx *tx, struct restoring *r, int64_t account,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT r.removed_ms, r.mailbox,"
		" r.uid, r.flags, r.message, r.length, r.received_ms, r.name,"
		" r.keywords" CHOSEN " LIMIT 500");
	int step;

	bind_chosen(st, r->u, account);
	while ((step = st ? sqlite3_step(st) : SQLITE_ERROR) == SQLITE_ROW)
		r->item[r->n++] = (struct removed){
			sqlite3_column_int64(st, 0),
			sqlite3_column_int64(st, 1),
			sqlite3_column_int64(st, 2),
			sqlite3_column_int64(st, 3),
			sqlite3_column_int64(st, 4),
			sqlite3_column_int64(st, 5),
			sqlite3_column_int64(st, 6),
			copy_text(st, 7), copy_text(st, 8)};
	if (step != SQLITE_DONE)
		step = sq_fail_db(err, tx->db, "reading what was removed");
	else
		step = MR_STORE_OK;
	sqlite3_reset(st);
	return step;
}

/* Where it was, whatever that is called by now, or a mailbox of the name that
 * it had. */
static int
find_mailbox(struct sq_tx *tx, const struct removed *r, int64_t account,
	int64_t *id, struct mr_error *err)
{
	int code = sq_number(tx->db, err, id, "SELECT id FROM mailbox"
		" WHERE id = ?", "i", r->mailbox);

	if (code == MR_STORE_MISSING)
		code = sq_mailbox_id(tx->db, account, r->name, id, err);
	if (code == MR_STORE_MISSING)
		code = sq_mailbox_make(tx, account, r->name, 0, id, err);
	return code;
}

static int
insert(struct sq_tx *tx, const struct removed *r, int64_t mailbox,
	struct mr_error *err)
{
	int64_t uid = 0, modseq = 0;
	int code = sq_message_hold(tx, r->message, 1, err);

	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE mailbox SET"
			" uidnext = uidnext + 1, modseq = modseq + 1,"
			" messages = messages + 1, unseen = unseen + ?2,"
			" bytes = bytes + ?3 WHERE id = ?1", "iii", mailbox,
			(int64_t)!(r->flags & MR_FLAG_SEEN), r->length);
	if (code == MR_STORE_OK)
		code = sq_number(tx->db, err, &uid, "SELECT uidnext - 1"
			" FROM mailbox WHERE id = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_number(tx->db, err, &modseq, "SELECT modseq"
			" FROM mailbox WHERE id = ?", "i", mailbox);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO entry (mailbox, uid,"
			" flags, modseq, message, length, received_ms,"
			" keywords, saved_ms)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiiiiiisi",
			mailbox, uid, r->flags & ~(int64_t)MR_FLAG_DELETED,
			modseq, r->message, r->length, r->received_ms,
			r->keywords, tx->now_ms);
	sq_changed(tx, MR_CHANGE_MAILBOX, mailbox, (uint64_t)modseq);
	return code;
}

static int
restore_one(struct sq_tx *tx, const struct removed *r, int64_t account,
	struct mr_error *err)
{
	int64_t mailbox = 0;
	int code = find_mailbox(tx, r, account, &mailbox, err);

	if (code == MR_STORE_OK)
		code = insert(tx, r, mailbox, err);
	return code != MR_STORE_OK ? code : sq_run(tx->db, err,
		"DELETE FROM removed WHERE removed_ms = ? AND mailbox = ?"
		" AND uid = ?", "iii", r->removed_ms, r->mailbox, r->uid);
}

static int
run_restore(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct restoring *r = arg;
	int64_t account;
	int code = sq_account_id(tx->db, r->u->account, &account, err);
	size_t i;

	r->n = 0;
	if (code == MR_STORE_OK)
		code = choose(tx, r, account, err);
	for (i = 0; i < r->n; i++) {
		if (code == MR_STORE_OK)
			code = restore_one(tx, &r->item[i], account, err);
		free(r->item[i].name);
		free(r->item[i].keywords);
	}
	return code;
}

static int
restore(struct sq *s, struct mr_undelete *u, struct mr_error *err)
{
	struct restoring *r = sq_alloc(sizeof *r);
	int code;

	r->u = u;
	do {
		code = sq_write(s, run_restore, r, err);
		if (code == MR_STORE_OK)
			u->restored += (uint32_t)r->n;
	} while (code == MR_STORE_OK && r->n == BATCH);
	free(r);
	return code;
}

int
sq_undelete(void *self, struct mr_undelete *u, struct mr_error *err)
{
	struct sq_db *db;
	int64_t account;
	int code;

	u->restored = 0;
	if (!u->each)
		return restore(self, u, err);
	db = sq_read(self, err);
	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, u->account, &account, err);
	if (code == MR_STORE_OK)
		code = list(db, u, account, err);
	sq_read_end(self, db);
	return code;
}
