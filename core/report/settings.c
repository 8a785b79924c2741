/*
 * settings.c - the section [reports].
 */
#include "report/outgoing.h"

const struct mr_setting report_settings_table[] = {
	{"dmarc", MR_BOOL, 0, offsetof(struct report_settings, dmarc), "true",
		0, 0, NULL, "Send a daily report to domains that ask for it by "
		"rua= of their DMARC record."},
	{"tls", MR_BOOL, 0, offsetof(struct report_settings, tls), "true", 0,
		0, NULL, "Send a daily report of our deliveries to domains "
		"that ask for it (TLSRPT, RFC 8460)."},
	{"sender", MR_TEXT, 0, offsetof(struct report_settings, sender),
		"\"\"", 0, 320, NULL, "Author of the reports; its domain "
		"should have a DKIM key. Empty: noreply-reports@ and "
		"hostname."},
	{"contact", MR_TEXT, 0, offsetof(struct report_settings, contact),
		"\"\"", 0, 320, NULL, "Address in the reports for questions. "
		"Empty: postmaster@ and hostname."},
	MR_SETTINGS_END,
};
