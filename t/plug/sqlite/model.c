/*
 * model.c - the plain mailbox of model.h. Slow and obvious on purpose.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const word[MODEL_WORDS] = {"$Junk", "work", "\xc3\xa9t\xc3\xa9",
	"wor", "$Label1"};

void
model_free(struct model *m)
{
	free(m->row);
	free(m->gone);
}

bool
model_has(const struct mr_range *range, size_t n, uint32_t uid)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (uid >= range[i].first && uid <= range[i].last)
			return true;
	return n == 0;
}

static void *
room_for_one(void *items, size_t n, size_t *room, size_t size)
{
	void *p = items;

	if (n < *room)
		return items;
	*room = *room ? *room * 2 : 64;
	p = realloc(items, *room * size);
	if (!p)
		abort();
	return p;
}

void
model_add(struct model *m, const struct model_row *row)
{
	m->row = room_for_one(m->row, m->n, &m->room, sizeof *m->row);
	m->row[m->n] = *row;
	m->row[m->n].uid = m->uidnext++;
	m->row[m->n].modseq = m->modseq;
	m->n++;
}

static bool
change_row(struct model_row *r, const struct model_change *c)
{
	struct model_row old = *r;

	switch (c->op) {
	case MR_FLAGS_SET:
		r->flags = c->flags;
		r->words = c->words;
		break;
	case MR_FLAGS_ADD:
		r->flags |= c->flags;
		r->words |= c->words;
		break;
	default:
		r->flags &= ~c->flags;
		r->words &= ~c->words;
	}
	return r->flags != old.flags || r->words != old.words;
}

size_t
model_store(struct model *m, const struct mr_range *range, size_t n,
	const struct model_change *c, uint32_t *failed)
{
	uint64_t modseq = m->modseq + 1;
	size_t i, n_failed = 0;

	for (i = 0; i < m->n; i++) {
		struct model_row *r = &m->row[i];

		if (!model_has(range, n, r->uid))
			continue;
		if (c->unchanged_since && r->modseq > c->unchanged_since) {
			failed[n_failed++] = r->uid;
		} else if (change_row(r, c)) {
			r->modseq = modseq;
			m->modseq = modseq;
		}
	}
	return n_failed;
}

static void
remove_row(struct model *m, size_t i, uint64_t modseq)
{
	m->gone = room_for_one(m->gone, m->n_gone, &m->gone_room,
		sizeof *m->gone);
	m->gone[m->n_gone++] = (struct model_gone){m->row[i].uid, modseq};
	memmove(&m->row[i], &m->row[i + 1], (m->n - i - 1) * sizeof *m->row);
	m->n--;
	m->modseq = modseq;
}

void
model_expunge(struct model *m, const struct mr_range *range, size_t n,
	bool any)
{
	uint64_t modseq = m->modseq + 1;
	size_t i = 0;

	while (i < m->n)
		if (model_has(range, n, m->row[i].uid) &&
			(any || m->row[i].flags & MR_FLAG_DELETED))
			remove_row(m, i, modseq);
		else
			i++;
}

size_t
model_copy(struct model *from, struct model *to, const struct mr_range *range,
	size_t n, struct mr_uid_pair *pair)
{
	size_t i, rows = from->n, done = 0;

	for (i = 0; i < rows; i++) {
		struct model_row row = from->row[i];

		if (!model_has(range, n, row.uid))
			continue;
		to->modseq += done == 0;
		pair[done++] = (struct mr_uid_pair){row.uid, to->uidnext};
		model_add(to, &row);
	}
	return done;
}

uint64_t
model_bytes(const struct model *m)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < m->n; i++)
		sum += m->row[i].length;
	return sum;
}

uint32_t
model_unseen(const struct model *m)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < m->n; i++)
		sum += !(m->row[i].flags & MR_FLAG_SEEN);
	return sum;
}

bool
model_is_gone(const struct model *m, uint32_t uid, uint64_t since)
{
	size_t i;

	for (i = 0; i < m->n_gone; i++)
		if (m->gone[i].uid == uid && m->gone[i].modseq > since)
			return true;
	return false;
}

/* -------------------------------------------------------------- keywords */

void
model_write_words(uint32_t words, unsigned salt, char out[128])
{
	unsigned i, k;
	char *at = out;

	for (i = 0; i < MODEL_WORDS; i++) {
		k = (i + salt) % MODEL_WORDS;
		if (!(words >> k & 1))
			continue;
		at += sprintf(at, "%s%s", at == out ? "" : " ", word[k]);
		if (salt & 8 && word[k][0] == 'w')
			at[-1] = (char)(at[-1] - 32);
	}
	*at = '\0';
}

static uint32_t
word_bit(const char *text, size_t len)
{
	unsigned k;

	for (k = 0; k < MODEL_WORDS; k++)
		if (strlen(word[k]) == len && !strncasecmp(word[k], text, len))
			return 1u << k;
	return 0;
}

uint32_t
model_read_words(const char *text, size_t len)
{
	uint32_t words = 0, bit;
	size_t at = 0, n;

	for (; at < len; at += n + 1) {
		const char *end = memchr(text + at, ' ', len - at);

		n = end ? (size_t)(end - text) - at : len - at;
		bit = word_bit(text + at, n);
		if (!bit || words & bit)
			return UINT32_MAX;
		words |= bit;
	}
	return words;
}
