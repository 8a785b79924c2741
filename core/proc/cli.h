/*
 * cli.h - what the verbs of the mailroom command share.
 *
 * Exit status: 0 done, 1 refused (the reason on standard error), 2 wrong
 * usage. Every verb prints for people, or with --json one JSON value.
 */
#ifndef PROC_CLI_H
#define PROC_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "plug/store.h"
#include "proc/config.h"

struct cli {
	const char *config_file;
	bool json;
	struct config *config;
	struct plugins plugins;
	struct store store;
	const struct cli_verb *verb;
	/* Before cli_need_store: */
	bool reads_all;		/* files of other users, too */
	const char *makes;	/* a folder that becomes the server's; or NULL */
};

struct cli_verb {
	const char *group, *verb;	/* "queue", "list"; verb may be NULL */
	int least, most;		/* arguments */
	int (*run)(struct cli *c, int argc, char **argv);
	const char *args, *help;
};
extern const struct cli_verb cli_account_verbs[], cli_queue_verbs[],
	cli_config_verbs[], cli_expire_verbs[], cli_undelete_verbs[],
	cli_server_verbs[], cli_milter_verbs[], cli_plugin_verbs[],
	cli_plugin_new_verbs[], cli_explain_verbs[], cli_probe_verbs[],
	cli_filter_verbs[], cli_dkim_verbs[], cli_dns_verbs[],
	cli_dns_apply_verbs[], cli_record_verbs[], cli_backtest_verbs[],
	cli_plugin_run_verbs[], cli_trace_verbs[], cli_audit_verbs[],
	cli_sendmail_verbs[], cli_tls_verbs[], cli_tls_report_verbs[],
	cli_auth_verbs[], cli_dmarc_verbs[], cli_send_verbs[],
	cli_app_password_verbs[], cli_ban_verbs[], cli_mailbox_verbs[],
	cli_import_verbs[], cli_export_verbs[], cli_backup_verbs[], cli_index_verbs[],
	cli_fsck_verbs[], cli_store_verbs[];	/* end: group NULL */

/* Reads the configuration; prints its errors. 0 or 1. */
int cli_need_config(struct cli *c);
/* Becomes the server's user, loads and opens the plugins that all roles
 * use. 0 or 1. */
int cli_need_store(struct cli *c);
/* The same, where the store keeps small facts and lists them. */
int cli_need_state(struct cli *c);
/* The same, where the store keeps a ledger. */
int cli_need_ledger(struct cli *c);
/* An address or domain as the directory keeps it, once the configuration is
 * read. */
const char *cli_address(struct cli *c, const char *text);
/* Prints "mailroom: WHAT: error"; returns 1. */
int cli_fail(const char *what, const struct err *e);
int cli_fail_store(const char *what, int code, const struct mr_error *me);
/* Usage error; prints the verb's line; returns 2. */
int cli_usage(const struct cli *c, const char *why);
/* Prints and frees. Returns 0. */
int cli_print_json(json_t *j);
/* The path of another program of ours, which lies beside this one. */
void cli_beside(const char *program, char *out, size_t size);
/* "1.2 MB", "3 d 4 h ago": out holds 32 bytes. */
void cli_size(uint64_t bytes, char out[32]);
void cli_when(int64_t wall_ms, char out[32]);

#endif
