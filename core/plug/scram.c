/*
 * scram.c - one exchange. Session threads; blocks on the plugins.
 *
 * libgsasl asks for salt, count and keys by its callback. It wants one pair of
 * keys; of several we give it the one to which the proof in the client's last
 * message fits, and for a login that has none, random ones: it fails as late
 * as a wrong password does.
 */
#include "plug/scram.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#include "base/enc.h"
#include "mail/addr.h"
#include "plug/hooks.h"

#define MESSAGE_MOST 4096
#define HASH_MOST 32

struct scram {
	const struct plugins *plugins;
	const char *service;
	struct str binding;
	struct arena arena;
	Gsasl_session *session;
	bool is_sha256, is_plus;
	const struct plugin *owner;	/* of the keys */
	struct mr_scram keys;
	bool has_looked, is_last;
	enum mr_auth_answer found;
	struct str first, server_first, last;	/* messages, for the proof */
	const struct mr_scram_key *key;
	struct str login;
	unsigned char stored[HASH_MOST], server[HASH_MOST];
};

/* ------------------------------------------------------------------- keys */

static bool
can(const struct plugin *p)
{
	const struct mr_auth *a = PLUG_ROLE(p->desc, auth);

	return a && PLUG_HOOK(a, scram);
}

bool
scram_is_possible(const struct plugins *p)
{
	bool any = false;
	size_t i;

	for (i = 0; i < p->n; i++) {
		const struct mr_auth *a = PLUG_ROLE(p->item[i]->desc, auth);

		if (a && PLUG_HOOK(a, verify) && !can(p->item[i]))
			return false;
		any |= can(p->item[i]);
	}
	return any;
}

/* The first plugin that has the login; the salt of the first, if none has. */
static void
look_up(struct scram *s)
{
	struct mr_str login = {s->login.at, s->login.len};
	size_t i;

	s->has_looked = true;
	s->found = MR_AUTH_DENIED;
	for (i = 0; i < s->plugins->n && s->found == MR_AUTH_DENIED; i++) {
		const struct plugin *p = s->plugins->item[i];
		struct mr_scram *one;

		if (!can(p))
			continue;
		one = arena_alloc(&s->arena, sizeof *one);
		one->size = sizeof *one;
		hooks_leave_breadcrumb(p->name, "scram", NULL);
		s->found = p->desc->auth->scram(p->config, login, s->service,
			s->is_sha256, one);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
		if (s->found == MR_AUTH_UNKNOWN)
			s->found = MR_AUTH_DENIED;
		if (!s->owner || s->found == MR_AUTH_OK)
			s->keys = *one;
		s->owner = p;
	}
}

/* RFC 5802 section 3: without its proof, and the proof. */
static bool
split_last(struct scram *s, struct str *without, struct buf *proof)
{
	size_t at = str_find_str(s->last, STR(",p="));

	if (at >= s->last.len)
		return false;
	*without = str_sub(s->last, 0, at);
	return enc_unbase64(proof, str_sub(s->last, at + 3, s->last.len));
}

/* "n,,", "p=tls-exporter,,": the header of GS2 is no part of it. */
static struct str
bare(struct str first)
{
	str_cut(&first, ',');
	str_cut(&first, ',');
	return first;
}

static bool
fits(const struct scram *s, const struct mr_scram_key *k, struct str message,
	struct str proof)
{
	const EVP_MD *md = s->is_sha256 ? EVP_sha256() : EVP_sha1();
	int size = EVP_MD_get_size(md), i;
	unsigned char key[HASH_MOST], hash[HASH_MOST];

	if (proof.len != (size_t)size || !HMAC(md, k->stored, size,
		(const unsigned char *)message.at, message.len, key, NULL))
		return false;
	for (i = 0; i < size; i++)
		key[i] ^= (unsigned char)proof.at[i];
	return EVP_Digest(key, (size_t)size, hash, NULL, md, NULL) == 1 &&
		!CRYPTO_memcmp(hash, k->stored, (size_t)size);
}

static void
choose_key(struct scram *s)
{
	struct str without, message;
	struct buf proof;
	size_t i;

	enc_random(s->stored, sizeof s->stored);
	enc_random(s->server, sizeof s->server);
	buf_init(&proof, 200);
	if (s->found == MR_AUTH_OK && split_last(s, &without, &proof)) {
		message = str_from(arena_printf(&s->arena, "%.*s,%.*s,%.*s",
			STR_ARGS(bare(s->first)), STR_ARGS(s->server_first),
			STR_ARGS(without)));
		for (i = 0; i < s->keys.n_keys; i++)
			if (fits(s, &s->keys.key[i], message,
				buf_str(&proof)))
				s->key = &s->keys.key[i];
	}
	buf_free(&proof);
	if (!s->key)
		return;
	memcpy(s->stored, s->key->stored, sizeof s->stored);
	memcpy(s->server, s->key->server, sizeof s->server);
}

/* ---------------------------------------------------------------- library */

static int
give(Gsasl_session *session, Gsasl_property p, const void *bytes, size_t len)
{
	struct buf b;

	buf_init(&b, 400);
	enc_base64(&b, bytes, len);
	gsasl_property_set(session, p, buf_c(&b));
	if (b.at)
		explicit_bzero(b.at, b.len);
	buf_free(&b);
	return GSASL_OK;
}

