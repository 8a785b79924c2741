/*
 * collect.c - references to messages, and the end of those without any.
 *
 * A message that lost its last reference stays for keep_removed, so that who
 * is reading it can finish. Then its rows are deleted, in small transactions
 * while the writer has nothing else to do, and when that is durable its range
 * of the segment is punched out. Ranges are locked before (see body.c): one
 * that is being read is left for the next round. A segment without messages
 * that no process appends to goes as a whole. What became free in the database
 * goes back to the disk by and by (vacuum.c).
 *
 * Runs on the writing thread, outside transactions, and reads by the writing
 * connection: it must not wait for one that slow readers hold.
 */
#include "engine.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 100
#define SWEEP_MS (3600 * 1000)	/* look at all segments */
#define STRAY_S 3600		/* a file without a row, that old, is garbage */

/* ----------------------------------------------------------- references */

int
sq_message_hold(struct sq_tx *tx, int64_t message, int64_t n,
	struct mr_error *err)
{
	int code = sq_run(tx->db, err, "UPDATE message SET refs = refs + ?,"
		" dead_ms = NULL WHERE id = ?", "ii", n, message);

	if (code == MR_STORE_OK && !sqlite3_changes(tx->db->handle))
		return sq_fail(err, MR_STORE_MISSING,
			"message %lld is not there", (long long)message);
	return code;
}

static int
drop(struct sq_tx *tx, int64_t message, int64_t n, int64_t dead_ms,
	struct mr_error *err)
{
	return sq_run(tx->db, err, "UPDATE message SET refs = refs - ?1,"
		" dead_ms = CASE WHEN refs <= ?1 THEN ?2 END WHERE id = ?3",
		"iii", n, dead_ms, message);
}

int
sq_message_drop(struct sq_tx *tx, int64_t message, int64_t n,
	struct mr_error *err)
{
	return drop(tx, message, n, tx->now_ms, err);
}

int
sq_message_expunge(struct sq_tx *tx, int64_t message, struct mr_error *err)
{
	return drop(tx, message, 1, tx->now_ms + tx->sq->undelete, err);
}

/* -------------------------------------------------------------- messages */

struct victim {
	int64_t id, segment, offset;
	uint64_t length;
	char name[64];		/* of the segment */
	int fd;			/* with the range locked, -1: in the row */
	bool is_gone;
};

struct round {
	struct sq *sq;
	int64_t before_ms;
	struct victim victim[BATCH];
	size_t n;
	int64_t segment;	/* drop_segment */
};

static struct victim
victim_of(sqlite3_stmt *st)
{
	struct victim v = {.id = sqlite3_column_int64(st, 0),
		.segment = sqlite3_column_int64(st, 1),
		.offset = sqlite3_column_int64(st, 2),
		.length = (uint64_t)sqlite3_column_int64(st, 3), .fd = -1};

	snprintf(v.name, sizeof v.name, "%s", sq_text(st, 4));
	return v;
}

/* True if it may go now. A segment that is lost keeps nothing. */
static bool
lock_victim(struct round *r, struct victim *v)
{
	if (!v->segment)
		return true;
	v->fd = sq_segment_open(r->sq->segments, v->name, v->offset,
		v->length, true);
	return v->fd >= 0 || errno == ENOENT;
}

static int
choose(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct round *r = arg;
	sqlite3_stmt *st = sq_sql(tx->db, "SELECT m.id, m.segment, m.offset,"
		" m.length, s.name FROM message m"
		" LEFT JOIN segment s ON s.id = m.segment"
		" WHERE m.dead_ms IS NOT NULL AND m.dead_ms <= ?"
		" ORDER BY m.dead_ms LIMIT 100");
	int code;

	sq_bind(st, "i", r->before_ms);
	while ((code = sqlite3_step(st)) == SQLITE_ROW && r->n < BATCH) {
		r->victim[r->n] = victim_of(st);
		r->n += lock_victim(r, &r->victim[r->n]);
	}
	sqlite3_reset(st);
	return code == SQLITE_DONE || code == SQLITE_ROW ? MR_STORE_OK :
		sq_fail_db(err, tx->db, "collecting");
}

static int
delete_message(struct sq_tx *tx, struct victim *v, struct mr_error *err)
{
	int code = sq_run(tx->db, err, "DELETE FROM message WHERE id = ?"
		" AND dead_ms IS NOT NULL", "i", v->id);

	v->is_gone = code == MR_STORE_OK &&
		sqlite3_changes(tx->db->handle) == 1;
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM body"
			" WHERE message = ?", "i", v->id);
	if (code == MR_STORE_OK)
		code = sq_run(tx->db, err, "DELETE FROM cache"
			" WHERE message = ?", "i", v->id);
	if (code == MR_STORE_OK && tx->sq->index && v->is_gone)
		code = sq_run(tx->db, err, "INSERT INTO unindexed VALUES (?)",
			"i", v->id);
	return code;
}

static int
delete_messages(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct round *r = arg;
	int code = choose(tx, r, err);
	size_t i;

	for (i = 0; i < r->n && code == MR_STORE_OK; i++)
		code = delete_message(tx, &r->victim[i], err);
	return code;
}

