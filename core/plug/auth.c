/*
 * auth.c - the mechanisms of SASL (RFC 4422): PLAIN (RFC 4616), LOGIN and
 * EXTERNAL here, others in files of their own; and the plugins that know
 * passwords. Session threads; blocks on the plugins.
 */
#include "plug/auth.h"

#include <pthread.h>

#include "base/enc.h"
#include "mail/addr.h"
#include "plug/bearer.h"
#include "plug/hooks.h"
#include "plug/scram.h"

enum { PLAIN_FIRST = 1, LOGIN_NAME, LOGIN_PASSWORD, SCRAM, BEARER, XOAUTH2,
	REFUSED, EXTERNAL };

static enum auth_step
ask_plugins(const struct plugins *p, struct str login, struct str password,
	const char *service, char *account)
{
	struct mr_str l = {login.at, login.len};
	struct mr_str w = {password.at, password.len};
	enum mr_auth_answer answer;
	size_t i;

	if (!login.len || str_has_byte(login, '\0') ||
		str_has_byte(password, '\0'))
		return AUTH_DENIED;
	for (i = 0; i < p->n; i++) {
		const struct mr_auth *a = PLUG_ROLE(p->item[i]->desc, auth);

		if (!a || !PLUG_HOOK(a, verify))
			continue;
		hooks_leave_breadcrumb(p->item[i]->name, "verify", NULL);
		answer = a->verify(p->item[i]->config, l, w, service, account,
			AUTH_ACCOUNT_MAX);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
		if (answer == MR_AUTH_OK)
			return AUTH_OK;
		if (answer == MR_AUTH_DENIED)
			return AUTH_DENIED;
		if (answer != MR_AUTH_UNKNOWN)
			return AUTH_TEMPFAIL;
	}
	return AUTH_DENIED;
}

enum auth_step
auth_password(const struct plugins *p, struct str login, struct str password,
	const char *service, char *account)
{
	struct arena scratch;
	enum auth_step answer;

	arena_init(&scratch);
	answer = ask_plugins(p, addr_canonical(&scratch, login), password,
		service, account);
	arena_free(&scratch);
	return answer;
}

static unsigned char guess_key[32];

static void
make_guess_key(void)
{
	enc_random(guess_key, sizeof guess_key);
}

uint64_t
auth_guess(struct str login, struct str password)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct enc_sha256 *h = enc_sha256_new();
	unsigned char digest[32];
	uint64_t guess;

	pthread_once(&once, make_guess_key);
	enc_sha256_add(h, guess_key, sizeof guess_key);
	enc_sha256_add(h, login.at, login.len);
	enc_sha256_add(h, "", 1);
	enc_sha256_add(h, password.at, password.len);
	enc_sha256_end(h, digest);
	memcpy(&guess, digest, sizeof guess);
	return guess | 1ull << 63;
}

/* authzid NUL authcid NUL password; the first must be empty or the second:
 * nobody may act as another. */
static enum auth_step
plain(struct sasl *s, struct str in, struct arena *a)
{
	struct str authzid, authcid;

	if (in.len > 4096 || !str_has_byte(in, '\0'))
		return AUTH_MALFORMED;
	authzid = str_cut(&in, '\0');
	if (!str_has_byte(in, '\0'))
		return AUTH_MALFORMED;
	authcid = str_cut(&in, '\0');
	if (str_has_byte(in, '\0') || !authcid.len)
		return AUTH_MALFORMED;
	s->login = arena_str(a, authcid);
	s->guess = auth_guess(authcid, in);
	if (authzid.len && !str_ieq(authzid, authcid))
		return AUTH_DENIED;
	return auth_password(s->terms.plugins, authcid, in, s->terms.service,
		s->account);
}

static enum auth_step
challenge(struct sasl *s, int state, const char *text, struct buf *out)
{
	s->state = state;
	buf_adds(out, text);
	return AUTH_CONTINUE;
}

/* RFC 4422 appendix A: who it is was said by the certificate. */
static enum auth_step
external(struct sasl *s, struct str in, struct arena *a)
{
	s->login = arena_str(a, s->terms.certified);
	if (!s->terms.certified.len || (in.len && !str_ieq(in,
		s->terms.certified)) || s->terms.certified.len >=
		AUTH_ACCOUNT_MAX)
		return AUTH_DENIED;
	snprintf(s->account, sizeof s->account, "%.*s",
		STR_ARGS(s->terms.certified));
	return AUTH_OK;
}

/* ------------------------------------------------------------- mechanisms */

