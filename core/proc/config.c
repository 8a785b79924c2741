/*
 * config.c - the sections of the configuration file.
 *
 * Each room declares its own settings beside the struct they fill; this file
 * only says which section goes where, checks what concerns several sections,
 * and picks the plugins of a role. Runs at start-up, on one thread.
 */
#include "proc/config.h"

#include <limits.h>

#include "base/file.h"
#include "plug/milter.h"
#include "proc/config_route.h"
#include "proc/isolate.h"

#define CONFIG_MAX (4 << 20)

#define AT(type, field) offsetof(struct type, field)

static const struct mr_setting server_table[] = {
	{"hostname", MR_TEXT, 0, AT(server_settings, hostname), "\"\"", 0, 0,
		NULL, "Our name, as other servers see it: fully qualified, "
		"with an address record and the reverse record of our "
		"address. Empty: the system's host name."},
	{"data", MR_PATH, MR_REQUIRED, AT(server_settings, data), NULL, 0, 0,
		NULL, "Folder that holds all mail, the queue and sockets."},
	{"user", MR_TEXT, 0, AT(server_settings, user), "\"mailroom\"", 0, 0,
		NULL, "System user of the worker processes when the server "
		"is started as root."},
	{"plugin_dir", MR_PATH, 0, AT(server_settings, plugin_dir),
		"\"" PLUGIN_DIR "\"", 0, 0, NULL,
		"Folder of plugins that a section names without a path."},
	{"pid_file", MR_PATH, 0, AT(server_settings, pid_file), "\"\"", 0, 0,
		NULL, "Where the master writes its process id. Empty: "
		"mailroomd.pid in the data folder."},
	{"control_socket", MR_PATH, 0, AT(server_settings, control_socket),
		"\"\"", 0, 0, NULL, "Socket for the mailroom command. Empty: "
		"control.sock in the data folder."},
	{"drop", MR_PATH, 0, AT(server_settings, drop), "\"\"", 0, 0, NULL,
		"Folder where programs of this machine leave mail (`mailroom "
		"sendmail`), open for all of its users. Empty: drop in the "
		"data folder, for the server's own user."},
	MR_SETTINGS_END,
};

static const struct mr_setting log_table[] = {
	{"level", MR_CHOICE, 0, AT(log_settings, level), "\"info\"", 0, 0,
		"debug|info|warn|error", "Least level that is written."},
	{"format", MR_CHOICE, 0, AT(log_settings, format), "\"text\"", 0, 0,
		"text|json", "key=value lines, or one JSON object a line."},
	MR_SETTINGS_END,
};

static const struct mr_setting tls_table[] = {
	{"certificate", MR_PATH, 0, AT(tls_settings, certificate), "\"\"", 0, 0,
		NULL, "PEM file with the certificate and its chain."},
	{"key", MR_PATH, 0, AT(tls_settings, key), "\"\"", 0, 0, NULL,
		"PEM file with the private key."},
	{"client_ca", MR_PATH, 0, AT(tls_settings, client_ca), "\"\"", 0, 0,
		NULL, "PEM file with the authority of client certificates: "
		"the mail address in one logs in to the account of that name "
		"(SASL EXTERNAL). Empty: clients are not asked for any."},
	MR_SETTINGS_END,
};

