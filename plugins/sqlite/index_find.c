/*
 * index_find.c - one search in the index: a snapshot of it, and the chunks
 * that were read last.
 */
#include "index.h"

#include <stdlib.h>

struct find {
	struct sq_db *db;
	struct sq_maybe maybe;
	struct sq_chunk chunk[MR_INDEX_SPACES];
};

/* The texts that are kept are of this version. */
static int
begin(struct find *f, int64_t version, struct mr_error *err)
{
	int64_t known = 0;
	int code = sq_run(f->db, err, "BEGIN", "");

	if (code == MR_STORE_OK)
		code = sq_index_fact(f->db, "version", &known, err);
	if (code == MR_STORE_OK && known != SQ_INDEX_VERSION(version))
		code = sq_fail(err, MR_STORE_MISSING, "the search index is "
			"of another version");
	return code;
}

int
sq_index_open(void *self, int64_t version, void **index, struct mr_error *err)
{
	struct sq *s = self;
	struct find *f;
	int code;

	if (!s->index)
		return MR_STORE_MISSING;
	f = sq_alloc(sizeof *f);
	f->chunk[MR_INDEX_HEAD].last = f->chunk[MR_INDEX_REST].last = -1;
	f->db = sq_index_db(s, err);
	code = f->db ? begin(f, version, err) : MR_STORE_FAILED;
	if (code == MR_STORE_OK)
		*index = f;
	else
		sq_index_close(f);
	return code;
}

int
sq_index_look(void *index, int64_t message, struct mr_str needle,
	struct mr_index_maybe *out, struct mr_error *err)
{
	struct find *f = index;
	int code;

	free(f->maybe.id);
	f->maybe = (struct sq_maybe){.space = out->space};
	code = sq_block_look(f->db, message, needle, &f->maybe, err);
	out->first = f->maybe.first;
	out->last = f->maybe.last;
	out->message = f->maybe.id;
	out->n = f->maybe.n;
	return code;
}

int
sq_index_text(void *index, int64_t message, enum mr_index_space space,
	struct mr_str *out, struct mr_error *err)
{
	struct find *f = index;
	struct sq_chunk *c = &f->chunk[space];
	const struct sq_text *t;
	int code = MR_STORE_OK;

	if (message < c->first || message > c->last) {
		sq_chunk_free(c);
		code = sq_chunk_read(f->db, space, message, c, err);
	}
	t = code == MR_STORE_OK ? sq_chunk_find(c, message) : NULL;
	if (!t || t->length == SQ_TEXT_NONE)
		return code == MR_STORE_OK ? MR_STORE_MISSING : code;
	*out = (struct mr_str){c->bytes + t->at, t->length};
	return MR_STORE_OK;
}

void
sq_index_close(void *index)
{
	struct find *f = index;

	free(f->maybe.id);
	sq_chunk_free(&f->chunk[MR_INDEX_HEAD]);
	sq_chunk_free(&f->chunk[MR_INDEX_REST]);
	sq_db_close(f->db);
	free(f);
}
