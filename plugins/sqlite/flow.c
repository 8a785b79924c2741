/*
 * flow.c - which due items a claim takes when next hops take turns.
 *
 * A flow is what one sender has for one next hop. Few due items are looked at
 * in order of time. When there are many, the flows stand on a wheel, in order
 * of their names, by an index that answers "the next flow and its first time"
 * in one step: whatever a busy next hop has waiting is passed over at once.
 * A claim goes on where the last one stopped, so each flow has its turn.
 * Reads only; what was found may be gone when it is claimed (claim.c).
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define FEW 100
#define STEPS_MOST 1000		/* flows looked at by one claim */
#define FLOWS_MOST 256		/* flows that one claim takes from */

struct flow {
	char *next_hop, *sender;
	int32_t wanted;
};

struct wheel {
	struct sq_db *db;
	struct mr_claim *c;
	struct sq_seeds *out;
	struct mr_error *err;
	struct flow flow[FLOWS_MOST];
	size_t n_flow;
};

static int
ended(struct wheel *w, int step)
{
	return step == SQLITE_DONE ? MR_STORE_OK :
		sq_fail_db(w->err, w->db, "looking through the queue");
}

static void
add_seed(struct sq_seeds *out, int64_t message, const char *next_hop)
{
	struct sq_seed *last = out->n ? &out->item[out->n - 1] : NULL;

	if (last && last->message == message &&
		!strcmp(last->next_hop, next_hop))
		return;		/* another recipient of the same group */
	out->item[out->n++] = (struct sq_seed){message,
		sq_printf("%s", next_hop)};
}

static struct flow *
add_flow(struct wheel *w, const char *next_hop, const char *sender,
	int32_t wanted)
{
	struct flow *f = &w->flow[w->n_flow++];

	f->next_hop = sq_printf("%s", next_hop);
	f->sender = sq_printf("%s", sender);
	f->wanted = wanted;
	return f;
}

/* -------------------------------------------------------- few in all */

static struct flow *
find_flow(struct wheel *w, const char *next_hop, const char *sender)
{
	size_t i;

	for (i = 0; i < w->n_flow; i++)
		if (!strcmp(w->flow[i].next_hop, next_hop) &&
			!strcmp(w->flow[i].sender, sender))
			return &w->flow[i];
	return add_flow(w, next_hop, sender,
		w->c->wanted(w->c->arg, next_hop, sender));
}

/* All that is due, unless that is more than a few: *many. */
static int
take_few(struct wheel *w, bool *many)
{
	sqlite3_stmt *st = sq_sql(w->db, "SELECT message, next_hop, sender"
		" FROM queue INDEXED BY queue_due WHERE state < 3"
		" AND next_ms <= ?"
		" ORDER BY next_ms LIMIT ?");
	struct flow *f;
	int seen = 0, step;

	sq_bind(st, "ii", w->c->now_ms, (int64_t)FEW + 1);
	while ((step = sqlite3_step(st)) == SQLITE_ROW && ++seen <= FEW) {
		f = find_flow(w, sq_text(st, 1), sq_text(st, 2));
		if (f->wanted <= 0 || w->out->n >= w->c->max)
			continue;
		f->wanted--;
		add_seed(w->out, sqlite3_column_int64(st, 0), f->next_hop);
	}
	*many = seen > FEW;
	sqlite3_reset(st);
	return step == SQLITE_ROW ? MR_STORE_OK : ended(w, step);
}

/* --------------------------------------------------------- the wheel */

/* The place is written "NEXT_HOP LF SENDER". */
static void
read_place(const struct mr_claim *c, char **next_hop, char **sender)
{
	const char *lf = memchr(c->at, '\n', strnlen(c->at, sizeof c->at));

	*next_hop = sq_printf("%.*s", lf ? (int)(lf - c->at) : 0, c->at);
	*sender = sq_printf("%s", lf ? lf + 1 : "");
}

/* A name too long to be kept is passed over with the rest of its next hop,
 * once a lap. */
