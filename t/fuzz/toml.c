/*
 * toml.c - the configuration reader and a setting table over it: every value
 * stands in the text, read alone it is a value again, and what is shown of
 * the settings can be read back.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/conf.h"
#include "base/enc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct all {
	bool flag;
	int64_t number, size, duration, choice;
	const char *text, *path;
	struct mr_list list;
};

#define AT(field) offsetof(struct all, field)

static const struct mr_setting table[] = {
	{"a", MR_BOOL, 0, AT(flag), "true", 0, 0, NULL, "h"},
	{"b", MR_INT, 0, AT(number), "8", 1, 64, NULL, "h"},
	{"c", MR_SIZE, 0, AT(size), "\"50 MB\"", 0, 0, NULL, "h"},
	{"d", MR_DURATION, 0, AT(duration), "\"5m\"", 0, 0, NULL, "h"},
	{"e", MR_CHOICE, 0, AT(choice), "\"x\"", 0, 0, "x|y", "h"},
	{"f", MR_TEXT, 0, AT(text), "\"\"", 0, 0, NULL, "h"},
	{"g", MR_PATH, 0, AT(path), NULL, 0, 0, NULL, "h"},
	{"h", MR_LIST, 0, AT(list), "[]", 0, 0, NULL, "h"},
	MR_SETTINGS_END,
};

static bool
is_good(struct str text)
{
	struct conf_report report;
	bool good;

	conf_report_init(&report);
	conf_free(conf_parse(text, "f", &report));
	good = report.errors == 0;
	assert(good == (report.text.len == 0));
	conf_report_free(&report);
	return good;
}

/* Only leaves: tables and arrays hold them. */
static void
try_value(const struct conf *c, const struct conf_node *n)
{
	struct str raw = conf_raw(c, n);
	struct buf line;

	assert(raw.len > 0);
	if (conf_type_of(n) == CONF_STRING)
		assert(enc_is_utf8(conf_string(n)));
	buf_init(&line, BUF_NO_CAP);
	buf_adds(&line, "x = ");
	buf_addstr(&line, raw);
	assert(is_good(buf_str(&line)));
	buf_free(&line);
}

static void
walk(const struct conf *c, const struct conf_node *n)
{
	const struct conf_node *child;
	struct str key;
	size_t at = 0;

	if (conf_type_of(n) != CONF_TABLE && conf_type_of(n) != CONF_ARRAY) {
		try_value(c, n);
		return;
	}
	while (at < 200 && (child = conf_next(n, &at, &key)))
		walk(c, child);
}

static void
try_settings(const struct conf *c, struct conf_report *report)
{
	struct all all = {0}, again = {0};
	struct conf_report none;
	struct arena a;
	struct buf out;
	struct conf *d;

	arena_init(&a);
	buf_init(&out, BUF_NO_CAP);
	conf_report_init(&none);
	conf_fill(c, conf_root(c), "", table, &all, false, &a, report);
	conf_show(&out, table, &all, false);
	d = conf_parse(buf_str(&out), "f", &none);
	assert(conf_fill(d, conf_root(d), "", table, &again, false, &a,
		&none));
	assert(all.size == again.size && all.duration == again.duration &&
		str_is(str_from(all.text), again.text));
	conf_free(d);
	conf_report_free(&none);
	buf_free(&out);
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_report report;
	struct conf *c;

	conf_report_init(&report);
	c = conf_parse(str_of(data, size), "dir/f", &report);
	if (report.errors == 0)
		walk(c, conf_root(c));
	try_settings(c, &report);
	conf_free(c);
	conf_report_free(&report);
	return 0;
}
