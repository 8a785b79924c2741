/*
 * mailbox.c - mailboxes by name: the list and its order, making, removing,
 * renaming, subscribing, \Recent, UIDVALIDITY.
 */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define A "a@x.test"

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
create(const char *name)
{
	return store.op->mailbox_create(store.self, A, name, 0, &err);
}

static int
rename_box(const char *from, const char *to)
{
	return store.op->mailbox_rename(store.self, A, from, to, &err);
}

static int
delete_box(const char *name)
{
	return store.op->mailbox_delete(store.self, A, name, &err);
}

static struct mr_mailbox
find(const char *name)
{
	struct mr_mailbox m = {.id = 0};
	int code = store.op->mailbox_find(store.self, A, name, &m, &err);

	assert_true(code == MR_STORE_OK || code == MR_STORE_MISSING);
	if (code == MR_STORE_MISSING)
		m.id = 0;
	return m;
}

static void
put(const char *name, unsigned n)
{
	struct mr_placement p;
	unsigned i;

	for (i = 0; i < n; i++)
		assert_int_equal(fake_commit(&store, A, name, i, 100, &p,
			&err), MR_STORE_OK);
}

/* ------------------------------------------------------------------ list */

struct listed {
	char text[4000];
};

static int
list_one(void *arg, const struct mr_mailbox *m)
{
	struct listed *l = arg;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof l->text - n, "%s%s:%u%s", n ? " " : "",
		m->name, m->special, m->subscribed ? "+" : "");
	return 0;
}

static int
list_name(void *arg, const char *name)
{
	struct listed *l = arg;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof l->text - n, "%s%s", n ? " " : "", name);
	return 0;
}

static const char *
list_of(const char *account)
{
	static struct listed l;

	l.text[0] = '\0';
	assert_int_equal(store.op->mailbox_list(store.self, account, list_one,
		&l, &err), MR_STORE_OK);
	return l.text;
}

static const char *
subscriptions(void)
{
	static struct listed l;

	l.text[0] = '\0';
	assert_int_equal(store.op->subscriptions(store.self, A, list_name, &l,
		&err), MR_STORE_OK);
	return l.text;
}

static int
stop(void *arg, const struct mr_mailbox *m)
{
	(void)m;
	++*(int *)arg;
	return 1;
}

static void
test_new_account(void **state)
{
	int n = 0;

	(void)state;
	assert_string_equal(list_of(A), "INBOX:0+ Archive:5+ Drafts:1+ "
		"Junk:3+ Sent:2+ Trash:4+");
	assert_string_equal(subscriptions(),
		"INBOX Archive Drafts Junk Sent Trash");
	assert_int_equal(store.op->mailbox_list(store.self, "no@x.test", stop,
		&n, &err), MR_STORE_MISSING);
	assert_int_equal(n, 0);
	assert_int_equal(store.op->mailbox_list(store.self, A, stop, &n,
		&err), MR_STORE_STOPPED);
	assert_int_equal(n, 1);
}

static void
test_create(void **state)
{
	static const struct {
		const char *name;
		int code;
	} rows[] = {
		{"inbox", MR_STORE_EXISTS}, {"Sent", MR_STORE_EXISTS},
		{"sent", MR_STORE_OK}, {"", MR_STORE_INVALID},
		{"/x", MR_STORE_INVALID}, {"x/", MR_STORE_INVALID},
		{"x//y", MR_STORE_INVALID}, {"x\ny", MR_STORE_INVALID},
		{"\x7f", MR_STORE_INVALID}, {"\xc3", MR_STORE_INVALID},
		{"\xed\xa0\x80", MR_STORE_INVALID},
		{"Entw\xc3\xbcrfe", MR_STORE_OK},
		{"\xf0\x9f\x93\xac", MR_STORE_OK},
		{"one/two/three", MR_STORE_OK}, {"one/two", MR_STORE_EXISTS},
		{"one/%_*", MR_STORE_OK}, {"INBOX/below", MR_STORE_OK},
	};
	char longest[1002];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		assert_int_equal(create(rows[i].name), rows[i].code);
	assert_true(find("one").id > 0);
	memset(longest, 'n', 1001);
	longest[1001] = '\0';
	assert_int_equal(create(longest), MR_STORE_INVALID);
	longest[1000] = '\0';
	assert_int_equal(create(longest), MR_STORE_OK);
	assert_int_equal(delete_box(longest), MR_STORE_OK);
	assert_int_equal(store.op->mailbox_create(store.self, "no@x.test",
		"x", 0, &err), MR_STORE_MISSING);
	assert_int_equal(store.op->mailbox_create(store.self, A, "Spam",
		MR_SPECIAL_JUNK, &err), MR_STORE_OK);
	assert_int_equal(find("Spam").special, MR_SPECIAL_JUNK);
}

