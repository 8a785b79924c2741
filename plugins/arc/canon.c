/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * canon.c - what is signed of a message: fields and body, as they are or with
 * their white space evened out (RFC 6376 3.4).
 */
#include "arc.h"

#include <string.h>

#define PIECE 16384
#define NAMES_MOST 256		/* of a list of fields */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ----------------------------------------------------------------- fields */

/* RFC 6376 3.4.2: one line, runs of white space as one blank. */
static void
add_relaxed(struct text *out, struct mr_str value)
{
	size_t i, from, begin = out->len;

	for (i = 0; i < value.len; ) {
		while (i < value.len && (is_blank(value.at[i]) ||
			value.at[i] == '\r' || value.at[i] == '\n'))
			i++;
		for (from = i; i < value.len && !is_blank(value.at[i]) &&
			value.at[i] != '\r' && value.at[i] != '\n'; i++)
			;
		if (i == from)
			break;
		if (out->len > begin)
			text_adds(out, " ");
		text_add(out, value.at + from, i - from);
	}
}

static void
add_field(struct text *out, struct mr_str name, struct mr_str value,
	bool relaxed)
{
	size_t i;

	if (!relaxed) {
		text_add(out, name.at, name.len);
		text_adds(out, ":");
		text_add(out, value.at, value.len);
		return;
	}
	for (i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (!is_blank(c))
			text_add(out, &c, 1);
	}
	text_adds(out, ":");
	add_relaxed(out, value);
}

void
canon_field(struct text *out, struct mr_str name, struct mr_str value,
	bool relaxed)
{
	add_field(out, name, value, relaxed);
	text_adds(out, "\r\n");
}

void
canon_signature(struct text *out, const struct mr_header *h,
	const struct tags *tags, bool relaxed)
{
	struct text value = {.at = NULL};
	const char *end = h->value.at + h->value.len, *cut = end, *on = end;
	size_t i;

	for (i = 0; i < tags->n; i++)
		if (tags->tag[i].name.len == 1 &&
			*tags->tag[i].name.at == 'b') {
			cut = tags->tag[i].raw.at;
			on = cut + tags->tag[i].raw.len;
		}
	text_add(&value, h->value.at, (size_t)(cut - h->value.at));
	text_add(&value, on, (size_t)(end - on));
	add_field(out, h->name, (struct mr_str){value.at, value.len}, relaxed);
	out->failed |= value.failed;
	text_free(&value);
}

static bool
is_named(const struct mr_header *h, struct mr_str name)
{
	size_t i, n = h->name.len;

	while (n && is_blank(h->name.at[n - 1]))
		n--;
	if (n != name.len)
		return false;
	for (i = 0; i < n; i++)
		if ((h->name.at[i] | 0x20) != (name.at[i] | 0x20))
			return false;
	return true;
}

/* One that stands in the list a second time is the next one further up. */
bool
canon_fields(struct text *out, const struct letter *l, struct mr_str names,
	bool relaxed)
{
	struct mr_str seen[NAMES_MOST], name;
	size_t n = 0, i, skip, at;
	const char *end;

	do {
		end = names.len ? memchr(names.at, ':', names.len) : NULL;
		name = tags_trim((struct mr_str){names.at, end ?
			(size_t)(end - names.at) : names.len});
		if (!name.len || n == NAMES_MOST)
			return false;
		for (skip = i = 0; i < n; i++)
			skip += is_named(&(struct mr_header){.name = seen[i]},
				name);
		seen[n++] = name;
		for (at = l->n; at > 0; at--)
			if (is_named(&l->field[at - 1], name) && skip-- == 0)
				break;
		if (at)
			canon_field(out, l->field[at - 1].name,
				l->field[at - 1].value, relaxed);
		if (end)
			names.len -= (size_t)(end + 1 - names.at);
		names.at = end ? end + 1 : names.at;
	} while (end);
	return true;
}

/* ------------------------------------------------------------------- body */

/* A body on its way into a digest. Line ends and blanks are held back until
 * something follows them: at the end of the body they fall away. */
struct body {
	EVP_MD_CTX *digest;
	bool relaxed, has_blank, after_cr;
	uint64_t line_ends;	/* held back */
	uint64_t most, length;
	char out[PIECE];
	size_t n;
};

static void
flush(struct body *b)
{
	size_t n = b->length < b->most ? b->n : 0;

	if (n && b->most - b->length < n)
		n = (size_t)(b->most - b->length);
	EVP_DigestUpdate(b->digest, b->out, n);
	b->length += b->n;
	b->n = 0;
}

static void
put(struct body *b, char c)
{
	b->out[b->n++] = c;
	if (b->n == sizeof b->out)
		flush(b);
}

static void
put_held_back(struct body *b)
{
	for (; b->line_ends; b->line_ends--) {
		put(b, '\r');
		put(b, '\n');
	}
	if (b->has_blank)
		put(b, ' ');
	b->has_blank = false;
}

static void
take_byte(struct body *b, char c)
{
	if (b->after_cr && c == '\n') {
		b->after_cr = b->has_blank = false;
		b->line_ends++;
		return;
	}
	if (b->after_cr) {	/* a bare one is a byte like others */
		put_held_back(b);
		put(b, '\r');
	}
	b->after_cr = c == '\r';
	if (c == '\r')
		return;
	if (b->relaxed && is_blank(c)) {
		b->has_blank = true;
		return;
	}
	put_held_back(b);
	put(b, c);
}

/* The last line end stands for all that follow it; one that is missing is
 * added; an empty body is nothing (relaxed) or a line end (simple). */
static void
end_body(struct body *b)
{
	if (b->after_cr) {
		put_held_back(b);
		put(b, '\r');
	}
	if (b->length + b->n || !b->relaxed) {
		put(b, '\r');
		put(b, '\n');
	}
	flush(b);
}

int
canon_body(const struct letter *l, bool relaxed, uint64_t most,
	unsigned char out[HASH], uint64_t *length)
{
	struct body b = {.digest = EVP_MD_CTX_new(), .relaxed = relaxed,
		.most = most};
	char piece[PIECE];
	uint64_t at = 0;
	int64_t n = 0, i;

	if (!b.digest || !EVP_DigestInit_ex(b.digest, EVP_sha256(), NULL)) {
		EVP_MD_CTX_free(b.digest);
		return -1;
	}
	while ((n = l->read(l->arg, at, piece, sizeof piece)) > 0) {
		for (i = 0; i < n; i++)
			take_byte(&b, piece[i]);
		at += (uint64_t)n;
	}
	end_body(&b);
	EVP_DigestFinal_ex(b.digest, out, NULL);
	EVP_MD_CTX_free(b.digest);
	*length = b.length;
	return n < 0 ? -1 : 0;
}
