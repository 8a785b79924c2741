/*
 * cli_plugin.c - mailroom plugin: what is configured, what a file holds,
 * what the chains look like. inspect runs nothing of the file and needs no
 * configuration; list and chain load what the configuration names.
 */
#include "proc/cli.h"

#include "base/file.h"
#include "plug/inspect.h"
#include "proc/chains.h"
#include "proc/priv.h"

/* As the server's user: plugins are foreign code. false: said. */
static bool
load_all(struct cli *c, const char *what, struct conf_report *report)
{
	struct err e = {0};

	conf_report_init(report);
	plugins_init(&c->plugins);
	if (cli_need_config(c))
		return false;
	if (priv_drop(c->config->server.user, &e) < 0) {
		cli_fail(what, &e);
		return false;
	}
	config_load_plugins(c->config, ROLE_CLI, &c->plugins, report);
	return true;
}

/* Prints what was wrong. The exit status. */
static int
end_report(struct conf_report *report)
{
	int code = report->errors ? 1 : 0;

	if (report->text.len)
		fputs(buf_c(&report->text), stderr);
	conf_report_free(report);
	return code;
}

/* ------------------------------------------------------------------- list */

static void
list_one(const struct plugin *p, json_t *list, struct arena *a)
{
	const char *roles = inspect_roles(p->desc, a);

	if (list)
		json_array_append_new(list, json_pack(
			"{s:s, s:s, s:s, s:s, s:s, s:i}",
			"section", p->section, "name", p->desc->name,
			"version", p->desc->version, "roles", roles,
			"module", p->module, "abi", (int)p->desc->abi));
	else
		printf("%-20s %s %s  (%s)  %s\n", p->section, p->desc->name,
			p->desc->version, roles, p->module);
}

static int
plugin_list(struct cli *c, int argc, char **argv)
{
	json_t *list = c->json ? json_array() : NULL;
	struct conf_report report;
	size_t i;

	(void)argc;
	(void)argv;
	if (!load_all(c, "plugin list", &report))
		return 1;
	for (i = 0; i < c->plugins.n; i++)
		list_one(c->plugins.item[i], list, &c->config->arena);
	if (list)
		cli_print_json(list);
	return end_report(&report);
}

/* ---------------------------------------------------------------- inspect */

static json_t *
setting_json(const struct inspect_setting *s)
{
	json_t *j = json_pack("{s:s, s:s, s:b, s:s?, s:s?, s:s?}",
		"name", s->name, "type", s->type, "required", s->required,
		"default", s->fallback, "choices", s->choices,
		"help", s->help);

	if (s->least || s->most) {
		json_object_set_new(j, "least", json_integer(s->least));
		json_object_set_new(j, "most", json_integer(s->most));
	}
	return j;
}

static int
inspect_json(const struct inspect *i, const char *path, struct arena *a)
{
	json_t *settings = json_array();
	size_t k;

	for (k = 0; k < i->n_setting; k++)
		json_array_append_new(settings,
			setting_json(&i->setting[k]));
	return cli_print_json(json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:I, "
		"s:I, s:{s:I, s:I, s:I}, s:s, s:s, s:s, s:s, s:s, s:o}",
		"file", path, "entry", i->entry, "name", i->name,
		"version", i->version, "summary", i->summary,
		"abi", (json_int_t)i->abi, "size", (json_int_t)i->size,
		"memory", "config", (json_int_t)i->config_size,
		"session", (json_int_t)i->session_size,
		"message", (json_int_t)i->message_size,
		"roles", i->roles, "hooks", i->hooks,
		"needs", inspect_needs(i->needs, a),
		"may", inspect_may(i->may, a),
		"wants", inspect_wants(i->wants, a), "settings", settings));
}

static void
print_setting(const struct inspect_setting *s)
{
	printf("  %s", s->name);
	if (s->fallback)
		printf(" = %s", s->fallback);
	printf("  (%s", s->type);
	if (s->choices)
		printf(" of %s", s->choices);
	if (s->least || s->most)
		printf(", %lld to %lld", (long long)s->least,
			(long long)s->most);
	printf("%s)\n", s->required ? ", required" : "");
	if (s->help)
		printf("      %s\n", s->help);
}

static void
print_words(const char *name, const char *words)
{
	if (*words)
		printf("%-9s %s\n", name, words);
}

