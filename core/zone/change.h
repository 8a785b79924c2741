/*
 * change.h - from what verify found to the changes that make it right, and
 * their way into a zone: one update (RFC 2136) that is signed (RFC 8945).
 */
#ifndef ZONE_CHANGE_H
#define ZONE_CHANGE_H

#include "base/err.h"
#include "zone/settings.h"
#include "zone/verify.h"

#define ZONE_CHANGES_MOST (4 * ZONE_MOST)

struct zone_change {
	bool adds;		/* else it takes out */
	const char *name;
	enum zone_type type;
	const char *value;	/* as zone_record has it */
	const char *exact;	/* as a zone file has it, texts cut as they
				   are */
	int64_t ttl;
	const struct zone_home *home;
};

struct zone_changes {
	struct zone_change at[ZONE_CHANGES_MOST];
	size_t n;
	size_t n_left;		/* records that no change helps now */
};

/* Adds the changes that n findings of a plan need, each once, what is taken
 * out before what is added. Pure. */
void zone_changes_of(const struct zone_plan *p, const struct zone_found *f,
	struct arena *a, struct zone_changes *out);
/* Makes the changes that lie in one zone: what clears the way for a CNAME
 * first, then the rest at once or not at all. Blocks. */
int zone_update(const struct zone_update_settings *s,
	const struct zone_home *home, const struct zone_changes *all,
	struct err *e);

#endif
