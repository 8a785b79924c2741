/*
 * plugin.c - loading modules and filling their settings. Start-up thread
 * only; afterwards everything here is read-only.
 */
#include "plug/plugin.h"

#include <dlfcn.h>

#include "plug/hooks.h"
#include "plug/mfapi.h"

/* A section's own key, read before the plugin is known. */
struct section_core {
	const char *module;
};

static const struct mr_setting core_rows[] = {
	{"module", MR_PATH, 0, offsetof(struct section_core, module), "\"\"",
		0, 0, NULL, "The shared object, if it is not NAME.so in "
		"plugin_dir."},
	MR_SETTINGS_END,
};

/* ----------------------------------------------------------- descriptors */

static bool
is_name(const char *s)
{
	size_t i;

	for (i = 0; s && s[i]; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !is_digit(s[i]) &&
			s[i] != '_' && s[i] != '-')
			return false;
	return s && i > 0 && i < 64;
}

static int
check_descriptor(const struct mr_plugin *d, const char *module, struct err *e)
{
	if (d->abi != MR_ABI)
		return err_set(e, ERR_CONFIG, "%s is built for plugin ABI %u, "
			"this server has %u: build it against this release's "
			"<mailroom/plugin.h>", module, d->abi, MR_ABI);
	if (!MR_HAS(d, message_size))
		return err_set(e, ERR_CONFIG, "%s: its descriptor says a size "
			"of %u bytes, which no release had", module, d->size);
	if (!is_name(d->name) || !d->version)
		return err_set(e, ERR_CONFIG, "%s: its descriptor has no "
			"valid name or version", module);
	return 0;
}

const struct mr_plugin *
plugin_descriptor(const char *module, void **handle_out, struct err *e)
{
	const struct mr_plugin *d;
	const char *why;
	void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);

	if (handle_out)
		*handle_out = handle;
	if (!handle) {
		why = dlerror();
		err_set(e, ERR_CONFIG, "%s", why ? why : "cannot be loaded");
		return NULL;
	}
	d = dlsym(handle, MR_PLUGIN_SYMBOL);
	if (!d && mfapi_is(handle))
		return &mfapi_plugin;
	if (!d)
		err_set(e, ERR_CONFIG, "%s is no Mailroom plugin: it does not "
			"export " MR_PLUGIN_SYMBOL " (see the MR_PLUGIN macro) "
			"nor, for filters of libmilter, " MFAPI_TABLE " or "
			MFAPI_MAIN, module);
	else if (check_descriptor(d, module, e) == 0)
		return d;
	/* Loaded and useless; nothing points into it yet. */
	dlclose(handle);
	return NULL;
}

/* -------------------------------------------------------------- settings */

/* The plugin's rows and our own in one table, so that one pass over the
 * section knows every key. Our values lie before the plugin's. */
static struct mr_setting *
join_rows(struct arena *a, const struct mr_setting *theirs, size_t shift)
{
	size_t n = 0, i;
	struct mr_setting *all;

	while (theirs && theirs[n].name)
		n++;
	all = arena_alloc(a, (n + 2) * sizeof *all);
	all[0] = core_rows[0];
	for (i = 0; i < n; i++) {
		all[i + 1] = theirs[i];
		all[i + 1].offset += shift;
	}
	return all;
}

/* A name without a slash is looked for in plugin_dir; a path is taken as
 * conf resolves it. A wrong type is reported when the section is filled. */
static const char *
module_path(struct plugins *p, const char *name, const char *plugin_dir,
	const struct conf *c, const struct conf_node *section)
{
	const struct conf_node *n = conf_find(section, "module");
	struct section_core core;
	struct str file;

	if (!n || conf_type_of(n) != CONF_STRING)
		return arena_printf(&p->arena, "%s/%s.so", plugin_dir, name);
	file = conf_string(n);
	if (!str_has_byte(file, '/'))
		return arena_printf(&p->arena, "%s/%.*s", plugin_dir,
			STR_ARGS(file));
	conf_fill_known(c, section, core_rows, &core, &p->arena);
	return core.module;
}

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
	const size_t shift = (sizeof(struct section_core) +
		_Alignof(max_align_t) - 1) / _Alignof(max_align_t) *
		_Alignof(max_align_t);
	struct plugin *one = arena_alloc(&p->arena, sizeof *one);
	struct err e = {0};
	void *handle = NULL;
	char *memory;

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
		one->module = module_path(p, name, plugin_dir, c, section);
		one->desc = plugin_descriptor(one->module, &handle,
			&e);
	}
	if (!one->desc) {
		conf_error(c, section, true, report, "[%s]: %s", one->section,
			e.text);
		return false;
	}
	memory = arena_alloc(&p->arena, shift + one->desc->config_size);
	one->config = memory + shift;
	if (!conf_fill(c, section, one->section, builtin ?
		one->desc->settings : join_rows(&p->arena,
		one->desc->settings, shift), builtin ? one->config : memory,
		false, &p->arena, report))
		return false;
	if (one->desc == &mfapi_plugin)
		mfapi_bind(one->config, handle, name, &p->arena);
	keep(p, one);
	return true;
}

/* ------------------------------------------------------------------ life */

static int
open_one(struct plugin *one, const char *role, const char *data,
	const char *hostname, struct err *e)
{
	char why[240] = "";
	struct mr_open o = {.size = sizeof o, .host = &plug_host,
		.instance = one->name, .data = data, .hostname = hostname,
		.role = role, .error = why, .error_size = sizeof why};
	int code = 0;

	if (PLUG_ROLE(one->desc, open)) {
		hooks_leave_breadcrumb(one->name, "open", NULL);
		code = one->desc->open(one->config, &o);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
	}
	if (code)
		return err_set(e, ERR_CONFIG, "[%s]: %s", one->section, *why ?
			why : "the plugin refused to start and did not say why");
	one->opened = true;
	return 0;
}

int
plugins_open(struct plugins *p, const char *role, const char *data,
	const char *hostname, struct err *e)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (open_one(p->item[i], role, data, hostname, e) < 0) {
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
