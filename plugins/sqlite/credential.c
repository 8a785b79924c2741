/*
 * credential.c - SCRAM keys (RFC 5802, 7677) and app passwords.
 *
 * A row is one password of an account: name "" is the account's own, of which
 * only the keys stand here (its hash is in the account); others are app
 * passwords, random ones, which a digest guards well enough. All keys of an
 * account have one salt and one count, since a client is told them before it
 * says which password it has.
 */
#include "engine.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

#define ITERATIONS 10000
#define SALT 16
#define USED_MS 3600000		/* the last use is told so exactly */
#define APP_DIGEST 32

struct keys {
	unsigned char stored1[20], server1[20];
	unsigned char stored256[32], server256[32];
};

/* ------------------------------------------------------------------- keys */

/* RFC 4013 for what people type: NFKC. malloc. */
static char *
prepare(const char *password, size_t *len)
{
	uint8_t *out = u8_normalize(UNINORM_NFKC, (const uint8_t *)password,
		strlen(password), NULL, len);

	if (out)
		return (char *)out;
	*len = strlen(password);
	return sq_printf("%s", password);
}

static bool
derive(const EVP_MD *md, const char *password, size_t len,
	const unsigned char *salt, unsigned char *stored, unsigned char *server)
{
	unsigned char salted[EVP_MAX_MD_SIZE], client[EVP_MAX_MD_SIZE];
	int size = EVP_MD_get_size(md);
	bool good;

	good = PKCS5_PBKDF2_HMAC(password, (int)len, salt, SALT, ITERATIONS,
		md, size, salted) == 1 &&
		HMAC(md, salted, size, (const unsigned char *)"Client Key", 10,
			client, NULL) &&
		HMAC(md, salted, size, (const unsigned char *)"Server Key", 10,
			server, NULL) &&
		EVP_Digest(client, (size_t)size, stored, NULL, md, NULL) == 1;
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(client, sizeof client);
	return good;
}

static bool
make_keys(const char *password, const unsigned char salt[SALT],
	struct keys *out)
{
	size_t len;
	char *text = prepare(password, &len);
	bool good = derive(EVP_sha1(), text, len, salt, out->stored1,
		out->server1) && derive(EVP_sha256(), text, len, salt,
		out->stored256, out->server256);

	OPENSSL_cleanse(text, len);
	free(text);
	return good;
}

/* Typed with or without the hyphens that it was shown with. */
static void
digest_app(struct mr_str password, const unsigned char salt[SALT],
	unsigned char out[APP_DIGEST])
{
	unsigned char text[200];
	size_t n = 0, i;

	for (i = 0; i < password.len && n < sizeof text; i++)
		if (password.at[i] != '-' && password.at[i] != ' ')
			text[n++] = (unsigned char)password.at[i];
	HMAC(EVP_sha256(), salt, SALT, text, n, out, NULL);
	OPENSSL_cleanse(text, sizeof text);
}

/* -------------------------------------------------------------------- set */

struct setting {
	const char *account, *name, *scopes;
	unsigned char salt[SALT];
	struct keys keys;
	unsigned char digest[APP_DIGEST];
	bool is_app;
};

static int
run_set(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct setting *s = arg;

	return sq_run(tx->db, err, "INSERT INTO credential (account, name,"
		" scopes, digest, stored1, server1, stored256, server256,"
		" created_ms, used_ms) SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, 0"
		" FROM account WHERE name = ?"
		" ON CONFLICT (account, name) DO UPDATE SET"
		" stored1 = excluded.stored1, server1 = excluded.server1,"
		" stored256 = excluded.stored256,"
		" server256 = excluded.server256", "ssbbbbbis", s->name,
		s->scopes, (const void *)s->digest,
		s->is_app ? (size_t)APP_DIGEST : (size_t)0,
		(const void *)s->keys.stored1, sizeof s->keys.stored1,
		(const void *)s->keys.server1, sizeof s->keys.server1,
		(const void *)s->keys.stored256, sizeof s->keys.stored256,
		(const void *)s->keys.server256, sizeof s->keys.server256,
		tx->now_ms, s->account);
}

