/*
 * mailbox.c - the mailboxes of an account: list, make, remove, rename,
 * subscribe. Readers' threads read; changes run on the writing thread.
 */
#include "sq.h"

#include <string.h>
#include <strings.h>

void
sq_mailbox_row(sqlite3_stmt *st, struct mr_mailbox *m)
{
	*m = (struct mr_mailbox){
		.id = sqlite3_column_int64(st, 0),
		.name = sq_text(st, 1),
		.special = (uint32_t)sqlite3_column_int64(st, 2),
		.uidvalidity = (uint32_t)sqlite3_column_int64(st, 3),
		.uidnext = (uint32_t)sqlite3_column_int64(st, 4),
		.modseq = (uint64_t)sqlite3_column_int64(st, 5),
		.messages = (uint32_t)sqlite3_column_int64(st, 6),
		.unseen = (uint32_t)sqlite3_column_int64(st, 7),
		.bytes = (uint64_t)sqlite3_column_int64(st, 8),
		.recent_uid = (uint32_t)sqlite3_column_int64(st, 9),
		.subscribed = sqlite3_column_int(st, 10),
	};
}

/* The one row of a statement for SQ_MAILBOX_COLUMNS. */
static int
one_row(struct sq_db *db, sqlite3_stmt *st, struct mr_mailbox *out,
	struct mr_error *err)
{
	int code = st ? sqlite3_step(st) : SQLITE_ERROR;

	if (code == SQLITE_ROW) {
		sq_mailbox_row(st, out);
		out->name = NULL;
		sqlite3_reset(st);
		return MR_STORE_OK;
	}
	if (code != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading a mailbox");
	else
		code = sq_fail(err, MR_STORE_MISSING,
			"there is no such mailbox");
	sqlite3_reset(st);
	return code;
}

int
sq_mailbox_find(void *self, const char *account, const char *name,
	struct mr_mailbox *out, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	sqlite3_stmt *st;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT" SQ_MAILBOX_COLUMNS "FROM account a JOIN mailbox m"
		" ON m.account = a.id WHERE a.name = ? AND m.name = ?");
	sq_bind(st, "ss", account, strcasecmp(name, "INBOX") ? name :
		"INBOX");
	code = one_row(db, st, out, err);
	sq_read_end(self, db);
	return code;
}

int
sq_mailbox_get(void *self, int64_t mailbox, struct mr_mailbox *out,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	sqlite3_stmt *st;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT" SQ_MAILBOX_COLUMNS "FROM mailbox m WHERE m.id = ?");
	sq_bind(st, "i", mailbox);
	code = one_row(db, st, out, err);
	sq_read_end(self, db);
	return code;
}

int
sq_mailbox_list(void *self, const char *account,
	int (*each)(void *arg, const struct mr_mailbox *m), void *arg,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int step = SQLITE_DONE, code;
	struct mr_mailbox m;
	sqlite3_stmt *st;
	int64_t id = 0;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, account, &id, err);
	st = sq_sql(db, "SELECT" SQ_MAILBOX_COLUMNS "FROM mailbox m WHERE m.account = ?"
		" ORDER BY m.name <> 'INBOX', m.name");
	sq_bind(st, "i", id);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) == SQLITE_ROW) {
		sq_mailbox_row(st, &m);
		if (each(arg, &m))
			code = MR_STORE_STOPPED;
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "listing mailboxes");
	sq_read_end(self, db);
	return code;
}

/* --------------------------------------------------------------- changes */

struct change {
	const char *account, *name, *to;
	uint32_t special;
	int on;
	int64_t mailbox;
	struct mr_mailbox *out;
};

static int
run_create(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int64_t account, id;
	int code = sq_account_id(tx->db, c->account, &account, err);

	if (code == MR_STORE_OK)
		code = sq_mailbox_make(tx, account, c->name, c->special, &id,
			err);
	return code;
}

int
sq_mailbox_create(void *self, const char *account, const char *name,
	uint32_t special, struct mr_error *err)
{
	struct change c = {.account = account, .name = name,
		.special = special};

	return sq_write(self, run_create, &c, err);
}

