/*
 * cli_dmarc.c - mailroom dmarc report: who sends mail as us, as others saw it.
 *
 * Reports are added up in JSON, which --json prints as it is: for each domain
 * its sources, its receivers and its days.
 */
#include "proc/report_box.h"

#include <langinfo.h>
#include <locale.h>
#include <time.h>
#include <unistd.h>

#include "report/sums.h"

#define BAR 40
#define SOURCES_SHOWN 30

struct sums {
	const char *domain;	/* only this one, or NULL */
	json_t *domains, *failures, *bad;
};

/* ----------------------------------------------------------------- adding */

static bool
is_true(const json_t *record, const char *key)
{
	return json_is_true(json_object_get(record, key));
}

static bool
passed(const json_t *record)
{
	return is_true(record, "dkim") || is_true(record, "spf");
}

static void
add_record(json_t *d, const char *org, const char *day, const json_t *record)
{
	json_int_t n = sums_number(record, "count");
	json_t *source = sums_under(sums_under(d, "sources"),
		sums_text(record, "ip"));
	const char *disposition = sums_text(record, "disposition");
	json_t *one[] = {d, source, sums_under(sums_under(d, "days"), day)};
	size_t i;

	for (i = 0; i < sizeof one / sizeof *one; i++) {
		sums_add(one[i], "messages", n);
		sums_add(one[i], "passed", passed(record) ? n : 0);
	}
	sums_add(source, "dkim", is_true(record, "dkim") ? n : 0);
	sums_add(source, "spf", is_true(record, "spf") ? n : 0);
	sums_add(source, "not_let", strcmp(disposition, "none") &&
		*disposition ? n : 0);
	sums_add(sums_under(source, "reporters"), org, n);
}

static void
day_of(json_int_t seconds, char out[16])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, 16, "%Y-%m-%d", &tm))
		snprintf(out, 16, "unknown");
}

/* One that came twice counts once. */
static bool
is_new(json_t *d, const json_t *report)
{
	json_t *seen = sums_under(sums_under(d, "receivers"),
		sums_text(report, "org"));

	if (json_object_get(seen, sums_text(report, "id")))
		return false;
	json_object_set_new(seen, sums_text(report, "id"), json_true());
	return true;
}

static void
take_dmarc(struct sums *s, const json_t *report)
{
	const json_t *record;
	char day[16];
	json_t *d;
	size_t i;

	if (s->domain && strcasecmp(s->domain, sums_text(report, "domain")))
		return;
	d = sums_under(s->domains, sums_text(report, "domain"));
	if (!is_new(d, report))
		return;
	json_object_set_new(d, "policy",
		json_string(sums_text(report, "policy")));
	day_of(sums_number(report, "begin"), day);
	json_array_foreach(json_object_get(report, "records"), i, record)
		add_record(d, sums_text(report, "org"), day, record);
}

static void
take_report(void *arg, json_t *report)
{
	struct sums *s = arg;
	const char *kind = sums_text(report, "kind");

	if (!strcmp(kind, "dmarc"))
		take_dmarc(s, report);
	else if (!strcmp(kind, "failure") && (!s->domain || !strcasecmp(
		s->domain, sums_text(report, "reported-domain"))))
		json_array_append(s->failures, report);
	else if (!strcmp(kind, "bad"))
		json_array_append(s->bad, report);
}

/* --------------------------------------------------------------- printing */

/* Text of strangers for a terminal. */
static const char *
shown(const char *s, char out[64])
{
	size_t i;

	for (i = 0; s[i] && i < 63; i++)
		out[i] = s[i] >= ' ' && s[i] < 127 ? s[i] : '?';
	out[i] = '\0';
	return out;
}

static double
share(json_int_t part, json_int_t all)
{
	return all ? 100.0 * (double)part / (double)all : 100.0;
}

static const char *
advice(const json_t *source)
{
	json_int_t n = sums_number(source, "messages");

	if (sums_number(source, "passed") == n)
		return NULL;
	if (!sums_number(source, "dkim") && !sums_number(source, "spf"))
		return "neither passes: if this server is yours, sign its mail "
			"(DKIM) or name it in SPF; if not, others use your "
			"name";
	if (!sums_number(source, "dkim"))
		return "only SPF passes, which forwarding breaks: sign its "
			"mail (DKIM)";
	return "some pass and some do not: forwarding, or a part of its mail "
		"is not signed";
}

static void
print_source(const char *ip, const json_t *source)
{
	const char *org, *why = advice(source);
	const json_t *reporters = json_object_get(source, "reporters");
	json_t *count;
	char clean[64];
	int n = 0;

	printf("%-39s %8lld %8lld %8lld %8lld  ", shown(ip, clean),
		(long long)sums_number(source, "messages"),
		(long long)sums_number(source, "dkim"),
		(long long)sums_number(source, "spf"),
		(long long)sums_number(source, "not_let"));
	json_object_foreach((json_t *)(uintptr_t)reporters, org, count)
		if (n++ < 3)
			printf("%s%s", n > 1 ? ", " : "", shown(org, clean));
	if (n > 3)
		printf(" and %d more", n - 3);
	printf("\n");
	if (why)
		printf("    %s\n", why);
}

/* Sources by their number of messages: the next after so many, or NULL. */
static const char *
next_source(const json_t *sources, json_t *done)
{
	const char *ip, *best = NULL;
	json_int_t most = -1;
	json_t *one;

	json_object_foreach((json_t *)(uintptr_t)sources, ip, one)
		if (sums_number(one, "messages") > most &&
			!json_object_get(done, ip)) {
			most = sums_number(one, "messages");
			best = ip;
		}
	if (best)
		json_object_set_new(done, best, json_true());
	return best;
}

