/*
 * settings.c - the tables of [dns.plan] and [dns.update].
 */
#include "zone/settings.h"

#include <stddef.h>

#define AT(field) offsetof(struct zone_settings, field)
#define OF(field) offsetof(struct zone_update_settings, field)
#define DMARC "none|quarantine|reject"
#define STS "off|testing|enforce"

const char *const zone_dmarc_names[] = {"none", "quarantine", "reject"};
const char *const zone_sts_names[] = {"off", "testing", "enforce"};

const struct mr_setting zone_settings_table[] = {
	{"addresses", MR_LIST, 0, AT(addresses), "[]", 0, 0, NULL,
		"Addresses under which others reach this server, IPv4 and "
		"IPv6. Empty: those of the listeners, else what DNS has for "
		"the hostname now."},
	{"report_to", MR_TEXT, 0, AT(report_to), "\"\"", 0, 0, NULL,
		"Address that others are to send reports to (DMARC, "
		"TLS-RPT). Empty: postmaster of the domain."},
	{"authority", MR_TEXT, 0, AT(authority), "\"\"", 0, 0, NULL,
		"The one that may issue certificates, as a CAA record names "
		"it (\"letsencrypt.org\"). Empty: by the certificate in use; "
		"\"none\": no CAA record is wanted."},
	{"dmarc", MR_CHOICE, 0, AT(dmarc), "\"none\"", 0, 0, DMARC,
		"What others are to do with mail in our name that does not "
		"pass. A stricter word that is in DNS is kept."},
	{"mta_sts", MR_CHOICE, 0, AT(mta_sts), "\"testing\"", 0, 0, STS,
		"Whether others are told to insist on TLS to this server "
		"(RFC 8461)."},
	{"ttl", MR_INT, 0, AT(ttl), "3600", 1, 604800, NULL,
		"Seconds that others may keep our records."},
	{"servers", MR_LIST, 0, AT(servers), "[]", 0, 0, NULL,
		"Name servers as \"address:port\" that are asked what is "
		"live, instead of those that DNS names for the domain."},
	{"authority_port", MR_INT, 0, AT(port), "53", 1, 65535, NULL,
		"Port at which the domain's name servers are asked."},
	{"watch", MR_BOOL, 0, AT(watch), "true", 0, 0, NULL,
		"Look once a day whether records that were right still are, "
		"and tell by mail when not."},
	{"watch_to", MR_TEXT, 0, AT(watch_to), "\"\"", 0, 0, NULL,
		"Who is told. Empty: postmaster of the domain."},
	MR_SETTINGS_END,
};

const struct mr_setting zone_update_settings_table[] = {
	{"server", MR_TEXT, 0, OF(server), "\"\"", 0, 0, NULL,
		"Name server that takes updates (RFC 2136), as "
		"\"address:port\". Empty: the first of the zone."},
	{"key", MR_TEXT, 0, OF(key), "\"\"", 0, 0, NULL,
		"Name of the key that updates are signed with (TSIG)."},
	{"algorithm", MR_CHOICE, 0, OF(algorithm), "\"hmac-sha256\"", 0, 0,
		"hmac-sha256|hmac-sha512|hmac-sha1", "Of that key."},
	{"secret", MR_SECRET, 0, OF(secret), "\"\"", 0, 0, NULL,
		"The key itself, in base64."},
	MR_SETTINGS_END,
};
