/*
 * plugin.c - the plugins of this process, from their sections. Start-up
 * thread only; afterwards everything here is read-only. What concerns one
 * module alone is in plugin_module.c.
 */
#include "plug/plugin.h"

#include "base/file.h"
#include "plug/inspect.h"
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

/* Where the module's bytes are to be had from instead of its file, or -1. */
static int
copy_of(const struct plugins *p, const struct plugin *one)
{
	size_t i;

	for (i = 0; i < p->n_copies; i++)
		if (!strcmp(p->copies[i].path, one->module))
			return p->copies[i].fd;
	return -1;
}

/* What is opened for it. */
static const char *
file_of(struct plugins *p, const struct plugin *one)
{
	int fd = copy_of(p, one);

	return fd < 0 ? one->module :
		arena_printf(&p->arena, "/proc/self/fd/%d", fd);
}

/* ------------------------------------------------------------- isolation */

/* The section as text of its own: a plugin's process is shown no other's
 * settings. */
static struct str
section_text(struct plugins *p, const struct plugin *one,
	const struct conf *c, const struct conf_node *section)
{
	bool is_copy = copy_of(p, one) >= 0;
	const struct conf_node *n;
	struct buf b;
	struct str key, text;
	size_t at = 0;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "[plugin.\"%s\"]\n", one->name);
	if (is_copy)
		buf_addf(&b, "module = \"/proc/self/fd/%d\"\n",
			PLUGIN_HOST_MODULE_FD);
	while ((n = conf_next(section, &at, &key)))
		if (conf_type_of(n) != CONF_TABLE && !(is_copy &&
			str_is(key, "module"))) {
			buf_addf(&b, "\"%.*s\" = ", STR_ARGS(key));
			buf_addstr(&b, conf_raw(c, n));
			buf_addc(&b, '\n');
		}
	text = arena_str(&p->arena, buf_str(&b));
	buf_free(&b);
	return text;
}

/* Can the module run elsewhere, which only filters can, and does it ask to?
 * It is looked at without running it. */
static bool
can_move(const char *module, bool *asks)
{
	struct inspect look;
	struct arena scratch;
	struct str file;
	bool can;

	arena_init(&scratch);
	can = file_read(module, INSPECT_MODULE_MOST, &scratch, &file,
		NULL) == 0 && inspect_module(&look, module, file, &scratch,
		NULL) == 0 && !strcmp(look.roles, "filter");
	*asks = can && look.wants & MR_WANT_PROCESS;
	arena_free(&scratch);
	return can;
}

/* Did the master move it out, or does it ask for a process of its own and
 * the admin has not said anything else? */
static bool
is_moved(const struct plugins *p, const char *name, const char *module,
	bool is_said)
{
	bool asks, moved = false;
	size_t i;

	for (i = 0; i < p->n_moved; i++)
		moved |= !strcmp(p->moved[i], name);
	if (is_said && !moved)
		return false;
	return can_move(module, &asks) && (moved || asks);
}

/* Does it run elsewhere? Then the plan for it. */
static struct remote_plan *
plan_isolation(struct plugins *p, const struct plugin *one,
	const char *plugin_dir, const struct conf *c,
	const struct conf_node *section)
{
	const char *name = one->name;
	struct remote_plan *plan;
	struct isolation held;

	if (!p->isolates)
		return NULL;
	plugin_isolation(c, section, &p->arena, &held);
	if (held.isolate == ISOLATE_NONE && is_moved(p, name, file_of(p, one),
		conf_find(section, "isolate") != NULL))
		held.isolate = ISOLATE_PROCESS;
	if (held.isolate == ISOLATE_NONE)
		return NULL;
	plan = arena_alloc(&p->arena, sizeof *plan);
	*plan = (struct remote_plan){.name = name, .isolation = held,
		.module_fd = copy_of(p, one),
		.section = section_text(p, one, c, section),
		.file = arena_cstr(&p->arena, str_from(conf_file(c))),
		.plugin_dir = arena_cstr(&p->arena, str_from(plugin_dir))};
	return plan;
}

static bool
add_remote(struct plugins *p, struct plugin *one,
	const struct remote_plan *plan, const struct conf *c,
	const struct conf_node *section, struct conf_report *report)
{
	struct remote *r;
	struct buf why;

	buf_init(&why, 65536);
	r = remote_new(&p->arena, plan, &why);
	if (r) {
		one->desc = remote_desc(r);
		one->config = r;
		one->is_open_ended = remote_is_open_ended(r);
		one->watched = false;	/* its calls end by themselves */
		keep(p, one);
	} else {
		conf_error(c, section, true, report, "[%s]: %s", one->section,
			buf_c(&why));
	}
	buf_free(&why);
	return r != NULL;
}

bool
plugins_add(struct plugins *p, const char *name, const char *plugin_dir,
	const struct mr_plugin *builtin, const struct conf *c,
	const struct conf_node *section, struct conf_report *report)
{
	struct plugin *one = arena_alloc(&p->arena, sizeof *one);
	const struct remote_plan *plan;
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
	one->is_open_ended = builtin;
	plugin_place(one, c, section, &p->arena);
	if (!builtin) {
		one->module = plugin_path(&p->arena, name, plugin_dir, c,
			section);
		plan = plan_isolation(p, one, plugin_dir, c, section);
		if (plan)
			return add_remote(p, one, plan, c, section, report);
		one->desc = plugin_load(file_of(p, one), &handle, &e);
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
	if (one->desc == &mfapi_plugin) {
		one->is_open_ended = true;
		mfapi_bind(one->config, handle, name, &p->arena);
	}
	keep(p, one);
	return true;
}

/* ------------------------------------------------------------------ life */

int
plugins_open(struct plugins *p, const char *role, const char *data,
	const char *hostname, struct err *e)
{
	size_t i;

	p->data = arena_cstr(&p->arena, str_from(data));
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

void
plugins_free(struct plugins *p)
{
	plugins_close(p);
	free(p->item);
	arena_free(&p->arena);
	*p = (struct plugins){.n = 0};
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
