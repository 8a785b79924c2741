/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tags.c - lists of "name=value;", as signatures and key records have them
 * (RFC 6376 3.2), and the values that are numbers or base64. Pure.
 */
#include "arc.h"

#include <string.h>
#include <strings.h>

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct mr_str
tags_trim(struct mr_str s)
{
	while (s.len && is_space(*s.at)) {
		s.at++;
		s.len--;
	}
	while (s.len && is_space(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool
tags_is(struct mr_str s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

static struct mr_str
cut(struct mr_str *rest, char c)
{
	const char *end = rest->len ? memchr(rest->at, c, rest->len) : NULL;
	struct mr_str s = {rest->at, end ? (size_t)(end - rest->at) :
		rest->len};

	rest->at += s.len + (end != NULL);
	rest->len -= s.len + (end != NULL);
	return s;
}

static bool
is_name(struct mr_str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.at[i] | 0x20;

		if (!(c >= 'a' && c <= 'z') && !(i && ((s.at[i] >= '0' &&
			s.at[i] <= '9') || s.at[i] == '_')))
			return false;
	}
	return s.len > 0;
}

struct mr_str
tags_get(const struct tags *t, const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < t->n; i++)
		if (t->tag[i].name.len == len &&
			!memcmp(t->tag[i].name.at, name, len))
			return t->tag[i].value;
	return (struct mr_str){NULL, 0};
}

bool
tags_read(struct mr_str s, struct tags *out)
{
	out->n = 0;
	while (s.len) {
		struct mr_str raw = cut(&s, ';'), name;
		char text[64];

		if (!tags_trim(raw).len && !s.len)
			break;		/* behind the last ';' */
		if (!memchr(raw.at, '=', raw.len) || out->n == TAGS_MOST)
			return false;
		name = tags_trim(cut(&raw, '='));
		if (!is_name(name) || name.len >= sizeof text)
			return false;
		memcpy(text, name.at, name.len);
		text[name.len] = '\0';
		if (tags_get(out, text).at)
			return false;
		out->tag[out->n].name = name;
		out->tag[out->n].raw = raw;
		out->tag[out->n++].value = tags_trim(raw);
	}
	return out->n > 0;
}

unsigned
tags_instance(struct mr_str s)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9' || i == 3)
			return 0;
		n = n * 10 + (unsigned)(s.at[i] - '0');
	}
	return n <= SETS_MOST ? n : 0;
}

static int
sextet(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int64_t
tags_base64(struct mr_str s, unsigned char *out)
{
	uint32_t bits = 0;
	size_t i, n = 0, digits = 0, pads = 0;
	int v;

	for (i = 0; i < s.len; i++) {
		if (is_space(s.at[i]))
			continue;
		if (s.at[i] == '=') {
			pads++;
			continue;
		}
		v = sextet(s.at[i]);
		if (v < 0 || pads)
			return -1;
		bits = bits << 6 | (uint32_t)v;
		if (digits++ % 4)
			out[n++] = (unsigned char)(bits >> (6 - 2 *
				((digits - 1) % 4)));
	}
	return digits % 4 == 1 || pads > 2 || (pads && (digits + pads) % 4) ?
		-1 : (int64_t)n;
}
