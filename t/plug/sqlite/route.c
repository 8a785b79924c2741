/*
 * route.c - where addresses lead, and who may send as whom.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

static struct fake store;
static const char *folder;
static struct mr_error err;

static void
add_alias(const char *address, const char *target)
{
	assert_int_equal(store.op->alias_add(store.self, address, target,
		&err), MR_STORE_OK);
}

static void
add_aliases(void)
{
	static const char *const alias[][2] = {
		{"sales@x.test", "ann@x.test"}, {"sales@x.test", "bob@x.test"},
		{"sales@x.test", "Far@Elsewhere.test"},
		{"all@x.test", "sales@x.test"}, {"all@x.test", "carl@x.test"},
		{"twice@x.test", "ann@x.test"},
		{"twice@x.test", "ann+tag@x.test"},
		{"loop1@x.test", "loop2@x.test"},
		{"loop2@x.test", "loop1@x.test"},
		{"loop3@x.test", "loop3@x.test"},
		{"loop3@x.test", "ann@x.test"},
		{"dead@x.test", "nobody@x.test"},
		{"out@x.test", "out@elsewhere.test"},
		{"@all.test", "bob@x.test"},
		{"info@all.test", "ann@x.test"},
		{"gone@x.test", "off@x.test"},
		{"big@x.test", "full@x.test"},
		{"postmaster@alias.test", "carl@x.test"},
	};
	size_t i;

	for (i = 0; i < COUNT(alias); i++)
		add_alias(alias[i][0], alias[i][1]);
}

static int
set_up(void **state)
{
	struct mr_placement p;

	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, "ann@x.test");
	fake_add(&store, "bob@x.test");
	fake_add(&store, "carl@x.test");
	fake_add(&store, "off@x.test");
	fake_add(&store, "full@x.test");
	fake_add(&store, "dora@own.test");
	fake_add(&store, "postmaster@off.test");
	store.op->domain_add(store.self, "all.test", &err);
	store.op->domain_add(store.self, "bare.test", &err);
	store.op->domain_add(store.self, "alias.test", &err);
	add_aliases();
	store.op->account_set(store.self, "off@x.test", NULL, -1, 1, &err);
	store.op->account_set(store.self, "postmaster@off.test", NULL, -1, 1,
		&err);
	store.op->account_set(store.self, "full@x.test", NULL, 1000, -1, &err);
	return fake_commit(&store, "full@x.test", "INBOX", 1, 900, &p, &err);
}

static int
tear_down(void **state)
{
	(void)state;
	fake_close(&store);
	fake_folder_remove(folder);
	return 0;
}

static struct mr_str
str(const char *text)
{
	return (struct mr_str){text, strlen(text)};
}

static void
add(void *arg, const struct mr_target *t)
{
	char *text = arg;
	size_t n = strlen(text);

	assert_true(!*t->account != !*t->forward);
	assert_string_equal(t->mailbox, "INBOX");
	snprintf(text + n, 4000 - n, "%s%s%s", n ? " " : "",
		*t->forward ? ">" : "", *t->forward ? t->forward : t->account);
}

static void
expect(const char *address, uint64_t size, enum mr_route_answer answer,
	const char *targets)
{
	char got[4000] = "";
	int said = store.plugin->route->resolve(store.self, str(address), size,
		add, got);

	if (said != (int)answer || strcmp(got, targets))
		fail_msg("%s: %d \"%s\", not %d \"%s\"", address, said, got,
			(int)answer, targets);
}

static void
test_resolve(void **state)
{
	static const struct {
		const char *address;
		enum mr_route_answer answer;
		const char *targets;
	} rows[] = {
		{"ann@x.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"ANN@X.Test", MR_ROUTE_FOUND, "ann@x.test"},
		{"ann+lists@x.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"ann+a+b@x.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"ann+@x.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"+ann@x.test", MR_ROUTE_UNKNOWN_USER, ""},
		{"ann@elsewhere.test", MR_ROUTE_NOT_MINE, ""},
		{"ann", MR_ROUTE_NOT_MINE, ""}, {"", MR_ROUTE_NOT_MINE, ""},
		{"ann@", MR_ROUTE_NOT_MINE, ""},
		{"zed@x.test", MR_ROUTE_UNKNOWN_USER, ""},
		{"@all.test", MR_ROUTE_UNKNOWN_USER, ""},
		{"sales@x.test", MR_ROUTE_FOUND,
			">Far@elsewhere.test ann@x.test bob@x.test"},
		{"sales+q@x.test", MR_ROUTE_FOUND,
			">Far@elsewhere.test ann@x.test bob@x.test"},
		{"all@x.test", MR_ROUTE_FOUND, "carl@x.test "
			">Far@elsewhere.test ann@x.test bob@x.test"},
		{"twice@x.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"loop1@x.test", MR_ROUTE_UNKNOWN_USER, ""},
		{"loop3@x.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"dead@x.test", MR_ROUTE_UNKNOWN_USER, ""},
		{"out@x.test", MR_ROUTE_FOUND, ">out@elsewhere.test"},
		{"info@all.test", MR_ROUTE_FOUND, "ann@x.test"},
		{"any.thing@all.test", MR_ROUTE_FOUND, "bob@x.test"},
		{"off@x.test", MR_ROUTE_DISABLED, ""},
		{"gone@x.test", MR_ROUTE_DISABLED, ""},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		expect(rows[i].address, 100, rows[i].answer, rows[i].targets);
}

static void
test_postmaster(void **state)
{
	(void)state;
	expect("postmaster@x.test", 1, MR_ROUTE_FOUND, "ann@x.test");
	expect("Postmaster@own.test", 1, MR_ROUTE_FOUND, "dora@own.test");
	expect("postmaster@bare.test", 1, MR_ROUTE_FOUND, "ann@x.test");
	expect("postmaster@alias.test", 1, MR_ROUTE_FOUND, "carl@x.test");
	/* Its account is disabled: it leads somewhere all the same. */
	expect("postmaster@off.test", 1, MR_ROUTE_FOUND, "ann@x.test");
	expect("postmaster@elsewhere.test", 1, MR_ROUTE_NOT_MINE, "");
	/* The host of the test is called "test". */
	expect("postmaster@test", 1, MR_ROUTE_FOUND, "ann@x.test");
	expect("ann@test", 1, MR_ROUTE_UNKNOWN_USER, "");
}

