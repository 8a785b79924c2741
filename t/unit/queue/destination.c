/*
 * destination.c - who goes next, and how much is kept in memory.
 */
#include "unit.h"

#include "base/clock.h"
#include "queue/deliver.h"
#include "queue/destination.h"

static struct destinations all;
static struct group pool[2000];
static size_t n_pool;

static int
set_up(void **state)
{
	(void)state;
	n_pool = 0;
	destinations_init(&all, 100, 1000);
	return 0;
}

static struct destination *
get(const char *key)
{
	return destinations_get(&all, str_from(key), 20, 0);
}

static struct group *
add(const char *key, const char *sender, int priority)
{
	struct group *g = &pool[n_pool++];

	*g = (struct group){.sender = str_from(sender),
		.priority = priority, .trace = key};
	destination_add(&all, get(key), g);
	return g;
}

static void
end(struct group *g, enum outcome outcome, enum news expected)
{
	assert_int_equal(destination_heed(g, outcome, 0), expected);
	destination_end(&all, g);
}

/* Two senders to one destination take turns, whoever came first. */
static void
test_fair(void **state)
{
	struct group *g[4];
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		add("a.test", "bulk@x.test", 0);
	add("a.test", "one@x.test", 0);
	add("a.test", "one@x.test", 0);
	for (i = 0; i < 4; i++)
		g[i] = destinations_take(&all, 0);
	assert_true(str_is(g[0]->sender, "bulk@x.test"));
	assert_true(str_is(g[1]->sender, "one@x.test"));
	assert_true(str_is(g[2]->sender, "bulk@x.test"));
	assert_true(str_is(g[3]->sender, "one@x.test"));
}

static void
test_priority(void **state)
{
	(void)state;
	add("a.test", "x", -1);
	add("a.test", "x", 0);
	add("b.test", "x", 0);
	add("b.test", "x", 3);
	assert_int_equal(destinations_take(&all, 0)->priority, 3);
	assert_int_equal(destinations_take(&all, 0)->priority, 0);
	assert_int_equal(destinations_take(&all, 0)->priority, 0);
	assert_int_equal(destinations_take(&all, 0)->priority, -1);
	assert_null(destinations_take(&all, 0));
	assert_int_equal(all.n_special, 0);
}

/* No more than its window; others are not held up. */
static void
test_window(void **state)
{
	struct group *g;
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		add("a.test", "x", 0);
	add("b.test", "x", 0);
	for (i = 0; i < 6; i++)
		assert_non_null(destinations_take(&all, 0));
	assert_int_equal(get("a.test")->n_busy, 5);
	assert_int_equal(get("b.test")->n_busy, 1);
	g = &pool[0];
	assert_null(destinations_take(&all, 0));
	end(g, OUTCOME_GOOD, NEWS_MORE);
	assert_non_null(destinations_take(&all, 0));
}

static void
test_down(void **state)
{
	struct group *g[5], *list;
	struct destination *d;
	int i;

	(void)state;
	for (i = 0; i < 8; i++)
		add("a.test", "x", 0);
	d = get("a.test");
	for (i = 0; i < 5; i++)
		g[i] = destinations_take(&all, 0);
	end(g[0], OUTCOME_BAD, NEWS_NONE);
	end(g[1], OUTCOME_BAD, NEWS_NONE);
	end(g[2], OUTCOME_BAD, NEWS_NONE);
	end(g[3], OUTCOME_BAD, NEWS_DOWN);
	d->pace.until = 5000;
	destination_rest(&all, d);
	list = destination_drop_waiting(&all, d);
	for (i = 0; list; i++)
		list = list->next;
	assert_int_equal(i, 3);
	assert_int_equal(all.n_waiting, 0);
	assert_null(all.turn);
	end(g[4], OUTCOME_BAD, NEWS_NONE);	/* late news */
	assert_int_equal(destination_room(&all, d, 100), 0);
	assert_int_equal(all.wake, 5000);
	destinations_wake(&all, 5000);
	assert_true(all.is_hungry);
	assert_int_equal(destination_room(&all, d, 5000), 1);
	add("a.test", "x", 0);
	assert_int_equal(destination_room(&all, d, 5000), 0);
	g[0] = destinations_take(&all, 5000);
	assert_int_equal(destination_heed(g[0], OUTCOME_GOOD, 5000),
		NEWS_BACK);
	assert_true(destination_room(&all, d, 5000) >= 10);
}

static void
test_rate(void **state)
{
	struct destination *d = destinations_get(&all, STR("slow.test"), 20,
		1000);

	(void)state;
	add("slow.test", "x", 0);
	add("slow.test", "x", 0);
	assert_non_null(destinations_take(&all, 100));
	assert_null(destinations_take(&all, 100));
	assert_int_equal(all.wake, 1100);
	assert_null(destinations_take(&all, 1099));
	assert_non_null(destinations_take(&all, 1100));
	assert_int_equal(d->n_busy, 2);
}

/* Any number of destinations that do not answer leave threads to those that
 * do. */
static void
test_reserve(void **state)
{
	char key[20];
	struct group *g;
	int i, n = 0;

	(void)state;
	add("good.test", "x", 0);
	g = destinations_take(&all, 0);
	end(g, OUTCOME_GOOD, NEWS_NONE);
	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof key, "d%d.test", i);
		add(key, "x", 0);
	}
	while (destinations_take(&all, 0))
		n++;
	assert_int_equal(n, 75);
	add("good.test", "x", 0);
	assert_non_null(destinations_take(&all, 0));
}

/* When memory runs short each has as much as it can begin. */
static void
test_room(void **state)
{
	char key[20];
	unsigned few, many;
	int i;

	(void)state;
	many = destination_room(&all, get("a.test"), 0);
	for (i = 0; i < 600; i++) {
		snprintf(key, sizeof key, "d%d.test", i);
		add(key, "x", 0);
	}
	few = destination_room(&all, get("a.test"), 0);
	assert_true(many > 10 && few < 8 && few > 1);
}

static void
test_sweep(void **state)
{
	struct destination *d;
	char key[20];
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof key, "d%d.test", i);
		destination_room(&all, get(key), 0);
	}
	d = get("d7.test");
	d->pace.until = 9000000;
	add("d8.test", "x", 0);
	destinations_sweep(&all, 1000);
	assert_int_equal(all.all.count, 100);
	destinations_sweep(&all, 3600000);
	assert_int_equal(all.all.count, 2);
	destinations_end_pauses(&all);
	assert_int_equal(d->pace.until, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

static const struct CMUnitTest tests[] = {
	TEST(test_fair),
	TEST(test_priority),
	TEST(test_window),
	TEST(test_down),
	TEST(test_rate),
	TEST(test_reserve),
	TEST(test_room),
	TEST(test_sweep),
};
UNIT_MAIN(tests)
