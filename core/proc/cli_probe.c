/*
 * cli_probe.c - mailroom milter probe: asks what listens at an address what
 * it wants, in names; or says what it is instead of a milter, and the fix.
 *
 * Sends an option frame and a quit frame, which end each filter's session in
 * order, and nothing else: a stranger's service is recognised by what it
 * answers to these. Run by root it becomes the server's user first, so that
 * it may reach what the server may reach.
 */
#include "proc/cli.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "plug/milter_link.h"
#include "proc/priv.h"

#define PROBE_WAIT 5000		/* ms for the answer */
#define PROBE_LAST 1000		/* ms more after we said that no more comes */

struct probe {
	const char *address;
	struct stream stream;
	struct buf in;
	struct milter_options options;
	char found[160];	/* what it is instead of a milter */
	const char *fix;
};

/* ------------------------------------------------------- what bits mean */

struct bit {
	uint32_t bit;
	const char *name;
};

static const struct bit actions[] = {
	{0x1, "add-header"}, {0x2, "replace-body"}, {0x4, "add-recipient"},
	{0x8, "delete-recipient"}, {0x10, "change-header"},
	{0x20, "quarantine"}, {0x40, "change-sender"},
	{0x80, "add-recipient-with-arguments"}, {0x100, "choose-macros"},
	{0, NULL},
};

/* The bit says that the step is left out. */
static const struct bit left_out[] = {
	{MILTER_NO_CONNECT, "connect"}, {MILTER_NO_HELO, "helo"},
	{MILTER_NO_MAIL, "mail"}, {MILTER_NO_RCPT, "rcpt"},
	{MILTER_NO_DATA, "data"}, {MILTER_NO_HEADERS, "header"},
	{MILTER_NO_EOH, "end-of-headers"}, {MILTER_NO_BODY, "body"},
	{MILTER_NO_UNKNOWN, "unknown"}, {0, NULL},
};

static const struct bit unanswered[] = {
	{MILTER_NR_CONNECT, "connect"}, {MILTER_NR_HELO, "helo"},
	{MILTER_NR_MAIL, "mail"}, {MILTER_NR_RCPT, "rcpt"},
	{MILTER_NR_DATA, "data"}, {MILTER_NR_HEADER, "header"},
	{MILTER_NR_EOH, "end-of-headers"}, {MILTER_NR_BODY, "body"},
	{MILTER_NR_UNKNOWN, "unknown"}, {0, NULL},
};

static const struct bit manners[] = {
	{MILTER_MAY_SKIP, "skips-rest-of-body"},
	{MILTER_WANT_REFUSED, "sees-refused-recipients"},
	{MILTER_LEADING_SPACE, "exact-header-space"}, {0, NULL},
};

static const char *const stages[MILTER_STAGES] = {"connect", "helo", "mail",
	"rcpt", "data", "end-of-message", "end-of-headers"};

static json_t *
names_of(const struct bit *table, uint32_t bits)
{
	json_t *list = json_array();

	for (; table->name; table++)
		if (bits & table->bit)
			json_array_append_new(list,
				json_string(table->name));
	return list;
}

static json_t *
macros_of(const struct milter_options *o)
{
	json_t *all = json_object();
	struct str names, one;
	size_t i;

	for (i = 0; i < MILTER_STAGES; i++) {
		json_t *list;

		if (!o->symbols[i].at)
			continue;
		list = json_array();
		names = o->symbols[i];
		while (names.len) {	/* separated by blanks and commas */
			size_t n = str_find(names, ' ');
			size_t comma = str_find(names, ',');

			if (comma < n)
				n = comma;
			one = str_sub(names, 0, n);
			names = str_sub(names, n + 1, names.len);
			if (one.len)
				json_array_append_new(list,
					json_stringn_nocheck(one.at,
						one.len));
		}
		json_object_set_new(all, stages[i], list);
	}
	return all;
}

/* -------------------------------------------------- what it is instead */

static const struct {
	const char *start, *what, *fix;
} strangers[] = {
	{"UNKNOWN COMMAND", "clamd", "give the socket of clamav-milter "
		"(MilterSocket in clamav-milter.conf), not that of clamd"},
	{"HTTP/", "an HTTP server", "give the milter's port; rspamd's is that "
		"of its proxy worker (11332), not 11333 or 11334"},
	{"<", "an HTTP server", "give the milter's port; rspamd's is that "
		"of its proxy worker (11332), not 11333 or 11334"},
	{"\x15\x03", "a service that speaks TLS", "milters speak in the clear; "
		"give the port behind the tunnel, or a unix socket"},
	{"SPAMD/", "spamd", "give the socket of spamass-milter (its -p), not "
		"the port of spamd"},
	{"SSH-", "an SSH server", "give the milter's own port"},
	{"* OK", "an IMAP server", "give the milter's own port"},
	{"+OK", "a POP3 server", "give the milter's own port"},
	{"VERSION\t", "Dovecot's authentication service", "give the milter's "
		"own socket"},
};

