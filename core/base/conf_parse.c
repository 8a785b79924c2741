/*
 * conf_parse.c - TOML 1.0: keys, tables, arrays, and who may add to what.
 *
 * A syntax error ends its line, not the parse, so that one run shows all of
 * them. Recursion (arrays and inline tables) is bounded by DEPTH_MOST.
 */
#include <unistr.h>

#include "base/conf_tree.h"

#define DEPTH_MOST 100

static bool read_value(struct conf_reader *r, struct conf_node *n);

bool
conf_bad(struct conf_reader *r, const char *at, const char *fmt, ...)
{
	struct conf_place where = {(size_t)(at - r->c->text.at), 1};
	va_list ap;

	va_start(ap, fmt);
	conf_complain(r->c, where, true, NULL, r->report, fmt, ap);
	va_end(ap);
	return false;
}

/* ------------------------------------------------------------ white space */

static void
skip_blank(struct conf_reader *r)
{
	while (r->at < r->end && is_blank(*r->at))
		r->at++;
}

static bool
at_newline(const struct conf_reader *r)
{
	return r->at < r->end && (*r->at == '\n' || (*r->at == '\r' &&
		r->at + 1 < r->end && r->at[1] == '\n'));
}

static bool
skip_comment(struct conf_reader *r)
{
	if (r->at == r->end || *r->at != '#')
		return true;
	for (; r->at < r->end && !at_newline(r); r->at++) {
		unsigned char c = (unsigned char)*r->at;

		if ((c < 32 && c != '\t') || c == 127)
			return conf_bad(r, r->at, "control character in a "
				"comment");
	}
	return true;
}

static bool
end_line(struct conf_reader *r)
{
	skip_blank(r);
	if (!skip_comment(r))
		return false;
	if (r->at == r->end)
		return true;
	if (!at_newline(r))
		return conf_bad(r, r->at, "unexpected text behind the value");
	r->at += *r->at == '\r' ? 2 : 1;
	return true;
}

/* Blanks, comments and line ends, inside an array. */
static bool
skip_lines(struct conf_reader *r)
{
	for (;;) {
		skip_blank(r);
		if (!skip_comment(r))
			return false;
		if (!at_newline(r))
			return true;
		r->at += *r->at == '\r' ? 2 : 1;
	}
}

static void
skip_to_next_line(struct conf_reader *r)
{
	while (r->at < r->end && *r->at != '\n')
		r->at++;
	if (r->at < r->end)
		r->at++;
}

/* ------------------------------------------------------------------ keys */

struct key_part {
	struct str name;
	struct conf_place place;
};

