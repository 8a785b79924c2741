/*
 * local.h - mail that the server writes itself passes the chain `local`, as
 * all other mail passes one.
 *
 * Runner's delivery threads; blocks on the filters. The rule for reports: a
 * filter may change them, drop them or have them held. One that refuses drops
 * the report, since nobody is there to be told. One that cannot decide now is
 * passed over: the report goes out as it was, for it must not be lost, and
 * what it reports on must not be tried again.
 */
#ifndef QUEUE_LOCAL_H
#define QUEUE_LOCAL_H

#include "base/arena.h"
#include "base/str.h"
#include "plug/hooks.h"

enum local_answer { LOCAL_SEND, LOCAL_DROP, LOCAL_HOLD };

struct local_mail {
	const char *hostname, *data;
	const char *trace;	/* its id */
	const char *rcpt;	/* the sender is the null one */
	struct str text;	/* out: as the filters leave it, in the arena */
	/* out, for DROP and HOLD */
	const char *by;
	struct str reason;
};

enum local_answer local_filter(const struct chain *c, struct local_mail *m,
	struct arena *a);

#endif
