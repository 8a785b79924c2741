/*
 * smtp.c - SMTP and submission (RFC 5321, 6409): the loop and the small
 * verbs. Each verb returns its reply and only answer() writes it.
 *
 * The table says what holds for a verb before it runs; a rule for many verbs
 * is a flag there. Runs on the park's threads.
 */
#include "serve/smtp.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/addr.h"

#define FREE_ERRORS 3
#define LINE_MOST 4096		/* RFC 5321 4.5.3.1.4, and room for AUTH */

enum smtp_flag {
	NEEDS_HELO = 1,
	NEEDS_MAIL = 2,		/* inside a transaction */
	NOT_IN_MAIL = 4,
	NO_ARGS = 8,
	FREE = 16,		/* allowed after a refusal at connect */
	NOT_IN_CHUNKS = 32,	/* BDAT has begun */
	NOT_LMTP = 128,
	ONLY_LMTP = 256,
	READS = 64,		/* its bytes follow: it answers for itself */
};

struct smtp_verb {
	const char *name;
	unsigned flags;
	struct reply (*run)(struct smtp *k, struct str args);
};

/* ------------------------------------------------------------- greeting */

/* The word of Received (RFC 3848, 6531 4.3). */
void
smtp_set_protocol(struct smtp *k)
{
	static const char *const names[3][2][2] = {
		{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
		{{"LMTP", "LMTPA"}, {"LMTPS", "LMTPSA"}},
		{{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}}};
	int kind = k->is_lmtp ? 1 : k->in_mail && k->envelope.utf8 ? 2 : 0;

	k->facts.protocol = k->esmtp ? names[kind][k->session->tls]
		[!!*k->account] : "SMTP";
	stream_tls_facts(&k->session->stream, &k->facts.tls);
}

bool
smtp_is_host_name(struct str s)
{
	size_t i;

	if (!s.len || s.len > 255)
		return false;
	if (addr_is_literal(s))
		return true;
	/* Real clients send underscores and the like: what matters is that
	 * the name cannot break a Received field. */
	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] <= ' ' || s.at[i] == 127 ||
			strchr("()<>[]@,;:\\\"", s.at[i]))
			return false;
	return true;
}

static struct reply
take_helo(struct smtp *k, struct str args, bool esmtp)
{
	struct verdict v;

	args = str_trim_blank(args);
	if (!smtp_is_host_name(args))
		return REPLY(501, "5.5.4", "Syntax: EHLO hostname");
	smtp_reset(k);
	k->esmtp = esmtp;
	k->facts.helo = arena_str(&k->session->arena, args);
	smtp_set_protocol(k);
	v = hooks_helo(k->hooks);
	/* Clients read a refusal of EHLO as "speak HELO": it is given at MAIL
	 * instead, as other servers do. */
	if (v.kind == MR_HANGUP)
		return v.reply;
	k->refused = v.reply;	/* its text lives in the session's arena */
	return (struct reply){.code = 250, .text = str_from(
		k->house->hostname)};
}

static struct reply
verb_helo(struct smtp *k, struct str args)
{
	return take_helo(k, args, false);
}

static bool
offers_tls(const struct smtp *k)
{
	return k->session->listener->tls == SERVE_TLS_STARTTLS &&
		!k->session->tls && k->house->tls;
}

static bool
offers_auth(const struct smtp *k)
{
	return k->is_submission && session_is_private(k->session) &&
		!*k->account;
}

static struct reply
verb_ehlo(struct smtp *k, struct str args)
{
	struct reply r = take_helo(k, args, true);
	struct buf b;

	if (r.code != 250)
		return r;
	buf_init(&b, 4096);
	buf_addf(&b, "%s\nPIPELINING", k->house->hostname);
	smtp_offer(k, &b);
	if (offers_tls(k))
		buf_adds(&b, "\nSTARTTLS");
	if (offers_auth(k)) {
		struct sasl_terms t = session_sasl_terms(k->session, "smtp");

		buf_adds(&b, "\nAUTH ");
		auth_mechanisms(&t, &b);
	}
	if (k->may_xclient)
		buf_adds(&b, "\nXCLIENT " SMTP_XCLIENT_NAMES);
	buf_adds(&b, "\nENHANCEDSTATUSCODES\nHELP");
	r.text = arena_str(&k->session->command, buf_str(&b));
	buf_free(&b);
	return r;
}

