/*
 * milter_settings.c - what a section [milter.NAME] may say, and whether it can
 * be so. Start-up thread only.
 */
#include "plug/milter_link.h"

#include "base/arena.h"
#include "plug/milter_form.h"

static int
refuse(struct mr_open *o, const char *text)
{
	snprintf(o->error, o->error_size, "%s", text);
	return -1;
}

/* One that the server starts has a socket below the data folder. */
static void
choose_socket(struct milter_config *m, const struct mr_open *o)
{
	struct buf b;

	if (*m->socket || !m->exec.n)
		return;
	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "unix:");
	milter_link_own_socket(&b, o->data, o->instance, &m->exec);
	m->socket = mem_cstr(buf_c(&b));
	buf_free(&b);
}

int
milter_open(void *config, struct mr_open *o)
{
	struct milter_config *m = config;
	struct err e = {0};
	size_t i;

	milter_gate_init(&m->gate);
	choose_socket(m, o);
	if (!*m->socket)
		return refuse(o, "needs a socket, or a program to exec");
	for (i = 0; i < m->macros.n; i++)
		if (!strchr(m->macros.item[i], '='))
			return refuse(o, "macros: each is \"NAME=VALUE\"");
	if (milter_link_check(m->socket, &e) < 0)
		return refuse(o, e.text);
	/* Nobody is greeted before the filter answers. */
	if (m->exec.n && !strcmp(o->role, "smtp") &&
		milter_link_await(m, &e) < 0)
		return refuse(o, e.text);
	return 0;
}

#define AT(field) offsetof(struct milter_config, field)
#define TIME(name, field, fallback, help) {name, MR_DURATION, 0, AT(field), \
	fallback, 10, 3600000, NULL, help}
#define NAMES(name, stage) {"macros_" name, MR_LIST, 0, \
	AT(names[MILTER_AT_ ## stage]), "[]", 0, 0, NULL, \
	"Macros that are told beside those of this stage (" name ")."}

const struct mr_setting milter_settings[] = {
	{"socket", MR_TEXT, 0, AT(socket), "\"\"", 0, 0, NULL,
		"Where the filter listens: \"unix:/path\", \"inet:host:port\", "
		"\"inet6:[address]:port\" or \"inet:port@host\"."},
	{"exec", MR_LIST, 0, AT(exec), "[]", 0, 0, NULL,
		"A program and its arguments: the server starts the filter as "
		"its own user, again when it ends, and ends it. {path} in an "
		"argument is the socket's path, made for it when socket is "
		"not set."},
	TIME("start_timeout", start_timeout, "\"60s\"", "Longest wait, at the "
		"start of the server, for the first answer of a filter with "
		"exec."),
	TIME("connect_timeout", connect_timeout, "\"30s\"",
		"Longest wait for a connection."),
	TIME("negotiate_timeout", negotiate_timeout, "\"5s\"",
		"Longest wait for the answer to the first frame."),
	TIME("timeout", command_timeout, "\"30s\"", "Longest wait for the "
		"answer to connect, helo, mail, rcpt and data."),
	TIME("data_timeout", data_timeout, "\"5m\"", "Longest wait for the "
		"answer to a field or a part of the body."),
	TIME("end_timeout", end_timeout, "\"5m\"",
		"Longest wait for the answer to the whole message. Progress "
		"starts each of these anew, ten times at most."),
	{"on_failure", MR_CHOICE, 0, AT(on_failure), "\"tempfail\"", 0, 0,
		MILTER_ON_FAILURE, "What becomes of mail while the "
		"filter cannot be asked."},
	{"connections", MR_INT, 0, AT(connections), "500", 0, 100000, NULL,
		"Most connections to the filter of one process, each for an "
		"SMTP session. 0: no limit."},
	{"connection_wait", MR_DURATION, 0, AT(connection_wait), "\"5s\"", 0,
		3600000, NULL, "Longest wait for one of them to be free; "
		"then on_failure decides."},
	{"breaker_failures", MR_INT, 0, AT(breaker_failures), "5", 0, 100000,
		NULL, "After so many failures in a row the filter is not asked "
		"for breaker_pause; then one session tries. 0: never."},
	TIME("breaker_pause", breaker_pause, "\"10s\"",
		"See breaker_failures."),
	{"macros", MR_LIST, 0, AT(macros), "[]", 0, 0, NULL,
		"Values of macros, each \"NAME=VALUE\", that come before the "
		"server's own: \"{daemon_name}=MSA\"."},
	NAMES("connect", CONNECT), NAMES("helo", HELO), NAMES("mail", MAIL),
	NAMES("rcpt", RCPT), NAMES("data", DATA),
	NAMES("end_of_headers", EOH), NAMES("end", END),
	MR_SETTINGS_END,
};
