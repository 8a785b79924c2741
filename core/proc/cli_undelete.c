/*
 * cli_undelete.c - mailroom undelete: what was expunged comes back.
 */
#include "proc/cli.h"

#include <inttypes.h>

#include "base/clock.h"

static int
show(void *arg, const struct mr_removed *r)
{
	json_t *list = arg;
	char when[32], size[32];

	if (list) {
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, "
			"s:I}", "mailbox", r->mailbox, "uid",
			(json_int_t)r->uid, "removed_ms",
			(json_int_t)r->removed_ms, "received_ms",
			(json_int_t)r->received_ms, "bytes",
			(json_int_t)r->length));
		return 0;
	}
	cli_when(r->removed_ms, when);
	cli_size(r->length, size);
	printf("%-30s UID %-8" PRIu32 " %10s  removed %s\n", r->mailbox,
		r->uid, size, when);
	return 0;
}

/* "--mailbox M", "--since 2h", "--list". false: wrong. */
static bool
take_options(int argc, char **argv, struct mr_undelete *u)
{
	int64_t ago;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list"))
			u->each = show;
		else if (i + 1 == argc)
			return false;
		else if (!strcmp(argv[i], "--mailbox"))
			u->mailbox = argv[++i];
		else if (!strcmp(argv[i], "--since") &&
			conf_parse_duration(str_from(argv[++i]), &ago))
			u->since_ms = clock_wall() - ago;
		else
			return false;
	}
	return true;
}

static int
undelete(struct cli *c, int argc, char **argv)
{
	struct mr_undelete u = {.size = sizeof u};
	struct mr_error me = {{0}};
	int code;

	if (!take_options(argc, argv, &u))
		return cli_usage(c, "options are --mailbox NAME, --since "
			"TIME (\"2h\" ago), --list");
	if (cli_need_store(c))
		return 1;
	if (!MR_HAS(c->store.op, undelete) || !c->store.op->undelete) {
		fputs("mailroom: the store plugin keeps nothing that was "
			"removed\n", stderr);
		return 1;
	}
	u.account = cli_address(c, argv[0]);
	u.arg = c->json ? json_array() : NULL;
	code = c->store.op->undelete(c->store.self, &u, &me);
	if (code != MR_STORE_OK) {
		json_decref(u.arg);
		return cli_fail_store("undelete", code, &me);
	}
	if (u.each)
		return c->json ? cli_print_json(u.arg) : 0;
	json_decref(u.arg);
	if (c->json)
		return cli_print_json(json_pack("{s:I}", "restored",
			(json_int_t)u.restored));
	printf("%" PRIu32 " messages are back\n", u.restored);
	return 0;
}

const struct cli_verb cli_undelete_verbs[] = {
	{"undelete", NULL, 1, 6, undelete,
		"ACCOUNT [--mailbox NAME] [--since TIME] [--list]",
		"put back what was expunged"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
