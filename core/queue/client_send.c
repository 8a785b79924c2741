/*
 * client_send.c - one message over a connection: envelope with what the other
 * side offers of extensions, content by DATA or BDAT.
 *
 * What a server does not offer is asked of it in no case. What the message
 * needs and the server lacks is made up for where that is possible (8-bit
 * content is encoded, narrow.h), else it is a failure with its own code.
 */
#include "base/clock.h"
#include "base/enc.h"
#include "mail/esmtp_args.h"
#include "queue/client_parts.h"

#define BLOCK 32768
#define HEADER_MOST (256 << 10)	/* of a message, searched for 8-bit bytes */

/* The message that is being sent. */
struct parcel {
	struct client *k;
	const struct client_talk *t;
	size_t n_rcpt;		/* of the talk's, that go now */
	uint64_t length;
	bool is_utf8, is_binary, is_narrow;
};

/* ------------------------------------------------------------------ needs */

static bool
is_utf8_envelope(const struct client_talk *t)
{
	size_t i;

	if (!enc_is_ascii(t->sender))
		return true;
	for (i = 0; i < t->n_rcpt; i++)
		if (!enc_is_ascii(t->rcpt[i]))
			return true;
	return false;
}

static bool
is_utf8_header(struct parcel *p)
{
	char *block = arena_alloc(p->k->a, HEADER_MOST);
	int64_t n = p->t->read(p->t->arg, 0, block, HEADER_MOST);
	struct str text = str_of(block, n > 0 ? (size_t)n : 0);

	return !enc_is_ascii(str_sub(text, 0, str_find_str(text,
		STR("\r\n\r\n"))));
}

/* RFC 6531 3.2: a message that only said SMTPUTF8 can go where it is not
 * known. */
static struct reply
check_utf8(struct parcel *p)
{
	struct client *k = p->k;

	p->is_utf8 = is_utf8_envelope(p->t) ||
		(esmtp_arg(p->t->args, "SMTPUTF8", NULL) &&
		(client_offers(k, OFFERS_SMTPUTF8) || is_utf8_header(p)));
	if (!p->is_utf8 || client_offers(k, OFFERS_SMTPUTF8))
		return (struct reply){0};
	return reply_printf(k->a, 550, "5.6.7",
		"%s does not take internationalised addresses or headers",
		p->t->host->name);
}

/* RFC 8689 4.2.1: the server must keep up the promise. */
static struct reply
check_requiretls(struct parcel *p)
{
	struct client *k = p->k;

	if (!esmtp_arg(p->t->args, "REQUIRETLS", NULL) ||
		(k->secure && client_offers(k, OFFERS_REQUIRETLS)))
		return (struct reply){0};
	return reply_printf(k->a, 550, "5.7.30", "%s does not offer "
		"REQUIRETLS, which the sender asked for", p->t->host->name);
}

/* Content that fits, at its length. */
static struct reply
check_content(struct parcel *p)
{
	struct client *k = p->k;
	const struct client_talk *t = p->t;
	struct str body;

	p->length = t->length;
	p->is_binary = esmtp_arg(t->args, "BODY", &body) &&
		str_iis(body, "BINARYMIME");
	if (p->is_binary ? client_offers(k, OFFERS_CHUNKING |
		OFFERS_BINARYMIME) : client_offers(k, OFFERS_8BITMIME))
		p->is_narrow = false;
	else
		p->is_narrow = t->narrow != NULL;
	if (t->narrow && t->narrow(t->arg, p->is_narrow, &p->length) < 0)
		return REPLY(451, "4.3.0", "the message cannot be converted");
	p->is_binary &= !p->is_narrow;
	if (k->size_limit && p->length > k->size_limit)
		return reply_printf(k->a, 552, "5.3.4", "%s takes no message "
			"above %llu bytes, and this one has %llu",
			t->host->name, (unsigned long long)k->size_limit,
			(unsigned long long)p->length);
	return (struct reply){0};
}

static struct reply
check_needs(struct parcel *p)
{
	struct reply r = check_utf8(p);

	if (!r.code)
		r = check_requiretls(p);
	return r.code ? r : check_content(p);
}

/* --------------------------------------------------------------- envelope */

/* One that was kept, passed on as it is. */
static void
pass_arg(struct client *k, struct str args, const char *key)
{
	struct str value;

	if (!esmtp_arg(args, key, &value))
		return;
	stream_printf(&k->s, " %s=", key);
	stream_write_str(&k->s, value);
}

