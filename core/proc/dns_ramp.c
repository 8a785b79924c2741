/*
 * dns_ramp.c - sums for each domain and policy. A step counts only reports of
 * the policy that is live: those of the step before say nothing of it.
 *
 * What does not pass and comes from a server that never passes may be a
 * forger, or a server of ours that was forgotten. No number tells these
 * apart, so it holds the step up, and the admin is told that it may be taken
 * by hand.
 */
#include "proc/dns_ramp.h"

#include "base/clock.h"
#include "proc/report_box.h"
#include "report/sums.h"

#define READ_DAYS 45
#define DAY_S 86400ll
#define SOURCES_NAMED 3

/* ----------------------------------------------------------------- adding */

/* The window's sums of a policy: first (seconds), good, bad, receivers,
 * sources that fail. */
static void
begin_one(json_t *of, json_int_t begin)
{
	json_int_t first = sums_number(of, "first");

	if (!first || begin < first)
		json_object_set_new(of, "first", json_integer(begin));
}

static bool
is_in_window(json_int_t begin)
{
	return begin >= clock_wall() / 1000 - (DNS_RAMP_DAYS + 1) * DAY_S;
}

static void
take_record(json_t *of, const json_t *record)
{
	json_int_t n = sums_number(record, "count");
	bool passed = json_is_true(json_object_get(record, "dkim")) ||
		json_is_true(json_object_get(record, "spf"));

	sums_add(of, passed ? "good" : "bad", n);
	if (!passed)
		sums_add(sums_under(of, "sources"), sums_text(record, "ip"),
			n);
}

static void
take_dmarc(json_t *sums, const json_t *report)
{
	json_t *domain = sums_under(sums, sums_text(report, "domain"));
	json_t *seen = sums_under(domain, "seen"), *of, *record;
	json_int_t begin = sums_number(report, "begin");
	char id[300];
	size_t i;

	snprintf(id, sizeof id, "%s %s", sums_text(report, "org"),
		sums_text(report, "id"));
	if (begin <= 0 || json_object_get(seen, id))
		return;
	json_object_set_new(seen, id, json_true());
	of = sums_under(sums_under(domain, "dmarc"), sums_text(report,
		"policy"));
	begin_one(of, begin);
	if (!is_in_window(begin))
		return;
	sums_add(sums_under(of, "receivers"), sums_text(report, "org"), 1);
	json_array_foreach(json_object_get(report, "records"), i, record)
		take_record(of, record);
}

/* RFC 8460 4.4 */
static void
take_tls(json_t *sums, const json_t *report)
{
	const char *start = sums_text(json_object_get(report, "date-range"),
		"start-datetime");
	const json_t *one, *summary;
	int64_t begin = 0;
	json_t *of;
	size_t i;

	clock_parse_iso(str_from(start), &begin);
	json_array_foreach(json_object_get(report, "policies"), i, one) {
		of = sums_under(sums_under(sums, sums_text(json_object_get(one,
			"policy"), "policy-domain")), "tls");
		summary = json_object_get(one, "summary");
		if (begin <= 0)
			continue;
		begin_one(of, begin / 1000);
		if (!is_in_window(begin / 1000))
			continue;
		sums_add(of, "good", sums_number(summary,
			"total-successful-session-count"));
		sums_add(of, "bad", sums_number(summary,
			"total-failure-session-count"));
	}
}

static void
take_report(void *arg, json_t *report)
{
	const char *kind = sums_text(report, "kind");

	if (!strcmp(kind, "dmarc"))
		take_dmarc(arg, report);
	else if (!strcmp(kind, "tls"))
		take_tls(arg, report);
}

json_t *
dns_ramp_read(struct cli *c)
{
	struct report_box box = {.mailbox = "Reports",
		.since_ms = clock_wall() - READ_DAYS * DAY_S * 1000};
	json_t *sums = json_object();
	unsigned messages;

	if (report_box_read(c, &box, take_report, sums, &messages) == 0)
		return sums;
	json_decref(sums);
	return NULL;
}

