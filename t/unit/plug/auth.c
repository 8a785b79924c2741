/*
 * auth.c - SASL exchanges and the order of the auth plugins.
 */
#include "unit.h"

#include "plug/auth.h"

/* ------------------------------------------------------------- plugins */

static int asked[2];

/* "NAME" with password "pw": the name says what is answered. */
static enum mr_auth_answer
answer(int who, struct mr_str login, struct mr_str password, char *account,
	size_t size)
{
	struct str l = str_of(login.at, login.len);
	bool good = str_is(str_of(password.at, password.len), "pw");

	asked[who]++;
	if (str_is(l, who ? "second" : "first") && good) {
		snprintf(account, size, "%.*s@x", STR_ARGS(l));
		return MR_AUTH_OK;
	}
	if (str_is(l, "denied") || str_is(l, "first"))
		return MR_AUTH_DENIED;
	if (str_is(l, "temp"))
		return MR_AUTH_TEMPFAIL;
	return str_is(l, "odd") ? (enum mr_auth_answer)99 : MR_AUTH_UNKNOWN;
}

static enum mr_auth_answer
verify_first(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t size)
{
	assert_null(self);
	assert_string_equal(service, "smtp");
	return answer(0, login, password, account, size);
}

static enum mr_auth_answer
verify_second(void *self, struct mr_str login, struct mr_str password,
	const char *service, char *account, size_t size)
{
	assert_null(self);
	assert_string_equal(service, "smtp");
	return answer(1, login, password, account, size);
}

static const struct mr_auth first = {sizeof first, verify_first};
static const struct mr_auth second = {sizeof second, verify_second};
static const struct mr_plugin descs[] = {
	{MR_PLUGIN_HEAD, .name = "other"},
	{MR_PLUGIN_HEAD, .name = "first", .auth = &first},
	{MR_PLUGIN_HEAD, .name = "second", .auth = &second},
};
static struct plugin list[] = {
	{.name = "other", .desc = &descs[0]},
	{.name = "first", .desc = &descs[1]},
	{.name = "second", .desc = &descs[2]},
};
static struct plugin *items[] = {&list[0], &list[1], &list[2]};
static const struct plugins plugins = {.item = items, .n = COUNT(items)};

/* ------------------------------------------------------------ passwords */

static const struct {
	struct str login, password;
	enum auth_step step;
	int first, second;	/* who was asked */
	const char *account;
} passwords[] = {
	{STR("first"), STR("pw"), AUTH_OK, 1, 0, "first@x"},
	{STR("second"), STR("pw"), AUTH_OK, 1, 1, "second@x"},
	{STR("first"), STR("no"), AUTH_DENIED, 1, 0, ""},
	{STR("second"), STR("no"), AUTH_DENIED, 1, 1, ""},
	{STR("denied"), STR("pw"), AUTH_DENIED, 1, 0, ""},
	{STR("nobody"), STR("pw"), AUTH_DENIED, 1, 1, ""},
	{STR("temp"), STR("pw"), AUTH_TEMPFAIL, 1, 0, ""},
	{STR("odd"), STR("pw"), AUTH_TEMPFAIL, 1, 0, ""},
	{STR(""), STR("pw"), AUTH_DENIED, 0, 0, ""},
	{STR("first"), STR(""), AUTH_DENIED, 1, 0, ""},
	{STR("fir\0st"), STR("pw"), AUTH_DENIED, 0, 0, ""},
	{STR("first"), STR("pw\0"), AUTH_DENIED, 0, 0, ""},
};

static void
test_passwords(void **state)
{
	char account[AUTH_ACCOUNT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(passwords); i++) {
		account[0] = '\0';
		asked[0] = asked[1] = 0;
		assert_int_equal(auth_password(&plugins, passwords[i].login,
			passwords[i].password, "smtp", account),
			passwords[i].step);
		assert_int_equal(asked[0], passwords[i].first);
		assert_int_equal(asked[1], passwords[i].second);
		assert_string_equal(account, passwords[i].account);
	}
}

/* ----------------------------------------------------------- exchanges */

#define NONE {NULL, 0}

