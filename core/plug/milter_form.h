/*
 * milter_form.h - the forms that filters of Sendmail's school expect facts
 * in, and what their answers mean.
 *
 * Shared by the two ways such a filter is attached: over a socket (milter.c)
 * and inside the process (mfapi.c). Talks to the core through
 * mailroom/plugin.h only.
 */
#ifndef PLUG_MILTER_FORM_H
#define PLUG_MILTER_FORM_H

#include <stdbool.h>

#include <mailroom/plugin.h>

#include "base/buf.h"
#include "base/str.h"

struct milter_peer {
	const char *address;	/* never empty */
	const char *name;	/* "" if there is none */
	uint16_t port;
};

/* Who connected. A peer without an address is on this machine; filters do
 * not expect to be told of none. */
void milter_peer(struct mr_call *c, struct milter_peer *out);
/* The peer's host name, "[address]" if it has none; with its NUL. */
void milter_add_host(struct buf *out, const struct milter_peer *p);
/* "<address>" and each ESMTP argument, a NUL behind each. */
void milter_add_path(struct buf *out, const char *address, const char *args);
/* "name NUL value NUL". The value with folds as LF, without its leading
 * space unless that was agreed on, no NUL inside. What is larger than the
 * cap of out is cut: then false. */
bool milter_add_field(struct buf *out, const struct mr_header *h,
	bool keep_space);

/* Choices of on_failure, in the order of its numbers. */
#define MILTER_ON_FAILURE "tempfail|accept|reject|quarantine"
/* What on_failure makes of a message whose filter cannot be asked. */
enum mr_verdict milter_without(struct mr_call *c, int64_t on_failure);
/* A reply with code and text of the filter's own, in the form of a y
 * frame's data: says it and returns the verdict that fits its code. */
enum mr_verdict milter_reply(struct mr_call *c, struct str data);

#endif