static const struct mr_setting workers_table[] = {
	{"smtp", MR_INT, 0, AT(workers_settings, smtp), "1", 1, 64, NULL,
		"Processes that speak SMTP and submission."},
	{"mailbox", MR_INT, 0, AT(workers_settings, mailbox), "1", 1, 1, NULL,
		"Processes that speak IMAP and POP3."},
	{"threads", MR_INT, 0, AT(workers_settings, threads), "400", 1, 4096,
		NULL, "Commands that one SMTP process works on at once, each "
		"on a thread, made when it is needed. A filter that makes "
		"clients wait holds one for each of them."},
	{"mailbox_threads", MR_INT, 0, AT(workers_settings, mailbox_threads),
		"200", 1, 4096, NULL,
		"Commands that one mailbox process works on at once."},
	{"row_cache", MR_SIZE, 0, AT(workers_settings, row_cache),
		"\"64 MiB\"", 0, 64LL << 30, NULL, "Flags and dates of "
		"mailboxes in use that the mailbox process keeps in memory; "
		"100,000 messages take 5 MB. 0: none."},
	{"stack", MR_SIZE, 0, AT(workers_settings, stack), "\"256 KiB\"",
		128 << 10, 8 << 20, NULL, "Stack of each of these threads."},
	{"drain_timeout", MR_DURATION, 0, AT(workers_settings, drain_timeout),
		"\"30s\"", 0, 3600000, NULL, "How long sessions may go on "
		"after a reload or stop."},
	{"restart_first", MR_DURATION, 0, AT(workers_settings, restart_first),
		"\"100ms\"", 10, 60000, NULL,
		"Pause before a worker that died is started again; it "
		"doubles while it keeps dying."},
	{"restart_most", MR_DURATION, 0, AT(workers_settings, restart_most),
		"\"30s\"", 10, 3600000, NULL, "Longest such pause."},
	{"crash_limit", MR_INT, 0, AT(workers_settings, crash_limit), "3", 0,
		ISOLATE_LIMIT, NULL, "A filter that crashes workers so often "
		"within crash_window runs in a process of its own from then "
		"on, until the server ends. 0: never."},
	{"crash_window", MR_DURATION, 0, AT(workers_settings, crash_window),
		"\"10m\"", 1000, 86400000, NULL, "See crash_limit."},
	{"probation", MR_DURATION, 0, AT(workers_settings, probation),
		"\"10m\"", 0, 86400000, NULL, "How long after a reload the "
		"generation before can come back by itself: if a plugin whose "
		"module or section is new brings workers down twice, or fails "
		"ten messages and a much larger share of them than before. "
		"0: never."},
	{"confine", MR_BOOL, 0, AT(workers_settings, confine), "true", 0, 0,
		NULL, "Workers give up new privileges and, where the kernel "
		"has Landlock, writing outside the data folder."},
	{"writable", MR_LIST, 0, AT(workers_settings, writable), "[]", 0, 0,
		NULL, "Further folders, by full path, that confined workers "
		"may write to: for transports and plugins that keep files "
		"elsewhere."},
	MR_SETTINGS_END,
};

static const struct mr_setting dns_table[] = {
	{"servers", MR_LIST, 0, AT(resolver_settings, servers), "[]", 0, 0,
		NULL, "Resolvers as \"address:port\". None: those of the "
		"system."},
	{"timeout", MR_DURATION, 0, AT(resolver_settings, timeout), "\"10s\"",
		100, 120000, NULL, "Longest wait for one answer."},
	{"cache", MR_BOOL, 0, AT(resolver_settings, cache), "true", 0, 0, NULL,
		"Keep answers up to their TTL. With false nothing is kept."},
	{"dnssec", MR_BOOL, 0, AT(resolver_settings, dnssec), "true", 0, 0,
		NULL, "Validate signatures. Needs resolvers that pass them."},
	{"trust_anchors", MR_PATH, 0, AT(resolver_settings, trust_anchors),
		"\"\"", 0, 0, NULL, "File with DS or DNSKEY records of signed "
		"zones that the root does not vouch for."},
	MR_SETTINGS_END,
};

static const struct mr_setting chain_table[] = {
	{"inbound", MR_LIST, 0, AT(chain_settings, inbound), "[]", 0, 0, NULL,
		"Filters and milters for mail from other servers, in order."},
	{"submission", MR_LIST, 0, AT(chain_settings, submission), "[]", 0, 0,
		NULL, "Filters and milters for mail of our own accounts."},
	{"local", MR_LIST, 0, AT(chain_settings, local), "[]", 0, 0, NULL,
		"Filters and milters for mail that the server writes itself, "
		"such as reports of failed delivery."},
	{"relay", MR_LIST, 0, AT(chain_settings, relay), "[]", 0, 0, NULL,
		"Filters and milters for mail from [smtp] relay_networks. "
		"Left out: as inbound."},
	{"learn", MR_LIST, 0, AT(chain_settings, learn), "[]", 0, 0, NULL,
		"Filters that are told, in mailbox workers, when somebody "
		"moves mail into Junk or out of it."},
	MR_SETTINGS_END,
};

