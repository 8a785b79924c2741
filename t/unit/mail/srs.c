/*
 * srs.c - there and back again, over one and two hops; tampered, expired,
 * with old keys.
 */
#include "unit.h"

#include "mail/srs.h"

#define DAY 86400000LL
#define NOW (20000 * DAY)

static struct srs_keys ours = {.n = 1}, theirs = {.n = 1};
static struct arena a;

static int
set_up(void **state)
{
	(void)state;
	memset(ours.key[0], 'o', SRS_KEY);
	memset(theirs.key[0], 't', SRS_KEY);
	arena_init(&a);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_free(&a);
	return 0;
}

static struct str
forward(const struct srs_keys *k, const char *sender, const char *domain)
{
	struct str out = STR("");

	assert_true(srs_forward(k, &a, str_from(sender), str_from(domain),
		NOW, &out));
	return out;
}

static void
test_round_trip(void **state)
{
	static const char *const sender[] = {"user@a.example", "a=b@c.example",
		"a+b=c=d@x.y", "srs@x.y", "SRS0@x.y",
		"verp-1234567890-1234567890-1234567890=x.example@l.example"};
	struct str out, back;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(sender); i++) {
		out = forward(&ours, sender[i], "us.example");
		assert_true(str_starts(out, "SRS0="));
		assert_true(str_ends(out, "@us.example"));
		assert_int_equal(srs_reverse(&ours, &a, out, NOW, &back),
			SRS_VALID);
		assert_true(str_is(back, sender[i]));
	}
}

static void
test_case(void **state)
{
	struct str out = forward(&ours, "user@a.example", "us.example"), back;
	char *folded = arena_cstr(&a, out);
	size_t i;

	(void)state;
	for (i = 0; i < out.len; i++)
		folded[i] = to_upper(folded[i]);
	assert_int_equal(srs_reverse(&ours, &a, str_from(folded), NOW, &back),
		SRS_VALID);
	assert_true(str_iis(back, "user@a.example"));
}

static void
test_two_hops(void **state)
{
	struct str first = forward(&theirs, "user@a.example", "b.example");
	struct str out = forward(&ours, first.at, "us.example"), back, third;

	(void)state;
	assert_true(str_starts(out, "SRS1="));
	assert_int_equal(srs_reverse(&ours, &a, out, NOW, &back), SRS_VALID);
	assert_true(str_eq(back, first));
	/* A third hop keeps the first: addresses do not grow for ever. */
	third = forward(&theirs, out.at, "c.example");
	assert_true(str_starts(third, "SRS1="));
	assert_int_equal(third.len + 1, out.len);
	assert_int_equal(srs_reverse(&theirs, &a, third, NOW, &back),
		SRS_VALID);
	assert_true(str_eq(back, first));
}

static void
test_tampered(void **state)
{
	struct str out = forward(&ours, "user@a.example", "us.example"), back;
	size_t i;

	(void)state;
	for (i = 5; i < str_find(out, '@'); i++) {
		char *bad = arena_cstr(&a, out);

		bad[i] = bad[i] == 'q' ? 'r' : 'q';
		assert_int_not_equal(srs_reverse(&ours, &a, str_from(bad), NOW,
			&back), SRS_VALID);
	}
	assert_int_equal(srs_reverse(&theirs, &a, out, NOW, &back),
		SRS_FORGED);
}

static void
test_expiry(void **state)
{
	struct str out = forward(&ours, "user@a.example", "us.example"), back;
	static const struct {
		int days;
		enum srs_answer answer;
	} rows[] = {{0, SRS_VALID}, {SRS_DAYS, SRS_VALID}, {-1, SRS_VALID},
		{SRS_DAYS + 1, SRS_EXPIRED}, {500, SRS_EXPIRED},
		{1000, SRS_EXPIRED}, {-2, SRS_EXPIRED}};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		assert_int_equal(srs_reverse(&ours, &a, out,
			NOW + rows[i].days * DAY, &back), rows[i].answer);
}

static void
test_rotation(void **state)
{
	struct str old = forward(&ours, "user@a.example", "us.example"), back;
	struct srs_keys both = {.n = 2};

	(void)state;
	memset(both.key[0], 'n', SRS_KEY);
	memset(both.key[1], 'o', SRS_KEY);
	assert_int_equal(srs_reverse(&both, &a, old, NOW, &back), SRS_VALID);
	assert_false(str_eq(old, forward(&both, "user@a.example",
		"us.example")));
}

static void
test_others(void **state)
{
	static const char *const other[] = {"user@a.example", "srs0user@x",
		"SRS2=a=b@x", "", "SRS0@x", "SRS0=@x"};
	static const char *const forged[] = {"SRS0=aaaaaa@x",
		"SRS1=aaaaaa=b@x", "SRS0=aaaaaa=bb=c=d@x"};
	struct str out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(other); i++)
		assert_int_equal(srs_reverse(&ours, &a, str_from(other[i]),
			NOW, &out), SRS_OTHER);
	for (i = 0; i < COUNT(forged); i++)
		assert_int_equal(srs_reverse(&ours, &a, str_from(forged[i]),
			NOW, &out), SRS_FORGED);
	assert_false(srs_forward(&ours, &a, STR(""), STR("x"), NOW, &out));
	assert_false(srs_forward(&ours, &a, STR("\"a b\"@c"), STR("x"), NOW,
		&out));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_case, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_two_hops, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_tampered, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_expiry, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_rotation, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
};
UNIT_MAIN(tests)
