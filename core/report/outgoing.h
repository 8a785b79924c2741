/*
 * outgoing.h - reports that we send to the domains that ask for them: of what
 * came in their name (DMARC, RFC 9990), and of how we fared with their TLS
 * (RFC 8460).
 *
 * A report covers one day, UTC, that is over. It is put into the drop folder
 * and goes out as our own mail, so that it is signed. Its id follows from day
 * and domain: what a crash makes us send again is known as the same.
 */
#ifndef REPORT_OUTGOING_H
#define REPORT_OUTGOING_H

#include <jansson.h>

#include "net/dns.h"
#include "plug/store.h"

struct report_settings {	/* [reports] */
	bool dmarc, tls;
	const char *sender, *contact;
};
extern const struct mr_setting report_settings_table[];

struct report_house {
	const struct report_settings *settings;
	const char *hostname, *data, *drop;
	struct dns *dns;
	const struct store *store;
	/* Is asked between two reports: true ends the work. May be NULL. */
	bool (*is_over)(void *arg);
	void *arg;
	bool dry;		/* nothing is sent, nothing removed */
	bool discards;		/* rows of the dmarc plugin are removed only */
};

/* Each report with what became of it, lent: {kind, domain, day, to, bytes,
 * fate}; `document` has what it tells, before it is packed. */
typedef void (*report_told)(void *arg, json_t *report, struct str document);

/* Of all days before today that rows of the dmarc plugin are kept of; they
 * are removed. Returns how many were sent, or -1: trouble with the disk. Both
 * block on DNS and disk. */
int report_send_dmarc(const struct report_house *h, report_told told,
	void *arg, struct err *e);
/* Of all days before today that were not reported yet. */
int report_send_tls(const struct report_house *h, report_told told,
	void *arg, struct err *e);

#endif
