/*
 * tally.c - when a generation counts as worse than the one before.
 */
#include "unit.h"

#include "proc/tally.h"

static const struct tally_limits limits = {.score = 4, .failures = 10};

static void
say(struct tally *t, const char *words)
{
	tally_heard(t, str_from(words));
}

struct row {
	const char *before, *now;	/* "MESSAGES FAILURES"; NULL: silence */
	bool fails;
};

static void
test_failures(void **state)
{
	static const struct row rows[] = {
		{"100 0", "10 10", true},
		{"100 0", "9 9", false},	/* too few to tell */
		{"100 0", "50 10", true},
		{"100 0", "51 10", false},	/* a small share */
		{"100 10", "40 16", true},	/* four times as many */
		{"100 10", "40 15", false},
		{"100 60", "20 20", false},	/* it always did */
		{"4 0", "20 20", false},	/* hardly anything is known */
		{"5 0", "20 20", true},
		{NULL, "20 20", false},		/* it was not there */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tally before = {.n = 0}, now = {.n = 0};
		char words[64];

		snprintf(words, sizeof words, "rate p %s", rows[i].now);
		say(&now, words);
		snprintf(words, sizeof words, "rate p %s", rows[i].before ?
			rows[i].before : "");
		if (rows[i].before)
			say(&before, words);
		assert_int_equal(tally_fails(&before, tally_find(&now, "p"),
			&limits), rows[i].fails);
	}
}

static void
test_adds(void **state)
{
	struct tally first = {.n = 0}, second = {.n = 0}, third = {.n = 0};
	const struct tally_plugin *p;

	(void)state;
	say(&first, "rate p 3 1");
	say(&first, "rate p 4 2");
	p = tally_find(&first, "p");
	assert_int_equal(p->messages, 7);
	assert_int_equal(p->failures, 3);
	tally_carry(&second, p);
	say(&second, "rate p 1 0");
	tally_carry(&third, tally_find(&second, "p"));
	p = tally_find(&third, "p");
	assert_int_equal(p->messages, 0);
	assert_int_equal(p->past_messages, 8);
	assert_int_equal(p->past_failures, 3);
	/* What was counted in generations before counts. */
	say(&first, "rate q 20 20");
	assert_false(tally_fails(&third, tally_find(&first, "q"), &limits));
}

static void
test_crashes(void **state)
{
	struct tally before = {.n = 0}, now = {.n = 0};

	(void)state;
	say(&now, "crash p");
	tally_worker_ended(&now);
	assert_false(tally_crashes(&before, &now, &limits));
	tally_worker_ended(&now);
	assert_true(tally_crashes(&before, &now, &limits));
	assert_int_equal(tally_find(&now, "p")->crashes, 1);
	/* As many as it always had. */
	say(&before, "died p");
	assert_false(tally_crashes(&before, &now, &limits));
	say(&now, "died p");
	assert_true(tally_crashes(&before, &now, &limits));
}

static void
test_nonsense(void **state)
{
	static const char *const words[] = {"", "rate", "rate p", "rate p 1",
		"rate p x 1", "rate p 1 99999999999", "crash", "restart p",
		"suspect 12", "ready", "died  "};
	struct tally t = {.n = 0};
	size_t i;
	char name[80];

	(void)state;
	for (i = 0; i < sizeof words / sizeof *words; i++)
		say(&t, words[i]);
	for (i = 0; i < t.n; i++)
		assert_int_equal(t.plugin[i].messages + t.plugin[i].crashes,
			0);
	for (i = 0; i < 2 * TALLY_NAMES; i++) {
		snprintf(name, sizeof name, "crash p%zu", i);
		say(&t, name);
	}
	assert_int_equal(t.n, TALLY_NAMES);
	assert_null(tally_find(&t, "p127"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_failures),
	cmocka_unit_test(test_adds),
	cmocka_unit_test(test_crashes),
	cmocka_unit_test(test_nonsense),
};
UNIT_MAIN(tests)
