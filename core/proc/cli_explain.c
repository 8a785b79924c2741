/*
 * cli_explain.c - mailroom explain and mailroom plugin test: a message goes
 * through the real session and chain, and nothing is kept.
 */
#include "proc/cli_dry.h"

#include <limits.h>

#include "base/file.h"
#include "base/log.h"
#include "mail/addr.h"
#include "plug/route.h"
#include "proc/chains.h"
#include "proc/explain.h"
#include "proc/priv.h"

#define RCPTS_MOST 64
#define SETS_MOST 32
#define FILES_MOST 256

struct dry_args {
	const char *ip, *from, *helo, *login;
	const char *to[RCPTS_MOST];
	size_t n_to;
	const char *set[SETS_MOST];
	size_t n_set;
	const char *plain[FILES_MOST];
	size_t n_plain;
	bool sanitized;		/* --asan */
};

/* An option's value is put here; one with `n` may come several times. */
static bool
take_option(struct dry_args *a, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **into;
		size_t *n, most;
	} rows[] = {{"--ip", &a->ip, NULL, 0}, {"--from", &a->from, NULL, 0},
		{"--helo", &a->helo, NULL, 0},
		{"--login", &a->login, NULL, 0},
		{"--to", a->to, &a->n_to, RCPTS_MOST},
		{"--set", a->set, &a->n_set, SETS_MOST}};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (strcmp(rows[i].name, name))
			continue;
		if (!rows[i].n)
			*rows[i].into = value;
		else if (*rows[i].n < rows[i].most)
			rows[i].into[(*rows[i].n)++] = value;
		return true;
	}
	return false;
}

/* 0, or the status of wrong usage. */
static int
take_args(struct cli *c, int argc, char **argv, struct dry_args *a)
{
	int i;

	*a = (struct dry_args){.login = "", .ip = "192.0.2.1",
		.helo = "client.example.net"};
	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--asan")) {
			a->sanitized = true;
			continue;
		}
		if (strncmp(argv[i], "--", 2)) {
			if (a->n_plain < FILES_MOST)
				a->plain[a->n_plain++] = argv[i];
			continue;
		}
		if (i + 1 == argc || !take_option(a, argv[i], argv[i + 1]))
			return cli_usage(c, "unknown option, or one without "
				"its value");
		i++;
	}
	return 0;
}

int
cli_dry_peer(const char *ip, struct sock_addr *out, struct err *e)
{
	char text[80];

	snprintf(text, sizeof text, strchr(ip, ':') ? "[%.60s]:40000" :
		"%.60s:40000", ip);
	return sock_parse(str_from(text), out, e);
}

static int
run_one(struct smtp_dry *d, const char *file, json_t **out, struct err *e)
{
	struct arena a;

	arena_init(&a);
	*out = NULL;
	if (file_read(file, (size_t)d->house->limits->message_size, &a,
		&d->message, e) == 0)
		*out = explain_run(d, e);
	arena_free(&a);
	return *out ? 0 : -1;
}

/* ---------------------------------------------------------------- the house */

const struct listener *
cli_dry_listener(const struct config *c, bool has_login)
{
	static const struct listener strangers = {.name = "explain",
		.protocol = SERVE_SMTP};
	static const struct listener ours = {.name = "explain",
		.protocol = SERVE_SUBMISSION};
	int64_t protocol = has_login ? SERVE_SUBMISSION : SERVE_SMTP;
	size_t i;

	for (i = 0; i < c->n_listener; i++)
		if (c->listener[i].protocol == protocol)
			return &c->listener[i];
	return has_login ? &ours : &strangers;
}

static int
read_networks(struct config *c, struct sock_nets *out, struct err *e)
{
	const struct mr_list *l = &c->smtp.relay_networks;
	size_t i;

	out->item = arena_alloc(&c->arena, (l->n + 1) * sizeof *out->item);
	for (i = 0; i < l->n; i++)
		if (sock_parse_net(str_from(l->item[i]), &out->item[out->n++],
			e) < 0)
			return -1;
	return 0;
}

static struct limits_settings *
loose_limits(struct config *c)
{
	/* All in memory: a dry run writes no file. */
	c->limits.memory_message = c->limits.message_size * 2;
	c->limits.idle_timeout = c->limits.command_timeout =
		c->limits.data_timeout = 60000;
	return &c->limits;
}

