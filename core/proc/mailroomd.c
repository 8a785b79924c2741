/*
 * mailroomd.c - main of the server: the master, or, started by it with
 * --role, one of its workers, or, started by a worker, the process of one
 * plugin.
 */
#include <getopt.h>

#include "proc/config.h"
#include "proc/master.h"
#include "proc/plugin_host.h"
#include "proc/worker.h"

static const char usage[] =
	"usage: mailroomd [--config FILE] [--foreground] [--version]\n"
	"  --config FILE   configuration; else $CONFIG_PATH, else\n"
	"                  " CONF_DIR "/config.toml\n"
	"  --foreground    stay in the foreground, log to standard error\n";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"foreground", no_argument, NULL, 'f'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *config = NULL;
	bool foreground = false;
	int c;

	if (argc > 2 && !strcmp(argv[1], "--role"))
		return worker_main(argc, argv);
	if (plugin_host_is(argc, argv))
		return plugin_host_main(argc, argv);
	while ((c = getopt_long(argc, argv, "c:fvh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'f':
			foreground = true;
			break;
		case 'v':
			puts("mailroomd " PACKAGE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "mailroomd: unexpected `%s`\n%s",
			argv[optind], usage);
		return 2;
	}
	return master_run(config_path(config), foreground);
}
