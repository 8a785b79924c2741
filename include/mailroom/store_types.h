/* SPDX-License-Identifier: MIT */
/*
 * mailroom/store_types.h - what the calls of the store role take and give;
 * the calls, and what holds for all of them, are in mailroom/store.h.
 *
 * Strings and arrays are borrowed: what is handed over stays the caller's and
 * is read during the call only; what a callback is given is valid during the
 * callback. Structs that begin with `size` grow at their end: the caller sets
 * it to the size it knows.
 */
#ifndef MAILROOM_STORE_TYPES_H
#define MAILROOM_STORE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include <mailroom/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mr_store_code {
	MR_STORE_OK = 0,
	MR_STORE_MISSING,	/* what was named is not there */
	MR_STORE_EXISTS,
	MR_STORE_INVALID,	/* name or value not possible */
	MR_STORE_OVER_QUOTA,
	MR_STORE_BUSY,		/* locked by somebody; try again */
	MR_STORE_FULL,		/* disk full */
	MR_STORE_FAILED,	/* anything else; err says what */
	MR_STORE_STOPPED,	/* a callback returned non-zero */
	MR_STORE_RETAINED,	/* messages that must be kept would go */
};

struct mr_error {
	char text[240];
};

/* ------------------------------------------------ messages coming in */

/* A message is handed over as pieces, in order: bytes in memory (fd -1), or
 * a range of an open file. The store reads them during commit only. */
struct mr_piece {
	const void *mem;
	int fd;
	uint64_t offset;
	uint64_t length;
};

#define MR_FLAG_SEEN 0x01u
#define MR_FLAG_ANSWERED 0x02u
#define MR_FLAG_FLAGGED 0x04u
#define MR_FLAG_DELETED 0x08u
#define MR_FLAG_DRAFT 0x10u

enum mr_place_kind { MR_PLACE_MAILBOX = 1, MR_PLACE_QUEUE };

/* Where the message is to go. One commit may hold any number of both
 * kinds. */
struct mr_placement {
	uint32_t kind;
	uint32_t flags;		/* mailbox: MR_FLAG_* */
	/* mailbox: by account and name (made if it is missing and `create`),
	 * or by mailbox_id if that is not 0 */
	const char *account;
	const char *mailbox;
	int create;
	int64_t mailbox_id;
	const char *keywords;	/* blank between, or NULL */
	int64_t received_ms;	/* INTERNALDATE */
	/* out, mailbox */
	int64_t out_mailbox_id;
	uint32_t out_uid;
	uint32_t out_uidvalidity;
	/* queue: one recipient */
	const char *sender;	/* "" is the null sender; mailbox: for the
				   ledger, or NULL */
	const char *rcpt;
	const char *next_hop;	/* destination key: domain or route name */
	const char *dsn;	/* ESMTP arguments to remember, or NULL */
	int held;		/* 1: wait for the admin (quarantine) */
	const char *reason;	/* why held, or NULL */
	int64_t next_ms;	/* first attempt */
	int64_t expire_ms;	/* give up and bounce */
	/* out, queue */
	int64_t out_queue_id;
};

/* When a message says it was sent: its Date field, RFC 5322 section 3.6.1. */
struct mr_sent {
	int64_t ms;		/* 0: not known here; MR_NOT_SENT: it does not
				   say */
	int32_t zone;		/* minutes east of UTC */
};
#define MR_NOT_SENT INT64_MIN

struct mr_commit {
	uint32_t size;
	const char *trace;	/* id of the message in log and ledger */
	const char *origin;	/* "smtp 192.0.2.1", "imap a@b", "bounce" */
	const struct mr_piece *piece;
	size_t n_piece;
	uint64_t length;	/* sum of the pieces */
	uint8_t sha256[32];	/* of the bytes */
	struct mr_str cache;	/* the core's parse of the structure, opaque;
				   given back by scan */
	struct mr_placement *place;
	size_t n_place;
	const char *discarded_by;	/* with n_place 0: the filter's name */
	const char *life;	/* what the ledger is to remember of how it
				   came and what was done to it: a JSON
				   object, or NULL; kept with the first row */
	struct mr_sent sent;
};

/* Several messages in one transaction, which may also remove one. */
struct mr_append {
	uint32_t size;
	struct mr_commit *const *commit;	/* stored in this order */
	size_t n;
	int64_t mailbox;	/* where one is removed; 0: none is */
	uint32_t uid;
};

/* ------------------------------------------------------- mailboxes */

/* special-use, RFC 6154 */
enum mr_special {
	MR_SPECIAL_NONE = 0, MR_SPECIAL_DRAFTS, MR_SPECIAL_SENT,
	MR_SPECIAL_JUNK, MR_SPECIAL_TRASH, MR_SPECIAL_ARCHIVE,
	/* none of the RFC's: what an administrator is shown */
	MR_SPECIAL_HELD = 16, MR_SPECIAL_QUEUE, MR_SPECIAL_REJECTED,
};

