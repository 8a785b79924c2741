/*
 * index.c - keeping the search index: what is to be put (index_put.c), and
 * taking out what is gone. All of it after the commits of the messages, from
 * a thread of the core, by a connection of its own.
 *
 * fact "mark": all ids up to it are spoken for by chunks or gaps. A message
 * that is removed is noted in the store's own database (unindexed) by the
 * transaction that removes it, and the note goes once its text has.
 *
 * i->lock guards the connection.
 */
#include "index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "index.db"
#define GONE_MOST 500		/* removed from the index at a time */
#define PAGE 16384

struct sq_index {
	pthread_mutex_t lock;
	struct sq_db *db;	/* NULL: not open yet */
};

static const char *const setup[] = {
	"PRAGMA page_size = 16384", "PRAGMA journal_mode = WAL",
	"PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 500",
	"PRAGMA journal_size_limit = 16777216", "PRAGMA cache_size = -2048",
	"PRAGMA secure_delete = OFF",
	"CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY,"
	" value INTEGER NOT NULL) WITHOUT ROWID",
	"CREATE TABLE IF NOT EXISTS head (first INTEGER PRIMARY KEY,"
	" last INTEGER NOT NULL, n INTEGER NOT NULL, size INTEGER NOT NULL,"
	" weight INTEGER NOT NULL, bytes BLOB NOT NULL)",
	"CREATE TABLE IF NOT EXISTS rest (first INTEGER PRIMARY KEY,"
	" last INTEGER NOT NULL, n INTEGER NOT NULL, size INTEGER NOT NULL,"
	" weight INTEGER NOT NULL, bytes BLOB NOT NULL)",
	"DROP TABLE IF EXISTS chunk",	/* of the first version */
	"CREATE TABLE IF NOT EXISTS block (first INTEGER PRIMARY KEY,"
	" last INTEGER NOT NULL, number INTEGER NOT NULL UNIQUE,"
	" n INTEGER NOT NULL, dead INTEGER NOT NULL, ids BLOB NOT NULL,"
	" open BLOB NOT NULL)",
	"CREATE TABLE IF NOT EXISTS posting (key INTEGER PRIMARY KEY,"
	" bytes BLOB NOT NULL)",
	"CREATE TABLE IF NOT EXISTS gap (first INTEGER PRIMARY KEY,"
	" last INTEGER NOT NULL)",
	NULL,
};

/* ----------------------------------------------------------- connections */

static void
remove_files(struct sq *s)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	size_t i;

	for (i = 0; i < sizeof ends / sizeof *ends; i++) {
		char *path = sq_printf("%s/" FILE_NAME "%s", s->path, ends[i]);

		unlink(path);
		free(path);
	}
}

static int
open_file(struct sq *s, struct sq_db **out)
{
	struct sq_db *db = sq_alloc(sizeof *db);
	char *path = sq_printf("%s/" FILE_NAME, s->path);
	int code = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE |
		SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	size_t i;

	free(path);
	if (code == SQLITE_OK)
		sqlite3_busy_timeout(db->handle, 10000);
	for (i = 0; setup[i] && code == SQLITE_OK; i++)
		code = sqlite3_exec(db->handle, setup[i], NULL, NULL, NULL);
	if (code == SQLITE_OK) {
		*out = db;
		return code;
	}
	sq_db_close(db);
	return code;
}

/* A file that is no database is a lost index, no more. */
struct sq_db *
sq_index_db(struct sq *s, struct mr_error *err)
{
	struct sq_db *db = NULL;
	int code = open_file(s, &db);

	if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
		remove_files(s);
		code = open_file(s, &db);
	}
	if (code != SQLITE_OK)
		sq_fail(err, MR_STORE_FAILED, "opening the search index: %s",
			sqlite3_errstr(code));
	return db;
}

struct sq_index *
sq_index_new(struct sq *s)
{
	struct sq_index *i = sq_alloc(sizeof *i);

	pthread_mutex_init(&i->lock, NULL);
	if (!s->index)
		remove_files(s);
	return i;
}

