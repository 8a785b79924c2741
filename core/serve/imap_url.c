/*
 * imap_url.c - reads URLs of messages and brings the bytes that they name.
 *
 * In front of each part stands a slash with a semicolon, which a mailbox name
 * has only in encoded form (RFC 5092 section 11). The session's thread;
 * blocks in the store.
 */
#include "serve/imap_url.h"

#include "base/enc.h"
#include "mail/spool.h"
#include "serve/imap.h"
#include "serve/imap_fetch.h"
#include "serve/imap_place.h"

/* ---------------------------------------------------------------- parsing */

/* "%20" and so on; false: not hexadecimal, or a NUL, encoded or not. */
static bool
decode(struct str in, struct arena *a, struct str *out)
{
	char *to = arena_alloc(a, in.len + 1);
	size_t i, n = 0;

	for (i = 0; i < in.len; i++) {
		int high, low;

		to[n++] = in.at[i];
		if (in.at[i] == '\0')
			return false;
		if (in.at[i] != '%')
			continue;
		high = i + 2 < in.len ? hex_value(in.at[i + 1]) : -1;
		low = high >= 0 ? hex_value(in.at[i + 2]) : -1;
		if (low < 0 || high + low == 0)
			return false;
		to[n - 1] = (char)(high * 16 + low);
		i += 2;
	}
	*out = str_of(to, n);
	return true;
}

/* Cuts off what stands behind the mark, which is without case. */
static bool
cut_behind(struct str *text, const char *mark, struct str *out)
{
	struct str m = str_from(mark);
	size_t at = str_ifind_str(*text, m);

	if (at >= text->len)
		return false;
	*out = str_sub(*text, at + m.len, text->len);
	*text = str_sub(*text, 0, at);
	return true;
}

