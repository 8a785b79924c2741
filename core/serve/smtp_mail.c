/*
 * smtp_mail.c - MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3), and the rules of
 * who may send where. Their arguments are read in smtp_args.c.
 *
 * No open relay: a recipient elsewhere is taken only from a login, from
 * smtp.relay_networks, or for a domain whose [route.NAME] says so. The
 * address is split at its last '@', and nothing in the local part ('%', '!', a
 * quoted '@') is ever interpreted as a route.
 */
#include "base/log.h"
#include "mail/addr.h"
#include "serve/guard.h"
#include "serve/smtp.h"

void
smtp_reset(struct smtp *k)
{
	hooks_reset(k->hooks);
	if (k->chunks)
		message_free(k->chunks->m);
	k->chunks = NULL;
	if (k->in_mail && k->envelope.utf8) {
		k->in_mail = false;
		smtp_set_protocol(k);
	}
	k->in_mail = k->rcpt_tried = false;
	k->facts.envelope = NULL;
	k->facts.queue_id[0] = '\0';
	k->rcpt = NULL;
	k->rcpt_room = 0;
	k->set_aside = (struct verdict){.kind = MR_PASS};
	arena_reset(&k->message);
}

struct reply
smtp_judge(struct smtp *k, struct verdict v)
{
	if (v.reply.code)
		return v.reply;
	/* A discard outranks a quarantine; the first of a kind counts. */
	if (v.kind == MR_DISCARD && k->set_aside.kind != MR_DISCARD)
		k->set_aside = v;
	else if (v.kind == MR_QUARANTINE && k->set_aside.kind == MR_PASS)
		k->set_aside = v;
	return (struct reply){0};
}

/* ------------------------------------------------------------------ MAIL */

/* May this login use this sender? */
static struct reply
check_owner(struct smtp *k, struct str sender)
{
	int may;

	if (!*k->account || !k->house->smtp->check_sender || !sender.len)
		return (struct reply){0};
	may = route_may_send(k->house->plugins, k->account, sender);
	if (may == 1)
		return (struct reply){0};
	if (may < 0)
		return REPLY(451, "4.3.0", "Cannot check your sender address "
			"now");
	return reply_printf(&k->session->command, 553, "5.7.1",
		"%s may not send as %.*s", k->account, STR_ARGS(sender));
}

static struct reply
begin_mail(struct smtp *k, struct addr *from, struct str rest)
{
	struct reply r;

	arena_reset(&k->message);
	envelope_init(&k->envelope, &k->message);
	k->envelope.sender = arena_str(&k->message, from->full);
	k->envelope.sender_args = arena_str(&k->message,
		str_trim_blank(rest));
	r = smtp_mail_args(k, rest);
	if (!r.code && from->is_utf8 && !k->envelope.utf8)
		r = REPLY(553, "5.6.7", "SMTPUTF8 is needed for this sender");
	if (r.code)
		return r;
	r = check_owner(k, from->full);
	if (r.code)
		return r;
	envelope_id(k->facts.queue_id);
	k->facts.envelope = &k->envelope;
	return smtp_judge(k, hooks_mail(k->hooks));
}

struct reply
smtp_mail(struct smtp *k, struct str args)
{
	struct addr from;
	struct str rest;
	struct reply r;

	if (k->is_submission && !*k->account &&
		!k->session->listener->is_local)
		return REPLY(530, "5.7.0", "Authentication required");
	if (k->refused.code)	/* by a filter at HELO */
		return k->refused;
	if (!str_istarts(args, "FROM:"))
		return REPLY(501, "5.5.4", "Syntax: MAIL FROM:<address>");
	args = str_trim_blank(str_sub(args, 5, args.len));
	if (!addr_parse_path(args, true, false, &from, &rest))
		return REPLY(501, "5.1.7", "Bad sender address");
	r = begin_mail(k, &from, rest);
	if (r.code) {
		/* Its text may live in the message's arena. */
		r.text = arena_str(&k->session->command, r.text);
		smtp_reset(k);
		return r;
	}
	k->in_mail = true;
	k->commands = 0;
	if (k->envelope.utf8)
		smtp_set_protocol(k);
	return k->note ? REPLY(250, "2.3.6", "Ok, with the usual priority") :
		REPLY(250, "2.1.0", "Ok");
}

/* ------------------------------------------------------------------ RCPT */

bool
smtp_is_trusted(const struct smtp *k)
{
	return *k->account || k->session->listener->is_local ||
		sock_in_nets(&k->session->peer, &k->house->relay);
}

static bool
may_relay(const struct smtp *k, struct str address)
{
	return smtp_is_trusted(k) || nexthop_accepts(k->house->routes, address);
}

