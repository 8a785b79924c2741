/*
 * index_put.c - puts texts into the search index: as chunks first, which
 * become a block when there are enough of them. Runs in a change of index.c,
 * on the core's thread, with the lock on its connection held.
 */
#include "index.h"

#include <string.h>

#define CHUNK_TEXTS 256

struct put {
	const struct mr_index_todo *todo;
	const struct mr_index_text *text;
	size_t n;
	bool ends_gap;
	int64_t most;		/* messages in a block */
	bool packs;
};

static bool
is_kept(const struct mr_str *text)
{
	return text->at && text->len <= SQ_TEXT_MOST;
}

static size_t
kept_length(const struct mr_index_text *t, enum mr_index_space space)
{
	return is_kept(&t->text[space]) ? t->text[space].len : 0;
}

/* How many of the messages have heads, or rests, that fill a chunk of heads.
 * *weight: bytes of both. */
static size_t
count_heads(const struct mr_index_text *t, size_t n, int64_t *weight)
{
	size_t heads = 0, rests = 0, i;

	for (i = 0; i < n && i < CHUNK_TEXTS && heads < SQ_HEADS_BYTES &&
	    rests < SQ_HEADS_REST; i++) {
		heads += kept_length(&t[i], MR_INDEX_HEAD);
		rests += kept_length(&t[i], MR_INDEX_REST);
	}
	*weight = (int64_t)(heads + rests);
	return i;
}

static size_t
count_rests(const struct mr_index_text *t, size_t n)
{
	size_t size = 0, i;

	for (i = 0; i < n && size < SQ_CHUNK_BYTES; i++)
		size += kept_length(&t[i], MR_INDEX_REST);
	return i;
}

static void
fill_chunk(struct sq_chunk *c, const struct mr_index_text *t, size_t n)
{
	size_t i, size = 0;

	for (i = 0; i < n; i++)
		size += kept_length(&t[i], c->space);
	c->text = sq_alloc(n * sizeof *c->text);
	c->bytes = sq_alloc(size);
	for (i = 0, size = 0; i < n; i++) {
		const struct mr_str *text = &t[i].text[c->space];
		bool kept = is_kept(text);

		c->text[c->n++] = (struct sq_text){.id = t[i].message,
			.length = kept ? (uint32_t)text->len : SQ_TEXT_NONE,
			.at = (uint32_t)size};
		if (kept && text->len)
			memcpy(c->bytes + size, text->at, text->len);
		size += kept ? text->len : 0;
	}
}

/* The rest of the messages that have these heads. */
static int
put_rests(struct sq_db *db, const struct put *p, const struct sq_chunk *heads,
	const struct mr_index_text *t, struct mr_error *err)
{
	int64_t first = heads->first;
	int code = MR_STORE_OK;
	size_t i = 0, n;

	do {
		struct sq_chunk c = {.space = MR_INDEX_REST, .first = first};

		n = count_rests(t + i, heads->n - i);
		fill_chunk(&c, t + i, n);
		i += n;
		c.last = i == heads->n ? heads->last : t[i - 1].message;
		code = sq_chunk_write(db, &c, p->packs, err);
		first = c.last + 1;
		sq_chunk_free(&c);
	} while (i < heads->n && code == MR_STORE_OK);
	return code;
}

static int
put_chunks(struct sq_db *db, const struct put *p, struct mr_error *err)
{
	int64_t first = p->todo->first;
	int code = MR_STORE_OK;
	size_t i = 0, n;

	do {
		const struct mr_index_text *t = p->text + i;
		struct sq_chunk c = {.space = MR_INDEX_HEAD, .first = first};

		n = count_heads(t, p->n - i, &c.weight);
		fill_chunk(&c, t, n);
		i += n;
		c.last = i == p->n ? p->todo->last : p->text[i - 1].message;
		code = sq_chunk_write(db, &c, p->packs, err);
		if (code == MR_STORE_OK)
			code = put_rests(db, p, &c, t, err);
		first = c.last + 1;
		sq_chunk_free(&c);
	} while (i < p->n && code == MR_STORE_OK);
	return code;
}

/* BUSY: the range is not what is to be put next. */
static int
move_mark(struct sq_db *db, struct put *p, struct mr_error *err)
{
	const struct mr_index_todo *t = p->todo;
	int64_t mark, last;
	int code = sq_number(db, err, &last, "SELECT last FROM gap"
		" WHERE first = ?", "i", t->first);

	if (code == MR_STORE_OK) {
		p->ends_gap = t->last >= last;
		return p->ends_gap ? sq_run(db, err, "DELETE FROM gap"
				" WHERE first = ?", "i", t->first) :
			sq_run(db, err, "UPDATE gap SET first = ?"
				" WHERE first = ?", "ii", t->last + 1,
				t->first);
	}
	if (code == MR_STORE_MISSING)
		code = sq_index_fact(db, "mark", &mark, err);
	if (code == MR_STORE_OK && mark + 1 != t->first)
		code = sq_fail(err, MR_STORE_BUSY, "somebody else has filled "
			"the search index");
	return code == MR_STORE_OK ? sq_index_set_fact(db, "mark", t->last,
		err) : code;
}

/* As many loose chunks in front of `end` as make a block; 0: too little. */
static int
gather_loose(struct sq_db *db, int64_t first, const struct put *p,
	int64_t *end, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT last, n, weight FROM head"
		" WHERE first BETWEEN ? AND ? ORDER BY first");
	int64_t n = 0, size = 0, more;
	bool full = false;
	int step;

	*end = 0;
	sq_bind(st, "ii", first, p->todo->last);
	while (!full && (step = sqlite3_step(st)) == SQLITE_ROW) {
		more = sqlite3_column_int64(st, 1);
		full = n > 0 && n + more > p->most;
		if (full)
			break;
		n += more;
		size += sqlite3_column_int64(st, 2);
		*end = sqlite3_column_int64(st, 0);
		full = n >= p->most || size >= SQ_BLOCK_BYTES;
	}
	if (!full && step != SQLITE_DONE)
		return sq_fail_db(err, db, "reading the index");
	sqlite3_reset(st);
	if (!full && !p->ends_gap)
		*end = 0;
	return MR_STORE_OK;
}

static int
build_blocks(struct sq_db *db, const struct put *p, struct mr_error *err)
{
	int64_t first, end;
	int code = sq_number(db, err, &first, "SELECT ifnull(max(last), 0) + 1"
		" FROM block WHERE first <= ?", "i", p->todo->first);

	while (code == MR_STORE_OK && first <= p->todo->last) {
		code = gather_loose(db, first, p, &end, err);
		if (code == MR_STORE_OK && end == 0)
			break;
		if (code == MR_STORE_OK)
			code = sq_block_build(db, first, end, err);
		first = end + 1;
	}
	return code;
}

static int
put_texts(struct sq *s, struct sq_db *db, void *arg, struct mr_error *err)
{
	struct put *p = arg;
	int code = move_mark(db, p, err);

	(void)s;
	if (code == MR_STORE_OK)
		code = put_chunks(db, p, err);
	return code == MR_STORE_OK ? build_blocks(db, p, err) : code;
}

int
sq_index_put(void *self, const struct mr_index_todo *t,
	const struct mr_index_text *text, size_t n, struct mr_error *err)
{
	struct sq *s = self;
	struct put p = {.todo = t, .text = text, .n = n,
		.most = s->index_block, .packs = s->index_packed};

	return sq_index_change(s, put_texts, &p, err);
}
