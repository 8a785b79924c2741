/*
 * claim.c - leases on what is due in the queue.
 *
 * A claim is a lease: the row is CLAIMED and its next_ms is the time when the
 * lease ends, so a lease that ran out is due like any other row.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

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
	struct sq_seeds seeds;	/* of claims in turns, read before */
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
read_seeds(struct sq_tx *tx, const struct claim *c, struct sq_seeds *out,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT message, next_hop FROM queue"
		" WHERE state < 3 AND next_ms <= ? ORDER BY next_ms LIMIT ?");
	int code;

	sq_bind(st, "ii", c->now_ms, (int64_t)c->max);
	while ((code = sqlite3_step(st)) == SQLITE_ROW)
		out->item[out->n++] = (struct sq_seed){
			sqlite3_column_int64(st, 0),
			sq_printf("%s", sq_text(st, 1))};
	if (code != SQLITE_DONE)
		sq_fail_db(err, tx->db, "claiming from the queue");
	sqlite3_reset(st);
	return code == SQLITE_DONE ? MR_STORE_OK : MR_STORE_FAILED;
}

static int
group_size(struct sq_tx *tx, const struct claim *c, const struct sq_seed *s,
	int64_t *n, struct mr_error *err)
{
	return sq_number(tx->db, err, n, "SELECT count(*) FROM queue"
		" INDEXED BY queue_group"
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
claim_group(struct sq_tx *tx, struct claim *c, const struct sq_seed *s,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT " SQ_QUEUE_COLUMNS " FROM queue"
		" INDEXED BY queue_group"
		" WHERE message = ? AND next_hop = ? AND state < 3"
		" AND next_ms <= ? ORDER BY id LIMIT ?");
	struct kept **from = c->end, *k;
	int code;

	sq_bind(st, "isii", s->message, s->next_hop, c->now_ms,
		(int64_t)(c->max - c->n));
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		struct mr_queue_item i = sq_queue_item(st);

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
claim_seeds(struct sq_tx *tx, struct claim *c, const struct sq_seeds *from,
	struct mr_error *err)
{
	int code = MR_STORE_OK;
	int64_t n;
	size_t i;

	for (i = 0; i < from->n && c->n < c->max; i++) {
		code = group_size(tx, c, &from->item[i], &n, err);
		if (code != MR_STORE_OK)
			break;
		if (n == 0)
			continue;
		if (c->n > 0 && n > (int64_t)(c->max - c->n))
			break;
		code = claim_group(tx, c, &from->item[i], err);
		if (code != MR_STORE_OK)
			break;
	}
	return code;
}

static int
run_claim(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct claim *c = arg;
	struct sq_seeds seeds = {sq_alloc(c->max * sizeof *seeds.item), 0};
	int code = read_seeds(tx, c, &seeds, err);

	if (code == MR_STORE_OK)
		code = claim_seeds(tx, c, &seeds, err);
	sq_seeds_free(&seeds);
	free(seeds.item);
	return code;
}

static int
run_claim_turns(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct claim *c = arg;

	return claim_seeds(tx, c, &c->seeds, err);
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

static uint32_t
bounded(uint32_t max)
{
	return max < 10000 ? max : 10000;
}

/* The rows are told of when they are claimed for good. */
static int
hand_over(struct claim *c, int code,
	int (*each)(void *arg, const struct mr_queue_item *i), void *arg)
{
	struct kept *k;

	for (k = c->first; k && code == MR_STORE_OK; k = k->next)
		if (each(arg, &k->item))
			code = MR_STORE_STOPPED;
	free_kept(c->first);
	return code;
}

int
sq_queue_claim(void *self, const char *owner, int64_t now_ms,
	int64_t lease_ms, uint32_t max,
	int (*each)(void *arg, const struct mr_queue_item *i), void *arg,
	struct mr_error *err)
{
	struct claim c = {.owner = owner, .now_ms = now_ms,
		.lease_ms = lease_ms, .max = bounded(max)};
	int code = is_any_due(self, now_ms, err);

	if (code != MR_STORE_OK || max == 0)
		return code == MR_STORE_MISSING ? MR_STORE_OK : code;
	c.end = &c.first;
	return hand_over(&c, sq_write(self, run_claim, &c, err), each, arg);
}

int
sq_queue_claim_turns(void *self, struct mr_claim *t, struct mr_error *err)
{
	struct claim c = {.owner = t->owner, .now_ms = t->now_ms,
		.lease_ms = t->lease_ms, .max = bounded(t->max)};
	int code;

	if (t->max == 0)
		return MR_STORE_OK;
	c.end = &c.first;
	c.seeds.item = sq_alloc((size_t)t->max * sizeof *c.seeds.item);
	code = sq_flow_seeds(self, t, &c.seeds, err);
	if (code == MR_STORE_OK && c.seeds.n)
		code = sq_write(self, run_claim_turns, &c, err);
	code = hand_over(&c, code, t->each, t->arg);
	sq_seeds_free(&c.seeds);
	free(c.seeds.item);
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
