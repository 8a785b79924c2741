/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * reports - files the reports that others send of our mail, of DMARC and TLS,
 * in a mailbox of their own, where `mailroom dmarc report` and `mailroom tls
 * report` read them.
 */
#include <mailroom/plugin.h>

#include <stdio.h>
#include <strings.h>

struct config {
	struct mr_list addresses;
	const char *mailbox;
};

static const struct mr_setting settings[] = {
	{"addresses", MR_LIST, 0, offsetof(struct config, addresses), "[]", 0,
		0, NULL, "Addresses that your DNS records name for reports "
		"(rua=, ruf=); each has to lead to an account here."},
	{"mailbox", MR_TEXT, 0, offsetof(struct config, mailbox),
		"\"Reports\"", 1, 200, NULL, "Where mail for them is filed; it "
		"is made where it is missing."},
	MR_SETTINGS_END,
};

static int
is_ours(const struct config *c, const char *address)
{
	size_t i;

	for (i = 0; i < c->addresses.n; i++)
		if (!strcasecmp(c->addresses.item[i], address))
			return 1;
	return 0;
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	struct mr_rcpt rcpt;
	size_t i;

	for (i = 0; call->host->rcpt(call, i, &rcpt) == 0; i++)
		if (is_ours(c, rcpt.address.at) && call->host->file_into(call,
			rcpt.address.at, c->mailbox) < 0)
			mr_log(call, MR_LOG_WARN, "%s: it cannot be filed in "
				"%s", rcpt.address.at, c->mailbox);
	return MR_PASS;
}

static int
on_open(void *config, struct mr_open *open)
{
	(void)config;
	if (MR_HAS(open->host, file_into))
		return 0;
	snprintf(open->error, open->error_size, "this server cannot file mail");
	return -1;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "reports", .version = "1.0",
	.summary = "files reports of DMARC and TLS in a mailbox",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .filter = &filter,
};