void
sq_index_free(struct sq_index *i)
{
	if (!i)
		return;
	sq_db_close(i->db);
	pthread_mutex_destroy(&i->lock);
	free(i);
}

int
sq_index_change(struct sq *s, int (*run)(struct sq *s, struct sq_db *db,
	void *arg, struct mr_error *err), void *arg, struct mr_error *err)
{
	struct sq_index *i = s->filling;
	int code = MR_STORE_FAILED;

	if (!s->index)
		return sq_fail(err, MR_STORE_MISSING, "the search index is "
			"turned off");
	pthread_mutex_lock(&i->lock);
	if (!i->db)
		i->db = sq_index_db(s, err);
	if (i->db)
		code = sq_run(i->db, err, "BEGIN IMMEDIATE", "");
	if (i->db && code == MR_STORE_OK) {
		code = run(s, i->db, arg, err);
		sq_db_rest(i->db);
		if (code == MR_STORE_OK)
			code = sq_run(i->db, err, "COMMIT", "");
		if (!sqlite3_get_autocommit(i->db->handle))
			sq_run(i->db, NULL, "ROLLBACK", "");
	}
	if (code == MR_STORE_FAILED) {	/* opened anew the next time */
		sq_db_close(i->db);
		i->db = NULL;
	}
	pthread_mutex_unlock(&i->lock);
	return code;
}

/* ----------------------------------------------------------------- facts */

int
sq_index_fact(struct sq_db *db, const char *name, int64_t *value,
	struct mr_error *err)
{
	int code = sq_number(db, err, value, "SELECT value FROM fact"
		" WHERE name = ?", "s", name);

	if (code == MR_STORE_MISSING)
		*value = 0;
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

int
sq_index_set_fact(struct sq_db *db, const char *name, int64_t value,
	struct mr_error *err)
{
	return sq_run(db, err, "INSERT OR REPLACE INTO fact VALUES (?, ?)",
		"si", name, value);
}

static int
forget_all(struct sq_db *db, struct mr_error *err)
{
	int code = sq_run(db, err, "DELETE FROM posting", "");

	if (code == MR_STORE_OK)
		code = sq_chunk_drop(db, 0, INT64_MAX, err);
	if (code == MR_STORE_OK)
		code = sq_run(db, err, "DELETE FROM block", "");
	if (code == MR_STORE_OK)
		code = sq_run(db, err, "DELETE FROM gap", "");
	return code == MR_STORE_OK ? sq_index_set_fact(db, "mark", 0, err) :
		code;
}

/* ------------------------------------------------------------------ gone */

struct gone {
	enum mr_index_space space;	/* that is being looked at */
	int64_t id[GONE_MOST];
	size_t n;
};

/* Of the ids, those of one chunk. Returns how many that were, 0: it failed;
 * *n: how many texts went. */
static size_t
cut_chunk(struct sq *s, struct sq_db *db, const struct gone *g, size_t from,
	size_t *n, struct mr_error *err)
{
	const int64_t *id = g->id + from;
	struct sq_chunk c;
	int code = sq_chunk_read(db, g->space, id[0], &c, err);
	size_t i, used, kept = 0;

	*n = 0;
	if (code != MR_STORE_OK)
		return code == MR_STORE_MISSING;
	for (used = 0; from + used < g->n && id[used] <= c.last; used++)
		;
	for (i = 0; i < c.n; i++) {
		size_t k = 0;

		while (k < used && id[k] != c.text[i].id)
			k++;
		if (k == used)
			c.text[kept++] = c.text[i];
	}
	*n = c.n - kept;
	c.n = kept;
	if (*n > 0)
		code = sq_chunk_write(db, &c, s->index_packed, err);
	sq_chunk_free(&c);
	return code == MR_STORE_OK ? used : 0;
}

/* A block of which little is left is made anew, or goes. */
static int
note_dead(struct sq_db *db, int64_t id, size_t n, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "UPDATE block SET dead = dead + ?2"
		" WHERE first = (SELECT max(first) FROM block WHERE"
		" first <= ?1) AND last >= ?1 RETURNING first, last, n, dead");
	int64_t first = 0, last = 0;
	bool is_poor = false;
	int step, code;

