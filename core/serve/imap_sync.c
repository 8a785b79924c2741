/*
 * imap_sync.c - telling a client what other sessions did to its mailbox.
 *
 * The map changes here and in the same breath as the client is told of it.
 * Two counters say up to which change the client knows: removals may have to
 * wait (RFC 9051 7.5.1) while flags and arrivals go on, so they have one of
 * their own. A change that slips in between two calls of the store is seen
 * twice at worst: the counters move to what mailbox_get said before.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "serve/imap_context.h"
#include "serve/imap_out.h"
#include "serve/row_cache.h"

#define CHUNK 32768		/* bytes of FETCH lines made in one scan */

/* --------------------------------------------------------------- removals */

static int
add_gone(void *arg, struct mr_range run)
{
	buf_add(arg, &run, sizeof run);
	return 0;
}

/* UIDs removed after `since`, as ranges one behind the other. */
static int
find_gone(struct imap *k, uint64_t since, struct buf *found,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	int code = s->op->vanished(s->self, k->box->id, since, add_gone,
		found, me);

	if (code == MR_STORE_OK && found->len)
		found->len = imap_ranges_join((struct mr_range *)found->at,
			found->len / sizeof(struct mr_range)) *
			sizeof(struct mr_range);
	return code;
}

static void
add_common(struct buf *out, struct mr_range a, struct mr_range b)
{
	struct mr_range r = {a.first > b.first ? a.first : b.first,
		a.last < b.last ? a.last : b.last};

	if (r.first <= r.last)
		buf_add(out, &r, sizeof r);
}

/* Those that the client was told of. */
static void
keep_known(const struct imap_box *b, const struct buf *found, struct buf *out)
{
	const struct mr_range *gone = (const struct mr_range *)found->at;
	size_t n = found->len / sizeof *gone, i = 0, j = 0;

	while (i < n && j < b->n_run) {
		add_common(out, gone[i], (struct mr_range){b->run[j].first,
			b->run[j].last});
		if (gone[i].last < b->run[j].last)
			i++;
		else
			j++;
	}
}

/* From the highest number down: no line changes what a later one means. */
static void
say_expunge(struct imap *k, const struct mr_range *gone, size_t n)
{
	uint32_t seq, left;

	while (n-- > 0) {
		seq = imap_box_seq(k->box, gone[n].last);
		for (left = gone[n].last - gone[n].first + 1; left > 0; left--)
			stream_printf(&k->session->stream,
				"* %" PRIu32 " EXPUNGE\r\n", seq--);
	}
}

/* RFC 7162 section 3.2.10, RFC 9586 section 3.4 */
static void
say_vanished(struct imap *k, const char *how, const struct mr_range *gone,
	size_t n)
{
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "* VANISHED %s", how);
	imap_ranges_out(&b, gone, n);
	buf_adds(&b, "\r\n");
	stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
}

/* Removals that the client has not been told of. */
static int
find_untold(struct imap *k, struct buf *known, struct mr_error *me)
{
	struct buf found;
	int code;

	buf_init(&found, BUF_NO_CAP);
	code = find_gone(k, k->box->vanished_modseq, &found, me);
	if (code == MR_STORE_OK)
		keep_known(k->box, &found, known);
	buf_free(&found);
	return code;
}

/* Whether there are any matters to a client that comes back with the highest
 * MODSEQ that it has seen. */
static int
look_for_removals(struct imap *k, uint64_t modseq, struct mr_error *me)
{
	struct buf known;
	int code;

	buf_init(&known, BUF_NO_CAP);
	code = find_untold(k, &known, me);
	if (code == MR_STORE_OK && known.len == 0)
		k->box->vanished_modseq = modseq;
	buf_free(&known);
	return code;
}

