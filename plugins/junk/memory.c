/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * memory.c - what accounts have taught: how many messages of each kind, in how
 * many of them each word was, and which messages they were, so that a word
 * that is taken back is taken back exactly.
 *
 * One SQLite file that all processes share, and one connection a process,
 * under `lock`. It holds at most so many words: those seen once and long ago
 * go first. An account's counts are halved now and then, so that what is new
 * weighs more than what was. Losing the last moment in a power cut costs a
 * lesson, no mail: nothing waits for the disk.
 */
#include "junk.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUSY_MS 2000
#define AGE_AT 4000		/* messages of an account: then it is halved */
#define LESSONS_MOST 100000	/* messages that are remembered, of all */
#define TIDY_EACH 64		/* lessons of this process */

enum statement { ACCOUNT, NEW_ACCOUNT, ACCOUNT_ADD, WORD, WORD_ADD, LESSON,
	LESSON_SET, STATEMENTS };

static const char *const text_of[STATEMENTS] = {
	[ACCOUNT] = "SELECT id, junk, good FROM account WHERE name = ?",
	[NEW_ACCOUNT] = "INSERT INTO account (name, junk, good)"
		" VALUES (?, 0, 0)",
	[ACCOUNT_ADD] = "UPDATE account SET junk = max(0, junk + ?),"
		" good = max(0, good + ?) WHERE id = ?",
	[WORD] = "SELECT junk, good FROM word WHERE account = ? AND hash = ?",
	[WORD_ADD] = "INSERT INTO word (account, hash, junk, good, day)"
		" VALUES (?3, ?4, max(0, ?1), max(0, ?2), ?5)"
		" ON CONFLICT DO UPDATE SET junk = max(0, junk + ?1),"
		" good = max(0, good + ?2), day = ?5",
	[LESSON] = "SELECT is_junk FROM lesson WHERE account = ?"
		" AND message = ?",
	[LESSON_SET] = "INSERT INTO lesson (account, message, is_junk, day)"
		" VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
		" is_junk = excluded.is_junk, day = excluded.day",
};

struct memory {
	pthread_mutex_t lock;
	sqlite3 *db;
	sqlite3_stmt *st[STATEMENTS];
	int64_t most;
	unsigned taught;
};

static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = NORMAL;"
	"PRAGMA cache_size = -1000;"
	"PRAGMA temp_store = MEMORY;"
	"CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL UNIQUE, junk INTEGER NOT NULL,"
	" good INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS word (account INTEGER, hash INTEGER,"
	" junk INTEGER NOT NULL, good INTEGER NOT NULL, day INTEGER NOT NULL,"
	" PRIMARY KEY (account, hash)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS lesson (account INTEGER, message INTEGER,"
	" is_junk INTEGER NOT NULL, day INTEGER NOT NULL,"
	" PRIMARY KEY (account, message)) WITHOUT ROWID;";

static int64_t
today(void)
{
	return time(NULL) / 86400;
}

/* ------------------------------------------------------------------- life */

