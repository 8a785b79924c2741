/*
 * imap_notify.h - what a session that said NOTIFY SET (RFC 5465) wants to be
 * told of, and what it was told last. Private to imap_notify.c and
 * imap_noted.c.
 */
#ifndef SERVE_IMAP_NOTIFY_H
#define SERVE_IMAP_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/arena.h"
#include "serve/watch.h"

struct imap;

enum notify_event {		/* bits */
	NOTIFY_NEW = 1, NOTIFY_EXPUNGE = 2, NOTIFY_FLAGS = 4,
	NOTIFY_NAME = 8, NOTIFY_SUBSCRIPTION = 16,
	NOTIFY_METADATA = 32,
	NOTIFY_SERVER = 64,	/* annotations of the server */
};
#define NOTIFY_MESSAGES (NOTIFY_NEW | NOTIFY_EXPUNGE | NOTIFY_FLAGS)

enum notify_filter { NOTIFY_SELECTED = 1, NOTIFY_DELAYED, NOTIFY_INBOXES,
	NOTIFY_PERSONAL, NOTIFY_SUBSCRIBED, NOTIFY_SUBTREE, NOTIFY_LISTED };

struct notify_group {		/* the first that fits a mailbox counts */
	struct notify_group *next;
	enum notify_filter filter;
	unsigned events;
	const char **name;	/* of NOTIFY_SUBTREE and NOTIFY_LISTED */
	size_t n;
};

/* A mailbox as it was told last. All of the account are kept, so that a
 * missing one is one that was removed; those with events of their own are
 * watched. */
struct noted {
	struct watch_entry watch;
	struct mr_mailbox m;	/* name: as the client calls it */
	unsigned events;
	bool own;
};

struct noted_list {
	struct noted *at;	/* by id */
	size_t n, room;
	struct arena names;
};

struct imap_notify {
	struct arena arena;		/* of what follows */
	struct notify_group *group;
	bool tells_selected, delays;
	unsigned selected;		/* events of the selected mailbox */
	const char *attributes;		/* FETCH of new messages there, or NULL */
	bool others;			/* mailboxes of others matter */
	bool status;			/* NOTIFY SET STATUS */
	unsigned all;			/* events of any group */
	int64_t account;		/* its number in the store */
	int64_t annotations;		/* changes up to here were told */
	struct watch_entry watch;	/* names and subscriptions */
	struct noted_list list;
};

/* Looks at all mailboxes, says what is new, and watches them. At first only
 * STATUS is said, where it was asked for. false: too many mailboxes, or the
 * store failed. */
bool imap_noted_tell(struct imap *k);
void imap_noted_free(struct imap *k, struct noted_list *l);

#endif
