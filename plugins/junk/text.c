/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * text.c - bytes of strangers' mail as plain text, leniently: what is wrong
 * is passed over, and nothing is longer than it was. Any thread.
 */
#include "junk.h"

#include <string.h>
#include <strings.h>

static int
base64_digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

size_t
text_base64(const char *in, size_t len, char *out)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t i, n = 0;
	int digit;

	for (i = 0; i < len; i++) {
		digit = base64_digit((unsigned char)in[i]);
		if (digit < 0)
			continue;
		bits = bits << 6 | (uint32_t)digit;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		out[n++] = (char)(bits >> held);
		bits &= (1u << held) - 1;
	}
	return n;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind a '=': how many bytes of it are passed over, *c what they stand for;
 * 0: nothing. */
static size_t
quoted_pair(const char *in, size_t left, int *c)
{
	*c = -1;
	if (left >= 2 && hex_digit(in[0]) >= 0 && hex_digit(in[1]) >= 0) {
		*c = hex_digit(in[0]) << 4 | hex_digit(in[1]);
		return 2;
	}
	if (left >= 2 && in[0] == '\r' && in[1] == '\n')
		return 2;
	return left >= 1 && in[0] == '\n';
}

size_t
text_quoted(const char *in, size_t len, char *out, bool is_header)
{
	size_t i, n = 0, skip;
	int c;

	for (i = 0; i < len; i++) {
		if (is_header && in[i] == '_') {
			out[n++] = ' ';
			continue;
		}
		skip = in[i] == '=' ? quoted_pair(in + i + 1, len - i - 1, &c) :
			0;
		if (!skip)
			out[n++] = in[i];
		else if (c >= 0)
			out[n++] = (char)c;
		i += skip;
	}
	return n;
}

/* "=?charset?q?text?=" at in: its length, or 0. */
static size_t
encoded_word(const char *in, size_t len, char *out, size_t *n)
{
	const char *end = in + len, *charset = in + 2, *text, *stop;

	if (len < 8 || in[0] != '=' || in[1] != '?')
		return 0;
	text = memchr(charset, '?', (size_t)(end - charset));
	if (!text || end - text < 5 || text[2] != '?')
		return 0;
	stop = memchr(text + 3, '?', (size_t)(end - text - 3));
	if (!stop || end - stop < 2 || stop[1] != '=')
		return 0;
	*n += (text[1] | 0x20) == 'b' ?
		text_base64(text + 3, (size_t)(stop - text - 3), out + *n) :
		text_quoted(text + 3, (size_t)(stop - text - 3), out + *n,
			true);
	return (size_t)(stop + 2 - in);
}

/* Blanks between two encoded words are no part of the text. */
static size_t
skip_gap(const char *in, size_t len)
{
	size_t n = 0;

	while (n < len && strchr(" \t\r\n", in[n]))
		n++;
	return n + 1 < len && in[n] == '=' && in[n + 1] == '?' ? n : 0;
}

size_t
text_header(const char *in, size_t len, char *out)
{
	size_t i = 0, n = 0, took;

	while (i < len) {
		took = encoded_word(in + i, len - i, out, &n);
		if (took) {
			i += took;
			i += skip_gap(in + i, len - i);
		} else {
			out[n++] = in[i++];
		}
	}
	return n;
}

/* ------------------------------------------------------------------ markup */

static bool
starts(const char *in, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && !strncasecmp(in, word, n);
}

/* What is between these tags is for programs. */
static size_t
skip_element(const char *in, size_t len, const char *begin, const char *end)
{
	size_t i;

	if (!starts(in, len, begin))
		return 0;
	for (i = strlen(begin); i < len; i++)
		if (in[i] == '<' && starts(in + i, len - i, end))
			return i;
	return len;
}

static size_t
add_hosts(const char *tag, size_t len, char *out, size_t n)
{
	size_t i, k;

	for (i = 0; i + 3 < len; i++) {
		if (!starts(tag + i, len - i, "://"))
			continue;
		i += 3;
		for (k = i; k < len && !strchr("/\"'> ?#\t\r\n", tag[k]); k++)
			;
		/* "://" and what stands before it make room for this. */
		memcpy(out + n, " url:", 5);
		memcpy(out + n + 5, tag + i, k - i);
		n += 5 + k - i;
		out[n++] = ' ';
		i = k;
	}
	return n;
}

static size_t
tag_length(const char *in, size_t len)
{
	const char *end = memchr(in, '>', len);
	size_t n;

	n = skip_element(in, len, "<style", "</style");
	if (!n)
		n = skip_element(in, len, "<script", "</script");
	if (n)
		return n;
	return end ? (size_t)(end - in) + 1 : len;
}

/* A tag of a few letters inside a word ("via<b></b>gra") leaves no gap. */
static bool
is_gap(const char *tag, size_t len)
{
	static const char *const inside[] = {"<b>", "</b>", "<i>", "</i>",
		"<u>", "</u>", "<span", "</span", "<font", "</font", "<!--",
		"<em", "</em", "<strong", "</strong"};
	size_t i;

	for (i = 0; i < sizeof inside / sizeof *inside; i++)
		if (starts(tag, len, inside[i]))
			return false;
	return true;
}

static size_t
entity(const char *in, size_t len, char *out, size_t *n)
{
	static const struct {
		const char *name;
		char c;
	} known[] = {{"&nbsp;", ' '}, {"&amp;", '&'}, {"&lt;", '<'},
		{"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}};
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (starts(in, len, known[i].name)) {
			out[(*n)++] = known[i].c;
			return strlen(known[i].name);
		}
	return 0;
}

size_t
text_plain(const char *in, size_t len, char *out)
{
	size_t i = 0, n = 0, took;

	while (i < len) {
		took = in[i] == '&' ? entity(in + i, len - i, out, &n) : 0;
		if (in[i] == '<') {
			took = tag_length(in + i, len - i);
			n = add_hosts(in + i, took, out, n);
			if (is_gap(in + i, took))
				out[n++] = ' ';
		} else if (!took) {
			out[n++] = in[i++];
			continue;
		}
		i += took;
	}
	return n;
}
