/*
 * inspect.h - what a module says of itself, read from the file without
 * running it.
 *
 * The file may be hostile. Its texts come out as clean UTF-8 without control
 * characters, its numbers as they stand.
 */
#ifndef PLUG_INSPECT_H
#define PLUG_INSPECT_H

#include <mailroom/plugin.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define INSPECT_MODULE_MOST (256u << 20)

enum inspect_kind {
	INSPECT_PLUGIN,		/* exports mailroom_plugin */
	INSPECT_MFAPI,		/* a filter of libmilter's: no more is known */
};

struct inspect_setting {
	const char *name;
	const char *type;	/* "text", "duration", ...; "?" if not known */
	bool required;
	const char *fallback;	/* NULL: zero or empty */
	int64_t least, most;
	const char *choices;	/* or NULL */
	const char *help;
};

struct inspect {
	enum inspect_kind kind;
	const char *entry;	/* the symbol that was found */
	uint32_t abi, size;
	const char *name, *version, *summary;
	uint64_t config_size, session_size, message_size;
	const char *roles, *hooks;	/* words, blank between */
	uint32_t needs, may, wants;
	struct inspect_setting *setting;
	size_t n_setting;
};

/* All of *out lives in the arena. -1: one clear line about `module`. */
int inspect_module(struct inspect *out, const char *module, struct str file,
	struct arena *a, struct err *e);

/* The bits as words, blank between; "" for none. */
const char *inspect_needs(uint32_t needs, struct arena *a);
const char *inspect_may(uint32_t may, struct arena *a);
const char *inspect_wants(uint32_t wants, struct arena *a);
/* The roles of a descriptor that is loaded, in the same words. */
const char *inspect_roles(const struct mr_plugin *d, struct arena *a);

#endif
