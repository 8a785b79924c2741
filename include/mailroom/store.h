/* SPDX-License-Identifier: MIT */
/*
 * mailroom/store.h - the contract of the store role.
 *
 * The store keeps messages, mailboxes, the queue, the ledger and the
 * directory (domains, accounts, aliases). The core knows no SQL; SQLite,
 * PostgreSQL and MariaDB plugins implement this table.
 *
 * `self` is the plugin's config struct. All functions may block on disk or
 * network, may be called by any thread at once, and in several processes at
 * once on the same data. They return MR_STORE_OK or the reason why not, with
 * a line in *err. No call leaves a change half done.
 *
 * Durability: commit, settle, and every function that changes something
 * return MR_STORE_OK only when the change will survive a power cut.
 *
 * Numbers: uid and uidvalidity as in RFC 9051 2.3.1, modseq as in RFC 7162
 * (one counter a mailbox, never 0, grows with every change in it). Times are
 * milliseconds since 1970 UTC. ids are chosen by the store, > 0, never used
 * again. Addresses and domains are UTF-8, domains in lower case A-label or
 * U-label form as configured.
 */
#ifndef MAILROOM_STORE_H
#define MAILROOM_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <mailroom/store_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Callbacks of the walks below return 0 to go on. What they are given is
 * valid during the call. They must not call the store. */

struct mr_store {
	uint32_t size;

	/* All placements, or none of them. Concurrent commits share a flush.
	 * If one placement's mailbox is over quota or missing the whole
	 * commit is refused. Identical bytes are stored once. */
	int (*commit)(void *self, struct mr_commit *c, struct mr_error *err);

	/* Reading a message back. read returns bytes copied, 0 at the end, -1
	 * with err. A body that is open stays readable though the message is
	 * removed meanwhile. Each open body belongs to one thread at a time
	 * and costs no thread, but perhaps a connection: close it soon. */
	int (*body_open)(void *self, int64_t message_id, void **body,
		uint64_t *length, struct mr_error *err);
	int64_t (*body_read)(void *body, uint64_t offset, void *out,
		size_t len, struct mr_error *err);
	void (*body_close)(void *body);

	/* Mailboxes of an account. "INBOX" is matched without case, other
	 * names exactly. list is ordered by name, INBOX first. */
	int (*mailbox_list)(void *self, const char *account,
		int (*each)(void *arg, const struct mr_mailbox *m), void *arg,
		struct mr_error *err);
	/* By name. out->name is not set. */
	int (*mailbox_find)(void *self, const char *account, const char *name,
		struct mr_mailbox *out, struct mr_error *err);
	int (*mailbox_get)(void *self, int64_t mailbox,
		struct mr_mailbox *out, struct mr_error *err);
	/* Makes missing parents too. */
	int (*mailbox_create)(void *self, const char *account,
		const char *name, uint32_t special, struct mr_error *err);
	/* Of a mailbox with children only its messages go, and the name stays
	 * as \Noselect is not kept: INVALID then. INBOX: INVALID. */
	int (*mailbox_delete)(void *self, const char *account,
		const char *name, struct mr_error *err);
	/* Children move along. INBOX: its messages move to the new mailbox
	 * and INBOX stays, empty (RFC 3501 6.3.5). */
	int (*mailbox_rename)(void *self, const char *account,
		const char *from, const char *to, struct mr_error *err);
	int (*subscribe)(void *self, const char *account, const char *name,
		int on, struct mr_error *err);
	/* Subscribed names, also of mailboxes that are gone. */
	int (*subscriptions)(void *self, const char *account,
		int (*each)(void *arg, const char *name), void *arg,
		struct mr_error *err);
	/* For SELECT: hands out \Recent once by moving recent_uid up to
	 * uidnext; out shows the values before that. */
	int (*mailbox_take_recent)(void *self, int64_t mailbox,
		struct mr_mailbox *out, struct mr_error *err);