/* ----------------------------------------------------------- small verbs */

static struct reply
verb_starttls(struct smtp *k, struct str args)
{
	struct session *s = k->session;
	struct err e = {0};

	(void)args;
	if (s->tls)
		return REPLY(503, "5.5.1", "TLS is on already");
	if (!offers_tls(k))
		return REPLY(502, "5.5.1", "TLS is not offered here");
	stream_puts(&s->stream, "220 2.0.0 Ready to start TLS\r\n");
	if (!stream_flush(&s->stream) || session_start_tls(s, &e) < 0) {
		log_info("smtp.tls", LOG_S("session", s->id),
			LOG_S("error", e.text));
		k->quit = true;
		return (struct reply){0};
	}
	/* RFC 3207 4.2: what was learned before is forgotten. */
	smtp_reset(k);
	k->facts.helo = STR("");
	k->esmtp = false;
	smtp_set_protocol(k);
	return (struct reply){0};
}

static struct reply
verb_rset(struct smtp *k, struct str args)
{
	(void)args;
	smtp_reset(k);
	return REPLY(250, "2.0.0", "Ok");
}

static struct reply
verb_noop(struct smtp *k, struct str args)
{
	(void)k;
	(void)args;
	return REPLY(250, "2.0.0", "Ok");
}

static struct reply
verb_help(struct smtp *k, struct str args)
{
	(void)k;
	(void)args;
	return REPLY(214, "2.0.0", "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET "
		"NOOP VRFY HELP QUIT STARTTLS AUTH\n"
		"See RFC 5321 and RFC 6409");
}

/* Never tells whether a user exists (RFC 5321 7.3). */
static struct reply
verb_vrfy(struct smtp *k, struct str args)
{
	(void)k;
	if (!str_trim_blank(args).len)
		return REPLY(501, "5.5.4", "Syntax: VRFY address");
	return REPLY(252, "2.0.0", "Send mail and I will try to deliver it");
}

static struct reply
verb_expn(struct smtp *k, struct str args)
{
	(void)k;
	(void)args;
	return REPLY(502, "5.5.1", "Not offered");
}

static struct reply
verb_quit(struct smtp *k, struct str args)
{
	(void)args;
	k->quit = true;
	return REPLY(221, "2.0.0", "Bye");
}

static const struct smtp_verb verbs[] = {
	{"EHLO", NOT_LMTP, verb_ehlo},
	{"HELO", NOT_LMTP, verb_helo},
	{"LHLO", ONLY_LMTP, verb_ehlo},
	{"MAIL", NEEDS_HELO | NOT_IN_MAIL, smtp_mail},
	{"RCPT", NEEDS_HELO | NEEDS_MAIL | NOT_IN_CHUNKS, smtp_rcpt},
	{"DATA", NEEDS_HELO | NEEDS_MAIL | NO_ARGS | NOT_IN_CHUNKS, smtp_data},
	{"BDAT", READS, smtp_bdat},
	{"RSET", NO_ARGS, verb_rset},
	{"NOOP", 0, verb_noop},
	{"QUIT", FREE, verb_quit},
	{"AUTH", NEEDS_HELO | NOT_IN_MAIL, smtp_auth},
	{"STARTTLS", NO_ARGS | NOT_IN_MAIL, verb_starttls},
	{"VRFY", 0, verb_vrfy},
	{"EXPN", 0, verb_expn},
	{"HELP", 0, verb_help},
	{"XCLIENT", NOT_IN_MAIL, smtp_xclient},
};

/* -------------------------------------------------------------- the loop */

