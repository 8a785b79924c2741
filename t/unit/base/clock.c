/*
 * clock.c - dates as mail, IMAP and logs write and read them.
 */
#include "unit.h"

#include "base/clock.h"

static const struct {
	const char *zone;	/* as in TZ: west is positive */
	int64_t ms;
	const char *mail, *imap, *iso;
} written[] = {
	{"UTC0", 0, "Thu, 1 Jan 1970 00:00:00 +0000",
		" 1-Jan-1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z"},
	{"UTC0", 951782400123, "Tue, 29 Feb 2000 00:00:00 +0000",
		"29-Feb-2000 00:00:00 +0000", "2000-02-29T00:00:00.123Z"},
	{"XXX-05:30", 1795521600999, "Tue, 24 Nov 2026 17:30:00 +0530",
		"24-Nov-2026 17:30:00 +0530", "2026-11-24T12:00:00.999Z"},
	{"XXX03:30", 1795521600000, "Tue, 24 Nov 2026 08:30:00 -0330",
		"24-Nov-2026 08:30:00 -0330", "2026-11-24T12:00:00.000Z"},
	{"XXX-14", 4102444799000, "Fri, 1 Jan 2100 13:59:59 +1400",
		" 1-Jan-2100 13:59:59 +1400", "2099-12-31T23:59:59.000Z"},
};

static void
test_written(void **state)
{
	char mail[40], imap[32], iso[32];
	int64_t back;
	size_t i;
	int zone;

	(void)state;
	for (i = 0; i < COUNT(written); i++) {
		setenv("TZ", written[i].zone, 1);
		tzset();
		clock_mail_date(written[i].ms, mail);
		clock_imap_date(written[i].ms, imap);
		clock_iso(written[i].ms, iso);
		assert_string_equal(mail, written[i].mail);
		assert_string_equal(imap, written[i].imap);
		assert_string_equal(iso, written[i].iso);
		assert_true(clock_parse_mail_date(str_from(mail), &back,
			&zone));
		assert_int_equal(back, written[i].ms / 1000 * 1000);
		assert_true(clock_parse_imap_date(str_from(imap), &back));
		assert_int_equal(back, written[i].ms / 1000 * 1000);
	}
}

static const struct {
	const char *text;
	int64_t seconds;	/* -1: refused */
	int zone;
} mail[] = {
	{"Tue, 24 Nov 2026 12:00:00 +0000", 1795521600, 0},
	{"24 Nov 2026 12:00:00 +0000", 1795521600, 0},
	{"24 Nov 2026 12:00 +0000", 1795521600, 0},
	{" Tue , 24 Nov 2026 13:30:00 +0130 (CET)", 1795521600, 90},
	{"Tue, 24 Nov 2026\r\n 07:00:00 -0500", 1795521600, -300},
	{"Tue, (day) 24 (mon (nested)) Nov 2026 12:00:00 GMT", 1795521600, 0},
	{"Tue, 24 Nov 26 12:00:00 UT", 1795521600, 0},
	{"Tue, 24 Nov 126 12:00:00 Z", 1795521600, 0},
	{"tue, 24 nov 2026 07:00:00 est", 1795521600, -300},
	{"Tue, 24 Nov 2026 08:00:00 EDT", 1795521600, -240},
	{"Tue, 24 Nov 2026 04:00:00 PST", 1795521600, -480},
	{"Tue, 24 Nov 2026 12:00:00", 1795521600, 0},
	{"Tue, 24 Nov 2026 12:00:00 XYZ", 1795521600, 0},
	{"Tuesday, 24-Nov-26 12:00:00 GMT", 1795521600, 0},
	{"24 Nov 99 12:00:00 +0000", 943444800, 0},
	{"24 Nov 49 12:00:00 +0000", 2521368000, 0},
	{"24 Nov 50 12:00:00 +0000", -602856000, 0},
	{"31 Dec 2016 23:59:60 +0000", 1483228800, 0},
	{"1 Jan 1970 00:00:00 -0000", 0, 0},
	{"", -1, 0}, {"Tue", -1, 0}, {"yesterday", -1, 0},
	{"32 Nov 2026 12:00:00 +0000", -1, 0},
	{"31 Nov 2026 12:00:00 +0000", -1, 0},
	{"0 Nov 2026 12:00:00 +0000", -1, 0},
	{"24 Foo 2026 12:00:00 +0000", -1, 0},
	{"24 Nov 2 12:00:00 +0000", -1, 0},
	{"24 Nov 12345 12:00:00 +0000", -1, 0},
	{"24 Nov 2026 24:00:00 +0000", -1, 0},
	{"24 Nov 2026 12:60:00 +0000", -1, 0},
	{"24 Nov 2026 12:00:61 +0000", -1, 0},
	{"24 Nov 2026 12", -1, 0}, {"24 Nov 2026", -1, 0},
	{"24 Nov 2026 12:00: +0000", -1, 0}, {"((((", -1, 0},
};