static void
test_find(void **state)
{
	struct mr_mailbox m, same;

	(void)state;
	put("Found", 3);
	m = find("Found");
	assert_true(m.id > 0);
	assert_int_equal(m.messages, 3);
	assert_int_equal(m.unseen, 3);
	assert_int_equal(m.bytes, 300);
	assert_int_equal(m.uidnext, 4);
	assert_false(m.subscribed);
	assert_int_equal(store.op->subscribe(store.self, A, "Found", 1, &err),
		MR_STORE_OK);
	assert_true(find("Found").subscribed);
	assert_int_equal(store.op->mailbox_get(store.self, m.id, &same, &err),
		MR_STORE_OK);
	assert_true(same.subscribed);
	assert_int_equal(same.uidvalidity, m.uidvalidity);
	assert_int_equal(find("iNbOx").id, find("INBOX").id);
	assert_int_equal(find("found").id, 0);
}

/* ---------------------------------------------------------------- change */

static void
test_delete(void **state)
{
	struct mr_mailbox old, new;

	(void)state;
	assert_int_equal(delete_box("Inbox"), MR_STORE_INVALID);
	assert_int_equal(delete_box("None"), MR_STORE_MISSING);
	put("Del/child", 2);
	assert_int_equal(delete_box("Del"), MR_STORE_INVALID);
	old = find("Del/child");
	assert_int_equal(delete_box("Del/child"), MR_STORE_OK);
	assert_int_equal(find("Del/child").id, 0);
	assert_int_equal(store.op->mailbox_get(store.self, old.id, &new, &err),
		MR_STORE_MISSING);
	assert_int_equal(create("Del/child"), MR_STORE_OK);
	new = find("Del/child");
	assert_true(new.uidvalidity > old.uidvalidity);
	assert_true(new.id > old.id);
	assert_int_equal(new.messages, 0);
	assert_int_equal(new.uidnext, 1);
}

static void
test_uidvalidity_grows(void **state)
{
	uint32_t last = 0;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		assert_int_equal(create("Again"), MR_STORE_OK);
		assert_true(find("Again").uidvalidity > last);
		last = find("Again").uidvalidity;
		assert_int_equal(delete_box("Again"), MR_STORE_OK);
	}
}

static void
test_rename(void **state)
{
	struct mr_mailbox before;

	(void)state;
	put("R", 2);
	put("R/a", 1);
	put("R/a/b", 1);
	put("Rx", 1);
	before = find("R");
	assert_int_equal(rename_box("R", "R/a/deeper"), MR_STORE_INVALID);
	assert_int_equal(rename_box("R", "R"), MR_STORE_EXISTS);
	assert_int_equal(rename_box("R", "Sent"), MR_STORE_EXISTS);
	assert_int_equal(rename_box("R", "inbox"), MR_STORE_EXISTS);
	assert_int_equal(rename_box("R", "bad//name"), MR_STORE_INVALID);
	assert_int_equal(rename_box("None", "Other"), MR_STORE_MISSING);
	assert_int_equal(find("Other").id, 0);
	assert_int_equal(rename_box("R", "New/place/R"), MR_STORE_OK);
	assert_int_equal(find("R").id, 0);
	assert_int_equal(find("R/a").id, 0);
	assert_int_equal(find("New/place/R").id, before.id);
	assert_int_equal(find("New/place/R").messages, 2);
	assert_int_equal(find("New/place/R").uidvalidity, before.uidvalidity);
	assert_int_equal(find("New/place/R/a/b").messages, 1);
	assert_true(find("New/place").id > 0);
	assert_int_equal(find("Rx").messages, 1);	/* not below R */
	assert_int_equal(create("R"), MR_STORE_OK);
	assert_true(find("R").uidvalidity > before.uidvalidity);
}

