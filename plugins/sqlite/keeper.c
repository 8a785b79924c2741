/*
 * keeper.c - moves the write-ahead log into the database, on a thread and a
 * connection of its own, so that no commit waits for it.
 *
 * A passive checkpoint copies beside the writers. They write on meanwhile,
 * so it never sees the log's end; a second one, which holds the writers off
 * for the few pages that came since, lets the log start anew. Readers with an
 * old snapshot prevent that for a while: then the log grows, and the next try
 * waits longer for them. The thread starts when a log is worth it.
 *
 * k->lock guards the fields below it.
 */
#include "engine.h"

#include <stdlib.h>
#include <unistd.h>

#define ENOUGH 10000		/* pages in the log: copy now */
#define LITTLE 1000		/* not worth it even when idle */
#define IDLE_MS 5000

struct sq_keeper {
	struct sq *sq;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int pages;		/* length of the log */
	int due;		/* copy at that length */
	bool has_thread, is_stopping;
	bool is_asleep;		/* until the log is worth a look */
	pthread_t thread;
};

/* ------------------------------------------------------- checkpoints */

/* Log pages that are still to be copied or kept for readers; 0: all done. */
static int
checkpoint(struct sq_db *db, int mode)
{
	int length = 0, copied = 0;
	int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, &length,
		&copied);

	if (code == SQLITE_OK && copied >= length &&
		(mode != SQLITE_CHECKPOINT_PASSIVE || length < ENOUGH))
		return 0;
	return length > 0 ? length : ENOUGH;
}

/* The lock keeps other processes' writers in its queue instead of in
 * SQLite's retries. */
static int
start_log_anew(struct sq_db *db, int lock, int length)
{
	int left;

	sqlite3_busy_timeout(db->handle, length > 4 * ENOUGH ? 1000 : 50);
	if (sq_lock_take(lock, NULL) != MR_STORE_OK)
		return length;
	left = checkpoint(db, SQLITE_CHECKPOINT_RESTART);
	sq_lock_give(lock);
	return left;
}

static int
copy_log(struct sq_db *db, int lock, bool is_idle)
{
	int left = checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);

	return left && !is_idle ? start_log_anew(db, lock, left) : left;
}

/* --------------------------------------------------------- the thread */

/* Waits for something to do; true: stop. *is_idle: only because it is quiet.
 * k->lock is held. */
static bool
wait_for_work(struct sq_keeper *k, bool *is_idle)
{
	*is_idle = false;
	while (!k->is_stopping && k->pages < k->due) {
		struct timespec until = sq_from_now(IDLE_MS);
		int before = k->pages;

		k->is_asleep = before < LITTLE;
		if (k->is_asleep)
			pthread_cond_wait(&k->wake, &k->lock);
		else
			pthread_cond_timedwait(&k->wake, &k->lock, &until);
		k->is_asleep = false;
		if (before >= LITTLE && k->pages == before) {
			*is_idle = true;
			break;
		}
	}
	return k->is_stopping;
}

static void
keep(struct sq_keeper *k, struct sq_db *db, int lock)
{
	bool is_idle;
	int left;

	pthread_mutex_lock(&k->lock);
	while (!wait_for_work(k, &is_idle)) {
		pthread_mutex_unlock(&k->lock);
		left = copy_log(db, lock, is_idle);
		pthread_mutex_lock(&k->lock);
		k->due = left ? left + ENOUGH / 2 : ENOUGH;
		k->pages = 0;	/* the next commit says how long it is */
	}
	pthread_mutex_unlock(&k->lock);
}

static void *
run_keeper(void *arg)
{
	struct sq_keeper *k = arg;
	struct sq_db *db = sq_db_open(k->sq->path, SQ_WRITES, NULL);
	int lock = sq_lock_open(k->sq->path, NULL);

	if (db && lock >= 0)
		keep(k, db, lock);
	if (lock >= 0)
		close(lock);
	sq_db_close(db);
	return NULL;
}

/* ---------------------------------------------------------------- life */

void
sq_keeper_note(struct sq_keeper *k, int pages)
{
	pthread_mutex_lock(&k->lock);
	k->pages = pages;
	if (!k->has_thread && pages >= LITTLE)
		k->has_thread = sq_thread(&k->thread, run_keeper, k, NULL) ==
			MR_STORE_OK;
	if (pages >= k->due || (k->is_asleep && pages >= LITTLE))
		pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
}

struct sq_keeper *
sq_keeper_new(struct sq *s)
{
	struct sq_keeper *k = sq_alloc(sizeof *k);

	k->sq = s;
	k->due = ENOUGH;
	pthread_mutex_init(&k->lock, NULL);
	sq_cond_init(&k->wake);
	return k;
}

void
sq_keeper_free(struct sq_keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->is_stopping = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	if (k->has_thread)
		pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->lock);
	free(k);
}
