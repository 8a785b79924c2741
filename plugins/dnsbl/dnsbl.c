/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dnsbl - asks block lists about the client's address (RFC 5782).
 *
 * Each list may have a weight, "zen.example=2"; the sum decides at the first
 * recipient, so that a login or a later rule can still let the client in and
 * the log shows for whom the mail was. Answers outside 127.0.0.0/8, and those
 * that mean "you may not ask" (127.255.255.0/24), count as no answer. A list
 * that cannot be reached never refuses mail. Logins and clients of this
 * machine are not asked about.
 */
#include <mailroom/plugin.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct config {
	struct mr_list lists;
	int64_t reject_at, mark_at;
};

struct session {
	bool asked;
	int64_t sum;
	char found[200];	/* the lists, blank between */
};

static const struct mr_setting settings[] = {
	{"lists", MR_LIST, MR_REQUIRED, offsetof(struct config, lists), NULL,
		0, 0, NULL, "Zones to ask, each with an optional weight: "
		"[\"zen.spamhaus.org=2\", \"bl.spamcop.net\"]. The weight is 1 "
		"unless it is given."},
	{"reject_at", MR_INT, 0, offsetof(struct config, reject_at), "2", 1,
		1000, NULL, "Refuse from this sum of weights on."},
	{"mark_at", MR_INT, 0, offsetof(struct config, mark_at), "1", 1, 1000,
		NULL, "Add the field X-DNSBL from this sum on."},
	MR_SETTINGS_END,
};

/* "192.0.2.1" -> "1.2.0.192", "2001:db8::1" -> its nibbles from the last;
 * false for neither. */
static bool
reverse(const char *address, char out[80])
{
	unsigned char a[16];
	int i;

	if (inet_pton(AF_INET, address, a) == 1) {
		snprintf(out, 80, "%u.%u.%u.%u", a[3], a[2], a[1], a[0]);
		return true;
	}
	if (inet_pton(AF_INET6, address, a) != 1)
		return false;
	for (i = 0; i < 16; i++)
		snprintf(out + i * 4, 80 - (size_t)i * 4, "%x.%x%s",
			a[15 - i] & 15, a[15 - i] >> 4, i < 15 ? "." : "");
	return true;
}

static bool
is_listed(struct mr_call *call, const char *reversed, const char *zone,
	size_t zone_len)
{
	struct mr_dns_answer got = {.size = sizeof got};
	char name[256];
	uint32_t i;

	if (zone_len + strlen(reversed) + 2 > sizeof name)
		return false;
	snprintf(name, sizeof name, "%s.%.*s", reversed, (int)zone_len, zone);
	call->host->dns(call, name, MR_DNS_A, &got);
	if (got.status == MR_DNS_TEMPFAIL || got.status == MR_DNS_BOGUS)
		mr_log(call, MR_LOG_WARN, "%s cannot be asked", name);
	for (i = 0; i < got.n; i++) {
		const unsigned char *at =
			(const unsigned char *)got.record[i].data.at;

		if (got.record[i].data.len == 4 && at[0] == 127 &&
			!(at[1] == 255 && at[2] == 255))
			return true;
	}
	return false;
}

static void
ask(struct mr_call *call, struct session *s)
{
	const struct config *c = call->config;
	char reversed[80];
	size_t i, len;

	s->asked = true;
	if (!reverse(mr_fact(call, MR_FACT_PEER_ADDRESS), reversed))
		return;
	for (i = 0; i < c->lists.n; i++) {
		const char *zone = c->lists.item[i];
		const char *weight = strchr(zone, '=');

		len = weight ? (size_t)(weight - zone) : strlen(zone);
		if (!is_listed(call, reversed, zone, len))
			continue;
		s->sum += weight ? atoll(weight + 1) : 1;
		if (strlen(s->found) + len + 2 < sizeof s->found)
			snprintf(s->found + strlen(s->found),
				sizeof s->found - strlen(s->found), "%s%.*s",
				*s->found ? " " : "", (int)len, zone);
	}
}

static bool
is_ours(struct mr_call *call)
{
	const char *address = mr_fact(call, MR_FACT_PEER_ADDRESS);

	return *mr_fact(call, MR_FACT_AUTH_LOGIN) ||
		!strncmp(address, "127.", 4) || !strcmp(address, "::1");
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	const struct config *c = call->config;
	struct session *s = call->session;
	char text[300];

	(void)rcpt;
	(void)args;
	if (is_ours(call))
		return MR_PASS;
	if (!s->asked)
		ask(call, s);
	if (s->sum < c->reject_at)
		return MR_PASS;
	snprintf(text, sizeof text, "%s is on a block list: %s",
		mr_fact(call, MR_FACT_PEER_ADDRESS), s->found);
	mr_say(call, 550, "5.7.1", text);
	return MR_REJECT;
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	const struct session *s = call->session;

	if (s->sum >= c->mark_at)
		mr_header_add(call, "X-DNSBL", s->found);
	return MR_PASS;
}

/* "zone" or "zone=2". */
static bool
is_list(const char *s)
{
	size_t zone = strcspn(s, "=");
	const char *weight = s + zone;

	if (zone == 0 || strcspn(s, " \t") < zone)
		return false;
	return !*weight || (strspn(weight + 1, "0123456789") ==
		strlen(weight + 1) && atoll(weight + 1) > 0 &&
		atoll(weight + 1) <= 1000);
}

static int
on_open(void *self, struct mr_open *open)
{
	const struct config *c = self;
	size_t i;

	for (i = 0; i < c->lists.n; i++) {
		if (is_list(c->lists.item[i]))
			continue;
		snprintf(open->error, open->error_size, "lists: `%.100s` is "
			"neither a zone nor zone=weight, 1 to 1000",
			c->lists.item[i]);
		return -1;
	}
	return 0;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS, .rcpt = on_rcpt,
	.message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "dnsbl", .version = "1.0",
	.summary = "asks block lists about the client",
	.settings = settings, .config_size = sizeof(struct config),
	.session_size = sizeof(struct session), .open = on_open,
	.filter = &filter,
};