static int
tell_removals(struct imap *k, struct mr_error *me)
{
	struct imap_box *b = k->box;
	const struct mr_range *gone;
	struct buf known;
	size_t n;
	int code;

	buf_init(&known, BUF_NO_CAP);
	code = find_untold(k, &known, me);
	gone = (const struct mr_range *)known.at;
	n = known.len / sizeof *gone;
	if (n) {
		imap_contexts_remove(k, gone, n);
		if (k->enabled & (IMAP_QRESYNC | IMAP_UIDONLY))
			say_vanished(k, "", gone, n);
		else
			say_expunge(k, gone, n);
		imap_box_remove(b, gone, n);
	}
	buf_free(&known);
	return code;
}

/* ------------------------------------------------- flags and new messages */

struct telling {
	struct imap *k;
	struct buf out;		/* the store must not wait for the client */
	uint32_t next;		/* UID to begin with */
	uint32_t known;		/* higher UIDs are new */
	const struct imap_list *only;	/* UIDs; NULL: all */
	bool with_uid;
};

static void
add_fetch(struct telling *t, uint32_t seq, const struct mr_row *row)
{
	imap_fetch_out(t->k, &t->out, seq, row->uid);
	if (t->with_uid && !(t->k->enabled & IMAP_UIDONLY))
		buf_addf(&t->out, "UID %" PRIu32 " ", row->uid);
	buf_adds(&t->out, "FLAGS ");
	imap_flags_out(&t->out, row->flags, str_of(row->keywords.at,
		row->keywords.len), imap_shows_recent(t->k, row->uid));
	if (t->k->enabled & IMAP_CONDSTORE)
		buf_addf(&t->out, " MODSEQ (%" PRIu64 ")", row->modseq);
	buf_adds(&t->out, ")\r\n");
}

static int
tell_row(void *arg, const struct mr_row *row)
{
	struct telling *t = arg;
	uint32_t seq;

	if (t->out.len > CHUNK) {
		t->next = row->uid;
		return 1;
	}
	if (row->uid > t->known) {
		imap_box_add(t->k->box, (struct mr_range){row->uid, row->uid});
		return 0;
	}
	seq = imap_box_seq(t->k->box, row->uid);
	if (seq && (!t->only || imap_list_has(t->only, row->uid)))
		add_fetch(t, seq, row);
	return 0;
}

/* Rows changed after `since`. */
static int
tell_rows(struct telling *t, uint64_t since, struct mr_error *me)
{
	const struct house *h = t->k->house;
	struct stream *to = &t->k->session->stream;
	struct mr_range range;
	struct row_query q = {.mailbox = t->k->box->id, .range = &range,
		.n = 1, .since = since, .want = MR_ROW_KEYWORDS,
		.each = tell_row, .arg = t};
	int code;

	buf_init(&t->out, BUF_NO_CAP);
	do {
		range = (struct mr_range){t->next, UINT32_MAX};
		code = row_cache_scan(h->rows, &h->store, &q, me);
		stream_write_str(to, buf_str(&t->out));
		buf_reset(&t->out);
	} while (code == MR_STORE_STOPPED);
	buf_free(&t->out);
	return code;
}

void
imap_exists_out(struct imap *k)
{
	const struct imap_box *b = k->box;

	stream_printf(&k->session->stream, "* %" PRIu32 " EXISTS\r\n",
		b->exists);
	if (!(k->enabled & IMAP_REV2))
		stream_printf(&k->session->stream, "* %" PRIu32 " RECENT\r\n",
			imap_box_recent(b));
}

static int
tell_changes(struct imap *k, bool with_uid, struct mr_error *me)
{
	struct imap_box *b = k->box;
	struct telling t = {.k = k, .next = 1, .known = imap_box_last_uid(b),
		.with_uid = with_uid};
	uint32_t before = b->exists;
	int code = tell_rows(&t, b->modseq, me);

	/* Even if the scan failed: the map has them now. */
	if (b->exists != before)
		imap_exists_out(k);
	return code;
}

