/*
 * body.c - reading a message back.
 *
 * A small body is copied when it is opened. A large one is read from its
 * segment; a shared lock on its range, which belongs to the open file, keeps
 * the collector of any process from punching it away meanwhile.
 */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct body {
	uint8_t *row;		/* small: all of it */
	int fd;			/* else: where it stands */
	int64_t offset;
	uint64_t length;
};

struct where {
	int64_t segment, offset;
	uint64_t length;
	char name[64];
};

static int
gone(struct mr_error *err, int64_t message)
{
	return sq_fail(err, MR_STORE_MISSING, "message %lld is not there",
		(long long)message);
}

/* A small body is copied on the way, if `small` is not NULL. */
static int
take(struct sq_db *db, sqlite3_stmt *st, int64_t message, struct where *w,
	uint8_t **small, struct mr_error *err)
{
	w->length = (uint64_t)sqlite3_column_int64(st, 0);
	w->segment = sqlite3_column_int64(st, 1);
	w->offset = sqlite3_column_int64(st, 2);
	snprintf(w->name, sizeof w->name, "%s", sq_text(st, 3));
	if (w->segment || !small)
		return MR_STORE_OK;
	if (sqlite3_column_type(st, 4) == SQLITE_NULL ||
		(uint64_t)sqlite3_column_bytes(st, 4) != w->length)
		return sq_fail(err, MR_STORE_FAILED, "the body of message "
			"%lld cannot be read: %s", (long long)message,
			sqlite3_errmsg(db->handle));
	*small = sq_alloc(w->length);
	if (w->length)
		memcpy(*small, sqlite3_column_blob(st, 4), w->length);
	return MR_STORE_OK;
}

static int
find(struct sq_db *db, int64_t message, struct where *w, uint8_t **small,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT m.length, m.segment, m.offset,"
		" s.name, b.bytes FROM message m LEFT JOIN segment s"
		" ON s.id = m.segment LEFT JOIN body b ON b.message = m.id"
		" WHERE m.id = ?");
	int code;

	sq_bind(st, "i", message);
	switch (sqlite3_step(st)) {
	case SQLITE_ROW:
		code = take(db, st, message, w, small, err);
		break;
	case SQLITE_DONE:
		code = gone(err, message);
		break;
	default:
		code = sq_fail_db(err, db, "finding a message");
	}
	sqlite3_reset(st);
	return code;
}

/* The collector locks the range, deletes the row, and punches then. So a row
 * that is still there once we have our lock stays readable. */
static int
open_segment(struct sq *s, int64_t message, const struct where *w,
	struct body *b, struct mr_error *err)
{
	struct where again;
	struct sq_db *db;
	int code;

	b->fd = sq_segment_open(s->segments, w->name, w->offset, w->length,
		false);
	if (b->fd < 0 && errno == EAGAIN)
		return gone(err, message);
	if (b->fd < 0)
		return sq_fail(err, MR_STORE_FAILED, "segments/%s: %s",
			w->name, strerror(errno));
	b->offset = w->offset;
	db = sq_read(s, err);
	if (!db)
		return MR_STORE_FAILED;
	code = find(db, message, &again, NULL, err);
	sq_read_end(s, db);
	return code;
}

int
sq_body_open(void *self, int64_t message, void **body, uint64_t *length,
	struct mr_error *err)
{
	struct sq *s = self;
	struct body *b;
	struct where w;
	struct sq_db *db = sq_read(s, err);
	int code;

	if (!db)
		return MR_STORE_FAILED;
	b = sq_alloc(sizeof *b);
	b->fd = -1;
	code = find(db, message, &w, &b->row, err);
	b->length = w.length;
	sq_read_end(s, db);
	if (code == MR_STORE_OK && w.segment)
		code = open_segment(s, message, &w, b, err);
	if (code != MR_STORE_OK) {
		sq_body_close(b);
		return code;
	}
	*body = b;
	*length = b->length;
	return MR_STORE_OK;
}

int64_t
sq_body_read(void *body, uint64_t offset, void *out, size_t len,
	struct mr_error *err)
{
	struct body *b = body;
	ssize_t n;

	if (offset >= b->length)
		return 0;
	if (len > b->length - offset)
		len = (size_t)(b->length - offset);
	if (b->fd < 0) {
		memcpy(out, b->row + offset, len);
		return (int64_t)len;
	}
	do
		n = pread(b->fd, out, len, b->offset + (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n > 0 || len == 0)
		return n;
	sq_fail(err, MR_STORE_FAILED, "reading a message: %s",
		n < 0 ? strerror(errno) : "its segment is too short");
	return -1;
}

void
sq_body_close(void *body)
{
	struct body *b = body;

	if (!b)
		return;
	if (b->fd >= 0)
		close(b->fd);
	free(b->row);
	free(b);
}
