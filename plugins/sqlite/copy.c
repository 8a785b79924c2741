/*
 * copy.c - COPY and MOVE between mailboxes. The writing thread changes; pairs
 * are told afterwards on the caller's.
 */
#include "rows.h"

#include <stdlib.h>

struct copy {
	int64_t from, to;
	const struct mr_range *range;
	size_t n;
	bool move;
	/* out */
	struct rows rows;
	uint32_t first_uid, uidvalidity;
};

struct target {
	int64_t account, uidnext, modseq, uidvalidity;
	bool is_bounded;
};

static int
find_target(struct sq_db *db, int64_t mailbox, struct target *t,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT m.account, m.uidnext, m.modseq"
		" + 1, m.uidvalidity," SQ_IS_BOUNDED "FROM mailbox m"
		" JOIN account a ON a.id = m.account WHERE m.id = ?");
	int step;

	sq_bind(st, "i", mailbox);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		*t = (struct target){sqlite3_column_int64(st, 0),
			sqlite3_column_int64(st, 1),
			sqlite3_column_int64(st, 2),
			sqlite3_column_int64(st, 3),
			sqlite3_column_int(st, 4)};
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		step = sq_fail_db(err, db, "reading a mailbox");
	else
		step = step == SQLITE_ROW ? MR_STORE_OK : sq_fail(err,
			MR_STORE_MISSING, "there is no such mailbox");
	sqlite3_reset(st);
	return step;
}

static int
check_quota(struct sq_db *db, const struct target *t, const struct rows *r,
	struct mr_error *err)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < r->n && t->is_bounded; i++)
		bytes += (uint64_t)r->item[i].length;
	return t->is_bounded ? sq_quota_check(db, t->account, bytes, r->n,
		err) : MR_STORE_OK;
}

/* A move within an account needs no room. */
static bool
needs_room(struct sq_db *db, const struct copy *c, const struct target *t)
{
	int64_t account;

	return !c->move || sq_number(db, NULL, &account, "SELECT account"
		" FROM mailbox WHERE id = ?", "i", c->from) != MR_STORE_OK ||
		account != t->account;
}

static int
insert_rows(struct sq_tx *tx, struct copy *c, const struct target *t,
	struct mr_error *err)
{
	int64_t unseen = 0, bytes = 0;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < c->rows.n && code == MR_STORE_OK; i++) {
		const struct entry *e = &c->rows.item[i];

		code = sq_run(tx->db, err, "INSERT INTO entry VALUES"
			" (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iiiiiiisiii",
			c->to,
			t->uidnext + (int64_t)i, (int64_t)e->flags, t->modseq,
			e->message, e->length, e->received_ms, e->keywords,
			tx->now_ms, e->sent.ms, (int64_t)e->sent.zone);
		if (code == MR_STORE_OK && !c->move)
			code = sq_message_hold(tx, e->message, 1, err);
		unseen += !(e->flags & MR_FLAG_SEEN);
		bytes += e->length;
	}
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE mailbox SET modseq = ?,"
			" uidnext = uidnext + ?2, messages = messages + ?2,"
			" unseen = unseen + ?3, bytes = bytes + ?4"
			" WHERE id = ?5", "iiiii", t->modseq,
			(int64_t)c->rows.n, unseen, bytes, c->to);
	sq_changed(tx, MR_CHANGE_MAILBOX, c->to, (uint64_t)t->modseq);
	return code;
}

static int
run_copy(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct copy *c = arg;
	struct target t = {0};
	int code = find_target(tx->db, c->to, &t, err);

	if (code == MR_STORE_OK)
		code = sq_mailbox_check(tx->db, c->from, err);
	if (code == MR_STORE_OK)
		code = rows_gather(tx->db, c->from, c->range, c->n, 0,
			&c->rows, err);
	if (code == MR_STORE_OK && c->move)
		code = rows_may_go(tx, c->from, &c->rows, err);
	if (code != MR_STORE_OK)
		return code;
	c->uidvalidity = (uint32_t)t.uidvalidity;
	c->first_uid = (uint32_t)t.uidnext;
	if (!c->rows.n)
		return MR_STORE_OK;
	if (needs_room(tx->db, c, &t))
		code = check_quota(tx->db, &t, &c->rows, err);
	if (code == MR_STORE_OK)
		code = insert_rows(tx, c, &t, err);
	if (code == MR_STORE_OK && c->move)
		code = rows_remove(tx, c->from, &c->rows, ROWS_MOVED,
			err);
	return code;
}

int
sq_copy(void *self, int64_t from, const struct mr_range *range, size_t n,
	int64_t to, int move, uint32_t *uidvalidity,
	int (*pair)(void *arg, struct mr_uid_pair p), void *arg,
	struct mr_error *err)
{
	struct copy c = {.from = from, .to = to, .range = range, .n = n,
		.move = move};
	int code = sq_write(self, run_copy, &c, err);
	size_t i;

	if (uidvalidity)
		*uidvalidity = c.uidvalidity;
	for (i = 0; pair && code == MR_STORE_OK && i < c.rows.n; i++)
		if (pair(arg, (struct mr_uid_pair){c.rows.item[i].uid,
			c.first_uid + (uint32_t)i}))
			break;
	rows_free(&c.rows);
	return code;
}

int
sq_move_all(struct sq_tx *tx, int64_t from, int64_t to, struct mr_error *err)
{
	struct copy c = {.from = from, .to = to, .move = true};
	int code = run_copy(tx, &c, err);

	rows_free(&c.rows);
	return code;
}
