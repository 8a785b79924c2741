/*
 * config_route.c - the [route.NAME] sections: read, and refused where they
 * contradict each other or would make an open relay. Start-up thread.
 */
#include "proc/config_route.h"

#include "mail/addr.h"
#include "queue/client.h"

struct reading {
	struct config *c;
	struct nexthop *hop;
	const struct conf_node *section;
	struct conf_report *report;
};

/* The key's node, or the section where the key is left out. */
static const struct conf_node *
node_of(const struct conf_node *section, const char *key)
{
	const struct conf_node *n = conf_find(section, key);

	return n ? n : section;
}

/* -------------------------------------------------------------- domains */

static bool
has_item(const struct mr_list *l, const char *text)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->item[i], text))
			return true;
	return false;
}

/* Two routes may share a domain when their senders differ. */
static bool
share_sender(const struct nexthop *a, const struct nexthop *b)
{
	size_t i;

	if (!a->senders.n || !b->senders.n)
		return a->senders.n == b->senders.n;
	for (i = 0; i < a->senders.n; i++)
		if (has_item(&b->senders, a->senders.item[i]))
			return true;
	return false;
}

static bool
is_taken(const struct reading *r, const char *domain)
{
	const struct nexthops *all = &r->c->routes;
	size_t i;

	for (i = 0; i < all->n; i++)
		if (has_item(&all->item[i].domains, domain) &&
			share_sender(&all->item[i], r->hop))
			return true;
	return has_item(&r->hop->domains, domain);
}

/* "*", "example.net" or ".example.net" in lower-case A-labels; NULL: none of
 * these. */
static const char *
normal_domain(struct arena *a, struct str s)
{
	struct str name = str_starts(s, ".") ? str_sub(s, 1, s.len) : s;

	if (str_is(s, "*"))
		return "*";
	if (!addr_is_domain(name, true) || addr_is_literal(name))
		return NULL;
	name = addr_domain_ascii(a, name);
	return name.at ? arena_printf(a, "%s%.*s", str_starts(s, ".") ?
		"." : "", STR_ARGS(name)) : NULL;
}

static void
add_domain(struct reading *r, const char **list, const char *text)
{
	const struct conf_node *at = node_of(r->section, "domains");
	const char *domain = normal_domain(&r->c->arena, str_from(text));

	if (!domain)
		conf_error(r->c->doc, at, false, r->report, "`%s` is neither "
			"a domain, nor .domain, nor *", text);
	else if (is_taken(r, domain))
		conf_error(r->c->doc, at, false, r->report, "`%s` has a route "
			"already", domain);
	else
		list[r->hop->domains.n++] = domain;
}

static void
take_domains(struct reading *r)
{
	struct mr_list given = r->hop->domains;
	const char **list = arena_alloc(&r->c->arena,
		(given.n + 1) * sizeof *list);
	size_t i;

	r->hop->domains = (struct mr_list){list, 0};
	for (i = 0; i < given.n; i++)
		add_domain(r, list, given.item[i]);
	if (!given.n && conf_find(r->section, "domains"))
		conf_error(r->c->doc, node_of(r->section, "domains"), false,
			r->report, "names no domain");
}

/* ------------------------------------------------------------- the rest */

static bool
accepts_all(const struct nexthop *hop)
{
	size_t i;

	for (i = 0; hop->accept && i < hop->domains.n; i++)
		if (!strcmp(hop->domains.item[i], "*"))
			return true;
	return false;
}

/* A route that leaves the way to MX may say these. */
static bool
says_something(const struct nexthop *hop)
{
	return hop->accept || hop->source.n || hop->concurrency || hop->rate;
}

static void
check_source(struct reading *r)
{
	struct sock_addr address;
	struct err e;
	size_t i;

	for (i = 0; i < r->hop->source.n; i++)
		if (nexthop_source(r->hop->source.item[i], &address, &e) < 0)
			conf_error(r->c->doc, node_of(r->section, "source"),
				false, r->report, "`%s` is no address",
				r->hop->source.item[i]);
}

