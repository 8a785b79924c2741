/*
 * cli_plugin_new.c - mailroom plugin new: a folder to start a plugin from.
 * Needs no configuration; overwrites nothing.
 */
#include "proc/cli.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "proc/cli_plugin_rust.h"

static const char settings_text[] =
	"/* SPDX-License-Identifier: MIT */\n"
	"/*\n"
	" * @NAME@ - a filter for Mailroom: marks mail, and refuses a word in\n"
	" * its subject. `make` builds it, `make test` tries it on test.eml.\n"
	" */\n"
	"#include <mailroom/plugin.h>\n"
	"#include <string.h>\n"
	"\n"
	"/* Filled in by the server from the table, before any hook. */\n"
	"struct config {\n"
	"\tconst char *word;\n"
	"};\n"
	"\n"
	"static const struct mr_setting settings[] = {\n"
	"\t{\"word\", MR_TEXT, 0, offsetof(struct config, word),\n"
	"\t\t\"\\\"\\\"\", 0, 0, NULL, \"Mail with this word in its subject is "
	"refused.\"},\n"
	"\tMR_SETTINGS_END,\n"
	"};\n"
	"\n";

static const char c_text[] =
	"static int\n"
	"subject_has(struct mr_call *call, const char *word)\n"
	"{\n"
	"\tstruct mr_header h;\n"
	"\n"
	"\tfor (size_t i = 0; call->host->header(call, i, &h) == 0; i++)\n"
	"\t\tif (!strcmp(h.name.at, \"Subject\") &&\n"
	"\t\t\tstrstr(h.value.at, word))\n"
	"\t\t\treturn 1;\n"
	"\treturn 0;\n"
	"}\n"
	"\n"
	"/* The whole message is there; it is not acknowledged yet. */\n"
	"static enum mr_verdict\n"
	"on_message(struct mr_call *call)\n"
	"{\n"
	"\tconst struct config *c = call->config;\n"
	"\n"
	"\tif (*c->word && subject_has(call, c->word)) {\n"
	"\t\tmr_say(call, 550, \"5.7.1\", \"That word is not welcome\");\n"
	"\t\treturn MR_REJECT;\n"
	"\t}\n"
	"\tmr_header_add(call, \"X-@NAME@\", \"seen\");\n"
	"\treturn MR_PASS;\n"
	"}\n"
	"\n"
	"/* What it reads and changes; hooks left out cost nothing. */\n"
	"static const struct mr_filter filter = {\n"
	"\t.size = sizeof filter, .needs = MR_NEEDS_HEADERS,\n"
	"\t.may = MR_MAY_HEADERS, .message = on_message,\n"
	"};\n"
	"\n"
	"MR_PLUGIN = {\n"
	"\tMR_PLUGIN_HEAD, .name = \"@NAME@\", .version = \"0.1\",\n"
	"\t.summary = \"marks mail and refuses a word\", "
	".settings = settings,\n"
	"\t.config_size = sizeof(struct config), .filter = &filter,\n"
	"};\n";

static const char cxx_text[] =
	"#include <string_view>\n"
	"\n"
	"namespace {\n"
	"\n"
	"bool\n"
	"subject_has(mr_call *call, std::string_view word)\n"
	"{\n"
	"\tmr_header h;\n"
	"\n"
	"\tfor (size_t i = 0; call->host->header(call, i, &h) == 0; i++) {\n"
	"\t\tstd::string_view name(h.name.at, h.name.len);\n"
	"\t\tstd::string_view value(h.value.at, h.value.len);\n"
	"\n"
	"\t\tif (name == \"Subject\" && value.find(word) != value.npos)\n"
	"\t\t\treturn true;\n"
	"\t}\n"
	"\treturn false;\n"
	"}\n"
	"\n"
	"/* The whole message is there; it is not acknowledged yet. No "
	"exception\n * may leave a hook: the server is C. */\n"
	"mr_verdict\n"
	"on_message(mr_call *call) noexcept\n"
	"{\n"
	"\tauto c = static_cast<const config *>(call->config);\n"
	"\n"
	"\tif (*c->word && subject_has(call, c->word)) {\n"
	"\t\tmr_say(call, 550, \"5.7.1\", \"That word is not welcome\");\n"
	"\t\treturn MR_REJECT;\n"
	"\t}\n"
	"\tmr_header_add(call, \"X-@NAME@\", \"seen\");\n"
	"\treturn MR_PASS;\n"
	"}\n"
	"\n"
	"/* What it reads and changes; hooks left out cost nothing. */\n"
	"const mr_filter filter = {\n"
	"\t.size = sizeof filter, .needs = MR_NEEDS_HEADERS,\n"
	"\t.may = MR_MAY_HEADERS, .message = on_message,\n"
	"};\n"
	"\n"
	"}\n"
	"\n"
	"MR_PLUGIN = {\n"
	"\tMR_PLUGIN_HEAD, .name = \"@NAME@\", .version = \"0.1\",\n"
	"\t.summary = \"marks mail and refuses a word\", "
	".settings = settings,\n"
	"\t.config_size = sizeof(config), .filter = &filter,\n"
	"};\n";

