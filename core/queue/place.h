/*
 * place.h - where a message that is taken, or taken again, is put: targets of
 * a route as placements of a commit, with their sender and arguments.
 */
#ifndef QUEUE_PLACE_H
#define QUEUE_PLACE_H

#include "base/arena.h"
#include "base/err.h"
#include "plug/route.h"
#include "plug/store.h"

struct place {
	const struct plugins *plugins;
	const struct store *store;
	struct arena *arena;
	const char *sender;	/* of the message */
	struct str rcpt;	/* that was routed */
	struct str args;	/* of message and recipient, or "" */
	bool is_expanded;	/* one target of several */
	int64_t now_ms, lifetime_ms;
};

/* The arguments with the mailbox that a filter files the message in, a word
 * of the core's own; mailbox "": as they are. */
struct str place_filed(struct arena *a, struct str args, struct str mailbox);
/* A mailbox here, or a queue entry. Blocks where it is filed by its use. */
struct mr_placement place_target(const struct place *p,
	const struct route_target *t);
/* Where a target with an account is filed. */
const char *place_mailbox(const struct place *p,
	const struct route_target *t);
/* All of them, in the arena; *n: how many. */
struct mr_placement *place_targets(const struct place *p,
	const struct route_target *t, size_t *n);
/* What is left of the arguments for a target that an alias leads to (RFC 3461
 * 5.2.7): of a list only what concerns the content; of several targets all but
 * the wish to hear of success; else all. With the recipient that was named.
 * NULL: none. */
const char *place_args(const struct place *p, const struct route_target *t);
/* The key that deliveries to one place share: the domain. */
const char *place_next_hop(struct arena *a, const char *address);
/* A message of the store as an unlinked file in data's tmp, since a commit
 * takes pieces: its descriptor, or -1. Blocks. */
int place_copy_body(const struct store *s, const char *data,
	int64_t message_id, struct err *e);

#endif
