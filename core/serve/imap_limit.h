/*
 * imap_limit.h - how many messages one command may work on: MESSAGELIMIT (RFC
 * 9738), where limits.messages_per_command asks for it.
 *
 * Of more messages those with the highest UIDs are worked on, and the answer
 * says which was the lowest of them, so that the client can go on below it.
 * COPY, SORT and THREAD make sense as a whole only, and are refused.
 */
#ifndef SERVE_IMAP_LIMIT_H
#define SERVE_IMAP_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "serve/imap.h"

/* 0: as many as there are. */
uint32_t imap_limit(const struct imap *k);
/* Whether these ranges (sorted) name more messages than that. */
bool imap_limit_exceeded(const struct imap *k, const struct mr_range *r,
	size_t n);
/* Keeps the highest UIDs, as many as may be; returns the lowest that is kept,
 * or 0 if all are. */
uint32_t imap_limit_cut(struct imap *k, struct mr_range **r, size_t *n);
/* The answer, with [MESSAGELIMIT n lowest] if `lowest` is not 0: in an untagged
 * NO where another code is in the tagged OK, or is going to be. */
struct imap_answer imap_limit_say(struct imap *k, uint32_t lowest,
	bool has_code, struct imap_answer said);
/* NO [MESSAGELIMIT n] */
struct imap_answer imap_limit_refuse(struct imap *k);

#endif
