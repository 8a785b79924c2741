/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ratelimit - how many recipients somebody may send to in a while.
 *
 * A login counts by its account, anybody else by address, IPv6 by /64. Each recipient
 * that is asked for counts, refused ones too, so that guessing addresses is
 * slowed down. Counters stand in the store and are shared by all processes.
 */
#include <mailroom/plugin.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

struct config {
	int64_t account_limit, address_limit, window;
	bool exempt_loopback;
};

static const struct mr_setting settings[] = {
	{"account_limit", MR_INT, 0, offsetof(struct config, account_limit),
		"500", 0, 1000000000, NULL, "Recipients of one account within "
		"`window`. 0: no limit."},
	{"address_limit", MR_INT, 0, offsetof(struct config, address_limit),
		"1000", 0, 1000000000, NULL, "Recipients asked for from one "
		"client address within `window`. 0: no limit."},
	{"window", MR_DURATION, 0, offsetof(struct config, window), "\"1h\"",
		1000, 0x7fffffffLL, NULL, "The while that counts."},
	{"exempt_loopback", MR_BOOL, 0, offsetof(struct config,
		exempt_loopback), "true", 0, 0, NULL, "Do not count clients of "
		"this machine that did not log in."},
	MR_SETTINGS_END,
};

static bool
is_loopback(const char *address)
{
	return !*address || !strncmp(address, "127.", 4) ||
		!strcmp(address, "::1");
}

/* Who counts as one: the key of its counter. */
static void
key_of(const char *login, const char *address, char out[256])
{
	char text[INET6_ADDRSTRLEN] = "";
	unsigned char a[16];

	if (!*login && inet_pton(AF_INET6, address, a) == 1) {
		memset(a + 8, 0, 8);
		inet_ntop(AF_INET6, a, text, sizeof text);
		snprintf(out, 256, "%s/64", text);
	} else {
		snprintf(out, 256, "%.240s", *login ? login : address);
	}
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	const struct config *c = call->config;
	const char *login = mr_fact(call, MR_FACT_AUTH_LOGIN);
	const char *address = mr_fact(call, MR_FACT_PEER_ADDRESS);
	int64_t limit = *login ? c->account_limit : c->address_limit, sum;
	char key[256];

	(void)rcpt;
	(void)args;
	if (!limit || (!*login && c->exempt_loopback && is_loopback(address)))
		return MR_PASS;
	key_of(login, address, key);
	/* A store that cannot count does not stop the mail. */
	if (call->host->state_add(call, key, 1, c->window, &sum) < 0 ||
		sum <= limit)
		return MR_PASS;
	mr_say(call, 450, "4.7.1", *login ?
		"You have sent to too many recipients; try again later" :
		"Too many recipients from your address; try again later");
	return MR_TEMPFAIL;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .wants = MR_WANT_REFUSED, .rcpt = on_rcpt,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "ratelimit", .version = "1.0",
	.summary = "bounds how many recipients a sender asks for",
	.settings = settings, .config_size = sizeof(struct config),
	.filter = &filter,
};
