/*
 * directory.c - domains, accounts, aliases, and the figures of `status`.
 *
 * Names are kept in lower case, so that every look-up is exact. Passwords are
 * kept as yescrypt hashes only.
 */
#include "engine.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

static bool
lower(const char *in, char out[SQ_ADDRESS_MOST + 1])
{
	return sq_lower((struct mr_str){in, strlen(in)}, out);
}

/* "user@domain" without quotes, or "@domain" where that is meant. */
static bool
is_address(const char *text, bool catch_all)
{
	const char *at = strchr(text, '@');

	return at && at[1] && (at > text || catch_all) &&
		!strchr(at + 1, '@') && !strpbrk(text, " <>\"\\(),;") &&
		sq_is_text(text);
}

static int
check_address(struct sq_db *db, const char *address, bool catch_all,
	struct mr_error *err)
{
	const char *domain;
	int64_t n;
	int code;

	if (!is_address(address, catch_all))
		return sq_fail(err, MR_STORE_INVALID, "%.60s is no address "
			"like user@example.org", address);
	domain = strchr(address, '@') + 1;
	code = sq_number(db, err, &n, "SELECT 1 FROM domain WHERE name = ?",
		"s", domain);
	return code == MR_STORE_MISSING ? sq_fail(err, code, "the domain "
		"%.100s is not served here; see `mailroom domain add`",
		domain) : code;
}

struct entry {
	char name[SQ_ADDRESS_MOST + 1];
	char target[SQ_ADDRESS_MOST + 1];
	const char *hash;	/* or NULL */
	int64_t quota;
	int disabled;
};

/* Walks the rows of a statement without parameters. */
static int
walk(struct sq *s, const char *sql, void (*row)(sqlite3_stmt *st, void *to),
	int (*each)(void *arg, const void *to), void *to, void *arg,
	struct mr_error *err)
{
	struct sq_db *db = sq_read(s, err);
	int step, code = MR_STORE_OK;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, sql);
	while ((step = st ? sqlite3_step(st) : SQLITE_ERROR) == SQLITE_ROW) {
		row(st, to);
		if (each(arg, to)) {
			code = MR_STORE_STOPPED;
			break;
		}
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading the directory");
	sqlite3_reset(st);
	sq_read_end(s, db);
	return code;
}

/* What the directory says of addresses changes with it. */
static int
change(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), struct entry *e, struct mr_error *err)
{
	int code;

	sq_plain_forget(s->plain);
	code = sq_write(s, run, e, err);
	sq_plain_forget(s->plain);
	return code;
}

/* --------------------------------------------------------------- domains */

static int
run_domain_add(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t n;

	if (sq_number(tx->db, NULL, &n, "SELECT 1 FROM domain WHERE name = ?",
		"s", e->name) == MR_STORE_OK)
		return sq_fail(err, MR_STORE_EXISTS, "the domain %s is there "
			"already", e->name);
	return sq_run(tx->db, err, "INSERT INTO domain VALUES (?)", "s",
		e->name);
}

static bool
is_domain(const char *name)
{
	size_t len = strlen(name);

	return len <= 255 && name[0] != '.' && name[len - 1] != '.' &&
		!strstr(name, "..") && !strpbrk(name, "@ <>/\"\\(),;");
}

int
sq_domain_add(void *self, const char *domain, struct mr_error *err)
{
	struct entry e = {.quota = 0};

	if (!lower(domain, e.name) || !is_domain(e.name))
		return sq_fail(err, MR_STORE_INVALID, "%.60s is no domain like "
			"example.org", domain);
	return change(self, run_domain_add, &e, err);
}

struct domain_walk {
	int (*each)(void *arg, const char *domain);
	void *arg;
};

static void
domain_row(sqlite3_stmt *st, void *to)
{
	*(const char **)to = sq_text(st, 0);
}

static int
domain_each(void *arg, const void *to)
{
	const struct domain_walk *w = arg;

	return w->each(w->arg, *(const char *const *)to);
}

int
sq_domain_list(void *self, int (*each)(void *arg, const char *domain),
	void *arg, struct mr_error *err)
{
	struct domain_walk w = {each, arg};
	const char *name;

	return walk(self, "SELECT name FROM domain ORDER BY name", domain_row,
		domain_each, &name, &w, err);
}

/* -------------------------------------------------------------- accounts */

