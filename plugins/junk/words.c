/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * words.c - a message as the set of its words. Header fields are told apart
 * from the body, links from text; parts of a multipart are walked one inside
 * the other down to DEPTH_MOST. Any thread, nothing is kept.
 */
#include "junk.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MOST 8
#define PARTS_MOST 100
#define WORD_LEAST 3
#define WORD_MOST 24
#define WIDE_CHUNK 6		/* of text without blanks, two wide letters */
#define ROOM_MOST (16 * WORDS_MOST)

void
words_init(struct words *w)
{
	*w = (struct words){.hash = NULL};
}

void
words_free(struct words *w)
{
	free(w->hash);
	*w = (struct words){.hash = NULL};
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* FNV-1a with a final mix, since its low bits alone are poor. */
uint64_t
words_hash(const char *kind, const char *at, size_t len)
{
	uint64_t h = 14695981039346656037ULL;
	size_t i;

	for (; *kind; kind++)
		h = (h ^ (unsigned char)*kind) * 1099511628211ULL;
	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)lower(at[i])) * 1099511628211ULL;
	h = (h ^ h >> 32) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static void
add(struct words *w, const char *kind, const char *at, size_t len)
{
	uint64_t *more;

	if (w->n == w->room) {
		size_t room = w->room ? 2 * w->room : 256;

		if (room > ROOM_MOST)
			return;
		more = realloc(w->hash, room * sizeof *more);
		if (!more)
			return;
		w->hash = more;
		w->room = room;
	}
	w->hash[w->n++] = words_hash(kind, at, len);
}

static bool
is_letter(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 ||
		(c && strchr("$-'_!", c));
}

static bool
is_wide(char c)
{
	return (unsigned char)c >= 0x80;
}

static void
add_wide(struct words *w, const char *kind, const char *at, size_t len)
{
	size_t i;

	for (i = 0; i + WIDE_CHUNK <= len; i += WIDE_CHUNK / 2)
		add(w, kind, at + i, WIDE_CHUNK);
}

static void
add_word(struct words *w, const char *kind, const char *at, size_t len)
{
	while (len && strchr("-'_", *at)) {
		at++;
		len--;
	}
	while (len && strchr("-'_", at[len - 1]))
		len--;
	if (len < WORD_LEAST)
		return;
	if (len <= WORD_MOST)
		add(w, kind, at, len);
	else if (is_wide(*at))
		add_wide(w, kind, at, len);
	else
		add(w, "long:", at, 1);
}

/* "url:mail.example.org" counts as a whole, and without its first label. */
static size_t
add_host(struct words *w, const char *at, size_t len)
{
	const char *dot;
	size_t n = 0;

	while (n < len && !isspace((unsigned char)at[n]))
		n++;
	add(w, "url:", at, n);
	dot = memchr(at, '.', n);
	if (dot && memchr(dot + 1, '.', n - (size_t)(dot + 1 - at)))
		add(w, "url:", dot + 1, n - (size_t)(dot + 1 - at));
	return n;
}

static void
add_text(struct words *w, const char *kind, const char *at, size_t len)
{
	size_t i = 0, from;

	while (i < len) {
		if (len - i > 4 && !memcmp(at + i, "url:", 4))
			i += 4 + add_host(w, at + i + 4, len - i - 4);
		else if (len - i > 3 && !memcmp(at + i, "://", 3))
			i += 3 + add_host(w, at + i + 3,
				strcspn(at + i + 3, "/?# \t\r\n<>\"'"));
		for (from = i; i < len && is_letter(at[i]); i++)
			;
		if (i > from)
			add_word(w, kind, at + from, i - from);
		else
			i++;
	}
}

/* ----------------------------------------------------------------- fields */

void
words_field(struct words *w, const char *name, size_t name_len,
	const char *value, size_t len)
{
	static const struct {
		const char *name, *kind;
	} fields[] = {{"Subject", "subject:"}, {"From", "from:"},
		{"Reply-To", "reply:"}, {"Sender", "sender:"},
		{"List-Id", "list:"}, {"X-Mailer", "mailer:"},
		{"User-Agent", "mailer:"}, {"Content-Type", "type:"},
		{"Content-Language", "language:"}, {"Precedence", "prec:"}};
	char *text;
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strlen(fields[i].name) == name_len &&
			!strncasecmp(fields[i].name, name, name_len))
			break;
	if (i == sizeof fields / sizeof *fields || len > 65536)
		return;
	text = malloc(len + 1);
	if (!text)
		return;
	len = text_header(value, len, text);
	text[len] = '\0';
	add_text(w, fields[i].kind, text, len);
	free(text);
}

/* ------------------------------------------------------------------- parts */

struct walk {
	struct words *w;
	unsigned parts;
};

struct form {
	char type[128], encoding[32], boundary[80];
};

static void
keep(char *out, size_t size, const char *at, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len && n + 1 < size; i++)
		if (!strchr(" \t\r\n", at[i]) || !at[i])
			out[n++] = lower(at[i]);
	out[n] = '\0';
}

