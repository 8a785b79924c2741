/*
 * ask.h - what is live: the name servers of a zone, found and asked one by
 * one, so that no cache stands between.
 */
#ifndef ZONE_ASK_H
#define ZONE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "net/dns.h"
#include "zone/record.h"

struct zone_ask_settings {
	struct dns *dns;	/* finds the servers */
	unsigned port;		/* at which they are asked */
	/* "address:port" of those that are asked instead, of all zones. */
	const char *const *server;
	size_t n_server;
	int64_t timeout_ms;	/* of one answer */
};

struct zone_server {
	const char *name, *address;
	unsigned port;
	bool is_silent;		/* did not answer and is asked no more */
};

struct zone_home {		/* the zone that a name lies in */
	const char *apex;	/* NULL: no zone is found */
	struct zone_server *server;
	size_t n;
	bool is_signed;		/* by DNSSEC, and proven */
};

enum zone_status { ZONE_HAS, ZONE_NONE, ZONE_SILENT, ZONE_REFUSED };

struct zone_answer {
	enum zone_status status;
	const char **value;	/* as zone_record has them */
	const char **exact;	/* as zone files do, texts cut as they are */
	size_t n;
	const char *alias;	/* the name is a CNAME of this, or NULL */
	const char *reason;	/* of REFUSED: "SERVFAIL", "not its zone" */
};

struct zone_asker;

/* The settings are borrowed. Never NULL. */
struct zone_asker *zone_asker_new(const struct zone_ask_settings *s);
void zone_asker_free(struct zone_asker *k);
/* Never NULL; belongs to the asker, which remembers it. Blocks. */
struct zone_home *zone_home_of(struct zone_asker *k, const char *name);
/* Servers that were silent get another chance. */
void zone_asker_forgive(struct zone_asker *k);
/* One server; the answer is in the arena. Blocks up to the timeout. */
void zone_ask(struct zone_asker *k, struct zone_server *s, const char *name,
	enum zone_type type, struct arena *a, struct zone_answer *out);
/* The first server of the name's zone that answers. */
void zone_ask_any(struct zone_asker *k, const char *name, enum zone_type type,
	struct arena *a, struct zone_answer *out);

#endif
