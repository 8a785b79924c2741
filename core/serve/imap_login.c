/*
 * imap_login.c - who is there and what can be done: CAPABILITY, ID, STARTTLS,
 * COMPRESS (RFC 4978), LOGIN, AUTHENTICATE (RFC 4422, SASL-IR of RFC 4959),
 * UNAUTHENTICATE (RFC 8437), ENABLE, NAMESPACE.
 *
 * Passwords pass through the command arena and buffers that are wiped, and
 * are never logged; the log names the login that was tried.
 */
#include "base/enc.h"
#include "base/log.h"
#include "plug/auth.h"
#include "plug/hooks.h"
#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_context.h"
#include "serve/imap_limit.h"
#include "serve/imap_metadata.h"
#include "serve/imap_place.h"

#define ANSWER_MOST 12288	/* a line of a SASL exchange */

/* ---------------------------------------------------------- capabilities */

static bool
offers_tls(const struct imap *k)
{
	return k->session->listener->tls == SERVE_TLS_STARTTLS &&
		!k->session->tls && k->house->tls &&
		!stream_is_compressed(&k->session->stream);
}

static bool
offers_login(const struct imap *k)
{
	return session_is_private(k->session);
}

/* RFC 4978 section 3: not while it is on. */
static bool
offers_compression(const struct imap *k)
{
	return !stream_is_compressed(&k->session->stream);
}

static bool
offers_no_login(const struct imap *k)
{
	return !offers_login(k);
}

static bool
tells_progress(const struct imap *k)
{
	return k->house->limits->progress_interval > 0;
}

#define ALWAYS (IMAP_FRESH | IMAP_IN | IMAP_SELECTED)
#define INSIDE (IMAP_IN | IMAP_SELECTED)

static const struct {
	const char *words;
	unsigned states;
	bool (*holds)(const struct imap *k);	/* NULL: yes */
} capabilities[] = {
	{"IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE", ALWAYS, NULL},
	{"STARTTLS", IMAP_FRESH, offers_tls},
	{"UNAUTHENTICATE", INSIDE, NULL},
	{"CATENATE", INSIDE, NULL},
	{"MULTIAPPEND REPLACE", INSIDE, imap_may_append_many},
	{"COMPRESS=DEFLATE", INSIDE, offers_compression},
	{NULL, IMAP_FRESH, offers_login},	/* AUTH=... */
	{"LOGINDISABLED", IMAP_FRESH, offers_no_login},
	{"IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE", INSIDE, NULL},
	{"LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE "
		"STATUS=SIZE", INSIDE, NULL},
	{"INPROGRESS", INSIDE, tells_progress},
	{"CONTEXT=SEARCH CONTEXT=SORT MULTISEARCH UIDONLY", INSIDE, NULL},
	{"SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT "
		"THREAD=REFERENCES", INSIDE, NULL},
	{"ESEARCH SEARCHRES PARTIAL WITHIN CONDSTORE QRESYNC BINARY UTF8=ACCEPT",
		INSIDE, NULL},
	{"SAVEDATE OBJECTID PREVIEW", INSIDE, NULL},
	{"QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE", INSIDE, imap_has_quota},
	{"METADATA LIST-METADATA", INSIDE, imap_has_metadata},
	{"NOTIFY", INSIDE, imap_has_notify},
	{"ACL RIGHTS=kxte LIST-MYRIGHTS", INSIDE, imap_has_acl},
};

/* "AUTH=PLAIN AUTH=LOGIN" */
static const char *
login_words(struct imap *k)
{
	struct sasl_terms t = session_sasl_terms(k->session, "imap");
	struct arena *a = &k->session->command;
	const char *text = "";
	struct str rest, word;
	struct buf b;

	buf_init(&b, 400);
	auth_mechanisms(&t, &b);
	rest = buf_str(&b);
	while ((word = str_word(&rest)).len)
		text = arena_printf(a, "%s%sAUTH=%.*s", text, *text ? " " : "",
			STR_ARGS(word));
	buf_free(&b);
	return text;
}

