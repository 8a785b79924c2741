/*
 * backup.c - states of the store in a folder of their own, taken while mail
 * comes and goes.
 *
 *	PATH/states/TIME.map	which chunks make up the database of a state
 *	PATH/states/TIME.pages	the chunks that were new in it
 *	PATH/segments/NAME	the large bodies of all states
 *
 * The database is copied from one snapshot by SQLite's backup interface, cut
 * into chunks, and those that the state before had at the same place are left
 * out. Of the segments, the ranges of messages that came since are copied,
 * and their digests compared. They are copied, not linked: a hole that the
 * collector punches later would be in the backup too.
 *
 * A shared lock on each segment, taken before the snapshot, keeps the
 * collector (collect.c) from what the snapshot refers to. A state is there
 * once its map has its name; until then all is on disk.
 */
#include "backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 << 10)
#define LOCK_TRIES 500			/* of 10 ms */

struct lock {
	int64_t id;
	int fd;
};

struct backup {
	struct sq *sq;
	struct mr_backup *out;
	struct sq_db *db;		/* the snapshot */
	struct lock *lock;
	size_t n_lock;
	struct sq_map before, now;
	int folder;			/* PATH/states */
	char *temp;			/* the copy of the database */
	uint64_t done, total;
};

/* ------------------------------------------------------------- segments */

static bool
is_locked(const struct backup *b, int64_t id)
{
	size_t i;

	for (i = 0; i < b->n_lock; i++)
		if (b->lock[i].id == id)
			return true;
	return false;
}

/* The collector holds its locks for a moment only. A segment that is gone
 * has nothing in a snapshot that is taken later. */
static int
lock_one(struct backup *b, int64_t id, const char *name, struct mr_error *err)
{
	struct timespec pause = {0, 10000000};
	int fd, tries = LOCK_TRIES;

	while ((fd = sq_segment_open(b->sq->segments, name, 0, 0, false)) < 0 &&
		errno == EAGAIN && tries-- > 0)
		nanosleep(&pause, NULL);
	if (fd < 0 && errno != ENOENT)
		return sq_fail(err, MR_STORE_BUSY, "locking segments/%s: %s",
			name, strerror(errno));
	b->lock = realloc(b->lock, (b->n_lock + 1) * sizeof *b->lock);
	if (!b->lock)
		abort();
	b->lock[b->n_lock++] = (struct lock){id, fd};
	return MR_STORE_OK;
}

/* Those that the connection sees and that are not locked yet; *n of them. */
static int
lock_segments(struct backup *b, struct sq_db *db, size_t *n,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT id, name FROM segment"
		" ORDER BY id");
	int code = MR_STORE_OK, step = SQLITE_DONE;

	*n = 0;
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) ==
		SQLITE_ROW) {
		if (is_locked(b, sqlite3_column_int64(st, 0)))
			continue;
		code = lock_one(b, sqlite3_column_int64(st, 0),
			sq_text(st, 1), err);
		++*n;
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "listing segments");
	sqlite3_reset(st);
	return code;
}

/* A snapshot that sees no segment but those we hold. */
static int
take_snapshot(struct backup *b, struct mr_error *err)
{
	size_t n;
	int code;

	do {
		code = sq_run(b->db, err, "BEGIN", "");
		if (code == MR_STORE_OK)
			code = lock_segments(b, b->db, &n, err);
		if (code == MR_STORE_OK && n)
			code = sq_run(b->db, err, "COMMIT", "");
	} while (code == MR_STORE_OK && n);
	return code;
}

/* --------------------------------------------------------------- bodies */

static void
tell(struct backup *b, uint64_t more)
{
	b->done += more;
	if (b->out->progress)
		b->out->progress(b->out->arg, b->done, b->total);
}

struct body {
	int64_t id, offset;
	uint64_t length;
	int from, to;
	const char *name;	/* of the segment */
	uint8_t sha256[32];
};

