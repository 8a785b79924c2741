/*
 * imap_keys.c - the items of FETCH and the keys of SEARCH: "keys NUL message".
 * The keys are read both ways, and what SEARCH makes of them is asked of the
 * message, whose cache is made of the same bytes.
 */
#include <assert.h>
#include <stdint.h>

#include "serve/imap_fetch.h"
#include "serve/imap_result.h"
#include "serve/imap_search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
body_open(void *self, int64_t id, void **body, uint64_t *length,
	struct mr_error *err)
{
	const struct str *message = self;

	(void)id;
	(void)err;
	*body = self;
	*length = message->len;
	return MR_STORE_OK;
}

/* In small pieces, so that borders are met. */
static int64_t
body_read(void *body, uint64_t offset, void *out, size_t len,
	struct mr_error *err)
{
	const struct str *message = body;
	struct str some = str_sub(*message, (size_t)offset,
		len < 13 ? len : 13);

	(void)err;
	memcpy(out, some.at, some.len);
	return (int64_t)some.len;
}

static void
body_close(void *body)
{
	(void)body;
}

static const struct mr_store op = {.size = sizeof op,
	.body_open = body_open, .body_read = body_read,
	.body_close = body_close};

static void
make_cache(struct str message, struct buf *out)
{
	struct mime *m = mime_new();

	mime_feed(m, message.at, message.len);
	mime_end(m, out);
}

static void
try_items(struct str keys, struct arena *a)
{
	struct imap_in in = {keys, a, NULL};
	struct fetch_plan plan = {0};

	if (!fetch_plan_read(&plan, &in, true)) {
		assert(in.wrong);
		return;
	}
	assert(plan.n > 0 && plan.item[0].kind == FETCH_UID);
}

/* A window never names more than there is. */
static void
try_options(struct str keys, struct arena *a)
{
	struct imap_in in = {keys, a, NULL};
	struct search_return result = {0};
	struct mr_range at;
	uint32_t count;

	if (!search_return_read(&result, &in)) {
		assert(in.wrong);
		return;
	}
	if (!(result.asked & RETURN_PARTIAL))
		return;
	for (count = 0; count < 9; count++) {
		at = imap_window_place(&result.window, count);
		assert(at.first > at.last || (at.first >= 1 &&
			at.last <= count));
	}
}

/* An order of evaluation must not change what is found. */
static void
try_keys(struct str keys, struct str message, struct imap *k, struct arena *a)
{
	struct imap_in in = {keys, a, NULL};
	struct store store = {&op, &message};
	struct mr_row row = {.uid = 5, .flags = MR_FLAG_SEEN, .modseq = 9,
		.message_id = 1, .length = message.len,
		.keywords = {"some words", 10}};
	struct search_tree tree = {0};
	struct search_match match;
	struct buf cache;
	bool rows, all;

	if (!search_tree_read(&tree, k, &in)) {
		assert(in.wrong || tree.bad_charset);
		return;
	}
	buf_init(&cache, BUF_NO_CAP);
	make_cache(message, &cache);
	row.cache = (struct mr_str){cache.at, cache.len};
	search_match_init(&match, &store);
	rows = search_match_row(&match, tree.top, &row, true);
	all = search_match_row(&match, tree.top, &row, false);
	assert(rows || !all);
	search_match_free(&match);
	buf_free(&cache);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str message = str_of(data, size);
	struct str keys = str_cut(&message, '\0');
	struct imap_run run = {1, 10, 1};
	struct imap_box box = {.run = &run, .n_run = 1, .exists = 10,
		.recent_from = 5};
	struct imap k = {.box = &box};
	struct arena a;

	arena_init(&a);
	try_items(keys, &a);
	try_options(keys, &a);
	try_keys(keys, message, &k, &a);
	arena_free(&a);
	return 0;
}