	sq_bind(st, "ii", id, (int64_t)n);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW) {
		first = sqlite3_column_int64(st, 0);
		last = sqlite3_column_int64(st, 1);
		is_poor = sqlite3_column_int64(st, 3) * 2 >
			sqlite3_column_int64(st, 2);
	} else if (step != SQLITE_DONE) {
		return sq_fail_db(err, db, "counting in the index");
	}
	sqlite3_reset(st);
	if (!is_poor)
		return MR_STORE_OK;
	code = sq_block_drop(db, first, err);
	return code == MR_STORE_OK ? sq_block_build(db, first, last, err) :
		code;
}

static int
cut_space(struct sq *s, struct sq_db *db, const struct gone *g,
	struct mr_error *err)
{
	size_t i = 0, used, n;
	int code = MR_STORE_OK;

	while (i < g->n && code == MR_STORE_OK) {
		used = cut_chunk(s, db, g, i, &n, err);
		if (used == 0)
			return MR_STORE_FAILED;
		if (n > 0 && g->space == MR_INDEX_HEAD)
			code = note_dead(db, g->id[i], n, err);
		i += used;
	}
	return code;
}

/* Heads last: by them messages are counted. */
static int
cut_out(struct sq *s, struct sq_db *db, void *arg, struct mr_error *err)
{
	struct gone *g = arg;
	int code;

	g->space = MR_INDEX_REST;
	code = cut_space(s, db, g, err);
	g->space = MR_INDEX_HEAD;
	return code == MR_STORE_OK ? cut_space(s, db, g, err) : code;
}

static int
forget_notes(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct gone *g = arg;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < g->n && code == MR_STORE_OK; i++)
		code = sq_run(tx->db, err, "DELETE FROM unindexed"
			" WHERE message = ?", "i", g->id[i]);
	return code;
}

static int
find_gone(struct sq *s, struct gone *g, struct mr_error *err)
{
	struct sq_db *db = sq_read_one(s, err);
	sqlite3_stmt *st;
	int step;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT message FROM unindexed ORDER BY message"
		" LIMIT 500");
	while ((step = sqlite3_step(st)) == SQLITE_ROW && g->n < GONE_MOST)
		g->id[g->n++] = sqlite3_column_int64(st, 0);
	if (step != SQLITE_DONE && step != SQLITE_ROW)
		step = sq_fail_db(err, db, "reading what is gone");
	else
		step = MR_STORE_OK;
	sq_read_end(s, db);
	return step;
}

