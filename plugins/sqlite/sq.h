/*
 * sq.h - what the files of the sqlite plugin share.
 *
 * One database holds metadata and small bodies; larger bodies stand in
 * append-only segment files beside it (segment.c). A process has one writing
 * connection, owned by one thread (writer.c), which takes all changes that
 * wait into one transaction and one flush, and a pool of read-only
 * connections (db.c). Writers of several processes take turns by a lock on
 * DATA/sqlite/writer.lock, which the kernel releases when a holder dies.
 */
#ifndef SQLITE_SQ_H
#define SQLITE_SQ_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

struct sq_db;		/* a connection with its prepared statements */
struct sq_writer;	/* the writing thread */
struct sq_pool;		/* reading connections */
struct sq_segments;	/* segment files of this process, open ones to read */
struct sq_watch;	/* hints in and out */
struct sq_segment;
struct sq_logins;	/* passwords that were right a moment ago */
struct sq_retain;	/* what must stay, by names of mailboxes */

/* The plugin's config: settings, then what open makes. */
struct sq {
	const char *folder;	/* "": DATA/sqlite */
	int64_t body_in_row;	/* bodies up to this many bytes in the database */
	int64_t segment_size;
	int64_t keep_removed;	/* ms until the body of a removed message goes */
	int64_t undelete;	/* ms that an expunged one can be put back */
	int64_t keep_ledger;	/* ms; 0: for ever */
	int64_t keep_vanished;	/* ms; 0: for ever */
	const char *tag;	/* characters that divide user and tag, "+" */
	bool login_cache;
	bool index;
	int64_t index_block;
	bool index_packed;

	char *path;		/* folder in effect */
	char *hostname;		/* the server's */
	const struct mr_host *host;
	struct sq_writer *writer;
	struct sq_pool *pool;
	struct sq_segments *segments;
	struct sq_watch *watch;
	int64_t forget_at;	/* sq_clock_mono; the writer's */
	struct sq_logins *logins;
	struct sq_plain *plain;
	struct sq_index *filling;
	struct sq_retain *retain;	/* NULL: nothing must stay */
};

/* ------------------------------------------------------------ errors */

/* Fills err and returns code. err may be NULL. */
int sq_fail(struct mr_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same from what SQLite says of the connection; FULL when the disk is
 * full, BUSY when locked, else FAILED. doing: "storing flags". */
int sq_fail_db(struct mr_error *err, struct sq_db *db, const char *doing);

/* --------------------------------------------------- db.c, statements */

/* A prepared, reset statement of this connection. `sql` must be a literal:
 * statements are remembered by its address. NULL on failure: sq_fail_db. */
sqlite3_stmt *sq_sql(struct sq_db *db, const char *sql);
/* Binds from 1: 'i' int64_t, 's' const char * (NULL binds NULL), 'b' const
 * void * and size_t, 'n' NULL. Text and blobs are not copied: they must live
 * until the statement has been stepped. */
void sq_bind(sqlite3_stmt *st, const char *kinds, ...);
/* sq_sql + sq_bind + step for a statement without rows. MR_STORE_*. */
int sq_run(struct sq_db *db, struct mr_error *err, const char *sql,
	const char *kinds, ...);
/* The first column of the first row. MISSING (err untouched) without one. */
int sq_number(struct sq_db *db, struct mr_error *err, int64_t *out,
	const char *sql, const char *kinds, ...);
/* Text of a column, "" for NULL; valid until the next step or reset. */
const char *sq_text(sqlite3_stmt *st, int column);

/* A reading connection inside a transaction (one snapshot); NULL: err says
 * why. Blocks while all are taken. End soon: an open snapshot keeps the log
 * from being checkpointed. */
struct sq_db *sq_read(struct sq *s, struct mr_error *err);
/* The same without a transaction: for one statement. */
struct sq_db *sq_read_one(struct sq *s, struct mr_error *err);
void sq_read_end(struct sq *s, struct sq_db *db);

/* ------------------------------------------------------------ writer.c */

/* One transaction as a change sees it, with others before and behind. */
struct sq_tx {
	struct sq *sq;
	struct sq_db *db;
	int64_t now_ms;		/* wall clock */
};

/* Runs `run` on the writing thread inside a savepoint of a transaction that
 * waiting changes share, and returns when that is durable. What run returns
 * (MR_STORE_*) is returned; anything but OK undoes what it did, and only
 * that. If the flush fails all changes of the transaction return FULL or
 * FAILED. run must not block on anything but the database. */
int sq_write(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), void *arg, struct mr_error *err);
/* Inside run: tell watchers once the transaction is durable. modseq 0: not
 * known. mailbox 0 with kind MR_CHANGE_QUEUE. */
