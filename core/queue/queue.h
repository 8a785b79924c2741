/*
 * queue.h - the runner: claim what is due, attempt it, retire it.
 *
 * Runs in the runner process only. One thread claims, as much as each
 * destination has room for; a bounded number of delivery threads each take one
 * group (a message and a next hop) through deliver. Settling is one
 * transaction with the report, if one is due.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <mailroom/setting.h>

#include "base/err.h"
#include "net/dns.h"
#include "net/sock.h"
#include "plug/plugin.h"
#include "plug/store.h"
#include "queue/nexthop.h"

struct queue_settings {		/* [queue] */
	int64_t lifetime;	/* ms until a bounce */
	int64_t delay_warning;	/* ms until a delay is told; 0: never */
	bool srs;		/* forwarded mail gets senders of ours */
	const char *https;	/* plugin for MTA-STS */
	int64_t sts_port;
	int64_t tls_memory;	/* ms */
	int64_t retry_first, retry_most;	/* back-off, ms */
	int64_t probe_most;	/* the same, of a destination that is down */
	int64_t concurrency;	/* deliveries at once */
	int64_t per_destination;
	int64_t rate;		/* to one, a minute; 0: no limit */
	int64_t connection_idle, connection_uses;
	struct mr_list source;	/* our addresses */
	int64_t prefer;		/* enum families_prefer */
	int64_t port;		/* of other servers, 25 */
	const char *smarthost;	/* "host:port" or "" */
	const char *smarthost_login;
	const char *smarthost_password;
	int64_t smarthost_tls;	/* none|opportunistic|required */
	const char *ca_file;	/* for smarthost_tls = "required"; "": system */
	int64_t timeout;	/* most for one answer, ms */
	int64_t connect_timeout, greeting_timeout, helo_timeout, mail_timeout,
		rcpt_timeout, data_timeout, block_timeout, dot_timeout;
};
extern const struct mr_setting queue_settings_table[];

/* State that the command line shares with the runner (store.h, state_get):
 * when the admin last wanted everything tried (ms since 1970), and for each
 * destination that is down "UNTIL_MS REASON". */
#define QUEUE_SPACE "core.queue"
#define QUEUE_KICK "kick"
#define QUEUE_DOWN "down "

struct chain;

struct queue_house {		/* all borrowed */
	const struct queue_settings *settings;
	const char *hostname;
	const struct plugins *plugins;
	struct store store;
	struct dns *dns;
	const struct nexthops *routes;
	const struct sock_addr *own;	/* where we listen for mail */
	size_t n_own;
	const char *data;	/* spool folder for reports */
	const struct chain *local;	/* what reports pass */
	const char *owner;	/* name of our leases, "HOST/PID:" */
	const char *orphans;	/* owners with these prefixes, a blank
				   between, are dead: their leases go back at
				   start; NULL: none */
	const char *suspects;	/* messages, a blank between, whose transport
				   ended the runner before: each is put off
				   once, so that others get their turn */
};

struct queue;
struct queue *queue_start(const struct queue_house *h, struct err *e);
/* Something may be due earlier (from the store's watch, any thread). */
void queue_poke(struct queue *q);
/* Claims nothing more; waits at most ms for deliveries under way. True if
 * all ended. */
bool queue_drain(struct queue *q, int64_t ms);
/* False: deliveries would not end. Their leases stay until the next runner
 * gives them back, and their threads still use what they were given: the
 * process must end. */
bool queue_stop(struct queue *q);

#endif
