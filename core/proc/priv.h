/*
 * priv.h - giving up what a process does not need.
 *
 * Workers call priv_drop before they load any plugin, and priv_confine when
 * their files are open. Linux only.
 */
#ifndef PROC_PRIV_H
#define PROC_PRIV_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* uid and gid of a user name. */
int priv_find_user(const char *user, uid_t *uid, gid_t *gid, struct err *e);
/* Becomes that user for good, with its groups. No-op when not root. */
int priv_drop(const char *user, struct err *e);
/* The same, but files of others can still be read, for commands that take
 * what is somebody's into the store. */
int priv_drop_but_read(const char *user, struct err *e);
/* No new privileges, no core files; where the kernel has Landlock, nothing
 * may be written but below the given folders. A kernel without it is no
 * error (*applied tells). */
int priv_confine(const char *const *writable, size_t n, int *applied,
	struct err *e);
/* Raises the number of descriptors as far as allowed. */
void priv_raise_files(void);

#endif
