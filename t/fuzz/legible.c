/*
 * legible.c - what SEARCH reads of a message. The first byte says how long a
 * needle from the rest is; what is found in the whole text must be found in
 * it piece by piece too, and no text holds a NUL. The rest is also given as
 * records as it is.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "plug/store.h"
#include "serve/imap_legible.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str message;

static int
body_open(void *self, int64_t id, void **body, uint64_t *length,
	struct mr_error *err)
{
	(void)self;
	(void)id;
	(void)err;
	*body = &message;
	*length = message.len;
	return MR_STORE_OK;
}

static int64_t
body_read(void *body, uint64_t offset, void *out, size_t len,
	struct mr_error *err)
{
	struct str some = str_sub(message, (size_t)offset, len);

	(void)body;
	(void)err;
	memcpy(out, some.at, some.len);
	return (int64_t)some.len;
}

static void
body_close(void *body)
{
	(void)body;
}

static void
check_records(struct str records)
{
	size_t i;

	assert(records.len == 0 || records.at[0] == '\0');
	for (i = 0; i < records.len; i++)
		if (records.at[i] == '\0') {
			assert(i + 1 < records.len);
			assert(records.at[i + 1] >= LEGIBLE_ENVELOPE);
			assert(records.at[i + 1] <= LEGIBLE_BODY);
			i++;
		}
}

static bool
found_in_pieces(struct legible *l, const struct legible_key *key)
{
	struct buf some;
	bool found = false;

	buf_init(&some, BUF_NO_CAP);
	legible_begin(l);
	while (!found && legible_next(l, &some)) {
		found = legible_has(buf_str(&some), key);
		legible_keep_end(&some, key);
	}
	buf_free(&some);
	return found;
}

/* As the index keeps them: the head, which is what comes first, apart. */
static bool
found_in_spaces(struct str all, size_t head, const struct legible_key *key)
{
	struct str first = str_sub(all, 0, head);
	struct str rest = str_sub(all, head, all.len - head);

	return (key->where != IN_BODY && legible_has(first, key)) ||
		(key->where <= IN_BODY && legible_has(rest, key));
}

static void
compare(struct legible *l, struct str needle)
{
	struct legible_key key = {.needle = needle, .name = STR("subject")};
	struct buf all;
	size_t head;
	int where;

	buf_init(&all, BUF_NO_CAP);
	legible_begin(l);
	legible_next(l, &all);
	head = all.len;
	while (legible_next(l, &all))
		;
	check_records(str_sub(buf_str(&all), 0, head));
	check_records(str_sub(buf_str(&all), head, all.len - head));
	for (where = IN_TEXT; where <= IN_FIELD && needle.len > 0; where++) {
		key.where = where;
		assert(legible_has(buf_str(&all), &key) ==
			found_in_pieces(l, &key));
		assert(legible_has(buf_str(&all), &key) ==
			found_in_spaces(buf_str(&all), head, &key));
	}
	buf_free(&all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mr_store op = {.size = sizeof op,
		.body_open = body_open, .body_read = body_read,
		.body_close = body_close};
	const struct store store = {.op = &op};
	struct mr_row row = {.message_id = 1};
	struct legible_key any = {.where = IN_FIELD, .name = STR("a")};
	struct imap_body body;
	struct legible l;
	struct buf needle;
	size_t n;

	if (size == 0)
		return 0;
	n = data[0] & 15;
	message = str_sub(str_of((const char *)data, size), 1, size);
	buf_init(&needle, BUF_NO_CAP);
	imap_text_fold(&needle, str_sub(message, data[0] >> 4, n));
	imap_body_init(&body, &store);
	imap_body_turn(&body, &row);
	legible_init(&l, &body);
	compare(&l, buf_str(&needle));
	any.needle = buf_str(&needle);
	for (any.where = IN_TEXT; any.where <= IN_ENVELOPE; any.where++)
		legible_has(message, &any);
	legible_free(&l);
	imap_body_free(&body);
	buf_free(&needle);
	return 0;
}
