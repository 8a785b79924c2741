/*
 * index.h - what the files of the search index share.
 *
 * The index is a database of its own, index.db, that may be lost at any time:
 * it is filled again from the messages. Texts stand in chunks; each chunk
 * speaks for a range of message ids, and the ranges cover all ids up to
 * a mark, but for gaps that are to be filled again. Blocks of about a
 * thousand messages have postings: which of their texts contain which three
 * bytes. Chunks behind the last block are loose, and looked through.
 *
 * The two texts of a message (enum mr_index_space) have chunks and postings
 * of their own, so that who looks for a word in heads neither reads the rest
 * nor is led astray by it. Several chunks of the rest make up the range of
 * one chunk of heads; blocks are of whole chunks of heads.
 */
#ifndef SQLITE_INDEX_H
#define SQLITE_INDEX_H

#include "engine.h"

#define SQ_BLOCK_MESSAGES 1024
#define SQ_BLOCK_BYTES (2 << 20)
#define SQ_CHUNK_BYTES (32 << 10)
#define SQ_HEADS_BYTES (16 << 10)	/* of a chunk of heads, and */
#define SQ_HEADS_REST (256 << 10)	/* of the rest beside it */
/* Of what is written here: raised when it would be misread. */
#define SQ_INDEX_FORMAT 3
#define SQ_INDEX_VERSION(texts) ((texts) * 1000 + SQ_INDEX_FORMAT)
#define SQ_TEXT_MOST (1 << 20)	/* longer ones are not kept */
#define SQ_TEXT_NONE UINT32_MAX	/* the length of one that is not kept */

/* A chunk that was read: texts of messages in order of their ids. */
struct sq_text {
	int64_t id;
	uint32_t length, at;	/* in bytes */
};
struct sq_chunk {
	enum mr_index_space space;
	int64_t first, last;	/* ids that it speaks for; last < first: none */
	int64_t weight;		/* of heads: bytes of both spaces */
	struct sq_text *text;
	size_t n;
	char *bytes;
	size_t size;
};
/* The chunk at or before an id. MISSING: it speaks for another range, or
 * cannot be read. */
int sq_chunk_read(struct sq_db *db, enum mr_index_space space, int64_t id,
	struct sq_chunk *out, struct mr_error *err);
void sq_chunk_free(struct sq_chunk *c);
const struct sq_text *sq_chunk_find(const struct sq_chunk *c, int64_t id);
/* Writes texts (in c, with any bytes) as the chunk of their range. */
int sq_chunk_write(struct sq_db *db, const struct sq_chunk *c, bool packs,
	struct mr_error *err);
/* Removes those of both spaces that begin in a range. */
int sq_chunk_drop(struct sq_db *db, int64_t first, int64_t last,
	struct mr_error *err);

/* index_block.c. Makes the chunks of a range into a block; of none: nothing. */
int sq_block_build(struct sq_db *db, int64_t first, int64_t last,
	struct mr_error *err);
/* Takes its postings away; the chunks stay. */
int sq_block_drop(struct sq_db *db, int64_t first, struct mr_error *err);

/* The ids of a block whose texts may contain the needle. */
struct sq_maybe {
	enum mr_index_space space;	/* in */
	int64_t first, last;	/* ids that this speaks for */
	int64_t *id;		/* NULL: any of them */
	size_t n;
};
/* Of the block that has this id, or the range between blocks. */
int sq_block_look(struct sq_db *db, int64_t id, struct mr_str needle,
	struct sq_maybe *out, struct mr_error *err);

/* A connection to index.db. */
struct sq_db *sq_index_db(struct sq *s, struct mr_error *err);
int sq_index_fact(struct sq_db *db, const char *name, int64_t *value,
	struct mr_error *err);
int sq_index_set_fact(struct sq_db *db, const char *name, int64_t value,
	struct mr_error *err);
/* Runs a change of the index in a transaction of its own. */
int sq_index_change(struct sq *s, int (*run)(struct sq *s, struct sq_db *db,
	void *arg, struct mr_error *err), void *arg, struct mr_error *err);

#endif
