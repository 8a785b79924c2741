/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * key.c - public keys of the DNS (RFC 6376 3.6, RFC 8463), and signatures by
 * them: rsa-sha256 of at least 1,024 bits, and ed25519-sha256.
 */
#include "arc.h"

#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_BITS 1024
#define RECORD_MOST 8192
#define KEYS_KEPT 128

struct key_cache {
	pthread_mutex_t lock;
	struct {
		char *record;
		size_t len;
		EVP_PKEY *key;
	} kept[KEYS_KEPT];	/* under the lock */
	size_t next;
};

/* ------------------------------------------------------------------ cache */

struct key_cache *
key_cache_new(void)
{
	struct key_cache *c = calloc(1, sizeof *c);

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
key_cache_free(struct key_cache *c)
{
	size_t i;

	for (i = 0; c && i < KEYS_KEPT; i++) {
		free(c->kept[i].record);
		EVP_PKEY_free(c->kept[i].key);
	}
	if (c)
		pthread_mutex_destroy(&c->lock);
	free(c);
}

/* A reference of the caller's own, or NULL. */
static EVP_PKEY *
recall(struct key_cache *c, struct mr_str record)
{
	EVP_PKEY *key = NULL;
	size_t i;

	if (!c)
		return NULL;
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < KEYS_KEPT && !key; i++)
		if (c->kept[i].len == record.len && c->kept[i].key &&
			!memcmp(c->kept[i].record, record.at, record.len) &&
			EVP_PKEY_up_ref(c->kept[i].key))
			key = c->kept[i].key;
	pthread_mutex_unlock(&c->lock);
	return key;
}

static void
keep(struct key_cache *c, struct mr_str record, EVP_PKEY *key)
{
	char *copy = c ? malloc(record.len + 1) : NULL;
	size_t i;

	if (!copy)
		return;
	memcpy(copy, record.at, record.len);
	pthread_mutex_lock(&c->lock);
	i = c->next++ % KEYS_KEPT;
	free(c->kept[i].record);
	EVP_PKEY_free(c->kept[i].key);
	c->kept[i].record = copy;
	c->kept[i].len = record.len;
	c->kept[i].key = EVP_PKEY_up_ref(key) ? key : NULL;
	pthread_mutex_unlock(&c->lock);
}

/* ----------------------------------------------------------------- records */

/* A list "a:b" has this word. */
static bool
has_word(struct mr_str list, const char *word)
{
	while (list.len) {
		const char *end = memchr(list.at, ':', list.len);
		size_t n = end ? (size_t)(end - list.at) : list.len;

		if (tags_is(tags_trim((struct mr_str){list.at, n}), word))
			return true;
		list.at += n + (end != NULL);
		list.len -= n + (end != NULL);
	}
	return false;
}

static EVP_PKEY *
make_key(struct mr_str base64, bool is_rsa)
{
	unsigned char raw[RECORD_MOST];
	const unsigned char *at = raw;
	int64_t n = base64.len <= sizeof raw ? tags_base64(base64, raw) : -1;
	EVP_PKEY *key;

	if (n <= 0)
		return NULL;
	if (!is_rsa)
		return n == 32 ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519,
			NULL, raw, 32) : NULL;
	key = d2i_PUBKEY(NULL, &at, (long)n);
	if (!key) {	/* RFC 6376 names the inner form, few use it */
		at = raw;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)n);
	}
	return key;
}

