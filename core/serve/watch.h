/*
 * watch.h - which sessions wait for which mailbox (IMAP IDLE, NOTIFY).
 *
 * The store's watch thread reports changes; the sessions concerned are
 * woken. Own lock; any thread.
 */
#ifndef SERVE_WATCH_H
#define SERVE_WATCH_H

#include <stdint.h>

#include "net/park.h"
#include "plug/store.h"

struct watch;
struct watch_entry {		/* embedded in the waiting session's state */
	struct guest *guest;
	int64_t mailbox;
	bool queue;		/* a change of the queue wakes it too */
	struct watch_entry *next, *prev;
};

/* In place of a mailbox: the names and subscriptions of an account, by its
 * number in the store. */
static inline int64_t
watch_account(int64_t number)
{
	return -number;
}

/* Registers itself as the store's listener of this process. */
struct watch *watch_new(const struct store *s, struct park *p, struct err *e);
void watch_add(struct watch *w, struct watch_entry *e, struct guest *g,
	int64_t mailbox);
/* After this returns the guest is not woken any more. No-op if not added. */
void watch_remove(struct watch *w, struct watch_entry *e);

#endif