static void
inspect_print(const struct inspect *i, const char *path, struct arena *a)
{
	size_t k;

	if (i->kind == INSPECT_MFAPI) {
		printf("a filter written for libmilter\nfile      %s\n"
			"entry     %s\n", path, i->entry);
		return;
	}
	printf("%s %s%s%s\nfile      %s\n", i->name, i->version,
		i->summary ? " - " : "", i->summary ? i->summary : "", path);
	printf("abi       %u, descriptor of %u bytes\n", i->abi, i->size);
	printf("memory    %llu bytes config, %llu a session, %llu a "
		"message\n", (unsigned long long)i->config_size,
		(unsigned long long)i->session_size,
		(unsigned long long)i->message_size);
	print_words("roles", i->roles);
	print_words("hooks", i->hooks);
	print_words("needs", inspect_needs(i->needs, a));
	print_words("may", inspect_may(i->may, a));
	print_words("wants", inspect_wants(i->wants, a));
	if (i->n_setting)
		puts("settings");
	for (k = 0; k < i->n_setting; k++)
		print_setting(&i->setting[k]);
}

/* A path as it is; a bare name is one of plugin_dir. */
static const char *
module_path(struct cli *c, const char *name, struct arena *a)
{
	if (str_has_byte(str_from(name), '/') ||
		str_ends(str_from(name), ".so"))
		return name;
	if (cli_need_config(c))
		return NULL;
	return arena_printf(a, "%s/%s.so", c->config->server.plugin_dir,
		name);
}

static int
plugin_inspect(struct cli *c, int argc, char **argv)
{
	struct inspect found;
	struct err e = {0};
	struct arena a;
	const char *path;
	struct str file;
	int code = 1;

	(void)argc;
	arena_init(&a);
	path = module_path(c, argv[0], &a);
	if (!path)
		goto out;
	if (file_read(path, INSPECT_MODULE_MOST, &a, &file, &e) < 0 ||
		inspect_module(&found, path, file, &a, &e) < 0) {
		cli_fail("plugin inspect", &e);
		goto out;
	}
	code = 0;
	if (c->json)
		code = inspect_json(&found, path, &a);
	else
		inspect_print(&found, path, &a);
out:
	arena_free(&a);
	return code;
}

/* ------------------------------------------------------------------ chain */

static json_t *
chain_json(const struct chain *chain, struct arena *a)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < chain->n; i++) {
		const struct mr_filter *f = chain->item[i]->desc->filter;

		json_array_append_new(list, json_pack(
			"{s:s, s:s, s:s, s:s, s:s}",
			"section", chain->item[i]->section,
			"version", chain->item[i]->desc->version,
			"needs", inspect_needs(f->needs, a),
			"may", inspect_may(f->may, a),
			"wants", inspect_wants(f->wants, a)));
	}
	return list;
}

static void
chain_print(const struct chain *chain, struct arena *a)
{
	size_t i;

	printf("%s%s\n", chain->name, chain->n ? "" : "  (no filters)");
	for (i = 0; i < chain->n; i++) {
		const struct mr_filter *f = chain->item[i]->desc->filter;
		const char *needs = inspect_needs(f->needs, a);
		const char *may = inspect_may(f->may, a);

		printf("  %zu  %-20s reads: %s; may change: %s\n", i + 1,
			chain->item[i]->section,
			*needs ? needs : "the envelope",
			*may ? may : "nothing");
	}
}

static int
plugin_chain(struct cli *c, int argc, char **argv)
{
	json_t *all = c->json ? json_object() : NULL;
	struct chain chain[CHAINS];
	struct conf_report report;
	int d;

	(void)argc;
	(void)argv;
	if (!load_all(c, "plugin chain", &report))
		return 1;
	chains_make(c->config, &c->plugins, chain, &report);
	for (d = 0; d < CHAINS; d++)
		if (all)
			json_object_set_new(all, chain[d].name,
				chain_json(&chain[d], &c->config->arena));
		else
			chain_print(&chain[d], &c->config->arena);
	if (all)
		cli_print_json(all);
	return end_report(&report);
}

const struct cli_verb cli_plugin_verbs[] = {
	{"plugin", "list", 0, 0, plugin_list, "",
		"plugins and milters of the configuration"},
	{"plugin", "inspect", 1, 1, plugin_inspect, "FILE.so|NAME",
		"what a module says of itself; runs none of it"},
	{"plugin", "chain", 0, 0, plugin_chain, "",
		"the filters of each direction, in order"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
