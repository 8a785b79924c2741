/*
 * facts.h - what the core knows about a session and its message, in the one
 * place that plugins are told from.
 *
 * The SMTP session owns one struct facts and keeps it true; hooks and host
 * read it. Strings live in the session's or the message's arena.
 */
#ifndef PLUG_FACTS_H
#define PLUG_FACTS_H

#include "base/arena.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "net/sock.h"
#include "net/tls.h"

struct result {			/* RFC 8601 */
	const char *method, *value, *reason, *props;
	struct result *next;
};

struct said {			/* by a filter, of the message */
	const char *filter, *hook, *verdict;
	struct str text;	/* of its reply, or its reason */
	struct said *next;
};

struct facts {
	const char *hostname, *authserv_id, *software;
	const char *listener, *purpose, *chain;
	char session[20];
	char queue_id[20];		/* "" outside a message */
	struct sock_addr peer, local;
	struct str peer_name;		/* "" if not confirmed */
	const char *iprev;		/* "pass" (RFC 8601 2.7.3), or NULL if
					   nobody has looked */
	struct str helo;
	const char *protocol;		/* "ESMTPS" */
	struct tls_facts tls;		/* version "" in the clear */
	struct str auth_login;
	const char *auth_mechanism;
	struct str rcpt_refused;	/* in the rcpt hook */
	const char *rcpt_mailer;
	struct arena *session_arena, *message_arena;
	struct envelope *envelope;	/* NULL outside a message */
	struct message *message;	/* NULL before the message hook */
	struct result *results, **results_end;
	struct said *said, **said_end;	/* in order; only what matters: all
					   of the message hook, refusals of
					   others */
};

#endif
