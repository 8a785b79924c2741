/*
 * segment.c - append-only files for large bodies.
 *
 * Each process appends to a file of its own and holds an flock on it while it
 * may still do so. A body gets its range under the lock, is written by its own
 * thread, and shares the flush with others that wait for one: a flush serves
 * those whose bytes were written before it began. Only then may a row point
 * there; so a tail without rows, after a crash or a failed write, is garbage
 * and never mail. A file whose flush failed once is not appended to again: the
 * kernel has forgotten which of its pages never reached the disk.
 *
 * all->lock guards the current file and all fields of its files.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#define BLOCK (128 << 10)

struct sq_segment {
	struct sq_segments *all;
	int64_t id;
	int fd;
	uint64_t end;			/* next free byte */
	unsigned uses;			/* being current is one */
	uint64_t started, finished;	/* flushes */
	bool is_flushing, is_bad;
};

struct sq_segments {
	struct sq *sq;
	int folder;
	pthread_mutex_t lock;
	pthread_cond_t news;		/* a flush ended, or a file is made */
	struct sq_segment *current;
	bool is_making;
};

/* --------------------------------------------------------------- bytes */

static int
write_all(int fd, const uint8_t *at, uint64_t len, uint64_t offset,
	struct mr_error *err)
{
	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sq_fail(err, errno == ENOSPC || errno == EDQUOT ?
				MR_STORE_FULL : MR_STORE_FAILED,
				"writing a message: %s", strerror(errno));
		at += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return MR_STORE_OK;
}

static int
read_all(int fd, uint8_t *out, uint64_t len, uint64_t offset,
	struct mr_error *err)
{
	while (len) {
		ssize_t n = pread(fd, out, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return sq_fail(err, MR_STORE_FAILED, "reading the "
				"spooled message: %s", n < 0 ?
				strerror(errno) : "it is too short");
		out += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return MR_STORE_OK;
}

int
sq_pieces_read(const struct mr_piece *piece, size_t n, uint8_t *out,
	struct mr_error *err)
{
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < n && code == MR_STORE_OK; i++) {
		if (piece[i].fd >= 0)
			code = read_all(piece[i].fd, out, piece[i].length,
				piece[i].offset, err);
		else if (piece[i].length)
			memcpy(out, piece[i].mem, piece[i].length);
		out += piece[i].length;
	}
	return code;
}

static int
copy_file(int to, const struct mr_piece *p, uint64_t offset, uint8_t *block,
	struct mr_error *err)
{
	uint64_t done = 0;
	int code;

	while (done < p->length) {
		uint64_t n = p->length - done;

		if (n > BLOCK)
			n = BLOCK;
		code = read_all(p->fd, block, n, p->offset + done, err);
		if (code == MR_STORE_OK)
			code = write_all(to, block, n, offset + done, err);
		if (code != MR_STORE_OK)
			return code;
		done += n;
	}
	return MR_STORE_OK;
}

static int
write_pieces(int fd, const struct mr_piece *piece, size_t n, uint64_t offset,
	struct mr_error *err)
{
	uint8_t *block = NULL;
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < n && code == MR_STORE_OK; i++) {
		if (piece[i].fd < 0) {
			code = write_all(fd, piece[i].mem, piece[i].length,
				offset, err);
		} else {
			if (!block)
				block = sq_alloc(BLOCK);
			code = copy_file(fd, &piece[i], offset, block, err);
		}
		offset += piece[i].length;
	}
	free(block);
	return code;
}

/* --------------------------------------------------------- a new file */

struct row {
	const char *name;
	int64_t id;
};

static int
insert_row(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct row *r = arg;
	int code = sq_run(tx->db, err,
		"INSERT INTO segment (name) VALUES (?)", "s", r->name);

	r->id = sqlite3_last_insert_rowid(tx->db->handle);
	return code;
}

static int
fail_file(struct mr_error *err, const char *name, int why)
{
	return sq_fail(err, why == ENOSPC || why == EDQUOT ? MR_STORE_FULL :
		MR_STORE_FAILED, "cannot create segments/%s: %s", name,
		strerror(why));
}

/* The file and its name, on disk. */
static int
create_file(struct sq_segments *all, char *name, size_t size, int *fd,
	struct mr_error *err)
{
	uint32_t random;
	int code;

	if (getrandom(&random, sizeof random, 0) != sizeof random)
		random = (uint32_t)sq_clock_mono();
	snprintf(name, size, "%d-%08x", (int)getpid(), random);
	*fd = openat(all->folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		0600);
	if (*fd < 0)
		return fail_file(err, name, errno);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0 && fsync(all->folder) == 0)
		return MR_STORE_OK;
	code = fail_file(err, name, errno);
	unlinkat(all->folder, name, 0);
	close(*fd);
	return code;
}

static struct sq_segment *
make(struct sq_segments *all, int *code, struct mr_error *err)
{
	struct sq_segment *g;
	char name[40];
	struct row r = {.name = name};
	int fd;

	*code = create_file(all, name, sizeof name, &fd, err);
	if (*code != MR_STORE_OK)
		return NULL;
	*code = sq_write(all->sq, insert_row, &r, err);
	if (*code != MR_STORE_OK) {
		unlinkat(all->folder, name, 0);
		close(fd);
		return NULL;
	}
	g = sq_alloc(sizeof *g);
	*g = (struct sq_segment){.all = all, .id = r.id, .fd = fd, .uses = 1};
	return g;
}