static void
fill_house(struct house *h, struct config *c, const struct plugins *p)
{
	int d;

	h->hostname = c->server.hostname;
	h->data = c->server.data;
	h->limits = loose_limits(c);
	h->smtp = &c->smtp;
	h->routes = &c->routes;
	h->queue_lifetime = c->queue.lifetime;
	h->plugins = p;
	h->services = (struct services){.dns = h->dns, .store = &h->store};
	for (d = 0; d < CHAINS; d++)
		h->chain[d].services = &h->services;
}

static int
open_dns(struct house *h, const struct config *c, struct err *e)
{
	struct dns_settings s = config_dns(c);

	h->dns = dns_new(&s, e);
	return h->dns ? 0 : -1;
}

/* ------------------------------------------------------------------ explain */

bool
cli_dry_open(struct cli *c, struct house *h)
{
	struct conf_report report;
	struct err e = {0};
	bool ok;

	if (cli_need_config(c))
		return false;
	if (priv_drop(c->config->server.user, &e) < 0)
		return cli_fail("explain", &e) == 0;
	conf_report_init(&report);
	plugins_init(&c->plugins);
	ok = config_load_plugins(c->config, ROLE_CLI, &c->plugins, &report) &&
		chains_make(c->config, &c->plugins, h->chain, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	conf_report_free(&report);
	if (!ok)
		return false;
	if (plugins_open(&c->plugins, role_name(ROLE_CLI),
		c->config->server.data, c->config->server.hostname, &e) < 0 ||
		store_find(&c->plugins, &h->store, &e) < 0 ||
		read_networks(c->config, &h->relay, &e) < 0 ||
		open_dns(h, c->config, &e) < 0)
		return cli_fail("explain", &e) == 0;
	fill_house(h, c->config, &c->plugins);
	return true;
}

/* NAME of the [route.NAME] that mail for elsewhere takes, or NULL. */
static const char *
name_of_route(const struct cli *c, const char *from, const char *rcpt,
	struct arena *a)
{
	const struct nexthop *hop = NULL;
	struct str domain;
	struct addr to;

	if (!addr_parse(str_from(rcpt), &to))
		return NULL;
	domain = addr_domain_ascii(a, to.domain);
	if (domain.at)
		hop = nexthop_find(&c->config->routes, domain,
			str_from(from));
	return hop ? hop->name : NULL;
}

/* What the directory makes of a recipient, before any filter. */
static json_t *
route_json(const struct cli *c, const char *from, const char *rcpt,
	struct arena *a)
{
	static const char *const answers[] = {
		[ROUTE_LOCAL] = "here", [ROUTE_REMOTE] = "elsewhere",
		[ROUTE_UNKNOWN_USER] = "unknown user",
		[ROUTE_OVER_QUOTA] = "over quota",
		[ROUTE_DISABLED] = "disabled",
		[ROUTE_TEMPFAIL] = "cannot tell now"};
	struct route_target *t = NULL;
	json_t *targets = json_array();
	enum route_answer answer = route_resolve(&c->plugins, a,
		str_from(rcpt), 0, &t);

	for (; t; t = t->next)
		json_array_append_new(targets, t->account ?
			json_pack("{s:s, s:s}", "account", t->account,
				"mailbox", t->mailbox) :
			json_pack("{s:s}", "forward", t->address));
	return json_pack("{s:s, s:s, s:s*, s:o}", "recipient", rcpt, "answer",
		answers[answer], "route", answer == ROUTE_REMOTE ?
		name_of_route(c, from, rcpt, a) : NULL, "targets", targets);
}

static void
print_route(const json_t *r)
{
	const char *route = json_string_value(json_object_get(r, "route"));
	const json_t *t;
	size_t i;

	printf("%s: %s%s%s%s\n",
		json_string_value(json_object_get(r, "recipient")),
		json_string_value(json_object_get(r, "answer")),
		route ? ", by [route." : "", route ? route : "",
		route ? "]" : "");
	json_array_foreach(json_object_get(r, "targets"), i, t) {
		const char *to = json_string_value(
			json_object_get(t, "forward"));

		if (to)
			printf("    -> %s\n", to);
		else
			printf("    -> %s, %s\n", json_string_value(
				json_object_get(t, "account")),
				json_string_value(json_object_get(t,
				"mailbox")));
	}
}

static int
show_run(struct cli *c, json_t *run)
{
	const json_t *r;
	size_t i;

	if (c->json)
		return cli_print_json(run);
	json_array_foreach(json_object_get(run, "routes"), i, r)
		print_route(r);
	explain_print(run);
	json_decref(run);
	return 0;
}

static int
run_explain(struct cli *c, int argc, char **argv)
{
	struct house house = {.hostname = NULL};
	struct smtp_dry d = {.house = &house};
	struct dry_args a;
	struct err e = {0};
	json_t *run, *routes;
	int code = take_args(c, argc, argv, &a);
	size_t i;

	if (code)
		return code;
	if (!a.from || !a.n_to || a.n_plain != 1 || a.n_set)
		return cli_usage(c, "one file, --from and --to are needed");
	log_open(2, LOG_WARN, false, role_name(ROLE_CLI));
	if (!cli_dry_open(c, &house))
		return 1;
	d.listener = cli_dry_listener(c->config, *a.login);
	d.helo = a.helo;
	d.login = a.login;
	d.sender = a.from;
	d.rcpt = a.to;
	d.n_rcpt = a.n_to;
	if (cli_dry_peer(a.ip, &d.peer, &e) < 0 ||
		run_one(&d, a.plain[0], &run, &e) < 0) {
		dns_free(house.dns);
		return cli_fail("explain", &e);
	}
	dns_free(house.dns);
	routes = json_array();
	for (i = 0; i < a.n_to; i++)
		json_array_append_new(routes, route_json(c, a.from, a.to[i],
			&c->config->arena));
	json_object_set_new(run, "routes", routes);
	return show_run(c, run);
}

/* -------------------------------------------------------------- plugin test */

/* A configuration of this one filter, as the section of its kind; --set
 * KEY=VALUE are its settings, with values as they stand in the file. */
static struct config *
make_config(const struct dry_args *a, const char *folder, const char *section,
	struct conf_report *report)
{
	struct config *c;
	struct buf b;
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "hostname = \"mail.example.org\"\ndata = \"%s\"\n"
		"[smtp]\nreverse_dns = false\ncheck_sender = false\n"
		"relay_networks = [\"0.0.0.0/0\", \"::/0\"]\n"
		"[dns]\nservers = [\"127.0.0.1:9\"]\n"
		"[chain]\nrelay = [\"test\"]\n%s\n", folder, section);
	for (i = 0; i < a->n_set; i++)
		buf_addf(&b, "%s\n", a->set[i]);
	c = config_parse(buf_str(&b), "test", report);
	buf_free(&b);
	return c;
}

