/*
 * smtp_stamp.c - the fields that we put on top of a message: Received,
 * Authentication-Results, Delivered-To, Return-Path.
 */
#include "base/clock.h"
#include "plug/result.h"
#include "queue/submit.h"
#include "serve/smtp.h"

/* An address literal (RFC 5321 4.1.3); programs of this machine have none. */
static void
write_peer(const struct facts *f, char out[SOCK_TEXT + 10])
{
	char host[SOCK_TEXT];

	sock_host(&f->peer, host);
	snprintf(out, SOCK_TEXT + 10, f->peer.sa.ss_family == AF_UNIX ?
		"local" : strchr(host, ':') ? "[IPv6:%s]" : "[%s]", host);
}

/* RFC 5321 4.4, with the comment fields of common practice. */
static void
stamp_received(struct smtp *k, struct message *m)
{
	const struct facts *f = &k->facts;
	char peer[SOCK_TEXT + 10], date[40], tls[120] = "";
	struct str helo = f->helo, name = f->peer_name;
	struct envelope_rcpt *only = k->envelope.n_rcpt == 1 ?
		&k->envelope.rcpt[0] : NULL;

	write_peer(f, peer);
	clock_mail_date(clock_wall(), date);
	if (*f->tls.version)
		snprintf(tls, sizeof tls, "\r\n\t(%s %s %d bits)",
			f->tls.version, f->tls.cipher, f->tls.bits);
	if (k->is_submission && k->house->smtp->hide_client) {
		helo = str_from(f->hostname);
		name = STR("");
		snprintf(peer, sizeof peer, "authenticated");
	}
	message_own(m, "Received", str_from(arena_printf(&k->message,
		"from %.*s (%.*s%s%s)%s\r\n\tby %s (Mailroom) with %s id "
		"%s%s%.*s%s;\r\n\t%s", STR_ARGS(helo),
		STR_ARGS(name), name.len ? " " : "", peer, tls, f->hostname, f->protocol,
		f->queue_id, only ? "\r\n\tfor <" : "",
		only ? (int)only->address.len : 0,
		only ? only->address.at : "", only ? ">" : "", date)));
}

/* What the core itself has found comes first. It alone makes no field: who
 * asks for no verdicts gets none. */
static void
stamp_results(struct smtp *k, struct message *m)
{
	struct facts *f = &k->facts;
	struct result iprev = {.method = "iprev", .value = f->iprev,
		.next = f->results};
	char host[SOCK_TEXT];
	struct buf b;

	if (!f->results)
		return;
	sock_host(&f->peer, host);
	iprev.props = arena_printf(&k->message, strchr(host, ':') ?
		"policy.iprev=\"%s\"" : "policy.iprev=%s", host);
	buf_init(&b, 65536);
	result_write(&b, f->authserv_id, f->iprev && !k->is_submission ?
		&iprev : f->results);
	message_own(m, "Authentication-Results",
		arena_str(&k->message, buf_str(&b)));
	buf_free(&b);
}

/* Who it was for, and the mark that loops are known by. Where there are
 * several recipients it would tell each of the others. */
static void
stamp_delivered_to(struct message *m, const struct submit_rcpt *rcpt,
	size_t n)
{
	if (n == 1 && rcpt->targets)
		message_own(m, "Delivered-To", rcpt->address);
}

/* Return-Path is of final delivery (RFC 5321 4.4). All recipients share one
 * copy of the bytes, so it is written when all of them end here. */
static void
stamp_return_path(struct smtp *k, struct message *m,
	const struct submit_rcpt *rcpt, size_t n)
{
	const struct route_target *t;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!rcpt[i].targets)
			return;
		for (t = rcpt[i].targets; t; t = t->next)
			if (!t->account)
				return;
	}
	message_own(m, "Return-Path", str_from(arena_printf(&k->message,
		"<%.*s>", STR_ARGS(k->envelope.sender))));
}

void
smtp_stamp(struct smtp *k, struct message *m, const struct submit_rcpt *rcpt,
	size_t n)
{
	stamp_received(k, m);
	stamp_results(k, m);
	stamp_delivered_to(m, rcpt, n);
	stamp_return_path(k, m, rcpt, n);
}