static int
run_salt(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct setting *s = arg;

	return sq_run(tx->db, err, "UPDATE account SET scram_salt = ?"
		" WHERE name = ? AND scram_salt IS NULL", "bs",
		(const void *)s->salt, (size_t)SALT, s->account);
}

/* MISSING: no such account, or it has no salt yet. */
static int
read_salt(struct sq *q, const char *account, unsigned char out[SALT])
{
	struct sq_db *db = sq_read(q, NULL);
	int code = MR_STORE_MISSING;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT scram_salt FROM account WHERE name = ?");
	if (st) {
		sq_bind(st, "s", account);
		if (sqlite3_step(st) == SQLITE_ROW &&
			sqlite3_column_bytes(st, 0) == SALT) {
			memcpy(out, sqlite3_column_blob(st, 0), SALT);
			code = MR_STORE_OK;
		}
		sqlite3_reset(st);
	}
	sq_read_end(q, db);
	return code;
}

static int
set_salt(struct sq *q, struct setting *s, struct mr_error *err)
{
	int code = read_salt(q, s->account, s->salt);

	if (code != MR_STORE_MISSING)
		return code;
	if (RAND_bytes(s->salt, SALT) != 1)
		return sq_fail(err, MR_STORE_FAILED, "no random bytes");
	code = sq_write(q, run_salt, s, err);
	/* Another process may have been first. */
	return code == MR_STORE_OK ? read_salt(q, s->account, s->salt) : code;
}

static int
set_password(struct sq *q, struct setting *s, const char *password,
	struct mr_error *err)
{
	int code = set_salt(q, s, err);

	if (code != MR_STORE_OK)
		return code;
	if (!make_keys(password, s->salt, &s->keys))
		return sq_fail(err, MR_STORE_FAILED, "the keys cannot be made");
	digest_app((struct mr_str){password, strlen(password)}, s->salt,
		s->digest);
	code = sq_write(q, run_set, s, err);
	OPENSSL_cleanse(s, sizeof *s);
	return code;
}

int
sq_scram_set(struct sq *q, const char *account, const char *password,
	struct mr_error *err)
{
	struct setting s = {.account = account, .name = "", .scopes = ""};

	return set_password(q, &s, password, err);
}

/* ---------------------------------------------------------- app passwords */

static bool
are_scopes(const char *text)
{
	static const char *const known[] = {"imap", "pop3", "smtp"};
	char copy[100], *at, *word;
	size_t i;

	if (!*text || strlen(text) >= sizeof copy)
		return false;
	snprintf(copy, sizeof copy, "%s", text);
	for (word = strtok_r(copy, ",", &at); word;
		word = strtok_r(NULL, ",", &at)) {
		for (i = 0; i < 3 && strcmp(word, known[i]); i++)
			;
		if (i == 3)
			return false;
	}
	return true;
}

struct naming {
	char account[SQ_ADDRESS_MOST + 1];
	const char *name;
	int64_t found;
};