static int
check_password(const char *password, struct mr_error *err)
{
	if (!*password)
		return sq_fail(err, MR_STORE_INVALID, "the password is empty");
	if (strlen(password) >= CRYPT_MAX_PASSPHRASE_SIZE)
		return sq_fail(err, MR_STORE_INVALID, "the password is longer "
			"than %d bytes", CRYPT_MAX_PASSPHRASE_SIZE - 1);
	return MR_STORE_OK;
}

/* malloc; NULL with err. Takes 0.1 s: on the caller's thread, not in the
 * change. */
static char *
hash_password(const char *password, struct mr_error *err)
{
	struct crypt_data *d = sq_alloc(sizeof *d);
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char *hash, *out = NULL;

	hash = crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof setting) ?
		crypt_r(password, setting, d) : NULL;
	if (hash && *hash != '*')
		out = sq_printf("%s", hash);
	else
		sq_fail(err, MR_STORE_FAILED, "the password cannot be hashed");
	explicit_bzero(d, sizeof *d);
	free(d);
	return out;
}

static int
make_mailboxes(struct sq_tx *tx, int64_t account, struct mr_error *err)
{
	static const struct {
		const char *name;
		uint32_t special;
	} first[] = {
		{"INBOX", MR_SPECIAL_NONE}, {"Drafts", MR_SPECIAL_DRAFTS},
		{"Sent", MR_SPECIAL_SENT}, {"Junk", MR_SPECIAL_JUNK},
		{"Trash", MR_SPECIAL_TRASH}, {"Archive", MR_SPECIAL_ARCHIVE},
	};
	int code = MR_STORE_OK;
	int64_t id;
	size_t i;

	for (i = 0; i < sizeof first / sizeof *first && code == MR_STORE_OK;
		i++) {
		code = sq_mailbox_make(tx, account, first[i].name,
			first[i].special, &id, err);
		if (code == MR_STORE_OK)
			code = sq_run(tx->db, err, "INSERT INTO subscription"
				" VALUES (?, ?)", "is", account,
				first[i].name);
	}
	return code;
}

static int
run_account_add(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t id;
	int code = check_address(tx->db, e->name, false, err);

	if (code != MR_STORE_OK)
		return code;
	if (sq_account_id(tx->db, e->name, &id, NULL) == MR_STORE_OK)
		return sq_fail(err, MR_STORE_EXISTS, "the account %s is there "
			"already", e->name);
	code = sq_number(tx->db, err, &id, "INSERT INTO account"
		" (name, password) VALUES (?, ?) RETURNING id", "ss", e->name,
		e->hash);
	return code == MR_STORE_OK ? make_mailboxes(tx, id, err) : code;
}

int
sq_account_add(void *self, const char *name, const char *password,
	struct mr_error *err)
{
	struct entry e = {.quota = 0};
	char *hash;
	int code;

	if (!lower(name, e.name))
		return sq_fail(err, MR_STORE_INVALID, "%.60s is no address",
			name);
	code = check_password(password, err);
	if (code != MR_STORE_OK)
		return code;
	e.hash = hash = hash_password(password, err);
	if (!hash)
		return MR_STORE_FAILED;
	code = change(self, run_account_add, &e, err);
	free(hash);
	return code == MR_STORE_OK ? sq_scram_set(self, e.name, password,
		err) : code;
}

static int
run_account_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t id;
	int code = sq_account_id(tx->db, e->name, &id, err);

	if (code == MR_STORE_OK && e->hash)
		code = sq_run(tx->db, err, "UPDATE account SET password = ?"
			" WHERE id = ?", "si", e->hash, id);
	if (code == MR_STORE_OK && e->quota >= 0)
		code = sq_run(tx->db, err, "UPDATE account SET quota = ?"
			" WHERE id = ?", "ii", e->quota, id);
	if (code == MR_STORE_OK && e->disabled >= 0)
		code = sq_run(tx->db, err, "UPDATE account SET disabled = ?"
			" WHERE id = ?", "ii", (int64_t)(e->disabled != 0), id);
	return code;
}

int
sq_account_set(void *self, const char *name, const char *password,
	int64_t quota, int disabled, struct mr_error *err)
{
	struct entry e = {.quota = quota, .disabled = disabled};
	char *hash = NULL;
	int code;

	if (!lower(name, e.name))
		return sq_fail(err, MR_STORE_INVALID, "no such address");
	code = password ? check_password(password, err) : MR_STORE_OK;
	if (code != MR_STORE_OK)
		return code;
	if (password && !(hash = hash_password(password, err)))
		return MR_STORE_FAILED;
	e.hash = hash;
	code = change(self, run_account_set, &e, err);
	free(hash);
	return code == MR_STORE_OK && password ? sq_scram_set(self, e.name,
		password, err) : code;
}

