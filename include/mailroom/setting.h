/* SPDX-License-Identifier: MIT */
/*
 * mailroom/setting.h - settings declared once, as a table.
 *
 * A plugin (and every room of the core) describes its settings by rows of
 * struct mr_setting. The host parses, validates, completes and documents them
 * and writes the values into a struct of yours at the offsets you give.
 */
#ifndef MAILROOM_SETTING_H
#define MAILROOM_SETTING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* type: what the file may hold -> the C type at `offset` */
enum mr_setting_type {
	MR_BOOL = 1,	/* true | false            -> bool */
	MR_INT,		/* an integer              -> int64_t */
	MR_SIZE,	/* "50 MB", "16 KiB", int  -> int64_t, bytes */
	MR_DURATION,	/* "30s", "5m", "4h", "5d", "7y" -> int64_t,
			   milliseconds */
	MR_TEXT,	/* a string                -> const char *, never NULL */
	MR_PATH,	/* a file name; relative to the file that holds the
			   setting                 -> const char * */
	MR_SECRET,	/* as MR_TEXT, never shown; NAME_file = "path" reads it
			   from a file's first line -> const char * */
	MR_CHOICE,	/* one of `choices`        -> int64_t, its index */
	MR_LIST,	/* a list of strings       -> struct mr_list */
};

struct mr_list {
	const char *const *item;
	size_t n;
};

#define MR_REQUIRED 1u	/* flag: there is no default, the file must say it */

struct mr_setting {
	const char *name;	/* lower case, words joined by '_' */
	uint32_t type;		/* enum mr_setting_type */
	uint32_t flags;		/* MR_REQUIRED or 0 */
	size_t offset;		/* offsetof(your struct, field) */
	const char *fallback;	/* default as it would stand in the file
				   ("\"x\"", "30s", "[]"), NULL: zero/empty */
	int64_t least, most;	/* range for INT, SIZE, DURATION (in the C
				   type's unit); both 0: no range */
	const char *choices;	/* "tempfail|accept|reject" for MR_CHOICE */
	const char *help;	/* one or two sentences */
};

/* A table ends with a row whose name is NULL. */
#define MR_SETTINGS_END {0, 0, 0, 0, 0, 0, 0, 0, 0}

#ifdef __cplusplus
}
#endif
#endif
