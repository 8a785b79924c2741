/*
 * cli_milter.c - mailroom milter: hands over to mailroom-milter, which is a
 * program of its own and lies beside this one.
 */
#include "proc/cli.h"

#include <errno.h>
#include <limits.h>

static int
milter_serve(struct cli *c, int argc, char **argv)
{
	const char *args[16] = {"mailroom-milter", "--plugin"};
	char path[PATH_MAX];
	size_t used = 2;
	bool named = false;
	struct err e = {0};
	int i;

	cli_beside(args[0], path, sizeof path);
	for (i = 0; i < argc && used < 12; i++) {
		named |= !strcmp(argv[i], "--name");
		args[used++] = argv[i];
	}
	/* The common options have been taken out already. */
	if (named) {
		args[used++] = "--config";
		args[used++] = c->config_file;
	}
	args[used] = NULL;
	execv(path, (char *const *)args);
	err_sys(&e, "%s", path);
	return cli_fail("cannot start", &e);
}

const struct cli_verb cli_milter_verbs[] = {
	{"milter", "--plugin", 3, 5, milter_serve,
		"FILE.so --listen SOCKET [--name NAME]",
		"serve a filter plugin to another mail server"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