static int
on_question(Gsasl *ctx, Gsasl_session *session, Gsasl_property p)
{
	struct scram *s = gsasl_session_hook_get(session);
	const char *login = gsasl_property_fast(session, GSASL_AUTHID);
	size_t size = s->is_sha256 ? 32 : 20;
	char count[16];

	(void)ctx;
	if (login && !s->has_looked) {
		s->login = addr_canonical(&s->arena, arena_str(&s->arena,
			str_from(login)));
		look_up(s);
	}
	switch (p) {
	case GSASL_CB_TLS_EXPORTER:
		return s->binding.len ? give(session, p, s->binding.at,
			s->binding.len) : GSASL_NO_CALLBACK;
	case GSASL_SCRAM_ITER:
		snprintf(count, sizeof count, "%u", s->keys.iterations);
		gsasl_property_set(session, p, count);
		return GSASL_OK;
	case GSASL_SCRAM_SALT:
		return give(session, p, s->keys.salt, s->keys.salt_len);
	case GSASL_SCRAM_STOREDKEY:
		choose_key(s);
		return give(session, p, s->stored, size);
	case GSASL_SCRAM_SERVERKEY:
		if (!s->key)
			choose_key(s);
		return give(session, p, s->server, size);
	default:
		return GSASL_NO_CALLBACK;
	}
}

static Gsasl *library;

static void
start_library(void)
{
	if (gsasl_init(&library) == GSASL_OK)
		gsasl_callback_set(library, on_question);
}

/* --------------------------------------------------------------- exchange */

struct scram *
scram_new(const struct sasl_terms *t, struct str mechanism)
{
	static const char *const names[] = {"SCRAM-SHA-256-PLUS",
		"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"};
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct scram *s;
	size_t i;

	for (i = 0; i < 4 && !str_iis(mechanism, names[i]); i++)
		;
	if (i == 4 || (i < 2 && !t->binding.len) ||
		!scram_is_possible(t->plugins))
		return NULL;
	pthread_once(&once, start_library);
	s = mem_alloc(sizeof *s);
	*s = (struct scram){.plugins = t->plugins, .service = t->service,
		.is_sha256 = i % 2 == 0, .is_plus = i < 2};
	arena_init(&s->arena);
	s->binding = arena_str(&s->arena, t->binding);
	if (library && gsasl_server_start(library, names[i], &s->session) ==
		GSASL_OK) {
		gsasl_session_hook_set(s->session, s);
		return s;
	}
	arena_free(&s->arena);
	free(s);
	return NULL;
}

void
scram_free(struct scram *s)
{
	if (!s)
		return;
	gsasl_finish(s->session);
	arena_free(&s->arena);
	explicit_bzero(s, sizeof *s);
	free(s);
}

static void
note_used(const struct scram *s)
{
	const struct mr_auth *a = s->owner->desc->auth;

	if (PLUG_HOOK(a, scram_used))
		a->scram_used(s->owner->config, s->keys.account, s->key);
}

static enum auth_step
after_step(struct scram *s, int code)
{
	if (s->has_looked && s->found == MR_AUTH_TEMPFAIL)
		return AUTH_TEMPFAIL;
	switch (code) {
	case GSASL_NEEDS_MORE:
		return AUTH_CONTINUE;
	case GSASL_OK:
		if (!s->key)
			return AUTH_DENIED;
		note_used(s);
		s->is_last = true;	/* its signature, for the client */
		return AUTH_CONTINUE;
	case GSASL_MECHANISM_PARSE_ERROR:
		return s->has_looked ? AUTH_DENIED : AUTH_MALFORMED;
	default:
		return AUTH_DENIED;
	}
}

/* RFC 5802 6: the kind of binding must be that of the mechanism; "y" says
 * that we offer none, so somebody in between has hidden it. */
static bool
is_bound_well(const struct scram *s, struct str first)
{
	if (s->is_plus)
		return str_starts(first, "p=tls-exporter,");
	return str_starts(first, "n,") ||
		(str_starts(first, "y,") && !s->binding.len);
}

enum auth_step
scram_step(struct scram *s, struct str in, struct buf *out)
{
	char *answer = NULL;
	size_t len = 0;
	int code;

	if (s->is_last)
		return in.len ? AUTH_MALFORMED : AUTH_OK;
	if (in.len > MESSAGE_MOST)
		return AUTH_MALFORMED;
	if (!s->first.len && !is_bound_well(s, in))
		return AUTH_MALFORMED;
	if (!s->first.len)
		s->first = arena_str(&s->arena, in);
	else
		s->last = arena_str(&s->arena, in);
	code = gsasl_step(s->session, in.at, in.len, &answer, &len);
	if (answer) {
		if (!s->server_first.len)
			s->server_first = arena_str(&s->arena, str_of(answer,
				len));
		buf_add(out, answer, len);
		gsasl_free(answer);
	}
	return after_step(s, code);
}

struct str
scram_login(const struct scram *s)
{
	return s->login;
}

const char *
scram_account(const struct scram *s)
{
	return s->keys.account;
}
