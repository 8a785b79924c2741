/*
 * cli_config.c - mailroom config: check, show, the manual page's source.
 */
#include "proc/cli.h"

#include "plug/milter.h"
#include "proc/chains.h"
#include "proc/priv.h"

static int
config_check(struct cli *c, int argc, char **argv)
{
	struct conf_report report;
	struct chain chain[CHAINS];
	struct err e = {0};
	bool ok;

	(void)argc;
	(void)argv;
	if (cli_need_config(c))
		return 1;
	/* Plugins are foreign code: not as root. */
	if (priv_drop(c->config->server.user, &e) < 0)
		return cli_fail("config check", &e);
	conf_report_init(&report);
	plugins_init(&c->plugins);
	ok = config_load_plugins(c->config, ROLE_CLI, &c->plugins, &report) &&
		chains_make(c->config, &c->plugins, chain, &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	if (ok && (store_find(&c->plugins, &c->store, &e) < 0 ||
		expire_retain(&c->config->expire, &c->store, &e) < 0)) {
		cli_fail(c->config_file, &e);
		ok = false;
	}
	conf_report_free(&report);
	if (!ok)
		return 1;
	if (c->json)
		return cli_print_json(json_pack("{s:b, s:s}", "ok", 1,
			"file", c->config_file));
	printf("%s: no errors\n", c->config_file);
	return 0;
}

/* One section as TOML text. */
static void
show_section(struct buf *out, const char *name,
	const struct mr_setting *settings, const void *values, bool help)
{
	if (*name)
		buf_addf(out, "\n[%s]\n", name);
	conf_show(out, settings, values, help);
}

static void
show_core(struct buf *out, const struct config *c, bool help)
{
	const struct config_section *s;
	size_t i;

	for (s = config_sections; s->name; s++)
		if (s->offset != SIZE_MAX)
			show_section(out, s->name, s->settings,
				(const char *)c + s->offset, help);
	for (i = 0; i < c->n_listener; i++) {
		char name[300];

		snprintf(name, sizeof name, "listen.%s", c->listener[i].name);
		show_section(out, name, listener_settings_table,
			&c->listener[i], help);
	}
	for (i = 0; i < c->routes.n; i++) {
		char name[300];

		snprintf(name, sizeof name, "route.%s", c->routes.item[i].name);
		show_section(out, name, nexthop_settings_table,
			&c->routes.item[i], help);
	}
	for (i = 0; i < c->expire.n; i++) {
		char name[300];

		snprintf(name, sizeof name, "mailbox.%s",
			c->expire.item[i].mailbox);
		show_section(out, name, expire_settings_table,
			&c->expire.item[i], help);
	}
}

static void
show_plugins(struct buf *out, struct cli *c, bool help)
{
	size_t i;

	for (i = 0; i < c->plugins.n; i++) {
		const struct plugin *p = c->plugins.item[i];

		if (p->desc->settings)
			show_section(out, p->section, p->desc->settings,
				p->config, help);
		else
			buf_addf(out, "\n[%s]\n", p->section);
	}
}

static int
config_show(struct cli *c, int argc, char **argv)
{
	bool defaults = argc == 1;
	struct conf_report report;
	struct config *plain;
	struct buf out;

	if (defaults && strcmp(argv[0], "--defaults"))
		return cli_usage(c, "unknown option");
	buf_init(&out, BUF_NO_CAP);
	conf_report_init(&report);
	if (defaults) {
		/* Needs no file: an empty one has every default. */
		plain = config_parse(STR(""), "defaults", &report);
		show_core(&out, plain, true);
		config_free(plain);
	} else {
		if (cli_need_config(c))
			return 1;
		plugins_init(&c->plugins);
		config_load_plugins(c->config, ROLE_CLI, &c->plugins, &report);
		show_core(&out, c->config, false);
		show_plugins(&out, c, false);
	}
	conf_report_free(&report);
	if (c->json)
		return cli_print_json(json_pack("{s:s}", "toml",
			buf_c(&out)));
	fputs(buf_c(&out), stdout);
	buf_free(&out);
	return 0;
}

static void
man_section(struct buf *out, const char *name, const char *help,
	const struct mr_setting *settings)
{
	buf_addf(out, ".Ss %s%s%s\n%s.\n.Bl -tag -width Ds\n", *name ? "[" :
		"top of the file", name, *name ? "]" : "", help);
	conf_man(out, settings);
	buf_adds(out, ".El\n");
}

static int
config_man(struct cli *c, int argc, char **argv)
{
	const struct config_section *s;
	struct buf out;

	(void)c;
	(void)argc;
	(void)argv;
	buf_init(&out, BUF_NO_CAP);
	for (s = config_sections; s->name; s++)
		man_section(&out, s->name, s->help, s->settings);
	man_section(&out, "plugin.NAME", "A plugin; beside these keys, those "
		"that mailroom plugin inspect shows",
		plugin_section_settings);
	man_section(&out, "milter.NAME", "An outside milter; mode and "
		"listeners are as for plugins", milter_plugin.settings);
	fputs(buf_c(&out), stdout);
	buf_free(&out);
	return 0;
}

const struct cli_verb cli_config_verbs[] = {
	{"config", "check", 0, 0, config_check, "",
		"read the configuration and its plugins' settings"},
	{"config", "show", 0, 1, config_show, "[--defaults]",
		"every setting with its value, or with its default and help"},
	{"config", "man", 0, 0, config_man, "",
		"source of the manual page's list of settings"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