void
memory_close(struct memory *m)
{
	int i;

	if (!m)
		return;
	for (i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(m->st[i]);
	sqlite3_close(m->db);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static int
prepare(struct memory *m)
{
	int i;

	for (i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(m->db, text_of[i], -1,
			SQLITE_PREPARE_PERSISTENT, &m->st[i], NULL))
			return -1;
	return 0;
}

/* Where several processes make the file at once one of them may be told that
 * it is locked, without being made to wait. */
static int
make_tables(sqlite3 *db)
{
	const struct timespec pause = {0, 50 * 1000000L};
	int tries, code = SQLITE_BUSY;

	for (tries = 0; tries < 40 && code == SQLITE_BUSY; tries++) {
		if (tries)
			nanosleep(&pause, NULL);
		code = sqlite3_exec(db, schema, NULL, NULL, NULL);
	}
	return code;
}

struct memory *
memory_open(const char *path, int64_t most, char *error, size_t error_size)
{
	struct memory *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->most = most;
	if (sqlite3_open_v2(path, &m->db, SQLITE_OPEN_READWRITE |
		SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) ||
		sqlite3_busy_timeout(m->db, BUSY_MS) ||
		make_tables(m->db) || prepare(m)) {
		snprintf(error, error_size, "%s: %s", path,
			m->db ? sqlite3_errmsg(m->db) : "no memory");
		memory_close(m);
		return NULL;
	}
	return m;
}

/* -------------------------------------------------------------- statements */

static sqlite3_stmt *
numbers(struct memory *m, enum statement which, const int64_t *value, int n)
{
	sqlite3_stmt *st = m->st[which];
	int i;

	sqlite3_reset(st);
	for (i = 0; i < n; i++)
		sqlite3_bind_int64(st, i + 1, value[i]);
	return st;
}

#define NUMBERS(m, which, ...) numbers((m), (which), \
	(const int64_t[]){__VA_ARGS__}, \
	(int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

static bool
run(sqlite3_stmt *st)
{
	bool ok = sqlite3_step(st) == SQLITE_DONE;

	sqlite3_reset(st);
	return ok;
}

/* 1: found, 0: nobody of that name, -1. */
static int
find_account(struct memory *m, const char *name, int64_t *id,
	struct count *all)
{
	sqlite3_stmt *st = m->st[ACCOUNT];
	int code;

	sqlite3_reset(st);
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	code = sqlite3_step(st);
	*all = (struct count){0, 0};
	*id = 0;
	if (code == SQLITE_ROW) {
		*id = sqlite3_column_int64(st, 0);
		all->junk = (uint32_t)sqlite3_column_int64(st, 1);
		all->good = (uint32_t)sqlite3_column_int64(st, 2);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

/* ------------------------------------------------------------------- look */

static int
look_words(struct memory *m, int64_t account, const struct words *w,
	struct count *of)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		sqlite3_stmt *st = NUMBERS(m, WORD, account,
			(int64_t)w->hash[i]);
		int code = sqlite3_step(st);

		of[i] = (struct count){0, 0};
		if (code == SQLITE_ROW) {
			of[i].junk = (uint32_t)sqlite3_column_int64(st, 0);
			of[i].good = (uint32_t)sqlite3_column_int64(st, 1);
		}
		sqlite3_reset(st);
		if (code != SQLITE_ROW && code != SQLITE_DONE)
			return -1;
	}
	return 0;
}

int
memory_look(struct memory *m, const char *account, const struct words *w,
	struct count *of, struct count *all)
{
	int64_t id;
	int code;

	pthread_mutex_lock(&m->lock);
	/* One state of the file, and one lock of it for all words. */
	sqlite3_exec(m->db, "BEGIN", NULL, NULL, NULL);
	code = find_account(m, account, &id, all);
	if (code >= 0)
		code = look_words(m, id, w, of);
	sqlite3_exec(m->db, "COMMIT", NULL, NULL, NULL);
	pthread_mutex_unlock(&m->lock);
	return code;
}

/* ------------------------------------------------------------------ teach */

/* by: 1, or -1 to take it back. */
static bool
add_message(struct memory *m, int64_t account, const struct words *w,
	bool is_junk, int by)
{
	int64_t junk = is_junk ? by : 0, good = is_junk ? 0 : by;
	size_t i;

	if (!run(NUMBERS(m, ACCOUNT_ADD, junk, good, account)))
		return false;
	for (i = 0; i < w->n; i++)
		if (!run(NUMBERS(m, WORD_ADD, junk, good, account,
			(int64_t)w->hash[i], today())))
			return false;
	return true;
}

/* 1: junk, 0: good, -1: nothing was taught of it, -2: cannot tell. */
static int
find_lesson(struct memory *m, int64_t account, uint64_t message)
{
	sqlite3_stmt *st = NUMBERS(m, LESSON, account, (int64_t)message);
	int code = sqlite3_step(st), was = -1;

	if (code == SQLITE_ROW)
		was = sqlite3_column_int(st, 0) != 0;
	else if (code != SQLITE_DONE)
		was = -2;
	sqlite3_reset(st);
	return was;
}

static bool
make_account(struct memory *m, const char *name, int64_t *id)
{
	sqlite3_stmt *st = m->st[NEW_ACCOUNT];
	bool ok;

	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	ok = run(st);
	sqlite3_clear_bindings(st);
	*id = sqlite3_last_insert_rowid(m->db);
	return ok;
}

static void
halve(struct memory *m, int64_t account)
{
	char text[300];

	snprintf(text, sizeof text, "UPDATE word SET junk = junk / 2,"
		" good = good / 2 WHERE account = %lld;"
		"DELETE FROM word WHERE account = %lld AND junk + good = 0;"
		"UPDATE account SET junk = junk / 2, good = good / 2"
		" WHERE id = %lld", (long long)account, (long long)account,
		(long long)account);
	sqlite3_exec(m->db, text, NULL, NULL, NULL);
}

/* In a transaction. */
static enum taught
teach(struct memory *m, const char *name, uint64_t message,
	const struct words *w, int is_junk, bool gently)
{
	struct count all;
	int64_t account;
	int code = find_account(m, name, &account, &all), was;

	if (code < 0 || (!code && !make_account(m, name, &account)))
		return TAUGHT_NOTHING;
	was = find_lesson(m, account, message);
	if (was == -2 || was == is_junk || (gently && was != -1))
		return TAUGHT_NOTHING;
	if ((was >= 0 && !add_message(m, account, w, was, -1)) ||
		!add_message(m, account, w, is_junk, 1) ||
		!run(NUMBERS(m, LESSON_SET, account, (int64_t)message,
		is_junk, today())))
		return TAUGHT_NOTHING;
	if (all.junk + all.good >= AGE_AT)
		halve(m, account);
	return was >= 0 ? TAUGHT_OTHERWISE : TAUGHT_NEW;
}

/* ------------------------------------------------------------------- tidy */

static int64_t
number(struct memory *m, const char *text)
{
	sqlite3_stmt *st;
	int64_t n = 0;

	if (sqlite3_prepare_v2(m->db, text, -1, &st, NULL) == SQLITE_OK &&
		sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return n;
}

/* Deletes rows older and older until few enough are left; without sorting,
 * which would take memory. */
static void
forget(struct memory *m, const char *table, const char *which, int64_t most)
{
	static const int days[] = {365, 180, 90, 45, 20, 10, 5, 2, 1, 0};
	char count[64], text[200];
	size_t i;

	snprintf(count, sizeof count, "SELECT count(*) FROM %s", table);
	for (i = 0; i < sizeof days / sizeof *days &&
		number(m, count) > most; i++) {
		snprintf(text, sizeof text, "DELETE FROM %s WHERE %s"
			" AND day <= %lld", table, which,
			(long long)today() - days[i]);
		sqlite3_exec(m->db, text, NULL, NULL, NULL);
	}
}

static void
tidy(struct memory *m)
{
	if (number(m, "SELECT count(*) FROM lesson") > LESSONS_MOST)
		forget(m, "lesson", "1", LESSONS_MOST / 10 * 9);
	if (number(m, "SELECT count(*) FROM word") <= m->most)
		return;
	forget(m, "word", "junk + good <= 1", m->most / 10 * 9);
	forget(m, "word", "junk + good <= 4", m->most / 10 * 9);
	forget(m, "word", "1", m->most / 10 * 9);
}

enum taught
memory_teach(struct memory *m, const char *account, uint64_t message,
	const struct words *w, bool is_junk, bool gently)
{
	enum taught t = TAUGHT_NOTHING;

	pthread_mutex_lock(&m->lock);
	if (sqlite3_exec(m->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) ==
		SQLITE_OK) {
		t = teach(m, account, message, w, is_junk, gently);
		if (t != TAUGHT_NOTHING && ++m->taught % TIDY_EACH == 0)
			tidy(m);
		if (sqlite3_exec(m->db, t == TAUGHT_NOTHING ? "ROLLBACK" :
			"COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
			sqlite3_exec(m->db, "ROLLBACK", NULL, NULL, NULL);
			t = TAUGHT_NOTHING;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return t;
}
