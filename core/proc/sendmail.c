/*
 * sendmail.c - `mailroom sendmail`: what programs expect of sendmail(8).
 *
 * The message is left in the drop folder (queue/drop.h), on disk before we
 * return 0, whether the server runs or not. What the server thinks of it comes
 * back as a report to the sender. Any user may run this: the configuration is
 * read where it may be, else the built-in folder is used. Options are those
 * that sendmail, Postfix and Exim have in common; what only tunes the
 * original is taken and means nothing.
 */
#include "proc/sendmail.h"

#include <errno.h>
#include <pwd.h>
#include <sysexits.h>
#include <unistd.h>

#include "mail/addr.h"
#include "mail/esmtp_args.h"
#include "proc/cli.h"

/* -------------------------------------------------------------- addresses */

bool
sendmail_address(struct sendmail *s, const char *text, struct str *out)
{
	struct str all = str_trim(str_from(text));
	struct addr a;

	if (str_starts(all, "<") && str_ends(all, ">"))
		all = str_sub(all, 1, all.len - 2);
	*out = all.len ? arena_str(&s->arena, all) : STR("");
	if (!all.len)
		return true;
	if (!str_has_byte(all, '@'))
		*out = str_from(arena_printf(&s->arena, "%.*s@%s",
			STR_ARGS(all), s->hostname));
	return addr_parse(*out, &a);
}

bool
sendmail_add_rcpt(struct sendmail *s, const char *text)
{
	struct str one;
	struct drop *d = &s->drop;

	if (!sendmail_address(s, text, &one) || !one.len ||
		d->n_rcpt == DROP_RCPT_MOST)
		return false;
	if (d->n_rcpt == s->room) {
		struct str *old = d->rcpt;

		s->room = s->room ? s->room * 2 : 16;
		d->rcpt = arena_alloc(&s->arena, s->room * sizeof *d->rcpt);
		if (d->n_rcpt)
			memcpy(d->rcpt, old, d->n_rcpt * sizeof *old);
	}
	d->rcpt[d->n_rcpt++] = one;
	return true;
}

static const char *
own_login(struct sendmail *s)
{
	const struct passwd *p = getpwuid(getuid());

	return p ? arena_cstr(&s->arena, str_from(p->pw_name)) :
		arena_printf(&s->arena, "uid-%lu", (unsigned long)getuid());
}

/* ---------------------------------------------------------------- options */

enum { TAKES_NOTHING, TAKES_VALUE };

static int
wrong(const char *what, const char *value)
{
	fprintf(stderr, "sendmail: %s%s%s\n", what, *value ? ": " : "", value);
	return EX_USAGE;
}

static int
add_arg(struct sendmail *s, const char *key, const char *value)
{
	struct drop *d = &s->drop;

	d->args = str_from(arena_printf(&s->arena, "%.*s%s%s=%s",
		STR_ARGS(d->args), d->args.len ? " " : "", key, value));
	return 0;
}

/* -N, RFC 3461 4.1 */
static int
set_notify(struct sendmail *s, const char *value)
{
	static const char *const words[] = {"never", "success", "failure",
		"delay"};
	struct str rest = str_from(value), word;
	size_t i;

	while (rest.len) {
		word = str_cut(&rest, ',');
		for (i = 0; i < 4 && !str_iis(word, words[i]); i++)
			;
		if (i == 4)
			return wrong("-N takes never, success, failure, delay",
				value);
	}
	s->drop.notify = str_from(value);
	return 0;
}

static int
set_value(struct sendmail *s, char option, const char *value)
{
	struct str v = str_from(value);
	struct buf b;
	int code = 0;

	switch (option) {
	case 'f':
	case 'r':
		s->sender = value;
		break;
	case 'F':
		s->full_name = value;
		break;
	case 'N':
		return set_notify(s, value);
	case 'R':
		if (!str_iis(v, "full") && !str_iis(v, "hdrs"))
			return wrong("-R takes full or hdrs", value);
		return add_arg(s, "RET", value);
	case 'V':
		buf_init(&b, 400);
		xtext_encode(&b, v);
		code = add_arg(s, "ENVID", buf_c(&b));
		buf_free(&b);
		break;
	case 'o':
		s->dot_is_text |= str_is(v, "i") || str_starts(v, "i=");
		break;
	case 'O':
		s->dot_is_text |= str_iis(v, "IgnoreDots") ||
			str_iis(v, "IgnoreDots=true");
		break;
	}
	return code;
}