const char *
imap_capabilities(struct imap *k)
{
	const char *text = "CAPABILITY";
	struct arena *a = &k->session->command;
	size_t i;

	for (i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
		if (capabilities[i].states & k->state &&
			(!capabilities[i].holds || capabilities[i].holds(k)))
			text = arena_printf(a, "%s %s", text,
				capabilities[i].words ? capabilities[i].words :
				login_words(k));
	if (k->state == IMAP_FRESH)
		return text;
	if (imap_limit(k) > 0)
		text = arena_printf(a, "%s MESSAGELIMIT=%u", text,
			imap_limit(k));
	return arena_printf(a, "%s APPENDLIMIT=%lld", text,
		(long long)k->house->limits->message_size);
}

struct imap_answer
imap_capability(struct imap *k, struct imap_in *in, bool uid)
{
	(void)in;
	(void)uid;
	stream_printf(&k->session->stream, "* %s\r\n", imap_capabilities(k));
	return IMAP_ANSWER(IMAP_OK, NULL, "That is all");
}

/* ------------------------------------------------------------------ login */

static struct imap_answer
denied(struct imap *k, struct str login)
{
	k->auth_failures++;
	session_log_login(k->session, "denied", login);
	if (k->auth_failures >= k->house->limits->auth_tries) {
		stream_puts(&k->session->stream,
			"* BYE Too many wrong passwords\r\n");
		k->state = IMAP_OUT;
	}
	k->delay = k->house->limits->auth_delay > 0;
	return IMAP_ANSWER(IMAP_NO, "AUTHENTICATIONFAILED",
		"Login or password is wrong");
}

static struct imap_answer
succeeded(struct imap *k, const char *account)
{
	struct session *s = k->session;

	if (!session_take_login(s, account))
		return IMAP_ANSWER(IMAP_NO, "LIMIT",
			"Too many connections of this account");
	k->account = arena_cstr(&s->arena, str_from(account));
	k->state = IMAP_IN;
	s->idle_limit = k->house->limits->imap_timeout;
	session_log_login(k->session, "ok", str_from(account));
	imap_admin_begin(k);
	return IMAP_ANSWER(IMAP_OK, imap_capabilities(k), "Welcome");
}

static struct imap_answer
after_step(struct imap *k, enum auth_step step, struct str login,
	const char *account)
{
	switch (step) {
	case AUTH_OK:
		return succeeded(k, account);
	case AUTH_DENIED:
		return denied(k, login);
	case AUTH_TEMPFAIL:
		return IMAP_ANSWER(IMAP_NO, "UNAVAILABLE",
			"Cannot check passwords now");
	case AUTH_NO_MECHANISM:
		return IMAP_ANSWER(IMAP_NO, "CANNOT",
			"Mechanism is not known here");
	default:
		return IMAP_ANSWER(IMAP_BAD, NULL,
			"Not what the mechanism asks for");
	}
}

static struct imap_answer
not_private(void)
{
	return IMAP_ANSWER(IMAP_NO, "PRIVACYREQUIRED", "Start TLS first");
}

struct imap_answer
imap_login(struct imap *k, struct imap_in *in, bool uid)
{
	char account[AUTH_ACCOUNT_MAX] = "";
	struct str login, password;

	(void)uid;
	if (!imap_astring(in, &login) || !imap_blank(in) ||
		!imap_astring(in, &password) || !imap_end(in))
		return imap_bad(k, in);
	if (!session_is_private(k->session))
		return not_private();
	k->session->guess = auth_guess(login, password);
	return after_step(k, auth_password(k->house->plugins, login, password,
		"imap", account), login, account);
}

/* base64 into the command arena; false: it is not. */
static bool
decode(struct imap *k, struct str in, struct str *out)
{
	struct buf b;
	bool good;

	buf_init(&b, ANSWER_MOST);
	good = enc_unbase64(&b, in) && !b.full;
	if (good)
		*out = arena_str(&k->session->command, buf_str(&b));
	if (b.at)
		explicit_bzero(b.at, b.len);
	buf_free(&b);
	return good;
}

/* Sends the challenge and brings the answer; false: *no says why not. */
static bool
ask(struct imap *k, const struct buf *challenge, struct str *out,
	struct imap_answer *no)
{
	struct stream *s = &k->session->stream;
	enum stream_line how;
	struct str line;
	struct buf b64;

	buf_init(&b64, BUF_NO_CAP);
	enc_base64(&b64, challenge->at, challenge->len);
	stream_printf(s, "+ %s\r\n", buf_c(&b64));
	buf_free(&b64);
	*no = IMAP_ANSWER(IMAP_SAID, NULL, "");
	if (!stream_flush(s))
		return false;
	how = stream_line(s, ANSWER_MOST, &line);
	if (how == STREAM_LINE_FAILED)
		return false;
	*no = IMAP_ANSWER(IMAP_BAD, NULL, str_is(line, "*") ?
		"Authentication cancelled" : "Not base64");
	return how == STREAM_LINE_OK && decode(k, line, out);
}

/* The client's answers are awaited here, as literals are: the exchange is a
 * part of the command, and under the time limit of one. */
static struct imap_answer
exchange(struct imap *k, struct str mechanism, struct str initial)
{
	struct arena *a = &k->session->command;
	struct imap_answer no;
	struct buf challenge;
	struct sasl_terms terms = session_sasl_terms(k->session, "imap");
	enum auth_step step;
	struct sasl sasl;
	struct str said;

	buf_init(&challenge, 4096);
	step = sasl_begin(&sasl, &terms, mechanism, initial, a, &challenge);
	while (step == AUTH_CONTINUE) {
		if (!ask(k, &challenge, &said, &no)) {
			buf_free(&challenge);
			sasl_end(&sasl);
			return no;
		}
		buf_reset(&challenge);
		step = sasl_next(&sasl, said, a, &challenge);
	}
	buf_free(&challenge);
	sasl_end(&sasl);
	k->session->guess = sasl.guess;
	return after_step(k, step, step == AUTH_DENIED ? sasl.login :
		str_from(sasl.account), sasl.account);
}

struct imap_answer
imap_authenticate(struct imap *k, struct imap_in *in, bool uid)
{
	struct str mechanism, word, initial = {NULL, 0};

	(void)uid;
	if (!imap_atom(in, &mechanism))
		return imap_bad(k, in);
	if (in->rest.len) {
		if (!imap_blank(in))
			return imap_bad(k, in);
		word = in->rest;
		/* "=" is an empty initial response (RFC 4959 section 3). */
		if (str_is(word, "="))
			initial = STR("");
		else if (!word.len || !decode(k, word, &initial))
			return IMAP_ANSWER(IMAP_BAD, NULL, "Not base64");
	}
	if (!session_is_private(k->session))
		return not_private();
	return exchange(k, mechanism, initial);
}

struct imap_answer
imap_starttls(struct imap *k, struct imap_in *in, bool uid)
{
	struct session *s = k->session;
	struct err e = {0};

	(void)uid;
	if (s->tls)
		return IMAP_ANSWER(IMAP_BAD, NULL, "TLS is on already");
	if (!offers_tls(k))
		return IMAP_ANSWER(IMAP_BAD, NULL, "TLS is not offered here");
	stream_write_str(&s->stream, imap_command_of(in)->tag);
	stream_puts(&s->stream, " OK Begin TLS\r\n");
	if (!stream_flush(&s->stream) || session_start_tls(s, &e) < 0) {
		log_info("imap.tls", LOG_S("session", s->id),
			LOG_S("error", e.text));
		k->state = IMAP_OUT;
	}
	return IMAP_ANSWER(IMAP_SAID, NULL, "");
}

/* RFC 4978 section 3: our OK is the last line in the clear, and what the
 * client sends behind it is compressed. Login comes first and TLS before
 * that, so that neither is set up under compression. */
struct imap_answer
imap_compress(struct imap *k, struct imap_in *in, bool uid)
{
	struct stream *s = &k->session->stream;
	struct str method;

	(void)uid;
	if (!imap_atom(in, &method) || !imap_end(in))
		return imap_bad(k, in);
	if (!str_iis(method, "DEFLATE"))
		return IMAP_ANSWER(IMAP_BAD, NULL, "Method is not known here");
	if (stream_is_compressed(s))
		return IMAP_ANSWER(IMAP_NO, "COMPRESSIONACTIVE",
			"It is compressed already");
	stream_write_str(s, imap_command_of(in)->tag);
	stream_puts(s, " OK From here on compressed\r\n");
	hooks_set_last_words(-1, NULL);
	if (!stream_flush(s) || !stream_compress(s))
		k->state = IMAP_OUT;
	return IMAP_ANSWER(IMAP_SAID, NULL, "");
}

/* RFC 8437 section 2: the connection as it was before the login, under TLS and
 * compression as it is now. Nothing is expunged. */
struct imap_answer
imap_unauthenticate(struct imap *k, struct imap_in *in, bool uid)
{
	struct session *s = k->session;

	(void)in;
	(void)uid;
	imap_notify_end(k);
	imap_deselect(k);
	session_give_login(s);
	s->idle_limit = k->house->limits->idle_timeout;
	k->account = "";
	k->enabled = 0;
	k->state = IMAP_FRESH;
	return IMAP_ANSWER(IMAP_OK, imap_capabilities(k), "Who are you?");
}

/* -------------------------------------------------------- ENABLE, ID, ... */

struct imap_answer
imap_enable(struct imap *k, struct imap_in *in, bool uid)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {
		{"CONDSTORE", IMAP_CONDSTORE},
		{"QRESYNC", IMAP_QRESYNC | IMAP_CONDSTORE},
		{"UTF8=ACCEPT", IMAP_UTF8}, {"UIDONLY", IMAP_UIDONLY},
		{"IMAP4rev2", IMAP_REV2},
	};
	struct stream *to = &k->session->stream;
	unsigned wanted = 0;
	struct str word;
	size_t i;

	(void)uid;
	do {
		if (!imap_atom(in, &word))
			return imap_bad(k, in);
		for (i = 0; i < sizeof known / sizeof *known; i++)
			if (str_iis(word, known[i].name))
				wanted |= known[i].bit;
	} while (in->rest.len && imap_blank(in));
	if (!imap_end(in))
		return imap_bad(k, in);
	stream_puts(to, "* ENABLED");
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if ((wanted & known[i].bit) == known[i].bit &&
			~k->enabled & known[i].bit)
			stream_printf(to, " %s", known[i].name);
	stream_puts(to, "\r\n");
	k->enabled |= wanted;
	if (k->box && k->enabled & IMAP_UIDONLY)
		imap_contexts_drop_numbers(k->box);
	return IMAP_ANSWER(IMAP_OK, NULL, "Enabled");
}

