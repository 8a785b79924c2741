/*
 * nexthop.c - finding the [route.NAME] of a domain. Pure; any thread.
 */
#include "queue/nexthop.h"

#include "base/arena.h"
#include "mail/addr.h"

#define AT(field) offsetof(struct nexthop, field)

const struct mr_setting nexthop_settings_table[] = {
	{"domains", MR_LIST, MR_REQUIRED, AT(domains), NULL, 0, 0, NULL,
		"Recipients' domains: \"example.net\"; \".example.net\" for "
		"all names below it; \"*\" for all that no other route and no "
		"account of ours has. The longest match counts."},
	{"transport", MR_TEXT, 0, AT(transport), "\"\"", 0, 0, NULL,
		"NAME of the [plugin.NAME] that delivers this mail."},
	{"host", MR_TEXT, 0, AT(host), "\"\"", 0, 0, NULL,
		"\"host:port\" of the server that this mail goes to, instead "
		"of the domain's own."},
	{"senders", MR_LIST, 0, AT(senders), "[]", 0, 0, NULL,
		"For mail from these only: \"user@example.org\", "
		"\"example.org\", \".example.org\", or \"<>\" for reports. "
		"None: from whomever."},
	{"login", MR_TEXT, 0, AT(login), "\"\"", 0, 0, NULL,
		"Login at the host. Empty: none."},
	{"password", MR_SECRET, 0, AT(password), "\"\"", 0, 0, NULL,
		"Password there."},
	{"tls", MR_CHOICE, 0, AT(tls), "\"opportunistic\"", 0, 0,
		"none|opportunistic|required", "TLS with the host: required "
		"verifies its certificate."},
	{"ca_file", MR_PATH, 0, AT(ca_file), "\"\"", 0, 0, NULL,
		"Certificates to verify the host with. Empty: the system's."},
	{"source", MR_LIST, 0, AT(source), "[]", 0, 0, NULL,
		"Our addresses that this mail leaves from, one a family. "
		"None: as [queue]."},
	{"concurrency", MR_INT, 0, AT(concurrency), "0", 0, 500, NULL,
		"Deliveries at once by this route. 0: as [queue] "
		"per_destination."},
	{"rate", MR_INT, 0, AT(rate), "0", 0, 1000000, NULL,
		"Deliveries a minute by this route. 0: as [queue] rate."},
	{"accept", MR_BOOL, 0, AT(accept), "false", 0, 0, NULL,
		"Take mail for these domains from anybody, without a login."},
	MR_SETTINGS_END,
};

/* How well a pattern fits: 0 not at all. */
static size_t
fit(struct str domain, const char *pattern)
{
	struct str p = str_from(pattern);

	if (str_is(p, "*"))
		return 1;
	if (*pattern != '.')
		return str_ieq(domain, p) ? SIZE_MAX : 0;
	if (domain.len <= p.len || !str_ieq(p, str_sub(domain,
		domain.len - p.len, p.len)))
		return 0;
	return p.len;
}

static size_t
fit_domain(const struct nexthop *hop, struct str domain)
{
	size_t k, how, most = 0;

	for (k = 0; k < hop->domains.n; k++) {
		how = fit(domain, hop->domains.item[k]);
		most = how > most ? how : most;
	}
	return most;
}

/* 1: whoever it is. */
static size_t
fit_sender(const struct nexthop *hop, struct str sender)
{
	struct str domain = str_sub(sender, str_rfind(sender, '@') + 1,
		sender.len);
	size_t k, how, most = 0;

	if (!hop->senders.n)
		return 1;
	for (k = 0; k < hop->senders.n; k++) {
		struct str p = str_from(hop->senders.item[k]);

		if (str_find(p, '@') < p.len)
			how = str_ieq(p, sender) ? SIZE_MAX : 0;
		else if (str_is(p, "<>"))
			how = sender.len ? 0 : SIZE_MAX;
		else
			how = sender.len ? fit(domain, p.at) : 0;
		most = how > most ? how : most;
	}
	return most ? most + (most < SIZE_MAX) : 0;
}

const struct nexthop *
nexthop_find(const struct nexthops *all, struct str domain, struct str sender)
{
	const struct nexthop *best = NULL;
	size_t i, to, from, most_to = 0, most_from = 0;

	for (i = 0; all && i < all->n; i++) {
		to = fit_domain(&all->item[i], domain);
		from = to >= most_to && to ? fit_sender(&all->item[i],
			sender) : 0;
		if (!from || (to == most_to && from <= most_from))
			continue;
		most_to = to;
		most_from = from;
		best = &all->item[i];
	}
	return best;
}

void
nexthop_key(const struct nexthop *hop, bool has_smarthost, struct str domain,
	char out[NEXTHOP_KEY])
{
	const char *name = hop ? hop->name : "", *gap = hop ? " " : "";

	if (hop && (*hop->transport || *hop->host))
		snprintf(out, NEXTHOP_KEY, "[%s]", name);
	else if (has_smarthost)
		snprintf(out, NEXTHOP_KEY, "smarthost%s%s", gap, name);
	else
		snprintf(out, NEXTHOP_KEY, "%.*s%s%s", STR_ARGS(domain), gap,
			name);
}

int
nexthop_source(const char *text, struct sock_addr *out, struct err *e)
{
	char whole[SOCK_TEXT];

	snprintf(whole, sizeof whole, strchr(text, ':') ? "[%s]:0" : "%s:0",
		text);
	return sock_parse(str_from(whole), out, e);
}

bool
nexthop_asks_sender(const struct nexthops *all)
{
	size_t i;

	for (i = 0; all && i < all->n; i++)
		if (all->item[i].senders.n)
			return true;
	return false;
}

bool
nexthop_accepts(const struct nexthops *all, struct str address)
{
	const struct nexthop *found;
	struct arena arena;
	struct str domain;
	struct addr a;

	if (!all || !all->n || !addr_parse(address, &a))
		return false;
	arena_init(&arena);
	domain = addr_domain_ascii(&arena, a.domain);
	found = domain.at ? nexthop_find(all, domain, STR("")) : NULL;
	arena_free(&arena);
	return found && found->accept;
}
