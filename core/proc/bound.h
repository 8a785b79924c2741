/*
 * bound.h - the listening sockets, kept over generations of workers.
 *
 * Master only, before it gives anything up. A reload binds what is new,
 * keeps what stays and closes what no listener names any more.
 */
#ifndef PROC_BOUND_H
#define PROC_BOUND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "proc/config.h"

struct bound_socket {
	char *address;
	int fd;
	bool wanted;
};

struct bound {
	struct bound_socket *item;
	size_t n;
};

/* Sees to it that every address of the configuration has its socket. On
 * failure what was bound before stays. */
int bound_take(struct bound *b, const struct config *c, struct err *e);
/* Closes those that the configuration given last does not name. */
void bound_trim(struct bound *b, const struct config *c);
/* -1 if it is not there. */
int bound_fd(const struct bound *b, const char *address);
void bound_close(struct bound *b);

#endif