const struct config_section config_sections[] = {
	{"", server_table, AT(config, server), "Top of the file"},
	{"log", log_table, AT(config, log), "The server's log"},
	{"tls", tls_table, AT(config, tls), "Certificate of all listeners"},
	{"workers", workers_table, AT(config, workers), "Processes"},
	{"limits", limits_settings_table, AT(config, limits),
		"What one client may use"},
	{"smtp", smtp_settings_table, AT(config, smtp),
		"Receiving and submission"},
	{"imap", imap_settings_table, AT(config, imap), "Reading mail"},
	{"dns", dns_table, AT(config, dns), "Name resolution"},
	{"dns.plan", zone_settings_table, AT(config, zone),
		"What our domains want of DNS (mailroom dns)"},
	{"dns.update", zone_update_settings_table, AT(config, dns_update),
		"How records get into DNS (mailroom dns apply)"},
	{"queue", queue_settings_table, AT(config, queue), "Outgoing mail"},
	{"chain", chain_table, AT(config, chain), "Order of filters"},
	{"reports", report_settings_table, AT(config, reports),
		"Reports that others ask for"},
	{"listen.NAME", listener_settings_table, SIZE_MAX, "A listener"},
	{"route.NAME", nexthop_settings_table, SIZE_MAX,
		"Where mail for other domains goes"},
	{"mailbox.NAME", expire_settings_table, SIZE_MAX,
		"Mailboxes of this name, of all accounts"},
	{NULL, NULL, 0, NULL},
};

const char *
role_name(enum role r)
{
	static const char *const names[] = {
		"master", "smtp", "mailbox", "runner", "cli"};

	return names[r];
}

const char *
config_path(const char *option)
{
	const char *env = getenv("CONFIG_PATH");

	if (option)
		return option;
	return env && *env ? env : CONF_DIR "/config.toml";
}

int
config_read(const char *path, struct arena *a, struct str *text, struct err *e)
{
	if (file_read(path, CONFIG_MAX, a, text, e) < 0)
		return err_wrap(e, "configuration");
	return 0;
}

struct dns_settings
config_dns(const struct config *c)
{
	const struct resolver_settings *r = &c->dns;

	return (struct dns_settings){.server = r->servers.item,
		.n_server = r->servers.n, .timeout_ms = r->timeout,
		.no_cache = !r->cache, .dnssec = r->dnssec,
		.anchors = r->trust_anchors};
}

/* Do sections lie in it? */
static bool
has_parts(const char *section)
{
	const struct config_section *s;
	size_t len = strlen(section);

	for (s = config_sections; s->name; s++)
		if (!strncmp(s->name, section, len) && s->name[len] == '.')
			return true;
	return !len;
}

/* The same, inside of one. */
static void
check_parts(const struct config *c, const char *section,
	struct conf_report *report)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), section), *n;
	const struct config_section *s;
	struct str key, name;
	size_t at = 0;

	while (all && (n = conf_next(all, &at, &key))) {
		for (s = config_sections; s->name; s++) {
			name = str_from(s->name);
			if (str_is(str_cut(&name, '.'), section) &&
				str_eq(name, key))
				break;
		}
		if (!s->name && conf_type_of(n) == CONF_TABLE)
			conf_error(c->doc, n, true, report,
				"unknown section [%s.%.*s]", section,
				STR_ARGS(key));
	}
}

/* Sections that no table describes, so that a typing error is found. */
static void
check_sections(const struct config *c, struct conf_report *report)
{
	static const char *const known[] = {"log", "tls", "workers", "limits",
		"smtp", "imap", "dns", "queue", "chain", "reports", "listen",
		"route", "mailbox", "plugin", "milter"};
	const struct conf_node *n;
	size_t at = 0, i;
	struct str key;

	while ((n = conf_next(conf_root(c->doc), &at, &key))) {
		const char *near;

		if (conf_type_of(n) != CONF_TABLE)
			continue;
		for (i = 0; i < sizeof known / sizeof *known; i++)
			if (str_is(key, known[i]))
				break;
		if (i < sizeof known / sizeof *known)
			continue;
		near = conf_nearest(key, known, sizeof known / sizeof *known);
		conf_error(c->doc, n, true, report,
			"unknown section [%.*s]%s%s%s", STR_ARGS(key),
			near ? "; did you mean [" : "", near ? near : "",
			near ? "]?" : "");
	}
}

