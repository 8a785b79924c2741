/* SPDX-License-Identifier: MIT */
/*
 * example - marks every message and refuses those with a certain word.
 * The place to start from: copy it, rename it, build it with
 *	cc -shared -fPIC -Wl,-z,defs example.c -o example.so
 * name it in [plugin.example] of config.toml (module = "/path/example.so",
 * word = "lottery") and put it into a list of [chain].
 */
#include <mailroom/plugin.h>
#include <string.h>
#include <strings.h>

/* Filled in by the server from the table, before any hook is called. */
struct config {
	const char *word;
};
static const struct mr_setting settings[] = {
	{"word", MR_TEXT, 0, offsetof(struct config, word), "\"\"", 0, 0, NULL,
		"Mail with this word in its subject or body is refused."},
	MR_SETTINGS_END,
};

static int
subject_has(struct mr_call *call, const char *word)
{
	struct mr_header h;

	for (size_t i = 0; call->host->header(call, i, &h) == 0; i++)
		if (!strcasecmp(h.name.at, "Subject") &&
			strstr(h.value.at, word))
			return 1;
	return 0;
}

/* Blocks overlap, so that no border hides the word. -1: the disk failed. */
static int
body_has(struct mr_call *call, const char *word)
{
	int64_t n, at = 0, less = (int64_t)strlen(word) - 1;
	char block[4096];

	while ((n = call->host->body_read(call, at, block, 4095)) > 0) {
		block[n] = '\0';
		if (strstr(block, word))
			return 1;
		at += n > less ? n - less : n;
	}
	return (int)n;
}

/* Called when the whole message is there, before it is acknowledged. */
static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	int found = *c->word && subject_has(call, c->word);

	if (*c->word && !found)
		found = body_has(call, c->word);
	if (found < 0)
		return MR_TEMPFAIL;
	if (found) {
		mr_say(call, 550, "5.7.1", "That word is not welcome here");
		return MR_REJECT;
	}
	mr_header_add(call, "X-Example", "seen");
	return MR_PASS;
}

/* What it reads and changes is said here; hooks left out cost nothing. */
static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "example", .version = "1.0",
	.summary = "marks mail and refuses a word", .settings = settings,
	.config_size = sizeof(struct config), .filter = &filter,
};
