/*
 * special.h - mailboxes that are named by what they are for (RFC 6154).
 */
#ifndef PLUG_SPECIAL_H
#define PLUG_SPECIAL_H

#include <mailroom/store.h>

#include "base/str.h"

static const char *const special_names[] = {
	[MR_SPECIAL_NONE] = "", [MR_SPECIAL_DRAFTS] = "Drafts",
	[MR_SPECIAL_SENT] = "Sent", [MR_SPECIAL_JUNK] = "Junk",
	[MR_SPECIAL_TRASH] = "Trash", [MR_SPECIAL_ARCHIVE] = "Archive",
};

/* "\Junk", without case; MR_SPECIAL_NONE for what is none. */
static inline enum mr_special
special_use_of(struct str name)
{
	size_t i;

	if (!str_starts(name, "\\"))
		return MR_SPECIAL_NONE;
	name = str_sub(name, 1, name.len);
	for (i = 1; i < sizeof special_names / sizeof *special_names; i++)
		if (str_iis(name, special_names[i]))
			return (enum mr_special)i;
	return MR_SPECIAL_NONE;
}

#endif