/* BY counts from when we got it (RFC 2852 4.1.4). */
static void
pass_by(struct client *k, const struct client_talk *t)
{
	struct str value, mode;
	long long seconds;

	if (!client_offers(k, OFFERS_DELIVERBY) ||
		!esmtp_arg(t->args, "BY", &value))
		return;
	mode = value;
	seconds = strtoll(arena_cstr(k->a, str_cut(&mode, ';')), NULL, 10) -
		(clock_wall() - t->created_ms) / 1000;
	if (seconds <= 0 && str_istarts(mode, "R"))
		seconds = 1;	/* the queue has looked: it is not over yet */
	stream_printf(&k->s, " BY=%lld;", seconds);
	stream_write_str(&k->s, mode);
}

static void
write_mail(struct parcel *p)
{
	struct client *k = p->k;
	const struct client_talk *t = p->t;

	stream_puts(&k->s, "MAIL FROM:<");
	stream_write_str(&k->s, t->sender);
	stream_puts(&k->s, ">");
	if (client_offers(k, OFFERS_SIZE))
		stream_printf(&k->s, " SIZE=%llu",
			(unsigned long long)p->length);
	if (p->is_binary)
		stream_puts(&k->s, " BODY=BINARYMIME");
	else if (!p->is_narrow && client_offers(k, OFFERS_8BITMIME))
		stream_puts(&k->s, " BODY=8BITMIME");
	if (p->is_utf8)
		stream_puts(&k->s, " SMTPUTF8");
	if (t->args.len && client_offers(k, OFFERS_DSN)) {
		pass_arg(k, t->args, "RET");
		pass_arg(k, t->args, "ENVID");
	}
	if (t->args.len && client_offers(k, OFFERS_PRIORITY))
		pass_arg(k, t->args, "MT-PRIORITY");
	if (esmtp_arg(t->args, "REQUIRETLS", NULL))
		stream_puts(&k->s, " REQUIRETLS");
	pass_by(k, t);
	stream_puts(&k->s, "\r\n");
}

static void
write_rcpt(struct parcel *p, size_t i)
{
	struct client *k = p->k;

	stream_puts(&k->s, "RCPT TO:<");
	stream_write_str(&k->s, p->t->rcpt[i]);
	stream_puts(&k->s, ">");
	if (p->t->rcpt_args && client_offers(k, OFFERS_DSN)) {
		pass_arg(k, p->t->rcpt_args[i], "NOTIFY");
		pass_arg(k, p->t->rcpt_args[i], "ORCPT");
	}
	stream_puts(&k->s, "\r\n");
}

/* Those to recipients that were sent along with a refused sender. */
static void
drop_answers(struct parcel *p)
{
	size_t i;

	for (i = 0; client_offers(p->k, OFFERS_PIPELINING) && i < p->n_rcpt;
		i++)
		client_hear(p->k, "giving a recipient");
}

/* Sender and recipients, pipelined where offered (RFC 2920; never DATA with
 * them, so that nothing is sent when all are refused). Returns how many were
 * taken; -1: whole is set. */
static int
send_envelope(struct parcel *p)
{
	struct client *k = p->k;
	bool pipelining = client_offers(k, OFFERS_PIPELINING);
	struct reply r;
	int taken = 0;
	size_t i;

	k->patience = p->t->timeout.mail;
	write_mail(p);
	for (i = 0; pipelining && i < p->n_rcpt; i++)
		write_rcpt(p, i);
	r = client_hear(k, "giving the sender");
	if (r.code != 250) {
		k->out->whole = r;
		drop_answers(p);
		return -1;
	}
	k->patience = p->t->timeout.rcpt;
	for (i = 0; i < p->n_rcpt; i++) {
		if (!pipelining)
			write_rcpt(p, i);
		k->out->rcpt[i] = client_hear(k, "giving a recipient");
		if (k->out->rcpt[i].code / 100 == 2)
			taken++;
	}
	return taken;
}

/* ---------------------------------------------------------------- content */

/* With dots stuffed (RFC 5321 4.5.2), at the start of a line or not. */
static void
write_stuffed(struct client *k, const char *at, const char *end,
	bool *line_start)
{
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		const char *stop = lf ? lf + 1 : end;

		if (*line_start && *at == '.')
			stream_write(&k->s, ".", 1);
		stream_write(&k->s, at, (size_t)(stop - at));
		*line_start = lf != NULL;
		at = stop;
	}
}