int
sq_account_number(void *self, const char *account, int64_t *out,
	struct mr_error *err)
{
	struct sq_db *db = sq_read_one(self, err);
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, account, out, err);
	sq_read_end(self, db);
	return code;
}

static int
run_account_remove(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t id, mailbox;
	int code = sq_account_id(tx->db, e->name, &id, err);

	if (code != MR_STORE_OK)
		return code;
	while (code == MR_STORE_OK) {
		code = sq_number(tx->db, err, &mailbox, "SELECT id FROM mailbox"
			" WHERE account = ? LIMIT 1", "i", id);
		if (code == MR_STORE_OK)
			code = sq_mailbox_remove(tx, mailbox, err);
		else if (code == MR_STORE_MISSING)
			break;
	}
	if (code != MR_STORE_MISSING)
		return code;
	code = sq_run(tx->db, err, "DELETE FROM subscription"
		" WHERE account = ?", "i", id);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM credential"
			" WHERE account = ?", "i", id);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM metadata"
			" WHERE account = ?", "i", id);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM metadata_change"
			" WHERE account = ?", "i", id);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM acl WHERE identifier"
			" IN (?1, '-' || ?1)", "s", e->name);
	if (code == MR_STORE_OK)
		code = sq_removed_drop(tx, id, err);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM account WHERE id = ?",
			"i", id);
	return code;
}

int
sq_account_remove(void *self, const char *name, struct mr_error *err)
{
	struct entry e = {.quota = 0};

	if (!lower(name, e.name))
		return sq_fail(err, MR_STORE_INVALID, "no such address");
	return change(self, run_account_remove, &e, err);
}

struct account_walk {
	int (*each)(void *arg, const struct mr_account *a);
	void *arg;
};

static void
account_row(sqlite3_stmt *st, void *to)
{
	*(struct mr_account *)to = (struct mr_account){
		.id = sqlite3_column_int64(st, 0),
		.name = sq_text(st, 1),
		.quota = (uint64_t)sqlite3_column_int64(st, 2),
		.disabled = sqlite3_column_int(st, 3),
		.bytes = (uint64_t)sqlite3_column_int64(st, 4),
		.messages = (uint32_t)sqlite3_column_int64(st, 5),
		.message_quota = (uint64_t)sqlite3_column_int64(st, 6),
	};
}

static int
account_each(void *arg, const void *to)
{
	const struct account_walk *w = arg;

	return w->each(w->arg, to);
}

int
sq_account_list(void *self, int (*each)(void *arg, const struct mr_account *a),
	void *arg, struct mr_error *err)
{
	struct account_walk w = {each, arg};
	struct mr_account a;

	return walk(self, "SELECT a.id, a.name, a.quota, a.disabled,"
		" coalesce(sum(m.bytes), 0), coalesce(sum(m.messages), 0),"
		" a.message_quota FROM account a LEFT JOIN mailbox m ON m.account = a.id"
		" GROUP BY a.id ORDER BY a.name", account_row, account_each,
		&a, &w, err);
}

/* --------------------------------------------------------------- aliases */

static int
run_alias_add(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t n;
	int code = check_address(tx->db, e->name, true, err);

	if (code != MR_STORE_OK)
		return code;
	if (sq_number(tx->db, NULL, &n, "SELECT 1 FROM alias WHERE address = ?"
		" AND target = ?", "ss", e->name, e->target) == MR_STORE_OK)
		return sq_fail(err, MR_STORE_EXISTS, "%s leads to %s already",
			e->name, e->target);
	return sq_run(tx->db, err, "INSERT INTO alias VALUES (?, ?)", "ss",
		e->name, e->target);
}

/* The local part of a target elsewhere is its owner's: its case stays. */
static int
take_alias(const char *address, const char *target, struct entry *e,
	struct mr_error *err)
{
	char *at;

	if (!lower(address, e->name))
		return sq_fail(err, MR_STORE_INVALID, "%.60s is no address",
			address);
	if (!is_address(target, false) || strlen(target) > SQ_ADDRESS_MOST)
		return sq_fail(err, MR_STORE_INVALID, "%.60s is no address "
			"like user@example.org", target);
	strcpy(e->target, target);
	for (at = strchr(e->target, '@'); *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + 32);
	return MR_STORE_OK;
}

int
sq_alias_add(void *self, const char *address, const char *target,
	struct mr_error *err)
{
	struct entry e = {.quota = 0};
	int code = take_alias(address, target, &e, err);

