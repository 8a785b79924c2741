/*
 * index_block.c - which texts of a block contain which three bytes.
 *
 * A row of postings holds the triples that begin with the same two bytes: the
 * third byte, then the texts that have the triple, as numbers within the
 * block: a count and the distances from one to the next, or, for many, a
 * bitmap. Rows of a block follow each other, so that they are written in
 * order and read with one step each. Texts of a block's heads stand in front
 * of those of the rest: each space has a slot of its own.
 *
 * Triples are of bytes, not of characters: two characters of Chinese are
 * four triples. A NUL counts as standing behind each text, so that a needle
 * of two bytes is what the triples of one row are of.
 */
#include "index.h"

#include <stdlib.h>
#include <string.h>

#define BITMAP (SQ_BLOCK_MESSAGES / 8)
#define COUNT_MOST 120		/* as a list; more are a bitmap */
#define IS_BITMAP 255
#define TRIPLES (1 << 24)
#define LOOKED_AT 48		/* triples of a needle; more say little */

/* ------------------------------------------------------------- collecting */

/* Each pair is a triple and, in its low bits, the number of a text. */
struct pairs {
	uint64_t *at;
	size_t n, room;
	uint8_t *seen;		/* a bit for each triple, of one text */
};

static void
add_pair(struct pairs *p, uint32_t triple, uint32_t number)
{
	if (p->seen[triple >> 3] & 1u << (triple & 7))
		return;
	p->seen[triple >> 3] |= (uint8_t)(1u << (triple & 7));
	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 1 << 16;
		p->at = realloc(p->at, p->room * sizeof *p->at);
		if (!p->at)
			abort();
	}
	p->at[p->n++] = (uint64_t)triple << 16 | number;
}

static void
add_text(struct pairs *p, const char *text, size_t length, uint32_t number)
{
	size_t start = p->n, i;
	uint32_t triple = 0;

	for (i = 0; i <= length; i++) {
		triple = (triple << 8 | (i < length ? (uint8_t)text[i] : 0)) &
			(TRIPLES - 1);
		if (i >= 2)
			add_pair(p, triple, number);
	}
	for (i = start; i < p->n; i++)
		p->seen[p->at[i] >> 19] = 0;
}

/* By triple; texts of one stay in order. Twice by 12 bits. */
static void
sort_pairs(struct pairs *p)
{
	uint64_t *other = sq_alloc(p->n * sizeof *other), *swap;
	size_t count[4096], sum, n, i;
	int shift;

	for (shift = 16; shift <= 28; shift += 12) {
		memset(count, 0, sizeof count);
		for (i = 0; i < p->n; i++)
			count[p->at[i] >> shift & 4095]++;
		for (i = 0, sum = 0; i < 4096; i++) {
			n = count[i];
			count[i] = sum;
			sum += n;
		}
		for (i = 0; i < p->n; i++)
			other[count[p->at[i] >> shift & 4095]++] = p->at[i];
		swap = p->at;
		p->at = other;
		other = swap;
	}
	free(other);
}

/* --------------------------------------------------------------- writing */

struct row {
	uint8_t bytes[256 * (2 + BITMAP)];
	size_t n;
};

static void
add_bitmap(struct row *r, const uint64_t *pair, size_t n)
{
	uint8_t *map = r->bytes + r->n;
	size_t i;

	memset(map, 0, BITMAP);
	for (i = 0; i < n; i++)
		map[(pair[i] & 0xffff) >> 3] |=
			(uint8_t)(1u << (pair[i] & 7));
	r->n += BITMAP;
}

/* A distance of 255 or more is written as bytes of 255 and the rest. */
static bool
add_list(struct row *r, const uint64_t *pair, size_t n)
{
	size_t start = r->n, i, last = 0, number, gap;

	for (i = 0; i < n; i++) {
		number = (size_t)(pair[i] & 0xffff);
		for (gap = number - last; gap >= 255; gap -= 255)
			r->bytes[r->n++] = 255;
		r->bytes[r->n++] = (uint8_t)gap;
		last = number;
	}
	if (r->n - start < BITMAP)
		return true;
	r->n = start;
	return false;
}

