/*
 * queue.c - what waits to be delivered elsewhere.
 *
 * A claim is a lease: the row is CLAIMED and its next_ms is the time when the
 * lease ends, so a lease that ran out is due like any other row. An attempt
 * counts when it is settled.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS "id, message, length, state, attempts, created_ms, next_ms," \
	" expire_ms, trace, sender, rcpt, next_hop, dsn, reply"

static const char *
text_or_null(sqlite3_stmt *st, int column)
{
	return (const char *)sqlite3_column_text(st, column);
}

/* A row of COLUMNS; its texts live until the next step. */
static struct mr_queue_item
item_of(sqlite3_stmt *st)
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

/* ---------------------------------------------------------------- claim */

struct kept {
	struct kept *next;
	struct mr_queue_item item;
	char text[];
};

struct claim {
	const char *owner;
	int64_t now_ms, lease_ms;
	uint32_t max, n;
	struct kept *first, **end;
};

/* What a claim starts from: the due rows in order of time. Read before any of
 * them is changed. */
struct seed {
	int64_t message;
	char *next_hop;
};

static const char *
keep_text(char **at, const char *text)
{
	size_t n;
	char *copy = *at;

	if (!text)
		return NULL;
	n = strlen(text) + 1;
	memcpy(copy, text, n);
	*at += n;
	return copy;
}

static void
keep_item(struct claim *c, const struct mr_queue_item *i)
{
	const char *all[] = {i->trace, i->sender, i->rcpt, i->next_hop,
		i->dsn, i->reply};
	size_t size = 0, k;
	struct kept *kept;
	char *at;

	for (k = 0; k < sizeof all / sizeof *all; k++)
		size += all[k] ? strlen(all[k]) + 1 : 0;
	kept = sq_alloc(sizeof *kept + size);
	at = kept->text;
	kept->item = *i;
	kept->item.trace = keep_text(&at, i->trace);
	kept->item.sender = keep_text(&at, i->sender);
	kept->item.rcpt = keep_text(&at, i->rcpt);
	kept->item.next_hop = keep_text(&at, i->next_hop);
	kept->item.dsn = keep_text(&at, i->dsn);
	kept->item.reply = keep_text(&at, i->reply);
	*c->end = kept;
	c->end = &kept->next;
	c->n++;
}

static void
free_kept(struct kept *k)
{
	struct kept *next;

	for (; k; k = next) {
		next = k->next;
		free(k);
	}
}

static int
read_seeds(struct sq_tx *tx, const struct claim *c, struct seed *seed,
	size_t *n, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT message, next_hop FROM queue"
		" WHERE state < 3 AND next_ms <= ? ORDER BY next_ms LIMIT ?");
	int code;

	*n = 0;
	sq_bind(st, "ii", c->now_ms, (int64_t)c->max);
	while ((code = sqlite3_step(st)) == SQLITE_ROW)
		seed[(*n)++] = (struct seed){sqlite3_column_int64(st, 0),
			sq_printf("%s", sq_text(st, 1))};
	if (code != SQLITE_DONE)
		sq_fail_db(err, tx->db, "claiming from the queue");
	sqlite3_reset(st);
	return code == SQLITE_DONE ? MR_STORE_OK : MR_STORE_FAILED;
}

static int
group_size(struct sq_tx *tx, const struct claim *c, const struct seed *s,
	int64_t *n, struct mr_error *err)
{
	return sq_number(tx->db, err, n, "SELECT count(*) FROM queue"
		" WHERE message = ? AND next_hop = ? AND state < 3"
		" AND next_ms <= ?", "isi", s->message, s->next_hop,
		c->now_ms);
}

static int
lease(struct sq_tx *tx, const struct claim *c, const struct kept *k,
	struct mr_error *err)
{
	return sq_run(tx->db, err, "UPDATE queue SET state = 2, owner = ?,"
		" next_ms = ? WHERE id = ?", "sii", c->owner,
		c->now_ms + c->lease_ms, k->item.id);
}

