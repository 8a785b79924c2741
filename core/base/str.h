/*
 * str.h - views of bytes that came from a wire or a file.
 *
 * A struct str borrows: it owns nothing, need not end in NUL and may hold
 * any byte. Everything a stranger sends is handled as one of these.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *at;
	size_t len;
};

/* STR("x") makes a view of a literal; STR_ARGS fits printf's "%.*s". */
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_ARGS(s) (int)(s).len, (s).at

/* A view of a C string; NULL gives an empty view. */
struct str str_from(const char *c);
struct str str_of(const void *at, size_t len);
/* The part from `from`, at most `len` bytes; both are clamped. */
struct str str_sub(struct str s, size_t from, size_t len);

bool str_is(struct str s, const char *literal);
bool str_eq(struct str a, struct str b);
/* ASCII case is folded in the i-variants, nothing else, never by locale. */
bool str_ieq(struct str a, struct str b);
bool str_iis(struct str s, const char *literal);
int str_cmp(struct str a, struct str b);
int str_icmp(struct str a, struct str b);
bool str_starts(struct str s, const char *prefix);
bool str_istarts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);

/* Position of the first c (or of the first needle), or s.len. */
size_t str_find(struct str s, char c);
size_t str_rfind(struct str s, char c);
size_t str_find_str(struct str s, struct str needle);
size_t str_ifind_str(struct str s, struct str needle);
bool str_has_byte(struct str s, char c);

/* Without blanks (space and tab), or without space, tab, CR and LF. */
struct str str_trim_blank(struct str s);
struct str str_trim(struct str s);

/* Cuts off and returns what stands before the first c; *rest moves behind
 * it. Without a c all is returned and *rest becomes empty. */
struct str str_cut(struct str *rest, char c);
/* The same for words divided by runs of blanks; empty when none is left. */
struct str str_word(struct str *rest);

/* Whole of s as a decimal number <= max; false for anything else. */
bool str_u64(struct str s, uint64_t max, uint64_t *out);

/* ASCII only, independent of locale. */
bool is_alpha(char c);
bool is_digit(char c);
bool is_alnum(char c);
bool is_blank(char c);
int hex_value(char c);	/* of either case; -1: no hexadecimal digit */
char to_lower(char c);
char to_upper(char c);

#endif
