/*
 * imap_copy.c - COPY and MOVE (RFC 9051 6.4.7, 6.4.8) with COPYUID (RFC
 * 4315).
 *
 * Each is one transaction of the store. MOVE tells COPYUID before the
 * removals, which the loop tells (RFC 6851 3.3).
 */
#include "serve/imap.h"
#include "serve/imap_out.h"

struct copying {
	struct mr_range *range;
	size_t n;
	const char *name;
	struct imap_list from, to;
	uint32_t uidvalidity;
};

static bool
read_request(struct copying *c, struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_range *set;
	struct str name;
	size_t n;
	bool saved;

	if (!imap_set(in, &set, &n, &saved) || !imap_blank(in) ||
	    !imap_astring(in, &name) || !imap_end(in))
		return false;
	if (saved)
		c->range = imap_box_saved(k->box, in->arena, &c->n);
	else if (!imap_box_ranges(k->box, set, n, uid, in->arena,
	    &c->range, &c->n)) {
		in->wrong = "no such message";
		return false;
	}
	c->name = imap_name_in(k, name);
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

static int
find_target(struct imap *k, const struct copying *c, int64_t *id,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_mailbox to;
	int code;

	if (c->name == NULL)
		return MR_STORE_MISSING;
	code = s->op->mailbox_find(s->self, k->account, c->name, &to, me);
	*id = to.id;
	return code;
}

static struct imap_answer
copy(struct imap *k, struct copying *c, bool moves)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	const char *pairs;
	int64_t to = 0;
	int code = find_target(k, c, &to, &me);

	if (code == MR_STORE_MISSING)
		return IMAP_ANSWER(IMAP_NO, "TRYCREATE",
			"There is no such mailbox");
	if (code == MR_STORE_OK && c->n > 0)
		code = s->op->copy(s->self, k->box->id, c->range, c->n, to,
			moves, &c->uidvalidity, take_pair, c, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
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
	struct copying c = {.name = NULL};
	struct imap_answer said;

	if (!read_request(&c, k, in, uid))
		return imap_bad(k, in);
	if (moves && k->box->read_only)
		return IMAP_ANSWER(IMAP_NO, NULL,
			"The mailbox was opened for reading only");
	said = copy(k, &c, moves);
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