/* Reads the group whole before its rows are changed. */
static int
claim_group(struct sq_tx *tx, struct claim *c, const struct seed *s,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT " COLUMNS " FROM queue"
		" WHERE message = ? AND next_hop = ? AND state < 3"
		" AND next_ms <= ? ORDER BY id LIMIT ?");
	struct kept **from = c->end, *k;
	int code;

	sq_bind(st, "isii", s->message, s->next_hop, c->now_ms,
		(int64_t)(c->max - c->n));
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		struct mr_queue_item i = item_of(st);

		i.state = MR_CLAIMED;
		i.next_ms = c->now_ms + c->lease_ms;
		keep_item(c, &i);
	}
	if (code != SQLITE_DONE)
		sq_fail_db(err, tx->db, "claiming from the queue");
	sqlite3_reset(st);
	code = code == SQLITE_DONE ? MR_STORE_OK : MR_STORE_FAILED;
	for (k = *from; k && code == MR_STORE_OK; k = k->next)
		code = lease(tx, c, k, err);
	return code;
}

/* A group that was claimed by an earlier seed has no due rows any more. One
 * that does not fit waits for the next claim, unless none would ever fit. */
static int
claim_seeds(struct sq_tx *tx, struct claim *c, const struct seed *seed,
	size_t n_seed, struct mr_error *err)
{
	int code = MR_STORE_OK;
	int64_t n;
	size_t i;

	for (i = 0; i < n_seed && c->n < c->max; i++) {
		code = group_size(tx, c, &seed[i], &n, err);
		if (code != MR_STORE_OK)
			break;
		if (n == 0)
			continue;
		if (c->n > 0 && n > (int64_t)(c->max - c->n))
			break;
		code = claim_group(tx, c, &seed[i], err);
		if (code != MR_STORE_OK)
			break;
	}
	return code;
}

static int
run_claim(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct claim *c = arg;
	struct seed *seed = sq_alloc(c->max * sizeof *seed);
	size_t n, i;
	int code = read_seeds(tx, c, seed, &n, err);

	if (code == MR_STORE_OK)
		code = claim_seeds(tx, c, seed, n, err);
	for (i = 0; i < n; i++)
		free(seed[i].next_hop);
	free(seed);
	return code;
}

/* So that looking in vain costs no flush. */
static int
is_any_due(struct sq *s, int64_t now_ms, struct mr_error *err)
{
	struct sq_db *db = sq_read(s, err);
	int64_t id;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_number(db, err, &id, "SELECT id FROM queue WHERE state < 3"
		" AND next_ms <= ? LIMIT 1", "i", now_ms);
	sq_read_end(s, db);
	return code;
}

int
sq_queue_claim(void *self, const char *owner, int64_t now_ms,
	int64_t lease_ms, uint32_t max,
	int (*each)(void *arg, const struct mr_queue_item *i), void *arg,
	struct mr_error *err)
{
	struct claim c = {.owner = owner, .now_ms = now_ms,
		.lease_ms = lease_ms, .max = max < 10000 ? max : 10000};
	struct kept *k;
	int code = is_any_due(self, now_ms, err);

	if (code != MR_STORE_OK || max == 0)
		return code == MR_STORE_MISSING ? MR_STORE_OK : code;
	c.end = &c.first;
	code = sq_write(self, run_claim, &c, err);
	for (k = c.first; k && code == MR_STORE_OK; k = k->next)
		if (each(arg, &k->item))
			code = MR_STORE_STOPPED;
	free_kept(c.first);
	return code;
}

int
sq_queue_next(void *self, int64_t *when_ms, struct mr_error *err)
{
	struct sq *s = self;
	struct sq_db *db = sq_read(s, err);
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_number(db, err, when_ms, "SELECT next_ms FROM queue"
		" WHERE state < 3 AND (state = 1 OR next_ms <= ?)"
		" ORDER BY next_ms LIMIT 1", "i", sq_clock_wall());
	sq_read_end(s, db);
	if (code != MR_STORE_MISSING)
		return code;
	*when_ms = INT64_MAX;
	return MR_STORE_OK;
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
	st = id ? sq_sql(db, "SELECT " COLUMNS " FROM queue WHERE id = ?") :
		sq_sql(db, "SELECT " COLUMNS " FROM queue ORDER BY id");
	if (id)
		sq_bind(st, "i", id);
	while (code == MR_STORE_OK &&
		(step = sqlite3_step(st)) != SQLITE_DONE) {
		struct mr_queue_item i;

		if (step != SQLITE_ROW) {
			code = sq_fail_db(err, db, "listing the queue");
			break;
		}
		i = item_of(st);
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
