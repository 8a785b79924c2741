/*
 * cli_send.c - mailroom dmarc send, mailroom tls send: the reports that the
 * server sends once a day, now, or what they would be.
 */
#include "proc/cli.h"

struct sending {
	struct cli *cli;
	json_t *list;
	bool shows;		/* the documents too */
};

static void
take_report(void *arg, json_t *report, struct str document)
{
	struct sending *s = arg;

	if (s->shows && s->cli->json)
		json_object_set_new(report, "document",
			json_stringn(document.at, document.len));
	json_array_append(s->list, report);
	if (s->cli->json)
		return;
	printf("%s for %s to %s, %lld bytes: %s\n",
		json_string_value(json_object_get(report, "day")),
		json_string_value(json_object_get(report, "domain")),
		json_string_value(json_object_get(report, "to")),
		(long long)json_integer_value(json_object_get(report,
		"bytes")), json_string_value(json_object_get(report, "fate")));
	if (s->shows)
		printf("%.*s\n", STR_ARGS(document));
}

static int
open_house(struct cli *c, struct report_house *h)
{
	struct dns_settings s;
	struct err e = {0};
	int code = cli_need_state(c);

	if (code)
		return code;
	s = config_dns(c->config);
	*h = (struct report_house){.settings = &c->config->reports,
		.hostname = c->config->server.hostname,
		.data = c->config->server.data,
		.drop = c->config->server.drop, .store = &c->store,
		.dns = dns_new(&s, &e), .dry = h->dry};
	return h->dns ? 0 : cli_fail("dns", &e);
}

static int
run_send(struct cli *c, int argc, char **argv, int (*send)(
	const struct report_house *h, report_told told, void *arg,
	struct err *e))
{
	struct sending s = {.cli = c, .list = NULL};
	struct report_house h = {.dry = false};
	struct err e = {0};
	int code, i;

	for (i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--dry-run"))
			h.dry = true;
		else if (!strcmp(argv[i], "--show"))
			s.shows = true;
		else
			return cli_usage(c, "--dry-run, --show");
	code = open_house(c, &h);
	if (code)
		return code;
	s.list = json_array();
	if (send(&h, take_report, &s, &e) < 0)
		code = cli_fail("send", &e);
	dns_free(h.dns);
	if (!code && c->json)
		return cli_print_json(s.list);
	if (!code && !json_array_size(s.list))
		puts("no day that is over has anything to report");
	json_decref(s.list);
	return code;
}

static int
send_dmarc(struct cli *c, int argc, char **argv)
{
	return run_send(c, argc, argv, report_send_dmarc);
}

static int
send_tls(struct cli *c, int argc, char **argv)
{
	return run_send(c, argc, argv, report_send_tls);
}

const struct cli_verb cli_send_verbs[] = {
	{"dmarc", "send", 0, 2, send_dmarc, "[--dry-run] [--show]",
		"send the reports of days that are over now"},
	{"tls", "send", 0, 2, send_tls, "[--dry-run] [--show]",
		"send the reports of days that are over now"},
	{.group = NULL},
};