struct mr_mailbox {
	int64_t id;
	const char *name;	/* UTF-8, levels divided by '/', "INBOX" */
	uint32_t special;
	int subscribed;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t modseq;	/* highest */
	uint32_t messages;
	uint32_t unseen;
	uint64_t bytes;
	uint32_t recent_uid;	/* UIDs from here on were not yet shown to a
				   session that selected read-write */
};

struct mr_range {		/* of UIDs, both ends included */
	uint32_t first, last;
};

/* A message in a mailbox. Fields beyond those asked for are zero. */
struct mr_row {
	uint32_t uid;
	uint32_t flags;
	uint64_t modseq;
	struct mr_str keywords;
	int64_t received_ms;
	int64_t message_id;	/* for body_open */
	uint64_t length;
	struct mr_str cache;
	int64_t saved_ms;	/* when it came into this mailbox: by
				   delivery, APPEND, COPY or MOVE */
	struct mr_sent sent;
};
#define MR_ROW_KEYWORDS 0x01u
#define MR_ROW_MESSAGE 0x02u	/* received_ms, message_id, length */
#define MR_ROW_CACHE 0x04u
#define MR_ROW_SAVED 0x08u
#define MR_ROW_SENT 0x10u

enum mr_flag_op { MR_FLAGS_SET = 1, MR_FLAGS_ADD, MR_FLAGS_REMOVE };

struct mr_flag_change {
	uint32_t op;
	uint32_t flags;
	const char *keywords;		/* blank between, or NULL */
	uint64_t unchanged_since;	/* 0: no condition (RFC 7162 3.1.3) */
};

struct mr_uid_pair {
	uint32_t from, to;
};

/* ------------------------------------------------------------ queue */

enum mr_queue_state { MR_QUEUED = 1, MR_CLAIMED, MR_HELD };

struct mr_queue_item {
	int64_t id;
	int64_t message_id;
	uint64_t length;
	uint32_t state;
	uint32_t attempts;
	int64_t created_ms, next_ms, expire_ms;
	const char *trace;
	const char *sender;
	const char *rcpt;
	const char *next_hop;
	const char *dsn;
	const char *reply;	/* last answer of the other side, or why held */
};

enum mr_fate_kind {
	MR_FATE_DELIVERED = 1,	/* leaves the queue */
	MR_FATE_FAILED,		/* leaves the queue; a report is committed with it
				   where one is due */
	MR_FATE_RETRY,		/* stays; next_ms says when */
	MR_FATE_DROPPED,	/* leaves the queue by the admin's word */
};

/* A claim in which next hops, and the senders to one of them, take turns:
 * what waits for a busy one never keeps others from being found. */
struct mr_claim {
	uint32_t size;
	uint32_t max;		/* items */
	const char *owner;
	int64_t now_ms, lease_ms;
	/* How many groups of this sender to this next hop are wanted now; 0:
	 * none; MR_CLAIM_NO_HOP: none of this next hop, whoever sent them;
	 * MR_CLAIM_STOP: nothing more at all. Asked of what is due only. Must
	 * not call the store. */
	int32_t (*wanted)(void *arg, const char *next_hop, const char *sender);
	int (*each)(void *arg, const struct mr_queue_item *i);
	void *arg;
	/* Not NULL: instead, due items of this next hop ("": of any) whose
	 * expire_ms has come; `wanted` is not asked. */
	const char *expired_of;
	/* In and out: where the last claim stopped, in the store's words. ""
	 * at first, and when all that is due has had its turn since it was
	 * "". */
	char at[1024];
	/* Out, when nothing was claimed: when the next item becomes due that
	 * is not due yet; INT64_MAX: none. */
	int64_t next_ms;
};
#define MR_CLAIM_NO_HOP (-1)
#define MR_CLAIM_STOP (-2)

enum mr_queue_op {
	MR_QUEUE_RETRY = 1,	/* queued items are due at next_ms, if that is
				   earlier */
	MR_QUEUE_HOLD,		/* queued items wait for the admin */
	MR_QUEUE_RELEASE,	/* held items are queued, due at next_ms */
	MR_QUEUE_RETURN,	/* items leased to `owner` are queued again,
				   untried, due at next_ms */
	MR_QUEUE_REQUEUE,	/* queued items begin anew: no attempts yet,
				   next_ms and expire_ms as given */
};

struct mr_queue_change {
	uint32_t size;
	uint32_t op;
	const int64_t *id;
	size_t n;
	int64_t next_ms, expire_ms;
	const char *owner;
};

/* A mailbox that shows messages of the queue. */
struct mr_mirror {
	uint32_t size;
	int held;		/* held ones; 0: those that wait */
	int64_t mailbox;
	int64_t until_ms;	/* created until then */
	uint32_t most;		/* messages, oldest first */
};

