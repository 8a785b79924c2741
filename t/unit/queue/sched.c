/*
 * sched.c - back-off, terms of the envelope, windows.
 */
#include "unit.h"

#include "queue/sched.h"

#define HOUR 3600000LL

static void
test_pause(void **state)
{
	static const struct {
		int64_t first, most;
		uint32_t attempts;
		int64_t middle;
	} rows[] = {{300, 14400, 1, 300}, {300, 14400, 2, 600},
		{300, 14400, 5, 4800}, {300, 14400, 7, 14400},
		{300, 14400, 4000000000u, 14400}, {1, 1, 9, 1}};
	uint32_t random;
	int64_t got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		for (random = 0; random < 100; random++) {
			got = sched_pause(rows[i].first, rows[i].most,
				rows[i].attempts, random * 2654435761u);
			assert_in_range(got, rows[i].middle * 7 / 8,
				rows[i].middle * 9 / 8);
		}
}

static void
test_next(void **state)
{
	(void)state;
	assert_int_equal(sched_next(100, 10, 200), 110);
	assert_int_equal(sched_next(100, 500, 200), 200);
	assert_int_equal(sched_next(300, 10, 200), 300);
}

static void
test_terms(void **state)
{
	static const struct {
		const char *args;
		int64_t next, expire;	/* from now */
		int priority;
	} rows[] = {
		{"", 0, 5 * HOUR, 0},
		{"RET=HDRS NOTIFY=NEVER", 0, 5 * HOUR, 0},
		{"HOLDUNTIL=1000007200000", 2 * HOUR, 7 * HOUR, 0},
		{"holduntil=1000007200000", 2 * HOUR, 7 * HOUR, 0},
		{"HOLDUNTIL=999999999999", 0, 5 * HOUR, 0},
		{"HOLDUNTIL=soon", 0, 5 * HOUR, 0},
		{"BY=600;R", 0, 600000, 0},
		{"BY=600;RT", 0, 600000, 0},
		{"BY=600;N", 0, 5 * HOUR, 0},
		{"BY=-600;N", 0, 5 * HOUR, 0},
		{"BY=-600;R", 0, 5 * HOUR, 0},
		{"BY=999999999;R", 0, 5 * HOUR, 0},
		{"BY=", 0, 5 * HOUR, 0},
		{"MT-PRIORITY=2", -48 * HOUR, 5 * HOUR, 2},
		{"MT-PRIORITY=-4", 0, 5 * HOUR, -4},
		{"MT-PRIORITY=10", 0, 5 * HOUR, 0},
		{"MT-PRIORITY=9 HOLDUNTIL=1000003600000", HOUR, 6 * HOUR, 9},
	};
	int64_t now = 1000000000000LL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct sched_terms t = sched_terms(str_from(rows[i].args),
			now, 5 * HOUR);

		if (t.next_ms - now != rows[i].next ||
			t.expire_ms - now != rows[i].expire ||
			t.priority != rows[i].priority)
			fail_msg("%s: next %+lld, expire %+lld, priority %d",
				rows[i].args, (long long)(t.next_ms - now),
				(long long)(t.expire_ms - now), t.priority);
	}
}

/* One more for each round of good ones. */
static void
test_grow(void **state)
{
	struct sched_pace p;
	int i;

	(void)state;
	sched_pace_init(&p, 20);
	assert_int_equal((int)p.window, 5);
	for (i = 0; i < 6; i++)
		assert_false(sched_pace_good(&p, 20));
	assert_int_equal((int)p.window, 6);
	for (i = 0; i < 1000; i++)
		sched_pace_good(&p, 20);
	assert_int_equal((int)p.window, 20);
	sched_pace_init(&p, 2);
	sched_pace_good(&p, 2);
	assert_int_equal((int)p.window, 2);
}

static void
test_shrink(void **state)
{
	struct sched_pace p;
	int n = 1;

	(void)state;
	sched_pace_init(&p, 20);
	while (!sched_pace_bad(&p, 100))
		n++;
	assert_in_range(n, 3, 5);
	assert_int_equal((int)p.window, 1);
	assert_int_equal(p.pauses, 1);
	p.until = 1000;
	/* Those that were begun before it was down. */
	assert_false(sched_pace_bad(&p, 999));
	assert_int_equal(p.pauses, 1);
	/* The probe fails. */
	assert_true(sched_pace_bad(&p, 1000));
	assert_int_equal(p.pauses, 2);
	p.until = 5000;
	assert_true(sched_pace_good(&p, 20));
	assert_int_equal((int)p.window, 5);
	assert_int_equal(p.until, 0);
	/* Good ones between make single failures harmless. */
	for (n = 0; n < 100; n++) {
		assert_false(sched_pace_bad(&p, 6000));
		sched_pace_good(&p, 20);
		sched_pace_good(&p, 20);
		sched_pace_good(&p, 20);
		sched_pace_good(&p, 20);
		sched_pace_good(&p, 20);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_pause),
	cmocka_unit_test(test_next),
	cmocka_unit_test(test_terms),
	cmocka_unit_test(test_grow),
	cmocka_unit_test(test_shrink),
};
UNIT_MAIN(tests)
