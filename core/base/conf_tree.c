/*
 * conf_tree.c - reading a parsed file, and messages that point into it.
 */
#include "base/conf_tree.h"

#define ERRORS_MOST 50		/* messages kept; the count goes on */

void
conf_report_init(struct conf_report *r)
{
	buf_init(&r->text, 1 << 20);
	r->errors = r->warnings = 0;
}

void
conf_report_free(struct conf_report *r)
{
	buf_free(&r->text);
}

/* ------------------------------------------------------------- messages */

struct spot {
	unsigned line, column;	/* from 1; columns count characters */
	struct str text;	/* the whole line */
	size_t offset;		/* of the place in it */
};

static bool
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static struct spot
find_spot(struct str text, size_t at)
{
	struct spot s = {.line = 1, .column = 1};
	size_t i, start = 0;

	if (at > text.len)
		at = text.len;
	for (i = 0; i < at; i++)
		if (text.at[i] == '\n') {
			s.line++;
			start = i + 1;
		}
	for (i = start; i < at; i++)
		s.column += !is_continuation(text.at[i]);
	s.text = str_sub(text, start, text.len);
	s.text = str_sub(s.text, 0, str_find(s.text, '\n'));
	if (str_ends(s.text, "\r"))
		s.text.len--;
	s.offset = at - start;
	return s;
}

/* The line and a caret below it; tabs are kept so that both line up. */
static void
draw_caret(struct buf *out, const struct spot *s, size_t len)
{
	size_t i, end = s->offset + (len ? len : 1);

	buf_addf(out, "%6u | %.*s\n       | ", s->line, STR_ARGS(s->text));
	for (i = 0; i < s->offset && i < s->text.len; i++)
		if (!is_continuation(s->text.at[i]))
			buf_addc(out, s->text.at[i] == '\t' ? '\t' : ' ');
	buf_addc(out, '^');
	for (i = s->offset + 1; i < end && i < s->text.len; i++)
		if (!is_continuation(s->text.at[i]))
			buf_addc(out, '~');
}

void
conf_complain(const struct conf *c, struct conf_place where, bool is_error,
	const char *near, struct conf_report *report, const char *fmt,
	va_list ap)
{
	struct spot s = find_spot(c->text, where.at);
	char message[512];

	if (is_error)
		report->errors++;
	else
		report->warnings++;
	if (report->errors + report->warnings > ERRORS_MOST)
		return;
	vsnprintf(message, sizeof message, fmt, ap);
	buf_addf(&report->text, "%s:%u:%u: %s%s\n", c->file, s.line, s.column,
		is_error ? "" : "warning: ", message);
	draw_caret(&report->text, &s, where.len);
	if (near)
		buf_addf(&report->text, " did you mean `%s`?", near);
	buf_addc(&report->text, '\n');
}

void
conf_error(const struct conf *c, const struct conf_node *n, bool at_key,
	struct conf_report *report, const char *fmt, ...)
{
	struct conf_place where = n ? at_key ? n->key_place : n->place :
		(struct conf_place){0, 0};
	va_list ap;

	va_start(ap, fmt);
	conf_complain(c, where, true, NULL, report, fmt, ap);
	va_end(ap);
}

/* ----------------------------------------------------------------- tree */

struct conf_node *
conf_new_node(struct conf *c, struct conf_node *parent, struct str key,
	struct conf_place key_place, enum conf_type type)
{
	struct conf_node *n = arena_alloc(&c->arena, sizeof *n);

	n->type = type;
	n->key = key;
	n->key_place = n->place = key_place;
	n->child_end = &n->child;
	if (parent) {
		*parent->child_end = n;
		parent->child_end = &n->next;
	}
	return n;
}

struct conf_node *
conf_child(const struct conf_node *n, struct str key)
{
	struct conf_node *child;

	for (child = n->child; child; child = child->next)
		if (str_eq(child->key, key))
			return child;
	return NULL;
}

void
conf_free(struct conf *c)
{
	struct arena a;

	if (!c)
		return;
	a = c->arena;		/* c itself lives in it */
	arena_free(&a);
}

const struct conf_node *
conf_root(const struct conf *c)
{
	return c->root;
}

enum conf_type
conf_type_of(const struct conf_node *n)
{
	return n->type;
}

const struct conf_node *
conf_find(const struct conf_node *n, const char *path)
{
	struct str rest = str_from(path);

	while (n && rest.len)
		n = n->type == CONF_TABLE ?
			conf_child(n, str_cut(&rest, '.')) : NULL;
	return n;
}

/* *at counts the children given out. */
const struct conf_node *
conf_next(const struct conf_node *n, size_t *at, struct str *key)
{
	const struct conf_node *child = n->child;
	size_t i;

	for (i = 0; child && i < *at; i++)
		child = child->next;
	if (!child)
		return NULL;
	++*at;
	*key = n->type == CONF_TABLE ? child->key : (struct str){NULL, 0};
	return child;
}

struct str
conf_string(const struct conf_node *n)
{
	return n->string;
}

int64_t
conf_int(const struct conf_node *n)
{
	return n->integer;
}

bool
conf_bool(const struct conf_node *n)
{
	return n->integer != 0;
}

double
conf_float(const struct conf_node *n)
{
	return n->real;
}

const char *
conf_file(const struct conf *c)
{
	return c->file;
}

struct str
conf_raw(const struct conf *c, const struct conf_node *n)
{
	return str_sub(c->text, n->place.at, n->place.len);
}