/* The pairs of one triple. */
static void
add_triple(struct row *r, const uint64_t *pair, size_t n)
{
	r->bytes[r->n++] = (uint8_t)(pair[0] >> 16);
	r->bytes[r->n++] = (uint8_t)n;
	if (n <= COUNT_MOST && add_list(r, pair, n))
		return;
	r->bytes[r->n - 1] = IS_BITMAP;
	add_bitmap(r, pair, n);
}

/* What stands above the two bytes in the key of a row. */
static int64_t
slot_of(int64_t number, enum mr_index_space space)
{
	return (number * MR_INDEX_SPACES + (int64_t)space) << 16;
}

static int
write_rows(struct sq_db *db, int64_t slot, const struct pairs *p,
	struct mr_error *err)
{
	struct row *r = sq_alloc(sizeof *r);
	int code = MR_STORE_OK;
	size_t i = 0, end;

	while (i < p->n && code == MR_STORE_OK) {
		uint64_t two = p->at[i] >> 24;

		for (r->n = 0; i < p->n && p->at[i] >> 24 == two; i = end) {
			for (end = i + 1; end < p->n &&
				p->at[end] >> 16 == p->at[i] >> 16; end++)
				;
			add_triple(r, p->at + i, end - i);
		}
		code = sq_run(db, err, "INSERT INTO posting (key, bytes)"
			" VALUES (?, ?)", "ib", slot | (int64_t)two,
			r->bytes, r->n);
	}
	free(r);
	return code;
}

/* -------------------------------------------------------------- building */

struct block {
	int64_t first, last, number;
	int64_t id[SQ_BLOCK_MESSAGES];
	uint8_t open[MR_INDEX_SPACES][BITMAP];	/* texts that are not kept */
	size_t n;
	struct pairs pairs;
};

/* Heads give the messages their numbers. */
static bool
number_heads(struct block *b, const struct sq_chunk *c)
{
	size_t i;

	if (c->n > SQ_BLOCK_MESSAGES - b->n)
		return false;
	for (i = 0; i < c->n; i++)
		b->id[b->n++] = c->text[i].id;
	return true;
}

/* *number: of the first message that may come; of those behind it after. A
 * rest without a head is of a message that is being taken out. */
static void
add_chunk(struct block *b, const struct sq_chunk *c, size_t *number)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		const struct sq_text *t = &c->text[i];
		size_t k = *number;

		while (k < b->n && b->id[k] < t->id)
			k++;
		*number = k;
		if (k == b->n || b->id[k] != t->id)
			continue;
		if (t->length == SQ_TEXT_NONE)
			b->open[c->space][k >> 3] |=
				(uint8_t)(1u << (k & 7));
		else
			add_text(&b->pairs, c->bytes + t->at, t->length,
				(uint32_t)k);
	}
}

static int
read_chunks(struct sq_db *db, struct block *b, enum mr_index_space space,
	struct mr_error *err)
{
	struct sq_chunk c;
	int code = MR_STORE_OK;
	int64_t id = b->first;
	size_t number = 0;

	while (id <= b->last && code == MR_STORE_OK) {
		code = sq_chunk_read(db, space, id, &c, err);
		if (code == MR_STORE_MISSING)
			code = sq_fail(err, MR_STORE_FAILED, "the index has a "
				"hole at message %lld", (long long)id);
		else if (code == MR_STORE_OK && space == MR_INDEX_HEAD &&
			!number_heads(b, &c))
			code = sq_fail(err, MR_STORE_FAILED, "too many texts "
				"for a block of the index");
		if (code == MR_STORE_OK)
			add_chunk(b, &c, &number);
		id = c.last + 1;
		sq_chunk_free(&c);
	}
	return code;
}

static int
build_space(struct sq_db *db, struct block *b, enum mr_index_space space,
	struct mr_error *err)
{
	int code = read_chunks(db, b, space, err);

	if (code != MR_STORE_OK)
		return code;
	sort_pairs(&b->pairs);
	code = write_rows(db, slot_of(b->number, space), &b->pairs, err);
	b->pairs.n = 0;
	return code;
}

