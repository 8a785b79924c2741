/*
 * expire.h - mailboxes that empty themselves, and such as keep their messages:
 * the [mailbox.NAME] sections, and the round that removes what has been in a
 * mailbox for too long.
 *
 * No mailbox does so unless the configuration says it.
 */
#ifndef PROC_EXPIRE_H
#define PROC_EXPIRE_H

#include <mailroom/setting.h>

#include "base/err.h"
#include "plug/store.h"

struct expire_rule {
	const char *mailbox;	/* of every account; the section's name */
	int64_t after;		/* ms since it came into the mailbox; 0: never */
	int64_t retain;		/* ms that it must stay there; 0: none */
};
struct expire_rules {
	const struct expire_rule *item;
	size_t n;
};
extern const struct mr_setting expire_settings_table[];

struct expire {
	const struct store *store;
	const struct expire_rules *rules;
	bool dry;		/* counts, removes nothing */
	/* Is asked between two batches: true ends the round. May be NULL. */
	bool (*is_over)(void *arg);
	/* What went of a mailbox, if anything; may be NULL. */
	void (*told)(void *arg, const char *account, const char *mailbox,
		uint32_t messages);
	void *arg;
};

/* How long mail may stay in a mailbox of that name, ms; 0: for ever. */
int64_t expire_after(const struct expire_rules *r, const char *mailbox);
/* The first rule whose mailbox another one, or itself, would empty before what
 * is in it may go; NULL: none. */
const struct expire_rule *expire_conflict(const struct expire_rules *r);
/* Tells the store what must stay, before it is used. -1 with e: it is one that
 * cannot see to that. */
int expire_retain(const struct expire_rules *r, const struct store *s,
	struct err *e);
/* One round over all accounts. It changes the store in small transactions, so
 * that others get in between. -1 with e. Blocks in the store. */
int expire_run(const struct expire *x, struct err *e);

#endif
