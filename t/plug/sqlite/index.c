/*
 * index.c - the search index keeps its contract: no text that has a needle is
 * left out, texts come back as they were put, and go with their messages. Heads
 * are asked and kept apart from the rest.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

#define MESSAGES 600
#define LENGTH 400
#define VERSION 7

static struct fake store;
static const char *folder;
static struct mr_error err;
static const struct fake_setting settings[] = {
	{"index_block", 512}, {"keep_removed", 0}, {NULL, 0},
};

/* Texts of few letters, so that many triples are common; every 260th has a
 * word of its own, and one in ten has none that is kept. */
static const char *
text_of(int64_t id, enum mr_index_space space, char out[LENGTH + 20])
{
	static const size_t lengths[] = {40, LENGTH};
	unsigned seed = (unsigned)id * 2654435761u + space;
	size_t i;

	if (id % 10 == 3 && (space == MR_INDEX_REST || id % 20 == 3))
		return NULL;
	for (i = 0; i < lengths[space]; i++) {
		seed = seed * 1664525u + 1013904223u;
		out[i] = "abcdefgh\n\xc3"[(seed >> 16) % 10];
	}
	snprintf(out + i, 20, "%s%lld", id % 260 != 1 ? "" :
		space == MR_INDEX_HEAD ? "HEAD" : "RARE", (long long)id);
	return out;
}

static void
test_begin(void **state)
{
	struct mr_placement out;
	unsigned i;

	(void)state;
	folder = fake_folder();
	fake_open(&store, folder, settings);
	fake_add(&store, "a@x.test");
	fake_add(&store, "b@x.test");
	for (i = 0; i < MESSAGES; i++)
		assert_int_equal(fake_commit(&store, i % 50 ? "a@x.test" :
			"b@x.test", "INBOX", i, 100, &out, &err),
			MR_STORE_OK);
}

static void
test_end(void **state)
{
	(void)state;
	fake_close(&store);
	fake_folder_remove(folder);
}

struct batch {
	struct mr_index_text text[100];
	char bytes[100][MR_INDEX_SPACES][LENGTH + 20];
	size_t n;
};

static int
note(void *arg, int64_t message, int gone)
{
	struct batch *b = arg;
	struct mr_index_text *t = &b->text[b->n];
	enum mr_index_space space;

	*t = (struct mr_index_text){.size = sizeof *t, .message = message};
	for (space = MR_INDEX_HEAD; !gone && space < MR_INDEX_SPACES;
	    space++) {
		const char *text = text_of(message, space,
			b->bytes[b->n][space]);

		t->text[space] = (struct mr_str){text,
			text ? strlen(text) : 0};
	}
	b->n++;
	return 0;
}

/* Returns how many were put. */
static size_t
fill(void)
{
	struct batch *b = malloc(sizeof *b);
	struct mr_index_todo t = {.size = sizeof t, .version = VERSION,
		.max = 100, .each = note, .arg = b};
	size_t sum = 0;

	assert_non_null(b);
	for (;;) {
		b->n = 0;
		assert_int_equal(store.op->index_todo(store.self, &t, &err),
			MR_STORE_OK);
		if (t.last < t.first)
			break;
		assert_int_equal(store.op->index_put(store.self, &t, b->text,
			b->n, &err), MR_STORE_OK);
		assert_int_equal(store.op->index_put(store.self, &t, b->text,
			b->n, &err), MR_STORE_BUSY);
		sum += b->n;
	}
	free(b);
	return sum;
}

static bool
is_maybe(const struct mr_index_maybe *m, int64_t id)
{
	size_t i;

	for (i = 0; m->message && i < m->n; i++)
		if (m->message[i] == id)
			return true;
	return m->message == NULL;
}

/* How many messages may have the needle; none that has it is left out. */
static unsigned
look(enum mr_index_space space, const char *needle)
{
	struct mr_index_maybe m = {.size = sizeof m, .space = space};
	struct mr_str sought = {needle, strlen(needle)};
	char room[LENGTH + 20];
	unsigned n = 0;
	void *index;
	int64_t id;

	assert_int_equal(store.op->index_open(store.self, VERSION, &index,
		&err), MR_STORE_OK);
	for (id = 1; id <= MESSAGES; id++) {
		const char *text = text_of(id, space, room);

		assert_int_equal(store.op->index_look(index, id, sought, &m,
			&err), MR_STORE_OK);
		assert_true(m.first <= id && id <= m.last);
		assert_true(is_maybe(&m, id) || (text &&
			!strstr(text, needle)));
		n += is_maybe(&m, id);
	}
	store.op->index_close(index);
	return n;
}

