/*
 * imap_body.c - reads messages in blocks. Small messages come with the first
 * read, and what is asked of them afterwards costs no further one. The
 * session's thread; blocks in the store.
 */
#include "serve/imap_body.h"

#include "plug/store.h"

#define BLOCK 65536

void
imap_body_init(struct imap_body *b, const struct store *store)
{
	*b = (struct imap_body){.store = store};
	buf_init(&b->parsed, BUF_NO_CAP);
}

static void
leave(struct imap_body *b)
{
	if (b->handle != NULL)
		b->store->op->body_close(b->handle);
	b->handle = NULL;
	b->has_view = false;
	b->block_len = 0;
	b->code = MR_STORE_OK;
}

void
imap_body_turn(struct imap_body *b, const struct mr_row *row)
{
	leave(b);
	b->row = row;
}

void
imap_body_free(struct imap_body *b)
{
	leave(b);
	free(b->block);
	b->block = NULL;
	buf_free(&b->parsed);
}

bool
imap_body_open(struct imap_body *b)
{
	if (b->code != MR_STORE_OK)
		return false;
	if (b->handle != NULL)
		return true;
	b->code = b->store->op->body_open(b->store->self, b->row->message_id,
		&b->handle, &b->length, &b->error);
	if (b->code != MR_STORE_OK)
		b->handle = NULL;
	return b->code == MR_STORE_OK;
}

struct str
imap_body_peek(struct imap_body *b, uint64_t at, uint64_t end)
{
	int64_t n;

	if (at >= end || !imap_body_open(b))
		return STR("");
	if (at < b->block_at || at >= b->block_at + b->block_len) {
		if (b->block == NULL)
			b->block = mem_alloc(BLOCK);
		n = b->store->op->body_read(b->handle, at, b->block, BLOCK,
			&b->error);
		if (n < 0)
			b->code = MR_STORE_FAILED;
		b->block_at = at;
		b->block_len = n > 0 ? (size_t)n : 0;
	}
	if (at - b->block_at >= b->block_len)
		return STR("");
	return str_sub(str_of(b->block, b->block_len),
		(size_t)(at - b->block_at),
		end - at > BLOCK ? BLOCK : (size_t)(end - at));
}

static bool
parse_again(struct imap_body *b)
{
	struct mime *m;
	struct str some;
	uint64_t at = 0;

	if (!imap_body_open(b))
		return false;
	m = mime_new();
	while ((some = imap_body_peek(b, at, b->length)).len > 0) {
		mime_feed(m, some.at, some.len);
		at += some.len;
	}
	buf_reset(&b->parsed);
	mime_end(m, &b->parsed);
	return b->code == MR_STORE_OK &&
		mime_open(buf_str(&b->parsed), &b->view);
}

const struct mime_view *
imap_body_view(struct imap_body *b)
{
	struct str cache = {b->row->cache.at, b->row->cache.len};

	if (!b->has_view)
		b->has_view = mime_open(cache, &b->view) || parse_again(b);
	return b->has_view ? &b->view : NULL;
}

const struct mime_view *
imap_body_whole_view(struct imap_body *b)
{
	const struct mime_view *v = imap_body_view(b);

	if (v != NULL && v->is_old) {
		b->has_view = parse_again(b);
		v = b->has_view ? &b->view : NULL;
	}
	return v;
}

struct str
imap_body_range(struct imap_body *b, uint64_t at, uint64_t end,
	struct arena *a)
{
	struct str some;
	size_t n = 0, most;
	char *out;

	if (end < at)
		end = at;
	if (end - at > IMAP_HEADER_MOST)
		end = at + IMAP_HEADER_MOST;
	most = (size_t)(end - at);
	some = imap_body_peek(b, at, end);
	out = arena_alloc(a, most);
	while (some.len > 0) {
		memcpy(out + n, some.at, some.len);
		n += some.len;
		some = imap_body_peek(b, at + n, end);
	}
	return str_of(out, n);
}
