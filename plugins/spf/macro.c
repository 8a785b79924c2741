/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * macro.c - macro strings of SPF: their grammar and their expansion (RFC 7208
 * 7).
 */
#include "spf.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define DELIMITERS ".-+,/_="
#define PARTS_MOST 128		/* of a value between delimiters */

/* One macro-expand "%{d2r-}". */
struct macro {
	char letter;		/* lower case */
	bool escapes;		/* it stood in upper case */
	bool reverses;
	unsigned keeps;		/* parts from the right, 0: all */
	const char *delimiters;
	size_t n_delimiters;
};

struct out {
	char *at;
	size_t len, size;
	bool failed;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Length of the macro-expand that begins at s ("%..."), 0: it is none. *m is
 * filled for "%{", letter 0 for the others. */
static size_t
read_macro(struct mr_str s, bool in_exp, struct macro *m)
{
	const char *letters = in_exp ? "slodiphvcrt" : "slodiphv";
	size_t at = 3;

	*m = (struct macro){.delimiters = ".", .n_delimiters = 1};
	if (s.len < 2)
		return 0;
	if (strchr("%_-", s.at[1]))
		return 2;
	if (s.at[1] != '{' || s.len < 4 || !is_alpha(s.at[2]))
		return 0;
	m->letter = (char)(s.at[2] | 0x20);
	m->escapes = s.at[2] < 'a';
	if (!strchr(letters, m->letter))
		return 0;
	while (at < s.len && is_digit(s.at[at])) {
		m->keeps = m->keeps * 10 + (unsigned)(s.at[at++] - '0');
		if (m->keeps > PARTS_MOST)
			m->keeps = PARTS_MOST;
	}
	if (at > 3 && !m->keeps)
		return 0;
	if (at < s.len && (s.at[at] | 0x20) == 'r') {
		m->reverses = true;
		at++;
	}
	if (at < s.len && strchr(DELIMITERS, s.at[at]) && s.at[at]) {
		m->delimiters = s.at + at;
		for (m->n_delimiters = 0; at < s.len && s.at[at] &&
			strchr(DELIMITERS, s.at[at]); at++)
			m->n_delimiters++;
	}
	return at < s.len && s.at[at] == '}' ? at + 1 : 0;
}

/* *tail: what stands behind the last macro-expand; *macros: there is one. */
static bool
scan(struct mr_str s, bool in_exp, struct mr_str *tail, bool *macros)
{
	struct macro m;
	size_t i = 0, n;

	*tail = s;
	*macros = false;
	while (i < s.len) {
		if (s.at[i] == '%') {
			n = read_macro((struct mr_str){s.at + i, s.len - i},
				in_exp, &m);
			if (!n)
				return false;
			i += n;
			*tail = (struct mr_str){s.at + i, s.len - i};
			*macros = true;
			continue;
		}
		if (s.at[i] < (in_exp ? 0x20 : 0x21) || s.at[i] > 0x7e)
			return false;
		i++;
	}
	return true;
}

bool
spf_is_macro_string(struct mr_str s, bool in_exp)
{
	struct mr_str tail;
	bool macros;

	return scan(s, in_exp, &tail, &macros);
}

/* A last label: letters, digits and inner hyphens, not digits alone. */
static bool
is_top_label(const char *at, size_t len)
{
	bool has_other = false;
	size_t i;

	if (!len || at[0] == '-' || at[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++) {
		if (!is_alpha(at[i]) && !is_digit(at[i]) && at[i] != '-')
			return false;
		has_other |= !is_digit(at[i]);
	}
	return has_other;
}

bool
spf_is_domain_spec(struct mr_str s)
{
	struct mr_str tail;
	bool macros;
	size_t dot;

	if (!s.len || !scan(s, false, &tail, &macros))
		return false;
	if (macros && !tail.len)
		return true;
	if (tail.len && tail.at[tail.len - 1] == '.')
		tail.len--;
	for (dot = tail.len; dot && tail.at[dot - 1] != '.'; dot--)
		;
	return dot && is_top_label(tail.at + dot, tail.len - dot);
}

/* -------------------------------------------------------------- expansion */

static void
put(struct out *o, const char *at, size_t len)
{
	if (o->failed || o->size - o->len <= len) {
		o->failed = true;
		return;
	}
	memcpy(o->at + o->len, at, len);
	o->len += len;
}

/* RFC 3986 2.3: all but the unreserved. */
static void
put_escaped(struct out *o, const char *at, size_t len)
{
	char hex[4];

	for (; len; len--, at++) {
		if (is_alpha(*at) || is_digit(*at) || strchr("-._~", *at)) {
			put(o, at, 1);
			continue;
		}
		snprintf(hex, sizeof hex, "%%%02X", (unsigned char)*at);
		put(o, hex, 3);
	}
}

static bool
is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s > 126)
			return false;
	return true;
}

