/*
 * smtp_data.c - DATA to 250: read, clean, stamp, filter, route again, store.
 * BDAT (smtp_bdat.c) joins behind `receive`.
 *
 * Order of the stations of a message, top to bottom:
 *	receive     the bytes, strictly delimited
 *	clean       what strangers may not bring (forged results, Bcc)
 *	complete    what submission clients leave out (Date, Message-ID)
 *	filter      the chain's message hooks, with their edits
 *	route       recipients that filters added
 *	stamp       Received, Authentication-Results, Return-Path
 *	submit      one durable commit; only then 250
 */
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "mail/esmtp_args.h"
#include "mail/header.h"
#include "plug/result.h"
#include "queue/place.h"
#include "queue/submit.h"
#include "serve/guard.h"
#include "serve/smtp.h"
#include "serve/smtp_body.h"

/* --------------------------------------------------------------- receive */

struct reply
smtp_body_refusal(struct smtp *k, enum smtp_body fault, const struct err *e)
{
	switch (fault) {
	case SMTP_BODY_OK:
		return (struct reply){0};
	case SMTP_BODY_TOO_LARGE:
		return reply_printf(&k->session->command, 552, "5.3.4",
			"Message is larger than %lld bytes, the limit here",
			(long long)k->house->limits->message_size);
	case SMTP_BODY_BARE:
		return REPLY(550, "5.6.0", "Lines must end in CR LF and hold "
			"no other CR or LF (RFC 5321 2.3.8)");
	case SMTP_BODY_NUL:
		return REPLY(550, "5.6.0", "The message holds a NUL byte");
	case SMTP_BODY_SPOOL:
		log_error("smtp.spool", LOG_S("session", k->session->id),
			LOG_S("error", e->text));
		return REPLY(452, "4.3.1", "No room for the message now");
	default:
		k->quit = true;
		return (struct reply){0};
	}
}

static struct reply
receive(struct smtp *k, struct message *m)
{
	const struct limits_settings *l = k->house->limits;
	struct stream *s = &k->session->stream;
	struct err e = {0};
	enum smtp_body got;

	stream_puts(s, "354 End data with <CR><LF>.<CR><LF>\r\n");
	if (!stream_flush(s)) {
		k->quit = true;
		return (struct reply){0};
	}
	/* A window of the deadline for each block: the rate bounds the
	 * whole. */
	stream_limit(s, l->data_timeout, (uint32_t)l->min_rate);
	got = smtp_body_read(s, m, (uint64_t)l->message_size, &e);
	stream_limit(s, l->command_timeout, 0);
	if (got == SMTP_BODY_OK && message_seal(m, &e) < 0)
		got = SMTP_BODY_SPOOL;
	return smtp_body_refusal(k, got, &e);
}

/* ------------------------------------------------------ clean, complete */

/* RFC 8601 section 5: results under our own name are believed by whoever
 * reads on, so nobody brings them. */
static bool
is_forged_result(struct smtp *k, const struct message_field *f)
{
	return str_iis(f->name, "Authentication-Results") &&
		str_iis(result_authserv_id(&k->session->command, f->value),
			k->facts.authserv_id);
}

/* "X-Spam-*" stands for all that begin so. */
static bool
is_named(struct str name, const char *pattern)
{
	struct str p = str_from(pattern);

	if (!str_ends(p, "*"))
		return str_ieq(name, p);
	p.len--;
	return str_ieq(str_sub(name, 0, p.len), p);
}

static bool
is_unwanted(struct smtp *k, const struct message_field *f)
{
	const struct mr_list *l = &k->house->smtp->remove_headers;
	size_t i;

	if (is_forged_result(k, f))
		return true;
	if (k->is_submission)
		return str_iis(f->name, "Bcc");
	for (i = 0; i < l->n; i++)
		if (is_named(f->name, l->item[i]))
			return true;
	return false;
}

/* Is it for somebody whom it was delivered to before? Accounts may send again
 * what they have got. */
