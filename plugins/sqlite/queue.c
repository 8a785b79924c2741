/*
 * queue.c - what waits to be delivered elsewhere: fates, and the admin's
 * handling. An attempt counts when it is settled.
 */
#include "engine.h"

#include <stdlib.h>

static const char *
text_or_null(sqlite3_stmt *st, int column)
{
	return (const char *)sqlite3_column_text(st, column);
}

struct mr_queue_item
sq_queue_item(sqlite3_stmt *st)
{
	return (struct mr_queue_item){
		.id = sqlite3_column_int64(st, 0),
		.message_id = sqlite3_column_int64(st, 1),
		.length = (uint64_t)sqlite3_column_int64(st, 2),
		.state = (uint32_t)sqlite3_column_int64(st, 3),
		.attempts = (uint32_t)sqlite3_column_int64(st, 4),
		.created_ms = sqlite3_column_int64(st, 5),
		.next_ms = sqlite3_column_int64(st, 6),
		.expire_ms = sqlite3_column_int64(st, 7),
		.trace = sq_text(st, 8), .sender = sq_text(st, 9),
		.rcpt = sq_text(st, 10), .next_hop = sq_text(st, 11),
		.dsn = text_or_null(st, 12), .reply = text_or_null(st, 13)};
}

/* --------------------------------------------------------------- settle */

struct settle {
	const struct mr_fate *fate;
	size_t n;
	struct mr_commit *report;
	struct sq_spooled body;
};

static const char *const events[] = {
	[MR_FATE_DELIVERED] = "relayed", [MR_FATE_FAILED] = "failed",
	[MR_FATE_RETRY] = "deferred", [MR_FATE_DROPPED] = "dropped",
};

/* What leaves by a commit of the same message goes on from there. */
static int
note_fate(struct sq_tx *tx, const struct settle *s, const struct mr_fate *f,
	struct mr_error *err)
{
	const char *with = s->report ? s->report->trace : NULL;

	return sq_run(tx->db, err, "INSERT INTO ledger (at_ms, trace, event,"
		" sender, rcpt, queue, detail) SELECT ?, trace,"
		" CASE WHEN trace = ? THEN 'routed' ELSE ? END, sender,"
		" rcpt, id, ? FROM queue WHERE id = ?", "isssi", tx->now_ms,
		with, events[f->kind], f->reply, f->id);
}

/* It is due earlier than the lease said. */
static int
put_back(struct sq_tx *tx, const struct mr_fate *f, struct mr_error *err)
{
	sq_changed(tx, MR_CHANGE_QUEUE, 0, 0);
	return sq_run(tx->db, err, "UPDATE queue SET state = 1, owner = NULL,"
		" attempts = attempts + 1, next_ms = ?, reply = ?"
		" WHERE id = ?", "isi", f->next_ms, f->reply, f->id);
}

static int
take_out(struct sq_tx *tx, const struct mr_fate *f, int64_t message,
	struct mr_error *err)
{
	int code = sq_run(tx->db, err, "DELETE FROM queue WHERE id = ?", "i",
		f->id);

	return code == MR_STORE_OK ? sq_message_drop(tx, message, 1, err) :
		code;
}

/* MISSING when somebody else has taken it out meanwhile. */
static int
settle_one(struct sq_tx *tx, const struct settle *s, const struct mr_fate *f,
	struct mr_error *err)
{
	int64_t message;
	int code = sq_number(tx->db, err, &message,
		"SELECT message FROM queue WHERE id = ?", "i", f->id);

	if (code != MR_STORE_OK)
		return code;
	code = note_fate(tx, s, f, err);
	if (code != MR_STORE_OK)
		return code;
	return f->kind == MR_FATE_RETRY ? put_back(tx, f, err) :
		take_out(tx, f, message, err);
}

/* One that the admin dropped during the attempt does not keep the others from
 * being settled. */
static int
run_settle(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct settle *s = arg;
	size_t i, met = 0;
	int code;

	for (i = 0; i < s->n; i++) {
		code = settle_one(tx, s, &s->fate[i], err);
		if (code != MR_STORE_OK && code != MR_STORE_MISSING)
			return code;
		met += code == MR_STORE_OK;
	}
	if (s->n && !met)
		return sq_fail(err, MR_STORE_MISSING, "no such queue entry");
	if (!s->report)
		return MR_STORE_OK;
	return sq_commit_place(tx, s->report, &s->body, err);
}

