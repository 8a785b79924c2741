/*
 * cli_dns.c - mailroom dns: what our domains want of DNS, and whether it is
 * there.
 */
#include "proc/dns_run.h"

#include "proc/dns_show.h"

/* Of all domains in question, in the arena. */
static int
make_plans(struct dns_run *r, struct zone_plan **plan)
{
	struct err e = {0};
	size_t i;

	for (i = 0; i < r->n; i++)
		if (dns_make_plan(&r->house, r->domain[i], &r->a, &plan[i],
			&e) < 0)
			return cli_fail("plan", &e);
	return 0;
}

static void
print_policy(struct dns_run *r)
{
	const struct config *c = r->cli->config;

	fputs(zone_sts_policy(c->server.hostname,
		(enum zone_sts)c->zone.mta_sts, &r->a), stdout);
}

static int
print_plans(struct dns_run *r, struct zone_plan *const *plan)
{
	enum dns_form form = r->given & DNS_OPT_ZONE ? DNS_ZONE :
		r->given & DNS_OPT_ROWS ? DNS_ROWS : DNS_TABLE;
	json_t *list = r->cli->json ? json_array() : NULL;
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (list) {
			dns_json_plan(plan[i], plan, i, list);
			continue;
		}
		if (i)
			puts("");
		dns_show_plan(plan[i], plan, i, form, r->house.asker);
	}
	if (list)
		return cli_print_json(list);
	if (form == DNS_TABLE)
		puts("\nAs a zone file: --zone; for web forms: --rows.");
	return 0;
}

static int
run_plan(struct cli *c, int argc, char **argv)
{
	struct zone_plan *plan[DNS_DOMAINS_MOST];
	struct dns_run r;
	int code = dns_run_open(&r, c, DNS_OPT_ADDRESS | DNS_OPT_ZONE |
		DNS_OPT_ROWS | DNS_OPT_POLICY, argc, argv);

	if (!code && r.given & DNS_OPT_POLICY)
		print_policy(&r);
	else if (!code && !(code = make_plans(&r, plan)))
		code = print_plans(&r, plan);
	dns_run_close(&r);
	return code;
}

const struct cli_verb cli_dns_verbs[] = {
	{"dns", "plan", 0, 40, run_plan, "[DOMAIN] [--address A]... [--zone | "
		"--rows | --policy]", "the records that your domains want"},
	{.group = NULL},
};
