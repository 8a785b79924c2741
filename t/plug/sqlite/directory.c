/*
 * directory.c - domains, accounts, aliases, figures, and logins.
 */
#include "unit.h"

#include <crypt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sqlite3.h>

#include "fake.h"

static struct fake store;
static const char *folder;
static struct mr_error err;

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fake_close(&store);
	fake_folder_remove(folder);
	return 0;
}

static sqlite3 *
open_beside(void)
{
	char path[4096];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/sqlite/mailroom.db", folder);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE,
		NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	return db;
}

static int64_t
count(const char *sql)
{
	sqlite3 *db = open_beside();
	sqlite3_stmt *st;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

/* ----------------------------------------------------------------- names */

static int
join(void *arg, const char *name)
{
	char *text = arg;

	strcat(text, *text ? " " : "");
	strcat(text, name);
	return 0;
}

static void
test_domains(void **state)
{
	static const struct {
		const char *name;
		int code;
	} rows[] = {
		{"x.test", MR_STORE_OK}, {"X.Test", MR_STORE_EXISTS},
		{"b\xc3\xbc" "cher.test", MR_STORE_OK},
		{"", MR_STORE_INVALID}, {"a b.test", MR_STORE_INVALID},
		{"u@x.test", MR_STORE_INVALID}, {".x.test", MR_STORE_INVALID},
		{"x.test.", MR_STORE_INVALID}, {"x..test", MR_STORE_INVALID},
		{"x\x01.test", MR_STORE_INVALID}, {"\xff.test",
			MR_STORE_INVALID},
	};
	char got[400] = "";
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		if (store.op->domain_add(store.self, rows[i].name, &err) !=
			rows[i].code)
			fail_msg("\"%s\"", rows[i].name);
	assert_int_equal(store.op->domain_list(store.self, join, got, &err),
		MR_STORE_OK);
	assert_string_equal(got, "b\xc3\xbc" "cher.test x.test");
}

static void
test_account_names(void **state)
{
	static const struct {
		const char *name;
		int code;
	} rows[] = {
		{"Ann.Bee@X.test", MR_STORE_OK},
		{"ann.bee@x.test", MR_STORE_EXISTS},
		{"j\xc3\xb6rg@x.test", MR_STORE_OK},
		{"ann", MR_STORE_INVALID}, {"@x.test", MR_STORE_INVALID},
		{"a@", MR_STORE_INVALID}, {"", MR_STORE_INVALID},
		{"a b@x.test", MR_STORE_INVALID},
		{"a@b@x.test", MR_STORE_INVALID},
		{"a\x07@x.test", MR_STORE_INVALID},
		{"a\xff@x.test", MR_STORE_INVALID},
		{"<a@x.test", MR_STORE_INVALID},
		{"a@none.test", MR_STORE_MISSING},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		if (store.op->account_add(store.self, rows[i].name, "secret",
			&err) != rows[i].code)
			fail_msg("\"%s\": %s", rows[i].name, err.text);
	assert_non_null(strstr(err.text, "none.test"));
	assert_non_null(strstr(err.text, "mailroom domain add"));
}

static void
test_passwords(void **state)
{
	char longest[514];

	(void)state;
	memset(longest, 'p', 513);
	longest[513] = '\0';
	assert_int_equal(store.op->account_add(store.self, "p@x.test", "",
		&err), MR_STORE_INVALID);
	assert_int_equal(store.op->account_add(store.self, "p@x.test",
		longest, &err), MR_STORE_INVALID);
	assert_int_equal(store.op->account_add(store.self, "p@x.test", "p",
		&err), MR_STORE_OK);
	assert_int_equal(store.op->account_set(store.self, "p@x.test", "", -1,
		-1, &err), MR_STORE_INVALID);
	assert_int_equal(store.op->account_set(store.self, "none@x.test",
		NULL, 1, -1, &err), MR_STORE_MISSING);
	assert_int_equal(count("SELECT count(*) FROM account"
		" WHERE password NOT LIKE '$y$j9T$%'"), 0);
}

static int
find_account(void *arg, const struct mr_account *a)
{
	struct mr_account *want = arg;

	if (strcmp(a->name, want->name))
		return 0;
	*want = *a;
	return 1;
}

static struct mr_account
account(const char *name)
{
	struct mr_account a = {.name = name};

	assert_int_equal(store.op->account_list(store.self, find_account, &a,
		&err), MR_STORE_STOPPED);
	return a;
}

static void
test_account_set(void **state)
{
	struct mr_placement p;

	(void)state;
	fake_add(&store, "set@x.test");
	fake_commit(&store, "set@x.test", "INBOX", 1, 500, &p, &err);
	fake_commit(&store, "set@x.test", "Sent", 2, 600, &p, &err);
	assert_int_equal(account("set@x.test").bytes, 1100);
	assert_int_equal(account("set@x.test").messages, 2);
	assert_int_equal(store.op->account_set(store.self, "SET@x.test", NULL,
		5000, -1, &err), MR_STORE_OK);
	assert_int_equal(account("set@x.test").quota, 5000);
	assert_int_equal(account("set@x.test").disabled, 0);
	assert_int_equal(store.op->account_set(store.self, "set@x.test", NULL,
		-1, 1, &err), MR_STORE_OK);
	assert_int_equal(account("set@x.test").quota, 5000);
	assert_int_equal(account("set@x.test").disabled, 1);
}

static void
test_account_remove(void **state)
{
	struct mr_placement p;

	(void)state;
	fake_add(&store, "leave@x.test");
	fake_commit(&store, "leave@x.test", "INBOX", 1, 500, &p, &err);
	fake_commit(&store, "leave@x.test", "Deep/er", 2, 600, &p, &err);
	assert_int_equal(store.op->account_remove(store.self, "Leave@x.test",
		&err), MR_STORE_OK);
	assert_int_equal(store.op->account_remove(store.self, "leave@x.test",
		&err), MR_STORE_MISSING);
	assert_int_equal(count("SELECT count(*) FROM mailbox WHERE account"
		" NOT IN (SELECT id FROM account)"), 0);
	assert_int_equal(count("SELECT count(*) FROM subscription WHERE"
		" account NOT IN (SELECT id FROM account)"), 0);
	assert_int_equal(count("SELECT count(*) FROM entry WHERE mailbox"
		" NOT IN (SELECT id FROM mailbox)"), 0);
	assert_int_equal(count("SELECT count(*) FROM message"
		" WHERE refs > 0 AND id NOT IN (SELECT message FROM entry)"),
		0);
	fake_add(&store, "leave@x.test");
	assert_int_equal(account("leave@x.test").messages, 0);
}

static int
join_alias(void *arg, const struct mr_alias *a)
{
	char *text = arg;

	sprintf(text + strlen(text), "%s=%s ", a->address, a->target);
	return 0;
}

static void
test_aliases(void **state)
{
	static const struct {
		const char *address, *target;
		int code;
	} rows[] = {
		{"Sales@x.test", "Ann@x.test", MR_STORE_OK},
		{"sales@x.test", "Ann@X.TEST", MR_STORE_EXISTS},
		{"sales@x.test", "far@elsewhere.test", MR_STORE_OK},
		{"@x.test", "ann@x.test", MR_STORE_OK},
		{"a@none.test", "ann@x.test", MR_STORE_MISSING},
		{"sales", "ann@x.test", MR_STORE_INVALID},
		{"sales@x.test", "ann", MR_STORE_INVALID},
		{"sales@x.test", "@x.test", MR_STORE_INVALID},
		{"sales@x.test", "", MR_STORE_INVALID},
		{"sales@x.test", "a\x01@x.test", MR_STORE_INVALID},
		{"s\x7f@x.test", "ann@x.test", MR_STORE_INVALID},
	};
	char got[1000] = "";
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		if (store.op->alias_add(store.self, rows[i].address,
			rows[i].target, &err) != rows[i].code)
			fail_msg("%s %s", rows[i].address, rows[i].target);
	assert_int_equal(store.op->alias_remove(store.self, "SALES@x.test",
		"far@Elsewhere.test", &err), MR_STORE_OK);
	assert_int_equal(store.op->alias_remove(store.self, "sales@x.test",
		"far@elsewhere.test", &err), MR_STORE_MISSING);
	assert_int_equal(store.op->alias_list(store.self, join_alias, got,
		&err), MR_STORE_OK);
	assert_string_equal(got, "@x.test=ann@x.test sales@x.test=Ann@x.test ");
}

static void
test_figures(void **state)
{
	int64_t messages = -1, queued = -1, held = -1, bytes = -1, before;
	struct mr_placement p;

	(void)state;
	assert_int_equal(store.op->figures(store.self, &before, &queued, &held,
		&bytes, &err), MR_STORE_OK);
	fake_add(&store, "fig@x.test");
	fake_commit(&store, "fig@x.test", "INBOX", 1, 500, &p, &err);
	assert_int_equal(store.op->figures(store.self, &messages, &queued,
		&held, &bytes, &err), MR_STORE_OK);
	assert_int_equal(messages, before + 1);
	assert_int_equal(queued, 0);
	assert_int_equal(held, 0);
	assert_true(bytes >= 500);
}

/* ---------------------------------------------------------------- logins */

static int
login_bytes(const char *login, const char *password, size_t len, char *name)
{
	char out[330] = "untouched";
	int answer = store.plugin->auth->verify(store.self,
		(struct mr_str){login, strlen(login)},
		(struct mr_str){password, len}, "imap", out, sizeof out);

	if (name)
		strcpy(name, out);
	return answer;
}

static int
login(const char *name, const char *password)
{
	return login_bytes(name, password, strlen(password), NULL);
}

static void
test_login(void **state)
{
	char name[330];

	(void)state;
	fake_add(&store, "log@x.test");
	assert_int_equal(login_bytes("LOG@x.Test", "secret", 6, name),
		MR_AUTH_OK);
	assert_string_equal(name, "log@x.test");
	assert_int_equal(login("log@x.test", "Secret"), MR_AUTH_DENIED);
	assert_int_equal(login("log@x.test", ""), MR_AUTH_DENIED);
	assert_int_equal(login_bytes("log@x.test", "secret\0x", 8, NULL),
		MR_AUTH_DENIED);
	assert_int_equal(login("none@x.test", "secret"), MR_AUTH_DENIED);
	assert_int_equal(login("log@elsewhere.test", "secret"),
		MR_AUTH_UNKNOWN);
	assert_int_equal(login("log", "secret"), MR_AUTH_UNKNOWN);
	assert_int_equal(login("", "secret"), MR_AUTH_UNKNOWN);
}

/* A login that was right a moment ago ends with the password it had. */
static void
test_login_changes(void **state)
{
	(void)state;
	fake_add(&store, "chg@x.test");
	assert_int_equal(login("chg@x.test", "secret"), MR_AUTH_OK);
	assert_int_equal(login("chg@x.test", "secret"), MR_AUTH_OK);
	store.op->account_set(store.self, "chg@x.test", "other", -1, -1, &err);
	assert_int_equal(login("chg@x.test", "secret"), MR_AUTH_DENIED);
	assert_int_equal(login("chg@x.test", "other"), MR_AUTH_OK);
	store.op->account_set(store.self, "chg@x.test", NULL, -1, 1, &err);
	assert_int_equal(login("chg@x.test", "other"), MR_AUTH_DENIED);
	store.op->account_set(store.self, "chg@x.test", NULL, -1, 0, &err);
	assert_int_equal(login("chg@x.test", "other"), MR_AUTH_OK);
	store.op->account_remove(store.self, "chg@x.test", &err);
	assert_int_equal(login("chg@x.test", "other"), MR_AUTH_DENIED);
}

/* Hashes that other programs made. */
static void
test_other_hashes(void **state)
{
	static const char *const setting[] = {"$2b$", "$6$", "$5$", "$y$"};
	char sql[600], salt[CRYPT_GENSALT_OUTPUT_SIZE];
	sqlite3 *db = open_beside();
	size_t i;

	(void)state;
	fake_add(&store, "old@x.test");
	for (i = 0; i < COUNT(setting); i++) {
		struct crypt_data *d = calloc(1, sizeof *d);

		assert_non_null(crypt_gensalt_rn(setting[i], 0, NULL, 0, salt,
			sizeof salt));
		snprintf(sql, sizeof sql, "UPDATE account SET password = '%s'"
			" WHERE name = 'old@x.test'",
			crypt_r("from elsewhere", salt, d));
		free(d);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL),
			SQLITE_OK);
		assert_int_equal(login("old@x.test", "from elsewhere"),
			MR_AUTH_OK);
		assert_int_equal(login("old@x.test", "wrong"), MR_AUTH_DENIED);
	}
	sqlite3_exec(db, "UPDATE account SET password = '!' WHERE name ="
		" 'old@x.test'", NULL, NULL, NULL);
	assert_int_equal(login("old@x.test", "!"), MR_AUTH_DENIED);
	sqlite3_close(db);
}