	return code == MR_STORE_OK ?
		change(self, run_alias_add, &e, err) : code;
}

static int
run_alias_remove(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t n;
	int code = sq_number(tx->db, err, &n, "DELETE FROM alias WHERE"
		" address = ? AND target = ? RETURNING 1", "ss", e->name,
		e->target);

	if (code == MR_STORE_MISSING)
		return sq_fail(err, code, "%s does not lead to %s", e->name,
			e->target);
	return code != MR_STORE_OK ? code : sq_run(tx->db, err,
		"DELETE FROM list WHERE address = ? AND address NOT IN"
		" (SELECT address FROM alias)", "s", e->name);
}

int
sq_alias_remove(void *self, const char *address, const char *target,
	struct mr_error *err)
{
	struct entry e = {.quota = 0};
	int code = take_alias(address, target, &e, err);

	return code == MR_STORE_OK ?
		change(self, run_alias_remove, &e, err) : code;
}

struct alias_walk {
	int (*each)(void *arg, const struct mr_alias *a);
	void *arg;
};

static void
alias_row(sqlite3_stmt *st, void *to)
{
	*(struct mr_alias *)to = (struct mr_alias){.address = sq_text(st, 0),
		.target = sq_text(st, 1)};
}

static int
alias_each(void *arg, const void *to)
{
	const struct alias_walk *w = arg;

	return w->each(w->arg, to);
}

int
sq_alias_list(void *self, int (*each)(void *arg, const struct mr_alias *a),
	void *arg, struct mr_error *err)
{
	struct alias_walk w = {each, arg};
	struct mr_alias a;

	return walk(self, "SELECT address, target FROM alias"
		" ORDER BY address, target", alias_row, alias_each, &a, &w,
		err);
}

static int
run_list_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct entry *e = arg;
	int64_t n;
	int code = sq_number(tx->db, err, &n, "SELECT 1 FROM alias"
		" WHERE address = ? LIMIT 1", "s", e->name);

	if (code != MR_STORE_OK)
		return code == MR_STORE_MISSING ? sq_fail(err, code,
			"%s leads nowhere", e->name) : code;
	if (!*e->target)
		return sq_run(tx->db, err, "DELETE FROM list"
			" WHERE address = ?", "s", e->name);
	return sq_run(tx->db, err, "INSERT OR REPLACE INTO list VALUES (?, ?)",
		"ss", e->name, e->target);
}

int
sq_list_set(void *self, const char *address, const char *owner,
	struct mr_error *err)
{
	struct entry e = {.quota = 0};
	int code = take_alias(address, owner ? owner : address, &e, err);

	if (!owner)
		*e.target = 0;
	return code == MR_STORE_OK ? change(self, run_list_set, &e, err) :
		code;
}

struct list_walk {
	int (*each)(void *arg, const struct mr_mailing_list *l);
	void *arg;
};

static void
list_row(sqlite3_stmt *st, void *to)
{
	*(struct mr_mailing_list *)to = (struct mr_mailing_list){
		.size = sizeof(struct mr_mailing_list),
		.address = sq_text(st, 0), .owner = sq_text(st, 1)};
}

static int
list_each(void *arg, const void *to)
{
	const struct list_walk *w = arg;

	return w->each(w->arg, to);
}

int
sq_list_list(void *self,
	int (*each)(void *arg, const struct mr_mailing_list *l), void *arg,
	struct mr_error *err)
{
	struct list_walk w = {each, arg};
	struct mr_mailing_list l;

	return walk(self, "SELECT address, owner FROM list ORDER BY address",
		list_row, list_each, &l, &w, err);
}

/* --------------------------------------------------------------- figures */

int
sq_figures(void *self, int64_t *messages, int64_t *queued, int64_t *held,
	int64_t *bytes, struct mr_error *err)
{
	struct sq_db *db = sq_read(self, err);
	int code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_number(db, err, messages,
		"SELECT coalesce(sum(messages), 0) FROM mailbox", "");
	if (code == MR_STORE_OK)
		code = sq_number(db, err, bytes,
			"SELECT coalesce(sum(bytes), 0) FROM mailbox", "");
	if (code == MR_STORE_OK)
		code = sq_number(db, err, queued, "SELECT count(*) FROM queue"
			" WHERE state < ?", "i", (int64_t)MR_HELD);
	if (code == MR_STORE_OK)
		code = sq_number(db, err, held, "SELECT count(*) FROM queue"
			" WHERE state = ?", "i", (int64_t)MR_HELD);
	sq_read_end(self, db);
	return code;
}
