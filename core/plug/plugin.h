/*
 * plugin.h - the plugins of this process: loading, settings, life.
 *
 * The only dlopen of the house. One struct plugin is one [plugin.NAME] or
 * [milter.NAME] section; two sections may use the same module. Plugins are
 * opened before the worker says that it is ready, and never unloaded.
 */
#ifndef PLUG_PLUGIN_H
#define PLUG_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include <mailroom/plugin.h>

#include "base/arena.h"
#include "base/conf.h"
#include "base/err.h"
#include "plug/remote.h"

struct plugin {
	const char *name;	/* NAME of the section */
	const char *section;	/* "plugin.NAME", for messages */
	const char *module;	/* path, or "(built in)" */
	const struct mr_plugin *desc;
	void *config;
	bool opened;
	bool is_open_ended;	/* a milter, or a filter of libmilter's: what
				   it does is known when it is talked to */
	bool observes;		/* what it says is noted, and nothing done */
	struct mr_list listeners;	/* it is for these alone; none: all */
	bool watched;		/* by the watchdog; what is built in bounds its
				   own waiting */
	/* As a filter that does not observe: messages it was asked about, and
	 * those of them that it put off or failed; since they were told. */
	_Atomic uint64_t messages, failures;
};

/* The bytes of a module's file as they are to be used. */
struct module_copy {
	const char *path;
	int fd;
};

struct plugins {
	struct arena arena;
	/* Set before the first is added, where `isolate` is to be followed. */
	bool isolates;
	/* Those that run in their own process whatever their section says. */
	const char *const *moved;
	size_t n_moved;
	/* Modules whose file is not to be looked at. */
	const struct module_copy *copies;
	size_t n_copies;
	/* Strangers' senders are rewritten in mail that is sent on. */
	bool rewrites_senders;
	const char *data;	/* the server's folder, from plugins_open on */
	struct plugin **item;
	size_t n;
};

/* Tables of later releases may be longer than ours, but not so long. */
#define PLUGIN_TABLE_MOST 4096u

/* plugin_module.c: one module by itself. */
bool plugin_is_name(const char *s);
/* What is said of modules that are not taken; all return -1. */
int plugin_wrong_abi(struct err *e, const char *module, uint32_t abi);
int plugin_wrong_size(struct err *e, const char *module, uint32_t size);
int plugin_no_entry(struct err *e, const char *module);
/* Loads a module and gives its descriptor, checked (symbol, abi, size, name).
 * NULL with e: one clear line; *handle (of dlopen) is then NULL, or a module
 * that may be a filter of libmilter's (plug/mfapi.h). */
const struct mr_plugin *plugin_load(const char *module, void **handle,
	struct err *e);
/* The module's file by the section's key `module`: a name without a slash is
 * looked for in plugin_dir, a path is taken as conf resolves it. */
const char *plugin_path(struct arena *a, const char *name,
	const char *plugin_dir, const struct conf *c,
	const struct conf_node *section);
/* The section's keys that say when a filter is asked and whether it counts;
 * wrong ones read as defaults. */
void plugin_place(struct plugin *one, const struct conf *c,
	const struct conf_node *section, struct arena *a);
/* Gives one->config, from the section or (NULL) all defaults. false:
 * reported. */
bool plugin_settings(struct plugin *one, const struct conf *c,
	const struct conf_node *section, struct arena *a,
	struct conf_report *report);
/* The section's keys that say how it is held; wrong ones read as defaults,
 * plugin_settings reports them. */
void plugin_isolation(const struct conf *c, const struct conf_node *section,
	struct arena *a, struct isolation *out);
int plugin_open(struct plugin *one, const char *role, const char *data,
	const char *hostname, struct err *e);

/* plugin.c: all of this process. */
void plugins_init(struct plugins *p);
/* Adds one instance and fills its settings from the section. builtin: a
 * descriptor that is linked in (milter), else NULL. false: reported. */
bool plugins_add(struct plugins *p, const char *name, const char *plugin_dir,
	const struct mr_plugin *builtin, const struct conf *c,
	const struct conf_node *section, struct conf_report *report);
/* Calls open of each; on failure closes those opened. */
int plugins_open(struct plugins *p, const char *role, const char *data,
	const char *hostname, struct err *e);
void plugins_close(struct plugins *p);
/* Closes them and forgets them; modules stay loaded. */
void plugins_free(struct plugins *p);
struct plugin *plugins_find(const struct plugins *p, const char *name);
/* Keys of each [plugin.NAME] beside the plugin's own; the first two are also
 * [milter.NAME]'s. */
extern const struct mr_setting plugin_section_settings[];
/* The first that has the role, or NULL. */
struct plugin *plugins_store(const struct plugins *p);

/* Safe reading of tables that may be older than ours: the member, or NULL. */
#define PLUG_ROLE(desc, role) \
	(MR_HAS((desc), role) ? (desc)->role : NULL)
#define PLUG_HOOK(table, hook) \
	((table) && MR_HAS((table), hook) ? (table)->hook : NULL)

#endif