static void
test_mail(void **state)
{
	int64_t ms;
	size_t i;
	int zone;
	bool good;

	(void)state;
	for (i = 0; i < COUNT(mail); i++) {
		zone = 7;
		good = clock_parse_mail_date(str_from(mail[i].text), &ms,
			&zone);
		if (good != (mail[i].seconds != -1))
			fail_msg("%s", mail[i].text);
		if (!good)
			continue;
		assert_int_equal(ms, mail[i].seconds * 1000);
		assert_int_equal(zone, mail[i].zone);
		assert_true(clock_parse_mail_date(str_from(mail[i].text), &ms,
			NULL));
	}
}

static const struct {
	const char *text;
	int64_t seconds;
} imap[] = {
	{"17-Jul-1996 02:44:25 -0700", 837596665},
	{" 1-jan-1970 00:00:00 +0000", 0},
	{"01-Jan-1970 00:00:00 +0000", 0},
	{"1-Jan-1970 01:00:00 +0100", 0},
	{"29-Feb-2000 00:00:00 +0000", 951782400},
	{"17-Jul-1996 02:44:25", -1}, {"17-Jul-1996", -1},
	{"17-Jul-96 02:44:25 -0700", -1},
	{"17 Jul 1996 02:44:25 -0700", -1},
	{"17-Jul-1996 02:44:25 -070", -1},
	{"17-Jul-1996 02:44:25 -07000", -1},
	{"17-Jul-1996 02:44:25 0700", -1},
	{"17-Jul-1996 02:44:25 GMT", -1}, {"17-Jul-1996 02:44:25 +GMT0", -1},
	{"17-Jul-1996 02:44:25 -07:00", -1}, {"", -1}, {" ", -1},
	{"32-Jul-1996 02:44:25 -0700", -1}, {"17-Jux-1996 02:44:25 -0700", -1},
	{"17-Jul-1996  02:44:25 -0700", -1},
	{"17-Jul-1996 25:44:25 -0700", -1},
	{"17-Jul-1996 02:44:25 -0700 ", -1},
};

static const struct {
	const char *text;
	int64_t day;		/* INT64_MIN: refused */
} imap_days[] = {
	{"1-Feb-1994", 8797}, {"01-Feb-1994", 8797}, {"1-Jan-1970", 0},
	{"31-Dec-1969", -1}, {"1-Mar-2000", 11017}, {"29-Feb-2000", 11016},
	{"1-Feb-94", INT64_MIN}, {"1-Feb", INT64_MIN}, {"", INT64_MIN},
	{"1-Feb-1994 ", INT64_MIN}, {"30-Feb-1994", INT64_MIN},
	{"1-Feb-19945", INT64_MIN}, {"-1-Feb-1994", INT64_MIN},
	{"1-Feb-0000", INT64_MIN},
};

static void
test_imap(void **state)
{
	int64_t ms, day;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(imap); i++) {
		bool good = clock_parse_imap_date(str_from(imap[i].text), &ms);

		if (good != (imap[i].seconds != -1))
			fail_msg("%s", imap[i].text);
		if (good)
			assert_int_equal(ms, imap[i].seconds * 1000);
	}
	for (i = 0; i < COUNT(imap_days); i++) {
		bool good = clock_parse_imap_day(str_from(imap_days[i].text),
			&day);

		if (good != (imap_days[i].day != INT64_MIN))
			fail_msg("%s", imap_days[i].text);
		if (good)
			assert_int_equal(day, imap_days[i].day);
	}
}

static void
test_clocks(void **state)
{
	int64_t before = clock_mono();

	(void)state;
	assert_true(clock_wall() > 1700000000000);
	assert_true(clock_mono() >= before);
	assert_true(clock_mono() < before + 60000);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_written),
	cmocka_unit_test(test_mail),
	cmocka_unit_test(test_imap),
	cmocka_unit_test(test_clocks),
};
UNIT_MAIN(tests)
