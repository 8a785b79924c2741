/*
 * writer.c - the one writing thread of a process, and group commit.
 *
 * A change is a ticket on its caller's stack, which sleeps on the ticket's
 * semaphore. The writer takes all tickets that wait, holds the lock between
 * processes, and runs them in one transaction; while that is flushed the next
 * tickets gather. So one flush serves as many changes as arrived during the
 * one before, without any timer.
 *
 * Savepoints cost copies of pages. A change gets one only where others share
 * its transaction; a bare change (commit.c) asks for it itself when it needs
 * one. When a bare change fails after it has written, the disk or the database
 * is at fault, and the whole transaction fails with it.
 *
 * w->lock guards the list of tickets and the flags; all else is the writing
 * thread's.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define GROUP_MOST 1000
#define REST_MS 10000		/* quiet that long: caches are given back */
#define OWING_MS 50		/* a hint that was not sent is tried again */
#define OVERDUE_MS 60000	/* collecting that late waits no more */
#define FIRST_SWEEP_MS 300000

struct ticket {
	struct ticket *next;
	int (*run)(struct sq_tx *tx, void *arg, struct mr_error *err);
	void *arg;
	struct mr_error *err;
	int code;
	bool is_bare;
	sem_t done;
};

struct tx {
	struct sq_tx out;	/* first: what changes are given */
	struct sq_known *known;
	struct mr_change *change;
	size_t n_change, room;
	bool is_alone;		/* the transaction is this change's only */
	bool is_guarded;	/* it has a savepoint */
	bool is_doomed;
};

struct sq_writer {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct ticket *first, **end;
	bool has_thread, is_stopping, is_asleep;
	pthread_t thread;
	int process_lock;
	struct sq_db *db;
	struct sq_keeper *keeper;
	struct tx tx;
	int64_t version;	/* of the database, when `known` was right */
};

/* ---------------------------------------------- lock between processes */

