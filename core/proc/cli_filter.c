/*
 * cli_filter.c - mailroom filter: what filters that observe would have done.
 *
 * The workers count in the store (plug/hooks.h); here the counters are read.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "plug/hooks.h"

/* Verdicts by the names they are counted under, and what they stand for. */
static const struct {
	const char *name, *help;
} counted[] = {
	{"pass", "let pass"}, {"done", "let pass, and asked no more"},
	{"edited", "with edits"}, {"reject", "refused"},
	{"tempfail", "put off"}, {"hangup", "put off, and hung up"},
	{"discard", "dropped"}, {"quarantine", "held"},
};

static void
take_count(void *arg, struct mr_str value)
{
	uint64_t *n = arg;

	if (!str_u64(str_of(value.at, value.len), INT64_MAX, n))
		*n = 0;
}

static bool
is_filter(const struct cli *c, const char *name)
{
	static const char *const kinds[] = {"plugin", "milter"};
	const struct conf_node *all, *n;
	struct str key;
	size_t i, at;

	for (i = 0; i < 2; i++) {
		all = conf_find(conf_root(c->config->doc), kinds[i]);
		for (at = 0; all && (n = conf_next(all, &at, &key));)
			if (str_is(key, name))
				return true;
	}
	return false;
}

static int
filter_report(struct cli *c, int argc, char **argv)
{
	const struct mr_store *op;
	struct mr_error me = {{0}};
	json_t *all = json_object();
	struct err e = {0};
	char key[255];
	size_t i;

	(void)argc;
	if (cli_need_store(c))
		return 1;
	if (!is_filter(c, argv[0])) {
		err_set(&e, ERR_MISSING, "there is no [plugin.%s] or "
			"[milter.%s]", argv[0], argv[0]);
		return cli_fail("filter report", &e);
	}
	op = c->store.op;
	for (i = 0; i < sizeof counted / sizeof *counted; i++) {
		uint64_t n = 0;

		snprintf(key, sizeof key, "%s %s", argv[0], counted[i].name);
		if (MR_HAS(op, state_get) && op->state_get &&
			op->state_get(c->store.self, HOOKS_OBSERVED, key,
			clock_wall(), take_count, &n, &me) != MR_STORE_OK)
			return cli_fail_store("filter report",
				MR_STORE_FAILED, &me);
		json_object_set_new(all, counted[i].name,
			json_integer((json_int_t)n));
		if (!c->json && n)
			printf("%8llu  %-10s  %s\n", (unsigned long long)n,
				counted[i].name, counted[i].help);
	}
	if (c->json)
		return cli_print_json(all);
	json_decref(all);
	return 0;
}

const struct cli_verb cli_filter_verbs[] = {
	{"filter", "report", 1, 1, filter_report, "NAME",
		"what a filter with mode = \"observe\" would have done"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
