/*
 * modules.h - the plugins' files as they were when a generation began.
 *
 * A file may be overwritten or removed while workers live that were started
 * with it. The master keeps the bytes of each in a sealed memory file, which
 * nobody can alter or take away; a worker that is started after the file has
 * changed is given those instead. So a generation is one text and one set of
 * modules for as long as it lives, and can be started again from them.
 *
 * The master's one thread. It reads files and runs nothing of them.
 */
#ifndef PROC_MODULES_H
#define PROC_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "base/arena.h"
#include "plug/plugin.h"
#include "proc/config.h"

struct module {
	const char *path;
	int fd;			/* the sealed copy */
	dev_t device;		/* what the file was */
	ino_t inode;
	struct timespec written, changed;
};

struct modules {
	struct arena arena;
	struct module *item;
	size_t n;
};

void modules_init(struct modules *m);
/* Copies the module of each [plugin.NAME]; of files that are as `before`
 * (or NULL) has them the copies are shared. What cannot be read is left out:
 * the worker that needs it says why. */
void modules_take(struct modules *m, const struct config *c,
	const struct modules *before);
/* Shares all of another generation's. */
void modules_share(struct modules *m, const struct modules *from);
/* The same bytes, or not there in both? */
bool modules_are_same(const struct modules *a, const char *path_a,
	const struct modules *b, const char *path_b);
/* Those whose file is not what it was, borrowed. Returns how many. */
size_t modules_lost(const struct modules *m, struct module_copy *out,
	size_t room);
void modules_free(struct modules *m);

#endif
