/*
 * plugin_module.c - one module: loading it, filling its settings, opening it.
 * Start-up thread only.
 */
#include <dlfcn.h>

#include "plug/hooks.h"
#include "plug/mfapi.h"
#include "plug/plugin.h"

/* Keys that every section has; those of [milter.NAME] end with listeners. */
struct section_core {
	int64_t mode;
	struct mr_list listeners;
	const char *module;
	struct isolation held;
};

#define HELD(field) offsetof(struct section_core, held.field)

const struct mr_setting plugin_section_settings[] = {
	{"mode", MR_CHOICE, 0, offsetof(struct section_core, mode),
		"\"enforce\"", 0, 0, "enforce|observe", "With observe a "
		"filter is asked and what it says is logged and counted, but "
		"nothing comes of it: no refusal, no edit."},
	{"listeners", MR_LIST, 0, offsetof(struct section_core, listeners),
		"[]", 0, 0, NULL, "A filter is asked only about sessions of "
		"these [listen.NAME]. None: all that its chains are for."},
	{"module", MR_PATH, 0, offsetof(struct section_core, module), "\"\"",
		0, 0, NULL, "The shared object, if it is not NAME.so in "
		"plugin_dir."},
	{"isolate", MR_CHOICE, 0, HELD(isolate), "\"none\"", 0, 0,
		"none|process|sandbox", "Where a filter runs: in the worker; "
		"in a process of its own; in one that has no network and no "
		"files but those that are allowed here."},
	{"on_crash", MR_CHOICE, 0, HELD(on_crash), "\"tempfail\"", 0, 0,
		"tempfail|skip|hold", "What becomes of a message that ended "
		"an isolated filter twice."},
	{"memory", MR_SIZE, 0, HELD(memory), "\"1 GiB\"", 0, INT64_MAX, NULL,
		"Data that the process of an isolated filter may have. "
		"0: no limit."},
	{"cpu", MR_DURATION, 0, HELD(cpu), "0", 0, 3600000, NULL,
		"Processor time that a call of an isolated filter may use. "
		"0: no limit."},
	{"time", MR_DURATION, 0, HELD(time), "0", 0, 3600000, NULL,
		"Time after which a call of an isolated filter is given up "
		"and its process ended. 0: [smtp] filter_timeout."},
	{"recycle", MR_INT, 0, HELD(recycle), "0", 0, 1000000000, NULL,
		"After how many messages its own process is replaced by a "
		"fresh one, between two messages. 0: as the plugin asks, "
		"which is 5000 or never."},
	{"allow_network", MR_BOOL, 0, HELD(allow_network), "false", 0, 0, NULL,
		"A filter in the sandbox may open sockets."},
	{"allow_files", MR_LIST, 0, HELD(allow_files), "[]", 0, 0, NULL,
		"Files and folders that a filter in the sandbox may read; with "
		"rw: before the path it may also change them."},
	MR_SETTINGS_END,
};

#define CORE_ROWS (sizeof plugin_section_settings / \
	sizeof *plugin_section_settings - 1)
#define MILTER_ROWS 2u

/* ----------------------------------------------------------- descriptors */

bool
plugin_is_name(const char *s)
{
	size_t i;

	for (i = 0; s && s[i]; i++)
		if (!(s[i] >= 'a' && s[i] <= 'z') && !is_digit(s[i]) &&
			s[i] != '_' && s[i] != '-')
			return false;
	return s && i > 0 && i < 64;
}

int
plugin_wrong_abi(struct err *e, const char *module, uint32_t abi)
{
	return err_set(e, ERR_CONFIG, "%s is built for plugin ABI %u, "
		"this server has %u: build it against this release's "
		"<mailroom/plugin.h>", module, abi, MR_ABI);
}

int
plugin_wrong_size(struct err *e, const char *module, uint32_t size)
{
	return err_set(e, ERR_CONFIG, "%s: its descriptor says a size of %u "
		"bytes, which no release had", module, size);
}

int
plugin_no_entry(struct err *e, const char *module)
{
	return err_set(e, ERR_CONFIG, "%s is no Mailroom plugin: it does not "
		"export " MR_PLUGIN_SYMBOL " (see the MR_PLUGIN macro) nor, "
		"for filters of libmilter, " MFAPI_TABLE " or " MFAPI_MAIN,
		module);
}

static bool
is_size(uint32_t size, size_t least)
{
	return size >= least && size <= PLUGIN_TABLE_MOST;
}

