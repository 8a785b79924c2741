/*
 * reply.c - what is written to clients and read from peers.
 */
#include "unit.h"

#include "mail/reply.h"

static const struct {
	int code;
	const char *enhanced, *text, *wire, *line;
} written[] = {
	{250, "2.0.0", "Ok", "250 2.0.0 Ok\r\n", "250 2.0.0 Ok"},
	{250, "", "", "250\r\n", "250"},
	{250, "2.1.0", "", "250 2.1.0\r\n", "250 2.1.0"},
	{250, "", "mx\nPIPELINING\n8BITMIME",
		"250-mx\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
		"250 mx; PIPELINING; 8BITMIME"},
	{550, "5.7.1", "a\r\nb\n", "550-5.7.1 a\r\n550 5.7.1 b\r\n",
		"550 5.7.1 a; b"},
	{550, "", "a\n\nb", "550-a\r\n550-\r\n550 b\r\n", "550 a; b"},
	{550, "5.7.1", "100% sure %s", "550 5.7.1 100% sure %s\r\n",
		"550 5.7.1 100% sure %s"},
	{550, "", "a\rb\tc\x01""d\x7f", "550 a b c d \r\n", "550 a b c d "},
	{550, "", "gr\xc3\xbc\xc3\x9f", "550 gr??\r\n", "550 gr??"},
	{0, "", "never", "", "000 never"},
};

static void
test_write(void **state)
{
	struct buf out;
	struct reply r;
	size_t i;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < COUNT(written); i++) {
		r = (struct reply){.code = written[i].code,
			.text = str_from(written[i].text)};
		snprintf(r.enhanced, sizeof r.enhanced, "%s",
			written[i].enhanced);
		buf_reset(&out);
		reply_write(&out, &r);
		assert_string_equal(buf_c(&out), written[i].wire);
		buf_reset(&out);
		reply_line(&out, &r);
		assert_string_equal(buf_c(&out), written[i].line);
	}
	buf_free(&out);
}

static void
test_write_nul(void **state)
{
	struct reply r = {.code = 550, .text = STR("a\0b")};
	struct buf out;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	reply_write(&out, &r);
	assert_string_equal(buf_c(&out), "550 a b\r\n");
	buf_free(&out);
}

static void
test_write_bounds(void **state)
{
	struct reply r = {.code = 550, .enhanced = "5.0.0"};
	struct buf text, out;
	struct str rest, line;
	size_t i, lines = 0;

	(void)state;
	buf_init(&text, BUF_NO_CAP);
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < 40 * 1000; i++)
		buf_addc(&text, i % 1000 == 999 ? '\n' : 'x');
	r.text = buf_str(&text);
	reply_write(&out, &r);
	for (rest = buf_str(&out); rest.len > 0; lines++) {
		line = str_cut(&rest, '\n');
		assert_int_equal(line.len + 1, 512);
		assert_int_equal(line.at[3], rest.len > 0 ? '-' : ' ');
	}
	assert_int_equal(lines, 32);
	buf_free(&text);
	buf_free(&out);
}

static const struct {
	const char *lines[4];
	int last, code;
	const char *enhanced, *text;
} parsed[] = {
	{{"250 Ok"}, 1, 250, "", "Ok"},
	{{"250 2.0.0 Ok\r\n"}, 1, 250, "2.0.0", "Ok"},
	{{"250"}, 1, 250, "", ""},
	{{"250-mx", "250-SIZE 10", "250 DSN"}, 1, 250, "", "mx\nSIZE 10\nDSN"},
	{{"550-5.1.1 no", "550 5.1.1 such user"}, 1, 550, "5.1.1",
		"no\nsuch user"},
	{{"550-5.1.1 no"}, 0, 550, "5.1.1", "no"},
	{{"450 5.1.1 odd"}, 1, 450, "", "5.1.1 odd"},
	{{"550 5.1.1.1 odd"}, 1, 550, "", "5.1.1.1 odd"},
	{{"550 5.1234.1 odd"}, 1, 550, "", "5.1234.1 odd"},
	{{"550 5..1"}, 1, 550, "", "5..1"},
	{{"354 "}, 1, 354, "", ""},
	{{""}, -1, 0, "", ""},
	{{"25"}, -1, 0, "", ""},
	{{"150 early"}, -1, 0, "", ""},
	{{"650 late"}, -1, 0, "", ""},
	{{"2x0 Ok"}, -1, 0, "", ""},
	{{"250Ok"}, -1, 0, "", ""},
	{{"* OK imap"}, -1, 0, "", ""},
};

static void
test_parse(void **state)
{
	struct arena a;
	struct reply r;
	size_t i, k;
	int rc;

	(void)state;
	arena_init(&a);
	for (i = 0; i < COUNT(parsed); i++) {
		r = (struct reply){.code = 0};
		rc = 2;
		for (k = 0; k < 4 && parsed[i].lines[k] != NULL; k++)
			rc = reply_parse(str_from(parsed[i].lines[k]), &a, &r);
		assert_int_equal(rc, parsed[i].last);
		assert_int_equal(r.code, parsed[i].code);
		assert_string_equal(r.enhanced, parsed[i].enhanced);
		assert_true(str_is(r.text, parsed[i].text));
	}
	arena_free(&a);
}

/* A peer that never stops talking costs a bounded amount of memory. */
static void
test_parse_flood(void **state)
{
	struct reply r = {.code = 0};
	struct arena a;
	int i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < 100000; i++)
		assert_int_equal(reply_parse(STR("250-x"), &a, &r), 0);
	assert_true(r.text.len <= 16384);
	assert_true(a.used < 4u << 20);
	arena_free(&a);
}

static void
test_printf(void **state)
{
	struct arena a;
	struct reply r;

	(void)state;
	arena_init(&a);
	r = reply_printf(&a, 550, "5.1.1", "<%s>: %d", "a@b", 7);
	assert_int_equal(r.code, 550);
	assert_string_equal(r.enhanced, "5.1.1");
	assert_true(str_is(r.text, "<a@b>: 7"));
	r = REPLY(250, "2.0.0", "Ok");
	assert_true(str_is(r.text, "Ok"));
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_write),
	cmocka_unit_test(test_write_nul),
	cmocka_unit_test(test_write_bounds),
	cmocka_unit_test(test_parse),
	cmocka_unit_test(test_parse_flood),
	cmocka_unit_test(test_printf),
};
UNIT_MAIN(tests)
