/*
 * auth.c - logins: yescrypt, and whatever else crypt(3) knows.
 *
 * A check costs 0.1 s and 16 MiB, so at most CRYPTS_MOST run at once, and a
 * login that was right is remembered by a keyed digest: it holds while the
 * stored hash is the same, in this process, for the last LOGINS that came.
 * A login that does not exist costs what a wrong password costs.
 */
#include "sq.h"

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
#define NAME_MOST 320

/* A hash of nobody's password. */
static const char nobody[] = "$y$j9T$lwHldnbTvQPzPqFgvdqOe0$"
	"N5ZLvmNDzU8rqu8CjKRwnpOw/Jr7BUcQ9Eq4sWfWE25";

struct seen {
	unsigned char mac[32];	/* of login, password and stored hash */
	bool used;
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
	struct sq_logins *l = calloc(1, sizeof *l);

	if (!l || RAND_bytes(l->key, sizeof l->key) != 1)
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
	unsigned char text[NAME_MOST + HASH_MOST + 4096];
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
	same = s->used && CRYPTO_memcmp(s->mac, mac, sizeof s->mac) == 0;
	pthread_mutex_unlock(&l->lock);
	return same;
}

static void
remember(struct sq_logins *l, const unsigned char mac[32])
{
	struct seen *s = place_of(l, mac);

	pthread_mutex_lock(&l->lock);
	memcpy(s->mac, mac, sizeof s->mac);
	s->used = true;
	pthread_mutex_unlock(&l->lock);
}

/* ------------------------------------------------------------- one check */

static bool
matches(struct sq_logins *l, struct mr_str password, const char *hash)
{
	struct crypt_data *d = calloc(1, sizeof *d);
	char *text = calloc(1, password.len + 1), *got;
	bool same = false;

	if (!d || !text)
		abort();
	memcpy(text, password.at, password.len);
	pthread_mutex_lock(&l->lock);
	while (l->crypts == CRYPTS_MOST)
		pthread_cond_wait(&l->crypt_free, &l->lock);
	l->crypts++;
	pthread_mutex_unlock(&l->lock);
	got = crypt_r(text, hash, d);
	if (got && *got != '*' && strlen(got) == strlen(hash))
		same = CRYPTO_memcmp(got, hash, strlen(hash)) == 0;
	pthread_mutex_lock(&l->lock);
	l->crypts--;
	pthread_cond_signal(&l->crypt_free);
	pthread_mutex_unlock(&l->lock);
	OPENSSL_cleanse(text, password.len);
	OPENSSL_cleanse(d, sizeof *d);
	free(text);
	free(d);
	return same;
}

/* OK with the stored hash, MISSING, or trouble. */
static int
find_account(struct sq *s, const char *name, char hash[HASH_MOST],
	bool *disabled)
{
	struct mr_error err;
	struct sq_db *db = sq_read(s, &err);
	int step, code = MR_STORE_FAILED;
	sqlite3_stmt *st;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT password, disabled FROM account"
		" WHERE name = ?");
	sq_bind(st, "s", name);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW) {
		snprintf(hash, HASH_MOST, "%s", sq_text(st, 0));
		*disabled = sqlite3_column_int(st, 1);
		code = MR_STORE_OK;
	} else if (step == SQLITE_DONE) {
		code = MR_STORE_MISSING;
	}
	sqlite3_reset(st);
	sq_read_end(s, db);
	return code;
}

static bool
lower(struct mr_str in, char out[NAME_MOST + 1])
{
	size_t i;

	if (!in.len || in.len > NAME_MOST)
		return false;
	for (i = 0; i < in.len; i++)
		out[i] = in.at[i] >= 'A' && in.at[i] <= 'Z' ?
			(char)(in.at[i] + 32) : in.at[i];
	out[i] = '\0';
	return strlen(out) == in.len;
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

static enum mr_auth_answer
verify(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t account_size)
{
	struct sq *s = self;
	char name[NAME_MOST + 1], hash[HASH_MOST];
	bool disabled = false;
	enum mr_auth_answer answer;
	int code = lower(login, name) ?
		find_account(s, name, hash, &disabled) : MR_STORE_MISSING;

	(void)service;
	if (code == MR_STORE_MISSING) {
		matches(s->logins, password, nobody);
		return MR_AUTH_UNKNOWN;
	}
	if (code != MR_STORE_OK || strlen(name) >= account_size)
		return MR_AUTH_TEMPFAIL;
	answer = check(s, name, password, hash);
	if (answer != MR_AUTH_OK || disabled)
		return MR_AUTH_DENIED;
	strcpy(account, name);
	return MR_AUTH_OK;
}

const struct mr_auth sq_auth = {.size = sizeof sq_auth, .verify = verify};