void sq_changed(struct sq_tx *tx, enum mr_change_kind kind, int64_t mailbox,
	uint64_t modseq);

/* ----------------------------------------------- what messages share */

/* Takes n references off a message; without any its body is collected after
 * keep_removed (collect.c). */
int sq_message_drop(struct sq_tx *tx, int64_t message, int64_t n,
	struct mr_error *err);
/* The same of one that was in a mailbox and can be put back: it stays for
 * `undelete` before that. */
int sq_message_expunge(struct sq_tx *tx, int64_t message,
	struct mr_error *err);
/* undelete.c: what is too old goes; all of an account that goes. */
void sq_removed_forget(struct sq *s);
int sq_removed_drop(struct sq_tx *tx, int64_t account, struct mr_error *err);
int sq_undelete(void *self, struct mr_undelete *u, struct mr_error *err);
int sq_message_hold(struct sq_tx *tx, int64_t message, int64_t n,
	struct mr_error *err);
/* id of an account by canonical name. MISSING with err filled. */
int sq_account_id(struct sq_db *db, const char *account, int64_t *id,
	struct mr_error *err);
/* id of a mailbox by account and name; "inbox" in any case is INBOX. */
int sq_mailbox_id(struct sq_db *db, int64_t account, const char *name,
	int64_t *id, struct mr_error *err);
/* Makes a mailbox and its missing parents; id of the last. EXISTS, INVALID. */
int sq_mailbox_make(struct sq_tx *tx, int64_t account, const char *name,
	uint32_t special, int64_t *id, struct mr_error *err);
/* Takes a mailbox away with all that is in it. */
int sq_mailbox_remove(struct sq_tx *tx, int64_t mailbox,
	struct mr_error *err);
/* Everything in one mailbox goes to another. */
int sq_move_all(struct sq_tx *tx, int64_t from, int64_t to,
	struct mr_error *err);
/* retain.c: RETAINED if this mailbox, or one below it, has messages that must
 * stay. */
int sq_retain_tree(struct sq_tx *tx, int64_t account, const char *name,
	struct mr_error *err);
int sq_retain(void *self, const struct mr_retain_rule *rule, size_t n,
	struct mr_error *err);
int sq_retained(void *self, struct mr_retained *r, struct mr_error *err);
void sq_retain_free(struct sq_retain *r);
/* quota.c: what an account may hold. SQ_IS_BOUNDED: whether it is bounded at
 * all, of a row `a` of account. sq_quota_check is OVER_QUOTA unless there is
 * room for so much more. */
#define SQ_IS_BOUNDED " (a.quota > 0 OR a.message_quota > 0) "
int sq_quota_of(struct sq_db *db, int64_t account, struct mr_quota *out,
	struct mr_error *err);
bool sq_quota_allows(const struct mr_quota *q, uint64_t bytes,
	uint64_t messages);
int sq_quota_check(struct sq_db *db, int64_t account, uint64_t bytes,
	uint64_t messages, struct mr_error *err);
int sq_quota_get(void *self, const char *account, struct mr_quota *out,
	struct mr_error *err);
int sq_quota_set(void *self, const char *account, int64_t message_limit,
	struct mr_error *err);
/* MISSING with err filled unless there is such a mailbox. */
int sq_mailbox_check(struct sq_db *db, int64_t mailbox, struct mr_error *err);
/* UTF-8 without control characters. */
bool sq_is_text(const char *text);
/* An address, or a domain, in lower-case ASCII as the directory keeps it;
 * false: empty, too long, or not text. */
#define SQ_ADDRESS_MOST 320
bool sq_lower(struct mr_str in, char out[SQ_ADDRESS_MOST + 1]);
/* INVALID with err filled unless it is a mailbox name we keep: UTF-8 without
 * control characters, levels not empty, at most SQ_NAME_MOST bytes. */
#define SQ_NAME_MOST 1000
int sq_check_name(const char *name, struct mr_error *err);

/* ------------------------------------------------------- the tables */

extern const struct mr_auth sq_auth;		/* auth.c */
extern const struct mr_route sq_route;		/* route.c */

