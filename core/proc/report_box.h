/*
 * report_box.h - the mailboxes in which reports are filed (plugin `reports`),
 * read by the command line.
 */
#ifndef PROC_REPORT_BOX_H
#define PROC_REPORT_BOX_H

#include "proc/cli.h"

struct report_box {
	const char *account;	/* NULL: all that have such a mailbox */
	const char *mailbox;
	int64_t since_ms;	/* arrived from then on */
};

/* Takes "--account A", "--mailbox M" and "--days N" from the arguments; others
 * are moved to the front. How many they are, or -1: wrong usage. */
int report_box_args(int argc, char **argv, struct report_box *out);
/* Gives every report (report/find.h). The store is open. 0, or 1: said why.
 * *messages: how many were looked at. Blocks. */
int report_box_read(struct cli *c, const struct report_box *b,
	void (*each)(void *arg, json_t *report), void *arg,
	unsigned *messages);

#endif
