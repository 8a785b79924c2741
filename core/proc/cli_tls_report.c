/*
 * cli_tls_report.c - mailroom tls report: how others fared with our TLS.
 */
#include "proc/report_box.h"

#include "report/sums.h"

/* RFC 8460 4.4: a policy with its sums and its failures. */
static void
take_policy(json_t *sums, const json_t *p)
{
	const json_t *policy = json_object_get(p, "policy");
	const json_t *summary = json_object_get(p, "summary"), *one;
	json_t *domain = sums_under(sums, sums_text(policy, "policy-domain"));
	json_t *of = sums_under(domain, sums_text(policy, "policy-type"));
	const char *mx;
	char what[200];
	size_t i;

	sums_add(of, "good", sums_number(summary,
		"total-successful-session-count"));
	sums_add(of, "bad", sums_number(summary,
		"total-failure-session-count"));
	json_array_foreach(json_object_get(p, "failure-details"), i, one) {
		mx = sums_text(one, "receiving-mx-hostname");
		snprintf(what, sizeof what, "%s%s%s",
			sums_text(one, "result-type"), *mx ? " at " : "", mx);
		sums_add(sums_under(of, "failures"), what,
			sums_number(one, "failed-session-count"));
	}
}

static void
take_report(void *arg, json_t *report)
{
	json_t *sums = arg;
	const json_t *p;
	size_t i;

	if (!strcmp(sums_text(report, "kind"), "tls"))
		json_array_foreach(json_object_get(report, "policies"), i, p)
			take_policy(sums, p);
}

static void
print_clean(const char *s)
{
	for (; *s; s++)
		putchar(*s >= ' ' && *s < 127 ? *s : '?');
}

static void
print_policy(const char *domain, const char *type, json_t *of)
{
	const char *what;
	json_t *n;

	print_clean(domain);
	printf(", by ");
	print_clean(type);
	printf(": %lld connections were good, %lld failed\n",
		(long long)sums_number(of, "good"),
		(long long)sums_number(of, "bad"));
	json_object_foreach(json_object_get(of, "failures"), what, n) {
		printf("    %lld: ", (long long)json_integer_value(n));
		print_clean(what);
		puts("");
	}
}

static int
tls_report(struct cli *c, int argc, char **argv)
{
	struct report_box box;
	const char *domain, *type;
	json_t *sums, *types, *of;
	unsigned messages;
	int code;

	if (report_box_args(argc, argv, &box) != 0)
		return cli_usage(c, "--days N, --account A, --mailbox M");
	code = cli_need_store(c);
	if (code)
		return code;
	sums = json_object();
	code = report_box_read(c, &box, take_report, sums, &messages);
	if (!code && c->json)
		return cli_print_json(sums);
	if (!code && !json_object_size(sums))
		printf("no report among %u messages\n", messages);
	if (!code)
		json_object_foreach(sums, domain, types)
			json_object_foreach(types, type, of)
				print_policy(domain, type, of);
	json_decref(sums);
	return code;
}

const struct cli_verb cli_tls_report_verbs[] = {
	{"tls", "report", 0, 6, tls_report, "[--days N] [--account A] "
		"[--mailbox M]", "how others fared with our TLS, as they "
		"report it"},
	{.group = NULL},
};
