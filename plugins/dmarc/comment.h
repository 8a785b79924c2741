/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * comment.h - what is to be passed over in a structured field (RFC 5322 3.2).
 */
#ifndef DMARC_COMMENT_H
#define DMARC_COMMENT_H

#include <mailroom/plugin.h>

/* Behind a comment or a quoted string that begins at i. */
static inline size_t
comment_pass(struct mr_str v, size_t i)
{
	char end = v.at[i] == '"' ? '"' : ')';
	int depth = 0;

	for (; i < v.len; i++) {
		if (v.at[i] == '\\')
			i++;
		else if (end == ')' && v.at[i] == '(')
			depth++;
		else if (v.at[i] == end && (end == '"' ? depth++ : --depth ==
			0))
			return i + 1;
	}
	return v.len;
}

#endif