/* The functions of struct mr_store, by file. */
/* commit.c */
int sq_commit(void *self, struct mr_commit *c, struct mr_error *err);
/* The same inside a change (queue.c: the report). Bodies that belong in a
 * segment must have been written and flushed before (sq_commit_spool). */
struct sq_spooled {		/* where a body stands; segment 0: in the row */
	int64_t segment, offset;
	uint64_t length;
	const void *row;	/* the bytes: the caller's, or in `own` */
	void *own;
	struct sq_segment *held;	/* until its row is committed */
	int64_t same;		/* a message with these bytes that is there */
	bool is_stale;		/* it went meanwhile: spool, and try again */
};
int sq_commit_spool(struct sq *s, const struct mr_commit *c,
	struct sq_spooled *out, struct mr_error *err);
/* As sq_commit_spool without the flush, which out->held is still to have. */
int sq_commit_write(struct sq *s, const struct mr_commit *c,
	struct sq_spooled *out, struct mr_error *err);
/* One of many: a flush serves all that were written to a file before it. open,
 * NULL at first, is the file that is still to be flushed; the caller flushes
 * it after the last. */
int sq_commit_write_next(struct sq *s, const struct mr_commit *c,
	struct sq_spooled *out, struct sq_segment **open, struct mr_error *err);
/* The row of the message, or one reference more to body->same. */
int sq_commit_message(struct sq_tx *tx, const struct mr_commit *c,
	struct sq_spooled *body, int64_t *message, struct mr_error *err);
int sq_commit_place(struct sq_tx *tx, struct mr_commit *c,
	struct sq_spooled *body, struct mr_error *err);
/* code: how the commit ended. A body that was refused gives its space back;
 * one whose commit FAILED keeps it, since its row may be in the log. */
void sq_spooled_free(struct sq_spooled *b, int code);
/* mirror.c */
int sq_queue_mirror(void *self, const struct mr_mirror *m,
	struct mr_error *err);
/* append.c */
int sq_append(void *self, const struct mr_append *a, struct mr_error *err);
/* body.c */
int sq_body_open(void *self, int64_t message, void **body, uint64_t *length,
	struct mr_error *err);
int64_t sq_body_read(void *body, uint64_t offset, void *out, size_t len,
	struct mr_error *err);
void sq_body_close(void *body);
/* mailbox.c: the columns of a mailbox m, and a row that begins with them. */
#define SQ_MAILBOX_COLUMNS " m.id, m.name, m.special, m.uidvalidity," \
	" m.uidnext, m.modseq, m.messages, m.unseen, m.bytes, m.recent_uid," \
	" EXISTS (SELECT 1 FROM subscription s WHERE s.account = m.account" \
	" AND s.name = m.name) "
#define SQ_MAILBOX_COLUMNS_N 11
void sq_mailbox_row(sqlite3_stmt *st, struct mr_mailbox *m);
int sq_mailbox_list(void *self, const char *account,
	int (*each)(void *arg, const struct mr_mailbox *m), void *arg,
	struct mr_error *err);
int sq_mailbox_find(void *self, const char *account, const char *name,
	struct mr_mailbox *out, struct mr_error *err);
int sq_mailbox_get(void *self, int64_t mailbox, struct mr_mailbox *out,
	struct mr_error *err);
int sq_mailbox_create(void *self, const char *account, const char *name,
	uint32_t special, struct mr_error *err);
int sq_mailbox_delete(void *self, const char *account, const char *name,
	struct mr_error *err);
int sq_mailbox_rename(void *self, const char *account, const char *from,
	const char *to, struct mr_error *err);
int sq_mailbox_use(void *self, int64_t mailbox, uint32_t special,
	struct mr_error *err);
int sq_subscribe(void *self, const char *account, const char *name, int on,
	struct mr_error *err);
int sq_subscriptions(void *self, const char *account,
	int (*each)(void *arg, const char *name), void *arg,
	struct mr_error *err);
int sq_mailbox_take_recent(void *self, int64_t mailbox,
	struct mr_mailbox *out, struct mr_error *err);
/* entries.c: reading; flags.c: flags, expunge; copy.c */
int sq_uids(void *self, int64_t mailbox,
	int (*each)(void *arg, struct mr_range run), void *arg,
	struct mr_error *err);
int sq_scan(void *self, int64_t mailbox, const struct mr_range *range,
	size_t n, uint64_t since, uint32_t want,
	int (*each)(void *arg, const struct mr_row *row), void *arg,
	struct mr_error *err);
