/*
 * pop3.c - POP3 (RFC 1939, 2449, 2595, 6856): the loop and the verbs that touch no
 * mail. Each verb returns its answer and only write_answer() writes it.
 *
 * The table says in which state a verb is allowed and whether it names a
 * message. Runs on the park's threads.
 */
#include "serve/pop3.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"

#define DAY 86400000
#define KNOCK_MS 200
#define LINE_MOST 8192		/* RFC 2449 4: 255; RFC 5034 4: more for SASL */

enum pop3_flag {
	/* 1 and 2: enum pop3_state, where it is allowed */
	ANYWHERE = POP3_LOGIN | POP3_MAILDROP,
	NO_ARGS = 4,
	NAMES_MAIL = 8,		/* the first argument is a message number */
	MAY_NAME_MAIL = 16,	/* the same, or there is no argument */
};

struct pop3_verb {
	const char *name;
	unsigned flags;
	struct pop3_answer (*run)(struct pop3 *k, struct str args,
		struct pop3_mail *mail);
};

static struct pop3 *
pop3_of(struct session *s)
{
	return s->state;
}

/* --------------------------------------------------------------- answers */

struct pop3_answer
pop3_printf(struct pop3 *k, const char *mark, const char *fmt, ...)
{
	struct pop3_answer r = {.mark = mark};
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r.text = arena_str(&k->session->command, str_from(text));
	return r;
}

void
pop3_log_trouble(struct pop3 *k, int code, const struct mr_error *me)
{
	struct err e = {0};

	if (store_result(code, me, &e) < 0)
		log_error("pop3.store", LOG_S("session", k->session->id),
			LOG_S("account", k->sasl.account),
			LOG_S("error", e.text));
}

/* Response codes: RFC 2449 8.1.1 (IN-USE) and RFC 3206 (SYS). */
struct pop3_answer
pop3_trouble(struct pop3 *k, int code, const struct mr_error *me)
{
	pop3_log_trouble(k, code, me);
	if (code == MR_STORE_BUSY)
		return POP3_ERR("[IN-USE] The mailbox is busy, try again");
	if (code == MR_STORE_MISSING)
		return POP3_ERR("[SYS/PERM] There is no such mailbox");
	return POP3_ERR("[SYS/TEMP] The mail store cannot do it now");
}

static void
write_answer(struct pop3 *k, const struct pop3_answer *r)
{
	const struct limits_settings *l = k->house->limits;
	struct stream *s = &k->session->stream;

	if (!r->mark)
		return;
	stream_puts(s, r->mark);
	stream_write_str(s, r->text);
	stream_puts(s, "\r\n");
	if (!r->rest)
		return;
	/* A client that takes it too slowly must not hold the thread. */
	stream_limit(s, l->data_timeout, (uint32_t)l->min_rate);
	r->rest(k);
	stream_puts(s, ".\r\n");
	stream_limit(s, l->command_timeout, 0);
}

/* ----------------------------------------------------------- small verbs */

static bool
offers_tls(const struct pop3 *k)
{
	return k->session->listener->tls == SERVE_TLS_STARTTLS &&
		!k->session->tls && k->house->tls;
}

static void
offer_logins(struct pop3 *k)
{
	struct sasl_terms t = session_sasl_terms(k->session, "pop3");
	struct buf b;

	buf_init(&b, 400);
	auth_mechanisms(&t, &b);
	stream_printf(&k->session->stream, "USER\r\nSASL %s\r\n", buf_c(&b));
	buf_free(&b);
}

static void
write_capabilities(struct pop3 *k)
{
	struct stream *s = &k->session->stream;
	bool login = k->state == POP3_LOGIN;
	int64_t delay = k->house->limits->pop3_login_delay;
	int64_t expires = k->house->inbox_expires;

	stream_puts(s, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
		"PIPELINING\r\nUTF8 USER\r\nLANG\r\n"
		"IMPLEMENTATION Mailroom\r\n");
	/* RFC 2449 6.7: at least so many days. */
	if (expires)
		stream_printf(s, "EXPIRE %lld\r\n",
			(long long)(expires / DAY));
	else
		stream_puts(s, "EXPIRE NEVER\r\n");
	if (delay)
		stream_printf(s, "LOGIN-DELAY %lld\r\n",
			(long long)((delay + 999) / 1000));
	if (session_is_private(k->session))
		offer_logins(k);
	if (login && offers_tls(k))
		stream_puts(s, "STLS\r\n");
}

