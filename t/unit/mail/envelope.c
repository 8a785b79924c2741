/*
 * envelope.c - recipients of a message, looked up as MILTER.md 1.6 says of
 * DELRCPT.
 */
#include "unit.h"

#include "base/clock.h"
#include "mail/envelope.h"

static const struct {
	const char *wanted;
	size_t index;
} rows[] = {
	{"joe@example.org", 0},
	{"joe@EXAMPLE.org", 0},
	{"Joe@example.org", 1},		/* exact local part first */
	{"JOE@example.org", 0},		/* then without case */
	{"ann@example.org", 2},
	{"ANN@Example.Org", 2},
	{"postmaster", 3},
	{"\"a@b\"@example.org", 4},
	{"joe@example.com", SIZE_MAX},
	{"joe", SIZE_MAX},
	{"", SIZE_MAX},
};

static void
test_find(void **state)
{
	struct envelope e;
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	envelope_init(&e, &a);
	envelope_add(&e, STR("joe@example.org"), STR("NOTIFY=NEVER"));
	envelope_add(&e, STR("Joe@example.org"), STR(""));
	envelope_add(&e, STR("ann@example.org"), STR(""));
	envelope_add(&e, STR("postmaster"), STR(""));
	envelope_add(&e, STR("\"a@b\"@example.org"), STR(""));
	for (i = 0; i < COUNT(rows); i++)
		assert_true(envelope_find(&e, str_from(rows[i].wanted)) ==
			rows[i].index);
	assert_true(str_is(e.rcpt[0].args, "NOTIFY=NEVER"));
	e.rcpt[0].removed = true;
	assert_int_equal(envelope_find(&e, STR("joe@example.org")), 1);
	assert_int_equal(envelope_count(&e), 4);
	arena_free(&a);
}

static void
test_grows(void **state)
{
	struct envelope e;
	struct arena a;
	char name[32];
	size_t i;

	(void)state;
	arena_init(&a);
	envelope_init(&e, &a);
	assert_int_equal(envelope_count(&e), 0);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "u%zu@example.org", i);
		assert_int_equal(envelope_add(&e, str_from(name), STR("")), i);
	}
	assert_int_equal(envelope_find(&e, STR("u999@example.org")), 999);
	assert_int_equal(envelope_find(&e, STR("u0@example.org")), 0);
	assert_int_equal(envelope_count(&e), 1000);
	arena_free(&a);
}

static void
test_id(void **state)
{
	int64_t before = clock_wall();
	char id[20], other[20];

	(void)state;
	envelope_id(id);
	envelope_id(other);
	assert_int_equal(strlen(id), 14);
	assert_string_not_equal(id, other);
	assert_true(envelope_id_time(str_from(id)) >= before);
	assert_true(envelope_id_time(str_from(id)) <= clock_wall());
	assert_int_equal(envelope_id_time(STR("a@example.org")), -1);
	assert_int_equal(envelope_id_time(STR("UUUUUUUUUUUUUU")), -1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_find),
	cmocka_unit_test(test_grows),
	cmocka_unit_test(test_id),
};
UNIT_MAIN(tests)
