/*
 * special.h - mailboxes that are named by what they are for (RFC 6154).
 */
#ifndef PLUG_SPECIAL_H
#define PLUG_SPECIAL_H

#include <mailroom/store.h>

#include "base/str.h"

/* "\Junk", without case; MR_SPECIAL_NONE for what is none. */
static inline enum mr_special
special_use_of(struct str name)
{
	static const struct {
		const char *name;
		enum mr_special special;
	} uses[] = {{"\\Drafts", MR_SPECIAL_DRAFTS},
		{"\\Sent", MR_SPECIAL_SENT}, {"\\Junk", MR_SPECIAL_JUNK},
		{"\\Trash", MR_SPECIAL_TRASH},
		{"\\Archive", MR_SPECIAL_ARCHIVE}};
	size_t i;

	for (i = 0; i < sizeof uses / sizeof *uses; i++)
		if (str_iis(name, uses[i].name))
			return uses[i].special;
	return MR_SPECIAL_NONE;
}

#endif