static bool
is_delivered_before(const struct smtp *k, const struct message_field *f)
{
	struct str to = str_trim(f->value);
	size_t i;

	if (k->is_submission || !str_iis(f->name, "Delivered-To"))
		return false;
	for (i = 0; i < k->envelope.n_rcpt; i++)
		if (!k->envelope.rcpt[i].removed &&
			str_ieq(to, k->envelope.rcpt[i].address))
			return true;
	return false;
}

static struct reply
clean(struct smtp *k, struct message *m)
{
	struct message_field f;
	size_t i = 0, received = 0;

	while (message_field(m, i, &f)) {
		if (str_iis(f.name, "Received"))
			received++;
		if (is_delivered_before(k, &f))
			return REPLY(554, "5.4.6", "The message was delivered "
				"here before: it goes in circles");
		if (!is_unwanted(k, &f) ||
			message_remove(m, "core", f.id) < 0)
			i++;
	}
	if (received <= (size_t)k->house->limits->received_fields)
		return (struct reply){0};
	return REPLY(554, "5.4.6", "Too many Received fields: the message "
		"goes in circles");
}

/* RFC 8689 section 5: the sender would rather have it in the clear than not
 * delivered. The wish of REQUIRETLS outranks it. */
static void
heed_tls_required(struct smtp *k, struct message *m)
{
	struct message_field f;

	if (!message_find(m, STR("TLS-Required"), 0, &f) ||
		!str_iis(str_trim(f.value), "No") ||
		esmtp_arg(k->mail_kept, "REQUIRETLS", NULL))
		return;
	k->mail_kept = str_from(arena_printf(&k->message, "%.*s%s"
		"TLS-REQUIRED=NO", STR_ARGS(k->mail_kept),
		k->mail_kept.len ? " " : ""));
}

/* RFC 6409 8.1, 8.2. */
static void
complete(struct smtp *k, struct message *m)
{
	struct message_field f;
	char date[40], id[25];

	if (!k->is_submission)
		return;
	if (!message_find(m, STR("Date"), 0, &f)) {
		clock_mail_date(clock_wall(), date);
		message_insert(m, "core", SIZE_MAX, STR("Date"),
			str_from(date), true);
	}
	if (!message_find(m, STR("Message-ID"), 0, &f)) {
		enc_random_word(id, 24);
		message_insert(m, "core", SIZE_MAX, STR("Message-ID"),
			str_from(arena_printf(&k->message, "<%s@%s>", id,
			k->house->hostname)), true);
	}
}

/* ---------------------------------------------------------- filter, route */

/* Recipients that filters added are routed as if the client had named them,
 * but may lead anywhere: the admin chose the filter. */
static struct reply
route_added(struct smtp *k, struct submit_rcpt *out, size_t *n)
{
	struct envelope *e = &k->envelope;
	size_t i;

	for (i = 0; i < e->n_rcpt; i++) {
		struct envelope_rcpt *r = &e->rcpt[i];
		struct route_target *targets = NULL;

		if (r->removed)
			continue;
		if (r->added) {
			enum route_answer a = route_resolve(k->house->plugins,
				&k->message, r->address, 0, &targets);

			if (a != ROUTE_LOCAL && a != ROUTE_REMOTE)
				return REPLY(451, "4.3.0", "A recipient that "
					"a filter added cannot be reached");
		} else {
			targets = k->rcpt[i].targets;
		}
		out[(*n)++] = (struct submit_rcpt){.address = r->address,
			.targets = targets, .dsn = place_filed(&k->message,
			smtp_kept_args(k, r->added ? STR("") :
			k->rcpt[i].kept), r->mailbox)};
	}
	return (struct reply){0};
}

/* ---------------------------------------------------------------- submit */

static void
tell_message(struct smtp *k, struct message *m, size_t n_rcpt,
	const char *what, const char *detail)
{
	static const struct {
		const char *what;
		enum mr_event_kind kind;
	} kinds[] = {{"accepted", MR_EVENT_MESSAGE_ACCEPTED},
		{"discarded", MR_EVENT_MESSAGE_ACCEPTED},
		{"held", MR_EVENT_MESSAGE_HELD},
		{"refused", MR_EVENT_MESSAGE_REFUSED}};
	struct mr_event e = {.message = k->facts.queue_id,
		.account = k->account, .text = *detail ? detail : what,
		.sender = arena_cstr(&k->session->command,
			k->envelope.sender),
		.rcpt = k->envelope.n_rcpt ? arena_cstr(&k->session->command,
			k->envelope.rcpt[0].address) : "",
		.length = message_raw_length(m), .n_rcpt = n_rcpt};
	size_t i;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(what, kinds[i].what))
			e.kind = kinds[i].kind;
	if (!strcmp(what, "discarded"))
		e.text = what;
	session_tell(k->session, &e);
}