struct mr_fate {
	int64_t id;
	uint32_t kind;
	int64_t next_ms;
	const char *reply;	/* the answer, for ledger and list */
};

/* ----------------------------------------------------------- ledger */

/* One thing that happened to one recipient. The store writes the rows itself,
 * in the transaction of what they tell of:
 *	delivered	into a mailbox (rcpt: the account)
 *	queued, held	into the queue; held and released also by an admin
 *	routed		out of the queue by a commit of the same message
 *	relayed, failed, dropped	out of the queue
 *	deferred	an attempt that was not the last
 *	discarded	by the filter in detail; has no recipient
 * What is not known or does not apply is "" or 0, never NULL. */
struct mr_ledger_row {
	uint32_t size;
	int64_t id;		/* in the order of events */
	int64_t at_ms;
	const char *trace, *event, *origin, *sender, *rcpt;
	const char *detail;	/* the reply; next hop; why held */
	const char *life;	/* of mr_commit, on the first row */
	int64_t mailbox;	/* delivered: where */
	uint32_t uid;
	int64_t queue;		/* entry */
};

struct mr_ledger_query {
	uint32_t size;
	int64_t after_id;	/* rows behind this one */
	int64_t since_ms;	/* 0: from the start */
	const char *trace;	/* of this message, and the first rows of
				   reports on it (origin "report TRACE"); or
				   NULL */
	const char *address;	/* sender or rcpt, or a string in life,
				   without case; or NULL */
};

/* ----------------------------------------------------- what changed */

enum mr_change_kind {
	MR_CHANGE_MAILBOX = 1,	/* id: the mailbox; 0: any may have changed */
	MR_CHANGE_QUEUE,	/* something may be due earlier */
	MR_CHANGE_ACCOUNT,	/* id: account_number of one whose names of
				   mailboxes, subscriptions, rights or
				   annotations changed */
};

struct mr_change {
	uint32_t kind;
	int64_t id;
	uint64_t modseq;	/* of the mailbox, 0 if not known */
};

/* -------------------------------------------------------- directory */

struct mr_account {
	int64_t id;
	const char *name;	/* "user@domain" */
	uint64_t bytes;		/* used */
	uint64_t quota;		/* 0: none */
	uint32_t messages;
	int disabled;
	uint64_t message_quota;	/* 0: none */
};

/* What an account may hold and holds. A limit of 0 is none. */
struct mr_quota {
	uint32_t size;
	uint64_t bytes, byte_limit;
	uint64_t messages, message_limit;
};

struct mr_alias {
	const char *address;	/* "sales@domain", "@domain" is the catch-all */
	const char *target;	/* an account or any address */
};

struct mr_mailing_list {
	uint32_t size;
	const char *address;
	const char *owner;
};

/* What an account may do in a mailbox of another: RFC 4314 section 2.1. */
enum mr_right {
	MR_RIGHT_LOOKUP = 1,	/* l */
	MR_RIGHT_READ = 2,	/* r */
	MR_RIGHT_SEEN = 4,	/* s */
	MR_RIGHT_WRITE = 8,	/* w: other flags */
	MR_RIGHT_INSERT = 16,	/* i */
	MR_RIGHT_POST = 32,	/* p */
	MR_RIGHT_CREATE = 64,	/* k: mailboxes below it */
	MR_RIGHT_DELETE = 128,	/* x: the mailbox */
	MR_RIGHT_TRASH = 256,	/* t: \Deleted */
	MR_RIGHT_EXPUNGE = 512,	/* e */
	MR_RIGHT_ADMIN = 1024,	/* a */
};
#define MR_RIGHTS_ALL 2047u

struct mr_metadata {
	const char *name;
	struct mr_str value;	/* at NULL: none */
};

struct mr_app_password {
	uint32_t size;
	const char *account, *name;
	const char *scopes;	/* "imap,pop3,smtp", some of them */
	int64_t created_ms, used_ms;	/* used_ms 0: never; to the hour */
};

/* ------------------------------------------- mail of another store */

/* A message that was somewhere before. key names it there, in at most 100
 * bytes, and is remembered with the mailbox: what comes under it again is
 * passed over, though it may have been removed here meanwhile. */
struct mr_import_item {
	struct mr_str key;
	const struct mr_piece *piece;
	size_t n_piece;
	uint64_t length;
	uint8_t sha256[32];
	struct mr_str cache;
	uint32_t flags;
	const char *keywords;	/* blank between, or NULL */
	int64_t received_ms;
	uint32_t uid;		/* that it had there; 0: none */
	uint32_t out_uid;	/* out; 0: it was passed over */
	struct mr_sent sent;
};

