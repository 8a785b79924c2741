/*
 * conf_tree.h - the parsed file as its readers share it: nodes with their
 * places in the text. Private to conf*.c.
 */
#ifndef BASE_CONF_TREE_H
#define BASE_CONF_TREE_H

#include <stdarg.h>

#include "base/conf.h"

/* How a table came to be; says who may add to it (TOML 1.0, Table). */
enum conf_origin {
	CONF_FROM_PATH,		/* as a parent in a header: may be defined yet */
	CONF_FROM_HEADER,	/* [x] or an element of [[x]] */
	CONF_FROM_DOTTED,	/* by a dotted key: only in its own section */
	CONF_FROM_INLINE,	/* {...}, [...]: closed */
};

struct conf_place {
	size_t at, len;		/* in the text */
};

struct conf_node {
	enum conf_type type;
	enum conf_origin origin;
	bool is_table_array;	/* [[x]] */
	bool is_broken;		/* its value could not be read; told already */
	unsigned section;	/* where a dotted table was made */
	struct str key;
	struct conf_place key_place, place;
	struct str string;	/* decoded */
	int64_t integer;	/* also bool */
	double real;
	struct conf_node *child, **child_end, *next;
};

struct conf {
	struct arena arena;
	const char *file;
	struct str text;
	struct conf_node *root;
};

/* Adds a message that points at a place in the text. near: what was probably
 * meant, or NULL. */
void conf_complain(const struct conf *c, struct conf_place where,
	bool is_error, const char *near, struct conf_report *report,
	const char *fmt, va_list ap);

struct conf_node *conf_new_node(struct conf *c, struct conf_node *parent,
	struct str key, struct conf_place key_place, enum conf_type type);
struct conf_node *conf_child(const struct conf_node *n, struct str key);

/* The running parse; shared by conf_parse.c and conf_scalar.c. */
struct conf_reader {
	struct conf *c;
	struct conf_report *report;
	const char *at, *end;
	unsigned section, depth;
};

/* Complains at the reader's place (or a given one); returns false. */
bool conf_bad(struct conf_reader *r, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A quoted string of any of the four kinds; the reader stands at its quote. */
bool conf_read_string(struct conf_reader *r, bool allow_lines,
	struct str *out);
/* Number, boolean or date-time; fills type and value of n. */
bool conf_read_plain(struct conf_reader *r, struct conf_node *n);

/* conf_unit.c */
void conf_print_size(struct buf *out, int64_t bytes);
void conf_print_duration(struct buf *out, int64_t ms);

#endif
