/*
 * smtp_auth.c - AUTH (RFC 4954): base64 around the SASL steps.
 *
 * Passwords pass through the command arena only, and are never logged; the
 * log names the login that was tried.
 */
#include "base/enc.h"
#include "base/log.h"
#include "serve/smtp.h"

static struct reply
denied(struct smtp *k)
{
	k->auth_failures++;
	session_log_login(k->session, "denied", k->sasl.login);
	if (k->auth_failures >= k->house->limits->auth_tries)
		return REPLY(421, "4.7.0", "Too many wrong passwords");
	k->delay = k->house->limits->auth_delay > 0;
	return REPLY(535, "5.7.8", "Login or password is wrong");
}

static struct reply
succeeded(struct smtp *k)
{
	struct facts *f = &k->facts;

	memcpy(k->account, k->sasl.account, sizeof k->account);
	f->auth_login = str_from(k->account);
	f->auth_mechanism = k->sasl.mechanism;
	smtp_set_protocol(k);
	session_log_login(k->session, "ok", str_from(k->sasl.account));
	return REPLY(235, "2.7.0", "Welcome");
}

static struct reply
take_step(struct smtp *k, enum auth_step step, const struct buf *challenge)
{
	struct buf b64;
	struct reply r;

	k->in_auth = false;
	if (step != AUTH_CONTINUE)
		sasl_end(&k->sasl);
	k->session->guess = k->sasl.guess;
	switch (step) {
	case AUTH_CONTINUE:
		k->in_auth = true;
		buf_init(&b64, 8192);
		enc_base64(&b64, challenge->at, challenge->len);
		r = (struct reply){.code = 334, .text = arena_str(
			&k->session->command, buf_str(&b64))};
		buf_free(&b64);
		return r;
	case AUTH_OK:
		return succeeded(k);
	case AUTH_DENIED:
		return denied(k);
	case AUTH_TEMPFAIL:
		return REPLY(454, "4.7.0", "Cannot check passwords now");
	case AUTH_NO_MECHANISM:
		return REPLY(504, "5.5.4", "Mechanism not known here");
	default:
		return REPLY(501, "5.5.2", "Not what the mechanism asks for");
	}
}

/* Decodes an answer; "*" cancels. */
static bool
decode(struct smtp *k, struct str in, struct str *out, struct reply *refused)
{
	struct buf b;
	bool good;

	buf_init(&b, 12288);
	good = !str_is(in, "*") && enc_unbase64(&b, in) && !b.full;
	if (good)
		*out = arena_str(&k->session->command, buf_str(&b));
	else
		*refused = str_is(in, "*") ?
			REPLY(501, "5.7.0", "Authentication cancelled") :
			REPLY(501, "5.5.2", "Not base64");
	if (b.at)
		explicit_bzero(b.at, b.len);
	buf_free(&b);
	return good;
}

struct reply
smtp_auth_line(struct smtp *k, struct str line)
{
	struct buf challenge;
	struct reply r;
	struct str in;

	k->in_auth = false;
	if (!decode(k, line, &in, &r))
		return r;
	buf_init(&challenge, 4096);
	r = take_step(k, sasl_next(&k->sasl, in, &k->session->arena,
		&challenge), &challenge);
	buf_free(&challenge);
	return r;
}

struct reply
smtp_auth(struct smtp *k, struct str args)
{
	struct str mechanism = str_word(&args), word = str_word(&args);
	struct str initial = {NULL, 0};
	struct sasl_terms terms;
	struct buf challenge;
	struct reply r;

	if (!k->is_submission)
		return REPLY(502, "5.5.1", "AUTH is not offered here; use the "
			"submission port");
	if (*k->account)
		return REPLY(503, "5.5.1", "You are logged in already");
	if (!session_is_private(k->session))
		return REPLY(538, "5.7.11", "Start TLS first");
	if (!mechanism.len || args.len)
		return REPLY(501, "5.5.4", "Syntax: AUTH mechanism "
			"[initial-response]");
	/* "=" is an empty initial response (RFC 4954 section 4). */
	if (str_is(word, "="))
		initial = STR("");
	else if (word.len && !decode(k, word, &initial, &r))
		return r;
	buf_init(&challenge, 4096);
	sasl_end(&k->sasl);
	terms = session_sasl_terms(k->session, "smtp");
	r = take_step(k, sasl_begin(&k->sasl, &terms, mechanism, initial,
		&k->session->arena, &challenge), &challenge);
	buf_free(&challenge);
	return r;
}
