/*
 * conf.h - the configuration file: a lossless TOML 1.0 reader and the
 * setting tables that give it meaning.
 *
 * conf_parse keeps every token with its place, so that errors can show the
 * line with a caret and an editor can change one value and leave every other
 * byte. What the keys mean is said by tables of struct mr_setting
 * (mailroom/setting.h): conf_fill reads one section into a struct. Nothing
 * here knows which sections exist; proc/config does.
 *
 * Problems are gathered, not printed: each is "file:line:column: what is
 * wrong", the line, a caret, and what would be right ("did you mean ...").
 * Single-threaded; a parsed conf is read-only and may be shared.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/setting.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct conf;		/* a parsed file */
struct conf_node;	/* a table, array or value in it */

struct conf_report {
	struct buf text;	/* full messages, one after another */
	unsigned errors, warnings;
};
void conf_report_init(struct conf_report *r);
void conf_report_free(struct conf_report *r);

/* Never NULL: with syntax errors, what could be read. text is copied. file
 * is the name for messages and the base of relative MR_PATH settings. */
struct conf *conf_parse(struct str text, const char *file,
	struct conf_report *report);
void conf_free(struct conf *c);

enum conf_type { CONF_TABLE, CONF_ARRAY, CONF_STRING, CONF_INT, CONF_FLOAT,
	CONF_BOOL, CONF_DATETIME };
const char *conf_file(const struct conf *c);	/* as given to parse */
const struct conf_node *conf_root(const struct conf *c);
enum conf_type conf_type_of(const struct conf_node *n);
/* A dotted path below n ("listen.mx"), or NULL. */
const struct conf_node *conf_find(const struct conf_node *n, const char *path);
/* Children in file order; *at starts as 0. key is NULL for array items. */
const struct conf_node *conf_next(const struct conf_node *n, size_t *at,
	struct str *key);
struct str conf_string(const struct conf_node *n);	/* CONF_STRING */
int64_t conf_int(const struct conf_node *n);
bool conf_bool(const struct conf_node *n);
double conf_float(const struct conf_node *n);
/* The bytes in the file. */
struct str conf_raw(const struct conf *c, const struct conf_node *n);

/* Adds an error or a warning that points at n (at its key with at_key). */
void conf_error(const struct conf *c, const struct conf_node *n, bool at_key,
	struct conf_report *report, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Fills *into from the keys of `table_node` (NULL: only defaults), after
 * writing all defaults. Keys that are tables are passed over when
 * `allow_tables`. Unknown keys, wrong types and ranges are reported, with
 * the nearest known name. Strings and lists live in the arena. `section` is
 * the name used in messages. Returns false if it reported an error. */
bool conf_fill(const struct conf *c, const struct conf_node *table_node,
	const char *section, const struct mr_setting *settings, void *into,
	bool allow_tables, struct arena *a, struct conf_report *report);

/* Fills only the keys that the settings name and reports nothing: a look at
 * a section before its whole table is known. */
void conf_fill_known(const struct conf *c, const struct conf_node *table_node,
	const struct mr_setting *settings, void *into, struct arena *a);

/* "50 MB", "16 KiB"; "1h30m"; false if it is none. */
bool conf_parse_size(struct str s, int64_t *bytes);
bool conf_parse_duration(struct str s, int64_t *ms);

/* The nearest of the candidates by edit distance, NULL if none is near. */
const char *conf_nearest(struct str word, const char *const *candidates,
	size_t n);

/* The settings of a section as TOML text with their values ("show") or with
 * help as comments ("defaults"); secrets are shown as "(set)". */
void conf_show(struct buf *out, const struct mr_setting *settings,
	const void *values, bool with_help);
/* The same rows as man-page source (mdoc list items). */
void conf_man(struct buf *out, const struct mr_setting *settings);

#endif