int
imap_box_sync(struct imap *k, bool may_expunge, bool with_uid,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct imap_box *b = k->box;
	struct mr_mailbox m;
	int code = s->op->mailbox_get(s->self, b->id, &m, me);

	if (code == MR_STORE_OK && m.uidvalidity != b->uidvalidity)
		code = MR_STORE_MISSING;
	if (code == MR_STORE_OK && m.modseq != b->vanished_modseq) {
		if (may_expunge)
			code = tell_removals(k, me);
		else if (k->enabled & IMAP_QRESYNC)
			code = look_for_removals(k, m.modseq, me);
	}
	if (code == MR_STORE_OK && m.modseq != b->modseq)
		code = tell_changes(k, with_uid || k->enabled & IMAP_QRESYNC,
			me);
	if (code != MR_STORE_OK)
		return code;
	b->modseq = m.modseq;
	if (may_expunge)
		b->vanished_modseq = m.modseq;
	return imap_contexts_sync(k, m.modseq, me);
}

/* ------------------------------------------------------------- coming back */

/* What of a range is not in the map. */
static void
add_unmapped(const struct imap_box *b, struct mr_range gone, struct buf *out)
{
	uint64_t first = gone.first;
	struct mr_range part;
	size_t i;

	for (i = 0; i < b->n_run && first <= gone.last; i++) {
		if (b->run[i].last < first || b->run[i].first > gone.last)
			continue;
		part = (struct mr_range){(uint32_t)first,
			b->run[i].first - 1};
		if (b->run[i].first > first)
			buf_add(out, &part, sizeof part);
		first = (uint64_t)b->run[i].last + 1;
	}
	part = (struct mr_range){(uint32_t)first, gone.last};
	if (first <= gone.last)
		buf_add(out, &part, sizeof part);
}

/* As find_gone, without those that went just now and stand in the map still:
 * EXISTS has counted them, so they are told as removals of today. */
static int
find_gone_before(struct imap *k, uint64_t since, struct buf *out,
	struct mr_error *me)
{
	struct buf found;
	size_t i;
	int code;

	buf_init(&found, BUF_NO_CAP);
	code = find_gone(k, since, &found, me);
	for (i = 0; i < found.len / sizeof(struct mr_range); i++)
		add_unmapped(k->box, ((const struct mr_range *)found.at)[i],
			out);
	buf_free(&found);
	return code;
}

/* Removals among the UIDs that the client says it knows. */
static int
tell_vanished_since(struct imap *k, uint64_t since,
	const struct imap_list *known, struct mr_error *me)
{
	struct buf found, wanted, *gone = &found;
	const struct mr_range *r;
	int code;
	size_t i, j;

	buf_init(&found, BUF_NO_CAP);
	buf_init(&wanted, BUF_NO_CAP);
	code = find_gone_before(k, since, &found, me);
	r = (const struct mr_range *)found.at;
	if (known) {
		gone = &wanted;
		for (i = j = 0; i < found.len / sizeof *r && j < known->n;) {
			add_common(&wanted, r[i], known->at[j]);
			if (r[i].last < known->at[j].last)
				i++;
			else
				j++;
		}
	}
	if (code == MR_STORE_OK && gone->len)
		say_vanished(k, "(EARLIER) ", (const struct mr_range *)
			gone->at, gone->len / sizeof *r);
	buf_free(&found);
	buf_free(&wanted);
	return code;
}

int
imap_box_resync(struct imap *k, uint64_t since, const struct imap_list *known,
	struct mr_error *me)
{
	struct telling t = {.k = k, .next = 1, .known = UINT32_MAX,
		.only = known, .with_uid = true};
	int code = tell_vanished_since(k, since, known, me);

	if (code == MR_STORE_OK)
		code = tell_rows(&t, since, me);
	/* What went while we told of the rest was told neither as gone nor as
	 * there, so the client could not know what EXISTS counts. */
	return code == MR_STORE_OK ? tell_removals(k, me) : code;
}
