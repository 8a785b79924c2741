/*
 * families.c - which family goes first.
 */
#include "unit.h"

#include "base/str.h"
#include "queue/families.h"

static void
rank(enum families_prefer prefer, const char *address, int expected)
{
	struct families *f = families_new(prefer);
	struct sock_addr to;

	assert_int_equal(sock_parse(str_from(address), &to, NULL), 0);
	assert_int_equal(families_rank(f, NULL, &to, 0), expected);
	families_free(f);
}

static void
test_preference(void **state)
{
	(void)state;
	rank(FAMILIES_IPV4, "192.0.2.1:25", 0);
	rank(FAMILIES_IPV4, "[2001:db8::1]:25", 1);
	rank(FAMILIES_IPV6, "192.0.2.1:25", 1);
	rank(FAMILIES_IPV6, "[2001:db8::1]:25", 0);
}

/* Nobody asks for the name of a private address: no resolver is needed. */
static void
test_loopback(void **state)
{
	(void)state;
	rank(FAMILIES_AUTO, "127.0.0.1:25", 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_preference),
	cmocka_unit_test(test_loopback),
};
UNIT_MAIN(tests)
