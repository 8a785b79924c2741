/*
 * meaning.h - what filters found and what DNS said, in words for people.
 */
#ifndef PROC_MEANING_H
#define PROC_MEANING_H

#include "base/buf.h"
#include "net/dns.h"
#include "plug/facts.h"

/* Appends a sentence: "192.0.2.1 may send for example.org". Where there is
 * none of ours for such a result, what it says itself. */
void meaning_result(struct buf *out, const struct result *r);
/* Appends a record as it stands in a zone file, without name and type. */
void meaning_record(struct buf *out, unsigned type,
	const struct dns_record *r);
const char *meaning_type(unsigned type);	/* "TXT"; "other" */
const char *meaning_status(enum dns_status status);

#endif
