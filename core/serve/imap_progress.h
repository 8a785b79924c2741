/*
 * imap_progress.h - a word in between while a command takes long: INPROGRESS
 * (RFC 9585). Clients and what stands between take silence for death.
 *
 * A session has one count, begun with each command. The walks of SEARCH, SORT
 * and THREAD move it; what is one transaction of the store (COPY) cannot.
 */
#ifndef SERVE_IMAP_PROGRESS_H
#define SERVE_IMAP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct imap;

struct imap_progress {
	struct str tag;		/* of the command that runs */
	int64_t next;		/* when a word is due; monotonic */
	uint32_t done, goal;	/* messages; goal 0: not known */
	bool is_open;		/* it is not going to be known */
};

void imap_progress_begin(struct imap *k, struct str tag);
/* So many are going to be looked at. */
void imap_progress_expect(struct imap *k, uint32_t messages);
/* One more was looked at. May write to the client. */
void imap_progress_step(struct imap *k);

#endif
