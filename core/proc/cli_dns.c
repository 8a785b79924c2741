/*
 * cli_dns.c - mailroom dns: what our domains want of DNS, and whether it is
 * there.
 */
#include "proc/dns_run.h"

#include <time.h>

#include "base/clock.h"
#include "proc/dns_ramp.h"
#include "proc/dns_show.h"
#include "proc/dns_watch.h"

#define LOOK_FIRST 1		/* seconds between looks of --wait, */
#define LOOK_MOST 30		/* which grow from one to the other */

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

/* How strict they may become. */
static int
add_advice(struct dns_run *r, struct zone_plan *const *plan)
{
	json_t *sums = dns_ramp_read(r->cli);
	size_t i;

	for (i = 0; i < r->n && sums; i++)
		dns_ramp_advise(sums, &r->cli->config->zone, plan[i]);
	json_decref(sums);
	return sums ? 0 : 1;
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
	else if (!code && !(code = make_plans(&r, plan)) &&
		!(code = add_advice(&r, plan)))
		code = print_plans(&r, plan);
	dns_run_close(&r);
	return code;
}

/* ------------------------------------------------------------------ verify */

struct look {			/* at all domains, once */
	struct arena a;
	struct zone_plan *plan[DNS_DOMAINS_MOST];
	struct zone_found *found[DNS_DOMAINS_MOST];
	size_t wrong[DNS_DOMAINS_MOST];
	size_t all_wrong;
};

/* The plan anew each time: what it merges with may have changed. */
static int
look_at_all(struct dns_run *r, struct look *l)
{
	struct err e = {0};
	size_t i;

	arena_reset(&l->a);
	l->all_wrong = 0;
	for (i = 0; i < r->n; i++) {
		if (dns_make_plan(&r->house, r->domain[i], &l->a, &l->plan[i],
			&e) < 0)
			return cli_fail("plan", &e);
		l->found[i] = zone_verify(r->house.asker, l->plan[i], &l->a,
			&l->wrong[i]);
		l->all_wrong += l->wrong[i];
	}
	return 0;
}

/* "Waiting: A of mail.example.org and 3 more are not right yet." */
static void
say_waiting(const struct dns_run *r, const struct look *l)
{
	size_t i, k = 0;

	for (i = 0; i + 1 < r->n && !l->wrong[i]; i++)
		;
	while (l->found[i][k].finding == ZONE_RIGHT)
		k++;
	fprintf(stderr, "Waiting: %s of %s", zone_type_name(
		l->found[i][k].record->type), l->found[i][k].record->name);
	if (l->all_wrong > 1)
		fprintf(stderr, " and %zu more are", l->all_wrong - 1);
	fprintf(stderr, "%s not right yet. %s\n", l->all_wrong > 1 ? "" :
		" is", l->found[i][k].say);
}

static int
wait_for_all(struct dns_run *r, struct look *l)
{
	int64_t end = clock_mono() + r->wait_ms;
	size_t before = 0;
	time_t pause = LOOK_FIRST;
	int code = 0;

	while (!code && l->all_wrong && clock_mono() + pause * 1000 <= end) {
		if (l->all_wrong != before)
			say_waiting(r, l);
		before = l->all_wrong;
		nanosleep(&(struct timespec){pause, 0}, NULL);
		pause = pause * 3 / 2 + 1;
		pause = pause > LOOK_MOST ? LOOK_MOST : pause;
		zone_asker_forgive(r->house.asker);
		code = look_at_all(r, l);
	}
	return code;
}

static int
print_look(const struct dns_run *r, const struct look *l)
{
	json_t *list, *records;
	size_t i, k;

	for (i = 0; i < r->n && !r->cli->json; i++) {
		if (i)
			puts("");
		dns_show_found(l->plan[i], l->found[i], l->wrong[i]);
	}
	if (!r->cli->json)
		return l->all_wrong ? 1 : 0;
	list = json_array();
	for (i = 0; i < r->n; i++) {
		records = json_array();
		for (k = 0; k < l->plan[i]->n; k++)
			json_array_append_new(records,
				dns_json_found(&l->found[i][k]));
		json_array_append_new(list, json_pack("{s:s, s:I, s:o}",
			"domain", r->domain[i], "wrong",
			(json_int_t)l->wrong[i], "records", records));
	}
	cli_print_json(list);
	return l->all_wrong ? 1 : 0;
}

static int
run_verify(struct cli *c, int argc, char **argv)
{
	struct look l;
	struct dns_run r;
	int code = dns_run_open(&r, c, DNS_OPT_ADDRESS | DNS_OPT_WAIT, argc,
		argv);

	arena_init(&l.a);
	if (!code)
		code = look_at_all(&r, &l);
	if (!code && r.given & DNS_OPT_WAIT)
		code = wait_for_all(&r, &l);
	if (!code)
		code = print_look(&r, &l);
	arena_free(&l.a);
	dns_run_close(&r);
	return code;
}

/* ------------------------------------------------------------------- watch */

static int
watch_all(struct dns_run *r, json_t *drifted)
{
	struct dns_watching w = {&r->house, r->cli->config->server.drop};
	struct err e = {0};
	size_t i;

	for (i = 0; i < r->n; i++)
		if (dns_watch(&w, r->domain[i], drifted, &e) < 0)
			return cli_fail(r->domain[i], &e);
	return 0;
}

/* What the daily round does, now. */
static int
run_watch(struct cli *c, int argc, char **argv)
{
	json_t *drifted = json_array(), *one;
	struct dns_run r;
	int code = dns_run_open(&r, c, DNS_NEEDS_STATE, argc, argv);
	size_t i;

	if (!code)
		code = watch_all(&r, drifted);
	dns_run_close(&r);
	if (!code && c->json)
		return cli_print_json(drifted);
	json_array_foreach(drifted, i, one)
		printf("%s %s has drifted: %s\n", json_string_value(
			json_object_get(one, "type")), json_string_value(
			json_object_get(one, "name")), json_string_value(
			json_object_get(one, "say")));
	if (!code && !json_array_size(drifted))
		puts("Nothing has drifted since the last look.");
	json_decref(drifted);
	return code;
}

const struct cli_verb cli_dns_verbs[] = {
	{"dns", "plan", 0, 40, run_plan, "[DOMAIN] [--address A]... [--zone | "
		"--rows | --policy]", "the records that your domains want"},
	{"dns", "verify", 0, 40, run_verify, "[DOMAIN] [--wait [TIME]] "
		"[--address A]...", "is that what their name servers have?"},
	{"dns", "watch", 0, 40, run_watch, "[DOMAIN]", "tell the admin of "
		"records that were right and are not any more"},
	{.group = NULL},
};
