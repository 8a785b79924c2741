/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * check.c - is the chain whole? (RFC 8617 5.2) The newest message signature
 * must fit the message as it is, and every seal all sets up to its own. How
 * far back the message is unchanged is told beside, and decides nothing.
 */
#include "arc.h"

#include <string.h>

/* Bodies that were hashed: more than one signature is over the same. */
struct hashes {
	bool is_known[2];
	unsigned char hash[2][HASH];
};

struct work {
	const struct letter *letter;
	const struct sets *sets;
	const struct resolver *resolver;
	struct hashes hashes;
};

/* ------------------------------------------------------ message signature */

/* "relaxed/simple", where the body is simple if it is not said. */
static bool
read_canon(struct mr_str c, bool *header, bool *body)
{
	const char *slash = c.len ? memchr(c.at, '/', c.len) : NULL;
	struct mr_str first = {c.at, slash ? (size_t)(slash - c.at) : c.len};
	struct mr_str second = {slash ? slash + 1 : NULL, slash ?
		(size_t)(c.at + c.len - slash - 1) : 0};

	*header = tags_is(first, "relaxed");
	*body = slash && tags_is(second, "relaxed");
	return !c.at || ((*header || tags_is(first, "simple")) &&
		(!slash || *body || tags_is(second, "simple")));
}

static bool
names_seal(struct mr_str list)
{
	while (list.len) {
		const char *end = memchr(list.at, ':', list.len);
		size_t n = end ? (size_t)(end - list.at) : list.len;

		if (tags_is(tags_trim((struct mr_str){list.at, n}),
			part_names[PART_SEAL]))
			return true;
		list.at += n + (end != NULL);
		list.len -= n + (end != NULL);
	}
	return false;
}

/* A length that leaves something out is none (MITM may append). */
static bool
is_whole(struct mr_str l, uint64_t length)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < l.len; i++) {
		if (l.at[i] < '0' || l.at[i] > '9' || i == 18)
			return false;
		n = n * 10 + (uint64_t)(l.at[i] - '0');
	}
	return !l.at || (l.len && n == length);
}

static const char *
check_body(struct work *w, const struct tags *t, bool relaxed)
{
	struct mr_str bh = tags_get(t, "bh");
	unsigned char told[256], *hash = w->hashes.hash[relaxed];
	uint64_t length = 0;

	if (!bh.len || bh.len > sizeof told || tags_base64(bh, told) != HASH)
		return "bh= is no hash";
	if (!w->hashes.is_known[relaxed] || tags_get(t, "l").at) {
		if (canon_body(w->letter, relaxed, UINT64_MAX, hash,
			&length) < 0)
			return "the body cannot be read";
		w->hashes.is_known[relaxed] = true;
	}
	if (tags_get(t, "l").at && !is_whole(tags_get(t, "l"), length))
		return "l= leaves a part of the body out";
	return memcmp(told, hash, HASH) ? "the body was changed" : NULL;
}

static enum check
check_message(struct work *w, unsigned i, const char **why)
{
	const struct set *s = &w->sets->set[i];
	struct mr_str names = tags_get(&s->message, "h");
	bool header, body;
	struct text bytes = {.at = NULL};
	enum check code = CHECK_BAD;

	*why = "c= is no form that there is";
	if (!read_canon(tags_get(&s->message, "c"), &header, &body))
		return CHECK_BAD;
	*why = "h= does not say what is signed, or names a seal";
	if (!names.len || names_seal(names))
		return CHECK_BAD;
	if ((*why = check_body(w, &s->message, body)))
		return CHECK_BAD;
	if (canon_fields(&bytes, w->letter, names, header)) {
		canon_signature(&bytes, s->field[PART_MESSAGE], &s->message,
			header);
		code = key_check(w->resolver, &s->message, &bytes, why);
	} else {
		*why = "h= is no list of fields";
	}
	text_free(&bytes);
	return code;
}

/* ------------------------------------------------------------------ seals */

static enum check
check_seal(struct work *w, unsigned i, const char **why)
{
	const struct set *s = w->sets->set;
	struct text bytes = {.at = NULL};
	enum check code;
	unsigned k;
	int part;

	*why = "its seal has h=";
	if (tags_get(&s[i].seal, "h").at)
		return CHECK_BAD;
	for (k = 0; k <= i; k++)
		for (part = 0; part < PARTS; part++) {
			const struct mr_header *h = s[k].field[part];

			if (k == i && part == PART_SEAL)
				canon_signature(&bytes, h, &s[i].seal, true);
			else
				canon_field(&bytes, h->name, h->value, true);
		}
	code = key_check(w->resolver, &s[i].seal, &bytes, why);
	text_free(&bytes);
	return code;
}

/* ------------------------------------------------------------------ chain */

/* The lowest instance from which on all signatures still fit; 0: all do. */
static unsigned
find_oldest_pass(struct work *w)
{
	unsigned i;
	const char *why;

	for (i = w->sets->n - 1; i > 0; i--)
		if (check_message(w, i - 1, &why) != CHECK_GOOD)
			return i + 1;
	return 0;
}

static void
conclude(struct finding *out, enum check code, unsigned instance,
	const char *why)
{
	out->chain = code == CHECK_TEMP ? CHAIN_TEMP : CHAIN_FAIL;
	out->instance = instance;
	out->why = why;
}

void
check_chain(const struct letter *l, const struct sets *s,
	const struct resolver *r, struct finding *out)
{
	struct work w = {.letter = l, .sets = s, .resolver = r};
	const char *why;
	enum check code;
	unsigned i;

	*out = (struct finding){.chain = CHAIN_NONE};
	if (s->wrong)
		return conclude(out, CHECK_BAD, 0, s->wrong);
	if (!s->n)
		return;
	code = check_message(&w, s->n - 1, &why);
	if (code != CHECK_GOOD)
		return conclude(out, code, s->n, why);
	for (i = s->n; i > 0; i--) {
		code = check_seal(&w, i - 1, &why);
		if (code != CHECK_GOOD)
			return conclude(out, code, i, why);
	}
	out->chain = CHAIN_PASS;
	out->oldest_pass = find_oldest_pass(&w);
}