static bool
is_smtp(struct str said)
{
	uint64_t code;

	return said.len > 3 && (said.at[3] == ' ' || said.at[3] == '-') &&
		str_u64(str_sub(said, 0, 3), 599, &code) && code >= 200;
}

static void
recognise(struct probe *p, struct str said)
{
	size_t i;

	for (i = 0; i < sizeof strangers / sizeof *strangers; i++)
		if (str_starts(said, strangers[i].start)) {
			snprintf(p->found, sizeof p->found, "%s",
				strangers[i].what);
			p->fix = strangers[i].fix;
			return;
		}
	p->fix = "give the address that the filter's own configuration names";
	if (is_smtp(said)) {
		snprintf(p->found, sizeof p->found, "an SMTP server");
		p->fix = "give the milter's own port, not that of a mail "
			"server or of a filter that works as a proxy";
		return;
	}
	said = str_sub(said, 0, 40);
	snprintf(p->found, sizeof p->found, "a service that says \"");
	for (i = 0; i < said.len; i++) {
		size_t n = strlen(p->found);
		bool plain = said.at[i] >= ' ' && said.at[i] <= '~';

		snprintf(p->found + n, sizeof p->found - n, "%c",
			plain ? said.at[i] : '?');
	}
	i = strlen(p->found);
	snprintf(p->found + i, sizeof p->found - i, "\"");
}

/* Why the connection was not made, and what helps. */
static const char *
fix_for(int error, bool is_unix)
{
	switch (error) {
	case ENOENT:
		return "no such socket: is the filter running, and does its "
			"configuration name this path? Some run in a chroot, "
			"below another folder";
	case EACCES:
	case EPERM:
		return "permission denied: the server's user needs to enter "
			"each folder and to write the socket; put it into "
			"the filter's group, or set the filter's UMask "
			"(opendkim, opendmarc), MilterSocketMode "
			"(clamav-milter) or mode= (rspamd)";
	case ECONNREFUSED:
		return is_unix ? "a socket file that nobody listens on any "
			"more: start the filter" :
			"nothing listens there: start the filter, or give "
			"the port of its configuration";
	case ENOTSOCK:
		return "that is no socket";
	default:
		return "check the address, and that the filter is running";
	}
}

/* --------------------------------------------------------------- asking */

static void
say_goodbye(struct probe *p)
{
	milter_send(&p->stream, 'Q', STR(""), STR(""), STR(""));
	stream_flush(&p->stream);
	shutdown(p->stream.fd, SHUT_WR);
}

/* No frame begins so: reads a line's worth of it. A service that waits for
 * its client's line sees its end first, and then may say what it is. */
static void
hear_stranger(struct probe *p)
{
	struct str part;

	stream_limit(&p->stream, PROBE_LAST, 0);
	while (p->in.len < 64 && !str_has_byte(buf_str(&p->in), '\n')) {
		part = stream_peek(&p->stream);
		if (!part.len)
			break;
		buf_addstr(&p->in, str_sub(part, 0, 64));
		stream_consume(&p->stream, part.len);
	}
}

static bool
is_readable(struct probe *p, int64_t ms)
{
	struct pollfd fd = {p->stream.fd, POLLIN, 0};

	return poll(&fd, 1, (int)ms) > 0;
}

