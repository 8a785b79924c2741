/*
 * spool.h - bytes that are kept while a message is taken: the first ones in
 * memory, what is beyond a limit in an unlinked temporary file.
 */
#ifndef MAIL_SPOOL_H
#define MAIL_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>	/* struct mr_piece */

#include "base/buf.h"
#include "base/err.h"

struct spool {
	const char *dir;	/* borrowed */
	struct buf memory;	/* the first bytes; never moves once it is full */
	struct buf waiting;	/* not yet in the file */
	int fd;			/* -1: all is in memory */
	uint64_t length;
};

void spool_init(struct spool *s, const char *dir, size_t memory_limit);
void spool_free(struct spool *s);	/* may be called again */
int spool_write(struct spool *s, const void *bytes, size_t len,
	struct err *e);
/* Before reading: what waits goes to the file. */
int spool_flush(struct spool *s, struct err *e);
/* Bytes copied, 0 at the end, -1. Clamped to the length. */
int64_t spool_read(const struct spool *s, uint64_t offset, void *out,
	size_t len, struct err *e);
/* The range as at most two pieces; returns how many. */
size_t spool_pieces(const struct spool *s, uint64_t offset, uint64_t len,
	struct mr_piece out[2]);

#endif
