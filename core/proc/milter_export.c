/*
 * milter_export.c - main of mailroom-milter: serves one filter plugin of
 * ours as a milter, for Postfix, Sendmail and others.
 *
 * A program of its own, because libmilter takes over the signals, the
 * threads and one socket of its process, and because its names are those
 * that the server itself lends to filters (plug/mfapi.h).
 */
#include "proc/milter_export.h"

#include <errno.h>
#include <getopt.h>

#include "base/file.h"
#include "base/log.h"
#include "net/dns.h"

#define CONFIG_MAX (4 << 20)

struct export export;

struct options {
	const char *module, *listen, *config, *name;
};

static const char usage[] =
	"usage: mailroom-milter --plugin FILE.so --listen SOCKET\n"
	"                       [--config FILE --name NAME]\n"
	"  --plugin FILE.so  the filter plugin\n"
	"  --listen SOCKET   unix:/path, inet:port@host or inet6:port@host\n"
	"  --config FILE     has the plugin's settings in [plugin.NAME]\n";

static int
fail(const char *what, const char *text)
{
	fprintf(stderr, "mailroom-milter: %s: %s\n", what, text);
	return 1;
}

/* The same where false is what failed. */
static bool
complain(const char *what, const char *text)
{
	fail(what, text);
	return false;
}

static bool
take_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{"plugin", required_argument, NULL, 'p'},
		{"listen", required_argument, NULL, 'l'},
		{"config", required_argument, NULL, 'c'},
		{"name", required_argument, NULL, 'n'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			o->module = optarg;
		else if (c == 'l')
			o->listen = optarg;
		else if (c == 'c')
			o->config = optarg;
		else if (c == 'n')
			o->name = optarg;
		else
			return false;
	}
	return optind == argc && o->module && o->listen &&
		!o->config == !o->name;
}

/* What a milter cannot give. NULL: nothing is missing. */
static const char *
what_is_missing(const struct mr_plugin *d)
{
	if (!PLUG_ROLE(d, filter))
		return "it is no filter, and a milter is nothing else";
	if (PLUG_ROLE(d, store))
		return "it has the role `store`, which a milter cannot have";
	if (PLUG_ROLE(d, auth))
		return "it has the role `auth`, which a milter cannot have";
	if (PLUG_ROLE(d, route))
		return "it has the role `route`, which a milter cannot have";
	if (d->filter->needs & MR_NEEDS_RESULTS)
		return "it needs the results of other plugins, which a milter "
			"is not told";
	return NULL;
}

static bool
read_settings(const struct options *o, struct arena *a)
{
	const char *file = o->config ? o->config : "(no file)";
	const struct conf_node *n = NULL;
	struct conf_report report;
	struct str text = STR("");
	struct err e = {0};
	struct conf *c;
	bool good;

	if (o->config && file_read(o->config, CONFIG_MAX, a, &text, &e) < 0)
		return complain("configuration", e.text);
	conf_report_init(&report);
	c = conf_parse(text, file, &report);
	if (o->name)
		n = conf_find(conf_root(c), export.plugin.section);
	good = !o->name || (n && conf_type_of(n) == CONF_TABLE);
	if (!good)
		complain(export.plugin.section, "there is no such section");
	good = good && !report.errors &&
		plugin_settings(&export.plugin, c, n, a, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	conf_report_free(&report);
	conf_free(c);
	return good;
}

static bool
load(const struct options *o, struct arena *a)
{
	struct plugin *p = &export.plugin;
	const char *missing;
	struct err e = {0};
	void *handle;

	p->module = o->module;
	p->desc = plugin_load(o->module, &handle, &e);
	if (!p->desc)
		return complain("plugin", e.text);
	missing = what_is_missing(p->desc);
	if (missing)
		return complain(p->desc->name, missing);
	p->name = o->name ? o->name : p->desc->name;
	p->section = arena_printf(a, "plugin.%s", p->name);
	return read_settings(o, a);
}

static int
open_plugin(void)
{
	struct dns_settings dns = {.timeout_ms = 10000, .dnssec = true};
	static char name[256];
	struct err e = {0};

	if (gethostname(name, sizeof name - 1) < 0)
		return fail("host name", strerror(errno));
	export.hostname = name;
	export.tmp = getenv("TMPDIR");
	if (!export.tmp)
		export.tmp = "/tmp";
	export.services.dns = dns_new(&dns, &e);
	if (!export.services.dns)
		return fail("DNS", e.text);
	if (plugin_open(&export.plugin, "smtp", export.tmp, name, &e) < 0)
		return fail("plugin", e.text);
	export.item = &export.plugin;
	export.chain = (struct chain){.name = "milter", .item = &export.item,
		.n = 1, .timeout_ms = 300000, .services = &export.services};
	return 0;
}

static int
serve(const char *where)
{
	struct smfiDesc table = export_table;

	/* SETSYMLIST comes in at negotiation, where it is offered. */
	table.xxfi_flags = export_actions(export.plugin.desc->filter);
	if (smfi_setconn((char *)where) != MI_SUCCESS)
		return fail(where, "no socket that libmilter knows: "
			"unix:/path or inet:port@host");
	if (smfi_register(table) != MI_SUCCESS)
		return fail("libmilter", "does not take the filter");
	if (smfi_opensocket(true) != MI_SUCCESS)
		return fail(where, "cannot be listened on");
	log_info("export.ready", LOG_S("plugin", export.plugin.name),
		LOG_S("socket", where));
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct options o = {NULL, NULL, NULL, NULL};
	struct arena a;
	int code;

	if (!take_options(argc, argv, &o)) {
		fputs(usage, stderr);
		return 2;
	}
	log_open(2, LOG_INFO, false, "milter");
	arena_init(&a);
	code = load(&o, &a) ? open_plugin() : 1;
	if (!code)
		code = serve(o.listen);
	if (export.plugin.opened && PLUG_ROLE(export.plugin.desc, close))
		export.plugin.desc->close(export.plugin.config);
	dns_free(export.services.dns);
	arena_free(&a);
	return code;
}
