/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text.c - a text that grows.
 */
#include "arc.h"

#include <stdlib.h>
#include <string.h>

void
text_add(struct text *t, const char *at, size_t len)
{
	size_t room = t->room ? t->room : 512;
	char *more;

	while (room < t->len + len + 1)
		room *= 2;
	more = room > t->room ? realloc(t->at, room) : t->at;
	if (!more) {
		t->failed = true;
		return;
	}
	t->at = more;
	t->room = room;
	memcpy(t->at + t->len, at, len);
	t->len += len;
	t->at[t->len] = '\0';
}

void
text_adds(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_free(struct text *t)
{
	free(t->at);
	*t = (struct text){.at = NULL};
}