static bool
is_key_char(char c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

static bool
read_key_part(struct conf_reader *r, struct key_part *out)
{
	const char *start = r->at;

	if (r->at < r->end && (*r->at == '"' || *r->at == '\'')) {
		if (!conf_read_string(r, false, &out->name))
			return false;
	} else {
		while (r->at < r->end && is_key_char(*r->at))
			r->at++;
		if (r->at == start)
			return conf_bad(r, r->at, "a key is missing");
		out->name = str_of(start, (size_t)(r->at - start));
	}
	out->place = (struct conf_place){(size_t)(start - r->c->text.at),
		(size_t)(r->at - start)};
	return true;
}

/* A dotted key. Returns the number of parts, 0 on error. */
static size_t
read_key(struct conf_reader *r, struct key_part *part, size_t most)
{
	size_t n = 0;

	for (;;) {
		skip_blank(r);
		if (n == most) {
			conf_bad(r, r->at, "more than %zu parts in a key",
				most);
			return 0;
		}
		if (!read_key_part(r, &part[n++]))
			return 0;
		skip_blank(r);
		if (r->at == r->end || *r->at != '.')
			return n;
		r->at++;
	}
}

/* ---------------------------------------------------------------- values */

static bool
read_array(struct conf_reader *r, struct conf_node *n)
{
	struct conf_node *item;

	n->type = CONF_ARRAY;
	n->origin = CONF_FROM_INLINE;
	r->at++;
	for (;;) {
		if (!skip_lines(r))
			return false;
		if (r->at == r->end)
			return conf_bad(r, r->at, "`]` is missing");
		if (*r->at == ']')
			break;
		item = conf_new_node(r->c, n, (struct str){NULL, 0},
			(struct conf_place){0, 0}, CONF_INT);
		if (!read_value(r, item) || !skip_lines(r))
			return false;
		if (r->at < r->end && *r->at == ',')
			r->at++;
		else if (r->at == r->end || *r->at != ']')
			return conf_bad(r, r->at, "`,` or `]` is missing");
	}
	r->at++;
	return true;
}

static bool read_pair(struct conf_reader *r, struct conf_node *table);

static void
close_tables(struct conf_node *n)
{
	struct conf_node *child;

	n->origin = CONF_FROM_INLINE;
	for (child = n->child; child; child = child->next)
		if (child->type == CONF_TABLE &&
			child->origin == CONF_FROM_DOTTED)
			close_tables(child);
}

static bool
read_inline_table(struct conf_reader *r, struct conf_node *n)
{
	unsigned outer = r->section;
	bool first = true;

	n->type = CONF_TABLE;
	n->origin = CONF_FROM_HEADER;
	r->section = ++r->c->root->section;
	r->at++;
	for (;;) {
		skip_blank(r);
		if (r->at < r->end && *r->at == '}' && first)
			break;
		if (!read_pair(r, n))
			return false;
		first = false;
		skip_blank(r);
		if (r->at < r->end && *r->at == '}')
			break;
		if (r->at == r->end || *r->at != ',')
			return conf_bad(r, r->at, "`,` or `}` is missing");
		r->at++;
	}
	r->at++;
	r->section = outer;
	close_tables(n);
	return true;
}

static bool
read_value(struct conf_reader *r, struct conf_node *n)
{
	const char *start = r->at;
	bool good;

	if (r->depth == DEPTH_MOST)
		return conf_bad(r, r->at, "nested deeper than %d", DEPTH_MOST);
	r->depth++;
	if (r->at < r->end && (*r->at == '"' || *r->at == '\'')) {
		n->type = CONF_STRING;
		good = conf_read_string(r, true, &n->string);
	} else if (r->at < r->end && *r->at == '[') {
		good = read_array(r, n);
	} else if (r->at < r->end && *r->at == '{') {
		good = read_inline_table(r, n);
	} else {
		good = conf_read_plain(r, n);
	}
	r->depth--;
	n->place = (struct conf_place){(size_t)(start - r->c->text.at),
		(size_t)(r->at - start)};
	return good;
}

/* ---------------------------------------------------------------- tables */

static bool
bad_key(struct conf_reader *r, const struct key_part *k, const char *why)
{
	return conf_bad(r, r->c->text.at + k->place.at, "`%.*s` %s",
		STR_ARGS(k->name), why);
}

/* The table that all but the last part of a dotted key lead to. */
static struct conf_node *
walk_dotted(struct conf_reader *r, struct conf_node *table,
	const struct key_part *part, size_t n)
{
	struct conf_node *next;
	size_t i;

	for (i = 0; i + 1 < n; i++) {
		next = conf_child(table, part[i].name);
		if (!next) {
			next = conf_new_node(r->c, table, part[i].name,
				part[i].place, CONF_TABLE);
			next->origin = CONF_FROM_DOTTED;
			next->section = r->section;
		} else if (next->type != CONF_TABLE ||
			next->origin == CONF_FROM_INLINE ||
			next->origin == CONF_FROM_HEADER ||
			(next->origin == CONF_FROM_DOTTED &&
			next->section != r->section)) {
			bad_key(r, &part[i], "is defined already");
			return NULL;
		}
		table = next;
	}
	return table;
}

static bool
read_pair(struct conf_reader *r, struct conf_node *table)
{
	struct key_part part[DEPTH_MOST];
	size_t n = read_key(r, part, DEPTH_MOST);
	struct conf_node *node;

	if (n == 0)
		return false;
	if (r->at == r->end || *r->at != '=')
		return conf_bad(r, r->at, "`=` is missing behind the key");
	r->at++;
	skip_blank(r);
	table = walk_dotted(r, table, part, n);
	if (!table)
		return false;
	if (conf_child(table, part[n - 1].name))
		return bad_key(r, &part[n - 1], "is set twice");
	node = conf_new_node(r->c, table, part[n - 1].name,
		part[n - 1].place, CONF_INT);
	node->is_broken = !read_value(r, node);
	return !node->is_broken;
}

/* A part of a header before the last: tables and the last element of arrays
 * of tables may be walked through. */
static struct conf_node *
walk_header(struct conf_reader *r, struct conf_node *table,
	const struct key_part *k)
{
	struct conf_node *next = conf_child(table, k->name), *last;

	if (!next)
		return conf_new_node(r->c, table, k->name, k->place,
			CONF_TABLE);
	if (next->is_table_array) {
		for (last = next->child; last && last->next; last = last->next)
			;
		return last;
	}
	if (next->type == CONF_TABLE && next->origin != CONF_FROM_INLINE)
		return next;
	bad_key(r, k, "is no table that can be added to");
	return NULL;
}

static struct conf_node *
open_table(struct conf_reader *r, struct conf_node *parent,
	const struct key_part *k)
{
	struct conf_node *n = conf_child(parent, k->name);

	if (!n)
		n = conf_new_node(r->c, parent, k->name, k->place, CONF_TABLE);
	else if (n->type != CONF_TABLE || n->origin != CONF_FROM_PATH) {
		bad_key(r, k, "is defined already");
		return NULL;
	}
	n->origin = CONF_FROM_HEADER;
	n->key_place = n->place = k->place;
	return n;
}

static struct conf_node *
open_element(struct conf_reader *r, struct conf_node *parent,
	const struct key_part *k)
{
	struct conf_node *array = conf_child(parent, k->name), *n;

	if (!array) {
		array = conf_new_node(r->c, parent, k->name, k->place,
			CONF_ARRAY);
		array->is_table_array = true;
	} else if (!array->is_table_array) {
		bad_key(r, k, "is no array of tables");
		return NULL;
	}
	n = conf_new_node(r->c, array, (struct str){NULL, 0}, k->place,
		CONF_TABLE);
	n->origin = CONF_FROM_HEADER;
	return n;
}

/* [x] or [[x]]: the table that the lines below fill, NULL on error. */
static struct conf_node *
read_header(struct conf_reader *r)
{
	struct key_part part[DEPTH_MOST];
	struct conf_node *table = r->c->root;
	bool element = r->at + 1 < r->end && r->at[1] == '[';
	size_t n, i;

	r->at += element ? 2 : 1;
	n = read_key(r, part, DEPTH_MOST);
	if (n == 0)
		return NULL;
	if (r->at == r->end || *r->at != ']' ||
		(element && (r->at + 1 == r->end || r->at[1] != ']'))) {
		conf_bad(r, r->at, element ? "`]]` is missing" :
			"`]` is missing");
		return NULL;
	}
	r->at += element ? 2 : 1;
	for (i = 0; table && i + 1 < n; i++)
		table = walk_header(r, table, &part[i]);
	if (!table)
		return NULL;
	return element ? open_element(r, table, &part[n - 1]) :
		open_table(r, table, &part[n - 1]);
}

static void
read_lines(struct conf_reader *r)
{
	struct conf_node *table = r->c->root, *found;
	bool good;

	while (r->at < r->end) {
		skip_blank(r);
		good = true;
		if (r->at < r->end && *r->at == '[') {
			found = read_header(r);
			good = found != NULL;
			/* After a bad header its lines go nowhere that
			 * matters. */
			table = found ? found : conf_new_node(r->c, NULL,
				STR(""), (struct conf_place){0, 0},
				CONF_TABLE);
			r->section = ++r->c->root->section;
		} else if (r->at < r->end && *r->at != '#' &&
			!at_newline(r)) {
			good = read_pair(r, table);
		}
		if (!good || !end_line(r))
			skip_to_next_line(r);
		if (r->report->errors > 20)
			return;
	}
}

static bool
check_utf8(struct conf_reader *r)
{
	const uint8_t *bad = r->c->text.len ? u8_check(
		(const uint8_t *)r->c->text.at, r->c->text.len) : NULL;

	return !bad || conf_bad(r, (const char *)bad, "not UTF-8");
}

struct conf *
conf_parse(struct str text, const char *file, struct conf_report *report)
{
	struct arena a;
	struct conf *c;
	struct conf_reader r;

	arena_init(&a);
	c = arena_alloc(&a, sizeof *c);
	c->arena = a;
	c->file = arena_cstr(&c->arena, str_from(file));
	if (str_starts(text, "\xef\xbb\xbf"))
		text = str_sub(text, 3, text.len);
	c->text = arena_str(&c->arena, text);
	c->root = conf_new_node(c, NULL, STR(""), (struct conf_place){0, 0},
		CONF_TABLE);
	c->root->origin = CONF_FROM_HEADER;
	r = (struct conf_reader){.c = c, .report = report, .at = c->text.at,
		.end = c->text.at + c->text.len};
	if (check_utf8(&r))
		read_lines(&r);
	return c;
}