static void
log_message(struct smtp *k, struct message *m, size_t n_rcpt,
	const char *what, const char *detail)
{
	char peer[SOCK_TEXT];

	tell_message(k, m, n_rcpt, what, detail);
	sock_host(&k->session->peer, peer);
	log_info("smtp.message", LOG_S("session", k->session->id),
		LOG_S("message", k->facts.queue_id), LOG_S("peer", peer),
		LOG_S("account", k->account),
		LOG_STR("from", k->envelope.sender),
		LOG_N("rcpts", n_rcpt), LOG_N("size", message_raw_length(m)),
		LOG_S("result", what), LOG_S("detail", detail));
}

static struct reply
store_refusal(struct smtp *k, const struct err *e)
{
	log_error("smtp.store", LOG_S("session", k->session->id),
		LOG_S("message", k->facts.queue_id), LOG_S("error", e->text));
	if (e->kind == ERR_FULL)
		return REPLY(452, "4.3.1", "No room for the message now");
	if (e->kind == ERR_REFUSED)
		return REPLY(452, "4.2.2", "A mailbox is full");
	return REPLY(451, "4.3.0", "The message cannot be stored now");
}

/* One commit, for those recipients. */
static struct reply
commit(struct smtp *k, struct message *m, const struct submit *s)
{
	struct err e = {0};

	if (submit_message(s, m, &k->house->store, &k->message, &e) < 0)
		return store_refusal(k, &e);
	log_message(k, m, s->n_rcpt, s->discarded_by ? "discarded" :
		s->held_by ? "held" : "accepted", k->set_aside.by ?
		k->set_aside.by : "");
	if (*k->account && k->house->guard)
		guard_note_sent(k->house->guard, k->account, s->n_rcpt);
	return reply_printf(&k->session->command, 250, "2.0.0",
		"Ok: queued as %s", k->facts.queue_id);
}

/* A full mailbox refuses the message for all, unless each recipient is
 * answered for: then each is tried by itself, under an id of its own. */
static struct reply
commit_each(struct smtp *k, struct message *m, struct submit *s,
	struct reply *each)
{
	const struct submit_rcpt *rcpt = s->rcpt;
	struct reply r = commit(k, m, s), taken = r;
	size_t i, n = s->n_rcpt;

	for (i = 0; i < n; i++)
		each[i] = r;
	if (n < 2 || r.code != 452)
		return r;
	for (i = 0, s->n_rcpt = 1; i < n; i++) {
		s->rcpt = &rcpt[i];
		envelope_id(k->facts.queue_id);
		each[i] = commit(k, m, s);
		if (each[i].code == 250)
			taken = each[i];
	}
	return taken;
}

static struct reply
submit(struct smtp *k, struct message *m, struct reply **each)
{
	struct submit_rcpt *rcpt = arena_alloc(&k->message,
		(k->envelope.n_rcpt + 1) * sizeof *rcpt);
	const struct verdict *aside = &k->set_aside;
	char peer[SOCK_TEXT];
	struct submit s = {.plugins = k->house->plugins,
		.trace = k->facts.queue_id,
		.sender = k->envelope.sender, .rcpt = rcpt,
		.now_ms = clock_wall(), .lifetime_ms = k->house->queue_lifetime};
	struct reply r;

	r = route_added(k, rcpt, &s.n_rcpt);
	if (r.code)
		return r;
	if (aside->kind == MR_QUARANTINE) {
		s.held_by = aside->by;
		s.held_reason = aside->reason;
	} else if (aside->kind == MR_DISCARD) {
		s.discarded_by = aside->by;
	} else if (!s.n_rcpt) {
		s.discarded_by = "filters removed every recipient";
	}
	sock_host(&k->session->peer, peer);
	s.origin = arena_printf(&k->message, "smtp %s%s%s", peer,
		*k->account ? " " : "", k->account);
	s.life = smtp_life(k, m);
	smtp_stamp(k, m, rcpt, s.n_rcpt);
	if (!smtp_answers_each(k))
		return commit(k, m, &s);
	*each = arena_alloc(&k->message, (s.n_rcpt + 1) * sizeof **each);
	return commit_each(k, m, &s, *each);
}