static const struct smtp_verb *
find_verb(struct str name)
{
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_iis(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

/* What stands against running the verb now; code 0: nothing. */
static struct reply
check_verb(const struct smtp *k, const struct smtp_verb *v, struct str args)
{
	if (k->refused_at_connect && !(v->flags & (FREE | READS)))
		return k->refused;
	if (v->flags & NOT_IN_CHUNKS && k->chunks)
		return REPLY(503, "5.5.1", "BDAT has begun: BDAT or RSET");
	if (v->flags & NO_ARGS && str_trim_blank(args).len)
		return REPLY(501, "5.5.4", "No arguments are allowed");
	if (v->flags & NEEDS_HELO && !k->facts.helo.len)
		return k->is_lmtp ? REPLY(503, "5.5.1", "Say LHLO first") :
			REPLY(503, "5.5.1", "Say EHLO first");
	if (v->flags & NEEDS_MAIL && !k->in_mail)
		return REPLY(503, "5.5.1", "Say MAIL first");
	if (v->flags & NOT_IN_MAIL && k->in_mail)
		return REPLY(503, "5.5.1", "Not inside a message");
	return (struct reply){0};
}

static struct reply
unknown_verb(struct smtp *k, struct str line)
{
	struct verdict v = {.kind = MR_PASS};

	if (!k->in_mail && !k->refused_at_connect)
		v = hooks_unknown(k->hooks, line);
	return v.reply.code ? v.reply :
		REPLY(500, "5.5.2", "Command not recognised");
}

static struct reply
run_line(struct smtp *k, struct str line)
{
	struct str args = line, name = str_word(&args);
	const struct smtp_verb *v = find_verb(name);
	struct reply r;

	if (!v || v->flags & (k->is_lmtp ? NOT_LMTP : ONLY_LMTP))
		return unknown_verb(k, line);
	r = check_verb(k, v, args);
	return r.code ? r : v->run(k, args);
}

static struct reply
read_and_run(struct smtp *k)
{
	struct str line;

	switch (stream_line(&k->session->stream, LINE_MOST, &line)) {
	case STREAM_LINE_OK:
		break;
	case STREAM_LINE_BARE:
		/* What comes behind a bare LF is another command to us and
		 * none to a proxy in front: nobody may profit from that. */
		k->quit = true;
		return REPLY(500, "5.5.2",
			"Lines must end in CR LF and hold no other CR or LF");
	case STREAM_LINE_LONG:
		k->in_auth = false;
		return REPLY(500, "5.5.2", "Line too long");
	default:
		k->quit = true;
		return (struct reply){0};
	}
	/* The view dies with the next read, and verbs may read. */
	line = arena_str(&k->session->command, line);
	return k->in_auth ? smtp_auth_line(k, line) : run_line(k, line);
}

void
smtp_say(struct smtp *k, const struct reply *r)
{
	struct buf out;

	if (!r->code)
		return;
	buf_init(&out, 32768);
	reply_write(&out, r);
	stream_write_str(&k->session->stream, buf_str(&out));
	buf_free(&out);
}

/* Bad commands are counted; too many end the session. */
static struct reply
count_errors(struct smtp *k, struct reply r)
{
	const struct limits_settings *l = k->house->limits;

	k->commands++;
	if (r.code >= 500)
		k->errors++;
	if (r.code == 421) {
		k->quit = true;
		return r;
	}
	if (k->errors < l->errors && k->commands <= l->commands)
		return r;
	if (k->quit)
		return r;
	k->quit = true;
	if (r.code)
		smtp_say(k, &r);
	log_info("smtp.limit", LOG_S("session", k->session->id),
		LOG_N("errors", k->errors), LOG_N("commands", k->commands));
	return k->errors >= l->errors ? REPLY(421, "4.7.0",
		"Too many errors, closing") : REPLY(421, "4.7.0",
		"Too many commands, closing");
}

/* Strangers with one bad command after another get slow answers. */
static bool
is_tiresome(const struct smtp *k)
{
	return k->errors > FREE_ERRORS && k->house->limits->error_delay &&
		!smtp_is_trusted(k) && !sock_is_loopback(&k->session->peer);
}

static enum session_next
turn(struct session *s)
{
	struct smtp *k = smtp_of(s);
	struct reply r = count_errors(k, read_and_run(k));

	smtp_say(k, &r);
	if (k->quit)
		return SESSION_END;
	if (k->delay) {
		k->delay = false;
		return session_pause(s, k->house->limits->auth_delay);
	}
	if (r.code >= 500 && is_tiresome(k))
		return session_pause(s, k->house->limits->error_delay);
	return SESSION_MORE;
}

/* ------------------------------------------------------------------- life */

static void
look_up_peer(struct smtp *k)
{
	static const char *const iprev[] = {
		[DNS_PEER_NAMELESS] = "permerror", [DNS_PEER_FAIL] = "fail",
		[DNS_PEER_PASS] = "pass", [DNS_PEER_TEMPFAIL] = "temperror"};
	const struct smtp_settings *set = k->house->smtp;
	char name[256];

	if (!set->reverse_dns || k->session->peer.sa.ss_family == AF_UNIX)
		return;
	k->facts.iprev = iprev[dns_peer_name(k->house->dns, &k->session->peer,
		clock_mono() + set->dns_timeout, name, sizeof name)];
	k->facts.peer_name = arena_str(&k->session->arena, str_from(name));
}

static void
fill_facts(struct smtp *k)
{
	struct session *s = k->session;
	struct facts *f = &k->facts;

	*f = (struct facts){.hostname = k->house->hostname,
		.authserv_id = *k->house->smtp->authserv_id ?
			k->house->smtp->authserv_id : k->house->hostname,
		.software = "Mailroom " PACKAGE_VERSION,
		.listener = s->listener->name,
		.purpose = k->is_submission ? "submission" : "mx",
		.peer = s->peer, .peer_name = STR(""), .helo = STR(""),
		.protocol = "SMTP", .auth_login = STR(""),
		.auth_mechanism = "", .rcpt_refused = STR(""),
		.rcpt_mailer = "", .session_arena = &s->arena,
		.message_arena = &k->message};
	memcpy(f->session, s->id, sizeof s->id);
	session_local(s, &f->local);
	stream_tls_facts(&s->stream, &f->tls);
}

/* A filter does not come back: on the watchdog's thread, while ours is in
 * that filter. The session ends when it does. */
static void
give_up(void *arg)
{
	struct smtp *k = arg;
	struct stream *s = &k->session->stream;
	struct reply r = REPLY(421, "4.3.0",
		"A filter does not answer, try again later");

	stream_limit(s, 1000, 0);
	smtp_say(k, &r);
	stream_flush(s);
	stream_fail(s, ERR_CLOSED, "a filter did not answer");
	shutdown(k->session->guest.fd, SHUT_RDWR);
}

/* By whom the session is, so that all its hooks are of one chain. */
static enum direction
direction_of(const struct smtp *k)
{
	if (k->is_submission)
		return CHAIN_SUBMISSION;
	return sock_in_nets(&k->session->peer, &k->house->relay) ?
		CHAIN_RELAY : CHAIN_INBOUND;
}

struct reply
smtp_greet(struct smtp *k)
{
	const struct chain *chain = &k->house->chain[direction_of(k)];
	struct verdict v;
	struct reply r;

	k->facts.chain = chain->name;
	k->hooks = hooks_new(chain, &k->facts);
	hooks_on_give_up(k->hooks, give_up, k);
	v = hooks_connect(k->hooks);
	k->refused_at_connect = v.reply.code != 0;
	if (!v.reply.code)
		return reply_printf(&k->session->command, 220, "",
			"%s %s Mailroom", k->house->hostname,
			k->is_lmtp ? "LMTP" : "ESMTP");
	if (v.kind == MR_HANGUP)
		return v.reply;
	/* RFC 5321 3.1: 554 greets, then only QUIT is understood. */
	k->refused = v.reply;
	r = v.reply;
	r.code = 554;
	return r;
}

static enum session_next
open_smtp(struct session *s)
{
	struct smtp *k = arena_alloc(&s->arena, sizeof *k);
	struct reply r;

	s->state = k;
	k->session = s;
	k->house = s->house;
	k->is_submission = s->listener->protocol == SERVE_SUBMISSION;
	k->is_lmtp = s->listener->protocol == SERVE_LMTP;
	k->may_xclient = sock_in_nets(&s->peer, &k->house->xclient);
	arena_init(&k->message);
	fill_facts(k);
	look_up_peer(k);
	r = smtp_greet(k);
	smtp_say(k, &r);
	return r.code == 421 ? SESSION_END : SESSION_MORE;
}

static void
bye(struct session *s, bool drain)
{
	struct smtp *k = smtp_of(s);
	struct reply r = drain ? REPLY(421, "4.3.2",
		"Server is going down, try again later") :
		REPLY(421, "4.4.2", "Idle for too long, closing");

	smtp_say(k, &r);
}

static void
close_smtp(struct session *s)
{
	struct smtp *k = smtp_of(s);

	smtp_reset(k);
	hooks_end(k->hooks);
	arena_free(&k->message);
	sasl_end(&k->sasl);
	explicit_bzero(&k->sasl, sizeof k->sasl);
}

const struct protocol smtp_protocol = {
	.name = "smtp",
	.last_words = "421 4.3.0 A filter failed here, try again later\r\n",
	.open = open_smtp,
	.turn = turn,
	.bye = bye,
	.close = close_smtp,
};