static void
release(struct round *r, bool durable)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		struct victim *v = &r->victim[i];

		if (v->fd < 0)
			continue;
		if (durable && v->is_gone)
			sq_segment_punch(v->fd, v->offset, v->length);
		close(v->fd);
	}
}

/* -------------------------------------------------------------- segments */

static int
delete_segment(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct round *r = arg;
	int64_t one;
	int code = sq_number(tx->db, err, &one, "SELECT 1 FROM message"
		" WHERE segment > 0 AND segment = ? LIMIT 1", "i", r->segment);

	if (code == MR_STORE_OK)
		return MR_STORE_EXISTS;
	if (code != MR_STORE_MISSING)
		return code;
	return sq_run(tx->db, err, "DELETE FROM segment WHERE id = ?", "i",
		r->segment);
}

/* While we hold its lock nobody else takes it away; nobody appends to a file
 * that its maker has left. */
static void
drop_segment(struct round *r, int64_t id, const char *name)
{
	struct sq_segments *all = r->sq->segments;
	struct mr_error err;
	int fd;

	if (!id || !sq_segment_is_left(all, name, &fd))
		return;
	r->segment = id;
	if (sq_write_now(r->sq, delete_segment, r, &err) == MR_STORE_OK)
		unlinkat(sq_segments_folder(all), name, 0);
	if (fd >= 0)
		close(fd);
}

static void
drop_segments_of(struct round *r)
{
	int64_t last = 0;
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (r->victim[i].segment != last)
			drop_segment(r, r->victim[i].segment,
				r->victim[i].name);
		last = r->victim[i].segment;
	}
}

/* The next row behind *id; false at the end. */
static bool
next_segment(struct sq *s, int64_t *id, char *name, size_t size)
{
	sqlite3_stmt *st = sq_sql(sq_writer_db(s), "SELECT id, name"
		" FROM segment WHERE id > ? ORDER BY id LIMIT 1");
	bool is_there;

	sq_bind(st, "i", *id);
	is_there = sqlite3_step(st) == SQLITE_ROW;
	if (is_there) {
		*id = sqlite3_column_int64(st, 0);
		snprintf(name, size, "%s", sq_text(st, 1));
	}
	sqlite3_reset(st);
	return is_there;
}

/* -1: cannot tell. */
static int
has_row(struct sq *s, const char *name)
{
	int64_t id;
	int code = sq_number(sq_writer_db(s), NULL, &id,
		"SELECT id FROM segment WHERE name = ?", "s", name);

	return code == MR_STORE_OK ? 1 : code == MR_STORE_MISSING ? 0 : -1;
}

/* A file whose maker died before its row was there. */
static void
drop_stray(struct sq *s, const char *name)
{
	int folder = sq_segments_folder(s->segments), fd;
	struct stat st;

	if (name[0] == '.' || fstatat(folder, name, &st, 0) < 0 ||
		st.st_mtime > sq_clock_wall() / 1000 - STRAY_S ||
		has_row(s, name) != 0 ||
		!sq_segment_is_left(s->segments, name, &fd))
		return;
	unlinkat(folder, name, 0);
	if (fd >= 0)
		close(fd);
}

static void
sweep(struct round *r)
{
	char *path = sq_printf("%s/segments", r->sq->path);
	DIR *d = opendir(path);
	struct dirent *e;
	char name[64];
	int64_t id = 0;

	free(path);
	while (next_segment(r->sq, &id, name, sizeof name))
		drop_segment(r, id, name);
	while (d && (e = readdir(d)))
		drop_stray(r->sq, e->d_name);
	if (d)
		closedir(d);
}

/* ---------------------------------------------------------------- round */

static bool
is_any_dead(struct sq *s, int64_t before_ms)
{
	int64_t id;

	return sq_number(sq_writer_db(s), NULL, &id, "SELECT id FROM message"
		" WHERE dead_ms IS NOT NULL AND dead_ms <= ? LIMIT 1", "i",
		before_ms) == MR_STORE_OK;
}

int64_t
sq_collect_pause(const struct sq *s)
{
	int64_t pause = s->keep_removed / 4;

	return pause < 1000 ? 1000 : pause > 60000 ? 60000 : pause;
}

int64_t
sq_collect(struct sq *s, int64_t *sweep_at)
{
	struct round *r;
	struct mr_error err;
	int64_t now = sq_clock_mono(), pause = sq_collect_pause(s);

	r = sq_alloc(sizeof *r);
	r->sq = s;
	r->before_ms = sq_clock_wall() - s->keep_removed;
	if (is_any_dead(s, r->before_ms)) {
		int code = sq_write_now(s, delete_messages, r, &err);

		release(r, code == MR_STORE_OK);
		if (code == MR_STORE_OK)
			drop_segments_of(r);
		if (code == MR_STORE_OK && r->n == BATCH)
			pause = 0;
	}
	sq_forget(s);
	sq_removed_forget(s);
	if (sq_vacuum_some(s))
		pause = 0;
	if (now >= *sweep_at) {
		sweep(r);
		*sweep_at = now + SWEEP_MS;
	}
	free(r);
	return pause;
}
