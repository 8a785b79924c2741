/*
 * keeper.h - the filters that the server runs itself: [milter.NAME] with
 * exec.
 *
 * Used by the master only, from its one thread; never blocks. A filter is
 * known by its name and command: it lives on over reloads as long as a
 * generation of workers that may talk to it does.
 */
#ifndef PROC_KEEPER_H
#define PROC_KEEPER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "proc/config.h"

struct kept;

struct keeper {
	struct kept *first;
};

/* The filters that are wanted from now on: begin, then each configuration
 * that is in use. */
void keeper_begin(struct keeper *k);
void keeper_want(struct keeper *k, const struct config *c);
/* Starts those whose time has come, as the configuration's user and with its
 * pauses (NULL: starts none); ends those that nobody wants. */
void keeper_settle(struct keeper *k, const struct config *c);
/* A child ended. True if it was one of ours. */
bool keeper_ended(struct keeper *k, pid_t pid, int status);
/* What they write, to be looked for and to be heard. */
size_t keeper_poll(const struct keeper *k, struct pollfd *fds, size_t n,
	size_t room);
bool keeper_heard(struct keeper *k, int fd);
/* When keeper_settle has something to do, clock_mono. */
int64_t keeper_next(const struct keeper *k);
bool keeper_is_empty(const struct keeper *k);
json_t *keeper_describe(const struct keeper *k);

#endif
