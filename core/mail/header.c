/*
 * header.c - the header section of a message: fields in order.
 *
 * Leaves to others: RFC 2047 and charsets (header_decode.c), addresses
 * (addr.c), MIME fields (mime.c). Views only; any thread.
 */
#include "mail/header.h"

#define NAME_MAX_BYTES 255

/* The line at the head of s with its LF; all of s if there is none. */
static struct str
first_line(struct str s)
{
	size_t at = str_find(s, '\n');

	return str_sub(s, 0, at < s.len ? at + 1 : s.len);
}

static bool
is_name_byte(char c)
{
	return c > 0x20 && c < 0x7f && c != ':';
}

/* Where the colon of a field stands, or 0 if line is no field. Blanks before
 * the colon are obsolete, but read (RFC 5322 4.5.8). */
static size_t
find_colon(struct str line, size_t *name_len)
{
	size_t i = 0;

	while (i < line.len && is_name_byte(line.at[i]))
		i++;
	*name_len = i;
	while (i < line.len && is_blank(line.at[i]))
		i++;
	if (*name_len == 0 || i == line.len || line.at[i] != ':')
		return 0;
	return i;
}

static size_t
field_length(struct str in, size_t first)
{
	size_t len = first;

	while (len < in.len && is_blank(in.at[len]))
		len += first_line(str_sub(in, len, in.len)).len;
	return len;
}

static struct str
cut_line_end(struct str s)
{
	if (s.len == 0 || s.at[s.len - 1] != '\n')
		return s;
	s.len--;
	if (s.len > 0 && s.at[s.len - 1] == '\r')
		s.len--;
	return s;
}

bool
header_next(struct str *in, struct header_field *out)
{
	struct str line = first_line(*in);
	size_t colon, name_len, len;

	if (str_is(line, "\r\n") || str_is(line, "\n")) {
		*in = str_sub(*in, line.len, in->len);
		return false;
	}
	colon = find_colon(line, &name_len);
	if (colon == 0)
		return false;
	len = field_length(*in, line.len);
	out->raw = str_sub(*in, 0, len);
	out->name = str_sub(out->raw, 0, name_len);
	out->value = cut_line_end(str_sub(out->raw, colon + 1, len));
	*in = str_sub(*in, len, in->len);
	return true;
}

bool
header_find(struct str section, const char *name, struct header_field *out)
{
	while (header_next(&section, out))
		if (str_iis(out->name, name))
			return true;
	return false;
}

struct str
header_next_id(struct str *in)
{
	struct str id;
	size_t i;

	for (;;) {
		*in = str_sub(*in, str_find(*in, '<'), in->len);
		if (in->len == 0)
			return str_of(NULL, 0);
		*in = str_sub(*in, 1, in->len);
		for (i = 0; i < in->len && !strchr("<> \t\r\n", in->at[i]); i++)
			;
		if (i == 0 || i == in->len || in->at[i] != '>')
			continue;
		id = str_sub(*in, 0, i);
		*in = str_sub(*in, i + 1, in->len);
		return id;
	}
}

struct str
header_unfold(struct arena *a, struct str value)
{
	char *at = arena_alloc(a, value.len + 1);
	size_t i, n = 0;

	for (i = 0; i < value.len; i++)
		if (value.at[i] != '\r' && value.at[i] != '\n')
			at[n++] = value.at[i];
	return str_trim_blank(str_of(at, n));
}

/* Length of the line end at the head of s, or 0. */
static size_t
line_end_length(struct str s)
{
	return str_starts(s, "\r\n") ? 2 : str_starts(s, "\n") ? 1 : 0;
}

/* Length of what becomes one blank: a lone CR or a NUL, too. */
static size_t
blank_length(struct str s)
{
	if (s.len == 0 || line_end_length(s) > 0)
		return 0;
	return is_blank(s.at[0]) || s.at[0] == '\r' || s.at[0] == '\0';
}

static void
add_blanks(struct buf *out, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		buf_addc(out, s.at[i] == '\t' ? '\t' : ' ');
}

/* The white space at the head of s in its sent form: blanks, or what stands
 * before its first line end, CRLF and the blanks behind the last one; nothing
 * if the value ends there. Returns what it takes. */
static size_t
add_white(struct buf *out, struct str s)
{
	size_t i = 0, first = SIZE_MAX, last = 0, end;

	for (;;) {
		struct str rest = str_sub(s, i, s.len);

		end = line_end_length(rest);
		if (end == 0 && blank_length(rest) == 0)
			break;
		if (end > 0 && first == SIZE_MAX)
			first = i;
		i += end > 0 ? end : 1;
		if (end > 0)
			last = i;
	}
	if (i == s.len)
		return i;
	if (first != SIZE_MAX) {
		add_blanks(out, str_sub(s, 0, first));
		buf_adds(out, last < i ? "\r\n" : "\r\n\t");
	}
	add_blanks(out, str_sub(s, last, i - last));
	return i;
}

/* The words at the head of s, up to the next byte that add_white minds. */
static size_t
add_plain(struct buf *out, struct str s)
{
	size_t n = 0;

	while (n < s.len && !is_blank(s.at[n]) && s.at[n] != '\r' &&
		s.at[n] != '\n' && s.at[n] != '\0')
		n++;
	buf_add(out, s.at, n);
	return n;
}

struct str
header_normalise(struct arena *a, struct str value, bool leading)
{
	struct buf out;
	struct str clean;
	size_t i = 0;

	buf_init(&out, BUF_NO_CAP);
	if (leading)
		buf_addc(&out, ' ');
	while (i < value.len) {
		i += add_plain(&out, str_sub(value, i, value.len));
		i += add_white(&out, str_sub(value, i, value.len));
	}
	clean = buf_str(&out);
	if (leading && clean.len == 1)
		clean.len = 0;
	clean = arena_str(a, clean);
	buf_free(&out);
	return clean;
}

bool
header_is_name(struct str name)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (!is_name_byte(name.at[i]))
			return false;
	return name.len > 0 && name.len <= NAME_MAX_BYTES;
}
