/*
 * remote.h - a filter plugin in a process of its own.
 *
 * In the chain it looks like any other: a struct mr_plugin whose hooks send
 * frames (remote_wire.h) to a process that is our own binary, started with
 * PLUGIN_HOST_ARG by the process that uses it, and ended with it. The module
 * is loaded there only, unchanged.
 *
 * What happens when that process ends under a hook, or the hook does not come
 * back in its time (then it is killed): the crash is logged with plugin, hook,
 * session and signal; the process is started again, later and later while it
 * keeps dying; and the hooks that were running are asked once more, each in a
 * fresh process in the sandbox that is told first what the session's earlier
 * hooks were told. If that one ends too, `on_crash` says what becomes of the
 * message.
 *
 * A process that has judged as many messages as it may is replaced: new calls
 * go to a new one, and it ends when the last call in it has come back.
 */
#ifndef PLUG_REMOTE_H
#define PLUG_REMOTE_H

#include <stdbool.h>

#include <mailroom/plugin.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum isolate { ISOLATE_NONE, ISOLATE_PROCESS, ISOLATE_SANDBOX };
enum on_crash { ON_CRASH_TEMPFAIL, ON_CRASH_SKIP, ON_CRASH_HOLD };

/* The section's keys that say how a plugin is held. */
struct isolation {
	int64_t isolate, on_crash;
	int64_t memory;		/* bytes of data, 0: no limit */
	int64_t cpu, time;	/* ms a hook, 0: no limit but the chain's */
	int64_t recycle;	/* messages, 0: as the plugin wants */
	bool allow_network;
	struct mr_list allow_files;	/* "/path" to read, "rw:/path" */
};

/* What a process needs to find and fill the plugin. Borrowed for ever. */
struct remote_plan {
	const char *name;
	struct str section;	/* [plugin.NAME] as text */
	const char *file;	/* of the configuration, for relative paths */
	const char *plugin_dir;
	int module_fd;		/* of the module, if not by its path; or -1 */
	struct isolation isolation;
};

struct remote;

/* ---- in the worker. Starts the process and loads the module there; NULL:
 * *why has the lines to show. desc: what stands in the chain, with the remote
 * as its config; opening and closing it opens and closes the plugin. */
struct remote *remote_new(struct arena *a, const struct remote_plan *plan,
	struct buf *why);
const struct mr_plugin *remote_desc(const struct remote *r);
/* As in struct plugin. */
bool remote_is_open_ended(const struct remote *r);

/* Told of "died" and "restart" of the process of any isolated plugin, from any
 * thread; set once before the first remote_new. NULL: nobody. */
void remote_watch(void (*tell)(const char *plugin, const char *what));

/* ---- in the plugin's process, in this order. */
#define PLUGIN_HOST_ARG "--plugin-host"
#define PLUGIN_HOST_FD 3	/* where the worker speaks */
#define PLUGIN_HOST_MODULE_FD 4	/* the module's bytes, when its path is not
				   to be used */

struct remote_host;

/* Waits to be told of the plugin and loads it; the memory limit is set
 * before. NULL: it failed and the worker knows. */
struct remote_host *remote_host_load(int fd);
/* Waits for the order to open the plugin, and does. */
int remote_host_open(struct remote_host *h);
/* How it is to be confined now. */
const struct isolation *remote_host_isolation(const struct remote_host *h);
/* Tells the worker that all is well (e NULL) or what is not. */
void remote_host_ready(struct remote_host *h, const struct err *e);
/* Serves until the worker is gone. */
void remote_host_run(struct remote_host *h);

#endif