static void
keep_place(struct mr_claim *c, const char *next_hop, const char *sender)
{
	int n = snprintf(c->at, sizeof c->at, "%s\n%s", next_hop, sender);

	if (n >= (int)sizeof c->at)
		snprintf(c->at, sizeof c->at, "%.*s\n\x7f\x7f",
			(int)sizeof c->at - 8, next_hop);
}

static sqlite3_stmt *
step_from(struct wheel *w, const char *next_hop, const char *sender,
	bool past_hop)
{
	sqlite3_stmt *st;

	if (past_hop) {
		st = sq_sql(w->db, "SELECT next_hop, sender, next_ms FROM queue"
			" INDEXED BY queue_flow WHERE state < 3"
			" AND next_hop > ? ORDER BY next_hop, sender, next_ms"
			" LIMIT 1");
		sq_bind(st, "s", next_hop);
	} else {
		st = sq_sql(w->db, "SELECT next_hop, sender, next_ms FROM queue"
			" INDEXED BY queue_flow WHERE state < 3"
			" AND (next_hop, sender, next_ms) > (?, ?, ?)"
			" ORDER BY next_hop, sender, next_ms LIMIT 1");
		sq_bind(st, "ssi", next_hop, sender, INT64_MAX);
	}
	return st;
}

enum turn { TURN_ON, TURN_PAST_HOP, TURN_STOP, TURN_END, TURN_FAILED };

/* One flow further: it replaces *next_hop and *sender. */
static enum turn
turn_once(struct wheel *w, char **next_hop, char **sender, bool past_hop)
{
	sqlite3_stmt *st = step_from(w, *next_hop, *sender, past_hop);
	int step = sqlite3_step(st);
	int32_t wanted = 0;

	if (step != SQLITE_ROW) {
		sqlite3_reset(st);
		return ended(w, step) == MR_STORE_OK ? TURN_END : TURN_FAILED;
	}
	free(*next_hop);
	free(*sender);
	*next_hop = sq_printf("%s", sq_text(st, 0));
	*sender = sq_printf("%s", sq_text(st, 1));
	if (sqlite3_column_int64(st, 2) <= w->c->now_ms)
		wanted = w->c->wanted(w->c->arg, *next_hop, *sender);
	sqlite3_reset(st);
	if (wanted == MR_CLAIM_STOP)
		return TURN_STOP;
	if (wanted > 0)
		add_flow(w, *next_hop, *sender, wanted);
	return wanted == MR_CLAIM_NO_HOP ? TURN_PAST_HOP : TURN_ON;
}

/* Turns the wheel until the claim has flows enough. */
static int
find_flows(struct wheel *w)
{
	enum turn turn = TURN_ON;
	char *next_hop, *sender;
	int steps;

	read_place(w->c, &next_hop, &sender);
	for (steps = 0; steps < STEPS_MOST && turn <= TURN_PAST_HOP &&
		w->n_flow < FLOWS_MOST && w->n_flow < w->c->max; steps++) {
		turn = turn_once(w, &next_hop, &sender,
			turn == TURN_PAST_HOP);
		if (turn <= TURN_PAST_HOP)
			keep_place(w->c, next_hop, sender);
	}
	if (turn == TURN_END)
		w->c->at[0] = '\0';
	free(next_hop);
	free(sender);
	return turn == TURN_FAILED ? MR_STORE_FAILED : MR_STORE_OK;
}

static int
take_from(struct wheel *w, const struct flow *f, int64_t most)
{
	sqlite3_stmt *st = sq_sql(w->db, "SELECT message FROM queue"
		" INDEXED BY queue_flow WHERE state < 3 AND next_hop = ?"
		" AND sender = ? AND next_ms <= ? ORDER BY next_ms LIMIT ?");
	int step;

	sq_bind(st, "ssii", f->next_hop, f->sender, w->c->now_ms, most);
	while ((step = sqlite3_step(st)) == SQLITE_ROW &&
		w->out->n < w->c->max)
		add_seed(w->out, sqlite3_column_int64(st, 0), f->next_hop);
	sqlite3_reset(st);
	return step == SQLITE_ROW ? MR_STORE_OK : ended(w, step);
}

