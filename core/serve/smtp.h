/*
 * smtp.h - the state of an SMTP or submission session. Private to smtp*.c.
 */
#ifndef SERVE_SMTP_H
#define SERVE_SMTP_H

#include "mail/reply.h"
#include "plug/auth.h"
#include "plug/facts.h"
#include "plug/hooks.h"
#include "plug/route.h"
#include "serve/session.h"
#include "serve/smtp_body.h"

/* A recipient as it was routed; runs beside envelope.rcpt. */
struct smtp_rcpt {
	struct route_target *targets;	/* NULL: to another server */
	struct str kept;		/* its arguments, for the queue */
};

struct smtp {
	struct session *session;
	struct house *house;
	struct facts facts;
	struct hooks *hooks;
	struct arena message;		/* dies with the transaction */
	struct envelope envelope;
	struct smtp_rcpt *rcpt;
	size_t rcpt_room;
	struct sasl sasl;
	char account[AUTH_ACCOUNT_MAX];	/* "" until logged in */
	struct reply refused;		/* by a filter at connect or helo */
	bool refused_at_connect;
	bool may_xclient;
	bool is_submission, is_lmtp;
	bool esmtp;
	bool in_mail;			/* MAIL was taken */
	bool rcpt_tried;
	bool in_auth;			/* the next line is SASL's */
	bool quit;
	bool delay;			/* answer, then pause */
	struct smtp_chunks *chunks;	/* BDAT has begun; in `message` */
	bool is_binary, is_prdr;	/* MAIL said so */
	struct str mail_kept;		/* its arguments, for the queue */
	const char *note;		/* MAIL was taken otherwise than asked */
	struct verdict set_aside;	/* quarantine or discard before DATA */
	unsigned errors, commands, auth_failures;
};

static inline struct smtp *
smtp_of(struct session *s)
{
	return s->state;
}

/* smtp.c: facts.protocol and facts.tls, as things stand. */
void smtp_set_protocol(struct smtp *k);
/* Writes it, as answers before the one that a verb returns. */
void smtp_say(struct smtp *k, const struct reply *r);
/* Can stand in a Received field as a host's name. */
bool smtp_is_host_name(struct str s);
/* The connect hooks, with their answer as the greeting. */
struct reply smtp_greet(struct smtp *k);

/* smtp_xclient.c */
#define SMTP_XCLIENT_NAMES "NAME ADDR PORT PROTO HELO DESTADDR DESTPORT"
struct reply smtp_xclient(struct smtp *k, struct str args);

/* smtp_mail.c */
struct reply smtp_mail(struct smtp *k, struct str args);
struct reply smtp_rcpt(struct smtp *k, struct str args);
/* Ends the transaction, if there is one. */
void smtp_reset(struct smtp *k);
/* What a filter's verdict makes of this step; code 0: go on. Discard and
 * quarantine are remembered for the end of the message. */
struct reply smtp_judge(struct smtp *k, struct verdict v);
/* Routes an address for this session: code 0 with *targets, or the refusal. */
struct reply smtp_route(struct smtp *k, struct str address, uint64_t size,
	struct route_target **targets);

/* May send anywhere: a login, a program of this machine, or one of
 * smtp.relay_networks. */
bool smtp_is_trusted(const struct smtp *k);

/* smtp_args.c */
/* What EHLO says of these extensions, one "\nNAME ..." each. */
void smtp_offer(const struct smtp *k, struct buf *out);
struct reply smtp_mail_args(struct smtp *k, struct str rest);
struct reply smtp_rcpt_args(struct smtp *k, struct str rest, struct str *kept);
/* Arguments of message and recipient, for the queue. */
struct str smtp_kept_args(struct smtp *k, struct str of_rcpt);

/* smtp_auth.c */
struct reply smtp_auth(struct smtp *k, struct str args);
struct reply smtp_auth_line(struct smtp *k, struct str line);

/* smtp_data.c */
struct reply smtp_data(struct smtp *k, struct str args);
/* What stands against a message now; code 0: nothing. Asks the filters. */
struct reply smtp_may_send(struct smtp *k);
struct message *smtp_new_message(struct smtp *k);
/* The message is there; or r says why not. Filters it, commits it, ends the
 * transaction. Takes m. */
struct reply smtp_end_message(struct smtp *k, struct message *m,
	struct reply r);
/* smtp_rejected.c: for the administrators, where they want it. */
void smtp_keep_rejected(struct smtp *k, struct message *m, struct str answer);
/* LMTP, PRDR: each recipient has an answer of its own. */
bool smtp_answers_each(const struct smtp *k);
struct reply smtp_body_refusal(struct smtp *k, enum smtp_body fault,
	const struct err *e);

/* smtp_stamp.c: our own fields, for n recipients. */
struct submit_rcpt;
void smtp_stamp(struct smtp *k, struct message *m,
	const struct submit_rcpt *rcpt, size_t n);

/* smtp_bdat.c */
struct reply smtp_bdat(struct smtp *k, struct str args);

/* smtp_life.c: what the ledger remembers of the message (mr_commit.life), in
 * its arena. */
const char *smtp_life(struct smtp *k, struct message *m);

#endif