static void
print_sources(const json_t *sources)
{
	json_t *done = json_object();
	const char *ip;
	size_t n = 0;

	printf("%-39s %8s %8s %8s %8s  %s\n", "source", "messages", "DKIM",
		"SPF", "not let", "reported by");
	while (n < SOURCES_SHOWN && (ip = next_source(sources, done))) {
		print_source(ip, json_object_get(sources, ip));
		n++;
	}
	if (json_object_size(sources) > n)
		printf("and %zu more\n", json_object_size(sources) - n);
	json_decref(done);
}

static void
put_bar(const char *with, json_int_t n, json_int_t most)
{
	json_int_t i, width = n * BAR / most;

	for (i = 0; i < width || (i == 0 && n > 0); i++)
		fputs(with, stdout);
}

/* A line a day: what passed, and what did not behind it. */
static void
print_days(const json_t *days)
{
	bool utf8 = setlocale(LC_CTYPE, "") && isatty(1) &&
		!strcmp(nl_langinfo(CODESET), "UTF-8");
	json_int_t most = 1, n, good;
	const char *day;
	json_t *one;

	json_object_foreach((json_t *)(uintptr_t)days, day, one)
		most = sums_number(one, "messages") > most ?
			sums_number(one, "messages") : most;
	json_object_foreach((json_t *)(uintptr_t)days, day, one) {
		n = sums_number(one, "messages");
		good = sums_number(one, "passed");
		printf("%s ", day);
		put_bar(utf8 ? "\u2588" : "#", good, most);
		put_bar(utf8 ? "\u2591" : "-", n - good, most);
		printf(" %lld", (long long)n);
		printf(n > good ? ", %lld failed\n" : "\n",
			(long long)(n - good));
	}
}

static void
print_domain(const char *domain, const json_t *d)
{
	json_int_t n = sums_number(d, "messages");
	json_int_t good = sums_number(d, "passed");
	char clean[64];

	printf("%s (p=%s): %lld messages were seen by %zu receivers, and %lld "
		"of them (%.1f %%) passed\n\n", shown(domain, clean),
		sums_text(d, "policy"), (long long)n, json_object_size(
		json_object_get(d, "receivers")), (long long)good,
		share(good, n));
	print_sources(json_object_get(d, "sources"));
	puts("");
	print_days(json_object_get(d, "days"));
	puts("");
}

static void
print_failures(const json_t *failures)
{
	static const char *const keys[] = {"arrival-date", "source-ip",
		"auth-failure", "reported-domain", "original-mail-from"};
	const json_t *one;
	char clean[64];
	size_t i, k;

	json_array_foreach(failures, i, one) {
		for (k = 0; k < sizeof keys / sizeof *keys; k++)
			printf("%s%s", k ? "  " : "",
				shown(sums_text(one, keys[k]), clean));
		puts("");
	}
}

static void
print_all(const struct sums *s, unsigned messages, bool failures)
{
	const char *domain;
	const json_t *bad;
	json_t *d;
	size_t i;

	json_object_foreach(s->domains, domain, d)
		print_domain(domain, d);
	if (!json_object_size(s->domains))
		printf("no report among %u messages\n", messages);
	if (failures)
		print_failures(s->failures);
	else if (json_array_size(s->failures))
		printf("%zu reports of single failures: --failures shows "
			"them\n", json_array_size(s->failures));
	json_array_foreach(s->bad, i, bad)
		printf("a report that cannot be read: %s\n", sums_text(bad,
			"error"));
}

/* Arguments: [DOMAIN] and the flag. */
static int
take_args(struct cli *c, int argc, char **argv, struct sums *s,
	bool *failures)
{
	int i;

	for (i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--failures"))
			*failures = true;
		else if (*argv[i] == '-' || s->domain)
			return cli_usage(c, "unknown option, or one without "
				"its value");
		else
			s->domain = argv[i];
	return 0;
}

static int
dmarc_report(struct cli *c, int argc, char **argv)
{
	struct sums s = {.domain = NULL};
	struct report_box box;
	bool failures = false;
	unsigned messages;
	int code;

	argc = report_box_args(argc, argv, &box);
	if (argc < 0)
		return cli_usage(c, "--days N, --account A, --mailbox M");
	code = take_args(c, argc, argv, &s, &failures);
	if (!code)
		code = cli_need_store(c);
	if (code)
		return code;
	s.domain = s.domain ? cli_address(c, s.domain) : NULL;
	s.domains = json_object();
	s.failures = json_array();
	s.bad = json_array();
	code = report_box_read(c, &box, take_report, &s, &messages);
	if (!code && c->json)
		return cli_print_json(json_pack("{s:i, s:o, s:o, s:o}",
			"messages", (int)messages, "domains", s.domains,
			"failures", s.failures, "bad", s.bad));
	if (!code)
		print_all(&s, messages, failures);
	json_decref(s.domains);
	json_decref(s.failures);
	json_decref(s.bad);
	return code;
}

const struct cli_verb cli_dmarc_verbs[] = {
	{"dmarc", "report", 0, 8, dmarc_report, "[DOMAIN] [--days N] "
		"[--account A] [--mailbox M] [--failures]",
		"who sends mail as you, as others saw it"},
	{.group = NULL},
};
