/*
 * auth.c - logins: yescrypt, and whatever else crypt(3) knows.
 *
 * A check costs 0.1 s and 16 MiB, so at most CRYPTS_MOST run at once, and a
 * login that was right is remembered by a keyed digest: it holds while the
 * stored hash is the same, in this process, for LOGIN_MS, and there is room
 * for LOGINS. A login that does not exist costs what a wrong password costs.
 */
#include "engine.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOGINS 1024
#define CRYPTS_MOST 2
#define HASH_MOST 512
#define PASSWORD_MOST 1024	/* longer ones are not remembered */
#define LOGIN_MS 600000

/* A hash of nobody's password. */
static const char nobody[] = "$y$j9T$lwHldnbTvQPzPqFgvdqOe0$"
	"N5ZLvmNDzU8rqu8CjKRwnpOw/Jr7BUcQ9Eq4sWfWE25";

struct seen {
	unsigned char mac[32];	/* of login, password and stored hash */
	int64_t until;		/* by the monotonic clock */
};

struct sq_logins {
	pthread_mutex_t lock;		/* guards what follows */
	pthread_cond_t crypt_free;
	unsigned crypts;
	unsigned char key[32];
	struct seen seen[LOGINS];
};

struct sq_logins *
sq_logins_new(void)
{
	struct sq_logins *l = sq_alloc(sizeof *l);

	if (RAND_bytes(l->key, sizeof l->key) != 1)
		abort();
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->crypt_free, NULL);
	return l;
}

void
sq_logins_free(struct sq_logins *l)
{
	if (!l)
		return;
	pthread_cond_destroy(&l->crypt_free);
	pthread_mutex_destroy(&l->lock);
	OPENSSL_cleanse(l, sizeof *l);
	free(l);
}

static bool
make_mac(const struct sq_logins *l, const char *name, struct mr_str password,
	const char *hash, unsigned char out[32])
{
	unsigned char text[SQ_ADDRESS_MOST + HASH_MOST + PASSWORD_MOST];
	size_t n = strlen(name) + 1, h = strlen(hash) + 1;
	bool good = n + h + password.len <= sizeof text;

	if (!good)
		return false;
	memcpy(text, name, n);
	memcpy(text + n, hash, h);
	memcpy(text + n + h, password.at, password.len);
	good = HMAC(EVP_sha256(), l->key, sizeof l->key, text,
		n + h + password.len, out, NULL) != NULL;
	OPENSSL_cleanse(text, sizeof text);
	return good;
}

static struct seen *
place_of(struct sq_logins *l, const unsigned char mac[32])
{
	return &l->seen[(mac[0] | mac[1] << 8) % LOGINS];
}

static bool
is_seen(struct sq_logins *l, const unsigned char mac[32])
{
	const struct seen *s = place_of(l, mac);
	bool same;

	pthread_mutex_lock(&l->lock);
	same = s->until > sq_clock_mono() &&
		CRYPTO_memcmp(s->mac, mac, sizeof s->mac) == 0;
	pthread_mutex_unlock(&l->lock);
	return same;
}

static void
remember(struct sq_logins *l, const unsigned char mac[32])
{
	struct seen *s = place_of(l, mac);

	pthread_mutex_lock(&l->lock);
	memcpy(s->mac, mac, sizeof s->mac);
	s->until = sq_clock_mono() + LOGIN_MS;
	pthread_mutex_unlock(&l->lock);
}

/* ------------------------------------------------------------- one check */

static void
crypt_begin(struct sq_logins *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->crypts == CRYPTS_MOST)
		pthread_cond_wait(&l->crypt_free, &l->lock);
	l->crypts++;
	pthread_mutex_unlock(&l->lock);
}

static void
crypt_end(struct sq_logins *l)
{
	pthread_mutex_lock(&l->lock);
	l->crypts--;
	pthread_cond_signal(&l->crypt_free);
	pthread_mutex_unlock(&l->lock);
}

/* A hash that crypt(3) does not know ("!" locks an account) matches nothing
 * and costs the same. */
