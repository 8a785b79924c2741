/*
 * str.c - views of bytes. No allocation, no locale; any thread.
 */
#include "base/str.h"

bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
hex_value(char c)
{
	c = to_lower(c);
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		-1;
}

bool
is_alnum(char c)
{
	return is_alpha(c) || is_digit(c);
}

bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

char
to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char
to_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

struct str
str_of(const void *at, size_t len)
{
	return (struct str){at, len};
}

struct str
str_from(const char *c)
{
	return (struct str){c ? c : "", c ? strlen(c) : 0};
}

struct str
str_sub(struct str s, size_t from, size_t len)
{
	if (from > s.len)
		from = s.len;
	if (len > s.len - from)
		len = s.len - from;
	return (struct str){s.at ? s.at + from : NULL, len};
}

bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || !memcmp(a.at, b.at, a.len));
}

bool
str_is(struct str s, const char *literal)
{
	return str_eq(s, str_from(literal));
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.at, b.at, n) : 0;

	return d ? d : (a.len > b.len) - (a.len < b.len);
}

int
str_icmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len, i;

	for (i = 0; i < n; i++) {
		int d = (unsigned char)to_lower(a.at[i]) -
			(unsigned char)to_lower(b.at[i]);

		if (d)
			return d;
	}
	return (a.len > b.len) - (a.len < b.len);
}

bool
str_ieq(struct str a, struct str b)
{
	return a.len == b.len && str_icmp(a, b) == 0;
}

bool
str_iis(struct str s, const char *literal)
{
	return str_ieq(s, str_from(literal));
}

bool
str_starts(struct str s, const char *prefix)
{
	return str_is(str_sub(s, 0, strlen(prefix)), prefix);
}

bool
str_istarts(struct str s, const char *prefix)
{
	return str_iis(str_sub(s, 0, strlen(prefix)), prefix);
}

bool
str_ends(struct str s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.len >= n && str_is(str_sub(s, s.len - n, n), suffix);
}

size_t
str_find(struct str s, char c)
{
	const char *p = s.len ? memchr(s.at, c, s.len) : NULL;

	return p ? (size_t)(p - s.at) : s.len;
}

size_t
str_rfind(struct str s, char c)
{
	const char *p = s.len ? memrchr(s.at, c, s.len) : NULL;

	return p ? (size_t)(p - s.at) : s.len;
}

bool
str_has_byte(struct str s, char c)
{
	return str_find(s, c) < s.len;
}

size_t
str_find_str(struct str s, struct str needle)
{
	const char *p;

	if (needle.len == 0)
		return 0;
	if (s.len == 0)
		return s.len;
	p = memmem(s.at, s.len, needle.at, needle.len);
	return p ? (size_t)(p - s.at) : s.len;
}

size_t
str_ifind_str(struct str s, struct str needle)
{
	size_t i;

	for (i = 0; i + needle.len <= s.len; i++)
		if (str_ieq(str_sub(s, i, needle.len), needle))
			return i;
	return s.len;
}

static struct str
trim(struct str s, const char *set)
{
	while (s.len && strchr(set, s.at[0]) && s.at[0]) {
		s.at++;
		s.len--;
	}
	while (s.len && s.at[s.len - 1] && strchr(set, s.at[s.len - 1]))
		s.len--;
	return s;
}

struct str
str_trim_blank(struct str s)
{
	return trim(s, " \t");
}

struct str
str_trim(struct str s)
{
	return trim(s, " \t\r\n");
}

struct str
str_cut(struct str *rest, char c)
{
	size_t at = str_find(*rest, c);
	struct str head = str_sub(*rest, 0, at);

	*rest = str_sub(*rest, at + 1, rest->len);
	return head;
}

struct str
str_word(struct str *rest)
{
	struct str s = *rest, word;
	size_t n = 0;

	while (s.len && is_blank(s.at[0]))
		s = str_sub(s, 1, s.len);
	while (n < s.len && !is_blank(s.at[n]))
		n++;
	word = str_sub(s, 0, n);
	s = str_sub(s, n, s.len);
	while (s.len && is_blank(s.at[0]))
		s = str_sub(s, 1, s.len);
	*rest = s;
	return word;
}

bool
str_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	size_t i;

	if (s.len == 0)
		return false;
	for (i = 0; i < s.len; i++) {
		unsigned d = (unsigned)(s.at[i] - '0');

		if (!is_digit(s.at[i]) || d > max || n > (max - d) / 10)
			return false;
		n = n * 10 + d;
	}
	*out = n;
	return true;
}
