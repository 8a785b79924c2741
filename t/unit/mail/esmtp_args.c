/*
 * esmtp_args.c - arguments of the envelope, and xtext.
 */
#include "unit.h"

#include "mail/esmtp_args.h"

static const struct {
	const char *args, *key, *value;	/* NULL: not there */
} asked[] = {
	{"RET=FULL ENVID=a+2Bb SMTPUTF8 NOTIFY=SUCCESS,DELAY", "RET", "FULL"},
	{"RET=FULL ENVID=a+2Bb SMTPUTF8 NOTIFY=SUCCESS", "envid", "a+2Bb"},
	{"RET=FULL smtputf8", "SMTPUTF8", ""},
	{"ORCPT=rfc822;a=b@c", "ORCPT", "rfc822;a=b@c"},
	{"NOTIFY=NEVER", "NOT", NULL},
	{"", "RET", NULL},
	{"XRET=FULL", "RET", NULL},
};

static void
test_find(void **state)
{
	struct str value;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(asked); i++) {
		bool found = esmtp_arg(str_from(asked[i].args), asked[i].key,
			&value);

		assert_int_equal(found, asked[i].value != NULL);
		if (found)
			assert_true(str_is(value, asked[i].value));
	}
}

static const struct {
	const char *text, *xtext;
} coded[] = {
	{"plain", "plain"}, {"a+b=c", "a+2Bb+3Dc"}, {"a b", "a+20b"},
	{"\xc3\xbc", "+C3+BC"}, {"", ""},
};

static void
test_xtext(void **state)
{
	static const char *const wrong[] = {"+", "+4", "+4G", "a=b", "a b"};
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < COUNT(coded); i++) {
		buf_reset(&out);
		xtext_encode(&out, str_from(coded[i].text));
		assert_string_equal(buf_c(&out), coded[i].xtext);
		buf_reset(&out);
		assert_true(xtext_decode(&out, str_from(coded[i].xtext)));
		assert_string_equal(buf_c(&out), coded[i].text);
	}
	for (i = 0; i < COUNT(wrong); i++)
		assert_false(xtext_decode(&out, str_from(wrong[i])));
	buf_free(&out);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_find),
	cmocka_unit_test(test_xtext),
};
UNIT_MAIN(tests)
