/*
 * db.c - errors, connections, and their prepared statements.
 *
 * A connection belongs to one thread at a time, so SQLite's own mutexes are
 * off. Checkpoints are the keeper's alone: no connection makes one by
 * itself. Caches are small: the kernel keeps the pages anyway.
 */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 10000		/* a stranger in the file, such as sqlite3(1) */
#define FIRST_SLOTS 64

/* ------------------------------------------------------------- errors */

int
sq_fail(struct mr_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return code;
}

/* A flush that failed is FAILED whatever the reason, never FULL: the commit
 * may be in the log all the same, and commit.c must not take its body away. */
static int
code_of(sqlite3 *h)
{
	int system = sqlite3_system_errno(h);
	int code = sqlite3_extended_errcode(h);

	if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
		return MR_STORE_FAILED;
	switch (code & 0xff) {
	case SQLITE_FULL:
		return MR_STORE_FULL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return MR_STORE_BUSY;
	case SQLITE_IOERR:
		return system == ENOSPC || system == EDQUOT ? MR_STORE_FULL :
			MR_STORE_FAILED;
	default:
		return MR_STORE_FAILED;
	}
}

int
sq_fail_db(struct mr_error *err, struct sq_db *db, const char *doing)
{
	int system = sqlite3_system_errno(db->handle);
	bool is_io = (sqlite3_errcode(db->handle) & 0xff) == SQLITE_IOERR;

	return sq_fail(err, code_of(db->handle), "%s: %s%s%s", doing,
		sqlite3_errmsg(db->handle), is_io && system ? ": " : "",
		is_io && system ? strerror(system) : "");
}

/* -------------------------------------------------------- connections */

static int
run_all(struct sq_db *db, const char *const *sql, struct mr_error *err)
{
	for (; *sql; sql++)
		if (sqlite3_exec(db->handle, *sql, NULL, NULL, NULL) !=
			SQLITE_OK)
			return sq_fail_db(err, db, "opening the database");
	return MR_STORE_OK;
}

/* page_size and auto_vacuum count only in a file that is still empty. */
static const char *const writer_setup[] = {
	"PRAGMA page_size = 4096", "PRAGMA auto_vacuum = INCREMENTAL",
	"PRAGMA journal_mode = WAL",
	"PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 0",
	"PRAGMA journal_size_limit = 67108864", "PRAGMA cache_size = -4096",
	"PRAGMA temp_store = MEMORY", NULL,
};
static const char *const reader_setup[] = {
	"PRAGMA wal_autocheckpoint = 0", "PRAGMA cache_size = -1024",
	"PRAGMA temp_store = MEMORY", "PRAGMA query_only = ON", NULL,
};

struct sq_db *
sq_db_open(const char *folder, enum sq_mode mode, struct mr_error *err)
{
	struct sq_db *db = sq_alloc(sizeof *db);
	char *path = sq_printf("%s/" SQ_FILE, folder);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
		SQLITE_OPEN_EXRESCODE;
	int code;

	if (mode == SQ_WRITES)
		flags |= SQLITE_OPEN_CREATE;
	code = sqlite3_open_v2(path, &db->handle, flags, NULL);
	free(path);
	if (code != SQLITE_OK) {
		sq_fail(err, MR_STORE_FAILED, "cannot open %s/" SQ_FILE
			": %s", folder, db->handle ?
			sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
		sq_db_close(db);
		return NULL;
	}
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	if (run_all(db, mode == SQ_WRITES ? writer_setup : reader_setup,
		err) == MR_STORE_OK)
		return db;
	sq_db_close(db);
	return NULL;
}

void
sq_db_close(struct sq_db *db)
{
	unsigned i;

	if (!db)
		return;
	for (i = 0; i < db->n_slot; i++)
		sqlite3_finalize(db->slot[i].st);
	free(db->slot);
	sq_unpacker_free(db->unpacker);
	sqlite3_close(db->handle);
	free(db);
}

void
sq_db_rest(struct sq_db *db)
{
	unsigned i;

	for (i = 0; i < db->n_slot; i++)
		if (db->slot[i].st && sqlite3_stmt_busy(db->slot[i].st))
			sqlite3_reset(db->slot[i].st);
}

/* --------------------------------------------------------- statements */

static struct sq_slot *
find_slot(struct sq_db *db, const char *sql)
{
	unsigned at = (unsigned)(((uintptr_t)sql * 0x9E3779B97F4A7C15u) >> 40);

	for (;; at++) {
		struct sq_slot *s = &db->slot[at & (db->n_slot - 1)];

		if (s->sql == sql || !s->sql)
			return s;
	}
}

static void
grow_slots(struct sq_db *db)
{
	struct sq_slot *old = db->slot;
	unsigned n = db->n_slot, i;

	db->n_slot = n ? n * 2 : FIRST_SLOTS;
	db->slot = sq_alloc(db->n_slot * sizeof *db->slot);
	for (i = 0; i < n; i++)
		if (old[i].sql)
			*find_slot(db, old[i].sql) = old[i];
	free(old);
}

sqlite3_stmt *
sq_sql(struct sq_db *db, const char *sql)
{
	struct sq_slot *s;

	if (db->n_used * 4 >= db->n_slot * 3)
		grow_slots(db);
	s = find_slot(db, sql);
	if (s->st) {
		sqlite3_reset(s->st);
		return s->st;
	}
	if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
		&s->st, NULL) != SQLITE_OK)
		return NULL;
	s->sql = sql;
	db->n_used++;
	return s->st;
}