static int
run_find(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct naming *n = arg;
	int64_t id;
	int code = sq_account_id(tx->db, n->account, &id, err);

	n->found = 0;
	if (code != MR_STORE_OK)
		return code;
	code = sq_number(tx->db, NULL, &n->found, "SELECT 1 FROM credential"
		" WHERE account = ? AND name = ?", "is", id, n->name);
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

int
sq_app_password_add(void *self, const char *account, const char *name,
	const char *scopes, const char *password, struct mr_error *err)
{
	struct naming n = {.name = name};
	struct setting s = {.account = n.account, .name = name,
		.scopes = scopes, .is_app = true};
	int code;

	if (!sq_lower((struct mr_str){account, strlen(account)}, n.account))
		return sq_fail(err, MR_STORE_INVALID, "no such address");
	if (!*name || strlen(name) > 60 || !sq_is_text(name))
		return sq_fail(err, MR_STORE_INVALID, "a name of at most 60 "
			"characters is needed, such as phone");
	if (!are_scopes(scopes))
		return sq_fail(err, MR_STORE_INVALID, "scopes are some of "
			"imap,pop3,smtp");
	if (strlen(password) < 16)
		return sq_fail(err, MR_STORE_INVALID, "an app password has at "
			"least 16 characters");
	code = sq_write(self, run_find, &n, err);
	if (code != MR_STORE_OK)
		return code;
	if (n.found)
		return sq_fail(err, MR_STORE_EXISTS, "%s has an app password "
			"%s already", n.account, name);
	return set_password(self, &s, password, err);
}

static int
run_remove(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct naming *n = arg;
	int code = run_find(tx, n, err);

	if (code != MR_STORE_OK)
		return code;
	if (!n->found)
		return sq_fail(err, MR_STORE_MISSING, "%s has no app password "
			"%s", n->account, n->name);
	return sq_run(tx->db, err, "DELETE FROM credential WHERE name = ? AND"
		" account = (SELECT id FROM account WHERE name = ?)", "ss",
		n->name, n->account);
}

int
sq_app_password_remove(void *self, const char *account, const char *name,
	struct mr_error *err)
{
	struct naming n = {.name = name};

	if (!*name || !sq_lower((struct mr_str){account, strlen(account)},
		n.account))
		return sq_fail(err, MR_STORE_INVALID, "no such address");
	return sq_write(self, run_remove, &n, err);
}

int
sq_app_password_list(void *self, const char *account,
	int (*each)(void *arg, const struct mr_app_password *p), void *arg,
	struct mr_error *err)
{
	char name[SQ_ADDRESS_MOST + 1] = "";
	struct sq_db *db = sq_read(self, err);
	struct mr_app_password p = {.size = sizeof p};
	int step, code = MR_STORE_OK;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	if (account)
		sq_lower((struct mr_str){account, strlen(account)}, name);
	st = sq_sql(db, "SELECT a.name, c.name, c.scopes, c.created_ms,"
		" c.used_ms FROM credential c JOIN account a ON a.id ="
		" c.account WHERE c.name <> '' AND (? = '' OR a.name = ?)"
		" ORDER BY a.name, c.name");
	sq_bind(st, "ss", name, name);
	while ((step = st ? sqlite3_step(st) : SQLITE_ERROR) == SQLITE_ROW) {
		p.account = sq_text(st, 0);
		p.name = sq_text(st, 1);
		p.scopes = sq_text(st, 2);
		p.created_ms = sqlite3_column_int64(st, 3);
		p.used_ms = sqlite3_column_int64(st, 4);
		if (each(arg, &p)) {
			code = MR_STORE_STOPPED;
			break;
		}
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "reading app passwords");
	sqlite3_reset(st);
	sq_read_end(self, db);
	return code;
}

/* ------------------------------------------------------------------ login */

struct use {
	const char *account, *name;
};

static int
run_use(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct use *u = arg;

	return sq_run(tx->db, err, "UPDATE credential SET used_ms = ?"
		" WHERE name = ? AND account = (SELECT id FROM account"
		" WHERE name = ?)", "iss", tx->now_ms, u->name, u->account);
}

/* Told by its thread of writing; an error costs a date. */
static void
note_use(struct sq *q, const char *account, const char *name, int64_t used_ms)
{
	struct use u = {account, name};
	struct mr_error err;

	if (*name && sq_clock_wall() - used_ms > USED_MS)
		sq_write(q, run_use, &u, &err);
}

static bool
has_scope(const char *scopes, const char *service)
{
	size_t len = strlen(service);
	const char *at;

	if (!*scopes)
		return true;	/* the account's own */
	for (at = scopes; (at = strstr(at, service)); at += len)
		if ((at == scopes || at[-1] == ',') &&
			(!at[len] || at[len] == ','))
			return true;
	return false;
}

static sqlite3_stmt *
credentials(struct sq_db *db, const char *account)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT c.name, c.scopes, c.digest,"
		" c.stored1, c.server1, c.stored256, c.server256, c.used_ms,"
		" a.scram_salt, a.disabled FROM account a LEFT JOIN"
		" credential c ON c.account = a.id WHERE a.name = ?"
		" LIMIT 100");

	sq_bind(st, "s", account);
	return st;
}

/* Is the password one of the account's app passwords? */
bool
sq_app_password_fits(struct sq *q, const char *account,
	struct mr_str password, const char *service, bool *disabled)
{
	unsigned char digest[APP_DIGEST];
	struct sq_db *db = sq_read(q, NULL);
	char name[64] = "";
	int64_t used = 0;
	bool fits = false;
	sqlite3_stmt *st;