static void
test_quota(void **state)
{
	(void)state;
	expect("full@x.test", 0, MR_ROUTE_FOUND, "full@x.test");
	expect("full@x.test", 100, MR_ROUTE_FOUND, "full@x.test");
	expect("full@x.test", 101, MR_ROUTE_OVER_QUOTA, "");
	expect("big@x.test", 101, MR_ROUTE_OVER_QUOTA, "");
}

/* Depth is bounded, and so is the number of targets: too many is trouble of
 * ours that somebody sees, not mail that some do not get. */
static void
test_bounds(void **state)
{
	char from[64], to[64];
	int i;

	(void)state;
	for (i = 0; i < 30; i++) {
		snprintf(from, sizeof from, "deep%d@x.test", i);
		snprintf(to, sizeof to, "deep%d@x.test", i + 1);
		add_alias(from, to);
	}
	add_alias("deep30@x.test", "ann@x.test");
	expect("deep25@x.test", 1, MR_ROUTE_FOUND, "ann@x.test");
	expect("deep0@x.test", 1, MR_ROUTE_TEMPFAIL, "");
	expect("ann@x.test", 1, MR_ROUTE_FOUND, "ann@x.test");
}

static void
test_may_send(void **state)
{
	static const struct {
		const char *account, *address;
		int answer;
	} rows[] = {
		{"ann@x.test", "ann@x.test", 1},
		{"ann@x.test", "Ann@X.test", 1},
		{"ann@x.test", "ann+tag@x.test", 1},
		{"ann@x.test", "bob@x.test", 0},
		{"ann@x.test", "sales@x.test", 1},
		{"carl@x.test", "sales@x.test", 0},
		{"ann@x.test", "all@x.test", 1},
		{"bob@x.test", "whoever@all.test", 1},
		{"ann@x.test", "whoever@all.test", 0},
		{"bob@x.test", "info@all.test", 0},
		{"ann@x.test", "ann@elsewhere.test", 0},
		{"ann@x.test", "", 0}, {"ann@x.test", "ann", 0},
		{"full@x.test", "big@x.test", 1},
		{"full@x.test", "full@x.test", 1},
	};
	struct mr_placement p;
	size_t i;

	(void)state;
	/* To the brim: that is no reason not to send. */
	assert_int_equal(fake_commit(&store, "full@x.test", "INBOX", 2, 100,
		&p, &err), MR_STORE_OK);
	expect("full@x.test", 0, MR_ROUTE_OVER_QUOTA, "");
	for (i = 0; i < COUNT(rows); i++)
		if (store.plugin->route->may_send(store.self, rows[i].account,
			str(rows[i].address)) != rows[i].answer)
			fail_msg("%s as %s", rows[i].account, rows[i].address);
}

static void
test_is_local(void **state)
{
	(void)state;
	assert_int_equal(store.plugin->route->is_local(store.self,
		str("x.test")), 1);
	assert_int_equal(store.plugin->route->is_local(store.self,
		str("X.TEST")), 1);
	assert_int_equal(store.plugin->route->is_local(store.self,
		str("elsewhere.test")), 0);
	assert_int_equal(store.plugin->route->is_local(store.self, str("")),
		0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_postmaster),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_may_send),
		cmocka_unit_test(test_is_local),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