static int
copy_range(struct backup *b, const struct body *m, uint8_t *block,
	EVP_MD_CTX *digest, struct mr_error *err)
{
	uint64_t at = 0;

	while (at < m->length) {
		size_t want = m->length - at < BLOCK ?
			(size_t)(m->length - at) : BLOCK;
		ssize_t n = pread(m->from, block, want,
			m->offset + (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;		/* too short: damaged */
		EVP_DigestUpdate(digest, block, (size_t)n);
		if (pwrite(m->to, block, (size_t)n, m->offset + (off_t)at) !=
			n)
			return sq_fail(err, errno == ENOSPC ? MR_STORE_FULL :
				MR_STORE_FAILED, "writing the backup: %s",
				strerror(errno));
		at += (uint64_t)n;
		tell(b, (uint64_t)n);
	}
	return MR_STORE_OK;
}

static int
copy_body(struct backup *b, const struct body *m, uint8_t *block,
	struct mr_error *err)
{
	static const uint8_t none[32];
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	uint8_t found[32];
	int code;

	EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	code = copy_range(b, m, block, digest, err);
	EVP_DigestFinal_ex(digest, found, NULL);
	EVP_MD_CTX_free(digest);
	b->out->written += m->length;
	if (code == MR_STORE_OK && memcmp(found, m->sha256, 32) &&
		memcmp(m->sha256, none, 32) && b->out->damaged)
		b->out->damaged(b->out->arg, m->id);
	return code;
}

static int
find_lock(const struct backup *b, int64_t segment)
{
	size_t i;

	for (i = 0; i < b->n_lock; i++)
		if (b->lock[i].id == segment)
			return b->lock[i].fd;
	return -1;
}

static int
open_copy(struct backup *b, const char *name, struct mr_error *err)
{
	char *path = sq_printf("%s/segments/%s", b->out->path, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		sq_fail(err, MR_STORE_FAILED, "%s: %s", path,
			strerror(errno));
	free(path);
	return fd;
}

static int
close_copy(int fd, struct mr_error *err)
{
	int code = fd < 0 || fsync(fd) == 0 ? MR_STORE_OK : sq_fail(err,
		MR_STORE_FAILED, "flushing the backup: %s", strerror(errno));

	if (fd >= 0)
		close(fd);
	return code;
}

/* The names of new files too. */
static int
flush_segments(const struct backup *b, struct mr_error *err)
{
	char *path = sq_printf("%s/segments", b->out->path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = fd >= 0 && fsync(fd) == 0 ? MR_STORE_OK : sq_fail(err,
		MR_STORE_FAILED, "%s: %s", path, strerror(errno));

	if (fd >= 0)
		close(fd);
	free(path);
	return code;
}

static int
copy_bodies_of(struct backup *b, struct body *m, int64_t segment,
	int64_t after, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(b->db, "SELECT id, offset, length, sha256"
		" FROM message WHERE segment > 0 AND segment = ? AND id > ?"
		" ORDER BY offset");
	uint8_t *block = sq_alloc(BLOCK);
	int code = MR_STORE_OK, step = SQLITE_DONE;

	sq_bind(st, "ii", segment, after);
	while (code == MR_STORE_OK && (step = sqlite3_step(st)) ==
		SQLITE_ROW) {
		m->id = sqlite3_column_int64(st, 0);
		m->offset = sqlite3_column_int64(st, 1);
		m->length = (uint64_t)sqlite3_column_int64(st, 2);
		if (sqlite3_column_bytes(st, 3) == 32)
			memcpy(m->sha256, sqlite3_column_blob(st, 3), 32);
		if (m->to < 0)
			m->to = open_copy(b, m->name, err);
		code = m->to < 0 ? MR_STORE_FAILED :
			copy_body(b, m, block, err);
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, b->db, "reading messages");
	sqlite3_reset(st);
	free(block);
	return code;
}

static bool
had_before(const struct backup *b, const char *name)
{
	uint32_t i;

	for (i = 0; i < b->before.n_segment; i++)
		if (!strcmp(b->before.segment[i], name))
			return true;
	return false;
}

/* Ids grow with commits: what the state before did not have has a greater
 * one than its last. Not so in a store that was put back to an older state:
 * it gives ids anew, but never appends to a segment that it found. */
static int
copy_bodies(struct backup *b, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(b->db, "SELECT id, name FROM segment"
		" ORDER BY name");
	int code = MR_STORE_OK, step = SQLITE_DONE;

	while (code == MR_STORE_OK && (step = sqlite3_step(st)) ==
		SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(st, 0);
		struct body m = {.from = find_lock(b, id), .to = -1,
			.name = sq_text(st, 1)};
		struct mr_error later;
		int closed;

		code = copy_bodies_of(b, &m, id, had_before(b, m.name) ?
			b->before.last_message : 0, err);
		closed = close_copy(m.to, code == MR_STORE_OK ? err : &later);
		code = code == MR_STORE_OK ? closed : code;
	}
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, b->db, "listing segments");
	sqlite3_reset(st);
	return code == MR_STORE_OK ? flush_segments(b, err) : code;
}

/* ------------------------------------------------------------- database */

static int
note_segments(struct backup *b, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(b->db, "SELECT name FROM segment"
		" ORDER BY name");
	int step = SQLITE_ERROR;

	while (st && (step = sqlite3_step(st)) == SQLITE_ROW)
		sq_map_add_segment(&b->now, sq_text(st, 0));
	sqlite3_reset(st);
	return step == SQLITE_DONE ? MR_STORE_OK :
		sq_fail_db(err, b->db, "listing segments");
}

static int
measure(struct backup *b, struct mr_error *err)
{
	int64_t bytes = 0, new_bytes = 0, n = 0, pages = 0, size = 0;
	int code = sq_number(b->db, err, &b->now.last_message,
		"SELECT coalesce(max(id), 0) FROM message", "");

	if (code == MR_STORE_OK)
		code = sq_number(b->db, err, &n,
			"SELECT count(*) FROM message", "");
	if (code == MR_STORE_OK)
		code = sq_number(b->db, err, &bytes, "SELECT coalesce(sum("
			"length), 0) FROM message WHERE segment > 0", "");
	if (code == MR_STORE_OK)
		code = sq_number(b->db, err, &new_bytes, "SELECT coalesce(sum("
			"length), 0) FROM message WHERE segment > 0 AND id > ?",
			"i", b->before.last_message);
	if (code == MR_STORE_OK)
		code = sq_number(b->db, err, &pages, "PRAGMA page_count", "");
	if (code == MR_STORE_OK)
		code = sq_number(b->db, err, &size, "PRAGMA page_size", "");
	b->out->messages = (uint64_t)n;
	b->out->bytes = (uint64_t)(bytes + pages * size);
	b->total = (uint64_t)(new_bytes + pages * size);
	return code;
}

static int
copy_database(struct backup *b, struct mr_error *err)
{
	sqlite3 *to = NULL;
	sqlite3_backup *copy = NULL;
	int code = sqlite3_open_v2(b->temp, &to, SQLITE_OPEN_READWRITE |
		SQLITE_OPEN_CREATE, NULL);

	if (code == SQLITE_OK)
		sqlite3_exec(to, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		copy = sqlite3_backup_init(to, "main", b->db->handle, "main");
	if (copy) {
		/* All at once: the snapshot is ours, so it cannot change. */
		int step = sqlite3_backup_step(copy, -1);

		code = sqlite3_backup_finish(copy);
		/* A lock that was in the way is no error to it. */
		if (code == SQLITE_OK && step != SQLITE_DONE)
			code = step;
	} else {
		code = SQLITE_ERROR;
	}
	if (code != SQLITE_OK)
		sq_fail(err, (code & 0xff) == SQLITE_FULL ? MR_STORE_FULL :
			MR_STORE_FAILED, "copying the database: %s",
			to ? sqlite3_errmsg(to) : "no memory");
	sqlite3_close(to);
	return code == SQLITE_OK ? MR_STORE_OK : MR_STORE_FAILED;
}

/* ----------------------------------------------------------------- life */

static int
make_folders(const char *path, struct mr_error *err)
{
	static const char *const below[] = {"states", "segments"};
	size_t i;

	for (i = 0; i < 2; i++) {
		char *one = sq_printf("%s/%s", path, below[i]);
		int bad = mkdir(one, 0700) < 0 && errno != EEXIST;

		if (bad)
			sq_fail(err, MR_STORE_FAILED, "%s: %s", one,
				strerror(errno));
		free(one);
		if (bad)
			return MR_STORE_FAILED;
	}
	return MR_STORE_OK;
}

static void
name_state(struct backup *b)
{
	time_t now = (time_t)(sq_clock_wall() / 1000);
	struct tm tm;

	/* Two within a second: names are in order of time. */
	do {
		gmtime_r(&now, &tm);
		strftime(b->out->state, sizeof b->out->state,
			"%Y-%m-%dT%H-%M-%SZ", &tm);
		now++;
	} while (*b->before.state &&
		strcmp(b->out->state, b->before.state) <= 0);
}

static int
run(struct backup *b, struct mr_error *err)
{
	int code = take_snapshot(b, err);

	if (code == MR_STORE_OK)
		code = measure(b, err);
	if (code == MR_STORE_OK)
		code = note_segments(b, err);
	if (code == MR_STORE_OK)
		code = copy_bodies(b, err);
	if (code == MR_STORE_OK)
		code = copy_database(b, err);
	if (code == MR_STORE_OK)
		code = sq_map_write(b->folder, b->temp, &b->before, &b->now,
			&b->out->written, err);
	tell(b, 0);
	if (code == MR_STORE_OK && b->out->keep)
		code = sq_map_prune(b->folder, b->out->path, b->out->keep,
			err);
	return code;
}

/* Two at once would take each other's files for garbage. */
static int
open_states(struct backup *b, const char *states, struct mr_error *err)
{
	b->folder = open(states, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->folder < 0)
		return sq_fail(err, MR_STORE_FAILED, "%s: %s", states,
			strerror(errno));
	if (flock(b->folder, LOCK_EX | LOCK_NB) < 0)
		return sq_fail(err, MR_STORE_BUSY, "a backup to this folder "
			"is running");
	unlink(b->temp);
	return sq_map_read_last(b->folder, &b->before, err);
}

static void
let_go(struct backup *b)
{
	size_t i;

	for (i = 0; i < b->n_lock; i++)
		if (b->lock[i].fd >= 0)
			close(b->lock[i].fd);
	free(b->lock);
	if (b->db)
		unlink(b->temp);
	sq_db_close(b->db);
	free(b->temp);
	sq_map_free(&b->before);
	sq_map_free(&b->now);
	if (b->folder >= 0)
		close(b->folder);
}

int
sq_backup(void *self, struct mr_backup *out, struct mr_error *err)
{
	struct backup b = {.sq = self, .out = out, .folder = -1};
	char *states = sq_printf("%s/states", out->path);
	int code = make_folders(out->path, err);

	out->bytes = out->written = out->messages = 0;
	b.temp = sq_printf("%s/new.db", states);
	if (code == MR_STORE_OK)
		code = open_states(&b, states, err);
	if (code == MR_STORE_OK) {
		name_state(&b);
		snprintf(b.now.state, sizeof b.now.state, "%s", out->state);
		b.db = sq_db_open(b.sq->path, SQ_READS, err);
		code = b.db ? run(&b, err) : MR_STORE_FAILED;
	}
	let_go(&b);
	free(states);
	return code;
}
