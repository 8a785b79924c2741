/*
 * chains.h - the chains of filters, made from their lists and checked.
 *
 * Order is what the admin wrote; nothing is sorted. What cannot work in that
 * order is refused here, in one line each that says where it stands.
 */
#ifndef PROC_CHAINS_H
#define PROC_CHAINS_H

#include "proc/config.h"

/* Makes the chain of each direction from the plugins that were loaded; the
 * chains live in c->arena. A missing [chain] relay is inbound's. false:
 * reported. */
bool chains_make(struct config *c, const struct plugins *p,
	struct chain out[CHAINS], struct conf_report *report);
/* Only that of one direction: of mail that the server writes itself for the
 * runner, of those who learn for mailbox workers. */
bool chains_make_one(struct config *c, const struct plugins *p,
	enum direction d, struct chain *out, struct conf_report *report);
/* The list of a direction. */
const struct mr_list *chains_list(const struct config *c, enum direction d);
const char *chains_name(enum direction d);

#endif