static int
check_fates(const struct mr_fate *fate, size_t n, struct mr_error *err)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (fate[i].kind < MR_FATE_DELIVERED ||
			fate[i].kind > MR_FATE_DROPPED)
			return sq_fail(err, MR_STORE_INVALID,
				"unknown fate %u", fate[i].kind);
	return MR_STORE_OK;
}

int
sq_queue_settle(void *self, const struct mr_fate *fate, size_t n,
	struct mr_commit *report, struct mr_error *err)
{
	struct settle s = {.fate = fate, .n = n, .report = report};
	int code = check_fates(fate, n, err);
	bool again;

	if (code == MR_STORE_OK && report)
		code = sq_commit_check(report, err);
	again = code == MR_STORE_OK;
	while (again) {
		if (report)
			code = sq_commit_spool(self, report, &s.body, err);
		if (code == MR_STORE_OK)
			code = sq_write(self, run_settle, &s, err);
		again = s.body.is_stale;
		sq_spooled_free(&s.body, code);
	}
	return code;
}

/* ------------------------------------------------------- the admin's view */

int
sq_queue_list(void *self, int64_t id,
	int (*each)(void *arg, const struct mr_queue_item *i), void *arg,
	struct mr_error *err)
{
	struct sq *s = self;
	struct sq_db *db = sq_read(s, err);
	sqlite3_stmt *st;
	int step, code = MR_STORE_OK;
	bool met = false;

	if (!db)
		return MR_STORE_FAILED;
	st = id ? sq_sql(db, "SELECT " SQ_QUEUE_COLUMNS " FROM queue WHERE id = ?") :
		sq_sql(db, "SELECT " SQ_QUEUE_COLUMNS " FROM queue ORDER BY id");
	if (id)
		sq_bind(st, "i", id);
	while (code == MR_STORE_OK &&
		(step = sqlite3_step(st)) != SQLITE_DONE) {
		struct mr_queue_item i;

		if (step != SQLITE_ROW) {
			code = sq_fail_db(err, db, "listing the queue");
			break;
		}
		i = sq_queue_item(st);
		met = true;
		if (each(arg, &i))
			code = MR_STORE_STOPPED;
	}
	sq_read_end(s, db);
	if (code == MR_STORE_OK && id && !met)
		return sq_fail(err, MR_STORE_MISSING, "no such queue entry");
	return code;
}

struct handling {
	int64_t id;
	uint32_t *n;
	int hold;
	const char *prefix;
};

/* State of one entry; a lease that ran out counts as queued. */
static int
state_of(struct sq_tx *tx, int64_t id, int64_t *state, struct mr_error *err)
{
	int code = sq_number(tx->db, err, state, "SELECT CASE WHEN state = 2"
		" AND next_ms <= ? THEN 1 ELSE state END FROM queue"
		" WHERE id = ?", "ii", tx->now_ms, id);

	return code == MR_STORE_MISSING ? sq_fail(err, code,
		"no such queue entry") : code;
}

static int
run_retry(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct handling *h = arg;
	int64_t state;
	int code = h->id ? state_of(tx, h->id, &state, err) : MR_STORE_OK;

	if (code != MR_STORE_OK)
		return code;
	code = sq_run(tx->db, err, "UPDATE queue SET next_ms = min(next_ms, ?1)"
		" WHERE state = 1 AND (?2 = 0 OR id = ?2)", "ii", tx->now_ms,
		h->id);
	*h->n = (uint32_t)sqlite3_changes(tx->db->handle);
	if (code == MR_STORE_OK && *h->n)
		sq_changed(tx, MR_CHANGE_QUEUE, 0, 0);
	return code;
}

int
sq_queue_retry(void *self, int64_t id, uint32_t *n, struct mr_error *err)
{
	uint32_t met = 0;
	struct handling h = {.id = id, .n = n ? n : &met};

	*h.n = 0;
	return sq_write(self, run_retry, &h, err);
}

static int
run_hold(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct handling *h = arg;
	int64_t state;
	int code = state_of(tx, h->id, &state, err);

	if (code != MR_STORE_OK)
		return code;
	if (state == MR_CLAIMED)
		return sq_fail(err, MR_STORE_BUSY, "it is being delivered");
	if ((state == MR_HELD) == (h->hold != 0))
		return MR_STORE_OK;
	code = sq_run(tx->db, err, "INSERT INTO ledger (at_ms, trace, event,"
		" sender, rcpt, queue) SELECT ?, trace, ?, sender, rcpt, id"
		" FROM queue WHERE id = ?", "isi", tx->now_ms,
		h->hold ? "held" : "released", h->id);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE queue SET state = ?,"
			" owner = NULL, next_ms = ? WHERE id = ?", "iii",
			(int64_t)(h->hold ? MR_HELD : MR_QUEUED), tx->now_ms,
			h->id);
	if (code == MR_STORE_OK && !h->hold)
		sq_changed(tx, MR_CHANGE_QUEUE, 0, 0);
	return code;
}