/* all->lock is held. */
static void
let_go(struct sq_segment *g)
{
	if (--g->uses)
		return;
	close(g->fd);		/* and with it the flock */
	free(g);
}

static bool
is_usable(const struct sq_segments *all)
{
	const struct sq_segment *g = all->current;

	return g && !g->is_bad && g->end < (uint64_t)all->sq->segment_size;
}

/* Sees to it that there is a current file; all->lock is held. One thread makes
 * it while the others wait. */
static int
need_current(struct sq_segments *all, struct mr_error *err)
{
	struct sq_segment *made;
	int code;

	while (!is_usable(all)) {
		if (all->is_making) {
			pthread_cond_wait(&all->news, &all->lock);
			continue;
		}
		all->is_making = true;
		pthread_mutex_unlock(&all->lock);
		made = make(all, &code, err);
		pthread_mutex_lock(&all->lock);
		all->is_making = false;
		pthread_cond_broadcast(&all->news);
		if (!made)
			return code;
		if (all->current)
			let_go(all->current);
		all->current = made;
	}
	return MR_STORE_OK;
}

/* ---------------------------------------------------------- appending */

int
sq_segment_flush(struct sq_segment *g, struct mr_error *err)
{
	struct sq_segments *all = g->all;
	uint64_t mine;
	int code, why = EIO;

	pthread_mutex_lock(&all->lock);
	mine = g->started + 1;
	while (g->finished < mine && !g->is_bad) {
		if (g->is_flushing) {
			pthread_cond_wait(&all->news, &all->lock);
			continue;
		}
		g->is_flushing = true;
		g->started++;
		pthread_mutex_unlock(&all->lock);
		code = fdatasync(g->fd);
		why = errno;
		pthread_mutex_lock(&all->lock);
		g->is_flushing = false;
		if (code < 0)
			g->is_bad = true;
		else
			g->finished = g->started;
		pthread_cond_broadcast(&all->news);
	}
	code = g->finished >= mine ? MR_STORE_OK : MR_STORE_FAILED;
	pthread_mutex_unlock(&all->lock);
	if (code == MR_STORE_OK)
		return code;
	return sq_fail(err, why == ENOSPC || why == EDQUOT ? MR_STORE_FULL :
		MR_STORE_FAILED, "flushing a message: %s", strerror(why));
}

int
sq_segment_append(struct sq_segments *all, const struct mr_commit *c,
	struct sq_spooled *out, struct mr_error *err)
{
	struct sq_segment *g;
	uint64_t offset;
	int code;

	pthread_mutex_lock(&all->lock);
	code = need_current(all, err);
	if (code != MR_STORE_OK) {
		pthread_mutex_unlock(&all->lock);
		return code;
	}
	g = all->current;
	offset = g->end;
	g->end += c->length;
	g->uses++;
	pthread_mutex_unlock(&all->lock);
	code = write_pieces(g->fd, c->piece, c->n_piece, offset, err);
	if (code != MR_STORE_OK) {
		sq_segment_let_go(g, (int64_t)offset, c->length, true);
		return code;
	}
	out->segment = g->id;
	out->offset = (int64_t)offset;
	out->length = c->length;
	out->held = g;
	return MR_STORE_OK;
}

void
sq_segment_let_go(struct sq_segment *g, int64_t offset, uint64_t length,
	bool unwanted)
{
	struct sq_segments *all = g->all;

	if (unwanted)
		sq_segment_punch(g->fd, offset, length);
	pthread_mutex_lock(&all->lock);
	let_go(g);
	pthread_mutex_unlock(&all->lock);
}

/* ------------------------------------------------- reading, collecting */

int
sq_segment_open(struct sq_segments *all, const char *name, int64_t offset,
	uint64_t length, bool exclusive)
{
	struct flock range = {.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET, .l_start = offset,
		.l_len = (off_t)length};
	int fd = openat(all->folder, name, (exclusive ? O_RDWR : O_RDONLY) |
		O_CLOEXEC);
	int why;

	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &range) == 0)
		return fd;
	why = errno;
	close(fd);
	errno = why;
	return -1;
}

void
sq_segment_punch(int fd, int64_t offset, uint64_t length)
{
	/* A file system that cannot do it keeps the bytes until the whole
	 * file goes. */
	if (length)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			offset, (off_t)length);
}

bool
sq_segment_is_left(struct sq_segments *all, const char *name, int *fd)
{
	*fd = openat(all->folder, name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT;
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	close(*fd);
	*fd = -1;
	return false;
}

int
sq_segments_folder(const struct sq_segments *all)
{
	return all->folder;
}

/* ---------------------------------------------------------------- life */

struct sq_segments *
sq_segments_new(struct sq *s, struct mr_error *err)
{
	struct sq_segments *all = sq_alloc(sizeof *all);
	char *path = sq_printf("%s/segments", s->path);

	all->sq = s;
	all->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all->folder < 0)
		sq_fail(err, MR_STORE_FAILED, "cannot open %s: %s", path,
			strerror(errno));
	free(path);
	if (all->folder < 0) {
		free(all);
		return NULL;
	}
	pthread_mutex_init(&all->lock, NULL);
	pthread_cond_init(&all->news, NULL);
	return all;
}

void
sq_segments_free(struct sq_segments *all)
{
	if (!all)
		return;
	if (all->current)
		let_go(all->current);
	close(all->folder);
	pthread_cond_destroy(&all->news);
	pthread_mutex_destroy(&all->lock);
	free(all);
}