static bool
has_certificate(const struct sasl_terms *t)
{
	return t->certified.len > 0;
}

static bool
has_tokens(const struct sasl_terms *t)
{
	return bearer_is_possible(t->plugins);
}

static bool
has_keys(const struct sasl_terms *t)
{
	return scram_is_possible(t->plugins);
}

static bool
has_binding(const struct sasl_terms *t)
{
	return t->binding.len && has_keys(t);
}

static const struct {
	const char *name;
	int state;		/* the client's first message */
	bool (*may)(const struct sasl_terms *t);	/* NULL: always */
	const char *challenge;	/* without an initial response */
} mechanisms[] = {
	{"EXTERNAL", EXTERNAL, has_certificate, ""},
	{"OAUTHBEARER", BEARER, has_tokens, ""},
	{"XOAUTH2", XOAUTH2, has_tokens, ""},
	{"SCRAM-SHA-256-PLUS", SCRAM, has_binding, ""},
	{"SCRAM-SHA-256", SCRAM, has_keys, ""},
	{"SCRAM-SHA-1-PLUS", SCRAM, has_binding, ""},
	{"SCRAM-SHA-1", SCRAM, has_keys, ""},
	{"PLAIN", PLAIN_FIRST, NULL, ""},
	{"LOGIN", LOGIN_NAME, NULL, "Username:"},
};
#define MECHANISMS (sizeof mechanisms / sizeof *mechanisms)

void
auth_mechanisms(const struct sasl_terms *t, struct buf *out)
{
	size_t i, n = 0;

	for (i = 0; i < MECHANISMS; i++)
		if (!mechanisms[i].may || mechanisms[i].may(t))
			buf_addf(out, "%s%s", n++ ? " " : "",
				mechanisms[i].name);
}

enum auth_step
sasl_begin(struct sasl *s, const struct sasl_terms *t, struct str mechanism,
	struct str initial, struct arena *a, struct buf *out)
{
	size_t i;

	*s = (struct sasl){.terms = *t, .login = STR("")};
	for (i = 0; i < MECHANISMS; i++)
		if (str_iis(mechanism, mechanisms[i].name))
			break;
	if (i == MECHANISMS || (mechanisms[i].may && !mechanisms[i].may(t)))
		return AUTH_NO_MECHANISM;
	s->mechanism = mechanisms[i].name;
	if (mechanisms[i].state == SCRAM) {
		s->scram = scram_new(t, mechanism);
		if (!s->scram)
			return AUTH_NO_MECHANISM;
	}
	if (!initial.at)
		return challenge(s, mechanisms[i].state,
			mechanisms[i].challenge, out);
	s->state = mechanisms[i].state;
	return sasl_next(s, initial, a, out);
}

static enum auth_step
next_scram(struct sasl *s, struct str in, struct arena *a, struct buf *out)
{
	enum auth_step step = scram_step(s->scram, in, out);

	s->login = arena_str(a, scram_login(s->scram));
	if (step == AUTH_CONTINUE)
		s->state = SCRAM;
	if (step == AUTH_OK)
		snprintf(s->account, sizeof s->account, "%s",
			scram_account(s->scram));
	return step;
}

static enum auth_step
next_bearer(struct sasl *s, int state, struct str in, struct arena *a,
	struct buf *out)
{
	enum auth_step step = bearer_step(s, state == XOAUTH2, in, a, out);

	if (step == AUTH_CONTINUE)
		s->state = REFUSED;
	return step;
}

enum auth_step
sasl_next(struct sasl *s, struct str in, struct arena *a, struct buf *out)
{
	int state = s->state;

	s->state = 0;	/* over, unless a challenge follows */
	switch (state) {
	case PLAIN_FIRST:
		return plain(s, in, a);
	case LOGIN_NAME:
		if (in.len > 1024)
			return AUTH_MALFORMED;
		s->login = arena_str(a, in);
		return challenge(s, LOGIN_PASSWORD, "Password:", out);
	case LOGIN_PASSWORD:
		s->guess = auth_guess(s->login, in);
		return auth_password(s->terms.plugins, s->login, in,
			s->terms.service, s->account);
	case SCRAM:
		return next_scram(s, in, a, out);
	case BEARER:
	case XOAUTH2:
		return next_bearer(s, state, in, a, out);
	case REFUSED:	/* it has read why */
		return AUTH_DENIED;
	case EXTERNAL:
		return external(s, in, a);
	default:
		return AUTH_MALFORMED;
	}
}

void
sasl_end(struct sasl *s)
{
	scram_free(s->scram);
	s->scram = NULL;
}
