/*
 * arena.h - memory that dies together.
 *
 * There are three on the serving path: session, message, command. What a
 * verb allocates comes from one of them and is never freed by itself. All
 * memory is zeroed and aligned for any type. Small allocations that fail are
 * a bug of the machine and end the process; sizes chosen by strangers are
 * bounded by the caller before.
 *
 * An arena belongs to one thread at a time. It holds no memory until the
 * first allocation, and arena_reset gives back all but one small block, so
 * that parked sessions cost little.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;	/* newest first */
	size_t used;			/* bytes handed out since reset */
};

void arena_init(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);
void *arena_copy(struct arena *a, const void *bytes, size_t size);
/* Copies with a NUL behind. */
char *arena_cstr(struct arena *a, struct str s);
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Everything handed out becomes invalid. reset keeps at most one block of
 * 1 KiB; free keeps nothing. Both may be followed by further use. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

/* malloc family that ends the process instead of returning NULL. */
void *mem_alloc(size_t size);			/* zeroed */
void *mem_grow(void *old, size_t size);
char *mem_cstr(const char *c);

#endif
