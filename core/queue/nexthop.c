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

const struct nexthop *
nexthop_find(const struct nexthops *all, struct str domain)
{
	const struct nexthop *best = NULL;
	size_t i, k, how, most = 0;

	for (i = 0; all && i < all->n; i++)
		for (k = 0; k < all->item[i].domains.n; k++) {
			how = fit(domain, all->item[i].domains.item[k]);
			if (how <= most)
				continue;
			most = how;
			best = &all->item[i];
		}
	return best;
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
	found = domain.at ? nexthop_find(all, domain) : NULL;
	arena_free(&arena);
	return found && found->accept;
}
