/*
 * mailroom.c - main of the command line: finds the verb and its options.
 * The verbs live in cli_*.c, one file for each group.
 */
#include "proc/cli.h"

static const struct cli_verb *const groups[] = {cli_server_verbs,
	cli_account_verbs, cli_queue_verbs, cli_config_verbs,
	cli_expire_verbs, cli_undelete_verbs, cli_milter_verbs,
	cli_probe_verbs, cli_plugin_verbs, cli_plugin_new_verbs, cli_plugin_run_verbs, cli_filter_verbs,
	cli_explain_verbs, cli_backtest_verbs, cli_dkim_verbs, cli_record_verbs,
	cli_trace_verbs, cli_audit_verbs, cli_sendmail_verbs,
	cli_tls_verbs, cli_tls_report_verbs, cli_dns_verbs,
	cli_dns_apply_verbs, cli_auth_verbs, cli_dmarc_verbs, cli_send_verbs,
	cli_app_password_verbs, cli_ban_verbs, cli_mailbox_verbs, cli_import_verbs,
	cli_export_verbs, cli_backup_verbs, cli_index_verbs, cli_fsck_verbs,
	cli_store_verbs};
#define N_GROUPS (sizeof groups / sizeof *groups)

static void
print_help(FILE *to)
{
	const struct cli_verb *v;
	size_t i;

	fputs("usage: mailroom [--config FILE] [--json] COMMAND\n\n", to);
	for (i = 0; i < N_GROUPS; i++)
		for (v = groups[i]; v->group; v++) {
			int n = fprintf(to, "  %s%s%s%s%s", v->group,
				v->verb ? " " : "", v->verb ? v->verb : "",
				*v->args ? " " : "", v->args);

			fprintf(to, "%*s%s\n", n < 44 ? 44 - n : 2, "",
				v->help);
		}
	fputs("\nThe configuration is FILE, else $CONFIG_PATH, else "
		CONF_DIR "/config.toml.\n", to);
}

/* The verb that the first one or two words name; *used of them. */
static const struct cli_verb *
find_verb(int argc, char **argv, int *used)
{
	const struct cli_verb *v;
	size_t i;

	for (i = 0; argc && i < N_GROUPS; i++)
		for (v = groups[i]; v->group; v++) {
			if (strcmp(v->group, argv[0]))
				continue;
			*used = v->verb ? 2 : 1;
			if (!v->verb || (argc > 1 && !strcmp(v->verb, argv[1])))
				return v;
		}
	return NULL;
}

/* Takes the common options out of argv, wherever they stand. */
static int
take_options(struct cli *c, int argc, char **argv)
{
	int i, kept = 0;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			c->json = true;
		else if (!strcmp(argv[i], "--config") && i + 1 < argc)
			c->config_file = argv[++i];
		else
			argv[kept++] = argv[i];
	}
	return kept;
}

static int
unknown(int argc, char **argv)
{
	fprintf(stderr, "mailroom: unknown command `%s%s%s`; "
		"`mailroom help` lists them\n", argv[0],
		argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	return 2;
}

/* Other programs call us by names of old: the arguments as if those were
 * verbs. */
static char **
take_name(int *argc, char **argv)
{
	static const char *const names[][3] = {{"sendmail", "sendmail"},
		{"newaliases", "sendmail", "-bi"}, {"mailq", "queue", "list"}};
	const char *slash = strrchr(argv[0], '/');
	const char *own = slash ? slash + 1 : argv[0];
	static char *out[100010];
	size_t i, k;
	int n = 1, from;

	for (i = 0; i < 3 && strcmp(names[i][0], own); i++)
		;
	if (i == 3 || *argc > 100000)
		return argv;
	for (k = 1; k < 3 && names[i][k]; k++)
		out[n++] = (char *)names[i][k];
	for (from = 1; from < *argc; from++)
		out[n++] = argv[from];
	*argc = n;
	return out;
}

int
main(int argc, char **argv)
{
	struct cli c = {.config_file = NULL};
	int used, code;

	argv = take_name(&argc, argv);
	argc = take_options(&c, argc, argv);
	c.config_file = config_path(c.config_file);
	if (argc == 0 || !strcmp(argv[0], "help") ||
		!strcmp(argv[0], "--help")) {
		print_help(argc ? stdout : stderr);
		return argc ? 0 : 2;
	}
	if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "version")) {
		puts("mailroom " PACKAGE_VERSION);
		return 0;
	}
	c.verb = find_verb(argc, argv, &used);
	if (!c.verb)
		return unknown(argc, argv);
	argc -= used;
	argv += used;
	if (argc < c.verb->least || argc > c.verb->most)
		return cli_usage(&c, argc < c.verb->least ?
			"something is missing" : "too many arguments");
	code = c.verb->run(&c, argc, argv);
	plugins_free(&c.plugins);
	config_free(c.config);
	return code;
}
