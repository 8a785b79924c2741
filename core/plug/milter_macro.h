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

/* Appends "name NUL value NUL" for each macro of the stage; names.at NULL:
 * the usual ones. rcpt: the recipient at hand, or NULL. */
void milter_macros(struct mr_call *call, enum milter_stage stage,
	struct str names, const char *rcpt, struct buf *out);

/* One macro alone: appends its value if the stage has it. false: the stage
 * is not told it, or there is no value. */
bool milter_macro(struct mr_call *call, enum milter_stage stage,
	struct str names, const char *rcpt, struct str wanted,
	struct buf *out);

#endif
