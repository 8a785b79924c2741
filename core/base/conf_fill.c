/*
 * conf_fill.c - from a table of the file to a struct, by a setting table.
 *
 * Defaults are written in the tables as they would stand in the file and go
 * through the same code, so that a default is never less checked than the
 * admin's own value; one that does not fit is a bug.
 */
#include <assert.h>

#include "base/conf_tree.h"
#include "base/file.h"

#define SECRET_MOST 65536

struct filling {
	const struct conf *c;
	const char *section;
	void *into;
	struct arena *a;
	struct conf_report *report;
};

/* ------------------------------------------------------------- complaints */

static bool
refuse(struct filling *f, const struct conf_node *n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool
refuse(struct filling *f, const struct conf_node *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_complain(f->c, n->place, true, NULL, f->report, fmt, ap);
	va_end(ap);
	return false;
}

static void
unknown_key(struct filling *f, const struct conf_node *n, const char *near,
	...)
{
	va_list ap;

	va_start(ap, near);
	if (*f->section)
		conf_complain(f->c, n->key_place, true, near, f->report,
			"unknown key `%.*s` in [%s]", ap);
	else
		conf_complain(f->c, n->key_place, true, near, f->report,
			"unknown key `%.*s`", ap);
	va_end(ap);
}

static size_t
distance(struct str a, struct str b)
{
	size_t row[33], i, j, corner, keep;

	if (a.len > 32 || b.len > 32)
		return 99;
	for (j = 0; j <= b.len; j++)
		row[j] = j;
	for (i = 1; i <= a.len; i++) {
		corner = row[0];
		row[0] = i;
		for (j = 1; j <= b.len; j++) {
			keep = row[j];
			if (a.at[i - 1] != b.at[j - 1])
				corner++;
			if (row[j] + 1 < corner)
				corner = row[j] + 1;
			if (row[j - 1] + 1 < corner)
				corner = row[j - 1] + 1;
			row[j] = corner;
			corner = keep;
		}
	}
	return row[b.len];
}

const char *
conf_nearest(struct str word, const char *const *candidates, size_t n)
{
	size_t i, d, best = 1 + word.len / 3;
	const char *near = NULL;

	for (i = 0; i < n; i++) {
		d = distance(word, str_from(candidates[i]));
		if (d <= best && (!near || d < best)) {
			best = d;
			near = candidates[i];
		}
	}
	return near;
}

/* ---------------------------------------------------------------- values */

static bool
check_range(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n, int64_t v)
{
	struct buf text;
	bool good = (!s->least && !s->most) || (v >= s->least && v <= s->most);

	if (good)
		return true;
	buf_init(&text, 256);
	if (s->type == MR_SIZE) {
		conf_print_size(&text, s->least);
		buf_adds(&text, " to ");
		conf_print_size(&text, s->most);
	} else if (s->type == MR_DURATION) {
		conf_print_duration(&text, s->least);
		buf_adds(&text, " to ");
		conf_print_duration(&text, s->most);
	} else {
		buf_addf(&text, "%lld to %lld", (long long)s->least,
			(long long)s->most);
	}
	refuse(f, n, "`%s` must be %s", s->name, buf_c(&text));
	buf_free(&text);
	return false;
}

static bool
fill_number(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n, int64_t *out)
{
	int64_t v = n->integer;
	bool unit = n->type == CONF_STRING;

	if (s->type == MR_INT && n->type != CONF_INT)
		return refuse(f, n, "`%s` must be a whole number", s->name);
	if (s->type == MR_SIZE && (unit ? !conf_parse_size(n->string, &v) :
		n->type != CONF_INT || v < 0))
		return refuse(f, n, "`%s` must be a size, like \"50 MB\", "
			"\"16 KiB\" or a number of bytes", s->name);
	if (s->type == MR_DURATION && !(unit &&
		conf_parse_duration(n->string, &v)) &&
		!(n->type == CONF_INT && v == 0))
		return refuse(f, n, "`%s` must be a duration, like \"30s\", "
			"\"5m\", \"4h\", \"5d\" or \"7y\"", s->name);
	if (!check_range(f, s, n, v))
		return false;
	*out = v;
	return true;
}

static bool
fill_choice(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n, int64_t *out)
{
	struct str rest = str_from(s->choices);
	int64_t i;

	for (i = 0; n->type == CONF_STRING && rest.len; i++)
		if (str_eq(str_cut(&rest, '|'), n->string)) {
			*out = i;
			return true;
		}
	return refuse(f, n, "`%s` must be one of %s", s->name, s->choices);
}

/* Relative to the folder of the configuration file. */
static const char *
resolve_path(struct filling *f, struct str path)
{
	struct str file = str_from(f->c->file);
	size_t slash = str_rfind(file, '/');

	if (path.len == 0 || path.at[0] == '/' || slash == file.len)
		return arena_cstr(f->a, path);
	return arena_printf(f->a, "%.*s/%.*s", (int)slash, file.at,
		STR_ARGS(path));
}

/* C strings end at a NUL: one inside would cut the value silently. */
static bool
check_nul(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n, struct str text)
{
	return !str_has_byte(text, '\0') ||
		refuse(f, n, "`%s` must not hold a NUL", s->name);
}

static bool
fill_text(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n, const char **out)
{
	if (n->type != CONF_STRING)
		return refuse(f, n, "`%s` must be a string in quotes",
			s->name);
	if (!check_nul(f, s, n, n->string))
		return false;
	*out = s->type == MR_PATH ? resolve_path(f, n->string) :
		arena_cstr(f->a, n->string);
	return true;
}

static bool
fill_list(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n, struct mr_list *out)
{
	const struct conf_node *item;
	const char **list;
	size_t count = 0;

	if (n->type != CONF_ARRAY)
		return refuse(f, n, "`%s` must be a list of strings, like "
			"[\"a\", \"b\"]", s->name);
	for (item = n->child; item; item = item->next)
		count++;
	list = arena_alloc(f->a, (count + 1) * sizeof *list);
	count = 0;
	for (item = n->child; item; item = item->next) {
		if (item->type != CONF_STRING)
			return refuse(f, item, "every item of `%s` must be a "
				"string", s->name);
		if (!check_nul(f, s, item, item->string))
			return false;
		list[count++] = arena_cstr(f->a, item->string);
	}
	*out = (struct mr_list){list, count};
	return true;
}

static bool
fill_one(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n)
{
	void *at = (char *)f->into + s->offset;

	switch (s->type) {
	case MR_BOOL:
		if (n->type != CONF_BOOL)
			return refuse(f, n, "`%s` must be true or false",
				s->name);
		*(bool *)at = n->integer;
		return true;
	case MR_INT:
	case MR_SIZE:
	case MR_DURATION:
		return fill_number(f, s, n, at);
	case MR_CHOICE:
		return fill_choice(f, s, n, at);
	case MR_LIST:
		return fill_list(f, s, n, at);
	default:
		return fill_text(f, s, n, at);
	}
}

/* The first line of the file that NAME_file names. */
static bool
fill_secret_file(struct filling *f, const struct mr_setting *s,
	const struct conf_node *n)
{
	struct err e = {0};
	struct str text;

	if (n->type != CONF_STRING)
		return refuse(f, n, "`%s_file` must be a file name in quotes",
			s->name);
	if (file_read(resolve_path(f, n->string), SECRET_MOST, f->a, &text,
		&e) < 0)
		return refuse(f, n, "%s", e.text);
	text = str_trim(str_sub(text, 0, str_find(text, '\n')));
	if (!check_nul(f, s, n, text))
		return false;
	*(const char **)((char *)f->into + s->offset) =
		arena_cstr(f->a, text);
	return true;
}

/* -------------------------------------------------------------- the whole */

/* `where` is the table that gets the defaults: a plugin's may be wrong, and
 * then its section says so. */
static void
fill_defaults(struct filling *f, const struct mr_setting *settings,
	const struct conf_node *where)
{
	static const struct mr_list empty;
	struct conf_report report;
	struct filling d = *f;
	const struct mr_setting *s;
	struct conf *c;
	char line[1024];

	for (s = settings; s->name; s++) {
		void *at = (char *)f->into + s->offset;

		if (!s->fallback) {
			if (s->type == MR_TEXT || s->type == MR_PATH ||
				s->type == MR_SECRET)
				*(const char **)at = "";
			else if (s->type == MR_LIST)
				*(struct mr_list *)at = empty;
			continue;
		}
		conf_report_init(&report);
		snprintf(line, sizeof line, "x = %s", s->fallback);
		c = conf_parse(str_from(line), "default", &report);
		d.c = c;
		d.report = &report;
		if (!conf_child(c->root, STR("x")) || !fill_one(&d, s,
			conf_child(c->root, STR("x"))) || report.errors) {
			assert(where);	/* our own are right */
			refuse(f, where, "the default of its setting `%s`, "
				"%.100s, is no value for it: the module was "
				"built wrong", s->name, s->fallback);
		}
		conf_report_free(&report);
		conf_free(c);
	}
}

/* The row of a key; *is_file for NAME_file of a secret. */
static const struct mr_setting *
find_setting(const struct mr_setting *s, struct str key, bool *is_file)
{
	*is_file = false;
	for (; s->name; s++) {
		size_t n = strlen(s->name);

		if (str_is(key, s->name))
			return s;
		if (s->type == MR_SECRET && str_ends(key, "_file") &&
			str_is(str_sub(key, 0, key.len - 5), s->name) &&
			key.len == n + 5) {
			*is_file = true;
			return s;
		}
	}
	return NULL;
}

static const char *
nearest_setting(const struct mr_setting *settings, struct str key)
{
	const char *names[256];
	size_t n = 0;

	for (; settings->name && n < 256; settings++)
		names[n++] = settings->name;
	return conf_nearest(key, names, n);
}

static void
fill_key(struct filling *f, const struct mr_setting *settings,
	const struct conf_node *table, const struct conf_node *n)
{
	bool is_file, other;
	const struct mr_setting *s = find_setting(settings, n->key, &is_file);
	const struct conf_node *sibling;

	if (!s) {
		unknown_key(f, n, nearest_setting(settings, n->key),
			STR_ARGS(n->key), f->section);
		return;
	}
	if (n->is_broken)
		return;
	if (!is_file) {
		fill_one(f, s, n);
		return;
	}
	for (sibling = table->child; sibling; sibling = sibling->next)
		if (find_setting(settings, sibling->key, &other) == s &&
			!other) {
			refuse(f, n, "`%s` and `%s_file` are both set", s->name,
				s->name);
			return;
		}
	fill_secret_file(f, s, n);
}

/* By its name or, if it is a secret, by NAME_file. */
static bool
is_set(const struct conf_node *table, const struct mr_setting *settings,
	const struct mr_setting *s)
{
	const struct conf_node *n;
	bool is_file;

	for (n = table ? table->child : NULL; n; n = n->next)
		if (find_setting(settings, n->key, &is_file) == s)
			return true;
	return false;
}

static void
check_required(struct filling *f, const struct mr_setting *settings,
	const struct conf_node *table)
{
	const struct mr_setting *s;

	for (s = settings; s->name; s++) {
		if (!(s->flags & MR_REQUIRED) || is_set(table, settings, s))
			continue;
		conf_error(f->c, table, true, f->report,
			"`%s` must be set%s%s%s: %s", s->name,
			*f->section ? " in [" : "", f->section,
			*f->section ? "]" : "", s->help);
	}
}

bool
conf_fill(const struct conf *c, const struct conf_node *table,
	const char *section, const struct mr_setting *settings, void *into,
	bool allow_tables, struct arena *a, struct conf_report *report)
{
	struct filling f = {c, section, into, a, report};
	unsigned before = report->errors;
	const struct conf_node *n;

	fill_defaults(&f, settings, table);
	for (n = table ? table->child : NULL; n; n = n->next)
		if (n->type != CONF_TABLE || !allow_tables)
			fill_key(&f, settings, table, n);
	check_required(&f, settings, table);
	return report->errors == before;
}

void
conf_fill_known(const struct conf *c, const struct conf_node *table,
	const struct mr_setting *settings, void *into, struct arena *a)
{
	struct conf_report unseen;
	struct filling f = {c, "", into, a, &unseen};
	const struct conf_node *n;
	bool is_file;

	conf_report_init(&unseen);
	fill_defaults(&f, settings, table);
	for (n = table->child; n; n = n->next)
		if (find_setting(settings, n->key, &is_file) && !is_file)
			fill_key(&f, settings, table, n);
	conf_report_free(&unseen);
}
