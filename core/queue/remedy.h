/*
 * remedy.h - what other servers' refusals mean and what helps against them.
 *
 * A table of replies that are met in practice. Reports explain them to the
 * sender, `mailroom queue show` to the administrator.
 */
#ifndef QUEUE_REMEDY_H
#define QUEUE_REMEDY_H

#include "base/str.h"

struct remedy {
	const char *name;	/* "microsoft-blocked", one word */
	const char *kind;	/* class of the code, "4" or "5", or "" */
	const char *status;	/* "5.7.26", ".7.26", "5.7.6*", or "" */
	const char *text[2];	/* must all be in the text, without case; NULL:
				   anything */
	const char *cause;	/* what it means */
	const char *sender;	/* what who wrote the mail can do; NULL: only
				   wait */
	const char *admin;	/* what who runs the server can do; NULL:
				   nothing */
};

/* The first row that fits a reply line ("550 5.7.1 text", also with
 * " [by HOST]" behind), or NULL. */
const struct remedy *remedy_find(struct str reply);

#endif