/* 0, or -1 with found and fix. */
static int
ask(struct probe *p)
{
	static const unsigned char offer[12] = {0, 0, 0, MILTER_VERSION, 0, 0,
		MILTER_ACTIONS >> 8, MILTER_ACTIONS & 0xff, 0,
		MILTER_STEPS >> 16 & 0xff, MILTER_STEPS >> 8 & 0xff,
		MILTER_STEPS & 0xff};
	struct err e = {0};
	struct str first;
	int command;

	milter_send(&p->stream, 'O', str_of(offer, sizeof offer), STR(""),
		STR(""));
	stream_flush(&p->stream);
	if (!is_readable(p, PROBE_WAIT))
		say_goodbye(p);
	stream_limit(&p->stream, PROBE_LAST, 0);
	first = stream_peek(&p->stream);
	if (!first.len) {
		snprintf(p->found, sizeof p->found,
			"a service that gives no answer");
		p->fix = "a filter that is stuck (restart it, look at its "
			"log), or a service that waits for its client, such as "
			"TLS or HTTP: give the milter's own address";
		return -1;
	}
	if (*first.at != '\0') {	/* a frame of 16 MiB: none */
		hear_stranger(p);
		recognise(p, buf_str(&p->in));
		return -1;
	}
	command = milter_receive(&p->stream, &p->in, &e);
	if (command == 'O' && milter_parse_options(buf_str(&p->in),
		&p->options, &e) == 0) {
		say_goodbye(p);
		return 0;
	}
	if (command >= 0 && command != 'O')
		err_set(&e, ERR_PROTOCOL, "answers 0x%02x", (unsigned)command);
	snprintf(p->found, sizeof p->found, "no milter of ours: %.120s",
		e.text);
	p->fix = "the filter must answer the options of milter version 6; "
		"look at its log";
	return -1;
}

/* -------------------------------------------------------------- telling */

static json_t *
report(const struct probe *p)
{
	const struct milter_options *o = &p->options;

	return json_pack("{s:s, s:b, s:i, s:o, s:o, s:o, s:o, s:o}",
		"address", p->address, "milter", 1, "version",
		(int)o->version, "steps", names_of(left_out, ~o->steps),
		"no_reply", names_of(unanswered, o->steps), "manners",
		names_of(manners, o->steps), "actions",
		names_of(actions, o->actions), "macros", macros_of(o));
}

static void
print_list(const char *title, const json_t *list)
{
	const json_t *name;
	size_t i;

	printf("%-13s", title);
	json_array_foreach(list, i, name)
		printf(" %s", json_string_value(name));
	puts(json_array_size(list) ? "" : " none");
}

static void
print_report(json_t *j)
{
	const char *stage;
	json_t *list;

	printf("%s: a milter, version %d\n",
		json_string_value(json_object_get(j, "address")),
		(int)json_integer_value(json_object_get(j, "version")));
	print_list("steps:", json_object_get(j, "steps"));
	print_list("no answer to:", json_object_get(j, "no_reply"));
	print_list("manners:", json_object_get(j, "manners"));
	print_list("actions:", json_object_get(j, "actions"));
	if (!json_object_size(json_object_get(j, "macros")))
		puts("macros:       the usual ones");
	json_object_foreach(json_object_get(j, "macros"), stage, list) {
		char title[40];

		snprintf(title, sizeof title, "macros at %s:", stage);
		print_list(title, list);
	}
	json_decref(j);
}

static int
say_trouble(struct cli *c, const struct probe *p, const char *what)
{
	if (c->json)
		cli_print_json(json_pack("{s:s, s:b, s:s, s:s}", "address",
			p->address, "milter", 0, "found", what, "fix",
			p->fix));
	else
		fprintf(stderr, "mailroom: %s: %s\nfix: %s\n", p->address,
			what, p->fix);
	return 1;
}

/* What root can reach says nothing about the server. */
static int
become_server(struct cli *c)
{
	struct err e = {0};

	if (geteuid() != 0 || access(c->config_file, R_OK) != 0)
		return 0;
	if (cli_need_config(c))
		return 1;
	return priv_drop(c->config->server.user, &e) < 0 ?
		cli_fail("cannot go on", &e) : 0;
}

static int
milter_probe(struct cli *c, int argc, char **argv)
{
	struct probe p = {.address = argv[0]};
	struct err e = {0};
	int fd, code;

	(void)argc;
	if (milter_link_check(p.address, &e) < 0)
		return cli_usage(c, e.text);
	if (become_server(c))
		return 1;
	fd = milter_link_dial(p.address, PROBE_WAIT, &e);
	if (fd < 0) {
		p.fix = fix_for(e.sys, strchr(p.address, '/'));
		return say_trouble(c, &p, e.text);
	}
	stream_init(&p.stream, fd);
	stream_limit(&p.stream, PROBE_WAIT, 0);
	buf_init(&p.in, MILTER_REPLY_MOST);
	if (ask(&p) == 0) {
		json_t *j = report(&p);

		code = 0;
		if (c->json)
			code = cli_print_json(j);
		else
			print_report(j);
	} else {
		code = say_trouble(c, &p, p.found);
	}
	stream_close(&p.stream);
	buf_free(&p.in);
	return code;
}

const struct cli_verb cli_probe_verbs[] = {
	{"milter", "probe", 1, 1, milter_probe, "ADDRESS",
		"ask a milter what it wants, or what is there instead"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