/* Pieces of the texts themselves. */
static void
look_for_pieces(enum mr_index_space space)
{
	char needle[8], room[LENGTH + 20];
	int i, k;

	for (i = 1; i < MESSAGES; i += 97)
		for (k = 1; k <= 6; k++) {
			if (!text_of(i, space, room))
				continue;
			snprintf(needle, sizeof needle, "%.*s", k, room + k);
			look(space, needle);
		}
}

static void
test_look(void **state)
{
	unsigned open_heads = 0, open_rests = 0;
	int i;

	(void)state;
	assert_int_equal(fill(), MESSAGES);
	look_for_pieces(MR_INDEX_HEAD);
	look_for_pieces(MR_INDEX_REST);
	for (i = 1; i <= 400; i++) {
		open_heads += i % 20 == 3;
		open_rests += i % 10 == 3;
	}
	/* Of the block only those without a text; and all behind it. */
	assert_in_range(look(MR_INDEX_REST, "nowhere"), open_rests,
		open_rests + MESSAGES - 400);
	assert_in_range(look(MR_INDEX_HEAD, "nowhere"), open_heads,
		open_heads + MESSAGES - 400);
	/* A word of one space says nothing of the other. */
	assert_int_equal(look(MR_INDEX_HEAD, "RARE"),
		look(MR_INDEX_HEAD, "nowhere"));
	assert_int_equal(look(MR_INDEX_REST, "HEAD"),
		look(MR_INDEX_REST, "nowhere"));
	assert_int_equal(look(MR_INDEX_HEAD, "HEAD"),
		look(MR_INDEX_HEAD, "nowhere") + 2);
}

static void
check_text(void *index, int64_t id, enum mr_index_space space)
{
	char room[LENGTH + 20];
	const char *text = id > MESSAGES ? NULL : text_of(id, space, room);
	struct mr_str kept;
	int code = store.op->index_text(index, id, space, &kept, &err);

	assert_int_equal(code, text ? MR_STORE_OK : MR_STORE_MISSING);
	if (!text)
		return;
	assert_int_equal(kept.len, strlen(text));
	assert_memory_equal(kept.at, text, kept.len);
}

static void
test_text(void **state)
{
	void *index;
	int64_t id;

	(void)state;
	assert_int_equal(store.op->index_open(store.self, VERSION + 1, &index,
		&err), MR_STORE_MISSING);
	assert_int_equal(store.op->index_open(store.self, VERSION, &index,
		&err), MR_STORE_OK);
	for (id = 1; id <= MESSAGES + 1; id++) {
		check_text(index, id, MR_INDEX_REST);
		check_text(index, id, MR_INDEX_HEAD);
	}
	store.op->index_close(index);
}

static void
test_drop(void **state)
{
	(void)state;
	assert_int_equal(store.op->index_drop(store.self, "b@x.test", &err),
		MR_STORE_OK);
	look(MR_INDEX_REST, "RARE");	/* with what is there now */
	assert_in_range(fill(), 12, MESSAGES);
	test_text(state);
	assert_int_equal(store.op->index_drop(store.self, NULL, &err),
		MR_STORE_OK);
	assert_int_equal(look(MR_INDEX_REST, "nowhere"), MESSAGES);
	assert_int_equal(fill(), MESSAGES);
	test_text(state);
	assert_int_equal(store.op->index_drop(store.self, "c@x.test", &err),
		MR_STORE_MISSING);
}

/* In the end all of an account's messages go. */
static void
test_removed(void **state)
{
	struct mr_index_figures f = {.size = sizeof f};
	struct mr_mailbox box;
	int tries = 100;

	(void)state;
	fake_mailbox(&store, "a@x.test", "INBOX", &box);
	assert_int_equal(store.op->expunge(store.self, box.id, NULL, 0, 1,
		&err), MR_STORE_OK);
	do {
		usleep(100000);
		fill();
		assert_int_equal(store.op->index_figures(store.self, &f,
			&err), MR_STORE_OK);
	} while (f.messages > 12 && --tries);
	assert_int_equal(f.messages, 12);
	assert_int_equal(f.waiting, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_begin),
	cmocka_unit_test(test_look),
	cmocka_unit_test(test_text),
	cmocka_unit_test(test_drop),
	cmocka_unit_test(test_removed),
	cmocka_unit_test(test_end),
};
UNIT_MAIN(tests)
