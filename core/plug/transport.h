/*
 * transport.h - handing a group of the queue to a plugin's transport.
 */
#ifndef PLUG_TRANSPORT_H
#define PLUG_TRANSPORT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "mail/reply.h"
#include "plug/plugin.h"

struct transport_job {
	const char *message, *route;	/* for the plugin, and the log */
	struct str sender;
	const struct str *rcpt;
	size_t n_rcpt;
	uint64_t length;
	int64_t arrived_ms;
	int64_t deadline;		/* clock_mono */
	/* Reads the message; 0 at the end, -1: cannot be read. */
	int64_t (*read)(void *arg, uint64_t offset, void *out, size_t len);
	void *arg;
};

/* Calls the plugin, which has the role, and fills one reply for each
 * recipient: what it said, or 451. Blocks as long as the plugin does. Texts
 * live in the arena. */
void transport_run(const struct plugin *p, const struct transport_job *job,
	struct arena *a, struct reply *out);

#endif
