/*
 * crash.c - the fatal-signal handler. Everything in it is
 * async-signal-safe: write(2) and stack memory only. It runs on its own
 * alternate stack where the thread has one.
 */
#include "proc/crash.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plug/hooks.h"

static const char *crash_role;
static int crash_control = -1;

static size_t
put(char *out, size_t at, size_t room, const char *text)
{
	while (text && *text && at < room) {
		char c = *text++;

		out[at++] = c > ' ' && c < 127 ? c : '?';
	}
	return at;
}

static size_t
put_key(char *out, size_t at, size_t room, const char *key, const char *value)
{
	if (!value || at + 2 >= room)
		return at;
	out[at++] = ' ';
	at = put(out, at, room, key);
	at = put(out, at, room, "=");
	return put(out, at, room, value);
}

static const char *
signal_name(int sig)
{
	switch (sig) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGFPE:
		return "SIGFPE";
	case SIGILL:
		return "SIGILL";
	default:
		return "SIGABRT";
	}
}

static void
tell_master(const char *word, const char *what)
{
	char text[96];
	size_t at = put(text, 0, sizeof text - 1, word);

	text[at++] = ' ';
	at = put(text, at, sizeof text, what);
	if (crash_control >= 0)
		send(crash_control, text, at, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
die(int sig)
{
	const struct breadcrumb *b = hooks_breadcrumb();
	const struct last_words *w = hooks_last_words();
	char line[512];
	size_t at = 0, room = sizeof line - 1;
	ssize_t written;

	at = put(line, at, room, "error");
	line[at++] = ' ';
	at = put(line, at, room, "worker.crash");
	at = put_key(line, at, room, "role", crash_role);
	at = put_key(line, at, room, "signal", signal_name(sig));
	if (b) {
		at = put_key(line, at, room, "plugin", b->plugin);
		at = put_key(line, at, room, "hook", b->hook);
		at = put_key(line, at, room, "session", b->session);
		/* It counts the crashes of each plugin, and names the message
		 * to the next runner. */
		tell_master("crash", b->plugin);
		if (b->hook && !strcmp(b->hook, "deliver") && b->session)
			tell_master("suspect", b->session);
	}
	line[at++] = '\n';
	written = write(2, line, at);
	if (w)
		written = write(w->fd, w->text, strlen(w->text));
	(void)written;
	/* SA_RESETHAND is set: the second time is the last. */
	raise(sig);
}

void
crash_install(const char *role, int control)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	struct sigaction sa = {.sa_handler = die,
		.sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
	size_t i;

	crash_role = role;
	crash_control = control;
	for (i = 0; i < sizeof fatal / sizeof *fatal; i++)
		sigaction(fatal[i], &sa, NULL);
}
