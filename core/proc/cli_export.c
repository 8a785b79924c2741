/*
 * cli_export.c - mailroom export: an account becomes files that other servers
 * and programs read.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "move/maildir.h"
#include "move/mbox.h"

static int
report(struct cli *c, const struct move *m)
{
	const struct progress *p = &m->progress;
	double seconds = (double)(clock_mono() - p->begun_ms) / 1000;
	char size[32];

	if (c->json)
		return cli_print_json(json_pack("{s:I, s:I, s:I, s:i, s:f}",
			"exported", (json_int_t)p->done, "there_already",
			(json_int_t)p->passed, "bytes", (json_int_t)p->bytes,
			"mailboxes", (int)m->mailboxes, "seconds", seconds));
	cli_size(p->bytes, size);
	printf("%llu messages (%s) of %u mailboxes of %s written to %s in "
		"%.1f s", (unsigned long long)p->done, size, m->mailboxes,
		m->account, m->path, seconds);
	if (p->passed)
		printf("; %llu were there already",
			(unsigned long long)p->passed);
	puts("");
	return 0;
}

static int
export(struct cli *c, int argc, char **argv,
	int (*run)(struct move *m, struct err *e))
{
	struct move m = {.path = argv[1], .store = &c->store};
	struct err e = {0};
	int code;

	if (argc == 3 && strcmp(argv[2], "--quiet"))
		return cli_usage(c, "an unknown option");
	c->makes = argv[1];
	if (cli_need_store(c))
		return 1;
	m.account = cli_address(c, argv[0]);
	progress_begin(&m.progress, argc == 3 || c->json);
	code = run(&m, &e);
	progress_end(&m.progress);
	return code < 0 ? cli_fail("export", &e) : report(c, &m);
}

static int
export_maildir(struct cli *c, int argc, char **argv)
{
	return export(c, argc, argv, maildir_export);
}

static int
export_mbox(struct cli *c, int argc, char **argv)
{
	return export(c, argc, argv, mbox_export);
}

const struct cli_verb cli_export_verbs[] = {
	{"export", "maildir", 2, 3, export_maildir, "ACCOUNT PATH [--quiet]",
		"write an account as a Maildir that Dovecot reads"},
	{"export", "mbox", 2, 3, export_mbox, "ACCOUNT PATH [--quiet]",
		"write an account as mbox files"},
	{.group = NULL},
};