/* What to do: 'm' take a message, 's' speak SMTP, 'p' show the queue, 'q'
 * run it, 'i' nothing. */
static int
read_option(struct sendmail *s, char **argv, int argc, int *i, char *mode)
{
	static const char with_value[] = "fFrNRVoOBCXhpLA";
	const char *o = argv[*i] + 1;

	if (*o == 'b') {
		*mode = o[1];
		return strchr("mspi", o[1]) && o[1] ? 0 :
			wrong("this mode is not known here", argv[*i]);
	}
	if (*o == 'q') {
		*mode = 'q';
		return 0;
	}
	if (strchr(with_value, *o) && *o) {
		if (o[1])
			return set_value(s, *o, o + 1);
		if (*i + 1 == argc)
			return wrong("this option needs a value", argv[*i]);
		return set_value(s, *o, argv[++*i]);
	}
	for (; *o; o++)		/* -ti */
		if (*o == 't')
			s->from_header = true;
		else if (*o == 'i')
			s->dot_is_text = true;
		else if (!strchr("GUvnmd", *o))
			return wrong("unknown option", argv[*i]);
	return 0;
}

static int
read_args(struct sendmail *s, int argc, char **argv, char *mode)
{
	bool only_rcpt = false;
	int i, code;

	for (i = 0; i < argc; i++) {
		if (!only_rcpt && !strcmp(argv[i], "--")) {
			only_rcpt = true;
		} else if (!only_rcpt && argv[i][0] == '-' && argv[i][1]) {
			code = read_option(s, argv, argc, &i, mode);
			if (code)
				return code;
		} else if (!sendmail_add_rcpt(s, argv[i])) {
			return wrong("not an address", argv[i]);
		}
	}
	return 0;
}

/* ------------------------------------------------------------------- send */

static int
send_message(struct sendmail *s)
{
	struct buf text;
	struct err e = {0};
	int code;

	if (!s->from_header && !s->drop.n_rcpt)
		return wrong("no recipient", "");
	buf_init(&text, BUF_NO_CAP);
	code = sendmail_read(s, &text);
	if (code == 0 && !s->drop.n_rcpt)
		code = wrong("no recipient in the message", "");
	if (code == 0 && drop_write(s->folder, &s->drop, buf_str(&text), NULL,
		&e) < 0) {
		fprintf(stderr, "sendmail: the mail cannot be kept: %s\n",
			e.text);
		code = e.sys == EACCES ? EX_NOPERM : EX_TEMPFAIL;
	}
	buf_free(&text);
	return code;
}

/* The folder and our name: of the configuration where we may read it. */
static int
find_house(struct cli *c, struct sendmail *s)
{
	char name[256] = "localhost";

	if (access(c->config_file, R_OK) == 0) {
		if (cli_need_config(c))
			return EX_CONFIG;
		s->folder = c->config->server.drop;
		s->hostname = c->config->server.hostname;
		return 0;
	}
	gethostname(name, sizeof name - 1);
	s->hostname = arena_printf(&s->arena, "%s", name);
	s->folder = DROP_DIR;
	return 0;
}

static int
other_program(struct cli *c, const char *verb)
{
	char self[4096];

	cli_beside("mailroom", self, sizeof self);
	execl(self, self, "--config", c->config_file, "queue", verb,
		(char *)NULL);
	perror("sendmail: mailroom");
	return EX_OSERR;
}

static int
run_mode(struct cli *c, struct sendmail *s, char mode)
{
	switch (mode) {
	case 'p':
		return other_program(c, "list");
	case 'q':
		return other_program(c, "flush");
	case 's':
		return sendmail_smtp(s, stdin, stdout);
	case 'i':		/* newaliases: ours need no building */
		return 0;
	default:
		return send_message(s);
	}
}

static int
run(struct cli *c, int argc, char **argv)
{
	struct sendmail s = {.hostname = "localhost"};
	char mode = 'm';
	int code;

	arena_init(&s.arena);
	code = find_house(c, &s);
	if (code == 0)
		code = read_args(&s, argc, argv, &mode);
	if (code == 0 && !sendmail_address(&s, s.sender ? s.sender :
		own_login(&s), &s.drop.sender))
		code = wrong("not an address", s.sender);
	if (code == 0)
		code = run_mode(c, &s, mode);
	arena_free(&s.arena);
	return code;
}

const struct cli_verb cli_sendmail_verbs[] = {
	{"sendmail", NULL, 0, 100000, run, "[-tis] [-f SENDER] [RCPT...]",
		"send a message from standard input, as sendmail(8)"},
	{.group = NULL},
};
