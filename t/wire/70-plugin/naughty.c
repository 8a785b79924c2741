/*
 * naughty.c - a filter that does what a filter must not do, when the mail's
 * subject asks for it: "crash", "hang", "abort", "strange verdict", "flood".
 * Only for the wire test beside it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <mailroom/plugin.h>

struct config {
	int64_t hang_seconds;
};

static const struct mr_setting settings[] = {
	{"hang_seconds", MR_INT, 0, offsetof(struct config, hang_seconds),
		"30", 1, 600, NULL, "How long a hanging hook sleeps."},
	MR_SETTINGS_END
};

static int
find_subject(struct mr_call *call, struct mr_header *out)
{
	for (size_t i = 0; call->host->header(call, i, out) == 0; i++)
		if (out->name.len == 7 &&
		    strncasecmp(out->name.at, "Subject", 7) == 0)
			return 0;
	return -1;
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	struct mr_header subject;

	if (find_subject(call, &subject))
		return MR_PASS;
	if (strstr(subject.value.at, "crash"))
		raise(SIGSEGV);
	if (strstr(subject.value.at, "abort"))
		abort();
	if (strstr(subject.value.at, "hang"))
		sleep((unsigned)c->hang_seconds);
	if (strstr(subject.value.at, "strange verdict"))
		return (enum mr_verdict)99;
	if (strstr(subject.value.at, "flood"))
		for (int i = 0; i < 10000; i++)
			mr_header_add(call, "X-Flood", "a value to fill memory");
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter,
	.needs = MR_NEEDS_HEADERS,
	.may = MR_MAY_HEADERS,
	.message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "naughty", .version = "1.0",
	.summary = "misbehaves on request (tests only)",
	.settings = settings, .config_size = sizeof(struct config),
	.filter = &filter,
};
