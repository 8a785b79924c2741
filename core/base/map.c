/*
 * map.c - chained hash table. The hash is SipHash-2-4 (Aumasson, Bernstein,
 * 2012) with a key drawn once a process.
 */
#include "base/map.h"

#include <pthread.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/enc.h"

struct map_slot {
	struct map_slot *next;
	void *value;
	uint64_t hash;
	size_t len;
	char key[];
};

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void
draw_seed(void)
{
	enc_random(seed, sizeof seed);
}

static uint64_t
rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void
sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

static uint64_t
hash(struct str key)
{
	uint64_t v[4], m;
	size_t i, left;

	pthread_once(&seeded, draw_seed);
	v[0] = seed[0] ^ 0x736f6d6570736575ULL;
	v[1] = seed[1] ^ 0x646f72616e646f6dULL;
	v[2] = seed[0] ^ 0x6c7967656e657261ULL;
	v[3] = seed[1] ^ 0x7465646279746573ULL;
	for (i = 0; i + 8 <= key.len; i += 8) {
		memcpy(&m, key.at + i, 8);
		sip_word(v, m);
	}
	m = (uint64_t)key.len << 56;
	for (left = 0; i + left < key.len; left++)
		m |= (uint64_t)(unsigned char)key.at[i + left] << (8 * left);
	sip_word(v, m);
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
map_init(struct map *m)
{
	*m = (struct map){NULL, 0, 0};
}

void
map_free(struct map *m)
{
	struct map_slot *s, *next;
	size_t i;

	for (i = 0; i < m->n_slots; i++)
		for (s = m->slots[i]; s; s = next) {
			next = s->next;
			free(s);
		}
	free(m->slots);
	map_init(m);
}

static struct map_slot **
find(const struct map *m, struct str key, uint64_t h)
{
	struct map_slot **at = &m->slots[h & (m->n_slots - 1)];

	while (*at && ((*at)->hash != h ||
		!str_eq(str_of((*at)->key, (*at)->len), key)))
		at = &(*at)->next;
	return at;
}

static void
grow(struct map *m)
{
	size_t n = m->n_slots ? m->n_slots * 2 : 8, i;
	struct map_slot **slots = mem_alloc(n * sizeof *slots), *s, *next;

	for (i = 0; i < m->n_slots; i++)
		for (s = m->slots[i]; s; s = next) {
			next = s->next;
			s->next = slots[s->hash & (n - 1)];
			slots[s->hash & (n - 1)] = s;
		}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
}

void *
map_get(const struct map *m, struct str key)
{
	struct map_slot *s = m->count ? *find(m, key, hash(key)) : NULL;

	return s ? s->value : NULL;
}

void *
map_put(struct map *m, struct str key, void *value)
{
	struct map_slot **at, *s;
	uint64_t h = hash(key);
	void *old;

	if (m->count >= m->n_slots)
		grow(m);
	at = find(m, key, h);
	if (*at) {
		old = (*at)->value;
		(*at)->value = value;
		return old;
	}
	s = mem_alloc(sizeof *s + key.len);
	s->hash = h;
	s->value = value;
	s->len = key.len;
	if (key.len)
		memcpy(s->key, key.at, key.len);
	*at = s;
	m->count++;
	return NULL;
}

void *
map_remove(struct map *m, struct str key)
{
	struct map_slot **at, *s;
	void *old;

	if (!m->count)
		return NULL;
	at = find(m, key, hash(key));
	s = *at;
	if (!s)
		return NULL;
	old = s->value;
	*at = s->next;
	free(s);
	m->count--;
	return old;
}

/* *at packs the slot number and the place in its chain. */
bool
map_next(const struct map *m, size_t *at, struct str *key, void **value)
{
	size_t slot = *at >> 16, place = *at & 0xffff, i;
	struct map_slot *s;

	for (; slot < m->n_slots; slot++, place = 0) {
		for (s = m->slots[slot], i = 0; s && i < place; i++)
			s = s->next;
		if (!s)
			continue;
		*key = str_of(s->key, s->len);
		*value = s->value;
		*at = slot << 16 | (place + 1);
		return true;
	}
	return false;
}
