/*
 * backup.h - the map of a state: which chunks, out of which files, make up
 * its database. Shared by backup.c, which makes states, and restore.c, which
 * opens them.
 */
#ifndef SQLITE_BACKUP_H
#define SQLITE_BACKUP_H

#include "engine.h"

#define SQ_CHUNK (64 << 10)
#define SQ_STATE_NAME 32
#define SQ_SEGMENT_NAME 64

struct sq_chunk {
	uint8_t digest[24];	/* of SHA-256 */
	uint32_t pack;		/* index of the state that wrote it */
	uint32_t place;		/* in its .pages, counted in chunks */
};

struct sq_map {
	char state[SQ_STATE_NAME];
	int64_t last_message;	/* greatest id in it */
	uint64_t size;		/* of the database */
	uint32_t n_pack, n_chunk, n_segment;
	char (*pack)[SQ_STATE_NAME];
	struct sq_chunk *chunk;
	char (*segment)[SQ_SEGMENT_NAME];	/* that it refers to */
};

void sq_map_free(struct sq_map *m);
int sq_map_read(int folder, const char *state, struct sq_map *out,
	struct mr_error *err);
/* Of the newest state; out->state is "" where there is none. */
int sq_map_read_last(int folder, struct sq_map *out, struct mr_error *err);
/* Cuts the file into chunks: m->state becomes a state, durably. before: what
 * may be referred to. *written grows by what was written. */
int sq_map_write(int folder, const char *file, const struct sq_map *before,
	struct sq_map *m, uint64_t *written, struct mr_error *err);
void sq_map_add_segment(struct sq_map *m, const char *name);
/* prune.c: all but the last `keep` states go, and with them what no other
 * needs. */
int sq_map_prune(int folder, const char *path, uint32_t keep,
	struct mr_error *err);
/* Names of states in order; free each and the list. */
size_t sq_map_list(int folder, char ***out);
/* The database of a state in a folder, with today's tables (restore.c). */
int sq_state_database(const char *path, const char *state,
	const char *folder, struct mr_error *err);
/* The database of a state, whole and verified, as a new file. */
int sq_map_assemble(int folder, const struct sq_map *m, const char *file,
	struct mr_error *err);

#endif