static struct reply
finish(struct smtp *k, struct message *m, struct reply **each)
{
	struct reply r = clean(k, m);

	if (r.code)
		return r;
	complete(k, m);
	heed_tls_required(k, m);
	k->facts.message = m;
	r = smtp_judge(k, hooks_message(k->hooks));
	k->facts.message = NULL;
	return r.code ? r : submit(k, m, each);
}

/* ---------------------------------------------------------------- answers */

bool
smtp_answers_each(const struct smtp *k)
{
	return k->is_lmtp || (k->is_prdr && k->envelope.n_rcpt > 1);
}

/* LMTP (RFC 2033 4.2): one answer for each recipient that was taken, and no
 * other; PRDR: those between 353 and the one for all. each is in the order
 * of the recipients that remain; for others r speaks. */
static struct reply
answer_each(struct smtp *k, struct reply r, const struct reply *each)
{
	struct reply one = {0}, none = {0};
	size_t i, kept = 0;

	if (!k->is_lmtp) {
		one = REPLY(353, "", "An answer for each recipient follows");
		smtp_say(k, &one);
	}
	one.code = 0;
	for (i = 0; i < k->envelope.n_rcpt; i++) {
		const struct envelope_rcpt *to = &k->envelope.rcpt[i];
		const struct reply *own = to->removed || !each ? &none :
			&each[kept++];

		if (to->added)
			continue;
		smtp_say(k, &one);	/* the one before */
		one = own->code ? *own : r;
	}
	if (k->is_lmtp)
		return one;
	smtp_say(k, &one);
	return r;
}

struct reply
smtp_end_message(struct smtp *k, struct message *m, struct reply r)
{
	bool is_judged = !r.code && !k->quit;
	struct reply *each = NULL;

	if (is_judged)
		r = finish(k, m, &each);
	if (is_judged && r.code >= 500)
		smtp_keep_rejected(k, m, r.text);
	if (r.code && r.code != 250)
		log_message(k, m, envelope_count(&k->envelope), "refused",
			arena_cstr(&k->message, r.text));
	message_free(m);
	if (r.code && smtp_answers_each(k))
		r = answer_each(k, r, each);
	/* Its text may live in the message's arena, which ends here. */
	r.text = arena_str(&k->session->command, r.text);
	smtp_reset(k);
	return r;
}

struct reply
smtp_may_send(struct smtp *k)
{
	if (!envelope_count(&k->envelope))
		return k->rcpt_tried ?
			REPLY(554, "5.5.1", "No valid recipients") :
			REPLY(503, "5.5.1", "Say RCPT first");
	return smtp_judge(k, hooks_data(k->hooks));
}

struct message *
smtp_new_message(struct smtp *k)
{
	return message_new(&k->message, arena_printf(&k->message, "%s/tmp",
		k->house->data), (size_t)k->house->limits->memory_message);
}

struct reply
smtp_data(struct smtp *k, struct str args)
{
	struct message *m;
	struct reply r;

	(void)args;
	/* RFC 3030 section 3 */
	r = k->is_binary ? REPLY(503, "5.5.1",
		"BODY=BINARYMIME is sent by BDAT") : smtp_may_send(k);
	if (r.code) {
		r.text = arena_str(&k->session->command, r.text);
		/* Out of turn: the transaction stands, for what is missing. */
		if (!k->is_binary && envelope_count(&k->envelope))
			smtp_reset(k);
		return r;
	}
	m = smtp_new_message(k);
	return smtp_end_message(k, m, receive(k, m));
}