/* The boundary keeps its case and inner blanks. */
static void
find_boundary(const char *type, size_t len, char out[80])
{
	size_t i, n = 0;
	char end = ';';

	*out = '\0';
	for (i = 0; i + 9 < len; i++)
		if (!strncasecmp(type + i, "boundary=", 9))
			break;
	if (i + 9 >= len)
		return;
	i += 9;
	if (type[i] == '"') {
		end = '"';
		i++;
	}
	for (; i < len && type[i] != end && n + 1 < 80 &&
		!strchr("\r\n", type[i]); i++)
		out[n++] = type[i];
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static void
read_form(struct form *f, const char *type, size_t type_len,
	const char *encoding, size_t encoding_len)
{
	keep(f->type, sizeof f->type, type, type_len);
	keep(f->encoding, sizeof f->encoding, encoding, encoding_len);
	find_boundary(type, type_len, f->boundary);
}

static void
walk_text(struct walk *k, const struct form *f, const char *at, size_t len)
{
	char *text = malloc(len + 1), *plain = NULL;

	if (!text)
		return;
	if (!strcmp(f->encoding, "base64"))
		len = text_base64(at, len, text);
	else if (!strcmp(f->encoding, "quoted-printable"))
		len = text_quoted(at, len, text, false);
	else
		memcpy(text, at, len);
	if (!strncmp(f->type, "text/html", 9) &&
		(plain = malloc(TEXT_PLAIN_ROOM(len) + 1))) {
		len = text_plain(text, len, plain);
		free(text);
		text = plain;
	}
	text[len] = '\0';
	add_text(k->w, "", text, len);
	free(text);
}

static void walk_part(struct walk *k, const struct form *f, const char *at,
	size_t len, unsigned depth);

static const char *
next_line(const char *at, const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));

	return lf ? lf + 1 : end;
}

/* A field with its folds, up to the line behind it. */
static const char *
field_end(const char *at, const char *end)
{
	at = next_line(at, end);
	while (at < end && (*at == ' ' || *at == '\t'))
		at = next_line(at, end);
	return at;
}

/* A part with its own header. */
static void
walk_entity(struct walk *k, const char *at, const char *end, unsigned depth)
{
	const char *type = "", *encoding = "", *next, *colon;
	size_t type_len = 0, encoding_len = 0;
	struct form f;

	for (; at < end && *at != '\r' && *at != '\n'; at = next) {
		next = field_end(at, end);
		colon = memchr(at, ':', (size_t)(next - at));
		if (colon && colon - at == 12 &&
			!strncasecmp(at, "Content-Type", 12)) {
			type = colon + 1;
			type_len = (size_t)(next - type);
		} else if (colon && colon - at == 25 && !strncasecmp(at,
			"Content-Transfer-Encoding", 25)) {
			encoding = colon + 1;
			encoding_len = (size_t)(next - encoding);
		}
	}
	at = next_line(at, end);
	read_form(&f, type, type_len, encoding, encoding_len);
	walk_part(k, &f, at, (size_t)(end - at), depth);
}

static bool
is_boundary(const char *line, const char *end, const char *boundary)
{
	size_t n = strlen(boundary);

	return (size_t)(end - line) >= n + 2 && line[0] == '-' &&
		line[1] == '-' && !memcmp(line + 2, boundary, n);
}

static void
walk_multipart(struct walk *k, const struct form *f, const char *at,
	size_t len, unsigned depth)
{
	const char *end = at + len, *line = at, *part = NULL;

	while (line < end && k->parts < PARTS_MOST) {
		const char *next = next_line(line, end);

		if (is_boundary(line, next, f->boundary)) {
			if (part)
				walk_entity(k, part, line, depth + 1);
			part = next;
		}
		line = next;
	}
	if (part && part < end && k->parts < PARTS_MOST)
		walk_entity(k, part, end, depth + 1);
}

static void
walk_part(struct walk *k, const struct form *f, const char *at, size_t len,
	unsigned depth)
{
	k->parts++;
	if (depth > DEPTH_MOST)
		return;
	if (!strncmp(f->type, "multipart/", 10) && *f->boundary)
		walk_multipart(k, f, at, len, depth);
	else if (!strncmp(f->type, "message/rfc822", 14))
		walk_entity(k, at, at + len, depth + 1);
	else if (!*f->type || !strncmp(f->type, "text/", 5))
		walk_text(k, f, at, len);
	else
		add(k->w, "part:", f->type, strcspn(f->type, ";"));
}

void
words_body(struct words *w, const char *type, const char *encoding,
	const char *body, size_t len)
{
	struct walk k = {.w = w};
	struct form f;

	read_form(&f, type, strlen(type), encoding, strlen(encoding));
	walk_part(&k, &f, body, len, 0);
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void
words_end(struct words *w)
{
	size_t i, n = 0;

	if (w->n)
		qsort(w->hash, w->n, sizeof *w->hash, by_number);
	for (i = 0; i < w->n; i++)
		if (!n || w->hash[i] != w->hash[n - 1])
			w->hash[n++] = w->hash[i];
	w->n = n < WORDS_MOST ? n : WORDS_MOST;
}
