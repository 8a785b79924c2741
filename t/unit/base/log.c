/*
 * log.c - one event a line: nothing a stranger sends makes a second line, a
 * second field, or JSON that does not parse.
 */
#include "unit.h"

#include <jansson.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/log.h"

static int fd;
static char text[8192];

/* What was written since the last call. */
static struct str
written(void)
{
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_int_equal(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	return str_of(text, (size_t)n);
}

static int
open_fd(void **state)
{
	(void)state;
	fd = memfd_create("log", MFD_CLOEXEC);
	return fd < 0 ? -1 : 0;
}

static const struct {
	const char *value, *line;	/* behind "k=" in the line */
	size_t len;			/* 0: strlen */
	const char *json;		/* what a JSON reader sees */
} values[] = {
	{"plain", "plain", 0, "plain"}, {"a@b.example", "a@b.example", 0,
		"a@b.example"},
	{"", "\"\"", 0, ""}, {"a b", "\"a b\"", 0, "a b"},
	{"a=b", "\"a=b\"", 0, "a=b"},
	{"a\"b", "\"a\\\"b\"", 0, "a\"b"},
	{"a\\b", "\"a\\\\b\"", 0, "a\\b"},
	{"x\n2026-01-01T00:00:00.000Z info forged",
		"\"x\\x0a2026-01-01T00:00:00.000Z info forged\"", 0,
		"x\n2026-01-01T00:00:00.000Z info forged"},
	{"x\r\ny", "\"x\\x0d\\x0ay\"", 0, "x\r\ny"},
	{"x session=1", "\"x session=1\"", 0, "x session=1"},
	{"x\" session=\"1", "\"x\\\" session=\\\"1\"", 0,
		"x\" session=\"1"},
	{"a\x1b[31mb", "\"a\\x1b[31mb\"", 0, "a\x1b[31mb"},
	{"a\tb\x7f", "\"a\\x09b\\x7f\"", 0, "a\tb\x7f"},
	{"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"", 0,
		"gr\xc3\xbc\xc3\x9f"},
	/* line ends and terminal controls beyond ASCII */
	{"a\xc2\x85", "\"a\\xc2\\x85\"", 0, "a\xc3\x82\xc2\x85"},
	{"a\xc2\x9b", "\"a\\xc2\\x9b\"", 0, "a\xc3\x82\xc2\x9b"},
	{"a\xe2\x80\xa8", "\"a\\xe2\\x80\\xa8\"", 0,
		"a\xc3\xa2\xc2\x80\xc2\xa8"},
	/* no UTF-8: bytes */
	{"a\xff", "\"a\\xff\"", 0, "a\xc3\xbf"},
	{"a\xc3", "\"a\\xc3\"", 0, "a\xc3\x83"},
	{"a\0b", "\"a\\x00b\"", 3, NULL},
};

static void
test_text(void **state)
{
	struct str line, want;
	char expected[256];
	size_t i;

	(void)state;
	log_open(fd, LOG_INFO, false, "smtp");
	for (i = 0; i < COUNT(values); i++) {
		log_info("a.b", LOG_STR("k", str_of(values[i].value,
			values[i].len ? values[i].len :
			strlen(values[i].value))), LOG_N("n", -5));
		line = written();
		snprintf(expected, sizeof expected,
			"Z info a.b role=smtp k=%s n=-5\n", values[i].line);
		want = str_from(expected);
		assert_int_equal(str_find(line, '\n'), line.len - 1);
		assert_string_equal(text + str_find(line, 'Z'), expected);
		assert_int_equal(line.len - str_find(line, 'Z'), want.len);
	}
}

static void
test_json(void **state)
{
	struct str line;
	json_t *j;
	size_t i;

	(void)state;
	log_open(fd, LOG_INFO, true, "smtp");
	for (i = 0; i < COUNT(values); i++) {
		log_info("a.b", LOG_STR("k", str_of(values[i].value,
			values[i].len ? values[i].len :
			strlen(values[i].value))), LOG_N("n", -5));
		line = written();
		assert_int_equal(str_find(line, '\n'), line.len - 1);
		j = json_loadb(line.at, line.len, JSON_ALLOW_NUL, NULL);
		assert_non_null(j);
		assert_int_equal(json_object_size(j), 6);
		assert_int_equal(json_integer_value(json_object_get(j, "n")),
			-5);
		if (values[i].json)
			assert_string_equal(json_string_value(
				json_object_get(j, "k")), values[i].json);
		json_decref(j);
	}
}

/* Too much is cut so that it shows, and the line stays one. */
static void
test_long(void **state)
{
	static const char fills[] = {'x', ' ', '\n', '\xff', '"'};
	char big[9000];
	struct str line;
	json_t *j;
	size_t i;

	(void)state;
	for (i = 0; i < 2 * COUNT(fills); i++) {
		bool json = i % 2;

		memset(big, fills[i / 2], sizeof big);
		log_open(fd, LOG_INFO, json, "smtp");
		log_info("a.b", LOG_STR("k", str_of(big, sizeof big)),
			LOG_S("session", "s1"), LOG_N("n", 5));
		line = written();
		assert_true(line.len <= 4096);
		assert_int_equal(str_find(line, '\n'), line.len - 1);
		assert_true(str_find_str(line, STR("...\"")) < line.len);
		assert_true(str_find_str(line, STR("s1")) < line.len);
		if (!json) {
			assert_true(str_ends(line, " cut=1\n"));
			continue;
		}
		j = json_loadb(line.at, line.len, 0, NULL);
		assert_non_null(j);
		assert_int_equal(json_integer_value(json_object_get(j,
			"cut")), 1);
		json_decref(j);
	}
}

/* However many, the line ends well. */
static void
test_many(void **state)
{
	struct log_field fields[40];
	char big[300];
	struct str line;
	json_t *j;
	size_t n;

	(void)state;
	memset(big, '\n', sizeof big);
	for (n = 0; n < 40; n++)
		fields[n] = LOG_STR("k", str_of(big, sizeof big - n * 7));
	log_open(fd, LOG_INFO, true, "smtp");
	for (n = 0; n < 40; n++) {
		log_write(LOG_INFO, "a", fields, n);
		line = written();
		assert_true(line.len <= 4096);
		j = json_loadb(line.at, line.len, 0, NULL);
		assert_non_null(j);
		json_decref(j);
	}
}

static void
test_level(void **state)
{
	(void)state;
	log_open(fd, LOG_WARN, false, "smtp");
	log_debug("a", LOG_N("n", 1));
	log_info("a", LOG_N("n", 1));
	assert_int_equal(written().len, 0);
	log_error("a", LOG_N("n", INT64_MIN));
	assert_true(str_ends(written(),
		" error a role=smtp n=-9223372036854775808\n"));
	log_write(LOG_WARN, "none", NULL, 0);
	assert_true(str_ends(written(), "Z warn none role=smtp\n"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(test_text, open_fd),
	cmocka_unit_test_setup(test_json, open_fd),
	cmocka_unit_test_setup(test_long, open_fd),
	cmocka_unit_test_setup(test_many, open_fd),
	cmocka_unit_test_setup(test_level, open_fd),
};
UNIT_MAIN(tests)
