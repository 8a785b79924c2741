/*
 * state.c - small facts of plugins: greylists, counters.
 *
 * Callers' threads read, the writing thread changes. What has expired is not
 * shown and goes a few rows at a time with the next change.
 */
#include "sq.h"

#define SWEEP "DELETE FROM state WHERE rowid IN (SELECT rowid FROM state" \
	" WHERE expires_ms <= ? LIMIT 20)"

int
sq_state_get(void *self, const char *space, const char *key, int64_t now_ms,
	void (*found)(void *arg, struct mr_str value), void *arg,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	sqlite3_stmt *st;
	int code = MR_STORE_OK;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT value FROM state WHERE space = ? AND key = ?"
		" AND expires_ms > ?");
	if (st) {
		sq_bind(st, "ssi", space, key, now_ms);
		if (sqlite3_step(st) == SQLITE_ROW)
			found(arg, (struct mr_str){sqlite3_column_blob(st, 0),
				(size_t)sqlite3_column_bytes(st, 0)});
		if (sqlite3_reset(st) != SQLITE_OK)
			code = sq_fail_db(err, db, "reading state");
	} else {
		code = sq_fail_db(err, db, "reading state");
	}
	sq_read_end(self, db);
	return code;
}

struct change {
	const char *space, *key;
	struct mr_str value;
	int64_t by, now_ms, expires_ms, *sum;
};

static int
run_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int code = sq_run(tx->db, err, SWEEP, "i", tx->now_ms);

	if (code != MR_STORE_OK)
		return code;
	return sq_run(tx->db, err, "INSERT INTO state (space, key, value,"
		" expires_ms) VALUES (?, ?, ?, ?) ON CONFLICT (space, key)"
		" DO UPDATE SET value = excluded.value,"
		" expires_ms = excluded.expires_ms", "ssbi", c->space, c->key,
		(const void *)c->value.at, c->value.len, c->expires_ms);
}

int
sq_state_set(void *self, const char *space, const char *key,
	struct mr_str value, int64_t expires_ms, struct mr_error *err)
{
	struct change c = {.space = space, .key = key, .value = value,
		.expires_ms = expires_ms};

	return sq_write(self, run_set, &c, err);
}

/* A counter is kept as its decimal digits, so that get shows it. */
static int
run_add(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct change *c = arg;
	int code = sq_run(tx->db, err, "DELETE FROM state WHERE space = ?"
		" AND key = ? AND expires_ms <= ?", "ssi", c->space, c->key,
		c->now_ms);

	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, SWEEP, "i", tx->now_ms);
	if (code != MR_STORE_OK)
		return code;
	return sq_number(tx->db, err, c->sum, "INSERT INTO state (space, key,"
		" value, expires_ms) VALUES (?, ?, ?, ?) ON CONFLICT (space,"
		" key) DO UPDATE SET value = CAST(CAST(value AS INTEGER)"
		" + excluded.value AS TEXT)"
		" RETURNING CAST(value AS INTEGER)", "ssii", c->space, c->key,
		c->by, c->expires_ms);
}

int
sq_state_add(void *self, const char *space, const char *key, int64_t by,
	int64_t now_ms, int64_t expires_ms, int64_t *sum,
	struct mr_error *err)
{
	struct change c = {.space = space, .key = key, .by = by,
		.now_ms = now_ms, .expires_ms = expires_ms, .sum = sum};

	return sq_write(self, run_add, &c, err);
}

int
sq_state_list(void *self, const char *space, const char *prefix,
	int64_t now_ms, int (*each)(void *arg, const char *key,
	struct mr_str value), void *arg, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int step, code = MR_STORE_OK;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT key, value FROM state WHERE space = ?"
		" AND key >= ? AND substr(key, 1, length(?)) = ?"
		" AND expires_ms > ? ORDER BY key");
	if (st)
		sq_bind(st, "ssssi", space, prefix, prefix, prefix, now_ms);
	while ((step = st ? sqlite3_step(st) : SQLITE_ERROR) == SQLITE_ROW)
		if (each(arg, sq_text(st, 0), (struct mr_str){
			sqlite3_column_blob(st, 1),
			(size_t)sqlite3_column_bytes(st, 1)})) {
			code = MR_STORE_STOPPED;
			break;
		}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading state");
	sqlite3_reset(st);
	sq_read_end(self, db);
	return code;
}
