/*
 * report_make.h - the report of one settled group as a commit of the store.
 */
#ifndef QUEUE_REPORT_MAKE_H
#define QUEUE_REPORT_MAKE_H

#include "queue/deliver.h"

struct report_made {
	bool is_due;		/* commit is to be made; else nobody is told */
	struct mr_commit commit;
	struct mr_piece piece[3];
	struct str before, behind;	/* in the group's arena */
	char trace[20];
};

/* Looks at the actions of the group's recipients. -1: the report cannot be
 * made now; then nothing may be settled either, or it would be lost. Blocks
 * on store and directory. */
int report_make(const struct queue_house *h, struct group *g,
	struct report_made *out, struct err *e);
void report_made_free(struct report_made *m);

#endif
