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

/* A recipient as it was routed; runs beside envelope.rcpt. */
struct smtp_rcpt {
	struct route_target *targets;	/* NULL: to another server */
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
	bool is_submission;
	bool esmtp;
	bool in_mail;			/* MAIL was taken */
	bool rcpt_tried;
	bool in_auth;			/* the next line is SASL's */
	bool quit;
	bool delay;			/* answer, then pause */
	struct verdict set_aside;	/* quarantine or discard before DATA */
	unsigned errors, commands, auth_failures;
};

static inline struct smtp *
smtp_of(struct session *s)
{
	return s->state;
}

/* smtp.c: can stand in a Received field as a host's name. */
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

/* smtp_auth.c */
struct reply smtp_auth(struct smtp *k, struct str args);
struct reply smtp_auth_line(struct smtp *k, struct str line);

/* smtp_data.c */
struct reply smtp_data(struct smtp *k, struct str args);

/* smtp_life.c: what the ledger remembers of the message (mr_commit.life), in
 * its arena. */
const char *smtp_life(struct smtp *k, struct message *m);

#endif