static EVP_PKEY *
parse_record(struct mr_str record, bool is_rsa, const char **why)
{
	struct tags t;
	struct mr_str v, k, h, s, p;
	EVP_PKEY *key = NULL;

	*why = "its key record is none";
	if (!tags_read(record, &t))
		return NULL;
	v = tags_get(&t, "v");
	k = tags_get(&t, "k");
	h = tags_get(&t, "h");
	s = tags_get(&t, "s");
	p = tags_get(&t, "p");
	if (v.at && (v.at != t.tag[0].value.at || v.len != 5 ||
		memcmp(v.at, "DKIM1", 5)))
		return NULL;
	*why = "its key is withdrawn";
	if (p.at && !p.len)
		return NULL;
	*why = "its key is for something else";
	if ((k.at ? !tags_is(k, is_rsa ? "rsa" : "ed25519") : !is_rsa) ||
		(h.at && !has_word(h, "sha256")) ||
		(s.at && !has_word(s, "*") && !has_word(s, "email")))
		return NULL;
	*why = "its key cannot be read";
	key = p.at ? make_key(p, is_rsa) : NULL;
	if (key && is_rsa && (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
		EVP_PKEY_get_bits(key) < LEAST_BITS)) {
		*why = "its key is too short";
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

/* Of RSA only: Ed25519 keys are read at once. */
static EVP_PKEY *
read_record(const struct resolver *r, struct mr_str record, bool is_rsa,
	const char **why)
{
	EVP_PKEY *key = is_rsa ? recall(r->keys, record) : NULL;

	if (key)
		return key;
	key = parse_record(record, is_rsa, why);
	if (key && is_rsa)
		keep(r->keys, record, key);
	return key;
}

static enum check
fetch(const struct resolver *r, const struct tags *t, bool is_rsa,
	EVP_PKEY **key, const char **why)
{
	struct mr_str d = tags_get(t, "d"), s = tags_get(t, "s");
	struct mr_dns_answer got = {.size = sizeof got};
	char name[2 * NAME_MOST + 16];

	*why = "d= or s= is no name";
	if (!d.len || !s.len || d.len > NAME_MOST || s.len > NAME_MOST ||
		memchr(d.at, '\0', d.len) || memchr(s.at, '\0', s.len))
		return CHECK_BAD;
	snprintf(name, sizeof name, "%.*s._domainkey.%.*s", (int)s.len, s.at,
		(int)d.len, d.at);
	if (strlen(name) > NAME_MOST || strpbrk(name, " \t\r\n"))
		return CHECK_BAD;
	r->dns(r->arg, name, MR_DNS_TXT, &got);
	*why = "DNS does not answer for its key";
	if (got.status == MR_DNS_TEMPFAIL || got.status == MR_DNS_BOGUS)
		return CHECK_TEMP;
	*why = "its key is not in DNS";
	if (!got.n)
		return CHECK_BAD;
	*key = read_record(r, got.record[0].data, is_rsa, why);
	return *key ? CHECK_GOOD : CHECK_BAD;
}

/* RFC 8463 3: Ed25519 signs the hash of the text, not the text. */
static bool
is_signed(EVP_PKEY *key, bool is_rsa, const struct text *bytes,
	const unsigned char *signature, size_t len)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char hash[HASH];
	bool good = c && EVP_DigestVerifyInit(c, NULL, is_rsa ? EVP_sha256() :
		NULL, NULL, key) == 1;

	if (good && is_rsa)
		good = EVP_DigestVerify(c, signature, len,
			(const unsigned char *)bytes->at, bytes->len) == 1;
	else if (good)
		good = EVP_Digest(bytes->at, bytes->len, hash, NULL,
			EVP_sha256(), NULL) == 1 && EVP_DigestVerify(c,
			signature, len, hash, sizeof hash) == 1;
	EVP_MD_CTX_free(c);
	return good;
}

enum check
key_check(const struct resolver *r, const struct tags *t,
	const struct text *bytes, const char **why)
{
	struct mr_str a = tags_get(t, "a"), b = tags_get(t, "b");
	bool is_rsa = tags_is(a, "rsa-sha256"), good;
	unsigned char signature[RECORD_MOST];
	EVP_PKEY *key = NULL;
	enum check code;
	int64_t len;

	*why = "a= is no algorithm that counts";
	if (!is_rsa && !tags_is(a, "ed25519-sha256"))
		return CHECK_BAD;
	*why = "b= is no signature";
	len = b.len <= sizeof signature ? tags_base64(b, signature) : -1;
	if (len <= 0 || bytes->failed)
		return CHECK_BAD;
	code = fetch(r, t, is_rsa, &key, why);
	if (code != CHECK_GOOD)
		return code;
	good = is_signed(key, is_rsa, bytes, signature, (size_t)len);
	EVP_PKEY_free(key);
	*why = "its signature does not fit";
	return good ? CHECK_GOOD : CHECK_BAD;
}

/* ------------------------------------------------------------------- sign */

static unsigned char *
sign(EVP_PKEY *key, const unsigned char *at, size_t n, size_t *len)
{
	bool is_rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned char *out = NULL;
	bool good = c && EVP_DigestSignInit(c, NULL, is_rsa ? EVP_sha256() :
		NULL, NULL, key) == 1 && EVP_DigestSign(c, NULL, len, at, n)
		== 1 && (out = malloc(*len)) && EVP_DigestSign(c, out, len,
		at, n) == 1;

	EVP_MD_CTX_free(c);
	if (good)
		return out;
	free(out);
	return NULL;
}

char *
key_sign(EVP_PKEY *key, const struct text *bytes)
{
	const unsigned char *at = (const unsigned char *)bytes->at;
	unsigned char hash[HASH], *raw;
	size_t n = bytes->len, len = 0;
	char *out;

	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		EVP_Digest(at, n, hash, NULL, EVP_sha256(), NULL);
		at = hash;
		n = sizeof hash;
	}
	raw = sign(key, at, n, &len);
	out = raw ? malloc(len * 4 / 3 + 8) : NULL;
	if (out)
		EVP_EncodeBlock((unsigned char *)out, raw, (int)len);
	free(raw);
	return out;
}
