/*
 * cli_import_imap.c - mailroom import imap: the options, and the password,
 * which never stands on the command line.
 */
#include "proc/cli_import.h"

#include <termios.h>

#include "base/file.h"
#include "move/imap_in.h"

#define PASSWORD_MOST 512

struct options {
	struct imap_source from;
	const char *password_file;
	bool again, quiet;
};

static bool
read_options(struct cli *c, int argc, char **argv, struct options *o)
{
	const struct {
		const char *name, **value;
		bool *flag;
	} known[] = {{"--port", &o->from.port, NULL},
		{"--ca", &o->from.ca_file, NULL},
		{"--password-file", &o->password_file, NULL},
		{"--starttls", NULL, &o->from.starttls},
		{"--again", NULL, &o->again}, {"--quiet", NULL, &o->quiet}};
	size_t k, n = sizeof known / sizeof *known;
	int i;

	for (i = 0; i < argc; i++) {
		for (k = 0; k < n && strcmp(argv[i], known[k].name); k++)
			;
		if (k == n || (known[k].value && i + 1 == argc))
			return cli_usage(c, "an unknown option"), false;
		if (known[k].value)
			*known[k].value = argv[++i];
		else
			*known[k].flag = true;
	}
	if (!o->from.port)
		o->from.port = o->from.starttls ? "143" : "993";
	return true;
}

static bool
ask_terminal(const struct imap_source *from, char out[PASSWORD_MOST])
{
	struct termios old, quiet;
	bool good;

	if (tcgetattr(0, &old) < 0) {
		fputs("mailroom: give --password-file\n", stderr);
		return false;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(0, TCSAFLUSH, &quiet);
	fprintf(stderr, "Password of %s at %s: ", from->user, from->host);
	good = fgets(out, PASSWORD_MOST, stdin) != NULL;
	fputs("\n", stderr);
	tcsetattr(0, TCSAFLUSH, &old);
	return good;
}

/* The first line of the file, before privileges are given up. */
static bool
get_password(const struct options *o, char out[PASSWORD_MOST])
{
	struct err e = {0};
	struct arena a;
	struct str text;
	bool good = true;

	if (!o->password_file) {
		good = ask_terminal(&o->from, out);
	} else {
		arena_init(&a);
		good = file_read(o->password_file, 4096, &a, &text, &e) == 0;
		if (good)
			snprintf(out, PASSWORD_MOST, "%.*s", STR_ARGS(text));
		else
			cli_fail("import", &e);
		arena_free(&a);
	}
	out[strcspn(out, "\r\n")] = '\0';
	return good;
}

int
cli_import_imap(struct cli *c, int argc, char **argv)
{
	struct options o = {.from = {.host = argv[0], .user = argv[1]}};
	struct move m = {.store = &c->store};
	char password[PASSWORD_MOST] = "";
	struct err e = {0};
	int code;

	if (!read_options(c, argc - 3, argv + 3, &o))
		return 2;
	if (!get_password(&o, password))
		return 1;
	o.from.password = password;
	c->reads_all = true;
	if (cli_need_store(c))
		return 1;
	m.account = cli_address(c, argv[2]);
	m.temp = c->config->server.data;
	m.again = o.again;
	progress_begin(&m.progress, o.quiet || c->json);
	code = imap_import(&m, &o.from, &e);
	explicit_bzero(password, sizeof password);
	progress_end(&m.progress);
	return code < 0 ? cli_fail("import", &e) : cli_import_report(c, &m);
}
