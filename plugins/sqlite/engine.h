/*
 * engine.h - what the engine's files share beyond sq.h: connections, the
 * writer's inside, segments, hints and the collector.
 */
#ifndef SQLITE_ENGINE_H
#define SQLITE_ENGINE_H

#include <pthread.h>

#include "sq.h"

#define SQ_FILE "mailroom.db"

/* Zeroed; a small allocation that fails ends the process. */
void *sq_alloc(size_t size);
char *sq_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int64_t sq_clock_wall(void);
int64_t sq_clock_mono(void);
/* The monotonic clock `ms` from now, for condition variables of sq_cond. */
struct timespec sq_from_now(int64_t ms);
void sq_cond_init(pthread_cond_t *c);
/* A thread with a small stack that takes no signals. */
int sq_thread(pthread_t *t, void *(*run)(void *), void *arg,
	struct mr_error *err);

/* ------------------------------------------------------- connections */

struct sq_slot {
	const char *sql;
	sqlite3_stmt *st;
};

struct sq_db {
	sqlite3 *handle;
	struct sq_slot *slot;		/* open-addressed, by address */
	unsigned n_slot, n_used;
	struct sq_db *next;		/* pool.c */
	int64_t idle_since;
	void *unpacker;			/* index_chunk.c */
};

enum sq_mode { SQ_WRITES, SQ_READS };

struct sq_db *sq_db_open(const char *folder, enum sq_mode mode,
	struct mr_error *err);
void sq_db_close(struct sq_db *db);
/* Resets what is still in the middle of its rows. */
void sq_db_rest(struct sq_db *db);

struct sq_pool *sq_pool_new(void);
void sq_pool_free(struct sq_pool *p);
/* Closes connections that have been idle for a while. */
void sq_pool_trim(struct sq_pool *p);

/* ------------------------------------------------- plain addresses */

struct sq_plain *sq_plain_new(const char *folder, struct mr_error *err);
void sq_plain_free(struct sq_plain *p);
/* The directory is about to change, or has changed. */
void sq_plain_forget(struct sq_plain *p);
/* Taken before the directory is asked, given to note with what it said. */
uint64_t sq_plain_count(const struct sq_plain *p);
bool sq_plain_has(struct sq_plain *p, const char *name);
void sq_plain_note(struct sq_plain *p, const char *name, uint64_t count);

/* ------------------------------------------------------------ writer */

/* flock on FOLDER/writer.lock; the kernel gives it back if we die. */
int sq_lock_open(const char *folder, struct mr_error *err);
int sq_lock_take(int lock, struct mr_error *err);
void sq_lock_give(int lock);

/* Takes db, the writing connection. Its thread starts with the first
 * change. */
struct sq_writer *sq_writer_new(struct sq *s, struct sq_db *db, int lock);
void sq_writer_free(struct sq_writer *w);
/* As sq_write, without a savepoint. A change that fails after it has written
 * takes the whole transaction with it, so `run` checks before it writes, or
 * calls sq_tx_guard before the first write that may be taken back. */
int sq_write_bare(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), void *arg, struct mr_error *err);
int sq_tx_guard(struct sq_tx *tx, struct mr_error *err);
/* The next two are for collect.c, on the writing thread outside a transaction. */
int sq_write_now(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), void *arg, struct mr_error *err);
struct sq_db *sq_writer_db(struct sq *s);

/* keeper.c: the checkpoint thread. pages: length of the log. */
struct sq_keeper *sq_keeper_new(struct sq *s);
void sq_keeper_free(struct sq_keeper *k);
void sq_keeper_note(struct sq_keeper *k, int pages);

/* known.c: mailboxes that the writer met, by account and name. */
struct sq_known *sq_known_new(void);
void sq_known_free(struct sq_known *k);
void sq_known_forget(struct sq_known *k);
struct sq_known *sq_tx_known(struct sq_tx *tx);
struct sq_place {
	int64_t account, mailbox;
	bool is_bounded;	/* has a quota */
};
bool sq_known_find(const struct sq_known *k, const char *account,
	const char *name, struct sq_place *out);
