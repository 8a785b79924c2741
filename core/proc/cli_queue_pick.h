/*
 * cli_queue_pick.h - which entries of the queue a command is about: numbers,
 * message ids and filters of the command line.
 */
#ifndef PROC_CLI_QUEUE_PICK_H
#define PROC_CLI_QUEUE_PICK_H

#include "base/arena.h"
#include "proc/cli.h"

#define PICK_ARGS_MOST 1000
#define PICK_ARGS "[NUMBER|MESSAGE ...] [--to WHO] [--from WHO]" \
	" [--domain NAME] [--older TIME] [--state queued|held|delivering]"

struct pick {
	struct arena arena;	/* what was picked lives here */
	struct str name[PICK_ARGS_MOST];	/* numbers and message ids */
	size_t n_name;
	struct str to, from, domain;	/* at NULL: any */
	int64_t older_ms;		/* 0: any age */
	uint32_t state;			/* 0: any */
	bool all;			/* "all" was said */
	int64_t now_ms;
	struct mr_queue_item *item;
	size_t n, room;
};

/* 0, or the status of wrong usage. */
int pick_args(struct cli *c, int argc, char **argv, struct pick *p);
/* Was anything said at all? */
bool pick_is_empty(const struct pick *p);
/* Fills p->item from the store, in order of their numbers. 0, or 1 with the
 * reason printed: the store cannot, or nothing of what was named is there. */
int pick_items(struct cli *c, struct pick *p);
void pick_free(struct pick *p);

#endif
