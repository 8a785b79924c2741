/*
 * imap_copy.c - COPY and MOVE (RFC 9051 6.4.7, 6.4.8) with COPYUID (RFC
 * 4315).
 *
 * Each is one transaction of the store. MOVE tells COPYUID before the
 * removals, which the loop tells (RFC 6851 3.3).
 */
#include "base/map.h"
#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_limit.h"
#include "serve/imap_out.h"
#include "serve/imap_place.h"

struct copying {
	struct mr_range *range;
	size_t n;
	struct str name;
	struct imap_place place;	/* of that name */
	struct imap_list from, to;
	uint32_t uidvalidity;
};

static bool
read_request(struct copying *c, struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_range *set;
	size_t n;
	bool saved;

	if (!imap_set(in, &set, &n, &saved) || !imap_blank(in) ||
	    !imap_astring(in, &c->name) || !imap_end(in))
		return false;
	if (saved)
		c->range = imap_box_saved(k->box, in->arena, &c->n);
	else if (!imap_box_ranges(k->box, set, n, uid, in->arena,
	    &c->range, &c->n)) {
		in->wrong = "no such message";
		return false;
	}
	return true;
}

static int
take_pair(void *arg, struct mr_uid_pair p)
{
	struct copying *c = arg;

	imap_list_add(&c->from, p.from);
	imap_list_add(&c->to, p.to);
	return 0;
}

/* "COPYUID 38505 304,319:320 3956:3958", or NULL: nothing was copied. */
static const char *
copyuid(struct imap *k, const struct copying *c)
{
	struct buf out;
	const char *code;

	if (c->from.n == 0)
		return NULL;
	buf_init(&out, BUF_NO_CAP);
	buf_addf(&out, "COPYUID %u ", c->uidvalidity);
	imap_ranges_out(&out, c->from.at, c->from.n);
	buf_addc(&out, ' ');
	imap_ranges_out(&out, c->to.at, c->to.n);
	code = arena_cstr(&k->session->command, buf_str(&out));
	buf_free(&out);
	return code;
}

/* -------------------------------------------- flags that may not be copied */

/* Every word once. */
static int
add_words(void *arg, const struct mr_row *row)
{
	struct str rest = str_of(row->keywords.at, row->keywords.len), word;
	struct map *words = arg;

	while ((word = str_word(&rest)).len)
		map_put(words, word, words);
	return 0;
}

static int
list_keywords(struct imap *k, const struct copying *c, struct buf *out,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct map words;
	struct str word;
	size_t at = 0;
	void *value;
	int code;

	map_init(&words);
	code = s->op->scan(s->self, c->place.m.id, c->to.at, c->to.n, 0,
		MR_ROW_KEYWORDS, add_words, &words, me);
	while (map_next(&words, &at, &word, &value))
		buf_addf(out, "%s%.*s", out->len ? " " : "", STR_ARGS(word));
	map_free(&words);
	return code;
}

/* In another's mailbox copies keep the flags that could be set there (RFC
 * 4314 section 4). */
static int
limit_flags(struct imap *k, const struct copying *c, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_flag_change take = {.op = MR_FLAGS_REMOVE};
	uint32_t may = UINT32_MAX;
	const char *keywords = "x";
	struct buf words;
	uint64_t modseq;
	int code = MR_STORE_OK;

	imap_place_limit(c->place.rights, &may, &keywords);
	if (may == UINT32_MAX || c->to.n == 0)
		return MR_STORE_OK;
	buf_init(&words, BUF_NO_CAP);
	if (!*keywords)
		code = list_keywords(k, c, &words, me);
	take.flags = ~may & (MR_FLAG_SEEN | MR_FLAG_ANSWERED |
		MR_FLAG_FLAGGED | MR_FLAG_DELETED | MR_FLAG_DRAFT);
	take.keywords = buf_c(&words);
	if (code == MR_STORE_OK)
		code = s->op->store_flags(s->self, c->place.m.id, c->to.at,
			c->to.n, &take, NULL, NULL, &modseq, me);
	buf_free(&words);
	return code;
}

static struct imap_answer
copy(struct imap *k, struct copying *c, bool moves)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_admin_step step = {.n = 0};
	struct imap_answer said;
	const char *pairs;
	int64_t to;
	int code = imap_place_find(k, c->name, MR_RIGHT_INSERT, &c->place,
		&me);

	if (moves && imap_admin_move(k, c->range, c->n, &c->place, code,
		&step, &said))
		return said;
	if (code == MR_STORE_MISSING)
		return IMAP_ANSWER(IMAP_NO, "TRYCREATE",
			"There is no such mailbox");
	to = c->place.m.id;
	if (code == MR_STORE_OK && c->n > 0)
		code = s->op->copy(s->self, k->box->id, c->range, c->n, to,
			moves, &c->uidvalidity, take_pair, c, &me);
	if (code == MR_STORE_OK)
		code = limit_flags(k, c, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	imap_admin_finish(k, &step);
	imap_learn_copied(k, to, c->to.at, c->to.n);
	pairs = copyuid(k, c);
	if (!moves)
		return IMAP_ANSWER(IMAP_OK, pairs, "COPY done");
	if (pairs != NULL)
		stream_printf(&k->session->stream, "* OK [%s] Moved\r\n",
			pairs);
	return IMAP_ANSWER(IMAP_OK, NULL, "MOVE done");
}

static struct imap_answer
run(struct imap *k, struct imap_in *in, bool uid, bool moves)
{
	struct copying c = {.n = 0};
	struct imap_answer said;
	uint32_t lowest;

	if (!read_request(&c, k, in, uid))
		return imap_bad(k, in);
	if (moves && k->box->read_only)
		return IMAP_ANSWER(IMAP_NO, NULL,
			"The mailbox was opened for reading only");
	if (!moves && imap_limit_exceeded(k, c.range, c.n))
		return imap_limit_refuse(k);
	lowest = imap_limit_cut(k, &c.range, &c.n);
	said = imap_limit_say(k, lowest, k->enabled & IMAP_CONDSTORE,
		copy(k, &c, moves));
	imap_list_free(&c.from);
	imap_list_free(&c.to);
	return said;
}

struct imap_answer
imap_copy(struct imap *k, struct imap_in *in, bool uid)
{
	return run(k, in, uid, false);
}

struct imap_answer
imap_move(struct imap *k, struct imap_in *in, bool uid)
{
	return run(k, in, uid, true);
}
