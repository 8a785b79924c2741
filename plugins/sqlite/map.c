/*
 * map.c - see backup.h. A map ends in a digest of itself; each chunk has its
 * own, so what a disk has changed in a backup is not restored unseen.
 */
#include "backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "mailroom backup 1\n"
#define CHUNKS_MOST (1u << 26)		/* 4 TiB */
#define PACKS_MOST 100000

struct head {
	char magic[24];
	int64_t last_message;
	uint64_t size;
	uint32_t n_pack, n_chunk, n_segment, zero;
};

void
sq_map_free(struct sq_map *m)
{
	free(m->pack);
	free(m->chunk);
	free(m->segment);
	*m = (struct sq_map){.n_pack = 0};
}

static int
fail(struct mr_error *err, const char *state, const char *why)
{
	return sq_fail(err, MR_STORE_FAILED, "state %s of the backup: %s",
		state, why);
}

/* -------------------------------------------------------------- reading */

static int
take_parts(const char *text, size_t len, struct sq_map *m,
	struct mr_error *err)
{
	const struct head *h = (const void *)text;
	uint8_t digest[32];
	size_t packs, chunks, segments;

	if (len < sizeof *h + 32 || memcmp(h->magic, MAGIC, sizeof MAGIC) ||
		h->n_pack > PACKS_MOST || h->n_chunk > CHUNKS_MOST || h->n_segment > CHUNKS_MOST)
		return fail(err, m->state, "this is no map");
	packs = h->n_pack * (size_t)SQ_STATE_NAME;
	chunks = h->n_chunk * sizeof *m->chunk;
	segments = h->n_segment * (size_t)SQ_SEGMENT_NAME;
	EVP_Digest(text, len - 32, digest, NULL, EVP_sha256(), NULL);
	if (len != sizeof *h + packs + chunks + segments + 32 ||
		memcmp(digest, text + len - 32, 32))
		return fail(err, m->state, "its map is damaged");
	m->last_message = h->last_message;
	m->size = h->size;
	m->n_pack = h->n_pack;
	m->n_chunk = h->n_chunk;
	m->pack = sq_alloc(packs);
	memcpy(m->pack, text + sizeof *h, packs);
	m->chunk = sq_alloc(chunks);
	memcpy(m->chunk, text + sizeof *h + packs, chunks);
	m->n_segment = h->n_segment;
	m->segment = sq_alloc(segments);
	memcpy(m->segment, text + sizeof *h + packs + chunks, segments);
	return MR_STORE_OK;
}

static char *
read_file(int folder, const char *name, size_t *len)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size < (1LL << 32)) {
		*len = (size_t)st.st_size;
		text = sq_alloc(*len);
		if (pread(fd, text, *len, 0) != (ssize_t)*len) {
			free(text);
			text = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	return text;
}

int
sq_map_read(int folder, const char *state, struct sq_map *out,
	struct mr_error *err)
{
	char name[SQ_STATE_NAME + 8], *text;
	size_t len = 0;
	int code;

	*out = (struct sq_map){.n_pack = 0};
	snprintf(out->state, sizeof out->state, "%s", state);
	snprintf(name, sizeof name, "%s.map", out->state);
	text = read_file(folder, name, &len);
	code = text ? take_parts(text, len, out, err) :
		fail(err, state, strerror(errno));
	free(text);
	return code;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t
sq_map_list(int folder, char ***out)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;
	size_t n = 0;

	*out = NULL;
	while (dir && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		if (len <= 4 || len - 4 >= SQ_STATE_NAME ||
			strcmp(d->d_name + len - 4, ".map"))
			continue;
		*out = realloc(*out, (n + 1) * sizeof **out);
		if (!*out)
			abort();
		(*out)[n++] = sq_printf("%.*s", (int)len - 4, d->d_name);
	}
	if (dir)
		closedir(dir);
	if (n)
		qsort(*out, n, sizeof **out, by_name);
	return n;
}

int
sq_map_read_last(int folder, struct sq_map *out, struct mr_error *err)
{
	char **name;
	size_t n, i;
	int code = MR_STORE_OK;

	*out = (struct sq_map){.n_pack = 0};
	n = sq_map_list(folder, &name);
	if (n)
		code = sq_map_read(folder, name[n - 1], out, err);
	for (i = 0; i < n; i++)
		free(name[i]);
	free(name);
	return code;
}

/* -------------------------------------------------------------- writing */

static int
write_all(int fd, const void *bytes, size_t len, struct mr_error *err)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sq_fail(err, errno == ENOSPC ? MR_STORE_FULL :
				MR_STORE_FAILED, "writing the backup: %s",
				strerror(errno));
		at += n;
		len -= (size_t)n;
	}
	return MR_STORE_OK;
}