/* The notes go when the index's change is on disk. */
static int
take_out_gone(struct sq *s, struct mr_error *err)
{
	struct gone *g = sq_alloc(sizeof *g);
	int code = find_gone(s, g, err);

	if (code == MR_STORE_OK && g->n > 0) {
		code = sq_index_change(s, cut_out, g, err);
		if (code == MR_STORE_OK && s->filling->db)
			sqlite3_wal_checkpoint_v2(s->filling->db->handle,
				NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		if (code == MR_STORE_OK)
			code = sq_write(s, forget_notes, g, err);
	}
	free(g);
	return code;
}

/* ------------------------------------------------------------------ todo */

/* An index of other texts, or of messages that never were (somebody put an
 * older store in place), is dropped. */
static int
check_sense(struct sq *s, struct sq_db *db, int64_t version,
	struct mr_error *err)
{
	int64_t mark, known, newest = 0;
	struct sq_db *store = sq_read_one(s, err);
	int code = store ? sq_number(store, err, &newest, "SELECT seq FROM"
		" sqlite_sequence WHERE name = 'message'", "") :
		MR_STORE_FAILED;

	if (store)
		sq_read_end(s, store);
	if (code != MR_STORE_OK && code != MR_STORE_MISSING)
		return code;
	code = sq_index_fact(db, "mark", &mark, err);
	if (code == MR_STORE_OK)
		code = sq_index_fact(db, "version", &known, err);
	if (code != MR_STORE_OK || (known == version && mark <= newest))
		return code;
	code = forget_all(db, err);
	return code == MR_STORE_OK ? sq_index_set_fact(db, "version", version,
		err) : code;
}

static int
find_range(struct sq *s, struct sq_db *db, void *arg, struct mr_error *err)
{
	struct mr_index_todo *t = arg;
	int code = check_sense(s, db, SQ_INDEX_VERSION(t->version), err);

	t->last = INT64_MAX;
	if (code == MR_STORE_OK)
		code = sq_number(db, err, &t->first, "SELECT first FROM gap"
			" ORDER BY first LIMIT 1", "");
	if (code == MR_STORE_OK)
		return sq_number(db, err, &t->last, "SELECT last FROM gap"
			" WHERE first = ?", "i", t->first);
	if (code != MR_STORE_MISSING)
		return code;
	code = sq_index_fact(db, "mark", &t->first, err);
	t->first++;
	return code;
}

/* Shows the messages of the range, which becomes as short as they are many. */
static int
show_messages(struct sq *s, struct mr_index_todo *t, struct mr_error *err)
{
	struct sq_db *db = sq_read(s, err);
	sqlite3_stmt *st;
	int64_t id = t->first - 1;
	uint32_t n = 0;
	int step = SQLITE_DONE, stop = 0;

	if (!db)
		return MR_STORE_FAILED;
	st = sq_sql(db, "SELECT id, dead_ms IS NOT NULL FROM message"
		" WHERE id BETWEEN ? AND ? ORDER BY id");
	sq_bind(st, "ii", t->first, t->last);
	while (!stop && n < t->max &&
		(step = sqlite3_step(st)) == SQLITE_ROW) {
		id = sqlite3_column_int64(st, 0);
		n++;
		stop = t->each(t->arg, id, sqlite3_column_int(st, 1));
	}
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		step = sq_fail_db(err, db, "looking for messages");
	else
		step = stop ? MR_STORE_STOPPED : MR_STORE_OK;
	sq_read_end(s, db);
	if (n == t->max || t->last == INT64_MAX)
		t->last = id;
	return step;
}

/* There is nothing to do for a while. */
static void
give_back_memory(struct sq_index *i)
{
	pthread_mutex_lock(&i->lock);
	if (i->db)
		sqlite3_db_release_memory(i->db->handle);
	pthread_mutex_unlock(&i->lock);
}

int
sq_index_todo(void *self, struct mr_index_todo *t, struct mr_error *err)
{
	struct sq *s = self;
	int code = sq_index_change(s, find_range, t, err);

	if (code == MR_STORE_OK)
		code = take_out_gone(s, err);
	if (code == MR_STORE_OK)
		code = show_messages(s, t, err);
	if (code == MR_STORE_OK && t->last < t->first)
		give_back_memory(s->filling);
	return code;
}

/* ------------------------------------------------------------------ drop */

/* The block with this id becomes a gap. *last: ids up to it are done. */
static int
drop_block_of(struct sq_db *db, int64_t id, int64_t *last,
	struct mr_error *err)
{
	int64_t first;
	int code = sq_number(db, err, &first, "SELECT max(first) FROM block"
		" WHERE first <= ?", "i", id);

	if (code == MR_STORE_OK)
		code = sq_number(db, err, last, "SELECT last FROM block"
			" WHERE first = ?1 AND last >= ?2", "ii", first, id);
	if (code == MR_STORE_OK)
		code = sq_block_drop(db, first, err);
	if (code == MR_STORE_OK)
		code = sq_chunk_drop(db, first, *last, err);
	return code == MR_STORE_OK ? sq_run(db, err, "INSERT OR REPLACE INTO"
		" gap VALUES (?, ?)", "ii", first, *last) : code;
}

/* Behind the last block everything is put again. */
static int
drop_loose(struct sq_db *db, int64_t id, struct mr_error *err)
{
	int64_t first;
	int code = sq_number(db, err, &first, "SELECT ifnull(max(last), 0) + 1"
		" FROM block", "");

	if (code != MR_STORE_OK || id < first)
		return code;	/* in a gap, or of nobody */
	code = sq_chunk_drop(db, first, INT64_MAX, err);
	if (code == MR_STORE_OK)
		code = sq_run(db, err, "DELETE FROM gap WHERE first >= ?",
			"i", first);
	return code == MR_STORE_OK ? sq_index_set_fact(db, "mark", first - 1,
		err) : code;
}

struct drop {
	const char *account;
	int64_t *id;
	size_t n, room;
};

static int
find_messages(struct sq *s, struct drop *d, struct mr_error *err)
{
	struct sq_db *db = sq_read(s, err);
	sqlite3_stmt *st;
	int64_t account;
	int step = SQLITE_DONE, code;

	if (!db)
		return MR_STORE_FAILED;
	code = sq_account_id(db, d->account, &account, err);
	st = code == MR_STORE_OK ? sq_sql(db, "SELECT DISTINCT message"
		" FROM entry WHERE mailbox IN (SELECT id FROM mailbox"
		" WHERE account = ?) ORDER BY message") : NULL;
	sq_bind(st, "i", account);
	while (code == MR_STORE_OK &&
		(step = sqlite3_step(st)) == SQLITE_ROW) {
		if (d->n == d->room) {
			d->room = d->room ? d->room * 2 : 1024;
			d->id = realloc(d->id, d->room * sizeof *d->id);
			if (!d->id)
				abort();
		}
		d->id[d->n++] = sqlite3_column_int64(st, 0);
	}
	if (step != SQLITE_DONE)
		code = sq_fail_db(err, db, "finding messages");
	sq_read_end(s, db);
	return code;
}

static int
drop_texts(struct sq *s, struct sq_db *db, void *arg, struct mr_error *err)
{
	struct drop *d = arg;
	int64_t last = 0;
	int code = MR_STORE_OK;
	size_t i;

	(void)s;
	if (!d->account)
		return forget_all(db, err);
	for (i = 0; i < d->n && code == MR_STORE_OK; i++) {
		if (d->id[i] <= last)
			continue;
		code = drop_block_of(db, d->id[i], &last, err);
		if (code == MR_STORE_MISSING)
			code = drop_loose(db, d->id[i], err);
	}
	return code;
}

int
sq_index_drop(void *self, const char *account, struct mr_error *err)
{
	struct drop d = {.account = account};
	int code = account ? find_messages(self, &d, err) : MR_STORE_OK;

	if (code == MR_STORE_OK)
		code = sq_index_change(self, drop_texts, &d, err);
	free(d.id);
	return code;
}

/* --------------------------------------------------------------- figures */

static int
count_index(struct sq *s, struct sq_db *db, void *arg, struct mr_error *err)
{
	struct mr_index_figures *f = arg;
	struct sq_db *store = sq_read_one(s, err);
	int64_t mark, pages = 0, waiting = 0, all = 0;
	int code = store ? sq_index_fact(db, "mark", &mark, err) :
		MR_STORE_FAILED;

	if (code == MR_STORE_OK)
		code = sq_number(db, err, &f->messages, "SELECT"
			" ifnull(sum(n), 0) FROM head", "");
	if (code == MR_STORE_OK)
		code = sq_number(db, err, &pages, "PRAGMA page_count", "");
	if (code == MR_STORE_OK)
		code = sq_number(store, err, &all, "SELECT count(*)"
			" FROM message", "");
	if (code == MR_STORE_OK)
		code = sq_number(store, err, &waiting, "SELECT count(*)"
			" FROM unindexed", "");
	/* Those that are gone are texts still, but messages no more. */
	f->waiting = all + waiting > f->messages ?
		all + waiting - f->messages : 0;
	f->bytes = pages * PAGE;
	if (store)
		sq_read_end(s, store);
	return code;
}

int
sq_index_figures(void *self, struct mr_index_figures *out,
	struct mr_error *err)
{
	return sq_index_change(self, count_index, out, err);
}
