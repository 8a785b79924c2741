/*
 * milter_macro.h - macros: names that filters know facts of the session by.
 *
 * Names, forms and stages are Sendmail's and Postfix's as real filters need
 * them. A macro without a value is left out, never sent empty: an empty
 * {auth_authen} makes some filters pass everything.
 */
#ifndef PLUG_MILTER_MACRO_H
#define PLUG_MILTER_MACRO_H

#include <mailroom/plugin.h>

#include "base/buf.h"
#include "base/str.h"
#include "plug/milter_wire.h"

/* Whom macros are told about. */
struct milter_scene {
	struct mr_call *call;
	const char *rcpt;		/* the recipient at hand, or NULL */
	const struct mr_list *own;	/* "NAME=VALUE" of the admin's, which
					   come before ours; or NULL */
};

/* The names that a stage is told where nobody asked for others. */
struct str milter_usual(enum milter_stage stage);

/* Appends "name NUL value NUL" for each macro of the stage; names.at NULL:
 * the usual ones. */
void milter_macros(const struct milter_scene *s, enum milter_stage stage,
	struct str names, struct buf *out);

/* One macro alone: appends its value if the stage has it. false: the stage
 * is not told it, or there is no value. */
bool milter_macro(const struct milter_scene *s, enum milter_stage stage,
	struct str names, struct str wanted, struct buf *out);

#endif
