/*
 * record.h - DNS records that a domain wants, and their forms in text.
 *
 * A value stands as a zone file has it, names whole with their final dot;
 * that of a TXT record is its bare text, however it is cut for the wire.
 */
#ifndef ZONE_RECORD_H
#define ZONE_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#define ZONE_MOST 256		/* records of one plan */

enum zone_type { ZONE_A = 1, ZONE_CNAME = 5, ZONE_MX = 15, ZONE_TXT = 16,
	ZONE_AAAA = 28, ZONE_SRV = 33, ZONE_TLSA = 52, ZONE_CAA = 257 };

/* What else may stand at the name and type. */
enum zone_rule {
	ZONE_ALONE,	/* nothing that the plan does not have */
	ZONE_TAGGED,	/* other texts; none that begins like this one */
	ZONE_AMONG,	/* others; where ours is missing it takes their place */
	ZONE_BESIDE,	/* others, which stay in any case */
};

struct zone_record {
	const char *name;	/* without the final dot */
	enum zone_type type;
	enum zone_rule rule;
	const char *value;
	const char *why;	/* half a sentence for people */
};

struct zone_plan {
	struct arena *a;
	const char *domain, *hostname;
	int64_t ttl;
	struct zone_record record[ZONE_MOST];
	size_t n;
	const char *note[32];	/* sentences for people */
	size_t n_note;
};

const char *zone_type_name(enum zone_type t);
/* Past ZONE_MOST it is dropped. Strings must live as long as the plan. */
void zone_add(struct zone_plan *p, enum zone_type type, enum zone_rule rule,
	const char *why, const char *name, const char *value);
void zone_note(struct zone_plan *p, const char *note);
/* Is it a record of the plan? */
bool zone_has(const struct zone_plan *p, const char *name,
	enum zone_type type, const char *value);
/* Names and numbers are equal whatever their case; texts are not. */
bool zone_same_value(enum zone_type type, const char *one, const char *other);
/* "v=spf1": up to the first blank or ';'. */
struct str zone_tag(const char *text);
/* The value as a zone file has it: texts in quotes, none longer than 255
 * bytes (RFC 1035 3.3). */
void zone_put_value(struct buf *out, enum zone_type type, const char *value);
/* A line of a zone file. */
void zone_put_line(struct buf *out, const struct zone_record *r, int64_t ttl);

#endif