struct reply
smtp_route(struct smtp *k, struct str address, uint64_t size,
	struct route_target **targets)
{
	struct arena *a = &k->session->command;

	*targets = NULL;
	switch (route_resolve(k->house->plugins, &k->message, address, size,
		targets)) {
	case ROUTE_LOCAL:
		return (struct reply){0};
	case ROUTE_REMOTE:
		if (may_relay(k, address))
			return (struct reply){0};
		return reply_printf(a, 550, "5.7.1",
			"Mail for %.*s is not relayed here", STR_ARGS(address));
	case ROUTE_UNKNOWN_USER:
		return reply_printf(a, 550, "5.1.1",
			"There is no %.*s here", STR_ARGS(address));
	case ROUTE_OVER_QUOTA:
		return reply_printf(a, 452, "4.2.2",
			"The mailbox of %.*s is full", STR_ARGS(address));
	case ROUTE_DISABLED:
		return reply_printf(a, 550, "5.2.1",
			"The account %.*s is disabled", STR_ARGS(address));
	default:
		return REPLY(451, "4.3.0", "Cannot look the recipient up now");
	}
}

static struct reply
check_rcpt(struct smtp *k, struct addr *to, struct str rest,
	struct smtp_rcpt *out)
{
	struct reply r = smtp_rcpt_args(k, rest, &out->kept);

	if (r.code)
		return r;
	if (to->is_utf8 && !k->envelope.utf8)
		return REPLY(553, "5.6.7", "SMTPUTF8 is needed for this "
			"recipient");
	if (envelope_count(&k->envelope) >=
		(size_t)k->house->limits->recipients)
		return REPLY(452, "4.5.3", "Too many recipients; send the "
			"rest in another message");
	if (*k->account && k->house->guard && !guard_may_send(k->house->guard,
		k->account, envelope_count(&k->envelope) + 1)) {
		log_warn("smtp.sendlimit", LOG_S("account", k->account));
		return REPLY(452, "4.7.1", "You have sent to too many "
			"recipients; try again later");
	}
	return smtp_route(k, to->full, k->envelope.declared_size,
		&out->targets);
}

static void
keep_rcpt(struct smtp *k, size_t index, struct smtp_rcpt one)
{
	struct smtp_rcpt *old = k->rcpt;

	if (index >= k->rcpt_room) {
		size_t room = k->rcpt_room ? k->rcpt_room * 2 : 4;

		k->rcpt = arena_alloc(&k->message, room * sizeof *k->rcpt);
		if (k->rcpt_room)
			memcpy(k->rcpt, old, k->rcpt_room * sizeof *old);
		k->rcpt_room = room;
	}
	k->rcpt[index] = one;
}

/* Filters hear of each recipient, those that are refused included. */
static struct reply
ask_filters(struct smtp *k, size_t index, const struct reply *refused,
	const struct route_target *targets)
{
	struct verdict v;

	k->facts.rcpt_mailer = refused->code ? "error" :
		targets ? "local" : "relay";
	v = hooks_rcpt(k->hooks, index, refused->code ? refused : NULL);
	k->facts.rcpt_mailer = "";
	return refused->code ? *refused : smtp_judge(k, v);
}

static struct str
account_of(const struct route_target *t)
{
	while (t && !t->account)
		t = t->next;
	return t ? str_from(t->account) : STR("");
}

struct reply
smtp_rcpt(struct smtp *k, struct str args)
{
	struct smtp_rcpt one = {.targets = NULL};
	struct addr to;
	struct str rest, full;
	struct reply r;
	size_t i;

	k->rcpt_tried = true;
	if (!str_istarts(args, "TO:"))
		return REPLY(501, "5.5.4", "Syntax: RCPT TO:<address>");
	args = str_trim_blank(str_sub(args, 3, args.len));
	if (!addr_parse_path(args, false, true, &to, &rest))
		return REPLY(501, "5.1.3", "Bad recipient address");
	full = to.full;
	if (!to.domain.len)	/* <postmaster>, RFC 5321 4.5.1 */
		full = str_from(arena_printf(&k->message, "postmaster@%s",
			k->house->hostname));
	to.full = full;
	r = check_rcpt(k, &to, rest, &one);
	i = envelope_add(&k->envelope, full, str_trim_blank(rest));
	k->envelope.rcpt[i].account = account_of(one.targets);
	r = ask_filters(k, i, &r, one.targets);
	if (r.code) {
		k->envelope.n_rcpt--;
		return r;
	}
	keep_rcpt(k, i, one);
	return REPLY(250, "2.1.5", "Ok");
}
