/*
 * map.h - a hash map from byte strings to pointers.
 *
 * Keys are copied, values are borrowed. The hash is seeded at random once a
 * process (SipHash), so strangers cannot choose collisions. Not locked.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct map_slot;

struct map {
	struct map_slot **slots;
	size_t n_slots;
	size_t count;
};

void map_init(struct map *m);
void map_free(struct map *m);		/* keys only; values are yours */
void *map_get(const struct map *m, struct str key);
/* Returns the value that stood there before, or NULL. value is not NULL. */
void *map_put(struct map *m, struct str key, void *value);
void *map_remove(struct map *m, struct str key);
/* Walks in no particular order; *at starts as 0. Returns false at the end.
 * The map must not change during the walk. */
bool map_next(const struct map *m, size_t *at, struct str *key, void **value);

#endif