/* The message; by DATA with a last CRLF and the dot. */
static bool
send_body(struct parcel *p)
{
	struct client *k = p->k;
	char *block = arena_alloc(k->a, BLOCK);
	bool line_start = true;
	char last[2] = {'\r', '\n'};
	uint64_t at = 0;
	int64_t n;

	while ((n = p->t->read(p->t->arg, at, block, BLOCK)) > 0) {
		client_limit(k);
		if (p->is_binary)
			stream_write(&k->s, block, (size_t)n);
		else
			write_stuffed(k, block, block + n, &line_start);
		last[0] = n > 1 ? block[n - 2] : last[1];
		last[1] = block[n - 1];
		at += (uint64_t)n;
		if (stream_failed(&k->s))
			return false;
	}
	if (n < 0 || p->is_binary)
		return n == 0 && at == p->length;
	if (last[1] != '\n' || last[0] != '\r')
		stream_write(&k->s, "\r\n", 2);
	stream_write(&k->s, ".\r\n", 3);
	return true;
}

static void
spread(struct parcel *p, struct reply r)
{
	size_t i;

	for (i = 0; i < p->n_rcpt; i++)
		if (p->k->out->rcpt[i].code / 100 == 2)
			p->k->out->rcpt[i] = r;
}

/* false: the content may not be sent; the recipients know. */
static bool
begin_content(struct parcel *p)
{
	struct client *k = p->k;
	struct reply r;

	k->out->began = true;
	if (p->is_binary) {
		stream_printf(&k->s, "BDAT %llu LAST\r\n",
			(unsigned long long)p->length);
		return true;
	}
	k->patience = p->t->timeout.data;
	r = client_ask(k, "starting the message", "DATA");
	if (r.code == 354)
		return true;
	k->spoiled = true;
	spread(p, r.code / 100 == 2 ? REPLY(451, "4.5.0",
		"unexpected answer to DATA") : r);
	return false;
}

static void
send_content(struct parcel *p)
{
	struct client *k = p->k;

	if (!begin_content(p))
		return;
	/* An answer that is here already answers nothing of ours: it would be
	 * taken for the one to the message. */
	if (stream_pending(&k->s, true)) {
		spread(p, reply_printf(k->a, 451, "4.5.0",
			"%s answers before it is asked", p->t->host->name));
		stream_fail(&k->s, ERR_PROTOCOL, "answers out of turn");
		return;
	}
	k->patience = p->t->timeout.block;
	if (!send_body(p)) {
		spread(p, stream_failed(&k->s) ? client_lost(k, "sending") :
			REPLY(451, "4.3.0", "the message cannot be read"));
		/* Without its end the other side drops it. */
		stream_fail(&k->s, ERR_SYS, "message not readable");
		return;
	}
	k->patience = p->t->timeout.dot;
	spread(p, client_hear(k, "waiting for the final answer"));
	k->out->dsn_taken = client_offers(k, OFFERS_DSN);
}

/* ------------------------------------------------------------------- send */

/* What stands of a transaction is forgotten, for the next message. */
static void
start_over(struct client *k)
{
	k->patience = k->t->timeout.helo;
	if (client_ask(k, "starting over", "RSET").code != 250)
		k->spoiled = true;
}

/* RFC 9422 3.2: those above the limit go in the next transaction. */
static void
cut_recipients(struct parcel *p)
{
	struct client *k = p->k;
	size_t i;

	p->n_rcpt = p->t->n_rcpt;
	if (k->rcpt_limit && p->n_rcpt > k->rcpt_limit)
		p->n_rcpt = (size_t)k->rcpt_limit;
	for (i = p->n_rcpt; i < p->t->n_rcpt; i++)
		k->out->rcpt[i] = REPLY(452, "4.5.3",
			"left for the next transaction");
}

void
client_send_message(struct client *k)
{
	struct parcel p = {.k = k, .t = k->t};
	int taken;

	k->out->whole = check_needs(&p);
	if (k->out->whole.code)
		return;
	cut_recipients(&p);
	taken = send_envelope(&p);
	if (taken > 0)
		send_content(&p);
	else if (!stream_failed(&k->s) && k->out->whole.code != 421)
		start_over(k);
}