static int
build(struct sq_db *db, struct block *b, struct mr_error *err)
{
	int code = sq_number(db, err, &b->number, "SELECT"
		" ifnull(max(number), 0) + 1 FROM block", "");

	if (code == MR_STORE_OK)
		code = build_space(db, b, MR_INDEX_HEAD, err);
	if (code == MR_STORE_OK)
		code = build_space(db, b, MR_INDEX_REST, err);
	if (code != MR_STORE_OK || b->n == 0)
		return code;
	return sq_run(db, err, "INSERT INTO block (first, last, number,"
		" n, dead, ids, open) VALUES (?, ?, ?, ?, 0, ?, ?)",
		"iiiibb", b->first, b->last, b->number, (int64_t)b->n, b->id,
		b->n * sizeof *b->id, b->open, sizeof b->open);
}

int
sq_block_build(struct sq_db *db, int64_t first, int64_t last,
	struct mr_error *err)
{
	struct block *b = sq_alloc(sizeof *b);
	int code;

	b->first = first;
	b->last = last;
	b->pairs.seen = sq_alloc(TRIPLES / 8);
	code = build(db, b, err);
	free(b->pairs.seen);
	free(b->pairs.at);
	free(b);
	return code;
}

int
sq_block_drop(struct sq_db *db, int64_t first, struct mr_error *err)
{
	int64_t number;
	int code = sq_number(db, err, &number, "SELECT number FROM block"
		" WHERE first = ?", "i", first);

	if (code == MR_STORE_OK)
		code = sq_run(db, err, "DELETE FROM posting WHERE key >= ?"
			" AND key < ?", "ii", slot_of(number, MR_INDEX_HEAD),
			slot_of(number + 1, MR_INDEX_HEAD));
	if (code == MR_STORE_OK)
		code = sq_run(db, err, "DELETE FROM block WHERE first = ?",
			"i", first);
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

/* --------------------------------------------------------------- looking */

/* Sets the bits of a list of n numbers; returns behind it. */
static const uint8_t *
read_list(const uint8_t *at, const uint8_t *end, unsigned n,
	uint8_t map[BITMAP])
{
	size_t number = 0;

	while (n > 0 && at < end) {
		number += *at;
		if (*at++ == 255)
			continue;
		if (map && number < SQ_BLOCK_MESSAGES)
			map[number >> 3] |= (uint8_t)(1u << (number & 7));
		n--;
	}
	return at;
}

/* The texts with a third byte in a row of postings. */
static void
find_triple(const uint8_t *at, size_t n, uint8_t third, uint8_t map[BITMAP])
{
	const uint8_t *end = at + n;

	memset(map, 0, BITMAP);
	while (end - at > 2 && at[0] < third)
		at = at[1] == IS_BITMAP ? at + 2 + BITMAP :
			read_list(at + 2, end, at[1], NULL);
	if (end - at <= 2 || at[0] != third)
		return;
	if (at[1] != IS_BITMAP)
		read_list(at + 2, end, at[1], map);
	else if (end - at >= 2 + BITMAP)
		memcpy(map, at + 2, BITMAP);
}

/* The texts with any triple of a row. */
static void
find_pair(const uint8_t *at, size_t n, uint8_t map[BITMAP])
{
	const uint8_t *end = at + n;
	size_t i;

	while (end - at > 2) {
		if (at[1] != IS_BITMAP) {
			at = read_list(at + 2, end, at[1], map);
			continue;
		}
		at += 2;
		for (i = 0; i < BITMAP && at < end; i++)
			map[i] |= *at++;
	}
}

/* Takes from `found` those without the triple, or the pair; 0: none is
 * left, -1: it failed. */
static int
keep_triple(struct sq_db *db, int64_t slot, struct mr_str part,
	uint8_t found[BITMAP], struct mr_error *err)
{
	const uint8_t *triple = (const uint8_t *)part.at;
	sqlite3_stmt *st = sq_sql(db, "SELECT bytes FROM posting"
		" WHERE key = ?");
	uint8_t map[BITMAP] = {0}, any = 0;
	int step;
	size_t i;

	sq_bind(st, "i", slot | triple[0] << 8 | triple[1]);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW && part.len == 2)
		find_pair(sqlite3_column_blob(st, 0),
			(size_t)sqlite3_column_bytes(st, 0), map);
	else if (step == SQLITE_ROW)
		find_triple(sqlite3_column_blob(st, 0),
			(size_t)sqlite3_column_bytes(st, 0), triple[2], map);
	else if (step != SQLITE_DONE) {
		sq_fail_db(err, db, "reading the index");
		sqlite3_reset(st);
		return -1;
	}
	sqlite3_reset(st);
	for (i = 0; i < BITMAP; i++)
		any |= found[i] &= map[i];
	return any != 0;
}

