/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sets.c - the three fields that each server on the way has added, by their
 * instance, and whether they form a chain at all (RFC 8617 5.2, steps 1 to 3).
 */
#include "arc.h"

#include <stdlib.h>
#include <string.h>

const char *const part_names[PARTS] = {"ARC-Authentication-Results",
	"ARC-Message-Signature", "ARC-Seal"};

/* The instance; 0: none that can be used. */
static unsigned
read_field(struct sets *s, enum part part, const struct mr_header *h,
	struct tags *tags)
{
	struct mr_str first = h->value;
	const char *end = first.len ? memchr(first.at, ';', first.len) : NULL;

	if (part != PART_RESULTS) {
		if (tags_read(h->value, tags))
			return tags_instance(tags_get(tags, "i"));
		s->wrong = "a field that is no list of tags";
		return 0;
	}
	/* Only its first tag is one. */
	first.len = end ? (size_t)(end - first.at) : first.len;
	if (!end || !tags_read(first, tags))
		return 0;
	return tags_instance(tags_get(tags, "i"));
}

static void
take_field(struct sets *s, enum part part, const struct mr_header *h)
{
	struct tags tags;
	unsigned i = read_field(s, part, h, &tags);
	struct set *set = i ? &s->set[i - 1] : NULL;

	if (!set) {
		s->wrong = s->wrong ? s->wrong : "an instance that is no "
			"number from 1 to 50";
		return;
	}
	if (set->field[part]) {
		s->wrong = "a field twice";
		return;
	}
	set->field[part] = h;
	if (part == PART_MESSAGE)
		set->message = tags;
	else if (part == PART_SEAL)
		set->seal = tags;
	s->n = i > s->n ? i : s->n;
}

/* The first says that there was none before it, the others what they found. */
static const char *
check_order(const struct sets *s)
{
	unsigned i;
	int part;

	for (i = 0; i < s->n; i++) {
		struct mr_str cv;

		for (part = 0; part < PARTS; part++)
			if (!s->set[i].field[part])
				return "a field is missing";
		cv = tags_get(&s->set[i].seal, "cv");
		if (i + 1 == s->n && tags_is(cv, "fail"))
			return "a server before has found it broken";
		if (!tags_is(cv, i ? "pass" : "none"))
			return "cv= does not fit the instance";
	}
	return NULL;
}

void
sets_read(const struct letter *l, struct sets *out)
{
	size_t i;
	int part;

	*out = (struct sets){.n = 0};
	for (i = 0; i < l->n; i++)
		for (part = 0; part < PARTS; part++) {
			if (!tags_is(l->field[i].name, part_names[part]))
				continue;
			if (!out->set)
				out->set = calloc(SETS_MOST,
					sizeof *out->set);
			if (out->set)
				take_field(out, (enum part)part, &l->field[i]);
			else
				out->wrong = "no memory";
		}
	if (!out->wrong)
		out->wrong = check_order(out);
}

void
sets_free(struct sets *s)
{
	free(s->set);
	*s = (struct sets){.n = 0};
}
