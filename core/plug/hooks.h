/*
 * hooks.h - run a chain of filters over one step and fold what they say to
 * one verdict.
 *
 * First refusal in configured order wins. A filter that said MR_DONE is left
 * out for the rest of the message (in connect/helo: of the session).
 * Quarantine is remembered and later filters are still asked. Edits of a
 * filter that refuses are undone. A filter that observes counts as if it had
 * passed, whatever it said. Before each call a breadcrumb (plugin,
 * hook, session) is left for the fatal-signal handler.
 */
#ifndef PLUG_HOOKS_H
#define PLUG_HOOKS_H

#include <stdbool.h>

#include "mail/reply.h"
#include "plug/facts.h"
#include "plug/plugin.h"

struct dns;
struct store;

/* What filters may ask of the rest of the house, all borrowed; NULL members
 * are answered as out of order. */
struct services {
	struct dns *dns;
	const struct store *store;
};

struct verdict;
struct dns_answer;

/* Watches each call of a filter, for dry runs: before it, and after it with
 * its edits in place, not undone yet. arg is the watcher's own. */
struct onlooker {
	void (*before)(void *arg, const struct facts *f);
	void (*after)(void *arg, const struct facts *f, const char *hook,
		const struct verdict *v);
	/* It asked DNS, through the host. */
	void (*asked)(void *arg, const char *name, unsigned type,
		const struct dns_answer *got);
	void *arg;
};

/* Where the store keeps what filters that observe have said: counters named
 * "FILTER VERDICT". No filter has this name. */
#define HOOKS_OBSERVED "(observed)"

/* Where mail comes from: each has a chain of its own. */
enum direction { CHAIN_INBOUND, CHAIN_SUBMISSION, CHAIN_LOCAL, CHAIN_RELAY,
	CHAIN_LEARN,	/* no mail: what is to be told of moves of Junk */
	CHAINS };

/* The filters of one direction, in order. */
struct chain {
	const char *name;		/* "inbound", ... */
	struct plugin **item;
	size_t n;
	int64_t timeout_ms;		/* what deadline() starts from */
	const struct services *services;	/* or NULL: none */
	const struct onlooker *onlooker;	/* or NULL */
};

struct verdict {
	enum mr_verdict kind;		/* PASS, or what was decided */
	struct reply reply;		/* for refusals; text in message arena */
	const char *by;			/* the filter's name, or NULL */
	struct str reason;		/* for QUARANTINE and DISCARD */
};

struct hooks;	/* one a session */

/* NULL chain members cost nothing: with no filters all calls return PASS at
 * once. Lives in the session arena. */
struct hooks *hooks_new(const struct chain *c, struct facts *f);

/* What to do when a filter does not come back in time (watchdog.h). */
void hooks_on_give_up(struct hooks *h, void (*give_up)(void *arg), void *arg);

struct verdict hooks_connect(struct hooks *h);
struct verdict hooks_helo(struct hooks *h);
struct verdict hooks_mail(struct hooks *h);
/* refused: the reply the core will give anyway; then only filters that want
 * refused recipients are told and the result is PASS. */
struct verdict hooks_rcpt(struct hooks *h, size_t index,
	const struct reply *refused);
struct verdict hooks_data(struct hooks *h);
struct verdict hooks_message(struct hooks *h);
struct verdict hooks_unknown(struct hooks *h, struct str line);
/* Tells all learn hooks of the message that the facts have. */
void hooks_learn(struct hooks *h, const char *account, bool is_junk);
void hooks_reset(struct hooks *h);	/* after each message that began */
void hooks_end(struct hooks *h);	/* the session ends */

/* For the fatal-signal handler (async-signal-safe): what this thread was
 * doing, or NULLs. */
struct breadcrumb {
	const char *plugin, *hook, *session;
};
const struct breadcrumb *hooks_breadcrumb(void);
/* What the handler may still tell the client of this thread, over a
 * connection in the clear; text NULL: nothing. Kept by pointer. */
struct last_words {
	int fd;
	const char *text;
};
const struct last_words *hooks_last_words(void);
void hooks_set_last_words(int fd, const char *text);
/* Other roles leave one too. */
void hooks_leave_breadcrumb(const char *plugin, const char *hook,
	const char *session);

/* The host table handed to plugins. */
extern const struct mr_host plug_host;

#endif
