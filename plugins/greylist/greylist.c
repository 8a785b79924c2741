/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * greylist - asks a stranger's server to come back once.
 *
 * The first mail of a (network, sender, recipient) is refused for a while
 * with 451; servers that queue come back, most senders of junk do not. A
 * network that came back a few times is known and is not asked again. Logins
 * and loopback are never asked. What is remembered stands in the store and
 * is shared by all processes.
 */
#include <mailroom/plugin.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct config {
	int64_t delay, window, remember;	/* ms */
	int64_t known_after;
	int64_t v4_bits;
};

static const struct mr_setting settings[] = {
	{"delay", MR_DURATION, 0, offsetof(struct config, delay), "\"5m\"",
		1000, 86400000, NULL,
		"How long a first mail has to wait before it is taken."},
	{"window", MR_DURATION, 0, offsetof(struct config, window), "\"2d\"",
		60000, 0x7fffffffffLL, NULL,
		"Until when the second try must come."},
	{"remember", MR_DURATION, 0, offsetof(struct config, remember),
		"\"36d\"", 60000, 0x7fffffffffLL, NULL, "How long a sender "
		"that came back, and a known network, are remembered."},
	{"known_after", MR_INT, 0, offsetof(struct config, known_after), "5",
		1, 1000, NULL, "A network whose mail came back this often is "
		"not asked any more."},
	{"v4_bits", MR_INT, 0, offsetof(struct config, v4_bits), "24", 8, 32,
		NULL, "Length of the IPv4 networks that count as one sender; "
		"IPv6 counts by /64."},
	MR_SETTINGS_END,
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "192.0.2.0/24", "2001:db8::/64"; what is no address stays as it is. */
static void
network_of(const struct config *c, const char *address, char out[64])
{
	char text[INET6_ADDRSTRLEN] = "";
	unsigned char a[16];
	uint32_t v4;

	if (inet_pton(AF_INET, address, &v4) == 1) {
		v4 &= htonl(UINT32_MAX << (32 - c->v4_bits));
		inet_ntop(AF_INET, &v4, text, sizeof text);
		snprintf(out, 64, "%s/%d", text, (int)c->v4_bits);
	} else if (inet_pton(AF_INET6, address, a) == 1) {
		memset(a + 8, 0, 8);
		inet_ntop(AF_INET6, a, text, sizeof text);
		snprintf(out, 64, "%s/64", text);
	} else {
		snprintf(out, 64, "%s", address);
	}
}

/* The state's keys have at most 255 bytes: long addresses become a digest
 * (FNV-1a, 64 bits; a collision only spares somebody the wait). The second
 * try may come in other letters: case does not count. */
static void
key_of(const char *network, const char *sender, const char *rcpt,
	char out[128])
{
	const char *part[] = {sender, "\n", rcpt};
	uint64_t h = 14695981039346656037ULL;
	const char *p;
	size_t i;

	for (i = 0; i < 3; i++)
		for (p = part[i]; *p; p++)
			h = (h ^ (unsigned char)(*p >= 'A' && *p <= 'Z' ?
				*p + 32 : *p)) * 1099511628211ULL;
	snprintf(out, 128, "%s %016llx", network, (unsigned long long)h);
}

static enum mr_verdict
ask_to_wait(struct mr_call *call, int64_t ms)
{
	char text[128];

	snprintf(text, sizeof text, "Greylisted: please try again in %lld "
		"seconds", (long long)(ms + 999) / 1000);
	mr_say(call, 451, "4.7.1", text);
	return MR_TEMPFAIL;
}

static enum mr_verdict
first_seen(struct mr_call *call, const struct config *c, const char *key)
{
	char text[32];
	int n = snprintf(text, sizeof text, "%lld", (long long)now_ms());

	/* A store that cannot remember must not refuse for ever. */
	if (call->host->state_set(call, key, (struct mr_str){text, (size_t)n},
		c->window) < 0)
		return MR_PASS;
	return ask_to_wait(call, c->delay);
}

static enum mr_verdict
came_back(struct mr_call *call, const struct config *c, const char *network,
	const char *key)
{
	int64_t times;

	call->host->state_set(call, key, (struct mr_str){"0", 1},
		c->remember);
	call->host->state_add(call, network, 1, c->remember, &times);
	*(bool *)call->message = true;
	mr_log(call, MR_LOG_INFO, "came back, network %s %lld times", network,
		(long long)times);
	return MR_PASS;
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	const struct config *c = call->config;
	const char *address = mr_fact(call, MR_FACT_PEER_ADDRESS);
	char network[64], key[128];
	struct mr_str value;
	int64_t since, waited;

	(void)args;
	if (*mr_fact(call, MR_FACT_AUTH_LOGIN) || !*address ||
		!strncmp(address, "127.", 4) || !strcmp(address, "::1"))
		return MR_PASS;
	network_of(c, address, network);
	if (call->host->state_get(call, network, &value) == 1 &&
		atoll(value.at) >= c->known_after)
		return MR_PASS;
	key_of(network, mr_fact(call, MR_FACT_SENDER), rcpt, key);
	switch (call->host->state_get(call, key, &value)) {
	case 0:
		return first_seen(call, c, key);
	case 1:
		break;
	default:
		return MR_PASS;
	}
	since = atoll(value.at);
	waited = now_ms() - since;
	if (since == 0)
		return MR_PASS;		/* came back before */
	return waited < c->delay ? ask_to_wait(call, c->delay - waited) :
		came_back(call, c, network, key);
}

/* For those who judge after us: it is no old acquaintance. */
static enum mr_verdict
on_message(struct mr_call *call)
{
	if (*(bool *)call->message)
		mr_header_add(call, "X-Greylist",
			"its sender was asked to wait, and came back");
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS, .rcpt = on_rcpt,
	.message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "greylist", .version = "1.0",
	.summary = "asks unknown senders to come back once",
	.settings = settings, .config_size = sizeof(struct config),
	.message_size = sizeof(bool),
	.filter = &filter,
};