static void
bind_list(sqlite3_stmt *st, const char *kinds, va_list ap)
{
	const void *bytes;
	int i, code = SQLITE_OK;

	for (i = 1; *kinds; kinds++, i++) {
		switch (*kinds) {
		case 'i':
			code = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		case 's':
			code = sqlite3_bind_text(st, i,
				va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		case 'b':
			bytes = va_arg(ap, const void *);
			code = sqlite3_bind_blob64(st, i, bytes ? bytes : "",
				va_arg(ap, size_t), SQLITE_STATIC);
			break;
		default:
			assert(*kinds == 'n');
			code = sqlite3_bind_null(st, i);
		}
		assert(code == SQLITE_OK);
	}
}

void
sq_bind(sqlite3_stmt *st, const char *kinds, ...)
{
	va_list ap;

	if (!st)
		return;		/* stepping it will fail */
	va_start(ap, kinds);
	bind_list(st, kinds, ap);
	va_end(ap);
}

/* Where a statement failed, its first words say what it was doing. */
static int
fail_at(struct sq_db *db, const char *sql, struct mr_error *err)
{
	char doing[40];

	snprintf(doing, sizeof doing, "%.*s",
		(int)strcspn(sql, "(=?"), sql);
	return sq_fail_db(err, db, doing);
}

int
sq_run(struct sq_db *db, struct mr_error *err, const char *sql,
	const char *kinds, ...)
{
	sqlite3_stmt *st = sq_sql(db, sql);
	va_list ap;
	int code;

	if (!st)
		return fail_at(db, sql, err);
	va_start(ap, kinds);
	bind_list(st, kinds, ap);
	va_end(ap);
	code = sqlite3_step(st);
	if (code != SQLITE_DONE && code != SQLITE_ROW) {
		code = fail_at(db, sql, err);
		sqlite3_reset(st);
		return code;
	}
	sqlite3_reset(st);
	return MR_STORE_OK;
}

int
sq_number(struct sq_db *db, struct mr_error *err, int64_t *out,
	const char *sql, const char *kinds, ...)
{
	sqlite3_stmt *st = sq_sql(db, sql);
	va_list ap;
	int code;

	if (!st)
		return fail_at(db, sql, err);
	va_start(ap, kinds);
	bind_list(st, kinds, ap);
	va_end(ap);
	code = sqlite3_step(st);
	if (code == SQLITE_ROW) {
		*out = sqlite3_column_int64(st, 0);
		code = MR_STORE_OK;
	} else {
		code = code == SQLITE_DONE ? MR_STORE_MISSING :
			fail_at(db, sql, err);
	}
	sqlite3_reset(st);
	return code;
}

const char *
sq_text(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return text ? text : "";
}