static bool
open_test(struct cli *c, const struct dry_args *a, const char *folder,
	const char *section, struct house *h)
{
	struct conf_report report;
	struct err e = {0};
	bool ok;

	conf_report_init(&report);
	c->config = make_config(a, folder, section, &report);
	plugins_init(&c->plugins);
	ok = !report.errors && config_load_plugins(c->config, ROLE_CLI,
		&c->plugins, &report) && chains_make(c->config, &c->plugins,
		h->chain, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	conf_report_free(&report);
	if (!ok)
		return false;
	if (plugins_open(&c->plugins, role_name(ROLE_SMTP), folder,
		c->config->server.hostname, &e) < 0 ||
		read_networks(c->config, &h->relay, &e) < 0 ||
		open_dns(h, c->config, &e) < 0)
		return cli_fail("plugin test", &e) == 0;
	h->chain[CHAIN_RELAY].name = chains_name(CHAIN_INBOUND);
	fill_house(h, c->config, &c->plugins);
	return true;
}

/* 0: taken, 1: refused or not to be read. */
static int
test_file(struct cli *c, struct smtp_dry *d, const char *file, json_t *all)
{
	struct err e = {0};
	json_t *run;
	int code;

	/* Said before: the plugin may end us. */
	if (!c->json) {
		printf("== %s\n", file);
		fflush(stdout);
	}
	if (run_one(d, file, &run, &e) < 0)
		return cli_fail("plugin test", &e);
	code = json_is_true(json_object_get(run, "accepted")) ? 0 : 1;
	if (c->json) {
		json_object_set_new(all, file, run);
		return code;
	}
	explain_print(run);
	json_decref(run);
	return code;
}

static int
test_files(struct cli *c, struct dry_args *a, struct house *h)
{
	struct smtp_dry d = {.house = h, .helo = a->helo, .login = "",
		.listener = cli_dry_listener(c->config, false),
		.sender = a->from, .rcpt = a->to, .n_rcpt = a->n_to};
	json_t *all = json_object();
	struct err e = {0};
	int code = 0;
	size_t i;

	if (cli_dry_peer(a->ip, &d.peer, &e) < 0) {
		json_decref(all);
		return cli_fail("plugin test", &e);
	}
	for (i = 1; i < a->n_plain; i++)
		code |= test_file(c, &d, a->plain[i], all);
	if (c->json)
		cli_print_json(all);
	else
		json_decref(all);
	return code;
}

static void
fill_in(struct dry_args *a)
{
	if (!a->from)
		a->from = "sender@example.net";
	if (!a->n_to)
		a->to[a->n_to++] = "recipient@example.org";
}

static const char *
plugin_section(const char *module, char out[PATH_MAX + 40])
{
	char path[PATH_MAX];

	snprintf(out, PATH_MAX + 40, "[plugin.test]\nmodule = '%s'",
		realpath(module, path) ? path : module);
	return out;
}

static int
plugin_test(struct cli *c, int argc, char **argv)
{
	char folder[] = "/tmp/mailroom-test.XXXXXX", section[PATH_MAX + 40];
	struct house house = {.hostname = NULL};
	struct dry_args a;
	struct err e = {0};
	int code = take_args(c, argc, argv, &a);

	if (code)
		return code;
	if (a.n_plain < 2)
		return cli_usage(c, "a module and a message are needed");
	if (a.sanitized)
		return cli_test_sanitized(c, a.plain[0], argc, argv);
	fill_in(&a);
	if (!mkdtemp(folder)) {
		err_sys(&e, "%s", folder);
		return cli_fail("plugin test", &e);
	}
	log_open(2, LOG_INFO, false, "test");
	code = open_test(c, &a, folder, plugin_section(a.plain[0], section),
		&house) ? test_files(c, &a, &house) : 1;
	plugins_close(&c->plugins);
	dns_free(house.dns);
	rmdir(folder);
	return code;
}

int
cli_dry_milter(struct cli *c, int argc, char **argv, const char *socket,
	const char *folder)
{
	struct house house = {.hostname = NULL};
	char section[400];
	struct smtp_dry d;
	struct dry_args a;
	struct err e = {0};
	json_t *run = NULL;
	int code = take_args(c, argc, argv, &a);

	if (code)
		return code;
	if (a.n_plain != 1)
		return cli_usage(c, "one message is needed");
	fill_in(&a);
	log_open(2, LOG_WARN, false, "record");
	snprintf(section, sizeof section, "[milter.test]\nsocket = "
		"\"unix:%s\"\non_failure = \"accept\"", socket);
	if (!open_test(c, &a, folder, section, &house))
		return 1;
	d = (struct smtp_dry){.house = &house, .helo = a.helo, .login = "",
		.listener = cli_dry_listener(c->config, false),
		.sender = a.from, .rcpt = a.to, .n_rcpt = a.n_to};
	if (cli_dry_peer(a.ip, &d.peer, &e) < 0 || run_one(&d, a.plain[0],
		&run, &e) < 0)
		code = cli_fail("record", &e);
	json_decref(run);
	plugins_close(&c->plugins);
	dns_free(house.dns);
	return code;
}

const struct cli_verb cli_explain_verbs[] = {
	{"explain", NULL, 5, 200, run_explain,
		"FILE.eml --from S --to R [--ip A] [--helo H] [--login L]",
		"what would become of a message, and why; nothing is kept"},
	{"plugin", "test", 2, 512, plugin_test,
		"FILE.so [--set KEY=VALUE] [--from S] [--to R] FILE.eml...",
		"runs a plugin over messages, without a server; --asan and "
		"its source: with sanitizers"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
