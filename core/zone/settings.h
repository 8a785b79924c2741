/*
 * settings.h - [dns.plan], what the domains want of DNS, and [dns.update], how
 * it gets there.
 */
#ifndef ZONE_SETTINGS_H
#define ZONE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <mailroom/setting.h>

enum zone_dmarc { ZONE_DMARC_NONE, ZONE_DMARC_QUARANTINE, ZONE_DMARC_REJECT };
enum zone_sts { ZONE_STS_OFF, ZONE_STS_TESTING, ZONE_STS_ENFORCE };

struct zone_settings {		/* [dns.plan] */
	struct mr_list addresses;
	const char *report_to;
	const char *authority;
	int64_t dmarc, mta_sts;
	int64_t ttl;
	struct mr_list servers;
	int64_t port;
	bool watch;
	const char *watch_to;
};

struct zone_update_settings {	/* [dns.update] */
	const char *server;	/* "": the zone's first */
	const char *key, *secret;
	int64_t algorithm;
};
extern const struct mr_setting zone_settings_table[],
	zone_update_settings_table[];
extern const char *const zone_dmarc_names[], *const zone_sts_names[];

#endif
