/* SPDX-License-Identifier: MIT */
/*
 * example - marks every message and refuses those with a certain word.
 *
 * The place to start from: copy it, rename it, build it with
 *	cc -shared -fPIC -Wl,-z,defs example.c -o example.so
 * and name it in config.toml:
 *	[plugin.example]
 *	module = "/path/to/example.so"
 *	word   = "lottery"
 *	[chain]
 *	inbound = ["example"]
 */
#include <mailroom/plugin.h>

#include <string.h>
#include <strings.h>

/* Settings: the server reads, checks and documents them from this table and
 * writes the values here before any hook is called. */
struct config {
	const char *word;
};

static const struct mr_setting settings[] = {
	{"word", MR_TEXT, 0, offsetof(struct config, word), "\"\"", 0, 0, NULL,
		"Mail with this word in its subject is refused."},
	MR_SETTINGS_END,
};

static int
subject_has(struct mr_call *call, const char *word)
{
	struct mr_header h;
	size_t i;

	for (i = 0; call->host->header(call, i, &h) == 0; i++)
		if (!strcasecmp(h.name.at, "Subject") &&
			strstr(h.value.at, word))
			return 1;
	return 0;
}

/* Called when the whole message is there, before it is acknowledged. */
static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;

	if (*c->word && subject_has(call, c->word)) {
		mr_say(call, 550, "5.7.1", "That word is not welcome here");
		return MR_REJECT;
	}
	mr_header_add(call, "X-Example", "seen");
	return MR_PASS;
}

/* What this filter reads and changes is said here; hooks that are left out
 * cost nothing. */
static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS,
	.may = MR_MAY_HEADERS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "example", .version = "1.0",
	.summary = "marks mail and refuses a word", .settings = settings,
	.config_size = sizeof(struct config), .filter = &filter,
};