	/* Messages of a mailbox, in UID order. uids gives maximal runs of
	 * UIDs that are there. scan gives rows of the ranges (n 0: all) whose
	 * modseq is above `since`; `want` is MR_ROW_* bits. */
	int (*uids)(void *self, int64_t mailbox,
		int (*each)(void *arg, struct mr_range run), void *arg,
		struct mr_error *err);
	int (*scan)(void *self, int64_t mailbox, const struct mr_range *range,
		size_t n, uint64_t since, uint32_t want,
		int (*each)(void *arg, const struct mr_row *row), void *arg,
		struct mr_error *err);
	/* Runs of UIDs that were removed after modseq `since`. */
	int (*vanished)(void *self, int64_t mailbox, uint64_t since,
		int (*each)(void *arg, struct mr_range run), void *arg,
		struct mr_error *err);

	/* Changes, each one transaction. UIDs that are not there are passed
	 * over. store_flags calls `failed` (may be NULL) for messages that
	 * unchanged_since kept from being changed; *modseq receives the modseq
	 * of this change, or 0 if it changed nothing. */
	int (*store_flags)(void *self, int64_t mailbox,
		const struct mr_range *range, size_t n,
		const struct mr_flag_change *change,
		int (*failed)(void *arg, uint32_t uid), void *arg,
		uint64_t *modseq, struct mr_error *err);
	/* Removes those of the ranges (n 0: all) that have \Deleted, or, with
	 * `any`, whether they have it or not (POP3). */
	int (*expunge)(void *self, int64_t mailbox,
		const struct mr_range *range, size_t n, int any,
		struct mr_error *err);
	/* copy keeps flags, keywords and received_ms; move also removes the
	 * source in the same transaction. pair is called in order of `from`.
	 * The two mailboxes may be one. */
	int (*copy)(void *self, int64_t from, const struct mr_range *range,
		size_t n, int64_t to, int move, uint32_t *uidvalidity,
		int (*pair)(void *arg, struct mr_uid_pair p), void *arg,
		struct mr_error *err);

	/* Queue. claim leases up to `max` due items to `owner` until now +
	 * lease_ms; leases that ran out are due again. Items of the same
	 * message and next hop come one after another, and a claim does not
	 * split such a group unless it exceeds max. next is the time when the
	 * first unclaimed item is due, INT64_MAX if there is none. */
	int (*queue_claim)(void *self, const char *owner, int64_t now_ms,
		int64_t lease_ms, uint32_t max,
		int (*each)(void *arg, const struct mr_queue_item *i),
		void *arg, struct mr_error *err);
	int (*queue_next)(void *self, int64_t *when_ms, struct mr_error *err);
	/* Fates, and the report if one is not NULL, in one transaction. */
	int (*queue_settle)(void *self, const struct mr_fate *fate, size_t n,
		struct mr_commit *report, struct mr_error *err);
	/* Ordered by id. id 0: all. */
	int (*queue_list)(void *self, int64_t id,
		int (*each)(void *arg, const struct mr_queue_item *i),
		void *arg, struct mr_error *err);
	/* id 0: all. Makes queued items due now. *n: how many it met. */
	int (*queue_retry)(void *self, int64_t id, uint32_t *n,
		struct mr_error *err);
	/* Releases a held item, or holds a queued one. */
	int (*queue_hold)(void *self, int64_t id, int hold,
		struct mr_error *err);
	/* Gives back all leases of owners whose name starts with `prefix`
	 * (a start after SIGKILL). */
	int (*queue_unclaim)(void *self, const char *prefix,
		struct mr_error *err);

	/* Registers the one listener of this process; called from a thread of
	 * the plugin for changes by any process, soon after their commit.
	 * Must not block and must not call the store. */
	int (*watch)(void *self,
		void (*changed)(void *arg, const struct mr_change *c),
		void *arg, struct mr_error *err);

