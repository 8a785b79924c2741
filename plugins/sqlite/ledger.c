/*
 * ledger.c - what happened to each message: reading it, and forgetting what
 * is old.
 *
 * There is no index on messages, so that acceptance pays for none. Rows come
 * in the order of their time, and ids of messages hold theirs: a walk for one
 * message starts where the message came in, found by halving.
 *
 * Forgetting runs on the writing thread while it has nothing else to do, in
 * small transactions, with the collector. UIDs that vanished are forgotten
 * too; for who asks from before that, all UIDs that are not there have
 * vanished (RFC 7162 3.2.6).
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define SLACK_MS (10 * 60 * 1000)	/* clocks of several processes */
#define BATCH "1000"
#define BATCHES 20		/* a round */
#define FORGET_MS (3600 * 1000)

/* -------------------------------------------------------------- reading */

/* The first row at or behind `id`: its id and time. false: none. */
static bool
row_from(struct sq_db *db, int64_t id, int64_t *found, int64_t *at_ms)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT id, at_ms FROM ledger"
		" WHERE id >= ? ORDER BY id LIMIT 1");
	bool is_there;

	sq_bind(st, "i", id);
	is_there = sqlite3_step(st) == SQLITE_ROW;
	if (is_there) {
		*found = sqlite3_column_int64(st, 0);
		*at_ms = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return is_there;
}

/* An id before which no row is as young as since_ms. */
static int64_t
find_start(struct sq_db *db, int64_t since_ms)
{
	int64_t low = 0, high = 0, id, at_ms;

	if (since_ms <= 0 || sq_number(db, NULL, &high, "SELECT max(id)"
		" FROM ledger WHERE id > 0", "") != MR_STORE_OK)
		return 0;
	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (!row_from(db, middle, &id, &at_ms) || at_ms >= since_ms)
			high = middle;
		else
			low = id + 1;
	}
	return low;
}

static struct mr_ledger_row
row_of(sqlite3_stmt *st)
{
	return (struct mr_ledger_row){.size = sizeof(struct mr_ledger_row),
		.id = sqlite3_column_int64(st, 0),
		.at_ms = sqlite3_column_int64(st, 1),
		.trace = sq_text(st, 2), .event = sq_text(st, 3),
		.origin = sq_text(st, 4), .sender = sq_text(st, 5),
		.rcpt = sq_text(st, 6),
		.mailbox = sqlite3_column_int64(st, 7),
		.uid = (uint32_t)sqlite3_column_int64(st, 8),
		.queue = sqlite3_column_int64(st, 9),
		.detail = sq_text(st, 10), .life = sq_text(st, 11)};
}

static int
walk(struct sq_db *db, const struct mr_ledger_query *q,
	int (*each)(void *arg, const struct mr_ledger_row *row), void *arg,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT id, at_ms, trace, event, origin,"
		" sender, rcpt, mailbox, uid, queue, detail, life FROM ledger"
		" WHERE id > ?1 AND at_ms >= ?2"
		" AND (?3 IS NULL OR trace = ?3 OR origin = 'report ' || ?3)"
		" AND (?4 IS NULL OR sender = ?4 COLLATE NOCASE"
		" OR rcpt = ?4 COLLATE NOCASE"
		" OR instr(lower(life), '\"' || lower(?4) || '\"'))"
		" ORDER BY id");
	int64_t start = find_start(db, q->since_ms - SLACK_MS) - 1;
	int step, code = MR_STORE_OK;

	sq_bind(st, "iiss", start > q->after_id ? start : q->after_id,
		q->since_ms, q->trace, q->address);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) != SQLITE_DONE) {
		struct mr_ledger_row row;

		if (step != SQLITE_ROW) {
			code = sq_fail_db(err, db, "reading the ledger");
			break;
		}
		row = row_of(st);
		if (each(arg, &row))
			code = MR_STORE_STOPPED;
	}
	return code;
}

int
sq_ledger(void *self, const struct mr_ledger_query *q,
	int (*each)(void *arg, const struct mr_ledger_row *row), void *arg,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = walk(db, q, each, arg, err);
	sq_read_end(self, db);
	return code;
}

/* ------------------------------------------------------------ forgetting */

struct round {
	int64_t before_ms;
	int64_t mailbox, modseq;
	int64_t n;		/* rows that went */
};

static int
forget_events(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct round *r = arg;
	int code = sq_run(tx->db, err, "DELETE FROM ledger WHERE id IN"
		" (SELECT id FROM ledger ORDER BY id LIMIT " BATCH ")"
		" AND at_ms < ?", "i", r->before_ms);

	r->n = sqlite3_changes(tx->db->handle);
	return code;
}

/* The mailbox remembers how far back it still knows. */
static int
forget_vanished(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct round *r = arg;
	int code = sq_run(tx->db, err, "DELETE FROM vanished WHERE mailbox = ?"
		" AND modseq <= ?", "ii", r->mailbox, r->modseq);

	r->n = sqlite3_changes(tx->db->handle);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE mailbox SET forgotten ="
			" max(forgotten, ?) WHERE id = ?", "ii", r->modseq,
			r->mailbox);
	return code;
}

/* The first mailbox behind r->mailbox with something to forget. */
static bool
next_mailbox(struct sq *s, struct round *r)
{
	sqlite3_stmt *st = sq_sql(sq_writer_db(s), "SELECT mailbox, max(modseq)"
		" FROM vanished WHERE mailbox > ? AND at_ms < ?"
		" GROUP BY mailbox ORDER BY mailbox LIMIT 1");
	bool is_there;

	sq_bind(st, "ii", r->mailbox, r->before_ms);
	is_there = sqlite3_step(st) == SQLITE_ROW;
	if (is_there) {
		r->mailbox = sqlite3_column_int64(st, 0);
		r->modseq = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return is_there;
}

void
sq_forget(struct sq *s)
{
	struct round r = {.before_ms = sq_clock_wall() - s->keep_vanished};
	struct mr_error err;
	int i;

	if (sq_clock_mono() < s->forget_at)
		return;
	s->forget_at = sq_clock_mono() + FORGET_MS;
	while (s->keep_vanished && next_mailbox(s, &r))
		if (sq_write_now(s, forget_vanished, &r, &err) != MR_STORE_OK)
			break;
	r.before_ms = sq_clock_wall() - s->keep_ledger;
	r.n = 1;
	/* Bounded: others wait for this thread. What is left goes with the
	 * next round. */
	for (i = 0; s->keep_ledger && r.n && i < BATCHES; i++)
		if (sq_write_now(s, forget_events, &r, &err) != MR_STORE_OK)
			break;
	if (i == BATCHES)
		s->forget_at = 0;
}
