/*
 * config_route.h - reading and checking the [route.NAME] sections.
 */
#ifndef PROC_CONFIG_ROUTE_H
#define PROC_CONFIG_ROUTE_H

#include "proc/config.h"

/* Fills c->routes; what is wrong is reported. */
void config_read_routes(struct config *c, struct conf_report *report);
/* Once plugins are loaded: the named ones must be transports. */
void config_check_transports(const struct config *c, const struct plugins *p,
	struct conf_report *report);
bool config_is_transport(const struct config *c, struct str name);

#endif
