/*
 * arena.c - bump allocation in a chain of blocks.
 *
 * The first block is small, so that a parked session is cheap; later ones
 * double up to 64 KiB; what is larger gets a block of its own.
 */
#include "base/arena.h"

#include <stdarg.h>

#define FIRST_BLOCK 1000
#define LARGEST_BLOCK 65536
#define ALIGN _Alignof(max_align_t)

struct arena_block {
	struct arena_block *older;
	size_t room, used;
	_Alignas(max_align_t) char bytes[];
};

void *
mem_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *
mem_grow(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		abort();
	return p;
}

char *
mem_cstr(const char *c)
{
	size_t n = strlen(c) + 1;

	return memcpy(mem_alloc(n), c, n);
}

void
arena_init(struct arena *a)
{
	*a = (struct arena){NULL, 0};
}

static struct arena_block *
add_block(struct arena *a, size_t size)
{
	size_t room = a->blocks ? a->blocks->room * 2 : FIRST_BLOCK;
	struct arena_block *b;

	if (room > LARGEST_BLOCK)
		room = LARGEST_BLOCK;
	if (room < size)
		room = size;
	b = malloc(sizeof *b + room);
	if (!b)
		abort();
	*b = (struct arena_block){.older = a->blocks, .room = room};
	a->blocks = b;
	return b;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;
	void *p;

	size = (size + ALIGN - 1) & ~(ALIGN - 1);
	if (!b || b->room - b->used < size)
		b = add_block(a, size);
	p = b->bytes + b->used;
	b->used += size;
	a->used += size;
	return memset(p, 0, size);
}

void *
arena_copy(struct arena *a, const void *bytes, size_t size)
{
	void *p = arena_alloc(a, size);

	return size ? memcpy(p, bytes, size) : p;
}

char *
arena_cstr(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(p, s.at, s.len);
	return p;
}

struct str
arena_str(struct arena *a, struct str s)
{
	return str_of(arena_cstr(a, s), s.len);
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)(n < 0 ? 0 : n) + 1, fmt, ap);
	va_end(ap);
	return p;
}

void
arena_reset(struct arena *a)
{
	struct arena_block *b = a->blocks, *older;

	/* The oldest block is the smallest: keep that one. */
	for (; b && b->older; b = older) {
		older = b->older;
		free(b);
	}
	a->blocks = b;
	a->used = 0;
	if (b && b->room > FIRST_BLOCK) {
		free(b);
		a->blocks = NULL;
	} else if (b) {
		b->used = 0;
	}
}

void
arena_free(struct arena *a)
{
	arena_reset(a);
	free(a->blocks);
	arena_init(a);
}
