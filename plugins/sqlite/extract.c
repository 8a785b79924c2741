/*
 * extract.c - a state of a backup becomes a store folder again.
 *
 * Bodies are copied: holes that the new store punches must not be in the
 * backup. What waited in the queue then may have gone out since, so it is
 * held until somebody has looked. UIDs go on behind those that may have been
 * given since.
 */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (256 << 10)

static int
fail(struct mr_error *err, const char *path)
{
	return sq_fail(err, errno == ENOSPC ? MR_STORE_FULL :
		MR_STORE_FAILED, "%s: %s", path, strerror(errno));
}

/* Only what is data: holes stay holes. */
static int
copy_data(int from, int to, off_t end)
{
	char *block = sq_alloc(BLOCK);
	off_t at = 0;

	while (at < end && (at = lseek(from, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(from, at, SEEK_HOLE);

		while (at < hole) {
			ssize_t n = pread(from, block, hole - at < BLOCK ?
				(size_t)(hole - at) : BLOCK, at);

			if (n <= 0 || pwrite(to, block, (size_t)n, at) != n) {
				free(block);
				return -1;
			}
			at += n;
		}
	}
	free(block);
	/* No data behind a place is no error. */
	return (at < 0 && errno != ENXIO) || ftruncate(to, end) < 0 ||
		fsync(to) < 0 ? -1 : 0;
}

/* One that the backup has not is of a segment without messages. */
static int
copy_segment(const char *path, const char *to, const char *name,
	struct mr_error *err)
{
	char *source = sq_printf("%s/segments/%s", path, name);
	char *target = sq_printf("%s/segments/%s", to, name);
	int from = open(source, O_RDONLY | O_CLOEXEC), out = -1;
	int code = MR_STORE_OK;
	struct stat st;

	if (from >= 0) {
		out = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			0600);
		if (out < 0 || fstat(from, &st) < 0 ||
			copy_data(from, out, st.st_size) < 0)
			code = fail(err, target);
	} else if (errno != ENOENT) {
		code = fail(err, source);
	}
	if (from >= 0)
		close(from);
	if (out >= 0)
		close(out);
	free(source);
	free(target);
	return code;
}

static int
copy_segments(struct sq_db *db, const char *path, const char *to,
	struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT name FROM segment");
	int code = MR_STORE_OK, step = SQLITE_ERROR;

	while (st && code == MR_STORE_OK &&
		(step = sqlite3_step(st)) == SQLITE_ROW)
		code = strchr(sq_text(st, 0), '/') ? MR_STORE_OK :
			copy_segment(path, to, sq_text(st, 0), err);
	if (code == MR_STORE_OK && step != SQLITE_DONE)
		code = sq_fail_db(err, db, "listing segments");
	sqlite3_reset(st);
	return code;
}

/* UIDs and modseqs that were given after the state may be known to clients,
 * and to a later restore in place: none of them is given again, and clients
 * hear what is there and what is not as if all of it had changed now. */
static int
pass_over(struct sq_db *db, struct mr_error *err)
{
	int code = sq_run(db, err, "UPDATE mailbox SET modseq = modseq + "
		"1000000, forgotten = modseq + 1000000, uidnext = max(uidnext,"
		" min(uidnext + 100000, 4294000000))", "");

	return code == MR_STORE_OK ? sq_run(db, err, "UPDATE entry SET modseq"
		" = (SELECT modseq FROM mailbox WHERE id = entry.mailbox)"
		" WHERE mailbox IN (SELECT id FROM mailbox)", "") : code;
}

static int
finish(const char *path, const char *to, struct mr_error *err)
{
	struct sq_db *db = sq_db_open(to, SQ_WRITES, err);
	int code = db ? sq_run(db, err, "UPDATE queue SET state = 3,"
		" owner = NULL, reply = 'restored from a backup'"
		" WHERE state < 3", "") : MR_STORE_FAILED;

	if (code == MR_STORE_OK)
		code = pass_over(db, err);
	if (code == MR_STORE_OK)
		code = copy_segments(db, path, to, err);
	sq_db_close(db);
	return code;
}

int
sq_backup_extract(void *self, const char *path, const char *state,
	const char *to, struct mr_error *err)
{
	char *segments = sq_printf("%s/segments", to);
	int code = MR_STORE_OK;

	(void)self;
	if (mkdir(to, 0700) < 0 || mkdir(segments, 0700) < 0)
		code = fail(err, to);
	if (code == MR_STORE_OK)
		code = sq_state_database(path, state, to, err);
	if (code == MR_STORE_OK)
		code = finish(path, to, err);
	free(segments);
	return code;
}
