/*
 * quota.c - what an account may hold, in bytes and in messages. The sums stand
 * in the mailboxes' rows, so nothing is counted. sq_quota_check runs inside a
 * change, the rest on callers' threads.
 */
#include "engine.h"

int
sq_quota_of(struct sq_db *db, int64_t account, struct mr_quota *out,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT a.quota, a.message_quota,"
		" coalesce(sum(m.bytes), 0), coalesce(sum(m.messages), 0)"
		" FROM account a LEFT JOIN mailbox m ON m.account = a.id"
		" WHERE a.id = ?");
	int code = MR_STORE_OK;

	sq_bind(st, "i", account);
	if (st && sqlite3_step(st) == SQLITE_ROW)
		*out = (struct mr_quota){.size = sizeof *out,
			.byte_limit = (uint64_t)sqlite3_column_int64(st, 0),
			.message_limit = (uint64_t)sqlite3_column_int64(st, 1),
			.bytes = (uint64_t)sqlite3_column_int64(st, 2),
			.messages = (uint64_t)sqlite3_column_int64(st, 3)};
	else
		code = sq_fail_db(err, db, "reading a quota");
	sqlite3_reset(st);
	return code;
}

bool
sq_quota_allows(const struct mr_quota *q, uint64_t bytes, uint64_t messages)
{
	return (q->byte_limit == 0 || q->bytes + bytes <= q->byte_limit) &&
		(q->message_limit == 0 ||
		q->messages + messages <= q->message_limit);
}

int
sq_quota_check(struct sq_db *db, int64_t account, uint64_t bytes,
	uint64_t messages, struct mr_error *err)
{
	struct mr_quota q;
	int code = sq_quota_of(db, account, &q, err);

	if (code == MR_STORE_OK && !sq_quota_allows(&q, bytes, messages))
		code = sq_fail(err, MR_STORE_OVER_QUOTA,
			"the account is over its quota");
	return code;
}

int
sq_quota_get(void *self, const char *account, struct mr_quota *out,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int64_t id;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, account, &id, err);
	if (code == MR_STORE_OK)
		code = sq_quota_of(db, id, out, err);
	sq_read_end(self, db);
	return code;
}

struct change {
	const char *account;
	int64_t message_limit;
};

static int
run_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int64_t id;
	int code = sq_account_id(tx->db, c->account, &id, err);

	return code != MR_STORE_OK ? code : sq_run(tx->db, err, "UPDATE account"
		" SET message_quota = ? WHERE id = ?", "ii", c->message_limit,
		id);
}

/* What the directory says of an account changes with it (plain.c). */
int
sq_quota_set(void *self, const char *account, int64_t message_limit,
	struct mr_error *err)
{
	struct sq *s = self;
	struct change c = {account, message_limit};
	int code;

	sq_plain_forget(s->plain);
	code = sq_write(s, run_set, &c, err);
	sq_plain_forget(s->plain);
	return code;
}