int sq_vanished(void *self, int64_t mailbox, uint64_t since,
	int (*each)(void *arg, struct mr_range run), void *arg,
	struct mr_error *err);
int sq_store_flags(void *self, int64_t mailbox, const struct mr_range *range,
	size_t n, const struct mr_flag_change *change,
	int (*failed)(void *arg, uint32_t uid), void *arg, uint64_t *modseq,
	struct mr_error *err);
int sq_expunge(void *self, int64_t mailbox, const struct mr_range *range,
	size_t n, int any, struct mr_error *err);
int sq_copy(void *self, int64_t from, const struct mr_range *range, size_t n,
	int64_t to, int move, uint32_t *uidvalidity,
	int (*pair)(void *arg, struct mr_uid_pair p), void *arg,
	struct mr_error *err);
/* import.c */
int sq_import_begin(void *self, const char *account, const char *name,
	uint32_t uidvalidity, struct mr_mailbox *out, struct mr_error *err);
int sq_import(void *self, const struct mr_import *m, struct mr_error *err);
int sq_imported(void *self, int64_t mailbox, const struct mr_str *key,
	size_t n, uint8_t *there, struct mr_error *err);
/* backup.c; restore.c */
int sq_backup(void *self, struct mr_backup *out, struct mr_error *err);
int sq_backup_list(void *self, const char *path, int (*each)(void *arg,
	const char *state), void *arg, struct mr_error *err);
int sq_backup_open(void *self, const char *path, const char *state,
	const char *temp, void **other, struct mr_error *err);
void sq_backup_close(void *other);
/* extract.c */
int sq_backup_extract(void *self, const char *path, const char *state,
	const char *to, struct mr_error *err);
/* fsck.c */
int sq_fsck(void *self, struct mr_fsck *out, struct mr_error *err);
/* vacuum.c */
int sq_sizes(void *self, struct mr_sizes *out, struct mr_error *err);
int sq_vacuum(void *self, int whole, uint64_t *freed, struct mr_error *err);
/* claim.c */
int sq_queue_claim(void *self, const char *owner, int64_t now_ms,
	int64_t lease_ms, uint32_t max,
	int (*each)(void *arg, const struct mr_queue_item *i), void *arg,
	struct mr_error *err);
int sq_queue_next(void *self, int64_t *when_ms, struct mr_error *err);
int sq_queue_claim_turns(void *self, struct mr_claim *t,
	struct mr_error *err);
/* queue.c */
int sq_queue_settle(void *self, const struct mr_fate *fate, size_t n,
	struct mr_commit *report, struct mr_error *err);
int sq_queue_list(void *self, int64_t id,
	int (*each)(void *arg, const struct mr_queue_item *i), void *arg,
	struct mr_error *err);
int sq_queue_retry(void *self, int64_t id, uint32_t *n, struct mr_error *err);
int sq_queue_hold(void *self, int64_t id, int hold, struct mr_error *err);
int sq_queue_unclaim(void *self, const char *prefix, struct mr_error *err);
int sq_queue_change(void *self, const struct mr_queue_change *c, uint32_t *n,
	struct mr_error *err);
/* watch.c */
int sq_watch(void *self, void (*changed)(void *arg,
	const struct mr_change *c), void *arg, struct mr_error *err);
/* directory.c */
int sq_domain_add(void *self, const char *domain, struct mr_error *err);
int sq_domain_list(void *self, int (*each)(void *arg, const char *domain),
	void *arg, struct mr_error *err);
int sq_account_add(void *self, const char *name, const char *password,
	struct mr_error *err);
int sq_account_set(void *self, const char *name, const char *password,
	int64_t quota, int disabled, struct mr_error *err);
int sq_account_remove(void *self, const char *name, struct mr_error *err);
int sq_account_list(void *self,
	int (*each)(void *arg, const struct mr_account *a), void *arg,
	struct mr_error *err);
int sq_account_number(void *self, const char *account, int64_t *out,
	struct mr_error *err);
int sq_alias_add(void *self, const char *address, const char *target,
	struct mr_error *err);
int sq_alias_remove(void *self, const char *address, const char *target,
	struct mr_error *err);
int sq_alias_list(void *self,
	int (*each)(void *arg, const struct mr_alias *a), void *arg,
	struct mr_error *err);
int sq_list_set(void *self, const char *address, const char *owner,
	struct mr_error *err);
int sq_list_list(void *self,
	int (*each)(void *arg, const struct mr_mailing_list *l), void *arg,
	struct mr_error *err);
