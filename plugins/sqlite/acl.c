/*
 * acl.c - what accounts may do in mailboxes of others (RFC 4314).
 *
 * A row grants rights to an identifier: an account, or "anyone", which is
 * every account of the owner's domain; "-" in front takes away instead. What
 * an account has is the sum of its grants less the sum of what is taken. The
 * owner has all rights and no row. A new mailbox begins with the rows of its
 * parent (names.c). Callers' threads read, the writing thread changes.
 */
#include "sq.h"

#include <string.h>

/* Rows that concern account ?1; joined with mailbox m and its owner o. */
#define CONCERNS " (a.identifier IN (?1, '-' || ?1) OR" \
	" (a.identifier IN ('anyone', '-anyone') AND" \
	" substr(o.name, instr(o.name, '@')) =" \
	" substr(?1, instr(?1, '@')))) "
#define JOINED " FROM acl a JOIN mailbox m ON m.id = a.mailbox" \
	" JOIN account o ON o.id = m.account "

struct sum {
	uint32_t granted, taken;
};

static void
sum_add(struct sum *s, const char *identifier, int64_t rights)
{
	if (identifier[0] == '-')
		s->taken |= (uint32_t)rights;
	else
		s->granted |= (uint32_t)rights;
}

/* -------------------------------------------------------------- reading */

static int
sum_rows(struct sq_db *db, int64_t mailbox, const char *account,
	uint32_t *rights, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT a.identifier, a.rights" JOINED
		"WHERE a.mailbox = ?2 AND" CONCERNS);
	struct sum sum = {0, 0};
	int step;

	sq_bind(st, "si", account, mailbox);
	while ((step = sqlite3_step(st)) == SQLITE_ROW)
		sum_add(&sum, sq_text(st, 0), sqlite3_column_int64(st, 1));
	*rights = sum.granted & ~sum.taken;
	if (step != SQLITE_DONE)
		return sq_fail_db(err, db, "reading rights");
	sqlite3_reset(st);
	return MR_STORE_OK;
}

int
sq_acl_rights(void *self, int64_t mailbox, const char *account,
	uint32_t *rights, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int64_t n;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	*rights = 0;
	code = sq_mailbox_check(db, mailbox, err);
	if (code == MR_STORE_OK)
		code = sq_number(db, err, &n, "SELECT o.name = ? FROM mailbox m"
			" JOIN account o ON o.id = m.account WHERE m.id = ?",
			"si", account, mailbox);
	if (code == MR_STORE_OK && n)
		*rights = MR_RIGHTS_ALL;
	else if (code == MR_STORE_OK)
		code = sum_rows(db, mailbox, account, rights, err);
	sq_read_end(self, db);
	return code;
}

int
sq_acl_list(void *self, int64_t mailbox,
	int (*each)(void *arg, const char *identifier, uint32_t rights),
	void *arg, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int step = SQLITE_DONE, code;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_mailbox_check(db, mailbox, err);
	st = sq_sql(db, "SELECT identifier, rights FROM acl WHERE mailbox = ?"
		" ORDER BY identifier");
	sq_bind(st, "i", mailbox);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) == SQLITE_ROW)
		if (each(arg, sq_text(st, 0),
			(uint32_t)sqlite3_column_int64(st, 1)))
			code = MR_STORE_STOPPED;
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading rights");
	sqlite3_reset(st);
	sq_read_end(self, db);
	return code;
}

/* The rows of one mailbox stand together; it is shown when they end. */
struct shared {
	int (*each)(void *arg, const char *owner, const struct mr_mailbox *m,
		uint32_t rights);
	void *arg;
	struct sum sum;
	struct mr_mailbox m;	/* id 0: none yet */
	char owner[SQ_ADDRESS_MOST + 1], name[SQ_NAME_MOST + 1];
};

static int
show(struct shared *s)
{
	uint32_t rights = s->sum.granted & ~s->sum.taken;

	return s->m.id && rights ? s->each(s->arg, s->owner, &s->m, rights) :
		0;
}