static int
narrow(struct sq_db *db, int64_t slot, struct mr_str needle,
	uint8_t found[BITMAP], struct mr_error *err)
{
	size_t n = needle.len < 2 ? 0 : needle.len - 2, i, step;
	int left = 1;

	if (needle.len == 2)
		left = keep_triple(db, slot, needle, found, err);
	step = n / LOOKED_AT + 1;
	for (i = 0; i < n && left > 0; i += step)
		left = keep_triple(db, slot, (struct mr_str){needle.at + i,
			3}, found, err);
	return left < 0 ? MR_STORE_FAILED : MR_STORE_OK;
}

struct seen {
	int64_t number;
	const int64_t *id;
	const uint8_t *open;	/* of the first space, and the others */
	size_t n;
};

static int
look_into(struct sq_db *db, const struct seen *b, struct mr_str needle,
	struct sq_maybe *out, struct mr_error *err)
{
	const uint8_t *open = b->open + (size_t)out->space * BITMAP;
	uint8_t found[BITMAP];
	int code;
	size_t i;

	memset(found, 0xff, sizeof found);
	code = narrow(db, slot_of(b->number, out->space), needle, found, err);
	if (code != MR_STORE_OK)
		return code;
	for (i = 0; i < BITMAP; i++)
		found[i] |= open[i];
	out->id = sq_alloc(b->n * sizeof *out->id);
	for (i = 0; i < b->n && i < SQ_BLOCK_MESSAGES; i++)
		if (found[i >> 3] & 1u << (i & 7))
			memcpy(&out->id[out->n++], b->id + i,
				sizeof *out->id);
	return MR_STORE_OK;
}

/* No block has it: any id up to the next block. */
static int
look_between(struct sq_db *db, int64_t id, struct sq_maybe *out,
	struct mr_error *err)
{
	int code = sq_number(db, err, &out->last, "SELECT first - 1 FROM block"
		" WHERE first > ? ORDER BY first LIMIT 1", "i", id);

	if (code == MR_STORE_MISSING)
		out->last = INT64_MAX;
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

int
sq_block_look(struct sq_db *db, int64_t id, struct mr_str needle,
	struct sq_maybe *out, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT first, last, number, ids, open"
		" FROM block WHERE first <= ? ORDER BY first DESC LIMIT 1");
	struct seen b;
	int code, step;

	*out = (struct sq_maybe){.space = out->space, .first = 1};
	sq_bind(st, "i", id);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW && sqlite3_column_int64(st, 1) >= id) {
		out->first = sqlite3_column_int64(st, 0);
		out->last = sqlite3_column_int64(st, 1);
		b = (struct seen){.number = sqlite3_column_int64(st, 2),
			.id = sqlite3_column_blob(st, 3),
			.n = (size_t)sqlite3_column_bytes(st, 3) /
				sizeof(int64_t),
			.open = sqlite3_column_blob(st, 4)};
		code = sqlite3_column_bytes(st, 4) ==
			MR_INDEX_SPACES * BITMAP ?
			look_into(db, &b, needle, out, err) :
			sq_fail(err, MR_STORE_FAILED, "a block of the search "
				"index is damaged");
		sqlite3_reset(st);
		return code;
	}
	if (step == SQLITE_ROW)
		out->first = sqlite3_column_int64(st, 1) + 1;
	sqlite3_reset(st);
	return step == SQLITE_ROW || step == SQLITE_DONE ?
		look_between(db, id, out, err) :
		sq_fail_db(err, db, "reading the index");
}
