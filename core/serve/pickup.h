/*
 * pickup.h - mail that programs of this machine left in the drop folder
 * (queue/drop.h) becomes a submission like any other.
 *
 * A thread of the SMTP worker gives each message to a session of its own
 * process, over a pair of sockets: rules, filters, signing and the commit are
 * those of all submissions. A file goes when its message was taken with 250;
 * what is refused for good is reported to its sender, through the same folder.
 */
#ifndef SERVE_PICKUP_H
#define SERVE_PICKUP_H

#include "serve/serve.h"

struct pickup;

/* Both are borrowed. */
struct pickup *pickup_start(struct house *h, const char *folder,
	struct err *e);
/* Takes no further message; returns at once. */
void pickup_stop(struct pickup *p);
/* When the park is empty; p may be NULL. */
void pickup_free(struct pickup *p);

#endif