int
sq_lock_open(const char *folder, struct mr_error *err)
{
	char *path = sq_printf("%s/writer.lock", folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		sq_fail(err, MR_STORE_FAILED, "cannot open %s: %s", path,
			strerror(errno));
	free(path);
	return fd;
}

int
sq_lock_take(int lock, struct mr_error *err)
{
	while (flock(lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return sq_fail(err, MR_STORE_FAILED, "locking "
				"writer.lock: %s", strerror(errno));
	return MR_STORE_OK;
}

void
sq_lock_give(int lock)
{
	flock(lock, LOCK_UN);
}

/* ----------------------------------------------------- inside a change */

static struct tx *
inside(struct sq_tx *tx)
{
	return (struct tx *)tx;
}

struct sq_known *
sq_tx_known(struct sq_tx *tx)
{
	return inside(tx)->known;
}

void
sq_changed(struct sq_tx *tx, enum mr_change_kind kind, int64_t mailbox,
	uint64_t modseq)
{
	struct tx *t = inside(tx);

	if (t->n_change == t->room) {
		t->room = t->room ? t->room * 2 : 64;
		t->change = realloc(t->change, t->room * sizeof *t->change);
		if (!t->change)
			abort();
	}
	t->change[t->n_change++] = (struct mr_change){.kind = kind,
		.id = mailbox, .modseq = modseq};
}

int
sq_tx_guard(struct sq_tx *tx, struct mr_error *err)
{
	struct tx *t = inside(tx);
	int code;

	if (t->is_alone || t->is_guarded)
		return MR_STORE_OK;
	code = sq_run(tx->db, err, "SAVEPOINT change", "");
	t->is_guarded = code == MR_STORE_OK;
	return code;
}

/* -------------------------------------------------- one transaction */

/* Takes back what a failed change did. */
static void
undo(struct tx *t, int changes_before)
{
	sqlite3 *h = t->out.db->handle;

	sq_db_rest(t->out.db);
	sq_known_forget(t->known);
	if (sqlite3_get_autocommit(h)) {
		t->is_doomed = true;	/* SQLite has rolled back by itself */
		return;
	}
	if (t->is_guarded)
		t->is_doomed = sq_run(t->out.db, NULL,
				"ROLLBACK TO change", "") != MR_STORE_OK ||
			sq_run(t->out.db, NULL, "RELEASE change", "") !=
				MR_STORE_OK;
	else if (t->is_alone || sqlite3_total_changes(h) != changes_before)
		t->is_doomed = true;
}

static void
run_ticket(struct tx *t, struct ticket *k)
{
	int before = sqlite3_total_changes(t->out.db->handle);
	size_t told = t->n_change;

	t->is_guarded = false;
	k->code = k->is_bare ? MR_STORE_OK : sq_tx_guard(&t->out, k->err);
	if (!k->is_bare)	/* it may rename or remove mailboxes */
		sq_known_forget(t->known);
	if (k->code == MR_STORE_OK)
		k->code = k->run(&t->out, k->arg, k->err);
	if (k->code == MR_STORE_OK && t->is_guarded)
		k->code = sq_run(t->out.db, k->err, "RELEASE change", "");
	if (k->code == MR_STORE_OK)
		return;
	t->n_change = told;
	undo(t, before);
}

/* What was known of mailboxes holds while no other process has written. */
static int
check_known(struct sq_writer *w, struct mr_error *err)
{
	int64_t version;
	int code = sq_number(w->db, err, &version, "PRAGMA data_version", "");

	if (code == MR_STORE_OK && version != w->version) {
		sq_known_forget(w->tx.known);
		w->version = version;
	}
	return code;
}

static int
begin(struct sq_writer *w, struct mr_error *err)
{
	struct tx *t = &w->tx;
	int code = sq_lock_take(w->process_lock, err);

	if (code != MR_STORE_OK)
		return code;
	t->n_change = 0;
	t->is_doomed = false;
	t->out.db = w->db;
	t->out.now_ms = sq_clock_wall();
	code = sq_run(w->db, err, "BEGIN IMMEDIATE", "");
	return code == MR_STORE_OK ? check_known(w, err) : code;
}

static void
roll_back(struct sq_writer *w)
{
	sq_db_rest(w->db);
	if (!sqlite3_get_autocommit(w->db->handle))
		sq_run(w->db, NULL, "ROLLBACK", "");
	sq_known_forget(w->tx.known);
}

/* All tickets get their codes. The tickets are not touched by anybody else
 * until they are posted. */
static void
transact(struct sq_writer *w, struct ticket *list)
{
	struct mr_error err = {{0}};
	struct ticket *k;
	int code = begin(w, &err);

	w->tx.is_alone = !list->next;
	for (k = list; k && code == MR_STORE_OK; k = k->next) {
		run_ticket(&w->tx, k);
		if (!w->tx.is_doomed)
			continue;
		code = k->code;
		if (k->err)
			err = *k->err;
	}
	sq_db_rest(w->db);
	if (code == MR_STORE_OK)
		code = sq_run(w->db, &err, "COMMIT", "");
	if (code != MR_STORE_OK)
		roll_back(w);
	sq_lock_give(w->process_lock);
	for (k = list; k && code != MR_STORE_OK; k = k->next) {
		if (k->code != MR_STORE_OK)
			continue;	/* it has a reason of its own */
		k->code = code;
		if (k->err)
			*k->err = err;
	}
	if (code != MR_STORE_OK)
		w->tx.n_change = 0;
}

static void
post_all(struct ticket *list)
{
	struct ticket *next;

	for (; list; list = next) {
		next = list->next;	/* the ticket is gone after this */
		sem_post(&list->done);
	}
}

/* ---------------------------------------------------------- the thread */

/* Up to GROUP_MOST tickets; w->lock is held. */
static struct ticket *
take_tickets(struct sq_writer *w)
{
	struct ticket *list = w->first, **at = &w->first;
	unsigned n = 0;

	while (*at && n++ < GROUP_MOST)
		at = &(*at)->next;
	w->first = *at;
	*at = NULL;
	if (!w->first)
		w->end = &w->first;
	return list;
}

static void
work(struct sq_writer *w, struct ticket *list)
{
	struct tx *t = &w->tx;

	transact(w, list);
	post_all(list);
	sq_watch_tell(t->out.sq->watch, t->change, t->n_change);
}

/* When what is done: by the monotonic clock. */
struct chores {
	int64_t collect_at, sweep_at, quiet_since;
	bool is_rested;
};

/* Pages of the cache lie scattered; the C library gives them back only when
 * it is told to. */
static void
rest(struct sq_writer *w)
{
	sqlite3_db_release_memory(w->db->handle);
	sq_pool_trim(w->tx.out.sq->pool);
	malloc_trim(0);
}

/* Nothing to write: removed messages are collected; later caches are given
 * back. Returns ms until something of this is due. */
static int64_t
idle_work(struct sq_writer *w, struct chores *c)
{
	struct sq *s = w->tx.out.sq;
	int64_t now = sq_clock_mono(), left;

	if (now >= c->collect_at) {
		c->collect_at = now + sq_collect(s, &c->sweep_at);
		now = sq_clock_mono();
	}
	left = c->collect_at - now;
	if (sq_watch_owes(s->watch))
		return left < OWING_MS ? left : OWING_MS;
	if (now - c->quiet_since < REST_MS)
		return left < REST_MS ? left : REST_MS;
	if (!c->is_rested)
		rest(w);
	c->is_rested = true;
	return left;
}

/* w->lock is held, and given up meanwhile. */
static void
sleep_until_ticket(struct sq_writer *w, struct chores *c)
{
	struct timespec until;
	int64_t left;

	pthread_mutex_unlock(&w->lock);
	left = idle_work(w, c);
	until = sq_from_now(left);
	pthread_mutex_lock(&w->lock);
	if (w->first || w->is_stopping || left <= 0)
		return;
	w->is_asleep = true;
	pthread_cond_timedwait(&w->wake, &w->lock, &until);
	w->is_asleep = false;
}

static void *
run_writer(void *arg)
{
	struct sq_writer *w = arg;
	struct chores c = {.quiet_since = sq_clock_mono()};
	struct ticket *list;

	c.collect_at = c.quiet_since + sq_collect_pause(w->tx.out.sq);
	c.sweep_at = c.quiet_since + FIRST_SWEEP_MS;
	pthread_mutex_lock(&w->lock);
	while (w->first || !w->is_stopping) {
		list = take_tickets(w);
		if (!list) {
			sleep_until_ticket(w, &c);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		work(w, list);
		c.quiet_since = sq_clock_mono();
		c.is_rested = false;
		if (c.quiet_since > c.collect_at + OVERDUE_MS)
			idle_work(w, &c);	/* it is never quiet here */
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ----------------------------------------------------------- for callers */

static int
hand_in(struct sq_writer *w, struct ticket *k)
{
	bool wake;

	pthread_mutex_lock(&w->lock);
	if (!w->has_thread) {
		if (sq_thread(&w->thread, run_writer, w, k->err) !=
			MR_STORE_OK) {
			pthread_mutex_unlock(&w->lock);
			return MR_STORE_FAILED;
		}
		w->has_thread = true;
	}
	*w->end = k;
	w->end = &k->next;
	wake = w->is_asleep;
	pthread_mutex_unlock(&w->lock);
	if (wake)
		pthread_cond_signal(&w->wake);
	while (sem_wait(&k->done) < 0)
		;		/* a signal handler ran */
	return k->code;
}

static int
write_ticket(struct sq *s, struct ticket *k)
{
	int code;

	sem_init(&k->done, 0, 0);
	code = hand_in(s->writer, k);
	sem_destroy(&k->done);
	return code;
}

int
sq_write(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), void *arg, struct mr_error *err)
{
	struct ticket k = {.run = run, .arg = arg, .err = err};

	return write_ticket(s, &k);
}

int
sq_write_bare(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), void *arg, struct mr_error *err)
{
	struct ticket k = {.run = run, .arg = arg, .err = err,
		.is_bare = true};

	return write_ticket(s, &k);
}

int
sq_write_now(struct sq *s, int (*run)(struct sq_tx *tx, void *arg,
	struct mr_error *err), void *arg, struct mr_error *err)
{
	struct ticket k = {.run = run, .arg = arg, .err = err};

	transact(s->writer, &k);
	sq_watch_tell(s->watch, s->writer->tx.change, s->writer->tx.n_change);
	return k.code;
}

struct sq_db *
sq_writer_db(struct sq *s)
{
	return s->writer->db;
}

/* ---------------------------------------------------------------- life */

static int
note_pages(void *arg, sqlite3 *h, const char *name, int pages)
{
	struct sq_writer *w = arg;

	(void)h;
	(void)name;
	sq_keeper_note(w->keeper, pages);
	return SQLITE_OK;
}

struct sq_writer *
sq_writer_new(struct sq *s, struct sq_db *db, int lock)
{
	struct sq_writer *w = sq_alloc(sizeof *w);

	pthread_mutex_init(&w->lock, NULL);
	sq_cond_init(&w->wake);
	w->end = &w->first;
	w->db = db;
	w->process_lock = lock;
	w->tx.out.sq = s;
	w->tx.known = sq_known_new();
	w->keeper = sq_keeper_new(s);
	sqlite3_wal_hook(db->handle, note_pages, w);
	return w;
}

void
sq_writer_free(struct sq_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->has_thread)
		pthread_join(w->thread, NULL);
	sq_keeper_free(w->keeper);
	sq_known_free(w->tx.known);
	sq_db_close(w->db);
	close(w->process_lock);
	free(w->tx.change);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