void sq_known_keep(struct sq_known *k, const char *account, const char *name,
	const struct sq_place *p);

/* ---------------------------------------------------------- segments */

struct sq_segments *sq_segments_new(struct sq *s, struct mr_error *err);
void sq_segments_free(struct sq_segments *all);
/* Appends the pieces. out->held keeps the file from being collected until
 * sq_segment_let_go. */
int sq_segment_append(struct sq_segments *all, const struct mr_commit *c,
	struct sq_spooled *out, struct mr_error *err);
/* Returns when a flush that began after this call has ended: all that was
 * appended before is on disk. */
int sq_segment_flush(struct sq_segment *g, struct mr_error *err);
/* unwanted: no row will point there. */
void sq_segment_let_go(struct sq_segment *held, int64_t offset,
	uint64_t length, bool unwanted);
/* Copies the bytes of the pieces to out. */
int sq_pieces_read(const struct mr_piece *piece, size_t n, uint8_t *out,
	struct mr_error *err);
/* A descriptor with a shared (or exclusive) lock on the range, -1: errno;
 * EAGAIN when somebody else has locked it. */
int sq_segment_open(struct sq_segments *all, const char *name, int64_t offset,
	uint64_t length, bool exclusive);
void sq_segment_punch(int fd, int64_t offset, uint64_t length);
/* True if no process appends to the file; then nobody will: *fd holds its
 * lock. */
bool sq_segment_is_left(struct sq_segments *all, const char *name, int *fd);
int sq_segments_folder(const struct sq_segments *all);

/* INVALID unless the placements are whole. */
int sq_commit_check(const struct mr_commit *c, struct mr_error *err);

/* ----------------------------------------------------------- the queue */

#define SQ_QUEUE_COLUMNS "id, message, length, state, attempts, created_ms," \
	" next_ms, expire_ms, trace, sender, rcpt, next_hop, dsn, reply"
/* A row of these; its texts live until the next step. */
struct mr_queue_item sq_queue_item(sqlite3_stmt *st);

/* What a claim starts from: the groups of due rows, in the order in which
 * they are wanted. item has room for as many as the claim may take. */
struct sq_seed {
	int64_t message;
	char *next_hop;
};
struct sq_seeds {
	struct sq_seed *item;
	size_t n;
};
void sq_seeds_free(struct sq_seeds *s);		/* what it lists */
/* flow.c */
int sq_flow_seeds(struct sq *s, struct mr_claim *c, struct sq_seeds *out,
	struct mr_error *err);

/* ----------------------------------------------------- hints, removal */

struct sq_watch *sq_watch_new(struct sq *s, struct mr_error *err);
void sq_watch_free(struct sq_watch *w);
/* After a commit, from the writing thread: n may be 0. Sorts the changes. */
void sq_watch_tell(struct sq_watch *w, struct mr_change *change, size_t n);
/* Tries again to send a hint that could not be sent; true: still not. */
bool sq_watch_owes(struct sq_watch *w);

/* One round; returns ms until the next is worth while. *sweep_at: when all
 * segments are looked at next, by the monotonic clock. Writing thread. */
int64_t sq_collect(struct sq *s, int64_t *sweep_at);
int64_t sq_collect_pause(const struct sq *s);
/* vacuum.c: when much of the database is unused, a little of that goes back
 * to the disk; true: there is more. Writing thread. */
bool sq_vacuum_some(struct sq *s);
/* ledger.c: old events and vanished UIDs go, now and then. Writing thread. */
void sq_forget(struct sq *s);

/* ------------------------------------------------- the search index */

/* Takes away the index's files where it is turned off. */
struct sq_index *sq_index_new(struct sq *s);
void sq_index_free(struct sq_index *i);
/* What a connection to it has besides. */
void sq_unpacker_free(void *unpacker);

#endif