/* ----------------------------------------------------------------- advice */

static long long
days_of(const json_t *of)
{
	json_int_t first = sums_number(of, "first");

	return first ? (clock_wall() / 1000 - first) / DAY_S : 0;
}

/* " (203.0.113.7, 198.51.100.9 and 4 more)"; text of strangers. */
static const char *
sources_of(json_t *of, struct arena *a)
{
	json_t *sources = json_object_get(of, "sources"), *n;
	const char *ip, *text = "";
	size_t i = 0;

	json_object_foreach(sources, ip, n) {
		if (i++ < SOURCES_NAMED && strspn(ip, "0123456789abcdefABCDEF"
			":.") == strlen(ip))
			text = arena_printf(a, "%s%s%s", text, *text ? ", " :
				" from ", ip);
	}
	return i > SOURCES_NAMED ? arena_printf(a, "%s and others", text) :
		text;
}

static void
advise_dmarc(json_t *of, enum zone_dmarc now, struct zone_plan *p)
{
	const char *name = zone_dmarc_names[now];
	const char *next = zone_dmarc_names[now + 1];
	long long good = (long long)sums_number(of, "good");
	long long bad = (long long)sums_number(of, "bad");

	if (bad)
		zone_note(p, arena_printf(p->a, "DMARC stays at p=%s: in the "
			"last %d days %lld of %lld messages%s passed neither "
			"SPF nor DKIM. `mailroom dmarc report %s` shows them; "
			"if none of them is yours, set [dns.plan] dmarc = "
			"\"%s\".", name, DNS_RAMP_DAYS, bad, good + bad,
			sources_of(of, p->a), p->domain, next));
	else if (good && days_of(of) >= DNS_RAMP_DAYS)
		zone_note(p, arena_printf(p->a, "DMARC may go on to p=%s: in "
			"the last %d days all %lld messages passed that %zu "
			"receivers report of. Set [dns.plan] dmarc = \"%s\", "
			"then `mailroom dns apply %s`.", next, DNS_RAMP_DAYS,
			good, json_object_size(json_object_get(of,
			"receivers")), next, p->domain));
	else
		zone_note(p, arena_printf(p->a, "DMARC stays at p=%s until "
			"reports of %d days show that all mail in your name "
			"passes; there are reports of %lld days so far.", name,
			DNS_RAMP_DAYS, days_of(of)));
}

static void
advise_sts(json_t *of, struct zone_plan *p)
{
	long long good = (long long)sums_number(of, "good");
	long long bad = (long long)sums_number(of, "bad");

	if (bad)
		zone_note(p, arena_printf(p->a, "MTA-STS stays in testing: in "
			"the last %d days %lld of %lld connections to you "
			"failed. `mailroom tls report` says why.",
			DNS_RAMP_DAYS, bad, good + bad));
	else if (good && days_of(of) >= DNS_RAMP_DAYS)
		zone_note(p, arena_printf(p->a, "MTA-STS may go on to enforce: "
			"in the last %d days all %lld connections that others "
			"report of were good. Set [dns.plan] mta_sts = "
			"\"enforce\", then `mailroom dns apply %s`, and renew "
			"the policy on the web.", DNS_RAMP_DAYS, good,
			p->domain));
	else
		zone_note(p, arena_printf(p->a, "MTA-STS stays in testing "
			"until reports of %d days show that TLS to you works; "
			"there are reports of %lld days so far.",
			DNS_RAMP_DAYS, days_of(of)));
}

void
dns_ramp_advise(json_t *sums, const struct zone_settings *s,
	struct zone_plan *p)
{
	json_t *domain = sums_under(sums, p->domain), *dmarc;
	enum zone_dmarc now = zone_policy_of(p);

	dmarc = sums_under(domain, "dmarc");
	if (now < ZONE_DMARC_REJECT)
		advise_dmarc(sums_under(dmarc, zone_dmarc_names[now]), now, p);
	if (s->mta_sts == ZONE_STS_TESTING)
		advise_sts(sums_under(domain, "tls"), p);
}