/* Mailboxes below ?2, without the pattern language of LIKE. */
#define BELOW " substr(name, 1, length(?2) + 1) = ?2 || '/'"

static int
count_children(struct sq_db *db, int64_t account, const char *name,
	int64_t *n, struct mr_error *err)
{
	return sq_number(db, err, n, "SELECT count(*) FROM mailbox"
		" WHERE account = ?1 AND" BELOW, "is", account, name);
}

static int
run_delete(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int64_t account, id, children = 0;
	int code = sq_account_id(tx->db, c->account, &account, err);

	if (code == MR_STORE_OK)
		code = sq_mailbox_id(tx->db, account, c->name, &id, err);
	if (code == MR_STORE_OK)
		code = count_children(tx->db, account, c->name, &children,
			err);
	if (code != MR_STORE_OK)
		return code;
	if (children || !strcasecmp(c->name, "INBOX"))
		return sq_fail(err, MR_STORE_INVALID, children ?
			"there are mailboxes below it" :
			"INBOX cannot be deleted");
	code = sq_retain_tree(tx, account, c->name, err);
	if (code != MR_STORE_OK)
		return code;
	sq_changed(tx, MR_CHANGE_ACCOUNT, account, 0);
	return sq_mailbox_remove(tx, id, err);
}

int
sq_mailbox_delete(void *self, const char *account, const char *name,
	struct mr_error *err)
{
	struct change c = {.account = account, .name = name};

	return sq_write(self, run_delete, &c, err);
}

/* RFC 3501 6.3.5: the messages of INBOX move away, INBOX stays. */
static int
empty_inbox(struct sq_tx *tx, int64_t account, int64_t inbox, const char *to,
	struct mr_error *err)
{
	int64_t id;
	int code = sq_mailbox_make(tx, account, to, 0, &id, err);

	if (code != MR_STORE_OK)
		return code;
	return sq_move_all(tx, inbox, id, err);
}

/* Names below stay as short as sq_check_name wants them. */
static int
check_children(struct sq_db *db, int64_t account, const char *from,
	const char *to, struct mr_error *err)
{
	int64_t longest;
	int code = sq_number(db, err, &longest, "SELECT coalesce(max(length("
		"CAST(name AS BLOB))), 0) FROM mailbox WHERE account = ?1 AND"
		BELOW, "is", account, from);

	if (code == MR_STORE_OK && longest && longest + (int64_t)strlen(to) -
		(int64_t)strlen(from) > SQ_NAME_MOST)
		code = sq_fail(err, MR_STORE_INVALID,
			"the names below it would become too long");
	return code;
}

/* UIDs and UIDVALIDITY go along with the mailbox: both names never had it
 * with other messages. */
static int
rename_tree(struct sq_tx *tx, int64_t account, const char *from,
	const char *to, struct mr_error *err)
{
	int64_t id, made;
	int code = sq_mailbox_id(tx->db, account, from, &id, err);

	if (code == MR_STORE_OK)
		code = check_children(tx->db, account, from, to, err);
	if (code == MR_STORE_OK)
		code = sq_mailbox_make(tx, account, to, 0, &made, err);
	if (code == MR_STORE_OK)	/* only its parents were wanted */
		code = sq_run(tx->db, err, "DELETE FROM mailbox WHERE id = ?",
			"i", made);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM acl WHERE mailbox = ?",
			"i", made);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE mailbox SET name = ?3 ||"
			" substr(name, length(?2) + 1) WHERE account = ?1 AND"
			" (name = ?2 OR" BELOW ")", "iss", account, from, to);
	if (code == MR_STORE_OK)
		sq_changed(tx, MR_CHANGE_MAILBOX, id, 0);
	sq_changed(tx, MR_CHANGE_ACCOUNT, account, 0);
	return code;
}

static int
rename_inbox(struct sq_tx *tx, int64_t account, const char *to,
	struct mr_error *err)
{
	int64_t inbox;
	int code = sq_mailbox_id(tx->db, account, "INBOX", &inbox, err);

	return code == MR_STORE_OK ?
		empty_inbox(tx, account, inbox, to, err) : code;
}

