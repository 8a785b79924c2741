/*
 * conf_scalar.c - TOML strings, numbers, booleans and date-times.
 */
#include <math.h>
#include <unistr.h>

#include "base/conf_tree.h"

#define PLAIN_MOST 400

/* -------------------------------------------------------------- strings */

static bool
starts(const struct conf_reader *r, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(r->end - r->at) >= n && !memcmp(r->at, text, n);
}

/* Control characters that no string may hold unescaped. */
static bool
is_forbidden(char c, bool lines)
{
	unsigned char u = (unsigned char)c;

	if (c == '\n')
		return !lines;
	return (u < 32 && c != '\t') || u == 127;
}

static bool
read_code_point(struct conf_reader *r, struct buf *out, size_t digits)
{
	uint32_t v = 0;
	uint8_t utf8[6];
	size_t i;
	int n;

	for (i = 0; i < digits; i++) {
		char c = r->at < r->end ? to_lower(*r->at) : 0;

		if (!is_digit(c) && (c < 'a' || c > 'f'))
			return conf_bad(r, r->at, "%zu hexadecimal digits must "
				"follow", digits);
		v = v << 4 | (uint32_t)(is_digit(c) ? c - '0' : c - 'a' + 10);
		r->at++;
	}
	n = v > 0x10ffff ? -1 : u8_uctomb(utf8, v, sizeof utf8);
	if (n <= 0)
		return conf_bad(r, r->at - digits, "no Unicode character");
	buf_add(out, utf8, (size_t)n);
	return true;
}

/* A backslash that ends a line eats white space up to the next text. */
static bool
skip_line_end(struct conf_reader *r)
{
	const char *p = r->at;

	while (p < r->end && is_blank(*p))
		p++;
	if (p < r->end && *p == '\r')
		p++;
	if (p == r->end || *p != '\n')
		return false;
	while (p < r->end && (is_blank(*p) || *p == '\n' ||
		(*p == '\r' && p + 1 < r->end && p[1] == '\n')))
		p++;
	r->at = p;
	return true;
}

/* Behind a backslash. */
static bool
read_escape(struct conf_reader *r, struct buf *out, bool lines)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *found;
	char c;

	if (r->at == r->end)
		return conf_bad(r, r->at, "the string has no end");
	if (lines && skip_line_end(r))
		return true;
	c = *r->at++;
	if (c == 'u' || c == 'U')
		return read_code_point(r, out, c == 'u' ? 4 : 8);
	found = c ? strchr(from, c) : NULL;
	if (!found)
		return conf_bad(r, r->at - 1, "unknown escape; write \\\\ for "
			"a backslash");
	buf_addc(out, to[found - from]);
	return true;
}

/* One line end inside a multi-line string; CR LF becomes LF. */
static bool
read_newline(struct conf_reader *r, struct buf *out)
{
	if (*r->at == '\r' && r->at + 1 < r->end && r->at[1] == '\n')
		r->at++;
	if (*r->at != '\n')
		return false;
	buf_addc(out, '\n');
	r->at++;
	return true;
}

/* The closing quotes; up to two more belong to a multi-line string. */
static bool
is_closed(struct conf_reader *r, struct buf *out, char quote, bool lines)
{
	size_t n = 0, most = lines ? 5 : 1;

	while (r->at + n < r->end && r->at[n] == quote && n < most)
		n++;
	if (n < (lines ? 3u : 1u))
		return false;
	for (r->at += n; lines && n > 3; n--)
		buf_addc(out, quote);
	return true;
}

static bool
read_body(struct conf_reader *r, struct buf *out, char quote, bool lines)
{
	const char *start = r->at - 1;

	for (;;) {
		if (r->at == r->end)
			return conf_bad(r, start, "the string has no end");
		if (*r->at == quote && is_closed(r, out, quote, lines))
			return true;
		if (lines && read_newline(r, out))
			continue;
		if (*r->at == '\n' || starts(r, "\r\n"))
			return conf_bad(r, start, "the string has no end on "
				"its line");
		if (is_forbidden(*r->at, lines))
			return conf_bad(r, r->at, "control character; write it "
				"as \\u%04x", (unsigned char)*r->at);
		if (*r->at == '\\' && quote == '"') {
			r->at++;
			if (!read_escape(r, out, lines))
				return false;
			continue;
		}
		buf_addc(out, *r->at++);
	}
}

