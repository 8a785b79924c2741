/*
 * deliver.h - one attempt for one group: a message and those of its
 * recipients that share a next hop.
 */
#ifndef QUEUE_DELIVER_H
#define QUEUE_DELIVER_H

#include "base/arena.h"
#include "mail/reply.h"
#include "queue/conns.h"
#include "queue/destination.h"
#include "queue/families.h"
#include "queue/queue.h"
#include "queue/report.h"

#define DELIVER_MOST_MS (60 * 60 * 1000)	/* longest attempt */

struct delivery {		/* one recipient of the group */
	int64_t id;		/* queue entry */
	struct str rcpt;
	struct str args;	/* ESMTP arguments (mail/esmtp_args.h) */
	uint32_t attempts;
	struct reply reply;	/* out: what came of it; code 250: delivered */
	const char *remote;	/* out: who said so, or NULL */
	bool local;		/* out: the commit delivers it (below) */
	bool dsn_taken;		/* out: the other server was given dsn, and
				   reports by itself */
	enum report_action action;	/* out (retire): what may be told */
	bool settled;		/* out (retire): by the local delivery */
};

struct nexthop;
struct tls_policies;

struct group {
	struct arena arena;	/* holds everything of the group */
	int64_t message_id;
	uint64_t length;
	const char *trace;
	struct str sender, next_hop;
	const struct nexthop *hop;	/* its [route.NAME], or NULL */
	int64_t created_ms, expire_ms;
	int64_t leased_until_ms;
	int64_t claimed;	/* clock_mono */
	int64_t deadline;	/* of the attempt, clock_mono */
	struct delivery *item;
	size_t n, room;
	int64_t retry_ms;	/* out: when its destination is tried again;
				   0: by the recipient's own back-off */
	bool deferred;		/* out (retire): something is tried again */
	struct conn *conns;	/* out: for the next message, once this one
				   is settled */

	struct destination *to;	/* the table's (destination.h) */
	int priority;
	uint32_t turn;
	bool is_unproven;
	struct group *next;
};

/* What deliveries share; made once by the queue. */
struct deliver_tools {
	struct tls_policies *tls;
	const struct tls_ctx **route_tls;	/* by [route.NAME], or NULL */
	struct nexthop smarthost;	/* host "": none */
	struct conns *conns;
	struct families *families;
};

/* Attempts the group by its route g->hop (a transport, a fixed host), else
 * over SMTP (smarthost, MX), and fills each reply. Blocks. Ends within
 * DELIVER_MOST_MS, a transport willing. Recipients that turn out to be ours
 * (a held message that was released, a domain that was added since) are only
 * marked `local`. Returns what it says of the destination. */
enum outcome deliver_group(const struct queue_house *h,
	const struct deliver_tools *tools, struct group *g);

#endif