static const struct {
	const char *mechanism;
	struct str sent[4];	/* [0]: with the command; NULL: not */
	enum auth_step step;	/* the last */
	const char *challenges;
} exchanges[] = {
	/* RFC 4616: authzid NUL authcid NUL password */
	{"PLAIN", {STR("\0first\0pw")}, AUTH_OK, ""},
	{"plain", {STR("\0first\0pw")}, AUTH_OK, ""},
	{"PLAIN", {STR("first\0first\0pw")}, AUTH_OK, ""},
	{"PLAIN", {STR("FIRST\0first\0pw")}, AUTH_OK, ""},
	{"PLAIN", {STR("second\0first\0pw")}, AUTH_DENIED, ""},
	{"PLAIN", {STR("\0first\0no")}, AUTH_DENIED, ""},
	{"PLAIN", {STR("\0first\0")}, AUTH_DENIED, ""},
	{"PLAIN", {STR("\0temp\0pw")}, AUTH_TEMPFAIL, ""},
	{"PLAIN", {STR("")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("\0")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("\0\0")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("\0\0pw")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("first pw")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("\0first")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("\0first\0pw\0")}, AUTH_MALFORMED, ""},
	{"PLAIN", {STR("\0first\0pw\0more")}, AUTH_MALFORMED, ""},
	{"PLAIN", {NONE, STR("\0first\0pw")}, AUTH_OK, "|"},
	{"PLAIN", {NONE, STR("")}, AUTH_MALFORMED, "|"},
	{"LOGIN", {NONE, STR("first"), STR("pw")}, AUTH_OK,
		"Username:|Password:|"},
	{"login", {STR("first"), STR("pw")}, AUTH_OK, "Password:|"},
	{"LOGIN", {STR("second"), STR("pw")}, AUTH_OK, "Password:|"},
	{"LOGIN", {STR("first"), STR("no")}, AUTH_DENIED, "Password:|"},
	{"LOGIN", {STR(""), STR("pw")}, AUTH_DENIED, "Password:|"},
	{"LOGIN", {STR("first"), STR("")}, AUTH_DENIED, "Password:|"},
	{"LOGIN", {STR("fi\0rst"), STR("pw")}, AUTH_DENIED, "Password:|"},
	{"LOGIN", {STR("temp"), STR("pw")}, AUTH_TEMPFAIL, "Password:|"},
	{"CRAM-MD5", {NONE}, AUTH_NO_MECHANISM, ""},
	{"", {NONE}, AUTH_NO_MECHANISM, ""},
	{"PLAINX", {NONE}, AUTH_NO_MECHANISM, ""},
	/* No plugin here has keys or judges tokens; nobody has a certificate. */
	{"SCRAM-SHA-256", {NONE}, AUTH_NO_MECHANISM, ""},
	{"OAUTHBEARER", {NONE}, AUTH_NO_MECHANISM, ""},
	{"EXTERNAL", {STR("")}, AUTH_NO_MECHANISM, ""},
};

static const struct sasl_terms terms = {.plugins = &plugins,
	.service = "smtp"};

static void
test_exchanges(void **state)
{
	enum auth_step step;
	struct arena a;
	struct buf out;
	struct sasl s;
	size_t i, k;

	(void)state;
	arena_init(&a);
	buf_init(&out, BUF_NO_CAP);
	for (i = 0; i < COUNT(exchanges); i++) {
		buf_reset(&out);
		step = sasl_begin(&s, &terms,
			str_from(exchanges[i].mechanism),
			exchanges[i].sent[0], &a, &out);
		for (k = 1; step == AUTH_CONTINUE; k++) {
			buf_addc(&out, '|');
			assert_true(k < 4 && exchanges[i].sent[k].at);
			step = sasl_next(&s, exchanges[i].sent[k], &a, &out);
		}
		if (step != exchanges[i].step)
			fail_msg("row %zu: %d", i, step);
		assert_string_equal(buf_c(&out), exchanges[i].challenges);
		assert_int_equal(s.account[0] != '\0', step == AUTH_OK);
		/* It is over, whatever else is brought. */
		assert_int_equal(sasl_next(&s, STR("pw"), &a, &out),
			AUTH_MALFORMED);
	}
	buf_free(&out);
	arena_free(&a);
}

static void
test_bounds(void **state)
{
	char big[8192];
	struct arena a;
	struct buf out;
	struct sasl s;

	(void)state;
	arena_init(&a);
	buf_init(&out, BUF_NO_CAP);
	memset(big, 'x', sizeof big);
	big[0] = big[10] = '\0';
	assert_int_equal(sasl_begin(&s, &terms, STR("PLAIN"),
		str_of(big, sizeof big), &a, &out), AUTH_MALFORMED);
	assert_int_equal(sasl_begin(&s, &terms, STR("LOGIN"),
		str_of(big + 11, 2000), &a, &out), AUTH_MALFORMED);
	buf_free(&out);
	arena_free(&a);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_passwords),
	cmocka_unit_test(test_exchanges),
	cmocka_unit_test(test_bounds),
};
UNIT_MAIN(tests)