static void
read_listeners(struct config *c, struct conf_report *report)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "listen");
	const struct conf_node *n;
	size_t at = 0, count = 0;
	struct str key;

	if (!all)
		return;
	while (conf_next(all, &at, &key))
		count++;
	c->listener = arena_alloc(&c->arena, (count + 1) * sizeof *c->listener);
	at = 0;
	while ((n = conf_next(all, &at, &key))) {
		struct listener *l = &c->listener[c->n_listener++];
		const char *section = arena_printf(&c->arena, "listen.%.*s",
			STR_ARGS(key));

		if (conf_type_of(n) != CONF_TABLE) {
			conf_error(c->doc, n, true, report,
				"must be a section [%s]", section);
			c->n_listener--;
			continue;
		}
		l->name = arena_cstr(&c->arena, key);
		conf_fill(c->doc, n, section, listener_settings_table, l,
			false, &c->arena, report);
	}
}

static void
read_mailboxes(struct config *c, struct conf_report *report)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "mailbox");
	struct expire_rule *rule;
	const struct conf_node *n;
	size_t at = 0, count = 0;
	struct str key;

	if (!all || conf_type_of(all) != CONF_TABLE)
		return;
	while (conf_next(all, &at, &key))
		count++;
	c->expire.item = rule = arena_alloc(&c->arena,
		(count + 1) * sizeof *rule);
	for (at = 0; (n = conf_next(all, &at, &key));) {
		const char *section = arena_printf(&c->arena, "mailbox.%.*s",
			STR_ARGS(key));

		rule[c->expire.n].mailbox = arena_cstr(&c->arena, key);
		if (conf_type_of(n) != CONF_TABLE)
			conf_error(c->doc, n, true, report,
				"must be a section [%s]", section);
		else if (conf_fill(c->doc, n, section, expire_settings_table,
			&rule[c->expire.n], false, &c->arena, report))
			c->expire.n++;
	}
}

/* What must stay must not be removed by ourselves. */
static void
check_mailboxes(struct config *c, struct conf_report *report)
{
	const struct expire_rule *bad = expire_conflict(&c->expire);
	const struct conf_node *all = conf_find(conf_root(c->doc), "mailbox");
	const struct conf_node *n;
	size_t at = 0;
	struct str key;

	while (bad && (n = conf_next(all, &at, &key)))
		if (str_is(key, bad->mailbox))
			conf_error(c->doc, conf_find(n, "expire"), false,
				report, "`expire` of [mailbox.%s] must not be "
				"shorter than `retain`", bad->mailbox);
}

/* Names of plugins may hold dots, so conf_find's paths do not do. */
bool
config_has_section(const struct config *c, const char *kind,
	const char *name)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), kind), *n;
	size_t at = 0;
	struct str key;

	while (all && (n = conf_next(all, &at, &key)))
		if (str_is(key, name) && conf_type_of(n) == CONF_TABLE)
			return true;
	return false;
}

/* Whether a plugin is a filter is known only when it is loaded; whether its
 * section is there, already now. */
static void
check_chain(const struct config *c, const char *path,
	const struct mr_list *list, struct conf_report *report)
{
	const struct conf_node *root = conf_root(c->doc);
	size_t i;

	for (i = 0; i < list->n; i++)
		if (!config_has_section(c, "plugin", list->item[i]) &&
			!config_has_section(c, "milter", list->item[i]))
			conf_error(c->doc, conf_find(root, path), false,
				report, "there is no [plugin.%s] or "
				"[milter.%s]", list->item[i], list->item[i]);
}