static const char make_text[] =
	"# make, make test; then name @NAME@.so in config.toml:\n"
	"#\t[plugin.@NAME@]\n"
	"#\tmodule = \"/where/it/is/@NAME@.so\"\n"
	"#\tword = \"lottery\"\n"
	"#\t[chain]\n"
	"#\tinbound = [\"@NAME@\"]\n"
	"MAILROOM = mailroom\n"
	"CPPFLAGS = -I" INCLUDE_DIR "\n"
	"@FLAGS@ = -O2 -g -Wall -Wextra @STANDARD@\n"
	"\n"
	"@NAME@.so: @NAME@.@SUFFIX@\n"
	"\t$(@COMPILER@) $(CPPFLAGS) $(@FLAGS@) -shared -fPIC -Wl,-z,defs "
	"-o $@ $<\n"
	"\n"
	"test: @NAME@.so\n"
	"\t$(MAILROOM) plugin inspect ./@NAME@.so\n"
	"\t$(MAILROOM) plugin test ./@NAME@.so test.eml\n"
	"\t! $(MAILROOM) plugin test ./@NAME@.so --set 'word = \"hello\"' "
	"test.eml\n"
	"\n"
	"clean:\n"
	"\trm -f @NAME@.so\n"
	"\n"
	".PHONY: test clean\n";

static const char mail_text[] =
	"From: Ann <ann@example.net>\n"
	"To: Bob <bob@example.org>\n"
	"Subject: say hello to @NAME@\n"
	"Date: Mon, 05 Jan 2026 10:00:00 +0000\n"
	"Message-ID: <1@example.net>\n"
	"\n"
	"A message to try the plugin on.\n";

struct language {
	const char *name, *suffix, *compiler, *flags, *standard;
	const char *first, *text, *make;	/* of the source: first, then
						   text */
};

static const struct language languages[] = {
	{"c", "c", "CC", "CFLAGS", "", settings_text, c_text, make_text},
	{"c++", "cc", "CXX", "CXXFLAGS", "-std=c++20 "
		"-Wno-missing-field-initializers ", settings_text, cxx_text,
		make_text},
	{"rust", "rs", "", "", "", "", plugin_rust_text, plugin_rust_make},
};

/* The text with each @WORD@ replaced. */
static void
fill(struct buf *out, const char *text, const char *name,
	const struct language *l)
{
	const struct {
		const char *word, *value;
	} words[] = {{"NAME", name}, {"SUFFIX", l->suffix},
		{"COMPILER", l->compiler}, {"FLAGS", l->flags},
		{"STANDARD", l->standard}};
	struct str rest = str_from(text);
	size_t i;

	while (rest.len) {
		struct str word;

		buf_addstr(out, str_cut(&rest, '@'));
		word = str_sub(rest, 0, str_find(rest, '@'));
		for (i = 0; i < sizeof words / sizeof *words; i++)
			if (str_is(word, words[i].word))
				break;
		if (i < sizeof words / sizeof *words) {
			buf_adds(out, words[i].value);
			rest = str_sub(rest, word.len + 1, rest.len);
		} else if (rest.at && rest.at[-1] == '@') {
			buf_addc(out, '@');
		}
	}
}

static int
write_file(const char *folder, const char *name, const struct buf *text,
	struct err *e)
{
	char path[600];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return file_replace(path, buf_str(text), 0644, e);
}

static int
write_all(const char *name, const struct language *l, struct err *e)
{
	char source[80];
	const struct {
		const char *file, *first, *second;
	} files[] = {{source, l->first, l->text},
		{"Makefile", l->make, ""}, {"test.eml", mail_text, ""}};
	struct buf b;
	size_t i;
	int code = 0;

	snprintf(source, sizeof source, "%s.%s", name, l->suffix);
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < sizeof files / sizeof *files && code == 0; i++) {
		buf_reset(&b);
		fill(&b, files[i].first, name, l);
		fill(&b, files[i].second, name, l);
		code = write_file(name, files[i].file, &b, e);
	}
	buf_free(&b);
	return code;
}

static const struct language *
find_language(int argc, char **argv)
{
	size_t i;

	if (argc == 1)
		return &languages[0];
	if (argc != 3 || strcmp(argv[1], "--lang"))
		return NULL;
	for (i = 0; i < sizeof languages / sizeof *languages; i++)
		if (!strcmp(languages[i].name, argv[2]))
			return &languages[i];
	return NULL;
}

static int
plugin_new(struct cli *c, int argc, char **argv)
{
	const struct language *l = find_language(argc, argv);
	struct err e = {0};

	if (!l)
		return cli_usage(c, "--lang is c, c++ or rust");
	if (!plugin_is_name(argv[0]))
		return cli_usage(c, "a name is of a-z, 0-9, _ and -");
	if (mkdir(argv[0], 0777) < 0)
		err_sys(&e, "%s", argv[0]);
	else
		write_all(argv[0], l, &e);
	if (e.kind)
		return cli_fail("plugin new", &e);
	if (c->json)
		return cli_print_json(json_pack("{s:s, s:s}", "folder",
			argv[0], "language", l->name));
	printf("%s/ is ready: make -C %s test\n", argv[0], argv[0]);
	return 0;
}

const struct cli_verb cli_plugin_new_verbs[] = {
	{"plugin", "new", 1, 3, plugin_new, "NAME [--lang c|c++|rust]",
		"a folder to start a plugin from"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