int sq_figures(void *self, int64_t *messages, int64_t *queued, int64_t *held,
	int64_t *bytes, struct mr_error *err);
/* credential.c */
int sq_app_password_add(void *self, const char *account, const char *name,
	const char *scopes, const char *password, struct mr_error *err);
int sq_app_password_remove(void *self, const char *account, const char *name,
	struct mr_error *err);
int sq_app_password_list(void *self, const char *account,
	int (*each)(void *arg, const struct mr_app_password *p), void *arg,
	struct mr_error *err);
/* Keys of the account's own password, which is right. */
int sq_scram_set(struct sq *q, const char *account, const char *password,
	struct mr_error *err);
bool sq_app_password_fits(struct sq *q, const char *account,
	struct mr_str password, const char *service, bool *disabled);
enum mr_auth_answer sq_scram(void *self, struct mr_str login,
	const char *service, int is_sha256, struct mr_scram *out);
void sq_scram_used(void *self, const char *account,
	const struct mr_scram_key *key);
/* state.c */
int sq_state_list(void *self, const char *space, const char *prefix,
	int64_t now_ms, int (*each)(void *arg, const char *key,
	struct mr_str value), void *arg, struct mr_error *err);
int sq_state_get(void *self, const char *space, const char *key,
	int64_t now_ms, void (*found)(void *arg, struct mr_str value),
	void *arg, struct mr_error *err);
int sq_state_set(void *self, const char *space, const char *key,
	struct mr_str value, int64_t expires_ms, struct mr_error *err);
int sq_state_add(void *self, const char *space, const char *key, int64_t by,
	int64_t now_ms, int64_t expires_ms, int64_t *sum,
	struct mr_error *err);
/* acl.c */
int sq_acl_list(void *self, int64_t mailbox,
	int (*each)(void *arg, const char *identifier, uint32_t rights),
	void *arg, struct mr_error *err);
int sq_acl_set(void *self, int64_t mailbox, const char *identifier,
	uint32_t op, uint32_t rights, struct mr_error *err);
int sq_acl_rights(void *self, int64_t mailbox, const char *account,
	uint32_t *rights, struct mr_error *err);
int sq_acl_shared(void *self, const char *account,
	int (*each)(void *arg, const char *owner, const struct mr_mailbox *m,
		uint32_t rights), void *arg, struct mr_error *err);
/* metadata.c */
int sq_metadata_get(void *self, const char *account, int64_t mailbox,
	int (*each)(void *arg, const char *name, struct mr_str value),
	void *arg, struct mr_error *err);
int sq_metadata_set(void *self, const char *account, int64_t mailbox,
	const struct mr_metadata *entry, size_t n, uint32_t most,
	struct mr_error *err);
int sq_metadata_changed(void *self, const char *account, int64_t since,
	int (*each)(void *arg, int64_t mailbox, const char *name), void *arg,
	int64_t *now, struct mr_error *err);
/* Inside a change: this annotation is another one now. account: that of a
 * private one. */
int sq_metadata_note(struct sq_tx *tx, int64_t mailbox, int64_t account,
	const char *name, struct mr_error *err);
/* ledger.c */
int sq_ledger(void *self, const struct mr_ledger_query *q,
	int (*each)(void *arg, const struct mr_ledger_row *row), void *arg,
	struct mr_error *err);
/* auth.c: life of sq->logins. */
struct sq_logins *sq_logins_new(void);
void sq_logins_free(struct sq_logins *l);

/* schema.c: brings the database to the version of this release, step by
 * step; refuses one that is newer. The write lock is held. */
int sq_schema(sqlite3 *db, struct mr_error *err);

/* index.c, index_find.c */
int sq_index_todo(void *self, struct mr_index_todo *t, struct mr_error *err);
int sq_index_put(void *self, const struct mr_index_todo *t,
	const struct mr_index_text *text, size_t n, struct mr_error *err);
int sq_index_drop(void *self, const char *account, struct mr_error *err);
int sq_index_figures(void *self, struct mr_index_figures *out,
	struct mr_error *err);
int sq_index_open(void *self, int64_t version, void **index,
	struct mr_error *err);
int sq_index_look(void *index, int64_t message, struct mr_str needle,
	struct mr_index_maybe *out, struct mr_error *err);
int sq_index_text(void *index, int64_t message, enum mr_index_space space,
	struct mr_str *out,
	struct mr_error *err);
void sq_index_close(void *index);

#endif
