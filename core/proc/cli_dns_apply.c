/*
 * cli_dns_apply.c - mailroom dns apply: only what differs, shown before it is
 * done.
 */
#include "proc/dns_run.h"

#include "proc/dns_lexicon.h"
#include "zone/change.h"

static void
show_changes(const struct zone_changes *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		printf("%c %-5s %s\n        %s\n", l->at[i].adds ? '+' : '-',
			zone_type_name(l->at[i].type), l->at[i].name,
			l->at[i].value);
	if (l->n_left)
		printf("%zu records are left out, because their name servers "
			"do not answer or disagree: `mailroom dns verify` "
			"shows them.\n", l->n_left);
}

static int
gather(struct dns_run *r, struct zone_changes *out)
{
	struct zone_plan *plan;
	struct err e = {0};
	size_t i, wrong;

	for (i = 0; i < r->n; i++) {
		if (dns_make_plan(&r->house, r->domain[i], &r->a, &plan,
			&e) < 0)
			return cli_fail("plan", &e);
		zone_changes_of(plan, zone_verify(r->house.asker, plan, &r->a,
			&wrong), &r->a, out);
	}
	return 0;
}

/* With --yes, or when somebody says so. */
static bool
is_wanted(const struct dns_run *r, size_t n)
{
	char answer[16];

	if (r->given & DNS_OPT_YES)
		return true;
	printf("Make %s %zu change%s? [y/N] ", n > 1 ? "these" : "this", n,
		n > 1 ? "s" : "");
	fflush(stdout);
	if (!fgets(answer, sizeof answer, stdin))
		*answer = '\0';
	if (*answer == 'y' || *answer == 'Y')
		return true;
	puts("Nothing is changed.");
	return false;
}

/* ----------------------------------------------------------------- the ways */

static bool
was_before(const struct zone_changes *l, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (l->at[k].home == l->at[i].home)
			return true;
	return false;
}

/* A zone at a time. */
static int
by_update(struct dns_run *r, const struct zone_changes *l, size_t *done)
{
	const struct zone_update_settings *s = &r->cli->config->dns_update;
	struct err e = {0};
	size_t i, k;
	int code = 0;

	for (i = 0; i < l->n; i++) {
		if (was_before(l, i))
			continue;
		if (zone_update(s, l->at[i].home, l, &e) < 0) {
			code = cli_fail(l->at[i].home->apex, &e);
			continue;
		}
		for (k = 0; k < l->n; k++)
			*done += l->at[k].home == l->at[i].home;
	}
	return code;
}

/* One that fails does not keep the others back. */
static int
by_provider(struct dns_run *r, const struct zone_changes *l, size_t *done)
{
	struct err e = {0};
	size_t i;
	int code = 0;

	for (i = 0; i < l->n; i++) {
		if (dns_lexicon(r->provider, &l->at[i], &e) == 0) {
			++*done;
			continue;
		}
		err_wrap(&e, "%s %s", l->at[i].adds ? "adding" : "taking out",
			zone_type_name(l->at[i].type));
		code = cli_fail(l->at[i].name, &e);
	}
	return code;
}

static int
needs_way(const struct dns_run *r)
{
	const struct zone_update_settings *s = &r->cli->config->dns_update;

	if (r->provider || *s->server || *s->key)
		return 0;
	fputs("mailroom: it is not set how: [dns.update] for a name server "
		"that takes updates, --provider NAME for a provider that "
		"lexicon knows; `mailroom dns plan --rows` is for doing it by "
		"hand\n", stderr);
	return 1;
}

/* -------------------------------------------------------------- the command */

static json_t *
changes_json(const struct zone_changes *l)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < l->n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}",
			"do", l->at[i].adds ? "add" : "remove", "name",
			l->at[i].name, "type", zone_type_name(l->at[i].type),
			"value", l->at[i].value));
	return list;
}

static int
carry_out(struct dns_run *r, const struct zone_changes *l)
{
	size_t done = 0;
	int code = 0;

	if (!r->cli->json)
		show_changes(l);
	if (l->n && !(r->given & DNS_OPT_DRY)) {
		code = needs_way(r);
		if (!code && !r->cli->json && !is_wanted(r, l->n))
			return 1;
		if (!code)
			code = (r->provider ? by_provider : by_update)(r, l,
				&done);
	}
	if (r->cli->json)
		cli_print_json(json_pack("{s:o, s:I, s:I}", "changes",
			changes_json(l), "done", (json_int_t)done, "left_out",
			(json_int_t)l->n_left));
	else if (!l->n && !l->n_left)
		puts("All is there already.");
	else if (done)
		printf("%zu of %zu changes are made; `mailroom dns verify "
			"--wait` sees when they are live.\n", done, l->n);
	return code || l->n_left ? 1 : 0;
}

static int
run_apply(struct cli *c, int argc, char **argv)
{
	struct zone_changes *changes;
	struct dns_run r;
	int code = dns_run_open(&r, c, DNS_OPT_ADDRESS | DNS_OPT_YES |
		DNS_OPT_PROVIDER | DNS_OPT_DRY, argc, argv);

	changes = arena_alloc(&r.a, sizeof *changes);
	if (!code && c->json && !(r.given & (DNS_OPT_YES | DNS_OPT_DRY)))
		code = cli_usage(c, "--json asks nobody: --yes or --dry-run");
	if (!code)
		code = gather(&r, changes);
	if (!code)
		code = carry_out(&r, changes);
	dns_run_close(&r);
	return code;
}

const struct cli_verb cli_dns_apply_verbs[] = {
	{"dns", "apply", 0, 40, run_apply, "[DOMAIN] [--provider NAME] "
		"[--dry-run] [--yes] [--address A]...",
		"put what is missing into DNS"},
	{.group = NULL},
};
