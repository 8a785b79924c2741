/*
 * dns_show.h - a plan as people, zone files, web forms and programs want it.
 */
#ifndef PROC_DNS_SHOW_H
#define PROC_DNS_SHOW_H

#include <jansson.h>

#include "zone/ask.h"
#include "zone/record.h"
#include "zone/verify.h"

enum dns_form { DNS_TABLE, DNS_ZONE, DNS_ROWS, DNS_JSON };

/* What stands in one of the plans before it is not shown again. */
void dns_show_plan(const struct zone_plan *p, struct zone_plan *const *before,
	size_t n_before, enum dns_form form, struct zone_asker *k);
/* Adds to a list of objects. */
void dns_json_plan(const struct zone_plan *p, struct zone_plan *const *before,
	size_t n_before, json_t *list);
json_t *dns_json_record(const struct zone_record *r);
/* Those that are wrong, at length; the others in a line each. */
void dns_show_found(const struct zone_plan *p, const struct zone_found *f,
	size_t wrong);
json_t *dns_json_found(const struct zone_found *f);

#endif