struct mr_import {
	uint32_t size;
	int64_t mailbox;
	uint32_t uidvalidity;	/* under which the UIDs were given */
	uint32_t uidnext;	/* 0, or what it is at least afterwards */
	struct mr_import_item *item;
	size_t n;
};

/* ------------------------------------------------------------ backups */

struct mr_backup {
	uint32_t size;
	const char *path;	/* a folder that is there; the store's alone */
	uint32_t keep;		/* so many states; 0: all */
	/* Now and then; total may grow. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* A message whose bytes are not what they were: it is in the backup
	 * as it is. */
	void (*damaged)(void *arg, int64_t message_id);
	void *arg;
	/* out */
	char state[32];		/* its name, by its time: 2026-11-25T22-15-03Z */
	uint64_t bytes;		/* of the whole state */
	uint64_t written;	/* of it, now */
	uint64_t messages;
};

/* ------------------------------------------------- the search index */

/* What the core keeps of a message for SEARCH: two texts, bytes that it alone
 * understands. at NULL: not kept; each search looks into the message itself.
 * The head is short, and is looked for and read without the rest. */
enum mr_index_space { MR_INDEX_HEAD, MR_INDEX_REST, MR_INDEX_SPACES };

struct mr_index_text {
	uint32_t size;
	int64_t message;
	struct mr_str text[MR_INDEX_SPACES];
};

/* Messages whose texts are wanted, in order of their ids. */
struct mr_index_todo {
	uint32_t size;
	int64_t version;	/* of the texts; those of another are dropped */
	uint32_t max;		/* messages */
	/* gone: nobody has it any more; no text is needed. */
	int (*each)(void *arg, int64_t message, int gone);
	void *arg;
	/* Out: the range of ids that these are all of. last < first: there is
	 * nothing to do. */
	int64_t first, last;
};

/* Messages of first to last whose texts of a space may contain the needle:
 * those of `message`, in order; of the others it is certain that they do not.
 * message NULL: any may. Valid until the next look. */
struct mr_index_maybe {
	uint32_t size;
	enum mr_index_space space;	/* in */
	int64_t first, last;
	const int64_t *message;
	size_t n;
};

struct mr_index_figures {
	uint32_t size;
	int64_t messages;	/* whose texts are kept */
	int64_t waiting;	/* to be put */
	int64_t bytes;		/* on disk */
};

/* ---------------------------------------------------------- checking */

struct mr_finding {
	const char *text;	/* a sentence; what and where */
	int is_repaired;
	const char *advice;	/* where it cannot be repaired, or "" */
};

struct mr_fsck {
	uint32_t size;
	int repair;
	int fast;		/* rows only, not the bytes of messages */
	/* The bytes of a message, in order; then what is kept of their
	 * structure: 0 if that is right, 1 if it is wrong, 2 if it is merely
	 * old; *right is what it should be. */
	void (*feed)(void *arg, const void *bytes, size_t len);
	int (*compare)(void *arg, struct mr_str kept, struct mr_str *right);
	void (*found)(void *arg, const struct mr_finding *f);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	/* out */
	uint64_t messages, bytes, renewed;	/* renewed: old structures */
};

/* -------------------------------------------------------------- sizes */

struct mr_sizes {
	uint32_t size;
	uint64_t messages;	/* bodies that are in use */
	uint64_t removed;	/* that are not, and go soon */
	uint64_t database;	/* bytes of metadata and small bodies */
	uint64_t unused;	/* of these: free for what comes */
	uint64_t log;		/* of changes not yet in the database */
	uint64_t segments;	/* files of large bodies */
	uint64_t large;		/* bytes of large bodies, in use or not */
	uint64_t segment_disk;	/* what their files take on disk */
	uint64_t index;		/* of the search index */
	uint64_t disk_free;
	int shrinks;		/* unused pages go back to the disk while the
				   server runs */
};

/* A message that was expunged and is still there. */
struct mr_removed {
	uint32_t size;
	uint32_t uid;		/* as it was, and: */
	const char *mailbox;
	int64_t removed_ms, received_ms;
	uint64_t length;
	uint32_t flags;
};

struct mr_undelete {
	uint32_t size;
	uint32_t restored;	/* out */
	const char *account;
	const char *mailbox;	/* that it was in; NULL: any */
	int64_t since_ms;	/* removed at that time or later */
	int (*each)(void *arg, const struct mr_removed *r);
	void *arg;
};

/* ----------------------------------------------------- what must stay */

struct mr_retain_rule {
	const char *mailbox;	/* of every account */
	int64_t ms;		/* > 0 */
};

struct mr_retained {
	uint32_t size;
	int any;		/* as of expunge */
	int64_t mailbox;
	const struct mr_range *range;
	size_t n;		/* 0: all */
	/* out */
	uint32_t messages;
	int64_t until_ms;	/* when the last of them may go */
};

#ifdef __cplusplus
}
#endif
#endif
