/*
 * envelope.h - sender and recipients of the message that is being taken.
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct envelope_rcpt {
	struct str address;	/* without <> */
	struct str args;	/* ESMTP arguments as sent */
	struct str account;	/* here that it leads to, the first; or "" */
	struct str mailbox;	/* that a filter files it in; "": as routed */
	bool removed;		/* by a filter */
	bool added;		/* by a filter: not routed yet */
};

struct envelope {
	struct arena *arena;	/* the message's */
	struct str sender;	/* without <>; "" null */
	struct str sender_args;
	struct envelope_rcpt *rcpt;
	size_t n_rcpt, room;
	uint64_t declared_size;	/* SIZE=, 0 unknown */
	bool body_8bit, utf8;
};

void envelope_init(struct envelope *e, struct arena *a);
/* Copies into the arena. Returns the index. */
size_t envelope_add(struct envelope *e, struct str address, struct str args);
/* Domain without case, local part as it is, then without (MILTER.md 1.6
 * DELRCPT). SIZE_MAX: not there or removed. */
size_t envelope_find(const struct envelope *e, struct str address);
size_t envelope_count(const struct envelope *e);	/* not removed */
/* Files recipient i (SIZE_MAX: all), of those with an account here, in a
 * mailbox. Returns how many they are. */
int envelope_file(struct envelope *e, size_t i, struct str mailbox);
/* The id of a new message in log and ledger. Ids sort by their time. */
void envelope_id(char out[20]);
/* When an id was made, ms since 1970; -1: it is none. */
int64_t envelope_id_time(struct str id);

#endif
