/*
 * spawn.h - starting a worker: fork and exec of our own binary.
 *
 * A worker gets the bytes of its generation's configuration in a sealed
 * memory file, its listening sockets and one end of a socket pair, all by
 * descriptor number on its command line.
 */
#ifndef PROC_SPAWN_H
#define PROC_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "proc/config.h"
#include "proc/isolate.h"

/* Workers inherit the master's lock here: while one of them lives no other
 * master starts on the same data. */
#define SPAWN_LOCK_FD 300

struct spawn_listen {
	const char *name;	/* of [listen.NAME] */
	int fd;
};

struct spawn {
	enum role role;
	unsigned generation;
	const char *config_file;	/* its name, for messages */
	int config_fd;
	const struct spawn_listen *listen;
	size_t n_listen;
	const char *orphans;	/* runner: owner prefixes whose leases to
				   return, a blank between */
	const char *suspects;	/* runner: messages to put off once, likewise */
	const struct isolate_ledger *isolate;	/* plugins moved out; or NULL */
	const struct module_copy *copies;	/* modules not to be opened */
	size_t n_copies;
};

/* Most sockets and modules that are handed over. */
#define SPAWN_FDS 280

/* A memory file with the bytes, which nobody can change any more. */
int spawn_sealed_fd(const char *name, struct str bytes, struct err *e);
/* The child's pid; *control is our end of its control channel. */
pid_t spawn_worker(const struct spawn *s, int *control, struct err *e);

/* The other side: what a worker finds on its command line. */
struct spawn_args {
	enum role role;
	unsigned generation;
	const char *config_file;
	int config_fd, control_fd;
	struct spawn_listen listen[256];
	size_t n_listen;
	struct module_copy copies[SPAWN_FDS];
	size_t n_copies;
	const char *orphans, *suspects;
	const char *moved[ISOLATE_NAMES];
	size_t n_moved;
};
/* -1: this is no worker's command line. */
int spawn_read_args(int argc, char **argv, struct spawn_args *out,
	struct err *e);

#endif
