/*
 * index_chunk.c - texts, some tens in a row of the index's database: a table
 * of heads and one of the rest. Packed by zstd where that is wanted and the
 * plugin was built with it.
 */
#include "index.h"

#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define HEAD (sizeof(int64_t) + sizeof(uint32_t))	/* id and length */

/* --------------------------------------------------------------- packing */

/* Returns the packed bytes, or NULL: they stay as they are. */
static char *
pack(const char *bytes, size_t size, size_t *packed)
{
#ifdef HAVE_ZSTD
	size_t room = ZSTD_compressBound(size);
	char *out = sq_alloc(room);

	*packed = ZSTD_compress(out, room, bytes, size, 1);
	if (!ZSTD_isError(*packed) && *packed < size)
		return out;
	free(out);
#else
	(void)bytes;
#endif
	*packed = size;
	return NULL;
}

void
sq_unpacker_free(void *unpacker)
{
#ifdef HAVE_ZSTD
	ZSTD_freeDCtx(unpacker);
#else
	(void)unpacker;
#endif
}

/* size: of the bytes as they were. NULL: not readable. */
static char *
unpack(struct sq_db *db, const void *bytes, size_t packed, size_t size)
{
	char *out = malloc(size + 1);

	if (!out)
		abort();
	if (packed == size) {
		if (size)
			memcpy(out, bytes, size);
		return out;
	}
#ifdef HAVE_ZSTD
	if (!db->unpacker)
		db->unpacker = ZSTD_createDCtx();
	if (db->unpacker && ZSTD_decompressDCtx(db->unpacker, out, size,
		bytes, packed) == size)
		return out;
#else
	(void)db;
#endif
	free(out);
	return NULL;
}

/* --------------------------------------------------------------- reading */

/* The heads stand in front of the texts. */
static bool
read_heads(struct sq_chunk *c, size_t n)
{
	size_t at = n * HEAD, i;

	if (at > c->size)
		return false;
	c->text = sq_alloc(n * sizeof *c->text);
	c->n = n;
	for (i = 0; i < n; i++) {
		struct sq_text *t = &c->text[i];

		memcpy(&t->id, c->bytes + i * HEAD, sizeof t->id);
		memcpy(&t->length, c->bytes + i * HEAD + sizeof t->id,
			sizeof t->length);
		t->at = (uint32_t)at;
		if (t->length == SQ_TEXT_NONE)
			continue;
		if (t->length > c->size - at)
			return false;
		at += t->length;
	}
	return true;
}

static const char *const read_chunk[MR_INDEX_SPACES] = {
	"SELECT first, last, n, size, weight, bytes FROM head"
	" WHERE first <= ? ORDER BY first DESC LIMIT 1",
	"SELECT first, last, n, size, weight, bytes FROM rest"
	" WHERE first <= ? ORDER BY first DESC LIMIT 1",
};

int
sq_chunk_read(struct sq_db *db, enum mr_index_space space, int64_t id,
	struct sq_chunk *out, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, read_chunk[space]);
	int code = MR_STORE_MISSING, step;

	*out = (struct sq_chunk){.space = space, .last = -1};
	sq_bind(st, "i", id);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW && sqlite3_column_int64(st, 1) >= id) {
		out->size = (size_t)sqlite3_column_int64(st, 3);
		out->weight = sqlite3_column_int64(st, 4);
		out->bytes = unpack(db, sqlite3_column_blob(st, 5),
			(size_t)sqlite3_column_bytes(st, 5), out->size);
		if (out->bytes && read_heads(out,
			(size_t)sqlite3_column_int64(st, 2))) {
			out->first = sqlite3_column_int64(st, 0);
			out->last = sqlite3_column_int64(st, 1);
			code = MR_STORE_OK;
		}
	} else if (step != SQLITE_ROW && step != SQLITE_DONE) {
		code = sq_fail_db(err, db, "reading the index");
	}
	sqlite3_reset(st);
	if (code != MR_STORE_OK)
		sq_chunk_free(out);
	return code;
}

void
sq_chunk_free(struct sq_chunk *c)
{
	free(c->text);
	free(c->bytes);
	*c = (struct sq_chunk){.space = c->space, .last = -1};
}

const struct sq_text *
sq_chunk_find(const struct sq_chunk *c, int64_t id)
{
	size_t low = 0, high = c->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (c->text[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->n && c->text[low].id == id ? &c->text[low] : NULL;
}

/* --------------------------------------------------------------- writing */

static char *
join(const struct sq_chunk *c, size_t *size)
{
	size_t at = c->n * HEAD, i;
	char *out;

	*size = at;
	for (i = 0; i < c->n; i++)
		if (c->text[i].length != SQ_TEXT_NONE)
			*size += c->text[i].length;
	out = sq_alloc(*size);
	for (i = 0; i < c->n; i++) {
		const struct sq_text *t = &c->text[i];

		memcpy(out + i * HEAD, &t->id, sizeof t->id);
		memcpy(out + i * HEAD + sizeof t->id, &t->length,
			sizeof t->length);
		if (t->length == SQ_TEXT_NONE || t->length == 0)
			continue;
		memcpy(out + at, c->bytes + t->at, t->length);
		at += t->length;
	}
	return out;
}

static const char *const write_chunk[MR_INDEX_SPACES] = {
	"INSERT OR REPLACE INTO head (first, last, n, size, weight, bytes)"
	" VALUES (?, ?, ?, ?, ?, ?)",
	"INSERT OR REPLACE INTO rest (first, last, n, size, weight, bytes)"
	" VALUES (?, ?, ?, ?, ?, ?)",
};

int
sq_chunk_write(struct sq_db *db, const struct sq_chunk *c, bool packs,
	struct mr_error *err)
{
	size_t size, packed;
	char *plain = join(c, &size), *small = NULL;
	int code;

	packed = size;
	if (packs)
		small = pack(plain, size, &packed);
	code = sq_run(db, err, write_chunk[c->space], "iiiiib", c->first,
		c->last, (int64_t)c->n, (int64_t)size, c->weight,
		small ? small : plain, packed);
	free(plain);
	free(small);
	return code;
}

int
sq_chunk_drop(struct sq_db *db, int64_t first, int64_t last,
	struct mr_error *err)
{
	int code = sq_run(db, err, "DELETE FROM head WHERE first BETWEEN"
		" ? AND ?", "ii", first, last);

	return code == MR_STORE_OK ? sq_run(db, err, "DELETE FROM rest"
		" WHERE first BETWEEN ? AND ?", "ii", first, last) : code;
}
