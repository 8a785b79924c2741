/*
 * dns_ramp.h - when a domain may become stricter: DMARC from none to
 * quarantine to reject, MTA-STS from testing to enforce. Reports that others
 * sent to us decide, and the plan only says so; the admin does it.
 */
#ifndef PROC_DNS_RAMP_H
#define PROC_DNS_RAMP_H

#include "proc/cli.h"
#include "zone/plan.h"

#define DNS_RAMP_DAYS 14	/* of nothing but good reports, at each step */

/* Adds up the reports in the mailboxes (report_box.h); the store is open. NULL:
 * they cannot be read, and it was said why. Blocks. */
json_t *dns_ramp_read(struct cli *c);
/* Adds what the sums mean to the notes of a plan. */
void dns_ramp_advise(json_t *sums, const struct zone_settings *s,
	struct zone_plan *p);

#endif