static int
run_rename(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	size_t len = strlen(c->name);
	int64_t account;
	int code = sq_account_id(tx->db, c->account, &account, err);

	if (code == MR_STORE_OK)
		code = sq_check_name(c->to, err);
	if (code == MR_STORE_OK)
		code = sq_retain_tree(tx, account, c->name, err);
	if (code != MR_STORE_OK)
		return code;
	if (!strcasecmp(c->name, "INBOX"))
		return rename_inbox(tx, account, c->to, err);
	if (!strncmp(c->to, c->name, len) && c->to[len] == '/')
		return sq_fail(err, MR_STORE_INVALID,
			"a mailbox cannot move below itself");
	return rename_tree(tx, account, c->name, c->to, err);
}

int
sq_mailbox_rename(void *self, const char *account, const char *from,
	const char *to, struct mr_error *err)
{
	struct change c = {.account = account, .name = from, .to = to};

	return sq_write(self, run_rename, &c, err);
}

static int
run_use(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int64_t account;
	int code = sq_number(tx->db, err, &account, "UPDATE mailbox"
		" SET special = ? WHERE id = ? RETURNING account", "ii",
		(int64_t)c->special, c->mailbox);

	if (code == MR_STORE_MISSING)
		return sq_fail(err, code, "there is no such mailbox");
	if (code == MR_STORE_OK)
		code = sq_metadata_note(tx, c->mailbox, account,
			"/private/specialuse", err);
	return code;
}

int
sq_mailbox_use(void *self, int64_t mailbox, uint32_t special,
	struct mr_error *err)
{
	struct change c = {.mailbox = mailbox, .special = special};

	return sq_write(self, run_use, &c, err);
}

static int
run_subscribe(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int64_t account;
	int code = sq_account_id(tx->db, c->account, &account, err);

	if (code == MR_STORE_OK)
		code = sq_check_name(c->name, err);
	if (code != MR_STORE_OK)
		return code;
	sq_changed(tx, MR_CHANGE_ACCOUNT, account, 0);
	if (c->on)
		return sq_run(tx->db, err, "INSERT OR IGNORE INTO subscription"
			" VALUES (?, ?)", "is", account, c->name);
	return sq_run(tx->db, err, "DELETE FROM subscription"
		" WHERE account = ? AND name = ?", "is", account, c->name);
}

int
sq_subscribe(void *self, const char *account, const char *name, int on,
	struct mr_error *err)
{
	struct change c = {.account = account, .on = on,
		.name = strcasecmp(name, "INBOX") ? name : "INBOX"};

	return sq_write(self, run_subscribe, &c, err);
}

int
sq_subscriptions(void *self, const char *account,
	int (*each)(void *arg, const char *name), void *arg,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int step = SQLITE_DONE, code;
	sqlite3_stmt *st;
	int64_t id = 0;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, account, &id, err);
	st = sq_sql(db, "SELECT name FROM subscription WHERE account = ?"
		" ORDER BY name <> 'INBOX', name");
	sq_bind(st, "i", id);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) == SQLITE_ROW)
		if (each(arg, sq_text(st, 0)))
			code = MR_STORE_STOPPED;
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "listing subscriptions");
	sq_read_end(self, db);
	return code;
}

static int
run_take_recent(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct change *c = arg;
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT" SQ_MAILBOX_COLUMNS
		"FROM mailbox m WHERE m.id = ?");
	int code;

	sq_bind(st, "i", c->mailbox);
	code = one_row(tx->db, st, c->out, err);
	if (code != MR_STORE_OK || c->out->recent_uid == c->out->uidnext)
		return code;
	return sq_run(tx->db, err, "UPDATE mailbox SET recent_uid = uidnext"
		" WHERE id = ?", "i", c->mailbox);
}

int
sq_mailbox_take_recent(void *self, int64_t mailbox, struct mr_mailbox *out,
	struct mr_error *err)
{
	struct change c = {.mailbox = mailbox, .out = out};
	int code = sq_mailbox_get(self, mailbox, out, err);

	/* Nothing new: no write, no flush. */
	if (code != MR_STORE_OK || out->recent_uid == out->uidnext)
		return code;
	return sq_write(self, run_take_recent, &c, err);
}
