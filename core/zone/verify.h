/*
 * verify.h - what is wanted against what is live: each record at each of its
 * zone's name servers.
 */
#ifndef ZONE_VERIFY_H
#define ZONE_VERIFY_H

#include "zone/ask.h"

enum zone_finding {
	ZONE_RIGHT,
	ZONE_MISSING,
	ZONE_DIFFERS,
	ZONE_SEVERAL,	/* of a kind that there may be one of */
	ZONE_ALIAS,	/* a CNAME stands in the way */
	ZONE_PARTLY,	/* some servers have it, some do not yet */
	ZONE_UNREACHED,	/* no server answers */
	ZONE_HOMELESS,	/* no name server is known for the name */
};

struct zone_found {
	const struct zone_record *record;
	enum zone_finding finding;
	bool is_there;		/* as wanted, whatever else is */
	const char **live;	/* what takes its place now; of an alias its
				   target */
	const char **exact;	/* the same, as zone files have them */
	size_t n_live;
	enum zone_type live_type;	/* of those; mostly the record's */
	const char *say;	/* what it is about and what to do, a sentence;
				   "" where it is right and alone */
	const struct zone_home *home;
};

const char *zone_finding_name(enum zone_finding f);
/* Asks for each record of the plan, all in the arena. Returns as many as the
 * plan has; *wrong: how many of them are not right. Blocks. */
struct zone_found *zone_verify(struct zone_asker *k,
	const struct zone_plan *p, struct arena *a, size_t *wrong);
/* One answer to one record, for zone_verify and its tests. Pure. */
void zone_judge(const struct zone_plan *p, const struct zone_record *r,
	const struct zone_answer *answer, struct arena *a,
	struct zone_found *out);

#endif