int
sq_queue_hold(void *self, int64_t id, int hold, struct mr_error *err)
{
	struct handling h = {.id = id, .hold = hold};

	return sq_write(self, run_hold, &h, err);
}

static int
run_unclaim(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct handling *h = arg;
	int code = sq_run(tx->db, err, "UPDATE queue SET state = 1,"
		" owner = NULL, next_ms = ?1 WHERE state = 2 AND state < 3"
		" AND substr(owner, 1, length(?2)) = ?2", "is", tx->now_ms,
		h->prefix);

	if (code == MR_STORE_OK && sqlite3_changes(tx->db->handle))
		sq_changed(tx, MR_CHANGE_QUEUE, 0, 0);
	return code;
}

int
sq_queue_unclaim(void *self, const char *prefix, struct mr_error *err)
{
	struct handling h = {.prefix = prefix};

	return sq_write(self, run_unclaim, &h, err);
}

/* ---------------------------------------------------------- many at once */

struct change {
	const struct mr_queue_change *c;
	uint32_t n;
};

static int
note_change(struct sq_tx *tx, const char *event, int64_t id,
	struct mr_error *err)
{
	return sq_run(tx->db, err, "INSERT INTO ledger (at_ms, trace, event,"
		" sender, rcpt, queue) SELECT ?, trace, ?, sender, rcpt, id"
		" FROM queue WHERE id = ?", "isi", tx->now_ms, event, id);
}

/* A lease that ran out counts as queued. */
static int
change_one(struct sq_tx *tx, const struct mr_queue_change *c, int64_t id,
	struct mr_error *err)
{
	switch (c->op) {
	case MR_QUEUE_RETRY:
		return sq_run(tx->db, err, "UPDATE queue SET"
			" next_ms = min(next_ms, ?) WHERE id = ?"
			" AND state = 1", "ii", c->next_ms, id);
	case MR_QUEUE_HOLD:
		return sq_run(tx->db, err, "UPDATE queue SET state = 3,"
			" owner = NULL WHERE id = ?1 AND (state = 1"
			" OR state = 2 AND next_ms <= ?2)", "ii", id,
			tx->now_ms);
	case MR_QUEUE_RELEASE:
		return sq_run(tx->db, err, "UPDATE queue SET state = 1,"
			" next_ms = ? WHERE id = ? AND state = 3", "ii",
			c->next_ms, id);
	case MR_QUEUE_RETURN:
		return sq_run(tx->db, err, "UPDATE queue SET state = 1,"
			" owner = NULL, next_ms = ? WHERE id = ?"
			" AND state = 2 AND owner = ?", "iis", c->next_ms, id,
			c->owner);
	default:
		return sq_run(tx->db, err, "UPDATE queue SET attempts = 0,"
			" reply = NULL, next_ms = ?, expire_ms = ?"
			" WHERE id = ? AND state = 1", "iii", c->next_ms,
			c->expire_ms, id);
	}
}

static int
run_change(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	static const char *const event[] = {[MR_QUEUE_HOLD] = "held",
		[MR_QUEUE_RELEASE] = "released", [MR_QUEUE_REQUEUE] = NULL};
	struct change *k = arg;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < k->c->n && code == MR_STORE_OK; i++) {
		code = change_one(tx, k->c, k->c->id[i], err);
		if (code != MR_STORE_OK ||
			sqlite3_changes(tx->db->handle) == 0)
			continue;
		k->n++;
		if (event[k->c->op])
			code = note_change(tx, event[k->c->op], k->c->id[i],
				err);
	}
	if (code == MR_STORE_OK && k->n && k->c->op != MR_QUEUE_HOLD &&
		k->c->op != MR_QUEUE_RETURN)
		sq_changed(tx, MR_CHANGE_QUEUE, 0, 0);
	return code;
}

int
sq_queue_change(void *self, const struct mr_queue_change *c, uint32_t *n,
	struct mr_error *err)
{
	struct change k = {.c = c};
	int code = MR_STORE_OK;

	if (c->op < MR_QUEUE_RETRY || c->op > MR_QUEUE_REQUEUE)
		return sq_fail(err, MR_STORE_INVALID, "unknown change %u",
			c->op);
	if (c->n)
		code = sq_write(self, run_change, &k, err);
	*n = code == MR_STORE_OK ? k.n : 0;
	return code;
}
