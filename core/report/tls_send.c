/*
 * tls_send.c - from the counts that deliveries keep (queue/tls_policy.c) to
 * reports of TLS (RFC 8460 4.4).
 */
#include "report/outgoing.h"

#include "base/clock.h"
#include "queue/tls_policy.h"
#include "report/letter.h"
#include "report/sums.h"

#define SENT_SPACE "core.tlsrpt.sent"
#define SENT_MS (20 * 24 * 3600000ll)
#define ASK_MS 20000

/* ----------------------------------------------------------------- adding */

/* "DAY DOMAIN POLICY RESULT HOST" with a count. */
static int
take_count(void *arg, const char *key, struct mr_str value)
{
	struct str rest = str_from(key), word[4];
	uint64_t n = 0;
	char text[4][300];
	json_t *of;
	size_t i;

	for (i = 0; i < 4; i++) {
		word[i] = str_cut(&rest, ' ');
		snprintf(text[i], sizeof text[i], "%.*s", STR_ARGS(word[i]));
	}
	str_u64(str_of(value.at, value.len), INT64_MAX, &n);
	for (of = arg, i = 0; i < 4; i++)
		of = sums_under(of, text[i]);
	json_object_set_new(of, rest.len ? rest.at : "", json_integer(
		(json_int_t)n));
	return 0;
}

/* ---------------------------------------------------------------- writing */

static json_t *
policy_json(const char *domain, const char *kind, json_t *results)
{
	json_t *details = json_array(), *hosts, *n;
	json_int_t good = 0, bad = 0;
	const char *result, *host;

	json_object_foreach(results, result, hosts)
		json_object_foreach(hosts, host, n) {
			if (!strcmp(result, "success")) {
				good += json_integer_value(n);
				continue;
			}
			bad += json_integer_value(n);
			json_array_append_new(details, json_pack(
				"{s:s, s:s, s:I}", "result-type", result,
				"receiving-mx-hostname", host,
				"failed-session-count",
				json_integer_value(n)));
		}
	return json_pack("{s:{s:s, s:s}, s:{s:I, s:I}, s:o}", "policy",
		"policy-type", kind, "policy-domain", domain, "summary",
		"total-successful-session-count", good,
		"total-failure-session-count", bad, "failure-details",
		details);
}

static char *
write_document(const struct report_house *h, const char *domain,
	const char *day, json_t *kinds)
{
	json_t *policies = json_array(), *results, *report;
	char contact[400], id[700], begin[40], end[40], *out;
	const char *kind;

	json_object_foreach(kinds, kind, results)
		json_array_append_new(policies, policy_json(domain, kind,
			results));
	snprintf(contact, sizeof contact, *h->settings->contact ? "%s%s" :
		"postmaster@%s%s", *h->settings->contact ?
		h->settings->contact : "", *h->settings->contact ? "" :
		h->hostname);
	snprintf(id, sizeof id, "%s.%s@%s", day, domain, h->hostname);
	snprintf(begin, sizeof begin, "%sT00:00:00Z", day);
	snprintf(end, sizeof end, "%sT23:59:59Z", day);
	report = json_pack("{s:s, s:{s:s, s:s}, s:s, s:s, s:o}",
		"organization-name", h->hostname, "date-range",
		"start-datetime", begin, "end-datetime", end, "contact-info",
		contact, "report-id", id, "policies", policies);
	out = json_dumps(report, JSON_INDENT(1));
	json_decref(report);
	return out;
}

/* ---------------------------------------------------------------- sending */

static const char *
rua_of(struct str record, struct arena *a)
{
	struct str part;

	while (record.len) {
		part = str_trim(str_cut(&record, ';'));
		if (str_starts(part, "rua="))
			return arena_cstr(a, str_sub(part, 4, part.len));
	}
	return NULL;
}

/* rua= of the domain's record. NULL: it asks for nothing, as one does who has
 * two records (RFC 8460 3). */
static const char *
find_rua(const struct report_house *h, const char *domain, struct arena *a)
{
	struct dns_answer got;
	struct str text, found = STR("");
	size_t i, records = 0;

	dns_query(h->dns, str_from(arena_printf(a, "_smtp._tls.%s", domain)),
		DNS_TXT, clock_mono() + ASK_MS, a, &got);
	for (i = 0; i < got.n; i++) {
		text = got.record[i].text;
		if (!str_is(str_trim(str_cut(&text, ';')), "v=TLSRPTv1"))
			continue;
		found = text;
		records++;
	}
	return records == 1 ? rua_of(found, a) : NULL;
}

/* Only one of all who share the store gets true. */
static bool
is_first(const struct report_house *h, const char *day, const char *domain)
{
	int64_t now = clock_wall(), sum = 0;
	struct mr_error me;
	char key[300];

	if (h->dry)
		return true;
	snprintf(key, sizeof key, "%.10s %.240s", day, domain);
	return h->store->op->state_add(h->store->self, SENT_SPACE, key, 1,
		now, now + SENT_MS, &sum, &me) == MR_STORE_OK && sum == 1;
}

static int
send_domain(const struct report_house *h, struct letter *l, json_t *kinds,
	struct err *e)
{
	struct arena a;
	char *document;
	int code = 0;

	arena_init(&a);
	l->rua = find_rua(h, l->domain, &a);
	if (l->rua && is_first(h, l->day, l->domain)) {
		document = write_document(h, l->domain, l->day, kinds);
		l->document = str_from(document);
		code = letter_send(l, e);
		free(document);
	}
	arena_free(&a);
	return code;
}

int
report_send_tls(const struct report_house *h, report_told told,
	void *arg, struct err *e)
{
	struct letter l = {.house = h, .kind = "tls", .form = "json",
		.told = told, .arg = arg};
	json_t *days = json_object(), *domains, *kinds;
	struct mr_error me = {{0}};
	int sent = 0, code;
	char today[32];

	letter_today(today);
	code = store_result(h->store->op->state_list(h->store->self,
		TLS_TALLY_SPACE, "", clock_wall(), take_count, days, &me),
		&me, e);
	json_object_foreach(days, l.day, domains) {
		if (strcmp(l.day, today) >= 0)
			continue;
		json_object_foreach(domains, l.domain, kinds) {
			if (code < 0 || (h->is_over && h->is_over(h->arg)))
				break;
			code = send_domain(h, &l, kinds, e);
			sent += code > 0 ? code : 0;
		}
	}
	json_decref(days);
	return code < 0 ? -1 : sent;
}
