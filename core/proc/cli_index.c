/*
 * cli_index.c - mailroom index: the search index, how full it is, and filling
 * it anew. The index is derived, so that nothing is lost by forgetting it.
 */
#include "proc/cli.h"

#include <unistd.h>

#include "base/clock.h"
#include "serve/index_fill.h"

static int
need_index(struct cli *c)
{
	int code = cli_need_store(c);

	if (code)
		return code;
	if (index_is_there(&c->store) && c->store.op->index_figures &&
		c->store.op->index_drop)
		return 0;
	fputs("mailroom: the store plugin has no search index\n", stderr);
	return 1;
}

static int
show_status(struct cli *c, int argc, char **argv)
{
	struct mr_index_figures f = {.size = sizeof f};
	struct mr_error me = {{0}};
	char size[32];
	int code = need_index(c);

	(void)argc;
	(void)argv;
	if (code)
		return code;
	code = c->store.op->index_figures(c->store.self, &f, &me);
	if (code)
		return cli_fail_store("index status", code, &me);
	if (c->json)
		return cli_print_json(json_pack("{s:I, s:I, s:I}", "messages",
			(json_int_t)f.messages, "waiting",
			(json_int_t)f.waiting, "bytes", (json_int_t)f.bytes));
	cli_size((uint64_t)f.bytes, size);
	printf("%lld messages in the index, %lld waiting, %s on disk\n",
		(long long)f.messages, (long long)f.waiting, size);
	return 0;
}

static void
show_progress(const struct cli *c, long long done, bool is_end)
{
	bool is_person = isatty(STDERR_FILENO);

	if (is_person && !c->json)
		fprintf(stderr, "\r%lld messages%s", done,
			is_end ? "\n" : " ");
}

/* A server that runs fills too; each does what the other has not done. */
static int
fill_all(struct cli *c, long long *done)
{
	struct index_fill *f = index_fill_new(&c->store);
	struct err e = {0};
	int n;

	while ((n = index_fill_some(f, &e)) > 0) {
		*done += (long long)f->n;
		show_progress(c, *done, false);
	}
	index_fill_free(f);
	show_progress(c, *done, true);
	return n < 0 ? cli_fail("index rebuild", &e) : 0;
}

static int
rebuild(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	int64_t start = clock_mono();
	long long done = 0;
	int code = need_index(c);

	if (code)
		return code;
	code = c->store.op->index_drop(c->store.self,
		argc ? cli_address(c, argv[0]) : NULL, &me);
	if (code)
		return cli_fail_store("index rebuild", code, &me);
	code = fill_all(c, &done);
	if (code)
		return code;
	if (c->json)
		return cli_print_json(json_pack("{s:I, s:I}", "messages",
			(json_int_t)done, "ms",
			(json_int_t)(clock_mono() - start)));
	printf("%lld messages read\n", done);
	return 0;
}

const struct cli_verb cli_index_verbs[] = {
	{"index", "status", 0, 0, show_status, "",
		"how full the search index is"},
	{"index", "rebuild", 0, 1, rebuild, "[ACCOUNT]",
		"forget the search index and fill it again"},
	{.group = NULL},
};