/* What concerns more than one section. */
static void
check_whole(struct config *c, struct conf_report *report)
{
	const struct conf_node *root = conf_root(c->doc);
	bool wants_tls = false;
	size_t i;

	for (i = 0; i < c->n_listener; i++)
		if (c->listener[i].tls != SERVE_TLS_NONE)
			wants_tls = true;
	if (wants_tls && (!*c->tls.certificate || !*c->tls.key))
		conf_error(c->doc, conf_find(root, "listen"), true, report,
			"a listener wants TLS, but [tls] certificate and key "
			"are not both set");
	check_chain(c, "chain.inbound", &c->chain.inbound, report);
	check_chain(c, "chain.submission", &c->chain.submission, report);
	check_chain(c, "chain.local", &c->chain.local, report);
	check_chain(c, "chain.relay", &c->chain.relay, report);
	check_chain(c, "chain.learn", &c->chain.learn, report);
	if (!*c->server.hostname) {
		char name[256] = "";

		if (gethostname(name, sizeof name - 1) < 0 || !*name)
			conf_error(c->doc, root, false, report,
				"hostname: the system has none, set it here");
		c->server.hostname = arena_cstr(&c->arena, str_from(name));
	}
	if (!*c->server.pid_file)
		c->server.pid_file = arena_printf(&c->arena,
			"%s/mailroomd.pid", c->server.data);
	if (!*c->server.control_socket)
		c->server.control_socket = arena_printf(&c->arena,
			"%s/control.sock", c->server.data);
	c->server.drop_is_open = *c->server.drop != '\0';
	if (!c->server.drop_is_open)
		c->server.drop = arena_printf(&c->arena, "%s/drop",
			c->server.data);
}

struct config *
config_parse(struct str text, const char *file, struct conf_report *report)
{
	struct config *c = mem_alloc(sizeof *c);
	const struct config_section *s;
	const struct conf_node *n;

	arena_init(&c->arena);
	c->file = arena_cstr(&c->arena, str_from(file));
	c->doc = conf_parse(text, c->file, report);
	for (s = config_sections; s->name; s++) {
		if (s->offset == SIZE_MAX)
			continue;
		n = *s->name ? conf_find(conf_root(c->doc), s->name) :
			conf_root(c->doc);
		if (n && conf_type_of(n) != CONF_TABLE) {
			conf_error(c->doc, n, true, report,
				"must be a section [%s]", s->name);
			n = NULL;
		}
		conf_fill(c->doc, n, s->name, s->settings,
			(char *)c + s->offset, has_parts(s->name), &c->arena,
			report);
	}
	check_sections(c, report);
	check_parts(c, "dns", report);
	read_listeners(c, report);
	config_read_routes(c, report);
	read_mailboxes(c, report);
	check_mailboxes(c, report);
	check_whole(c, report);
	return c;
}

void
config_free(struct config *c)
{
	if (!c)
		return;
	conf_free(c->doc);
	arena_free(&c->arena);
	free(c);
}

static bool
is_listed(const struct mr_list *l, struct str name)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (str_is(name, l->item[i]))
			return true;
	return false;
}

static bool
is_for_role(const struct config *c, enum role r, struct str name)
{
	bool chained = is_listed(&c->chain.inbound, name) ||
		is_listed(&c->chain.submission, name) ||
		is_listed(&c->chain.local, name) ||
		is_listed(&c->chain.relay, name) ||
		is_listed(&c->chain.learn, name);

	/* Reports are the runner's. */
	if (r == ROLE_RUNNER && is_listed(&c->chain.local, name))
		return true;
	if (r == ROLE_MAILBOX && is_listed(&c->chain.learn, name))
		return true;
	/* What delivers is needed by the runner alone. */
	if (!chained && (config_is_transport(c, name) ||
		str_is(name, c->queue.https)))
		return r == ROLE_CLI || r == ROLE_RUNNER;
	return r == ROLE_CLI || r == ROLE_SMTP || !chained;
}

bool
config_load_plugins(const struct config *c, enum role r, struct plugins *out,
	struct conf_report *report)
{
	static const struct {
		const char *section;
		const struct mr_plugin *builtin;
	} kind[] = {{"plugin", NULL}, {"milter", &milter_plugin}};
	const struct conf_node *all, *n;
	unsigned before = report->errors;
	struct str key;
	size_t i, at;

	for (i = 0; i < 2; i++) {
		all = conf_find(conf_root(c->doc), kind[i].section);
		for (at = 0; all && (n = conf_next(all, &at, &key));) {
			if (!is_for_role(c, r, key))
				continue;
			if (kind[i].builtin && r != ROLE_SMTP && r != ROLE_CLI &&
				!is_listed(&c->chain.local, key))
				continue;
			plugins_add(out, arena_cstr(&out->arena, key),
				c->server.plugin_dir, kind[i].builtin, c->doc,
				n, report);
		}
	}
	config_check_transports(c, out, report);
	return report->errors == before;
}
