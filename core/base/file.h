/*
 * file.h - small helpers over files and descriptors.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* The whole file into the arena; refuses more than max bytes (ERR_FULL). */
int file_read(const char *path, size_t max, struct arena *a, struct str *out,
	struct err *e);
/* Makes path whole or not at all: temporary file, fsync, rename, fsync of
 * the folder. mode as in open(2). */
int file_replace(const char *path, struct str content, int mode,
	struct err *e);
/* An open, already unlinked temporary file in dir, close-on-exec. */
int file_temp(const char *dir, struct err *e);
/* All bytes or -1; EINTR is handled. */
int file_write_all(int fd, const void *bytes, size_t len, struct err *e);
int file_pread_all(int fd, void *out, size_t len, uint64_t offset,
	struct err *e);
/* mkdir -p with mode for the last part. */
int file_mkdirs(const char *path, int mode, struct err *e);

#endif
