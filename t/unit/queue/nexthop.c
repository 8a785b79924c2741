/*
 * nexthop.c - which route a recipient and a sender take.
 */
#include "unit.h"

#include "queue/nexthop.h"

#define LIST(...) {(const char *const[]){__VA_ARGS__}, \
	sizeof (const char *const[]){__VA_ARGS__} / sizeof (const char *)}

static struct nexthop item[] = {
	{.name = "star", .domains = LIST("*")},
	{.name = "star-boss", .domains = LIST("*"),
		.senders = LIST("boss@x.test", "<>")},
	{.name = "star-y", .domains = LIST("*"),
		.senders = LIST(".y.test", "y.test")},
	{.name = "one", .domains = LIST("one.test", ".one.test")},
	{.name = "deep-z", .domains = LIST("deep.one.test"),
		.senders = LIST("z.test")},
};
static const struct nexthops all = {item, sizeof item / sizeof *item};

static void
test_find(void **state)
{
	static const struct {
		const char *domain, *sender, *name;
	} rows[] = {
		{"any.test", "a@x.test", "star"},
		{"any.test", "boss@x.test", "star-boss"},
		{"any.test", "", "star-boss"},
		{"any.test", "b@y.test", "star-y"},
		{"any.test", "b@sub.y.test", "star-y"},
		{"any.test", "b@noty.test", "star"},
		{"one.test", "boss@x.test", "one"},
		{"sub.one.test", "", "one"},
		{"deep.one.test", "a@x.test", "one"},
		{"deep.one.test", "a@z.test", "deep-z"},
	};
	const struct nexthop *found;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		found = nexthop_find(&all, str_from(rows[i].domain),
			str_from(rows[i].sender));
		assert_non_null(found);
		assert_string_equal(found->name, rows[i].name);
	}
	assert_null(nexthop_find(NULL, STR("one.test"), STR("")));
	assert_true(nexthop_asks_sender(&all));
}

static void
test_source(void **state)
{
	struct sock_addr a;
	struct err e = {0};

	(void)state;
	assert_int_equal(nexthop_source("192.0.2.1", &a, &e), 0);
	assert_int_equal(a.sa.ss_family, AF_INET);
	assert_int_equal(nexthop_source("2001:db8::1", &a, &e), 0);
	assert_int_equal(a.sa.ss_family, AF_INET6);
	assert_int_equal(nexthop_source("mail.test", &a, &e), -1);
	assert_int_equal(nexthop_source("", &a, &e), -1);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_find),
	cmocka_unit_test(test_source),
};
UNIT_MAIN(tests)