static void
test_rename_keeps_names_short(void **state)
{
	char longest[1001];

	(void)state;
	assert_int_equal(create("Short/child"), MR_STORE_OK);
	memset(longest, 'n', 1000);
	longest[1000] = '\0';
	assert_int_equal(rename_box("Short", longest), MR_STORE_INVALID);
	assert_true(find("Short/child").id > 0);
	longest[1000 - 6] = '\0';
	assert_int_equal(rename_box("Short", longest), MR_STORE_OK);
}

/* RFC 3501 6.3.5, and RFC 9051 6.3.6: also to a name below INBOX. */
static void
test_rename_inbox(void **state)
{
	static const char *const to[] = {"Old mail", "INBOX/old"};
	struct mr_mailbox inbox = find("INBOX"), moved, after;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(to); i++) {
		put("INBOX", 3);
		put("INBOX/kept", 1);
		assert_int_equal(rename_box(i ? "INBOX" : "inbox", to[i]), MR_STORE_OK);
		moved = find(to[i]);
		after = find("INBOX");
		assert_int_equal(moved.messages, 3);
		assert_int_equal(moved.bytes, 300);
		assert_int_equal(after.id, inbox.id);
		assert_int_equal(after.messages, 0);
		assert_int_equal(after.unseen, 0);
		assert_int_equal(after.uidnext, 4 + 3 * i);
		assert_int_equal(find("INBOX/kept").messages, i + 1);
	}
	assert_int_equal(rename_box("INBOX", "INBOX"), MR_STORE_EXISTS);
}

static void
test_subscribe(void **state)
{
	(void)state;
	assert_int_equal(create("Sub/one"), MR_STORE_OK);
	assert_int_equal(store.op->subscribe(store.self, A, "Sub/one", 1,
		&err), MR_STORE_OK);
	assert_int_equal(store.op->subscribe(store.self, A, "Sub/one", 1,
		&err), MR_STORE_OK);
	assert_int_equal(delete_box("Sub/one"), MR_STORE_OK);
	assert_non_null(strstr(subscriptions(), "Sub/one"));
	assert_null(strstr(list_of(A), "Sub/one"));
	assert_int_equal(store.op->subscribe(store.self, A, "Sub/one", 0,
		&err), MR_STORE_OK);
	assert_null(strstr(subscriptions(), "Sub/one"));
	assert_int_equal(store.op->subscribe(store.self, A, "inbox", 0, &err),
		MR_STORE_OK);
	assert_null(strstr(subscriptions(), "INBOX"));
	assert_int_equal(store.op->subscribe(store.self, A, "a//b", 1, &err),
		MR_STORE_INVALID);
}

/* ---------------------------------------------------------------- recent */

static void *
take_recent(void *arg)
{
	struct mr_error mine = {{0}};
	struct mr_mailbox m = {.id = 0};

	if (store.op->mailbox_take_recent(store.self, *(int64_t *)arg, &m,
		&mine) != MR_STORE_OK)
		return NULL;
	return (void *)(uintptr_t)(m.uidnext - m.recent_uid);
}

static void
test_recent(void **state)
{
	struct mr_mailbox m;
	pthread_t t[8];
	void *got;
	uintptr_t sum = 0;
	size_t i;

	(void)state;
	put("Recent", 5);
	m = find("Recent");
	assert_int_equal(m.recent_uid, 1);
	for (i = 0; i < COUNT(t); i++)
		pthread_create(&t[i], NULL, take_recent, &m.id);
	for (i = 0; i < COUNT(t); i++) {
		pthread_join(t[i], &got);
		sum += (uintptr_t)got;
	}
	assert_int_equal(sum, 5);	/* each shown to one of them */
	put("Recent", 2);
	assert_int_equal(store.op->mailbox_take_recent(store.self, m.id, &m,
		&err), MR_STORE_OK);
	assert_int_equal(m.recent_uid, 6);
	assert_int_equal(m.uidnext, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_account),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_uidvalidity_grows),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_rename_keeps_names_short),
		cmocka_unit_test(test_rename_inbox),
		cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_recent),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