static bool
read_id(struct str s, uint32_t *out)
{
	uint64_t n;

	if (!str_u64(s, UINT32_MAX, &n) || n == 0)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* "0.1024", or "512" for all behind it. */
static bool
read_partial(struct str s, struct imap_url *out)
{
	bool has_length = str_has_byte(s, '.');
	struct str from = str_cut(&s, '.');

	return str_u64(from, UINT32_MAX, &out->from) && (!has_length ||
		(str_u64(s, UINT32_MAX, &out->most) && out->most > 0));
}

bool
imap_url_parse(struct str text, struct arena *a, struct imap_url *out)
{
	struct str uid, section, part;

	*out = (struct imap_url){.section = STR(""), .most = UINT64_MAX};
	if (!str_starts(text, "/") || str_starts(text, "//"))
		return false;
	text = str_sub(text, 1, text.len);
	if (!cut_behind(&text, "/;UID=", &uid))
		return false;
	if (cut_behind(&uid, "/;PARTIAL=", &part) && !read_partial(part, out))
		return false;
	if (cut_behind(&uid, "/;SECTION=", &section) &&
		(!section.len || !decode(section, a, &out->section)))
		return false;
	if (cut_behind(&text, ";UIDVALIDITY=", &part) &&
		!read_id(part, &out->uidvalidity))
		return false;
	return read_id(uid, &out->uid) && text.len &&
		decode(text, a, &out->mailbox) && enc_is_utf8(out->mailbox);
}

/* ---------------------------------------------------------------- reading */

/* The mailbox's name as this client would write it. */
static struct str
client_name(struct imap *k, struct str mailbox)
{
	struct str name;
	struct buf b;

	if (k->enabled & IMAP_UTF8_NAMES)
		return mailbox;
	buf_init(&b, BUF_NO_CAP);
	enc_utf8_to_utf7(&b, mailbox);
	name = arena_str(&k->session->command, buf_str(&b));
	buf_free(&b);
	return name;
}

struct row_copy {
	struct arena *arena;
	struct mr_row row;
	bool found;
};

static int
copy_row(void *arg, const struct mr_row *row)
{
	struct row_copy *c = arg;
	struct str cache = arena_str(c->arena, str_of(row->cache.at,
		row->cache.len));

	c->row = *row;
	c->row.cache = (struct mr_str){cache.at, cache.len};
	c->found = true;
	return 0;
}

/* MISSING also where the UID means another message by now. */
static int
find_row(struct imap *k, const struct imap_url *u, struct row_copy *out,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_range one = {u->uid, u->uid};
	struct imap_place place;
	int code = imap_place_find(k, client_name(k, u->mailbox),
		MR_RIGHT_READ, &place, me);

	if (code == MR_STORE_OK && u->uidvalidity &&
		u->uidvalidity != place.m.uidvalidity)
		code = MR_STORE_MISSING;
	if (code == MR_STORE_OK)
		code = s->op->scan(s->self, place.m.id, &one, 1, 0,
			MR_ROW_MESSAGE | MR_ROW_CACHE, copy_row, out, me);
	return code == MR_STORE_OK && !out->found ? MR_STORE_MISSING : code;
}

static bool
read_section(const struct imap_url *u, struct arena *a,
	struct fetch_section *out)
{
	struct imap_in in = {str_from(arena_printf(a, "%.*s]",
		STR_ARGS(u->section))), a, NULL};

	if (!fetch_section_read(&in, out) || !imap_end(&in))
		return false;
	out->from = u->from;
	out->most = u->most;
	return true;
}

static int
copy_bytes(struct imap_body *b, const struct fetch_bytes *bytes,
	struct spool *to, struct err *e)
{
	uint64_t at = bytes->at;
	struct str some;

	if (bytes->picked.at)
		return spool_write(to, bytes->picked.at, bytes->picked.len, e);
	while (at < bytes->end) {
		some = imap_body_peek(b, at, bytes->end);
		if (!some.len)
			return err_set(e, ERR_STORE, "%s", b->error.text);
		if (spool_write(to, some.at, some.len, e) < 0)
			return -1;
		at += some.len;
	}
	return 0;
}

static enum imap_url_got
spool_section(struct imap_body *b, const struct fetch_section *s,
	uint64_t most, struct spool *to, struct arena *room, struct err *e)
{
	struct fetch_bytes bytes;

	if (!imap_body_view(b)) {
		err_set(e, ERR_STORE, "%s", b->error.text);
		return IMAP_URL_FAILED;
	}
	if (!fetch_find_bytes(b, s, room, &bytes))
		return IMAP_URL_NONE;
	if ((bytes.picked.at ? bytes.picked.len : bytes.end - bytes.at) > most)
		return IMAP_URL_LARGE;
	return copy_bytes(b, &bytes, to, e) < 0 ? IMAP_URL_FAILED :
		IMAP_URL_OK;
}

static enum imap_url_got
spool_url(struct imap *k, const struct imap_url *u, uint64_t most,
	struct spool *to, struct arena *room, struct err *e)
{
	struct row_copy row = {.arena = room};
	struct fetch_section section;
	struct mr_error me = {{0}};
	enum imap_url_got got;
	struct imap_body body;
	int code;

	if (!read_section(u, room, &section))
		return IMAP_URL_NONE;
	code = find_row(k, u, &row, &me);
	if (code == MR_STORE_MISSING || code == IMAP_NO_RIGHT)
		return IMAP_URL_NONE;
	if (code != MR_STORE_OK) {
		err_set(e, ERR_STORE, "%s", me.text);
		return IMAP_URL_FAILED;
	}
	imap_body_init(&body, &k->house->store);
	imap_body_turn(&body, &row.row);
	got = spool_section(&body, &section, most, to, room, e);
	imap_body_free(&body);
	return got;
}

/* What is looked at of a message may be large, and one command may name as
 * many as it likes: nothing of it stays. */
enum imap_url_got
imap_url_spool(struct imap *k, const struct imap_url *u, uint64_t most,
	struct spool *to, struct err *e)
{
	struct arena room;
	enum imap_url_got got;

	arena_init(&room);
	got = spool_url(k, u, most, to, &room, e);
	arena_free(&room);
	return got;
}