static int
open_new(int folder, const char *state, const char *suffix,
	struct mr_error *err)
{
	char name[SQ_STATE_NAME + 16];
	int fd;

	snprintf(name, sizeof name, "%s%s", state, suffix);
	fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		0600);
	if (fd < 0)
		fail(err, state, strerror(errno));
	return fd;
}

static int
close_new(int fd, int code, struct mr_error *err)
{
	if (code == MR_STORE_OK && fsync(fd) < 0)
		code = sq_fail(err, MR_STORE_FAILED,
			"flushing the backup: %s", strerror(errno));
	close(fd);
	return code;
}

/* The index of a pack in the new map. */
static uint32_t
use_pack(struct sq_map *m, const char *name)
{
	uint32_t i = m->n_pack;

	while (i > 0 && strcmp(m->pack[i - 1], name))
		i--;
	if (i > 0)
		return i - 1;
	m->pack = realloc(m->pack, (m->n_pack + 1) * sizeof *m->pack);
	if (!m->pack)
		abort();
	memset(m->pack[m->n_pack], 0, sizeof *m->pack);
	snprintf(m->pack[m->n_pack], sizeof *m->pack, "%s", name);
	return m->n_pack++;
}

void
sq_map_add_segment(struct sq_map *m, const char *name)
{
	m->segment = realloc(m->segment, (m->n_segment + 1) *
		sizeof *m->segment);
	if (!m->segment)
		abort();
	memset(m->segment[m->n_segment], 0, sizeof *m->segment);
	snprintf(m->segment[m->n_segment++], sizeof *m->segment, "%s", name);
}

struct cut {
	int from, to;
	const struct sq_map *before;
	struct sq_map *m;
	uint32_t place;		/* in the new pack */
};

static int
cut_one(struct cut *c, uint32_t i, const uint8_t *chunk, size_t len,
	struct mr_error *err)
{
	const struct sq_chunk *old = i < c->before->n_chunk ?
		&c->before->chunk[i] : NULL;
	struct sq_chunk *now = &c->m->chunk[i];
	uint8_t digest[32];

	EVP_Digest(chunk, len, digest, NULL, EVP_sha256(), NULL);
	memcpy(now->digest, digest, sizeof now->digest);
	if (old && !memcmp(old->digest, digest, sizeof old->digest) &&
		old->pack < c->before->n_pack) {
		now->pack = use_pack(c->m, c->before->pack[old->pack]);
		now->place = old->place;
		return MR_STORE_OK;
	}
	now->pack = use_pack(c->m, c->m->state);
	now->place = c->place++;
	return write_all(c->to, chunk, SQ_CHUNK, err);
}

static int
cut_file(struct cut *c, struct mr_error *err)
{
	uint8_t *chunk = sq_alloc(SQ_CHUNK);
	int code = MR_STORE_OK;
	uint32_t i;

	for (i = 0; i < c->m->n_chunk && code == MR_STORE_OK; i++) {
		uint64_t left = c->m->size - (uint64_t)i * SQ_CHUNK;
		size_t len = left < SQ_CHUNK ? (size_t)left : SQ_CHUNK;

		memset(chunk, 0, SQ_CHUNK);
		if (pread(c->from, chunk, len, (off_t)i * SQ_CHUNK) !=
			(ssize_t)len)
			code = sq_fail(err, MR_STORE_FAILED,
				"reading the copy: %s", strerror(errno));
		else
			code = cut_one(c, i, chunk, len, err);
	}
	free(chunk);
	return code;
}

static int
write_map(int folder, const struct sq_map *m, struct mr_error *err)
{
	struct head h = {.magic = MAGIC, .last_message = m->last_message,
		.size = m->size, .n_pack = m->n_pack, .n_chunk = m->n_chunk,
		.n_segment = m->n_segment};
	size_t packs = m->n_pack * sizeof *m->pack;
	size_t chunks = m->n_chunk * sizeof *m->chunk;
	size_t segments = m->n_segment * sizeof *m->segment;
	size_t all = sizeof h + packs + chunks + segments;
	char *text = sq_alloc(all + 32);
	char from[SQ_STATE_NAME + 8], to[SQ_STATE_NAME + 8];
	int fd = open_new(folder, m->state, ".new", err), code;

	memcpy(text, &h, sizeof h);
	if (packs)
		memcpy(text + sizeof h, m->pack, packs);
	memcpy(text + sizeof h + packs, m->chunk, chunks);
	if (segments)
		memcpy(text + all - segments, m->segment, segments);
	EVP_Digest(text, all, (uint8_t *)text + all, NULL, EVP_sha256(),
		NULL);
	code = fd < 0 ? MR_STORE_FAILED : write_all(fd, text, all + 32, err);
	if (fd >= 0)
		code = close_new(fd, code, err);
	free(text);
	snprintf(from, sizeof from, "%s.new", m->state);
	snprintf(to, sizeof to, "%s.map", m->state);
	if (code == MR_STORE_OK && (renameat(folder, from, folder, to) < 0 ||
		fsync(folder) < 0))
		code = fail(err, m->state, strerror(errno));
	return code;
}