static double
time_of(const char *name, const char *password)
{
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	login(name, password);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 +
		(double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

static double
median_time(const char *name, const char *password)
{
	double t[5], x;
	size_t i, k;

	for (i = 0; i < COUNT(t); i++) {
		x = time_of(name, password);
		for (k = i; k > 0 && t[k - 1] > x; k--)
			t[k] = t[k - 1];
		t[k] = x;
	}
	return t[COUNT(t) / 2];
}

/* Nobody learns from the time which logins there are; who was right a moment
 * ago is not kept waiting. */
static void
test_times(void **state)
{
	static const char *const other[] = {"none@x.test", "a@elsewhere.test",
		"none", ""};
	double wrong;
	size_t i;

	(void)state;
	fake_add(&store, "time@x.test");
	wrong = median_time("time@x.test", "wrong");
	for (i = 0; i < COUNT(other); i++) {
		double t = median_time(other[i], "wrong");

		if (t < wrong * 0.6 || t > wrong * 1.6)
			fail_msg("\"%s\": %.1f ms, not %.1f", other[i], t,
				wrong);
	}
	login("time@x.test", "secret");
	assert_true(median_time("time@x.test", "secret") < wrong / 10);
}

static void *
log_in_often(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 3; i++)
		if (login("storm@x.test", "wrong") != MR_AUTH_DENIED ||
			login("storm@x.test", "secret") != MR_AUTH_OK)
			return &store;
	return NULL;
}

static void
test_storm(void **state)
{
	pthread_t t[16];
	void *why;
	size_t i;

	(void)state;
	fake_add(&store, "storm@x.test");
	for (i = 0; i < COUNT(t); i++)
		pthread_create(&t[i], NULL, log_in_often, NULL);
	for (i = 0; i < COUNT(t); i++) {
		pthread_join(t[i], &why);
		assert_null(why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_account_names),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_account_set),
		cmocka_unit_test(test_account_remove),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_login_changes),
		cmocka_unit_test(test_other_hashes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_storm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