	if (!db)
		return false;
	st = credentials(db, account);
	while (st && !fits && sqlite3_step(st) == SQLITE_ROW) {
		if (sqlite3_column_bytes(st, 2) != APP_DIGEST ||
			sqlite3_column_bytes(st, 8) != SALT ||
			!has_scope(sq_text(st, 1), service))
			continue;
		digest_app(password, sqlite3_column_blob(st, 8), digest);
		fits = !CRYPTO_memcmp(digest, sqlite3_column_blob(st, 2),
			APP_DIGEST);
		*disabled = sqlite3_column_int(st, 9);
		snprintf(name, sizeof name, "%s", sq_text(st, 0));
		used = sqlite3_column_int64(st, 7);
	}
	sqlite3_reset(st);
	sq_read_end(q, db);
	if (fits)
		note_use(q, account, name, used);
	return fits;
}

/* Salts of accounts that do not exist: always the same, and unguessable. */
static int
false_salt(struct sq *q, struct mr_str login, unsigned char out[SALT])
{
	struct sq_db *db = sq_read(q, NULL);
	unsigned char mac[32];
	int code = MR_STORE_FAILED;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT value FROM secret WHERE name = 'scram'");
	if (st && sqlite3_step(st) == SQLITE_ROW && HMAC(EVP_sha256(),
		sqlite3_column_blob(st, 0), sqlite3_column_bytes(st, 0),
		(const unsigned char *)login.at, login.len, mac, NULL)) {
		memcpy(out, mac, SALT);
		code = MR_STORE_OK;
	}
	sqlite3_reset(st);
	sq_read_end(q, db);
	return code;
}

static void
add_key(struct mr_scram *out, sqlite3_stmt *st, int column)
{
	struct mr_scram_key *k = &out->key[out->n_keys];
	int len = sqlite3_column_bytes(st, column);

	if (out->n_keys == MR_SCRAM_KEYS || len == 0 ||
		len > (int)sizeof k->stored ||
		sqlite3_column_bytes(st, column + 1) != len)
		return;
	memcpy(k->stored, sqlite3_column_blob(st, column), (size_t)len);
	memcpy(k->server, sqlite3_column_blob(st, column + 1), (size_t)len);
	snprintf(k->name, sizeof k->name, "%s", sq_text(st, 0));
	k->used_ms = sqlite3_column_int64(st, 7);
	out->n_keys++;
}

enum mr_auth_answer
sq_scram(void *self, struct mr_str login, const char *service, int is_sha256,
	struct mr_scram *out)
{
	char name[SQ_ADDRESS_MOST + 1];
	bool has_salt = false;
	struct sq_db *db;
	sqlite3_stmt *st;

	out->iterations = ITERATIONS;
	out->salt_len = SALT;
	out->n_keys = 0;
	if (!sq_lower(login, name))
		return false_salt(self, login, out->salt) == MR_STORE_OK ?
			MR_AUTH_DENIED : MR_AUTH_TEMPFAIL;
	db = sq_read(self, NULL);
	if (!db)
		return MR_AUTH_TEMPFAIL;
	st = credentials(db, name);
	while (st && sqlite3_step(st) == SQLITE_ROW) {
		has_salt |= sqlite3_column_bytes(st, 8) == SALT;
		if (sqlite3_column_bytes(st, 8) == SALT)
			memcpy(out->salt, sqlite3_column_blob(st, 8), SALT);
		if (!sqlite3_column_int(st, 9) && has_scope(sq_text(st, 1),
			service))
			add_key(out, st, is_sha256 ? 5 : 3);
	}
	sqlite3_reset(st);
	sq_read_end(self, db);
	if (!has_salt && false_salt(self, (struct mr_str){name, strlen(name)},
		out->salt) != MR_STORE_OK)
		return MR_AUTH_TEMPFAIL;
	snprintf(out->account, sizeof out->account, "%s", name);
	return out->n_keys ? MR_AUTH_OK : MR_AUTH_DENIED;
}

void
sq_scram_used(void *self, const char *account, const struct mr_scram_key *key)
{
	note_use(self, account, key->name, key->used_ms);
}