static struct pop3_answer
verb_capa(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	(void)k;
	(void)args;
	(void)mail;
	return (struct pop3_answer){"+OK ", STR("Capabilities follow"),
		write_capabilities};
}

static struct pop3_answer
verb_stls(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	struct session *s = k->session;
	struct err e = {0};

	(void)args;
	(void)mail;
	if (s->tls)
		return POP3_ERR("TLS is on already");
	if (!offers_tls(k))
		return POP3_ERR("TLS is not offered here");
	stream_puts(&s->stream, "+OK Begin TLS\r\n");
	if (!stream_flush(&s->stream) || session_start_tls(s, &e) < 0) {
		log_info("pop3.tls", LOG_S("session", s->id),
			LOG_S("error", e.text));
		k->quit = true;
	}
	/* RFC 2595 4: what was learned before is forgotten. */
	explicit_bzero(k->login, sizeof k->login);
	return (struct pop3_answer){0};
}

static struct pop3_answer
verb_noop(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	(void)k;
	(void)args;
	(void)mail;
	return POP3_OK("");
}

/* RFC 6856 2.1. Mail is given as it is in any case, and names and passwords
 * are UTF-8 in any case: there is nothing to remember. */
static struct pop3_answer
verb_utf8(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	(void)k;
	(void)args;
	(void)mail;
	return POP3_OK("UTF-8 it is");
}

static void
write_languages(struct pop3 *k)
{
	stream_puts(&k->session->stream, "en English\r\n");
}

/* RFC 6856 3: of one language. */
static struct pop3_answer
verb_lang(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	struct str tag = str_trim_blank(args);

	(void)k;
	(void)mail;
	if (!tag.len)
		return (struct pop3_answer){"+OK ", STR("Languages follow"),
			write_languages};
	if (str_is(tag, "*") || str_iis(tag, "en") ||
		str_iis(tag, "i-default") ||
		str_iis(str_sub(tag, 0, 3), "en-"))
		return POP3_OK("en It is English");
	return POP3_ERR("Only English is spoken here");
}

/* RFC 1939 6: removal happens here and nowhere else. */
static struct pop3_answer
verb_quit(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	struct mr_error me = {""};
	struct mr_retained kept;
	struct pop3_answer r;
	size_t n = 0;
	int code;

	(void)args;
	(void)mail;
	k->quit = true;
	if (k->state != POP3_MAILDROP)
		return POP3_OK("Bye");
	code = pop3_remove_marked(k, &n, &kept, &me);
	/* Who reads our answer may come again at once. */
	pop3_close_maildrop(k);
	if (code != MR_STORE_OK) {
		r = pop3_trouble(k, code, &me);
		r.text = str_from(arena_printf(&k->session->command,
			"%.*s; nothing was removed", STR_ARGS(r.text)));
		return r;
	}
	log_info("pop3.quit", LOG_S("session", k->session->id),
		LOG_S("account", k->sasl.account), LOG_N("removed", n));
	/* RFC 1939 section 6: "some deleted messages not removed". */
	if (kept.messages)
		return pop3_printf(k, "-ERR ", "%s",
			store_retained_text(&kept, &k->session->command));
	return POP3_OK("Bye");
}

static const struct pop3_verb verbs[] = {
	{"CAPA", ANYWHERE | NO_ARGS, verb_capa},
	{"STLS", POP3_LOGIN | NO_ARGS, verb_stls},
	{"UTF8", POP3_LOGIN | NO_ARGS, verb_utf8},
	{"LANG", ANYWHERE, verb_lang},
	{"USER", POP3_LOGIN, pop3_user},
	{"PASS", POP3_LOGIN, pop3_pass},
	{"AUTH", POP3_LOGIN, pop3_auth},
	{"STAT", POP3_MAILDROP | NO_ARGS, pop3_stat},
	{"LIST", POP3_MAILDROP | MAY_NAME_MAIL, pop3_list},
	{"UIDL", POP3_MAILDROP | MAY_NAME_MAIL, pop3_uidl},
	{"RETR", POP3_MAILDROP | NAMES_MAIL, pop3_retr},
	{"TOP", POP3_MAILDROP | NAMES_MAIL, pop3_top},
	{"DELE", POP3_MAILDROP | NAMES_MAIL, pop3_dele},
	{"RSET", POP3_MAILDROP | NO_ARGS, pop3_rset},
	{"NOOP", POP3_MAILDROP | NO_ARGS, verb_noop},
	{"QUIT", ANYWHERE | NO_ARGS, verb_quit},
};

/* -------------------------------------------------------------- the loop */