/* Each flow its share of the claim. */
static int
take_shares(struct wheel *w)
{
	int64_t share = w->n_flow ? w->c->max / w->n_flow : 0, most;
	int code = MR_STORE_OK;
	size_t i;

	if (w->n_flow && share == 0)
		share = 1;
	for (i = 0; i < w->n_flow && code == MR_STORE_OK; i++) {
		most = w->flow[i].wanted < share ? w->flow[i].wanted : share;
		code = take_from(w, &w->flow[i], most);
	}
	return code;
}

/* ------------------------------------------------------ what has expired */

static sqlite3_stmt *
find_expired(struct wheel *w)
{
	const struct mr_claim *c = w->c;
	sqlite3_stmt *st;

	if (*c->expired_of) {
		st = sq_sql(w->db, "SELECT message, next_hop FROM queue"
			" INDEXED BY queue_flow WHERE state < 3"
			" AND next_hop = ? AND next_ms <= ? AND expire_ms <= ?"
			" LIMIT ?");
		sq_bind(st, "siii", c->expired_of, c->now_ms, c->now_ms,
			(int64_t)c->max);
	} else {
		st = sq_sql(w->db, "SELECT message, next_hop FROM queue"
			" WHERE state < 3 AND next_ms <= ? AND expire_ms <= ?"
			" LIMIT ?");
		sq_bind(st, "iii", c->now_ms, c->now_ms, (int64_t)c->max);
	}
	return st;
}

static int
take_expired(struct wheel *w)
{
	sqlite3_stmt *st = find_expired(w);
	int step;

	while ((step = sqlite3_step(st)) == SQLITE_ROW)
		add_seed(w->out, sqlite3_column_int64(st, 0), sq_text(st, 1));
	sqlite3_reset(st);
	return ended(w, step);
}

/* When there will be more to claim. */
static int
look_ahead(struct wheel *w)
{
	int code = sq_number(w->db, w->err, &w->c->next_ms,
		"SELECT next_ms FROM queue WHERE state < 3 AND state = 1"
		" AND next_ms > ? ORDER BY next_ms LIMIT 1", "i",
		w->c->now_ms);

	if (code == MR_STORE_MISSING)
		w->c->next_ms = INT64_MAX;
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

static int
look(struct wheel *w)
{
	bool many = false;
	int code;

	if (w->c->expired_of)
		return take_expired(w);
	code = take_few(w, &many);
	if (code != MR_STORE_OK)
		return code;
	if (!many) {
		w->c->at[0] = '\0';
		return w->out->n ? MR_STORE_OK : look_ahead(w);
	}
	sq_seeds_free(w->out);
	for (; w->n_flow; w->n_flow--) {
		free(w->flow[w->n_flow - 1].next_hop);
		free(w->flow[w->n_flow - 1].sender);
	}
	code = find_flows(w);
	if (code == MR_STORE_OK)
		code = take_shares(w);
	if (code == MR_STORE_OK && w->out->n == 0)
		code = look_ahead(w);
	return code;
}

void
sq_seeds_free(struct sq_seeds *s)
{
	for (; s->n; s->n--)
		free(s->item[s->n - 1].next_hop);
}

int
sq_flow_seeds(struct sq *s, struct mr_claim *c, struct sq_seeds *out,
	struct mr_error *err)
{
	struct wheel *w = sq_alloc(sizeof *w);
	int code = MR_STORE_FAILED;
	size_t i;

	*w = (struct wheel){.c = c, .out = out, .err = err};
	c->next_ms = c->now_ms;
	w->db = sq_read(s, err);
	if (w->db) {
		code = look(w);
		sq_read_end(s, w->db);
	}
	for (i = 0; i < w->n_flow; i++) {
		free(w->flow[i].next_hop);
		free(w->flow[i].sender);
	}
	free(w);
	return code;
}
