/*
 * rig.h - one plugin in a chain of its own, and messages through it, as
 * serve/smtp_data.c makes them. For the test and the bench of isolation.
 */
#ifndef REMOTE_RIG_H
#define REMOTE_RIG_H

#include "plug/hooks.h"

struct rig {
	struct plugins plugins;
	struct chain chain;
	struct conf *conf;
	struct conf_report report;
};

/* settings: lines of [plugin.p]. false: it could not be loaded or opened;
 * *e says why. */
bool rig_open(struct rig *r, const char *settings, struct err *e);
void rig_close(struct rig *r);

/* One session with one message. */
struct rig_mail {
	const char *helo, *sender, *subject;
	size_t body;			/* bytes of it */
	size_t memory;			/* kept in memory, 0: all */
	const char *session;
};
/* What became of it, and the message as it would be stored, into out. */
struct verdict rig_deliver(struct rig *r, const struct rig_mail *mail,
	struct buf *out);

#endif
