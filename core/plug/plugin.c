/*
 * plugin.c - the plugins of this process, from their sections. Start-up
 * thread only; afterwards everything here is read-only. What concerns one
 * module alone is in plugin_module.c.
 */
#include "plug/plugin.h"

#include "plug/mfapi.h"

void
plugins_init(struct plugins *p)
{
	*p = (struct plugins){.n = 0};
	arena_init(&p->arena);
}

static void
keep(struct plugins *p, struct plugin *one)
{
	p->item = mem_grow(p->item, (p->n + 1) * sizeof *p->item);
	p->item[p->n++] = one;
}

bool
plugins_add(struct plugins *p, const char *name, const char *plugin_dir,
	const struct mr_plugin *builtin, const struct conf *c,
	const struct conf_node *section, struct conf_report *report)
{
	struct plugin *one = arena_alloc(&p->arena, sizeof *one);
	struct err e = {0};
	void *handle = NULL;

	if (conf_type_of(section) != CONF_TABLE) {
		conf_error(c, section, true, report, "must be a section");
		return false;
	}
	one->name = name;
	one->section = arena_printf(&p->arena, "%s.%s",
		builtin ? "milter" : "plugin", name);
	one->desc = builtin;
	one->module = "(built in)";
	one->watched = !builtin;
	if (!builtin) {
		one->module = plugin_path(&p->arena, name, plugin_dir, c, section);
		one->desc = plugin_load(one->module, &handle, &e);
		if (!one->desc && handle && mfapi_is(handle))
			one->desc = &mfapi_plugin;
	}
	if (!one->desc) {
		conf_error(c, section, true, report, "[%s]: %s", one->section,
			e.text);
		return false;
	}
	if (!plugin_settings(one, c, section, &p->arena, report))
		return false;
	if (one->desc == &mfapi_plugin)
		mfapi_bind(one->config, handle, name, &p->arena);
	keep(p, one);
	return true;
}

/* ------------------------------------------------------------------ life */

int
plugins_open(struct plugins *p, const char *role, const char *data,
	const char *hostname, struct err *e)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (plugin_open(p->item[i], role, data, hostname, e) < 0) {
			plugins_close(p);
			return -1;
		}
	return 0;
}

void
plugins_close(struct plugins *p)
{
	size_t i = p->n;

	while (i--) {
		struct plugin *one = p->item[i];

		if (one->opened && PLUG_ROLE(one->desc, close))
			one->desc->close(one->config);
		one->opened = false;
	}
}

struct plugin *
plugins_find(const struct plugins *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (!strcmp(p->item[i]->name, name))
			return p->item[i];
	return NULL;
}

struct plugin *
plugins_store(const struct plugins *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (PLUG_ROLE(p->item[i]->desc, store))
			return p->item[i];
	return NULL;
}
