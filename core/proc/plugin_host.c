/*
 * plugin_host.c - the life of a process that holds one plugin: load, open,
 * confine, serve. It has its worker's user, and with Landlock its worker's
 * limits on writing.
 */
#include "proc/plugin_host.h"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "plug/remote.h"
#include "proc/crash.h"
#include "proc/sandbox.h"

#define EXIT_CONFIG 78

bool
plugin_host_is(int argc, char **argv)
{
	return argc == 3 && !strcmp(argv[1], PLUGIN_HOST_ARG);
}

int
plugin_host_main(int argc, char **argv)
{
	struct remote_host *h;
	struct err e = {0};
	char name[16];

	(void)argc;
	snprintf(name, sizeof name, "mr-%s", argv[2]);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	log_open(2, LOG_INFO, false, "plugin-host");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXCPU, SIG_DFL);
	crash_install("plugin-host", -1);
	mallopt(M_ARENA_MAX, 4);
	if (sandbox_prepare(&e) < 0) {
		log_error("plugin-host.start", LOG_S("error", e.text));
		return EXIT_CONFIG;
	}
	h = remote_host_load(PLUGIN_HOST_FD);
	if (!h || remote_host_open(h) < 0)
		return EXIT_CONFIG;
	if (remote_host_isolation(h)->isolate == ISOLATE_SANDBOX &&
		sandbox_enter(remote_host_isolation(h), &e) < 0) {
		remote_host_ready(h, &e);
		return EXIT_CONFIG;
	}
	remote_host_ready(h, NULL);
	remote_host_run(h);
	/* Its threads may be in a hook still: no exit handlers run. */
	_exit(0);
}