	/* Directory. A new account has INBOX, Drafts, Sent, Junk, Trash and
	 * Archive, subscribed and with their special use. password NULL in
	 * account_set keeps it, quota -1 keeps it, disabled -1 keeps it. */
	int (*domain_add)(void *self, const char *domain,
		struct mr_error *err);
	int (*domain_list)(void *self,
		int (*each)(void *arg, const char *domain), void *arg,
		struct mr_error *err);
	int (*account_add)(void *self, const char *name, const char *password,
		struct mr_error *err);
	int (*account_set)(void *self, const char *name, const char *password,
		int64_t quota, int disabled, struct mr_error *err);
	int (*account_remove)(void *self, const char *name,
		struct mr_error *err);
	int (*account_list)(void *self,
		int (*each)(void *arg, const struct mr_account *a), void *arg,
		struct mr_error *err);
	int (*alias_add)(void *self, const char *address, const char *target,
		struct mr_error *err);
	int (*alias_remove)(void *self, const char *address,
		const char *target, struct mr_error *err);
	int (*alias_list)(void *self,
		int (*each)(void *arg, const struct mr_alias *a), void *arg,
		struct mr_error *err);
	/* Cheap figures for `status`; -1 where not known. */
	int (*figures)(void *self, int64_t *messages, int64_t *queued,
		int64_t *held, int64_t *bytes, struct mr_error *err);

	/* Small facts of plugins (plugin.h, state_get). space: whose. What has
	 * expired at now_ms is not there. get calls `found` at most once. add
	 * makes the counter, with this expiry, where none is. */
	int (*state_get)(void *self, const char *space, const char *key,
		int64_t now_ms, void (*found)(void *arg, struct mr_str value),
		void *arg, struct mr_error *err);
	int (*state_set)(void *self, const char *space, const char *key,
		struct mr_str value, int64_t expires_ms,
		struct mr_error *err);
	int (*state_add)(void *self, const char *space, const char *key,
		int64_t by, int64_t now_ms, int64_t expires_ms, int64_t *sum,
		struct mr_error *err);

	/* As queue_claim, in turns; a group is not split here either. */
	int (*queue_claim_turns)(void *self, struct mr_claim *c,
		struct mr_error *err);
	/* One transaction for many items. Those that are gone, or in another
	 * state than the change is for, are passed over. *n: how many were
	 * changed. */
	int (*queue_change)(void *self, const struct mr_queue_change *c,
		uint32_t *n, struct mr_error *err);
	/* The ledger, in order; what is older than the store keeps it is not
	 * there. A walk sees one state of the store. */
	int (*ledger)(void *self, const struct mr_ledger_query *q,
		int (*each)(void *arg, const struct mr_ledger_row *row),
		void *arg, struct mr_error *err);

	/* An address with aliases that is a list: mail that they lead
	 * elsewhere has the owner as its sender (mr_target.sender). owner
	 * NULL: a list no more. MISSING: it has no alias. The mark goes with
	 * the last alias. */
	int (*list_set)(void *self, const char *address, const char *owner,
		struct mr_error *err);
	int (*list_list)(void *self,
		int (*each)(void *arg, const struct mr_mailing_list *l),
		void *arg, struct mr_error *err);

	/* Passwords for one program each, beside the account's own; random and
	 * of at least 16 characters, hyphens not counted. EXISTS, MISSING,
	 * INVALID. account NULL: of all. */
	int (*app_password_add)(void *self, const char *account,
		const char *name, const char *scopes, const char *password,
		struct mr_error *err);
	int (*app_password_remove)(void *self, const char *account,
		const char *name, struct mr_error *err);
	int (*app_password_list)(void *self, const char *account,
		int (*each)(void *arg, const struct mr_app_password *p),
		void *arg, struct mr_error *err);

	/* Small facts whose key begins so, in order of their keys. A counter's
	 * value is its decimal text. */
	int (*state_list)(void *self, const char *space, const char *prefix,
		int64_t now_ms, int (*each)(void *arg, const char *key,
		struct mr_str value), void *arg, struct mr_error *err);