/* The tables of the roles begin with their size too. */
static int
check_roles(const struct mr_plugin *d, const char *module, struct err *e)
{
	const struct {
		const char *role;
		const void *table;
		size_t least;
	} roles[] = {
		{"filter", PLUG_ROLE(d, filter),
			offsetof(struct mr_filter, connect)},
		{"auth", PLUG_ROLE(d, auth),
			offsetof(struct mr_auth, scram)},
		{"route", PLUG_ROLE(d, route),
			offsetof(struct mr_route, may_send)},
		{"store", PLUG_ROLE(d, store), sizeof(uint32_t)},
		{"transport", PLUG_ROLE(d, transport),
			sizeof(struct mr_transport)},
		{"observer", PLUG_ROLE(d, observer),
			sizeof(struct mr_observer)},
		{"fetcher", PLUG_ROLE(d, fetcher), sizeof(struct mr_fetcher)},
	};
	uint32_t size;
	size_t i;

	for (i = 0; i < sizeof roles / sizeof *roles; i++) {
		if (!roles[i].table)
			continue;
		memcpy(&size, roles[i].table, sizeof size);
		if (!is_size(size, roles[i].least))
			return err_set(e, ERR_CONFIG, "%s: its %s table says a "
				"size of %u bytes, which no release had",
				module, roles[i].role, size);
	}
	return 0;
}

static int
check_descriptor(const struct mr_plugin *d, const char *module, struct err *e)
{
	if (d->abi != MR_ABI)
		return plugin_wrong_abi(e, module, d->abi);
	if (!is_size(d->size, offsetof(struct mr_plugin, open)))
		return plugin_wrong_size(e, module, d->size);
	if (!plugin_is_name(d->name) || !d->version)
		return err_set(e, ERR_CONFIG, "%s: its descriptor has no "
			"valid name or version", module);
	return check_roles(d, module, e);
}

const struct mr_plugin *
plugin_load(const char *module, void **handle, struct err *e)
{
	const struct mr_plugin *d;
	const char *why;

	*handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (!*handle) {
		why = dlerror();
		err_set(e, ERR_CONFIG, "%s", why ? why : "cannot be loaded");
		return NULL;
	}
	d = dlsym(*handle, MR_PLUGIN_SYMBOL);
	if (!d)
		plugin_no_entry(e, module);
	return d && check_descriptor(d, module, e) == 0 ? d : NULL;
}

/* -------------------------------------------------------------- settings */

/* The plugin's rows and our own in one table, so that one pass over the
 * section knows every key. Our values lie before the plugin's. */
static const struct mr_setting *
join_rows(struct arena *a, size_t n_core, const struct mr_setting *theirs,
	size_t shift)
{
	size_t n = 0, i;
	struct mr_setting *all;

	while (theirs && theirs[n].name)
		n++;
	all = arena_alloc(a, (n_core + n + 1) * sizeof *all);
	memcpy(all, plugin_section_settings, n_core * sizeof *all);
	for (i = 0; i < n; i++) {
		all[n_core + i] = theirs[i];
		all[n_core + i].offset += shift;
	}
	return all;
}

/* A wrong type is reported when the section is filled. */
const char *
plugin_path(struct arena *a, const char *name, const char *plugin_dir,
	const struct conf *c, const struct conf_node *section)
{
	const struct conf_node *n = conf_find(section, "module");
	struct section_core core;
	struct str file;

	if (!n || conf_type_of(n) != CONF_STRING)
		return arena_printf(a, "%s/%s.so", plugin_dir, name);
	file = conf_string(n);
	if (!str_has_byte(file, '/'))
		return arena_printf(a, "%s/%.*s", plugin_dir,
			STR_ARGS(file));
	conf_fill_known(c, section, plugin_section_settings, &core, a);
	return core.module;
}

void
plugin_isolation(const struct conf *c, const struct conf_node *section,
	struct arena *a, struct isolation *out)
{
	struct section_core core;

	conf_fill_known(c, section, plugin_section_settings, &core, a);
	*out = core.held;
}

void
plugin_place(struct plugin *one, const struct conf *c,
	const struct conf_node *section, struct arena *a)
{
	struct section_core core;

	conf_fill_known(c, section, plugin_section_settings, &core, a);
	one->observes = core.mode == 1;
	one->listeners = core.listeners;
}

bool
plugin_settings(struct plugin *one, const struct conf *c,
	const struct conf_node *section, struct arena *a,
	struct conf_report *report)
{
	const size_t unit = _Alignof(max_align_t);
	const size_t shift = (sizeof(struct section_core) + unit - 1) / unit *
		unit;
	char *memory = arena_alloc(a, shift + one->desc->config_size);

	one->config = memory + shift;
	return conf_fill(c, section, one->section, join_rows(a,
		strncmp(one->section, "milter.", 7) ? CORE_ROWS : MILTER_ROWS,
		one->desc->settings, shift), memory, false, a, report);
}

/* ------------------------------------------------------------------ life */

int
plugin_open(struct plugin *one, const char *role, const char *data,
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
