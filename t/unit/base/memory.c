/*
 * memory.c - buf, arena and map: caps, zeroes, what stays after a reset.
 */
#include "unit.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"

/* ------------------------------------------------------------------ buf */

static const struct {
	size_t cap;
	const char *adds[3], *text;
	bool full;
} capped[] = {
	{8, {"abc", "def"}, "abcdef", false},
	{6, {"abc", "def"}, "abcdef", false},
	{5, {"abc", "def"}, "abcde", true},
	{5, {"abc", "def", ""}, "abcde", true},
	{3, {"abcd", "e"}, "abc", true},
	{0, {"", "a"}, "", true},
	{0, {""}, "", false},
	{BUF_NO_CAP, {"a", "", "b"}, "ab", false},
};

static void
test_buf_cap(void **state)
{
	struct buf b;
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(capped); i++) {
		buf_init(&b, capped[i].cap);
		assert_string_equal(buf_c(&b), "");
		for (k = 0; k < 3 && capped[i].adds[k]; k++)
			buf_adds(&b, capped[i].adds[k]);
		assert_string_equal(buf_c(&b), capped[i].text);
		assert_int_equal(b.len, strlen(capped[i].text));
		assert_int_equal(b.full, capped[i].full);
		buf_reset(&b);
		assert_false(b.full);
		assert_string_equal(buf_c(&b), "");
		buf_free(&b);
		assert_int_equal(b.cap, capped[i].cap);
	}
}

static void
test_buf_reserve(void **state)
{
	struct buf b;
	char *at;

	(void)state;
	buf_init(&b, 10);
	at = buf_reserve(&b, 4);
	memcpy(at, "abcd", 4);
	buf_grew(&b, 3);
	assert_string_equal(buf_c(&b), "abc");
	assert_null(buf_reserve(&b, 8));
	assert_true(b.full);
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_non_null(buf_reserve(&b, 7));
	buf_free(&b);
}

static void
test_buf_printf(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < 1000; i++)
		buf_addf(&b, "%*d", (int)i, 7);
	assert_int_equal(b.len, 1 + 999 * 1000 / 2);
	buf_free(&b);
	buf_init(&b, 300);
	buf_addf(&b, "%0500d", 7);
	assert_int_equal(b.len, 300);
	assert_true(b.full);
	buf_free(&b);
}

static void
test_buf_shift(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_NO_CAP);
	buf_shift(&b, 5);
	buf_adds(&b, "abcdef");
	buf_shift(&b, 0);
	buf_shift(&b, 2);
	assert_string_equal(buf_c(&b), "cdef");
	buf_shift(&b, 99);
	assert_string_equal(buf_c(&b), "");
	buf_addstr(&b, STR("a\0b"));
	assert_int_equal(buf_str(&b).len, 3);
	buf_free(&b);
}

/* ---------------------------------------------------------------- arena */

static void
test_arena(void **state)
{
	struct arena a;
	size_t round, i, k, size;
	unsigned char *p;

	(void)state;
	arena_init(&a);
	assert_int_equal(a.used, 0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 500; i++) {
			size = i * i % 3001;
			p = arena_alloc(&a, size);
			assert_int_equal((uintptr_t)p %
				_Alignof(max_align_t), 0);
			for (k = 0; k < size; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xff, size);
		}
		assert_non_null(arena_alloc(&a, 1 << 20));
		arena_reset(&a);
		assert_int_equal(a.used, 0);
	}
	arena_free(&a);
	assert_null(a.blocks);
	arena_free(&a);
}

static void
test_arena_copies(void **state)
{
	struct arena a;
	struct str s;

	(void)state;
	arena_init(&a);
	assert_string_equal(arena_cstr(&a, STR("abc")), "abc");
	assert_string_equal(arena_cstr(&a, (struct str){NULL, 0}), "");
	s = arena_str(&a, STR("a\0b"));
	assert_true(str_eq(s, STR("a\0b")));
	assert_int_equal(s.at[3], 0);
	assert_string_equal(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
	assert_int_equal(strlen(arena_printf(&a, "%05000d", 5)), 5000);
	assert_memory_equal(arena_copy(&a, "xyz", 3), "xyz", 3);
	assert_non_null(arena_copy(&a, NULL, 0));
	arena_free(&a);
}

/* A first allocation larger than the small block must not stay. */
static void
test_arena_keeps_little(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	arena_alloc(&a, 100000);
	arena_reset(&a);
	assert_null(a.blocks);
	arena_alloc(&a, 100);
	arena_alloc(&a, 100000);
	arena_reset(&a);
	assert_non_null(a.blocks);
	arena_free(&a);
}

/* ------------------------------------------------------------------ map */

#define KEYS 20000

static struct str
key_of(int i, char out[16])
{
	/* With NULs, and of each length modulo eight. */
	memset(out, 0, 16);
	snprintf(out, 16, "%d", i);
	return str_of(out, strlen(out) + (size_t)i % 9);
}

static void
test_map(void **state)
{
	static char values[KEYS];
	size_t at = 0, seen = 0;
	struct str key;
	struct map m;
	void *value;
	char out[16];
	int i;

	(void)state;
	map_init(&m);
	assert_null(map_get(&m, STR("a")));
	assert_null(map_remove(&m, STR("a")));
	assert_false(map_next(&m, &at, &key, &value));
	for (i = 0; i < KEYS; i++)
		assert_null(map_put(&m, key_of(i, out), &values[i]));
	assert_int_equal(m.count, KEYS);
	assert_ptr_equal(map_put(&m, key_of(5, out), &values[6]), &values[5]);
	assert_ptr_equal(map_put(&m, key_of(5, out), &values[5]), &values[6]);
	for (i = 0; i < KEYS; i += 2)
		assert_ptr_equal(map_remove(&m, key_of(i, out)), &values[i]);
	for (i = 0; i < KEYS; i++)
		assert_ptr_equal(map_get(&m, key_of(i, out)), i % 2 ?
			&values[i] : NULL);
	for (at = 0; map_next(&m, &at, &key, &value); seen++) {
		i = (int)((char *)value - values);
		assert_true(str_eq(key, key_of(i, out)));
		assert_int_equal(values[i]++, 0);
	}
	assert_int_equal(seen, KEYS / 2);
	map_free(&m);
	assert_int_equal(m.count, 0);
}

static void
test_map_odd_keys(void **state)
{
	struct map m;
	int a, b, c;

	(void)state;
	map_init(&m);
	map_put(&m, STR(""), &a);
	map_put(&m, STR("\0"), &b);
	map_put(&m, STR("\0\0"), &c);
	assert_ptr_equal(map_get(&m, (struct str){NULL, 0}), &a);
	assert_ptr_equal(map_get(&m, STR("\0")), &b);
	assert_ptr_equal(map_get(&m, STR("\0\0")), &c);
	assert_null(map_get(&m, STR("\0\0\0")));
	map_free(&m);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_buf_cap),
	cmocka_unit_test(test_buf_reserve),
	cmocka_unit_test(test_buf_printf),
	cmocka_unit_test(test_buf_shift),
	cmocka_unit_test(test_arena),
	cmocka_unit_test(test_arena_copies),
	cmocka_unit_test(test_arena_keeps_little),
	cmocka_unit_test(test_map),
	cmocka_unit_test(test_map_odd_keys),
};
UNIT_MAIN(tests)
