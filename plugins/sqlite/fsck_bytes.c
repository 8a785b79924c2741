/*
 * fsck_bytes.c - the bytes of every message: are they there, as long as they
 * should be, and of the digest that was taken when they came; and is what is
 * kept of their structure what the core makes of them?
 *
 * Messages are taken by their ids, some at a time, so no snapshot is held
 * for long. One that is removed meanwhile is no finding.
 */
#include "fsck.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define SOME 200
#define BLOCK (128 << 10)

struct message {
	int64_t id;
	uint64_t length;
	uint8_t sha256[32];
};

struct renewal {
	int64_t message;
	struct mr_str cache;
};

static int
take_some(struct sq_fsck *k, int64_t after, struct message *out, size_t *n,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(k->db, "SELECT id, length, sha256 FROM"
		" message WHERE id > ? AND refs > 0 ORDER BY id LIMIT 200");
	int step = SQLITE_ERROR;

	*n = 0;
	sq_bind(st, "i", after);
	while (st && (step = sqlite3_step(st)) == SQLITE_ROW) {
		struct message *m = &out[(*n)++];

		*m = (struct message){.id = sqlite3_column_int64(st, 0),
			.length = (uint64_t)sqlite3_column_int64(st, 1)};
		if (sqlite3_column_bytes(st, 2) == 32)
			memcpy(m->sha256, sqlite3_column_blob(st, 2), 32);
	}
	if (step != SQLITE_DONE)
		sq_fail_db(err, k->db, "reading messages");
	sqlite3_reset(st);
	return step == SQLITE_DONE ? MR_STORE_OK : MR_STORE_FAILED;
}

/* "message 7 (UID 3 in Work of ann@example.org)". Free it. */
static char *
describe(struct sq_fsck *k, int64_t message)
{
	sqlite3_stmt *st = sq_sql(k->db, "SELECT e.uid, m.name, a.name FROM"
		" entry e JOIN mailbox m ON m.id = e.mailbox JOIN account a ON"
		" a.id = m.account WHERE e.message = ? LIMIT 1");
	char *text;

	sq_bind(st, "i", message);
	if (st && sqlite3_step(st) == SQLITE_ROW)
		text = sq_printf("message %lld (UID %lld in %s of %s)",
			(long long)message,
			(long long)sqlite3_column_int64(st, 0),
			sq_text(st, 1), sq_text(st, 2));
	else
		text = sq_printf("message %lld (in the queue)",
			(long long)message);
	sqlite3_reset(st);
	return text;
}

static void
name_it(struct sq_fsck *k, const struct message *m, const char *what,
	const char *why)
{
	char *where = describe(k, m->id);
	char *text = sq_printf("%s %s%s%s", where, what, *why ? ": " : "",
		why);

	sq_fsck_found(k, text, false, "mailroom restore --message");
	free(text);
	free(where);
}

/* Read to its end into the digest and the core's parse. false: it was
 * named, or it went. */
static bool
read_bytes(struct sq_fsck *k, const struct message *m, uint8_t *block,
	EVP_MD_CTX *digest)
{
	struct mr_error why = {{0}};
	uint64_t length, at = 0;
	int64_t n = 0;
	void *body;
	int code = sq_body_open(k->sq, m->id, &body, &length, &why);

	if (code == MR_STORE_MISSING)
		return false;
	if (code != MR_STORE_OK) {
		name_it(k, m, "cannot be read", why.text);
		return false;
	}
	while (at < length && (n = sq_body_read(body, at, block, BLOCK,
		&why)) > 0) {
		EVP_DigestUpdate(digest, block, (size_t)n);
		if (k->out->feed)
			k->out->feed(k->out->arg, block, (size_t)n);
		at += (uint64_t)n;
	}
	sq_body_close(body);
	k->out->bytes += at;
	if (at == length)
		return true;
	name_it(k, m, "cannot be read to its end", why.text);
	return false;
}

static int
run_renew(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct renewal *r = arg;

	return sq_run(tx->db, err, "INSERT OR REPLACE INTO cache"
		" SELECT id, ?2 FROM message WHERE id = ?1", "ib", r->message,
		r->cache.at, r->cache.len);
}

static void
check_structure(struct sq_fsck *k, const struct message *m)
{
	sqlite3_stmt *st = sq_sql(k->db, "SELECT bytes FROM cache WHERE"
		" message = ?");
	struct renewal r = {.message = m->id};
	struct mr_str kept = {"", 0};
	char *where, *text;
	bool done;
	int is_wrong;

	sq_bind(st, "i", m->id);
	if (st && sqlite3_step(st) == SQLITE_ROW)
		kept = (struct mr_str){sqlite3_column_blob(st, 0),
			(size_t)sqlite3_column_bytes(st, 0)};
	is_wrong = k->out->compare(k->out->arg, kept, &r.cache);
	sqlite3_reset(st);
	if (!is_wrong || (is_wrong == 2 && !k->out->repair))
		return;
	done = k->out->repair && sq_write(k->sq, run_renew, &r, NULL) ==
		MR_STORE_OK;
	k->out->renewed += done && is_wrong == 2;
	if (is_wrong == 2)
		return;
	where = describe(k, m->id);
	text = sq_printf("what is kept of the structure of %s is not what its "
		"bytes say", where);
	sq_fsck_found(k, text, done, "mailroom fsck --repair");
	free(text);
	free(where);
}

static void
check_message(struct sq_fsck *k, const struct message *m, uint8_t *block)
{
	static const uint8_t none[32];
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	struct mr_str right;
	uint8_t found[32];
	bool is_read;

	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	is_read = read_bytes(k, m, block, digest);
	EVP_DigestFinal_ex(digest, found, NULL);
	EVP_MD_CTX_free(digest);
	k->out->messages++;
	if (is_read && memcmp(found, m->sha256, 32) &&
		memcmp(m->sha256, none, 32)) {
		name_it(k, m, "has not the bytes that came", "");
		is_read = false;
	}
	if (is_read && k->out->compare)
		check_structure(k, m);
	else if (k->out->compare)	/* the parse is ended */
		k->out->compare(k->out->arg, (struct mr_str){"", 0}, &right);
}

int
sq_fsck_bytes(struct sq_fsck *k, struct mr_error *err)
{
	struct message *some = sq_alloc(SOME * sizeof *some);
	uint8_t *block = sq_alloc(BLOCK);
	int64_t total = 0, last = 0;
	size_t n = 0, i;
	int code = sq_number(k->db, err, &total, "SELECT count(*) FROM message"
		" WHERE refs > 0", "");

	while (code == MR_STORE_OK) {
		code = take_some(k, last, some, &n, err);
		if (code != MR_STORE_OK || !n)
			break;
		for (i = 0; i < n; i++)
			check_message(k, &some[i], block);
		last = some[n - 1].id;
		if (k->out->progress)
			k->out->progress(k->out->arg, k->out->messages,
				(uint64_t)total);
	}
	free(block);
	free(some);
	return code;
}
