/*
 * known.c - where the writer found mailboxes, by account and name, so that
 * the next message to one costs no look-up.
 *
 * The writing thread's alone. writer.c forgets everything when another
 * process has written, or a change of our own may have touched mailboxes.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 1024		/* a power of two */
#define MOST (SLOTS / 2)

struct entry {
	uint32_t hash;
	char *key;		/* account, NUL, name, NUL */
	struct sq_place place;
};

struct sq_known {
	unsigned n;
	struct entry *slot;	/* SLOTS, or NULL before the first */
};

struct sq_known *
sq_known_new(void)
{
	return sq_alloc(sizeof(struct sq_known));
}

void
sq_known_forget(struct sq_known *k)
{
	unsigned i;

	if (!k->n)
		return;
	for (i = 0; i < SLOTS; i++)
		free(k->slot[i].key);
	free(k->slot);
	*k = (struct sq_known){.n = 0};
}

void
sq_known_free(struct sq_known *k)
{
	sq_known_forget(k);
	free(k);
}

/* FNV-1a over both, the NUL between them included. */
static uint32_t
hash_of(const char *account, const char *name)
{
	uint32_t h = 2166136261u;

	for (; *account; account++)
		h = (h ^ (uint8_t)*account) * 16777619u;
	h *= 16777619u;
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}

static bool
is_key(const struct entry *e, const char *account, const char *name)
{
	return strcmp(e->key, account) == 0 &&
		strcmp(e->key + strlen(e->key) + 1, name) == 0;
}

static struct entry *
find(const struct sq_known *k, const char *account, const char *name,
	uint32_t hash)
{
	uint32_t at = hash;

	for (;; at++) {
		struct entry *e = &k->slot[at & (SLOTS - 1)];

		if (!e->key || (e->hash == hash && is_key(e, account, name)))
			return e;
	}
}

bool
sq_known_find(const struct sq_known *k, const char *account, const char *name,
	struct sq_place *out)
{
	struct entry *e;

	if (!k->n)
		return false;
	e = find(k, account, name, hash_of(account, name));
	if (e->key)
		*out = e->place;
	return e->key != NULL;
}

void
sq_known_keep(struct sq_known *k, const char *account, const char *name,
	const struct sq_place *p)
{
	size_t a = strlen(account) + 1, n = strlen(name) + 1;
	uint32_t hash = hash_of(account, name);
	struct entry *e;

	if (k->n == MOST)
		sq_known_forget(k);
	if (!k->slot)
		k->slot = sq_alloc(SLOTS * sizeof *k->slot);
	e = find(k, account, name, hash);
	if (!e->key) {
		e->key = sq_alloc(a + n);
		memcpy(e->key, account, a);
		memcpy(e->key + a, name, n);
		k->n++;
	}
	e->hash = hash;
	e->place = *p;
}