static void
check_login(struct reading *r)
{
	const struct nexthop *hop = r->hop;
	const struct conf *doc = r->c->doc;

	if (*hop->login && !*hop->host)
		conf_error(doc, node_of(r->section, "login"), true, r->report,
			"a login is for a host");
	if (*hop->login && hop->tls != CLIENT_TLS_MUST)
		conf_error(doc, node_of(r->section, "login"), true, r->report,
			"a password goes out by tls = \"required\" only");
	if (!*hop->login != !*hop->password)
		conf_error(doc, node_of(r->section, "login"), true, r->report,
			"a login and a password go together");
}

static void
check_hop(struct reading *r)
{
	const struct nexthop *hop = r->hop;
	const struct conf *doc = r->c->doc;

	check_source(r);
	check_login(r);
	if (hop->accept && hop->senders.n)
		conf_error(doc, node_of(r->section, "accept"), true,
			r->report, "what is taken from anybody cannot depend "
			"on the sender");

	if (*hop->transport && *hop->host)
		conf_error(doc, node_of(r->section, "host"), true, r->report,
			"a route has a transport or a host, not both");
	if (!*hop->transport && !*hop->host && !says_something(hop))
		conf_error(doc, r->section, true, r->report, "a route needs "
			"a transport, a host, or accept = true");
	if (accepts_all(hop))
		conf_error(doc, node_of(r->section, "accept"), true,
			r->report, "with \"*\" this would relay anything for "
			"anybody: name the domains");
	if (*hop->transport && !config_has_section(r->c, "plugin",
		hop->transport))
		conf_error(doc, node_of(r->section, "transport"), false,
			r->report, "there is no [plugin.%s]", hop->transport);
}

static void
read_one(struct reading *r, struct str key)
{
	const char *section = arena_printf(&r->c->arena, "route.%.*s",
		STR_ARGS(key));

	if (conf_type_of(r->section) != CONF_TABLE) {
		conf_error(r->c->doc, r->section, true, r->report,
			"must be a section [%s]", section);
		return;
	}
	if (!conf_fill(r->c->doc, r->section, section, nexthop_settings_table,
		r->hop, false, &r->c->arena, r->report))
		return;
	r->hop->name = arena_cstr(&r->c->arena, key);
	take_domains(r);
	check_hop(r);
	r->c->routes.n++;
}

void
config_read_routes(struct config *c, struct conf_report *report)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "route");
	struct reading r = {.c = c, .report = report};
	size_t at = 0, count = 0;
	struct str key;

	if (!all || conf_type_of(all) != CONF_TABLE)
		return;
	while (conf_next(all, &at, &key))
		count++;
	c->routes.item = arena_alloc(&c->arena,
		(count + 1) * sizeof *c->routes.item);
	for (at = 0; (r.section = conf_next(all, &at, &key));) {
		r.hop = &c->routes.item[c->routes.n];
		read_one(&r, key);
	}
}

bool
config_is_transport(const struct config *c, struct str name)
{
	size_t i;

	for (i = 0; i < c->routes.n; i++)
		if (str_is(name, c->routes.item[i].transport))
			return true;
	return false;
}

void
config_check_transports(const struct config *c, const struct plugins *p,
	struct conf_report *report)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "route");
	const struct plugin *one;
	struct str key, name;
	const struct conf_node *n;
	size_t at = 0;

	while (all && (n = conf_next(all, &at, &key))) {
		n = conf_find(n, "transport");
		if (!n || conf_type_of(n) != CONF_STRING)
			continue;
		name = conf_string(n);
		one = name.len ? plugins_find(p, arena_cstr(
			(struct arena *)&c->arena, name)) : NULL;
		if (one && !PLUG_ROLE(one->desc, transport))
			conf_error(c->doc, n, false, report,
				"`%s` is no transport", one->name);
	}
}
