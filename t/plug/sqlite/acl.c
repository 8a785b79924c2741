/*
 * acl.c - rights: their sum, whose they are, what a new mailbox gets, what
 * they end with.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "fake.h"

#define A "a@x.test"
#define B "b@x.test"
#define C "c@y.test"

static struct fake store;
static const char *folder;
static struct mr_error err;
static int64_t box;

static int64_t
find(const char *name)
{
	struct mr_mailbox m;

	fake_mailbox(&store, A, name, &m);
	return m.id;
}

static int
set_up(void **state)
{
	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, NULL);
	fake_add(&store, A);
	fake_add(&store, B);
	fake_add(&store, C);
	assert_int_equal(store.op->mailbox_create(store.self, A, "box", 0,
		&err), MR_STORE_OK);
	box = find("box");
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

static int
set(const char *identifier, uint32_t op, uint32_t rights)
{
	return store.op->acl_set(store.self, box, identifier, op, rights,
		&err);
}

static uint32_t
rights_of(int64_t mailbox, const char *account)
{
	uint32_t rights = 0;

	assert_int_equal(store.op->acl_rights(store.self, mailbox, account,
		&rights, &err), MR_STORE_OK);
	return rights;
}

static int
add_row(void *arg, const char *identifier, uint32_t rights)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 1000 - n, "%s=%u ", identifier, rights);
	return 0;
}

static const char *
rows(int64_t mailbox)
{
	static char text[1000];

	text[0] = '\0';
	assert_int_equal(store.op->acl_list(store.self, mailbox, add_row, text,
		&err), MR_STORE_OK);
	return text;
}

static int
add_shared(void *arg, const char *owner, const struct mr_mailbox *m,
	uint32_t rights)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, 1000 - n, "%s/%s=%u ", owner, m->name, rights);
	return 0;
}

static const char *
shared(const char *account)
{
	static char text[1000];

	text[0] = '\0';
	assert_int_equal(store.op->acl_shared(store.self, account, add_shared,
		text, &err), MR_STORE_OK);
	return text;
}

static void
test_sum(void **state)
{
	(void)state;
	assert_int_equal(rights_of(box, A), MR_RIGHTS_ALL);
	assert_int_equal(rights_of(box, B), 0);
	assert_int_equal(set(B, MR_FLAGS_SET, 3), MR_STORE_OK);
	assert_int_equal(set(B, MR_FLAGS_ADD, 4), MR_STORE_OK);
	assert_int_equal(set(B, MR_FLAGS_REMOVE, 1), MR_STORE_OK);
	assert_int_equal(rights_of(box, B), 6);
	assert_int_equal(set("anyone", MR_FLAGS_SET, 8), MR_STORE_OK);
	assert_int_equal(set("-" B, MR_FLAGS_SET, 2), MR_STORE_OK);
	assert_int_equal(rights_of(box, B), 12);
	assert_int_equal(rights_of(box, C), 0);
	assert_string_equal(rows(box), "-b@x.test=2 anyone=8 b@x.test=6 ");
	assert_string_equal(shared(B), "a@x.test/box=12 ");
	assert_string_equal(shared(A), "");
	assert_string_equal(shared(C), "");
	assert_int_equal(set(B, MR_FLAGS_SET, 0), MR_STORE_OK);
	assert_int_equal(set("no@x.test", MR_FLAGS_SET, 1),
		MR_STORE_INVALID);
	assert_int_equal(set("no@x.test", MR_FLAGS_SET, 0), MR_STORE_OK);
	assert_string_equal(rows(box), "-b@x.test=2 anyone=8 ");
}

static void
test_new_and_renamed(void **state)
{
	(void)state;
	assert_int_equal(set(B, MR_FLAGS_SET, 3), MR_STORE_OK);
	assert_int_equal(store.op->mailbox_create(store.self, A, "box/x/y", 0,
		&err), MR_STORE_OK);
	assert_string_equal(rows(find("box/x/y")), "b@x.test=3 ");
	assert_string_equal(shared(B), "a@x.test/box=3 a@x.test/box/x=3 "
		"a@x.test/box/x/y=3 ");
	assert_int_equal(store.op->mailbox_create(store.self, A, "own", 0,
		&err), MR_STORE_OK);
	assert_int_equal(store.op->mailbox_rename(store.self, A, "own",
		"box/own", &err), MR_STORE_OK);
	assert_string_equal(rows(find("box/own")), "");
	assert_int_equal(store.op->mailbox_rename(store.self, A, "box/x",
		"away", &err), MR_STORE_OK);
	assert_string_equal(rows(find("away/y")), "b@x.test=3 ");
}

static void
test_end(void **state)
{
	(void)state;
	assert_int_equal(set(B, MR_FLAGS_SET, 3), MR_STORE_OK);
	assert_int_equal(set("-" B, MR_FLAGS_SET, 1), MR_STORE_OK);
	assert_int_equal(set(C, MR_FLAGS_SET, 7), MR_STORE_OK);
	assert_int_equal(store.op->account_remove(store.self, B, &err),
		MR_STORE_OK);
	assert_string_equal(rows(box), "c@y.test=7 ");
	assert_int_equal(store.op->mailbox_delete(store.self, A, "box", &err),
		MR_STORE_OK);
	assert_string_equal(shared(C), "");
	assert_int_equal(set(C, MR_FLAGS_SET, 1), MR_STORE_MISSING);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup_teardown(test_sum, set_up, tear_down),
	cmocka_unit_test_setup_teardown(test_new_and_renamed, set_up,
		tear_down),
	cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
};

UNIT_MAIN(tests)