bool
conf_read_string(struct conf_reader *r, bool allow_lines, struct str *out)
{
	char quote = *r->at;
	bool lines = starts(r, quote == '"' ? "\"\"\"" : "'''"), good;
	struct buf b;

	if (lines && !allow_lines)
		return conf_bad(r, r->at, "a key cannot be a multi-line "
			"string");
	r->at += lines ? 3 : 1;
	buf_init(&b, BUF_NO_CAP);
	if (lines && starts(r, "\r\n"))
		r->at += 2;
	else if (lines && starts(r, "\n"))
		r->at++;
	good = read_body(r, &b, quote, lines);
	if (good)
		*out = arena_str(&r->c->arena, buf_str(&b));
	buf_free(&b);
	return good;
}

/* -------------------------------------------------------------- numbers */

static bool
is_hex_digit(char c)
{
	return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'f');
}

/* Underscores must stand between digits; they are taken out. */
static bool
strip(struct str s, char *out)
{
	size_t i, n = 0, first = str_starts(s, "0x") ? 2 : 0;
	bool (*is_one)(char c) = first ? is_hex_digit : is_digit;

	for (i = 0; i < s.len; i++) {
		if (s.at[i] != '_') {
			out[n++] = s.at[i];
			continue;
		}
		if (i <= first || i + 1 == s.len || !is_one(s.at[i - 1]) ||
			!is_one(s.at[i + 1]))
			return false;
	}
	out[n] = '\0';
	return true;
}

static bool
read_radix(struct str digits, unsigned radix, int64_t *out)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < digits.len; i++) {
		char c = to_lower(digits.at[i]);
		unsigned d = is_digit(c) ? (unsigned)(c - '0') :
			c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;

		if (d >= radix || v > ((uint64_t)INT64_MAX - d) / radix)
			return false;
		v = v * radix + d;
	}
	*out = (int64_t)v;
	return digits.len > 0;
}

