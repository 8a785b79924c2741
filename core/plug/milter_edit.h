/*
 * milter_edit.h - the edits a filter asks for at the end of a message,
 * carried out through the host table with Postfix's meaning of indexes.
 */
#ifndef PLUG_MILTER_EDIT_H
#define PLUG_MILTER_EDIT_H

#include <stdbool.h>

#include <mailroom/plugin.h>

#include "base/err.h"
#include "base/str.h"

/* True if the command is an edit (h i m b e + 2 -). */
bool milter_is_edit(int command);
/* The action (SMFIF_*) that it had to be agreed on by; 0: no edit. */
uint32_t milter_edit_action(int command);
/* 0, or -1 for a malformed frame. */
int milter_edit(struct mr_call *call, int command, struct str data,
	struct err *e);

#endif