/* The address for %{i}: dotted, or nibbles with dots. */
static void
write_ip(const struct spf_query *q, char *out, size_t size)
{
	size_t i;

	if (!q->is_ipv6) {
		inet_ntop(AF_INET, q->ip, out, (socklen_t)size);
		return;
	}
	for (i = 0; i < 16; i++)
		snprintf(out + i * 4, size - i * 4, "%X.%X%s", q->ip[i] >> 4,
			q->ip[i] & 15, i < 15 ? "." : "");
}

/* The value before transformation; may use scratch. */
static const char *
value_of(const struct spf_macro *m, char letter, char *scratch, size_t size)
{
	const struct spf_query *q = m->q;
	const char *at = strrchr(q->sender, '@');

	switch (letter) {
	case 's':
		return q->sender;
	case 'l':
		snprintf(scratch, size, "%.*s", at ? (int)(at - q->sender) : 0,
			q->sender);
		return scratch;
	case 'o':
		return at ? at + 1 : "";
	case 'd':
		return m->domain;
	case 'i':
		write_ip(q, scratch, size);
		return scratch;
	case 'p':
		return m->validated(m->arg);
	case 'v':
		return q->is_ipv6 ? "ip6" : "in-addr";
	case 'h':
		return q->helo;
	case 'c':
		inet_ntop(q->is_ipv6 ? AF_INET6 : AF_INET, q->ip, scratch,
			(socklen_t)size);
		return scratch;
	case 'r':
		return q->receiver;
	default:		/* t */
		snprintf(scratch, size, "%lld", (long long)q->now);
		return scratch;
	}
}

/* Splits, reverses, keeps the last parts, joins with dots. */
static void
put_value(struct out *o, const struct macro *m, const char *value)
{
	struct mr_str part[PARTS_MOST];
	size_t n = 0, i, first;

	if (!is_ascii(value)) {
		o->failed = true;
		return;
	}
	for (;;) {
		const char *end = value;

		while (*end && !memchr(m->delimiters, *end, m->n_delimiters))
			end++;
		if (n == PARTS_MOST) {
			o->failed = true;
			return;
		}
		part[n++] = (struct mr_str){value, (size_t)(end - value)};
		if (!*end)
			break;
		value = end + 1;
	}
	first = m->keeps && m->keeps < n ? n - m->keeps : 0;
	for (i = first; i < n; i++) {
		const struct mr_str *p = &part[m->reverses ? n - 1 - i : i];

		if (i > first)
			put(o, ".", 1);
		if (m->escapes)
			put_escaped(o, p->at, p->len);
		else
			put(o, p->at, p->len);
	}
}

int
spf_expand(const struct spf_macro *m, struct mr_str s, char *out, size_t size)
{
	struct out o = {.at = out, .size = size};
	char scratch[1024];
	struct macro one;
	size_t i = 0, n;

	while (i < s.len && !o.failed) {
		if (s.at[i] != '%') {
			put(&o, s.at + i++, 1);
			continue;
		}
		n = read_macro((struct mr_str){s.at + i, s.len - i}, true,
			&one);
		if (!n)
			return -1;
		if (one.letter)
			put_value(&o, &one, value_of(m, one.letter, scratch,
				sizeof scratch));
		else if (s.at[i + 1] == '-')
			put(&o, "%20", 3);
		else
			put(&o, s.at[i + 1] == '_' ? " " : "%", 1);
		i += n;
	}
	if (o.failed)
		return -1;
	out[o.len] = '\0';
	return 0;
}

int
spf_expand_domain(const struct spf_macro *m, struct mr_str s,
	char out[SPF_NAME_MOST + 1])
{
	char all[SPF_EXPANDED_MOST];
	const char *from = all;
	size_t len;

	if (spf_expand(m, s, all, sizeof all) < 0)
		return -1;
	len = strlen(all);
	if (len && all[len - 1] == '.')
		all[--len] = '\0';
	while (len - (size_t)(from - all) > SPF_NAME_MOST) {
		from = strchr(from, '.');
		if (!from)
			return -1;
		from++;
	}
	memcpy(out, from, strlen(from) + 1);
	return 0;
}