static const struct pop3_verb *
find_verb(struct str name)
{
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_iis(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

/* The message that the first argument names, or NULL. */
static struct pop3_mail *
find_mail(struct pop3 *k, struct str *args)
{
	uint64_t n;

	if (!str_u64(str_word(args), k->n_mail, &n) || n == 0 ||
		k->mail[n - 1].deleted)
		return NULL;
	return &k->mail[n - 1];
}

static struct pop3_answer
run_verb(struct pop3 *k, const struct pop3_verb *v, struct str args)
{
	struct pop3_mail *mail = NULL;
	bool blank = !str_trim_blank(args).len;

	if (!(v->flags & k->state))
		return k->state == POP3_LOGIN ? POP3_ERR("Log in first") :
			POP3_ERR("You are logged in already");
	if (v->flags & NO_ARGS && !blank)
		return POP3_ERR("No arguments are allowed");
	if (v->flags & NAMES_MAIL || (v->flags & MAY_NAME_MAIL && !blank)) {
		mail = find_mail(k, &args);
		if (!mail)
			return POP3_ERR("No such message");
	}
	return v->run(k, args, mail);
}

static struct pop3_answer
run_line(struct pop3 *k, struct str line)
{
	/* One blank only: those behind it may belong to a password. */
	struct str args = line, name = str_cut(&args, ' ');
	const struct pop3_verb *v = find_verb(name);

	if (v)
		return run_verb(k, v, args);
	k->errors++;
	return POP3_ERR("Command not known here");
}

static struct pop3_answer
refuse_line(struct pop3 *k, enum stream_line how)
{
	k->in_auth = false;
	k->errors++;
	return how == STREAM_LINE_LONG ? POP3_ERR("Line too long") :
		POP3_ERR("Lines must end in CR LF and hold no other CR");
}

static struct pop3_answer
read_and_run(struct pop3 *k)
{
	enum stream_line how;
	struct str line;

	how = stream_line(&k->session->stream, LINE_MOST, &line);
	if (how == STREAM_LINE_FAILED) {
		k->quit = true;
		return (struct pop3_answer){0};
	}
	if (how != STREAM_LINE_OK)
		return refuse_line(k, how);
	return k->in_auth ? pop3_auth_line(k, line) : run_line(k, line);
}

static enum session_next
say(struct pop3 *k, struct pop3_answer r)
{
	struct session *s = k->session;

	if (k->knocks)
		return session_pause(s, KNOCK_MS);
	if (!k->quit && k->errors >= k->house->limits->errors) {
		log_info("pop3.limit", LOG_S("session", s->id),
			LOG_N("errors", k->errors));
		k->quit = true;
		r = POP3_ERR("Too many errors, closing");
	}
	write_answer(k, &r);
	if (k->quit)
		return SESSION_END;
	if (!k->delay)
		return SESSION_MORE;
	k->delay = false;
	return session_pause(s, k->house->limits->auth_delay);
}

static enum session_next
turn(struct session *s)
{
	struct pop3 *k = pop3_of(s);

	return say(k, read_and_run(k));
}

static enum session_next
wake(struct session *s, unsigned why)
{
	struct pop3 *k = pop3_of(s);

	(void)why;
	return k->knocks ? say(k, pop3_enter(k)) : SESSION_MORE;
}

/* ------------------------------------------------------------------- life */

static enum session_next
open_pop3(struct session *s)
{
	struct pop3 *k = arena_alloc(&s->arena, sizeof *k);

	s->state = k;
	k->session = s;
	k->house = s->house;
	k->state = POP3_LOGIN;
	k->lock = -1;
	stream_printf(&s->stream, "+OK %s POP3 Mailroom\r\n",
		k->house->hostname);
	return SESSION_MORE;
}

/* RFC 1939 3: a session that ends without QUIT removes nothing. */
static void
bye(struct session *s, bool drain)
{
	stream_puts(&s->stream, drain ?
		"-ERR [SYS/TEMP] Server is going down, try again later\r\n" :
		"-ERR Idle for too long, closing\r\n");
}

static void
close_pop3(struct session *s)
{
	struct pop3 *k = pop3_of(s);

	pop3_close_maildrop(k);
	free(k->mail);
	sasl_end(&k->sasl);
	explicit_bzero(&k->sasl, sizeof k->sasl);
}

const struct protocol pop3_protocol = {
	.name = "pop3",
	.open = open_pop3,
	.turn = turn,
	.wake = wake,
	.bye = bye,
	.close = close_pop3,
};