	/* Annotations of a mailbox; 0: of the whole store. A name begins with
	 * "/private/", and belongs to this account alone, or "/shared/". get
	 * shows both, in order. set takes all entries or none; OVER_QUOTA when
	 * the mailbox would have more than `most` of either. They go with the
	 * mailbox. */
	int (*metadata_get)(void *self, const char *account, int64_t mailbox,
		int (*each)(void *arg, const char *name, struct mr_str value),
		void *arg, struct mr_error *err);
	int (*metadata_set)(void *self, const char *account, int64_t mailbox,
		const struct mr_metadata *entry, size_t n, uint32_t most,
		struct mr_error *err);

	/* Before mail is imported: the mailbox, made with its parents where it
	 * is missing. One that never had a message takes this UIDVALIDITY,
	 * unless that is 0. out as of mailbox_get. */
	int (*import_begin)(void *self, const char *account, const char *name,
		uint32_t uidvalidity, struct mr_mailbox *out,
		struct mr_error *err);
	/* One transaction. A message keeps its UID where the mailbox has the
	 * UIDVALIDITY it was given under, and no UID so high yet; else it gets
	 * the next one. Quotas are not asked. */
	int (*import)(void *self, const struct mr_import *m,
		struct mr_error *err);
	/* there[i] = 1 for keys that import would pass over, else 0. */
	int (*imported)(void *self, int64_t mailbox, const struct mr_str *key,
		size_t n, uint8_t *there, struct mr_error *err);

	/* Rights in a mailbox (MR_RIGHT_*). An identifier is an account, or
	 * "anyone" of the owner's domain; with "-" in front its rights are
	 * taken away. op: enum mr_flag_op; INVALID: no such account. rights
	 * gives the sum for an account, which is all for the owner; shared
	 * the mailboxes of others where that is not 0, by owner. A new mailbox
	 * has the rights of its parent. */
	int (*acl_list)(void *self, int64_t mailbox,
		int (*each)(void *arg, const char *identifier,
			uint32_t rights), void *arg, struct mr_error *err);
	int (*acl_set)(void *self, int64_t mailbox, const char *identifier,
		uint32_t op, uint32_t rights, struct mr_error *err);
	int (*acl_rights)(void *self, int64_t mailbox, const char *account,
		uint32_t *rights, struct mr_error *err);
	int (*acl_shared)(void *self, const char *account,
		int (*each)(void *arg, const char *owner,
			const struct mr_mailbox *m, uint32_t rights),
		void *arg, struct mr_error *err);

	/* All commits and the removal, or nothing. The removed message makes
	 * room under the quota; MISSING when it is not there. */
	int (*append)(void *self, const struct mr_append *a,
		struct mr_error *err);

	/* What the store holds at one moment, kept as one more state in a
	 * folder of such; what is there already is not written again. Changes
	 * go on meanwhile. */
	int (*backup)(void *self, struct mr_backup *b, struct mr_error *err);
	/* States of a backup, oldest first. */
	int (*backup_list)(void *self, const char *path,
		int (*each)(void *arg, const char *state), void *arg,
		struct mr_error *err);
	/* One of them as a store to read from: *other takes the place of self
	 * in calls that change nothing. temp: a folder with room for its
	 * metadata. */
	int (*backup_open)(void *self, const char *path, const char *state,
		const char *temp, void **other, struct mr_error *err);
	void (*backup_close)(void *other);

