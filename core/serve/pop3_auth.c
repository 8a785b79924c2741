/*
 * pop3_auth.c - USER and PASS (RFC 1939 7), AUTH (RFC 5034), and what a good
 * login opens.
 *
 * Passwords stay in the stream's buffer and the command arena, and are never
 * logged; the log names the login that was tried. An unknown account and a
 * wrong password look the same.
 */
#include "base/enc.h"
#include "base/log.h"
#include "serve/guard.h"
#include "serve/pop3.h"

#define KNOCKS_MOST 10

static struct pop3_answer
denied(struct pop3 *k)
{
	k->auth_failures++;
	session_log_login(k->session, "denied", k->sasl.login);
	if (k->auth_failures >= k->house->limits->auth_tries) {
		k->quit = true;
		return POP3_ERR("[AUTH] Too many wrong passwords");
	}
	k->delay = k->house->limits->auth_delay > 0;
	return POP3_ERR("[AUTH] Login or password is wrong");
}

struct pop3_answer
pop3_enter(struct pop3 *k)
{
	struct mr_error me = {""};
	int code = pop3_open_maildrop(k, &me);

	/* A client that lost its connection is often back before the session
	 * that it had has noticed. */
	if (code == MR_STORE_BUSY && k->knocks < KNOCKS_MOST) {
		k->knocks++;
		return (struct pop3_answer){0};
	}
	k->knocks = 0;
	if (code != MR_STORE_OK) {
		k->quit = true;
		return pop3_trouble(k, code, &me);
	}
	k->state = POP3_MAILDROP;
	/* As long as a client that is lost keeps its next session out. */
	k->session->idle_limit = k->house->limits->pop3_timeout;
	session_log_login(k->session, "ok", str_from(k->sasl.account));
	return pop3_printf(k, "+OK ", "%zu messages", k->n_mail);
}

static struct pop3_answer
succeeded(struct pop3 *k)
{
	/* A login that cannot be served ends: a second one might find the
	 * session half open. */
	if (!session_take_login(k->session, k->sasl.account)) {
		k->quit = true;
		session_log_login(k->session, "too many connections",
			str_from(k->sasl.account));
		return POP3_ERR("[IN-USE] Too many connections of this login");
	}
	/* RFC 2449 8.1.1 */
	if (!guard_may_log_in(k->house->guard, k->sasl.account)) {
		k->quit = true;
		session_log_login(k->session, "too soon again",
			str_from(k->sasl.account));
		return POP3_ERR("[LOGIN-DELAY] Too soon after the last login");
	}
	return pop3_enter(k);
}

static struct pop3_answer
malformed(struct pop3 *k)
{
	k->errors++;
	return POP3_ERR("Not what the mechanism asks for");
}

static struct pop3_answer
take_step(struct pop3 *k, enum auth_step step, const struct buf *challenge)
{
	struct pop3_answer r = {.mark = "+ "};
	struct buf b64;

	k->in_auth = step == AUTH_CONTINUE;
	if (!k->in_auth)
		sasl_end(&k->sasl);
	k->session->guess = k->sasl.guess;
	switch (step) {
	case AUTH_CONTINUE:
		buf_init(&b64, 8192);
		enc_base64(&b64, challenge->at, challenge->len);
		r.text = arena_str(&k->session->command, buf_str(&b64));
		buf_free(&b64);
		return r;
	case AUTH_OK:
		return succeeded(k);
	case AUTH_DENIED:
		return denied(k);
	case AUTH_TEMPFAIL:
		return POP3_ERR("[SYS/TEMP] Cannot check passwords now");
	case AUTH_NO_MECHANISM:
		k->errors++;
		return POP3_ERR("Mechanism not known here");
	default:
		return malformed(k);
	}
}

/* Decodes an answer of the client; false: not base64, or cancelled. */
static bool
decode(struct pop3 *k, struct str in, struct str *out)
{
	struct buf b;
	bool good;

	buf_init(&b, 8192);
	good = enc_unbase64(&b, in) && !b.full;
	if (good)
		*out = arena_str(&k->session->command, buf_str(&b));
	if (b.at)
		explicit_bzero(b.at, b.len);
	buf_free(&b);
	return good;
}

struct pop3_answer
pop3_auth_line(struct pop3 *k, struct str line)
{
	struct buf challenge;
	struct pop3_answer r;
	struct str in;

	k->in_auth = false;
	if (!decode(k, line, &in))	/* "*" too, RFC 5034 4 */
		return malformed(k);
	buf_init(&challenge, 4096);
	r = take_step(k, sasl_next(&k->sasl, in, &k->session->arena,
		&challenge), &challenge);
	buf_free(&challenge);
	return r;
}

/* AUTH alone, from before CAPA: one mechanism a line. */
static void
write_mechanisms(struct pop3 *k)
{
	struct sasl_terms t = session_sasl_terms(k->session, "pop3");
	struct str rest, word;
	struct buf b;

	buf_init(&b, 400);
	auth_mechanisms(&t, &b);
	rest = arena_str(&k->session->command, buf_str(&b));
	buf_free(&b);
	while ((word = str_word(&rest)).len) {
		stream_write_str(&k->session->stream, word);
		stream_puts(&k->session->stream, "\r\n");
	}
}

struct pop3_answer
pop3_auth(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	struct str mechanism = str_word(&args), word = str_word(&args);
	struct str initial = {NULL, 0};
	struct sasl_terms terms;
	struct buf challenge;
	struct pop3_answer r;

	(void)mail;
	if (!session_is_private(k->session))
		return POP3_ERR("Start TLS first");
	if (!mechanism.len)
		return (struct pop3_answer){"+OK ", STR("Mechanisms follow"),
			write_mechanisms};
	if (args.len)
		return malformed(k);
	/* "=" is an empty initial response (RFC 5034 4). */
	if (str_is(word, "="))
		initial = STR("");
	else if (word.len && !decode(k, word, &initial))
		return malformed(k);
	buf_init(&challenge, 4096);
	sasl_end(&k->sasl);
	terms = session_sasl_terms(k->session, "pop3");
	r = take_step(k, sasl_begin(&k->sasl, &terms, mechanism, initial,
		&k->session->arena, &challenge), &challenge);
	buf_free(&challenge);
	return r;
}

struct pop3_answer
pop3_user(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	struct str login = str_trim_blank(args);

	(void)mail;
	if (!session_is_private(k->session))
		return POP3_ERR("Start TLS first");
	if (!login.len || login.len >= sizeof k->login ||
		str_has_byte(login, '\0'))
		return POP3_ERR("Syntax: USER name");
	memcpy(k->login, login.at, login.len);
	k->login[login.len] = '\0';
	return POP3_OK("Now the password");
}

/* args is the password, blanks and all. */
struct pop3_answer
pop3_pass(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	struct buf none = {.at = NULL};
	enum auth_step step;

	(void)mail;
	if (!*k->login)
		return POP3_ERR("USER comes first");
	k->sasl.login = arena_str(&k->session->arena, str_from(k->login));
	k->sasl.guess = auth_guess(str_from(k->login), args);
	step = auth_password(k->house->plugins, str_from(k->login), args,
		"pop3", k->sasl.account);
	explicit_bzero(k->login, sizeof k->login);
	return take_step(k, step, &none);
}
