/*
 * config.h - the configuration file as the processes use it: which sections
 * exist, which struct each fills, which plugins a role loads.
 *
 * The master reads the file once a generation and hands the bytes to its
 * workers, so that all of them see the same text. Reading the core's own
 * sections runs no plugin code; config_load_plugins does.
 */
#ifndef PROC_CONFIG_H
#define PROC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <mailroom/setting.h>

#include "base/arena.h"
#include "base/conf.h"
#include "base/err.h"
#include "net/dns.h"
#include "plug/hooks.h"
#include "plug/plugin.h"
#include "proc/expire.h"
#include "queue/nexthop.h"
#include "queue/queue.h"
#include "report/outgoing.h"
#include "serve/serve.h"
#include "zone/settings.h"

struct server_settings {	/* top level */
	const char *hostname;
	const char *data;
	const char *user;
	const char *plugin_dir;
	const char *pid_file;
	const char *control_socket;
	const char *drop;	/* folder for programs of this machine */
	bool drop_is_open;	/* to all of its users */
};

struct log_settings {		/* [log] */
	int64_t level, format;
};

struct tls_settings {		/* [tls] */
	const char *certificate, *key;
	const char *client_ca;	/* of clients that log in by certificate */
};

struct workers_settings {	/* [workers] */
	int64_t smtp, mailbox;	/* processes of each kind */
	int64_t threads;	/* of each smtp worker */
	int64_t mailbox_threads;
	int64_t row_cache;	/* bytes */
	int64_t stack;		/* bytes a thread */
	int64_t drain_timeout;
	int64_t restart_first, restart_most;
	int64_t crash_limit, crash_window;
	int64_t probation;
	bool confine;
	struct mr_list writable;
};

struct resolver_settings {	/* [dns] */
	struct mr_list servers;
	int64_t timeout;
	bool cache, dnssec;
	const char *trust_anchors;
};

struct chain_settings {		/* [chain] */
	struct mr_list inbound, submission, local, relay, learn;
};

struct config {
	struct arena arena;
	const char *file;
	struct conf *doc;
	struct server_settings server;
	struct log_settings log;
	struct tls_settings tls;
	struct workers_settings workers;
	struct limits_settings limits;
	struct smtp_settings smtp;
	struct imap_settings imap;
	struct resolver_settings dns;
	struct zone_settings zone;
	struct zone_update_settings dns_update;
	struct queue_settings queue;
	struct chain_settings chain;
	struct report_settings reports;
	struct nexthops routes;		/* [route.NAME] */
	struct expire_rules expire;	/* [mailbox.NAME] */
	struct listener *listener;
	size_t n_listener;
};

enum role { ROLE_MASTER, ROLE_SMTP, ROLE_MAILBOX, ROLE_RUNNER, ROLE_CLI };
const char *role_name(enum role r);

/* Is there a [KIND.NAME]? */
bool config_has_section(const struct config *c, const char *kind,
	const char *name);
/* --config, else $CONFIG_PATH, else the install default. */
const char *config_path(const char *option);
/* The bytes of the file, in the arena. */
int config_read(const char *path, struct arena *a, struct str *text,
	struct err *e);
/* Reads all core sections. Never NULL; look at report->errors. */
struct config *config_parse(struct str text, const char *file,
	struct conf_report *report);
void config_free(struct config *c);

/* [dns] as the resolver takes it. Borrowed of the configuration. */
struct dns_settings config_dns(const struct config *c);

/* Loads (does not open) the plugins and milters that the role uses: those
 * named in a chain for SMTP workers, all others for every role, everything
 * for the command line's checks. */
bool config_load_plugins(const struct config *c, enum role r,
	struct plugins *out, struct conf_report *report);

/* The sections, for config show and the manual page. */
struct config_section {
	const char *name;	/* "", "log", "listen.NAME", ... */
	const struct mr_setting *settings;
	size_t offset;		/* in struct config; SIZE_MAX: named section */
	const char *help;
};
extern const struct config_section config_sections[];

#endif
