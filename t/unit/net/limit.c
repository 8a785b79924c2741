/*
 * limit.c - counts by key, by one thread and by many.
 */
#include "unit.h"

#include <pthread.h>

#include "net/limit.h"

static void
test_most(void **state)
{
	struct limit *l = limit_new();
	int i;

	(void)state;
	assert_true(limit_take(l, STR("a"), 2));
	assert_true(limit_take(l, STR("a"), 2));
	assert_false(limit_take(l, STR("a"), 2));
	assert_true(limit_take(l, STR("b"), 2));
	assert_true(limit_take(l, STR("a"), 3));
	limit_give(l, STR("a"));
	assert_false(limit_take(l, STR("a"), 2));
	limit_give(l, STR("a"));
	assert_true(limit_take(l, STR("a"), 2));
	for (i = 0; i < 1000; i++)
		assert_true(limit_take(l, STR(""), 0));
	assert_false(limit_take(l, STR(""), 1000));
	/* More given than taken is forgiven, not carried over. */
	limit_give(l, STR("c"));
	assert_true(limit_take(l, STR("c"), 1));
	assert_false(limit_take(l, STR("c"), 1));
	limit_free(l);
	limit_free(NULL);
}

static struct limit *shared;
static int taken;

static void *
take_and_give(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 20000; i++) {
		if (!limit_take(shared, STR("k"), 3))
			continue;
		if (__atomic_add_fetch(&taken, 1, __ATOMIC_SEQ_CST) > 3)
			abort();
		__atomic_sub_fetch(&taken, 1, __ATOMIC_SEQ_CST);
		limit_give(shared, STR("k"));
	}
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t thread[8];
	size_t i;

	(void)state;
	shared = limit_new();
	for (i = 0; i < COUNT(thread); i++)
		pthread_create(&thread[i], NULL, take_and_give, NULL);
	for (i = 0; i < COUNT(thread); i++)
		pthread_join(thread[i], NULL);
	assert_true(limit_take(shared, STR("k"), 1));
	limit_free(shared);
}

static const struct {
	const char *peer, *key;
} keys[] = {
	{"192.0.2.1:25", "192.0.2.1"}, {"192.0.2.1:26", "192.0.2.1"},
	{"[::ffff:192.0.2.1]:25", "192.0.2.1"},
	{"[2001:db8:1:2:3:4:5:6]:25", "2001:db8:1:2::"},
	{"[2001:db8:1:2::9]:25", "2001:db8:1:2::"},
	{"[2001:db8:1:3::9]:25", "2001:db8:1:3::"},
	{"[::1]:25", "::"},
};

static void
test_keys(void **state)
{
	struct sock_addr a;
	char out[SOCK_TEXT];
	struct err e;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(keys); i++) {
		assert_int_equal(sock_parse(str_from(keys[i].peer), &a, &e),
			0);
		assert_true(str_is(limit_peer_key(&a, out), keys[i].key));
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_most),
	cmocka_unit_test(test_threads),
	cmocka_unit_test(test_keys),
};
UNIT_MAIN(tests)
