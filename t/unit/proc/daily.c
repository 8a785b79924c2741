/*
 * daily.c - rows that nobody is to have reports of do not pile up.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/daily.h"

static char data[] = "/tmp/mailroom-daily.XXXXXX";

static void
keep_row(const char *day)
{
	char path[100];
	int fd;

	snprintf(path, sizeof path, "%s/dmarc/%s", data, day);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "{}\n", 3), 3);
	close(fd);
}

static bool
is_kept(const char *day)
{
	char path[100];

	snprintf(path, sizeof path, "%s/dmarc/%s", data, day);
	return access(path, F_OK) == 0;
}

static void
test_off(void **state)
{
	const struct report_settings off = {.sender = "", .contact = ""};
	const struct report_house h = {.settings = &off, .data = data};
	struct err e = {0};
	char folder[100];

	(void)state;
	assert_non_null(mkdtemp(data));
	snprintf(folder, sizeof folder, "%s/dmarc", data);
	assert_int_equal(mkdir(folder, 0700), 0);
	keep_row("2000-01-01");
	keep_row("2999-01-01");
	keep_row("no-day");
	assert_int_equal(daily_send(&h, NULL, NULL, &e), 0);
	assert_false(is_kept("2000-01-01"));
	assert_true(is_kept("2999-01-01"));	/* it is not over */
	assert_true(is_kept("no-day"));
	snprintf(folder, sizeof folder, "rm -r %s", data);
	assert_int_equal(system(folder), 0);
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(test_off)};
UNIT_MAIN(tests)
