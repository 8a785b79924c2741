/*
 * forward.h - the envelope sender of mail that an alias leads elsewhere, and
 * where bounces to such senders go.
 */
#ifndef PLUG_FORWARD_H
#define PLUG_FORWARD_H

#include "base/arena.h"
#include "base/str.h"
#include "plug/plugin.h"
#include "plug/route.h"

/* The sender to use for one target: the list's owner where the target is of a
 * list; rewritten (mail/srs.h) where it leads elsewhere and the sender is a
 * stranger; else as it is. May block on the directory, and on the disk when
 * keys are read. */
const char *forward_sender(const struct plugins *p, struct arena *a,
	const struct route_target *t, const char *sender);

/* Does mail for an address go back to a sender that we rewrote? ROUTE_LOCAL
 * with its one target; ROUTE_UNKNOWN_USER: it looks so, and is forged or too
 * old; ROUTE_REMOTE: it is no such address; ROUTE_TEMPFAIL. */
enum route_answer forward_back(const struct plugins *p, struct arena *a,
	struct str address, struct route_target **out);

#endif
