/*
 * vacuum.c - how large the store is, and giving back what it does not use.
 *
 * A database that is made by us keeps a map of its pages (auto_vacuum =
 * INCREMENTAL), so pages that became free can be cut off at its end, some in
 * each transaction. A quarter of it may stay unused: mail that comes takes
 * that first. One that was made without the map is written anew once.
 */
#include "engine.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SOME_PAGES 500
#define LEAST_PAGES 2048	/* unused, before it is worth while */

/* ---------------------------------------------------------------- sizes */

static uint64_t
file_size(const struct sq *s, const char *name)
{
	char *path = sq_printf("%s/%s", s->path, name);
	struct stat st;
	uint64_t size = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;

	free(path);
	return size;
}

static void
measure_segments(const struct sq *s, struct mr_sizes *out)
{
	char *path = sq_printf("%s/segments", s->path);
	DIR *dir = opendir(path);
	struct dirent *d;
	struct stat st;

	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.' ||
			fstatat(dirfd(dir), d->d_name, &st, 0) < 0)
			continue;
		out->segments++;
		out->segment_disk += (uint64_t)st.st_blocks * 512;
	}
	if (dir)
		closedir(dir);
	free(path);
}

static int
number(struct sq_db *db, const char *sql, uint64_t *out, struct mr_error *err)
{
	int64_t n = 0;
	int code = sq_number(db, err, &n, sql, "");

	*out = (uint64_t)n;
	return code;
}

static int
measure_database(struct sq_db *db, struct mr_sizes *out, struct mr_error *err)
{
	uint64_t page = 0, mode = 0;
	const struct {
		const char *sql;
		uint64_t *out;
	} asked[] = {
		{"PRAGMA page_size", &page},
		{"PRAGMA page_count", &out->database},
		{"PRAGMA freelist_count", &out->unused},
		{"PRAGMA auto_vacuum", &mode},
		{"SELECT count(*) FROM message WHERE dead_ms IS NULL",
			&out->messages},
		{"SELECT count(*) FROM message WHERE dead_ms IS NOT NULL",
			&out->removed},
		{"SELECT coalesce(sum(length), 0) FROM message"
			" WHERE segment > 0", &out->large}};
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < sizeof asked / sizeof *asked && code == MR_STORE_OK;
		i++)
		code = number(db, asked[i].sql, asked[i].out, err);
	out->database *= page;
	out->unused *= page;
	out->shrinks = mode == 2;
	return code;
}

int
sq_sizes(void *self, struct mr_sizes *out, struct mr_error *err)
{
	struct sq *s = self;
	struct sq_db *db = sq_read(s, err);
	struct statvfs fs;
	int code;

	if (!db)
		return MR_STORE_FAILED;
	*out = (struct mr_sizes){.size = out->size};
	code = measure_database(db, out, err);
	sq_read_end(s, db);
	measure_segments(s, out);
	out->log = file_size(s, SQ_FILE "-wal");
	out->index = file_size(s, "index.db");
	if (statvfs(s->path, &fs) == 0)
		out->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return code;
}

/* --------------------------------------------------------------- vacuum */

struct pages {
	int64_t mode, unused, all, size;
};

static int
count_pages(struct sq_db *db, struct pages *p, struct mr_error *err)
{
	int code = sq_number(db, err, &p->mode, "PRAGMA auto_vacuum", "");

	if (code == MR_STORE_OK)
		code = sq_number(db, err, &p->unused, "PRAGMA freelist_count",
			"");
	if (code == MR_STORE_OK)
		code = sq_number(db, err, &p->all, "PRAGMA page_count", "");
	if (code == MR_STORE_OK)
		code = sq_number(db, err, &p->size, "PRAGMA page_size", "");
	return code;
}

/* The statement gives up one page with each step. arg: what is left. */
static int
run_some(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(tx->db, "PRAGMA incremental_vacuum(500)");
	int step = SQLITE_ERROR, code;

	while (st && (step = sqlite3_step(st)) == SQLITE_ROW)
		;
	code = step == SQLITE_DONE ? MR_STORE_OK :
		sq_fail_db(err, tx->db, "giving pages back");
	sqlite3_reset(st);
	return code == MR_STORE_OK ? count_pages(tx->db, arg, err) : code;
}

bool
sq_vacuum_some(struct sq *s)
{
	struct pages p;

	if (count_pages(sq_writer_db(s), &p, NULL) != MR_STORE_OK ||
		p.mode != 2 || p.unused < LEAST_PAGES || p.unused < p.all / 4)
		return false;
	return sq_write_now(s, run_some, &p, NULL) == MR_STORE_OK &&
		p.unused >= LEAST_PAGES && p.unused >= p.all / 4;
}

/* VACUUM needs a connection of its own, outside a transaction; writers of
 * all processes wait at the lock. */
static int
write_anew(struct sq *s, struct mr_error *err)
{
	struct sq_db *db;
	int lock = sq_lock_open(s->path, err), code;

	if (lock < 0)
		return MR_STORE_FAILED;
	code = sq_lock_take(lock, err);
	db = code == MR_STORE_OK ? sq_db_open(s->path, SQ_WRITES, err) : NULL;
	code = db ? sq_run(db, err, "PRAGMA auto_vacuum = INCREMENTAL", "") :
		MR_STORE_FAILED;
	/* The copy may be larger than the memory. */
	if (code == MR_STORE_OK)
		code = sq_run(db, err, "PRAGMA temp_store = FILE", "");
	if (code == MR_STORE_OK)
		code = sq_run(db, err, "VACUUM", "");
	/* What is in the log would else be there twice. */
	if (code == MR_STORE_OK)
		sqlite3_wal_checkpoint_v2(db->handle, NULL,
			SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sq_db_close(db);
	sq_lock_give(lock);
	close(lock);
	return code;
}

static int
give_back(struct sq *s, struct pages *p, struct mr_error *err)
{
	int64_t before;
	int code = MR_STORE_OK;

	do {
		before = p->unused;
		code = sq_write(s, run_some, p, err);
	} while (code == MR_STORE_OK && p->unused && p->unused < before);
	return code;
}

int
sq_vacuum(void *self, int whole, uint64_t *freed, struct mr_error *err)
{
	struct sq *s = self;
	struct sq_db *db = sq_read(s, err);
	struct pages first, last;
	int code;

	*freed = 0;
	if (!db)
		return MR_STORE_FAILED;
	code = count_pages(db, &first, err);
	sq_read_end(s, db);
	if (code != MR_STORE_OK)
		return code;
	last = first;
	if (!whole && first.mode != 2)
		return sq_fail(err, MR_STORE_INVALID, "this database was made "
			"by a release that could not shrink it");
	code = whole ? write_anew(s, err) : give_back(s, &last, err);
	if (code == MR_STORE_OK && whole && (db = sq_read(s, err))) {
		code = count_pages(db, &last, err);
		sq_read_end(s, db);
	}
	if (code == MR_STORE_OK && last.all < first.all)
		*freed = (uint64_t)((first.all - last.all) * first.size);
	return code;
}
