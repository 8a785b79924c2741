/*
 * find.h - the reports that a message carries: aggregate reports of DMARC
 * (RFC 9990), reports of TLS (RFC 8460), reports of single failures (RFC
 * 6591, 9991).
 */
#ifndef REPORT_FIND_H
#define REPORT_FIND_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* Gives each as an object that is only lent, with its "kind": "dmarc"
 * (dmarc_read.h); "tls", what RFC 8460 section 4 has; "failure": {source-ip,
 * reported-domain, auth-failure, ...}, the fields of its report part. What
 * looks like one and cannot be read: kind "bad", with "error". Returns how
 * many. Pure. */
unsigned report_find(struct str message,
	void (*each)(void *arg, json_t *report), void *arg);

#endif
