/*
 * model.h - a mailbox as plainly as it can be said: an array of rows, and
 * what was removed. What a store does is compared with it.
 */
#ifndef PLUG_SQLITE_MODEL_H
#define PLUG_SQLITE_MODEL_H

#include <mailroom/store.h>

#include <stdbool.h>

#define MODEL_WORDS 5		/* keywords there are; a set is a bit mask */

struct model_row {
	uint32_t uid, flags, words;
	uint64_t modseq;
	int64_t received_ms, message;
	uint64_t length;
};

struct model_gone {
	uint32_t uid;
	uint64_t modseq;
};

struct model {
	struct model_row *row;	/* by UID */
	size_t n, room;
	struct model_gone *gone;
	size_t n_gone, gone_room;
	uint32_t uidnext;
	uint64_t modseq;
};

struct model_change {
	uint32_t op, flags, words;
	uint64_t unchanged_since;
};

void model_free(struct model *m);
bool model_has(const struct mr_range *range, size_t n, uint32_t uid);
/* Gives the row a UID and the modseq that the mailbox has now. */
void model_add(struct model *m, const struct model_row *row);
/* failed has room for as many as there are rows. Returns how many failed. */
size_t model_store(struct model *m, const struct mr_range *range, size_t n,
	const struct model_change *c, uint32_t *failed);
void model_expunge(struct model *m, const struct mr_range *range, size_t n,
	bool any);
/* pair has room for as many as there are rows. Returns how many. */
size_t model_copy(struct model *from, struct model *to,
	const struct mr_range *range, size_t n, struct mr_uid_pair *pair);
uint64_t model_bytes(const struct model *m);
uint32_t model_unseen(const struct model *m);
bool model_is_gone(const struct model *m, uint32_t uid, uint64_t since);

/* Keywords as text, in any case and order that `salt` picks, and back. A word
 * twice, or one that is none of ours, gives UINT32_MAX. */
void model_write_words(uint32_t words, unsigned salt, char out[128]);
uint32_t model_read_words(const char *text, size_t len);

#endif