	/* The search index, which the core fills after messages were committed
	 * and which may be lost: it changes how fast a search is, never what
	 * it finds. MISSING from each: it is turned off. Texts go with their
	 * messages.
	 *
	 * put takes the texts of all that todo showed, for its range; BUSY
	 * when somebody else has filled it meanwhile. drop forgets the texts
	 * of an account's messages (NULL: all), which are to be put again. */
	int (*index_todo)(void *self, struct mr_index_todo *t,
		struct mr_error *err);
	int (*index_put)(void *self, const struct mr_index_todo *t,
		const struct mr_index_text *text, size_t n,
		struct mr_error *err);
	int (*index_drop)(void *self, const char *account,
		struct mr_error *err);
	int (*index_figures)(void *self, struct mr_index_figures *out,
		struct mr_error *err);
	/* One state of the index, for one thread; close it soon. MISSING also
	 * when it holds nothing of this version. look tells of a range with
	 * this message in it. text: MISSING when it is not kept; valid until
	 * that of another message. */
	int (*index_open)(void *self, int64_t version, void **index,
		struct mr_error *err);
	int (*index_look)(void *index, int64_t message, struct mr_str needle,
		struct mr_index_maybe *out, struct mr_error *err);
	int (*index_text)(void *index, int64_t message,
		enum mr_index_space space, struct mr_str *out,
		struct mr_error *err);
	void (*index_close)(void *index);

	/* Looks at every row and, unless `fast`, every byte, while others
	 * work. With `repair`, what can be derived is made right; nothing that
	 * could be mail is removed. OK also when something was found. */
	int (*fsck)(void *self, struct mr_fsck *f, struct mr_error *err);

	/* What stands for an account in MR_CHANGE_ACCOUNT. */
	int (*account_number)(void *self, const char *account, int64_t *out,
		struct mr_error *err);

	/* Sets what a mailbox is for: enum mr_special. */
	int (*mailbox_use)(void *self, int64_t mailbox, uint32_t special,
		struct mr_error *err);
	/* quota_set bounds messages, 0: not; account_set bounds bytes. */
	int (*quota_get)(void *self, const char *account, struct mr_quota *out,
		struct mr_error *err);
	int (*quota_set)(void *self, const char *account,
		int64_t message_limit, struct mr_error *err);

	int (*sizes)(void *self, struct mr_sizes *out, struct mr_error *err);
	/* Gives what is unused back to the disk, a little at a time, so that
	 * others are not held up. whole: the database is written anew, which
	 * holds up all changes, and from then on shrinks by itself. *freed:
	 * bytes. INVALID: it does not shrink without `whole`. */
	int (*vacuum)(void *self, int whole, uint64_t *freed,
		struct mr_error *err);

	/* Makes the mailbox show these messages, each once whatever its
	 * recipients, and no others: it is for nothing else. They keep their
	 * flags; their bytes are shared with the queue. */
	int (*queue_mirror)(void *self, const struct mr_mirror *m,
		struct mr_error *err);


	/* Annotations that this account may see and that were set or taken
	 * away after `since`, in that order, as far as they are remembered;
	 * also in mailboxes of others. *now: what to ask with the next time.
	 * MR_CHANGE_ACCOUNT or MR_CHANGE_MAILBOX tells of them. */
	int (*metadata_changed)(void *self, const char *account, int64_t since,
		int (*each)(void *arg, int64_t mailbox, const char *name),
		void *arg, int64_t *now, struct mr_error *err);

	/* Where the store keeps for a while what was expunged: shows it, if
	 * `each` is set, or puts it back where it was. Quotas are not asked.
	 */
	int (*undelete)(void *self, struct mr_undelete *u,
		struct mr_error *err);

	/* A state of a backup as a store folder of its own, `to`, which must
	 * not be there yet: for a machine that lost its store. What waited in
	 * the queue is held. */
	int (*backup_extract)(void *self, const char *path, const char *state,
		const char *to, struct mr_error *err);

	/* What came into mailboxes of these names less than so long ago stays
	 * from now on, in calls of this process: expunge passes over it; a
	 * move, an append that removes it, and mailbox_delete and
	 * mailbox_rename of its mailbox are RETAINED and change nothing. It
	 * goes with its account, as the administrator wants it. Rules add up;
	 * called before there are changes. */
	int (*retain)(void *self, const struct mr_retain_rule *rule, size_t n,
		struct mr_error *err);
	/* What of these expunge passes over for that. */
	int (*retained)(void *self, struct mr_retained *r,
		struct mr_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
