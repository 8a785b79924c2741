/*
 * cli_expire.c - mailroom expire: what the server does once a day with
 * mailboxes that have `expire`, now, or told only.
 */
#include "proc/cli.h"

#include "proc/expire.h"

static void
show(void *arg, const char *account, const char *mailbox, uint32_t messages)
{
	json_t *list = arg;

	if (list)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I}",
			"account", account, "mailbox", mailbox, "messages",
			(json_int_t)messages));
	else
		printf("%-40s %-30s %8u messages\n", account, mailbox,
			messages);
}

static int
expire(struct cli *c, int argc, char **argv)
{
	struct expire x = {.store = &c->store, .told = show,
		.dry = argc == 1};
	struct err e = {0};

	if (argc == 1 && strcmp(argv[0], "--dry-run"))
		return cli_usage(c, "the only option is --dry-run");
	if (cli_need_store(c))
		return 1;
	x.rules = &c->config->expire;
	x.arg = c->json ? json_array() : NULL;
	if (!x.rules->n && !c->json)
		puts("No [mailbox.NAME] section has `expire`.");
	if (expire_run(&x, &e) < 0) {
		json_decref(x.arg);
		return cli_fail("expire", &e);
	}
	return c->json ? cli_print_json(x.arg) : 0;
}

const struct cli_verb cli_expire_verbs[] = {
	{"expire", NULL, 0, 1, expire, "[--dry-run]",
		"remove what has been in its mailbox for too long"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