static bool
matches(struct sq_logins *l, struct mr_str password, const char *hash)
{
	struct crypt_data *d = sq_alloc(sizeof *d);
	char *text = sq_alloc(password.len + 1), *got;
	bool same = false;

	if (password.len)
		memcpy(text, password.at, password.len);
	crypt_begin(l);
	got = crypt_r(text, hash, d);
	if (!got || *got == '*')
		crypt_r(text, nobody, d);
	else if (strlen(got) == strlen(hash))
		same = CRYPTO_memcmp(got, hash, strlen(hash)) == 0;
	crypt_end(l);
	OPENSSL_cleanse(text, password.len);
	OPENSSL_cleanse(d, sizeof *d);
	free(text);
	free(d);
	return same;
}

struct found {
	char hash[HASH_MOST];	/* "": there is no such account */
	bool disabled;
	bool has_keys;		/* for SCRAM */
	bool served;		/* its domain is one of ours */
};

static int
read_account(struct sq_db *db, const char *name, struct found *out)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT password, disabled, EXISTS"
		" (SELECT 1 FROM credential WHERE account = account.id AND"
		" name = '') FROM account WHERE name = ?");
	int step;

	sq_bind(st, "s", name);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW) {
		snprintf(out->hash, sizeof out->hash, "%s", sq_text(st, 0));
		out->disabled = sqlite3_column_int(st, 1);
		out->has_keys = sqlite3_column_int(st, 2);
	}
	sqlite3_reset(st);
	return step == SQLITE_ROW || step == SQLITE_DONE ? MR_STORE_OK :
		MR_STORE_FAILED;
}

/* Not finding anything is OK. */
static int
find_account(struct sq *s, const char *name, struct found *out)
{
	const char *at = strrchr(name, '@');
	struct sq_db *db;
	int64_t n;
	int code;

	if (!at)
		return MR_STORE_OK;
	db = sq_read(s, NULL);
	if (!db)
		return MR_STORE_FAILED;
	code = read_account(db, name, out);
	if (code == MR_STORE_OK)
		code = sq_number(db, NULL, &n, "SELECT 1 FROM domain"
			" WHERE name = ?", "s", at + 1);
	sq_read_end(s, db);
	out->served = code == MR_STORE_OK;
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

static enum mr_auth_answer
check(struct sq *s, const char *name, struct mr_str password,
	const char *hash)
{
	unsigned char mac[32];
	bool can_remember = s->login_cache &&
		make_mac(s->logins, name, password, hash, mac);

	if (can_remember && is_seen(s->logins, mac))
		return MR_AUTH_OK;
	if (!matches(s->logins, password, hash))
		return MR_AUTH_DENIED;
	if (can_remember)
		remember(s->logins, mac);
	return MR_AUTH_OK;
}

/* Of an account from before there were any; its own password alone. */
static void
make_keys(struct sq *s, const char *name, struct mr_str password,
	const char *hash)
{
	struct mr_error err;
	char *text;

	if (check(s, name, password, hash) != MR_AUTH_OK)
		return;
	text = sq_printf("%.*s", (int)password.len, password.at);
	sq_scram_set(s, name, text, &err);
	OPENSSL_cleanse(text, password.len);
	free(text);
}

static enum mr_auth_answer
verify(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t account_size)
{
	struct sq *s = self;
	char name[SQ_ADDRESS_MOST + 1];
	struct found f = {.served = false};
	enum mr_auth_answer answer = MR_AUTH_DENIED;
	bool disabled = false;

	if (sq_lower(login, name) &&
		find_account(s, name, &f) != MR_STORE_OK)
		return MR_AUTH_TEMPFAIL;
	/* crypt(3) would not see what stands behind a NUL. */
	if (!*f.hash || (password.len &&
		memchr(password.at, 0, password.len))) {
		matches(s->logins, password, nobody);
		return f.served ? MR_AUTH_DENIED : MR_AUTH_UNKNOWN;
	}
	if (sq_app_password_fits(s, name, password, service, &disabled))
		answer = MR_AUTH_OK;
	else
		answer = check(s, name, password, f.hash);
	if (answer != MR_AUTH_OK || f.disabled)
		return MR_AUTH_DENIED;
	if (!f.has_keys)
		make_keys(s, name, password, f.hash);
	if (strlen(name) >= account_size)
		return MR_AUTH_TEMPFAIL;
	strcpy(account, name);
	return MR_AUTH_OK;
}

const struct mr_auth sq_auth = {
	.size = sizeof sq_auth, .verify = verify, .scram = sq_scram,
	.scram_used = sq_scram_used,
};
