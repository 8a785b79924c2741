/*
 * metadata.c - annotations: whose they are, how many, what they end with.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "fake.h"

#define A "a@x.test"
#define B "b@x.test"

static struct fake store;
static const char *folder;
static struct mr_error err;

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, A);
	fake_add(&store, B);
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

static int64_t
inbox_of(const char *account)
{
	struct mr_mailbox m;

	fake_mailbox(&store, account, "INBOX", &m);
	return m.id;
}

/* value NULL: none. */
static int
put(const char *account, int64_t mailbox, const char *name,
	const char *value)
{
	struct mr_metadata e = {name, {value, value ? strlen(value) : 0}};

	return store.op->metadata_set(store.self, account, mailbox, &e, 1, 3,
		&err);
}

static int
add(void *arg, const char *name, struct mr_str value)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 1000 - n, "%s=%.*s ", name, (int)value.len,
		value.at);
	return 0;
}

static const char *
all(const char *account, int64_t mailbox)
{
	static char text[1000];

	text[0] = '\0';
	assert_int_equal(store.op->metadata_get(store.self, account, mailbox,
		add, text, &err), MR_STORE_OK);
	return text;
}

static void
test_whose(void **state)
{
	int64_t inbox = inbox_of(A);

	(void)state;
	assert_int_equal(put(A, inbox, "/private/c", "mine"), MR_STORE_OK);
	assert_int_equal(put(B, inbox, "/private/c", "yours"), MR_STORE_OK);
	assert_int_equal(put(B, inbox, "/shared/c", ""), MR_STORE_OK);
	assert_string_equal(all(A, inbox), "/private/c=mine /shared/c= ");
	assert_string_equal(all(B, inbox), "/private/c=yours /shared/c= ");
	assert_string_equal(all(A, 0), "");
	assert_int_equal(put(A, inbox, "/private/c", NULL), MR_STORE_OK);
	assert_string_equal(all(A, inbox), "/shared/c= ");
	assert_int_equal(put(A, 12345, "/private/c", "x"), MR_STORE_MISSING);
	assert_int_equal(put("no@x.test", inbox, "/private/c", "x"),
		MR_STORE_MISSING);
}

static void
test_count(void **state)
{
	static const char *const names[] = {"/private/1", "/private/2",
		"/private/3"};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(put(A, 0, names[i], "x"), MR_STORE_OK);
	assert_int_equal(put(A, 0, "/private/4", "x"),
		MR_STORE_OVER_QUOTA);
	assert_string_equal(all(A, 0),
		"/private/1=x /private/2=x /private/3=x ");
	assert_int_equal(put(A, 0, "/private/3", "y"), MR_STORE_OK);
	assert_int_equal(put(B, 0, "/private/4", "x"), MR_STORE_OK);
	assert_int_equal(put(A, 0, "/shared/4", "x"), MR_STORE_OK);
}

static int
add_change(void *arg, int64_t mailbox, const char *name)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 1000 - n, "%s%s ", mailbox ? "" : "server ", name);
	return 0;
}

static const char *
changed(const char *account, int64_t since, int64_t *now)
{
	static char text[1000];

	text[0] = '\0';
	assert_int_equal(store.op->metadata_changed(store.self, account, since,
		add_change, text, now, &err), MR_STORE_OK);
	return text;
}

static void
test_changed(void **state)
{
	int64_t inbox = inbox_of(A), now = 0, later, i;
	char name[40];

	(void)state;
	assert_string_equal(changed(A, 0, &now), "");
	assert_int_equal(put(A, inbox, "/private/c", "x"), MR_STORE_OK);
	assert_int_equal(put(A, inbox, "/shared/c", "x"), MR_STORE_OK);
	assert_int_equal(put(A, 0, "/private/s", "x"), MR_STORE_OK);
	assert_string_equal(changed(A, now, &later),
		"/private/c /shared/c server /private/s ");
	assert_string_equal(changed(B, now, &now), "/shared/c ");
	assert_int_equal(now, later);
	assert_int_equal(put(A, inbox, "/private/c", NULL), MR_STORE_OK);
	assert_int_equal(store.op->mailbox_use(store.self, inbox,
		MR_SPECIAL_ARCHIVE, &err), MR_STORE_OK);
	assert_string_equal(changed(A, now, &now),
		"/private/c /private/specialuse ");
	for (i = 0; i < 210; i++) {
		snprintf(name, sizeof name, "/private/%d", (int)i);
		assert_int_equal(put(A, inbox, name, NULL), MR_STORE_OK);
	}
	assert_null(strstr(changed(A, 0, &later), "/private/9 "));
	assert_string_equal(changed(A, now + 209, &now), "/private/209 ");
}

static void
test_end(void **state)
{
	struct mr_mailbox m;
	int64_t old;

	(void)state;
	assert_int_equal(store.op->mailbox_create(store.self, A, "box", 0,
		&err), MR_STORE_OK);
	fake_mailbox(&store, A, "box", &m);
	old = m.id;
	assert_int_equal(put(A, old, "/private/c", "x"), MR_STORE_OK);
	assert_int_equal(store.op->mailbox_rename(store.self, A, "box", "new",
		&err), MR_STORE_OK);
	fake_mailbox(&store, A, "new", &m);
	assert_int_equal(m.id, old);
	assert_string_equal(all(A, old), "/private/c=x ");
	assert_int_equal(store.op->mailbox_delete(store.self, A, "new", &err),
		MR_STORE_OK);
	assert_int_equal(put(A, old, "/private/c", "x"), MR_STORE_MISSING);
	assert_int_equal(store.op->account_remove(store.self, A, &err),
		MR_STORE_OK);
	assert_string_equal(all(B, 0), "");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(test_whose, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_count, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_changed, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
};

UNIT_MAIN(tests)
