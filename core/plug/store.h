/*
 * store.h - the store plugin as the core uses it: the table, its state and
 * one place where its codes become struct err.
 */
#ifndef PLUG_STORE_H
#define PLUG_STORE_H

#include <mailroom/store.h>

#include "base/arena.h"
#include "base/err.h"
#include "plug/plugin.h"

struct store {
	const struct mr_store *op;
	void *self;
};

/* -1: no plugin has the store role, or it lacks functions we need. */
int store_find(const struct plugins *p, struct store *out, struct err *e);
/* 0 for MR_STORE_OK; else fills e (MISSING, EXISTS, FULL, STORE) and
 * returns -1. Use: store_result(s.op->commit(s.self, c, &me), &me, e). */
int store_result(int code, const struct mr_error *me, struct err *e);

/* The newer calls, of stores that have them; of older ones by the calls they
 * have, less well: claims in order of time whatever is wanted, and giving an
 * item back counts as an attempt. */
int store_claim_turns(const struct store *s, struct mr_claim *c,
	struct mr_error *err);
int store_queue_change(const struct store *s, const struct mr_queue_change *c,
	uint32_t *n, struct mr_error *err);
/* Nothing, of those that retain nothing. */
int store_retained(const struct store *s, struct mr_retained *r,
	struct mr_error *err);
/* "3 messages must be kept, the last until 2033-11-24 12:00 UTC" */
const char *store_retained_text(const struct mr_retained *r, struct arena *a);

#endif