static void
begin(struct shared *s, sqlite3_stmt *st)
{
	sq_mailbox_row(st, &s->m);
	snprintf(s->name, sizeof s->name, "%s", s->m.name);
	snprintf(s->owner, sizeof s->owner, "%s",
		sq_text(st, SQ_MAILBOX_COLUMNS_N));
	s->m.name = s->name;
	s->m.subscribed = 0;
	s->sum = (struct sum){0, 0};
}

static int
walk_shared(struct sq_db *db, sqlite3_stmt *st, struct shared *s,
	struct mr_error *err)
{
	int step;

	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		if (sqlite3_column_int64(st, 0) != s->m.id) {
			if (show(s))
				return MR_STORE_STOPPED;
			begin(s, st);
		}
		sum_add(&s->sum, sq_text(st, SQ_MAILBOX_COLUMNS_N + 1),
			sqlite3_column_int64(st, SQ_MAILBOX_COLUMNS_N + 2));
	}
	if (step != SQLITE_DONE)
		return sq_fail_db(err, db, "listing shared mailboxes");
	return show(s) ? MR_STORE_STOPPED : MR_STORE_OK;
}

int
sq_acl_shared(void *self, const char *account,
	int (*each)(void *arg, const char *owner, const struct mr_mailbox *m,
		uint32_t rights), void *arg, struct mr_error *err)
{
	struct shared s = {.each = each, .arg = arg};
	struct sq_db *db = sq_read(self, err);
	sqlite3_stmt *st;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT" SQ_MAILBOX_COLUMNS ", o.name, a.identifier,"
		" a.rights" JOINED "WHERE a.identifier IN (?1, '-' || ?1,"
		" 'anyone', '-anyone') AND o.name <> ?1 AND" CONCERNS
		"ORDER BY o.name, m.name <> 'INBOX', m.name");
	sq_bind(st, "s", account);
	code = walk_shared(db, st, &s, err);
	sqlite3_reset(st);
	sq_read_end(self, db);
	return code;
}

/* -------------------------------------------------------------- changing */

struct change {
	int64_t mailbox;
	const char *identifier;
	uint32_t op, rights;
};

static int
check_identifier(struct sq_db *db, const char *identifier,
	struct mr_error *err)
{
	const char *name = identifier + (identifier[0] == '-');
	int64_t id;
	int code;

	if (!strcmp(name, "anyone"))
		return MR_STORE_OK;
	code = sq_account_id(db, name, &id, err);
	return code == MR_STORE_MISSING ? MR_STORE_INVALID : code;
}

/* One who gets or loses a mailbox may be listing them. */
static void
tell_account(struct sq_tx *tx, const char *identifier)
{
	int64_t id;

	if (sq_account_id(tx->db, identifier + (identifier[0] == '-'), &id,
		NULL) == MR_STORE_OK)
		sq_changed(tx, MR_CHANGE_ACCOUNT, id, 0);
}

static int
run_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct change *c = arg;
	int code = sq_mailbox_check(tx->db, c->mailbox, err);

	/* What is taken away may be of an account that is gone. */
	if (code == MR_STORE_OK && c->op != MR_FLAGS_REMOVE && c->rights)
		code = check_identifier(tx->db, c->identifier, err);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "INSERT INTO acl (mailbox,"
			" identifier, rights) VALUES (?1, ?2, 0)"
			" ON CONFLICT DO NOTHING", "is", c->mailbox,
			c->identifier);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "UPDATE acl SET rights = CASE ?3"
			" WHEN 1 THEN ?4 WHEN 2 THEN rights | ?4"
			" ELSE rights & ~?4 END WHERE mailbox = ?1"
			" AND identifier = ?2", "isii", c->mailbox,
			c->identifier, (int64_t)c->op, (int64_t)c->rights);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM acl WHERE mailbox = ?"
			" AND rights = 0", "i", c->mailbox);
	if (code == MR_STORE_OK)
		sq_changed(tx, MR_CHANGE_MAILBOX, c->mailbox, 0);
	tell_account(tx, c->identifier);
	return code;
}

int
sq_acl_set(void *self, int64_t mailbox, const char *identifier, uint32_t op,
	uint32_t rights, struct mr_error *err)
{
	struct change c = {mailbox, identifier, op, rights};

	return sq_write(self, run_set, &c, err);
}