static bool
read_integer(struct str s, int64_t *out)
{
	bool minus = str_starts(s, "-");
	uint64_t v;

	if (str_starts(s, "0x"))
		return read_radix(str_sub(s, 2, s.len), 16, out);
	if (str_starts(s, "0o"))
		return read_radix(str_sub(s, 2, s.len), 8, out);
	if (str_starts(s, "0b"))
		return read_radix(str_sub(s, 2, s.len), 2, out);
	if (minus || str_starts(s, "+"))
		s = str_sub(s, 1, s.len);
	if ((s.len > 1 && s.at[0] == '0') ||
		!str_u64(s, (uint64_t)INT64_MAX + minus, &v))
		return false;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static size_t
digits_at(struct str s, size_t at)
{
	size_t n = 0;

	while (at + n < s.len && is_digit(s.at[at + n]))
		n++;
	return n;
}

/* Checks the grammar, then lets strtod do the arithmetic: the locale is never
 * set, so the decimal point is a point. */
static bool
read_float(struct str s, double *out)
{
	size_t at = s.len && (s.at[0] == '-' || s.at[0] == '+'), n, whole;
	struct str rest = str_sub(s, at, s.len);
	bool minus = s.len && s.at[0] == '-';

	if (str_is(rest, "inf") || str_is(rest, "nan")) {
		*out = str_is(rest, "inf") ? INFINITY : NAN;
		*out = minus ? -*out : *out;
		return true;
	}
	n = digits_at(s, at);
	if (n == 0 || (n > 1 && s.at[at] == '0'))
		return false;
	whole = at += n;
	if (at < s.len && s.at[at] == '.') {
		n = digits_at(s, at + 1);
		if (n == 0)
			return false;
		at += 1 + n;
	}
	if (at < s.len && to_lower(s.at[at]) == 'e') {
		at++;
		if (at < s.len && (s.at[at] == '-' || s.at[at] == '+'))
			at++;
		n = digits_at(s, at);
		if (n == 0)
			return false;
		at += n;
	}
	*out = strtod(s.at, NULL);
	return at == s.len && at > whole;	/* an integer is none */
}

/* ------------------------------------------------------------ date-times */

/* "nn" in a range. */
static bool
two(struct str s, size_t at, int least, int most, int *out)
{
	uint64_t v;

	if (at + 2 > s.len || !str_u64(str_sub(s, at, 2), 99, &v) ||
		(int)v < least || (int)v > most)
		return false;
	*out = (int)v;
	return true;
}

static bool
is_date(struct str s)
{
	static const int most[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30,
		31};
	uint64_t year;
	int month, day;
	bool leap;

	if (s.len != 10 || s.at[4] != '-' || s.at[7] != '-' ||
		!str_u64(str_sub(s, 0, 4), 9999, &year) ||
		!two(s, 5, 1, 12, &month) || !two(s, 8, 1, 31, &day))
		return false;
	leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
	return year > 0 && day <= most[month - 1] + (month == 2 && leap);
}

/* "hh:mm:ss[.fraction]"; *used: how far it goes. */
static bool
is_time(struct str s, size_t *used)
{
	int v;
	size_t n;

	if (!two(s, 0, 0, 23, &v) || s.len < 8 || s.at[2] != ':' ||
		!two(s, 3, 0, 59, &v) || s.at[5] != ':' ||
		!two(s, 6, 0, 59, &v))
		return false;
	*used = 8;
	if (s.len > 8 && s.at[8] == '.') {
		n = digits_at(s, 9);
		if (n == 0)
			return false;
		*used = 9 + n;
	}
	return true;
}

static bool
is_offset(struct str s)
{
	int v;

	if (str_iis(s, "z"))
		return true;
	return s.len == 6 && (s.at[0] == '+' || s.at[0] == '-') &&
		two(s, 1, 0, 23, &v) && s.at[3] == ':' &&
		two(s, 4, 0, 59, &v);
}

static bool
is_datetime(struct str s)
{
	struct str time = str_sub(s, 11, s.len);
	size_t used;

	if (is_date(s))
		return true;
	if (is_time(s, &used))
		return used == s.len;
	if (s.len < 19 || !is_date(str_sub(s, 0, 10)) ||
		(to_lower(s.at[10]) != 't' && s.at[10] != ' ') ||
		!is_time(time, &used))
		return false;
	return used == time.len || is_offset(str_sub(time, used, time.len));
}

/* Letters that numbers and date-times are made of. A blank joins a date to a
 * time only if a digit follows. */
static struct str
take_plain(struct conf_reader *r)
{
	const char *p = r->at;

	while (p < r->end && (is_alnum(*p) || strchr("+-_.:", *p)) && *p)
		p++;
	if (p - r->at == 10 && is_date(str_of(r->at, 10)) &&
		r->end - p > 1 && *p == ' ' && is_digit(p[1])) {
		p++;
		while (p < r->end && *p && (is_alnum(*p) ||
			strchr("+-_.:", *p)))
			p++;
	}
	return str_of(r->at, (size_t)(p - r->at));
}

bool
conf_read_plain(struct conf_reader *r, struct conf_node *n)
{
	struct str s = take_plain(r), bare;
	char text[PLAIN_MOST + 1];

	if (s.len == 0)
		return conf_bad(r, r->at, "a value is missing; strings need "
			"quotes");
	r->at += s.len;
	if (str_is(s, "true") || str_is(s, "false")) {
		n->type = CONF_BOOL;
		n->integer = str_is(s, "true");
		return true;
	}
	if (is_datetime(s)) {
		n->type = CONF_DATETIME;
		n->string = arena_str(&r->c->arena, s);
		return true;
	}
	if (s.len > PLAIN_MOST || !strip(s, text))
		return conf_bad(r, r->at - s.len, "no number");
	bare = str_from(text);
	n->type = CONF_INT;
	if (read_integer(bare, &n->integer))
		return true;
	n->type = CONF_FLOAT;
	if (read_float(bare, &n->real))
		return true;
	return conf_bad(r, r->at - s.len, "`%.*s` is no value; strings need "
		"quotes", STR_ARGS(s));
}