int
sq_map_write(int folder, const char *file, const struct sq_map *before,
	struct sq_map *m, uint64_t *written, struct mr_error *err)
{
	struct cut c = {.before = before, .m = m};
	struct stat st;
	int code;

	c.from = open(file, O_RDONLY | O_CLOEXEC);
	if (c.from < 0 || fstat(c.from, &st) < 0)
		return sq_fail(err, MR_STORE_FAILED, "%s: %s", file,
			strerror(errno));
	m->size = (uint64_t)st.st_size;
	m->n_chunk = (uint32_t)((m->size + SQ_CHUNK - 1) / SQ_CHUNK);
	m->chunk = sq_alloc(m->n_chunk * sizeof *m->chunk);
	c.to = open_new(folder, m->state, ".pages", err);
	code = c.to < 0 ? MR_STORE_FAILED : cut_file(&c, err);
	if (c.to >= 0)
		code = close_new(c.to, code, err);
	close(c.from);
	*written += (uint64_t)c.place * SQ_CHUNK;
	return code == MR_STORE_OK ? write_map(folder, m, err) : code;
}

/* ----------------------------------------------------------- assembling */

static int
open_packs(int folder, const struct sq_map *m, int *fd)
{
	uint32_t i;

	for (i = 0; i < m->n_pack; i++)
		fd[i] = -1;
	for (i = 0; i < m->n_pack; i++) {
		char name[SQ_STATE_NAME + 8];

		snprintf(name, sizeof name, "%.*s.pages", SQ_STATE_NAME - 1,
			m->pack[i]);
		fd[i] = openat(folder, name, O_RDONLY | O_CLOEXEC);
		if (fd[i] < 0)
			return -1;
	}
	return 0;
}

static int
take_chunk(const struct sq_map *m, uint32_t i, const int *fd, uint8_t *chunk,
	struct mr_error *err)
{
	const struct sq_chunk *c = &m->chunk[i];
	uint64_t left = m->size - (uint64_t)i * SQ_CHUNK;
	size_t len = left < SQ_CHUNK ? (size_t)left : SQ_CHUNK;
	uint8_t digest[32];

	if (c->pack >= m->n_pack || pread(fd[c->pack], chunk, len,
		(off_t)c->place * SQ_CHUNK) != (ssize_t)len)
		return fail(err, m->state, "pages are missing");
	EVP_Digest(chunk, len, digest, NULL, EVP_sha256(), NULL);
	if (memcmp(digest, c->digest, sizeof c->digest))
		return fail(err, m->state, "pages are damaged");
	return MR_STORE_OK;
}

int
sq_map_assemble(int folder, const struct sq_map *m, const char *file,
	struct mr_error *err)
{
	int *fd = sq_alloc((m->n_pack + 1) * sizeof *fd);
	uint8_t *chunk = sq_alloc(SQ_CHUNK);
	int to = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int code = MR_STORE_OK;
	uint32_t i;

	if (to < 0)
		code = sq_fail(err, MR_STORE_FAILED, "%s: %s", file,
			strerror(errno));
	else if (open_packs(folder, m, fd) < 0)
		code = fail(err, m->state, "a file of pages is missing");
	for (i = 0; i < m->n_chunk && code == MR_STORE_OK; i++) {
		uint64_t left = m->size - (uint64_t)i * SQ_CHUNK;

		code = take_chunk(m, i, fd, chunk, err);
		if (code == MR_STORE_OK)
			code = write_all(to, chunk, left < SQ_CHUNK ?
				(size_t)left : SQ_CHUNK, err);
	}
	for (i = 0; i < m->n_pack; i++)
		if (fd[i] > 0)
			close(fd[i]);
	if (to >= 0)
		close(to);
	free(chunk);
	free(fd);
	return code;
}