/* The client's own words are read and thrown away. */
static bool
take_id(struct imap_in *in)
{
	struct str name, value;
	int n;

	if (!imap_is_char(in, '('))
		return imap_nstring(in, &value) && imap_end(in);
	imap_char(in, '(');
	for (n = 0; !imap_is_char(in, ')'); n++)
		if ((n && !imap_blank(in)) || !imap_string(in, &name) ||
			!imap_blank(in) || !imap_nstring(in, &value))
			return false;
	return imap_char(in, ')') && imap_end(in);
}

struct imap_answer
imap_id(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	if (!take_id(in))
		return imap_bad(k, in);
	stream_puts(&k->session->stream, "* ID (\"name\" \"Mailroom\" "
		"\"version\" \"" PACKAGE_VERSION "\")\r\n");
	return IMAP_ANSWER(IMAP_OK, NULL, "Pleased to meet you");
}

struct imap_answer
imap_namespace(struct imap *k, struct imap_in *in, bool uid)
{
	(void)in;
	(void)uid;
	stream_printf(&k->session->stream, "* NAMESPACE ((\"\" \"/\")) %s "
		"NIL\r\n", imap_has_acl(k) ?
		"((\"" IMAP_OTHERS "/\" \"/\"))" : "NIL");
	return IMAP_ANSWER(IMAP_OK, NULL, "That is all");
}
