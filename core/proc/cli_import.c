/*
 * cli_import.c - mailroom import: mail of another server or program goes into
 * an account, while this server runs.
 */
#include "proc/cli_import.h"

#include "base/clock.h"
#include "move/mbox.h"

static bool
is_quoting(const char *value)
{
	return !strcmp(value, "mboxrd") || !strcmp(value, "mboxo") ||
		!strcmp(value, "none");
}

/* Takes the options from behind the arguments; false: usage was printed. */
static bool
read_options(struct cli *c, struct move *m, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--again")) {
			m->again = true;
		} else if (!strcmp(argv[i], "--quiet")) {
			m->progress.is_quiet = true;
		} else if (!strcmp(argv[i], "--mailbox") && value) {
			m->mailbox = value;
			i++;
		} else if (!strcmp(argv[i], "--quoting") && value &&
			is_quoting(value)) {
			m->quoting = value;
			i++;
		} else {
			cli_usage(c, "an unknown option");
			return false;
		}
	}
	return true;
}

int
cli_import_report(struct cli *c, const struct move *m)
{
	const struct progress *p = &m->progress;
	double seconds = (double)(clock_mono() - p->begun_ms) / 1000;
	char size[32];

	if (c->json)
		cli_print_json(json_pack("{s:I, s:I, s:I, s:I, s:i, s:f}",
			"imported", (json_int_t)p->done, "there_already",
			(json_int_t)p->passed, "left_out",
			(json_int_t)p->failed, "bytes", (json_int_t)p->bytes,
			"mailboxes", (int)m->mailboxes, "seconds", seconds));
	if (c->json)
		return p->failed ? 1 : 0;
	cli_size(p->bytes, size);
	printf("%llu messages (%s) imported into %u mailboxes of %s in %.1f s",
		(unsigned long long)p->done, size, m->mailboxes, m->account,
		seconds);
	if (p->passed)
		printf("; %llu were there already",
			(unsigned long long)p->passed);
	if (p->failed)
		printf("; %llu could not be read (above)",
			(unsigned long long)p->failed);
	puts("");
	return p->failed ? 1 : 0;
}

static int
import(struct cli *c, int argc, char **argv,
	int (*run)(struct move *m, struct err *e))
{
	struct move m = {.path = argv[0], .store = &c->store};
	struct err e = {0};
	int code;

	if (!read_options(c, &m, argc - 2, argv + 2))
		return 2;
	c->reads_all = true;
	if (cli_need_store(c))
		return 1;
	m.account = cli_address(c, argv[1]);
	m.temp = c->config->server.data;
	progress_begin(&m.progress, m.progress.is_quiet || c->json);
	code = run(&m, &e);
	progress_end(&m.progress);
	return code < 0 ? cli_fail("import", &e) :
		cli_import_report(c, &m);
}

static int
import_maildir(struct cli *c, int argc, char **argv)
{
	return import(c, argc, argv, maildir_import);
}

static int
import_mbox(struct cli *c, int argc, char **argv)
{
	return import(c, argc, argv, mbox_import);
}

const struct cli_verb cli_import_verbs[] = {
	{"import", "maildir", 2, 4, import_maildir,
		"PATH ACCOUNT [--again] [--quiet]",
		"take in a Maildir with its folders, UIDs, flags, dates"},
	{"import", "mbox", 2, 8, import_mbox,
		"PATH ACCOUNT [--mailbox NAME] [--quoting mboxrd|mboxo|none]"
		" [--again] [--quiet]",
		"take in an mbox, or a folder of them"},
	{"import", "imap", 3, 13, cli_import_imap,
		"HOST USER ACCOUNT [--port N] [--starttls] [--ca FILE]"
		" [--password-file FILE] [--again] [--quiet]",
		"take in an account of another IMAP server"},
	{.group = NULL},
};
