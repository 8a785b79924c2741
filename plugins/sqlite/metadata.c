/*
 * metadata.c - annotations of mailboxes and of the whole store.
 *
 * A row belongs to a mailbox (0: the store) and, where its name begins with
 * /private/, to the account that made it; what is shared belongs to account
 * 0. Rows follow the mailbox's id, so renaming needs nothing here. Beside
 * them stands when each name was last set or taken away, for those who want to
 * be told; of each owner's names in a mailbox the last ones are remembered.
 * Callers' threads read, the writing thread changes.
 */
#include "sq.h"

#include <string.h>

#define CHANGES_MOST 200

static bool
is_private(const char *name)
{
	return !strncmp(name, "/private/", 9);
}

static int
check_place(struct sq_db *db, int64_t mailbox, struct mr_error *err)
{
	return mailbox ? sq_mailbox_check(db, mailbox, err) : MR_STORE_OK;
}

int
sq_metadata_get(void *self, const char *account, int64_t mailbox,
	int (*each)(void *arg, const char *name, struct mr_str value),
	void *arg, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int step = SQLITE_DONE, code;
	sqlite3_stmt *st;
	int64_t id = 0;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, account, &id, err);
	if (code == MR_STORE_OK)
		code = check_place(db, mailbox, err);
	st = sq_sql(db, "SELECT name, value FROM metadata WHERE mailbox = ?"
		" AND account IN (0, ?) ORDER BY name");
	sq_bind(st, "ii", mailbox, id);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) == SQLITE_ROW)
		if (each(arg, sq_text(st, 0), (struct mr_str){
			sqlite3_column_blob(st, 1),
			(size_t)sqlite3_column_bytes(st, 1)}))
			code = MR_STORE_STOPPED;
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading annotations");
	sqlite3_reset(st);
	sq_read_end(self, db);
	return code;
}

int
sq_metadata_changed(void *self, const char *account, int64_t since,
	int (*each)(void *arg, int64_t mailbox, const char *name), void *arg,
	int64_t *now, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int step = SQLITE_DONE, code;
	sqlite3_stmt *st;
	int64_t id = 0;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, account, &id, err);
	if (code == MR_STORE_OK)
		code = sq_number(db, err, now, "SELECT coalesce(max(value), 0)"
			" FROM counter WHERE name = 'metadata'", "");
	st = sq_sql(db, "SELECT mailbox, name FROM metadata_change"
		" WHERE changed > ? AND account IN (0, ?) ORDER BY changed");
	sq_bind(st, "ii", since, id);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) == SQLITE_ROW)
		if (each(arg, sqlite3_column_int64(st, 0), sq_text(st, 1)))
			code = MR_STORE_STOPPED;
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading annotations");
	sqlite3_reset(st);
	sq_read_end(self, db);
	return code;
}

/* Who may see it is told: of what is shared, who watches the mailbox. */
int
sq_metadata_note(struct sq_tx *tx, int64_t mailbox, int64_t account,
	const char *name, struct mr_error *err)
{
	int64_t whose = is_private(name) ? account : 0, n = 0;
	int code = sq_number(tx->db, err, &n, "INSERT INTO counter"
		" VALUES ('metadata', 1) ON CONFLICT (name) DO UPDATE"
		" SET value = value + 1 RETURNING value", "");

	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO metadata_change"
			" (mailbox, account, name, changed) VALUES (?, ?, ?, ?)"
			" ON CONFLICT DO UPDATE SET changed ="
			" excluded.changed", "iisi", mailbox, whose, name, n);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM metadata_change"
			" WHERE mailbox = ?1 AND account = ?2 AND changed <="
			" (SELECT changed FROM metadata_change"
			" WHERE mailbox = ?1 AND account = ?2"
			" ORDER BY changed DESC LIMIT 1 OFFSET ?3)", "iii",
			mailbox, whose, (int64_t)CHANGES_MOST);
	sq_changed(tx, MR_CHANGE_ACCOUNT, account, 0);
	if (mailbox)
		sq_changed(tx, MR_CHANGE_MAILBOX, mailbox, 0);
	return code;
}

struct change {
	const char *account;
	int64_t mailbox;
	const struct mr_metadata *entry;
	size_t n;
	uint32_t most;
};

static int
set_one(struct sq_tx *tx, const struct change *c, int64_t account,
	const struct mr_metadata *e, struct mr_error *err)
{
	int64_t whose = is_private(e->name) ? account : 0;
	int code = sq_metadata_note(tx, c->mailbox, account, e->name, err);

	if (code != MR_STORE_OK)
		return code;
	if (!e->value.at)
		return sq_run(tx->db, err, "DELETE FROM metadata"
			" WHERE mailbox = ? AND account = ? AND name = ?",
			"iis", c->mailbox, whose, e->name);
	return sq_run(tx->db, err, "INSERT INTO metadata (mailbox, account,"
		" name, value) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
		" SET value = excluded.value", "iisb", c->mailbox, whose,
		e->name, (const void *)e->value.at, e->value.len);
}

/* OVER_QUOTA, and so undone, when one of the owners has too many. */
static int
check_count(struct sq_tx *tx, const struct change *c, int64_t account,
	struct mr_error *err)
{
	int64_t most = 0;
	int code = sq_number(tx->db, err, &most, "SELECT coalesce(max(n), 0)"
		" FROM (SELECT count(*) AS n FROM metadata WHERE mailbox = ?"
		" AND account IN (0, ?) GROUP BY account)", "ii", c->mailbox,
		account);

	if (code == MR_STORE_OK && most > c->most)
		return sq_fail(err, MR_STORE_OVER_QUOTA,
			"more than %u annotations", c->most);
	return code;
}

static int
run_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int64_t account;
	int code = sq_account_id(tx->db, c->account, &account, err);
	size_t i;

	if (code == MR_STORE_OK)
		code = check_place(tx->db, c->mailbox, err);
	for (i = 0; i < c->n && code == MR_STORE_OK; i++)
		code = set_one(tx, c, account, &c->entry[i], err);
	return code == MR_STORE_OK ? check_count(tx, c, account, err) : code;
}

int
sq_metadata_set(void *self, const char *account, int64_t mailbox,
	const struct mr_metadata *entry, size_t n, uint32_t most,
	struct mr_error *err)
{
	struct change c = {account, mailbox, entry, n, most};

	return sq_write(self, run_set, &c, err);
}
