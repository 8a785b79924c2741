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
#include "serve/imap.h"

#define CHUNK 32768		/* bytes of FETCH lines made in one scan */

/* --------------------------------------------------------------- removals */

static int
add_gone(void *arg, struct mr_range run)
{
	buf_add(arg, &run, sizeof run);
	return 0;
}

/* From the highest number down: no line changes what a later one means. */
static void
tell_gone(struct imap *k, const struct mr_range *gone)
{
	const struct imap_box *b = k->box;
	size_t i = b->n_run;

	while (i-- > 0 && b->run[i].last >= gone->first) {
		const struct imap_run *run = &b->run[i];
		uint32_t low = gone->first > run->first ? gone->first :
			run->first;
		uint32_t high = gone->last < run->last ? gone->last :
			run->last;

		for (; high >= low; high--)
			stream_printf(&k->session->stream,
				"* %" PRIu32 " EXPUNGE\r\n",
				run->seq + (high - run->first));
	}
}

static int
tell_removals(struct imap *k, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct imap_box *b = k->box;
	struct mr_range *gone;
	struct buf found;
	size_t n, i;
	int code;

	buf_init(&found, BUF_NO_CAP);
	code = s->op->vanished(s->self, b->id, b->vanished_modseq, add_gone,
		&found, me);
	if (code == MR_STORE_OK && found.len) {
		gone = (struct mr_range *)found.at;
		n = imap_ranges_join(gone, found.len / sizeof *gone);
		for (i = n; i-- > 0;)
			tell_gone(k, &gone[i]);
		imap_box_remove(b, gone, n);
	}
	buf_free(&found);
	return code;
}

/* ------------------------------------------------- flags and new messages */

struct telling {
	struct imap *k;
	struct buf out;		/* the store must not wait for the client */
	uint32_t next;		/* UID to begin with */
	uint32_t known;		/* higher UIDs are new */
	bool with_uid;
};

static void
add_fetch(struct telling *t, uint32_t seq, const struct mr_row *row)
{
	buf_addf(&t->out, "* %" PRIu32 " FETCH (", seq);
	if (t->with_uid)
		buf_addf(&t->out, "UID %" PRIu32 " ", row->uid);
	buf_adds(&t->out, "FLAGS ");
	imap_flags_out(&t->out, row->flags, str_of(row->keywords.at,
		row->keywords.len), row->uid >= t->k->box->recent_from);
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
	if (seq)
		add_fetch(t, seq, row);
	return 0;
}

static int
tell_rows(struct imap *k, bool with_uid, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct stream *to = &k->session->stream;
	struct imap_box *b = k->box;
	struct telling t = {.k = k, .next = 1, .known = imap_box_last_uid(b),
		.with_uid = with_uid};
	uint32_t before = b->exists;
	struct mr_range range;
	int code;

	buf_init(&t.out, BUF_NO_CAP);
	do {
		range = (struct mr_range){t.next, UINT32_MAX};
		code = s->op->scan(s->self, b->id, &range, 1, b->modseq,
			MR_ROW_KEYWORDS, tell_row, &t, me);
		stream_write_str(to, buf_str(&t.out));
		buf_reset(&t.out);
	} while (code == MR_STORE_STOPPED);
	buf_free(&t.out);
	/* Even if the scan failed: the map has them now. */
	if (b->exists != before)
		stream_printf(to, "* %" PRIu32 " EXISTS\r\n* %" PRIu32
			" RECENT\r\n", b->exists, imap_box_recent(b));
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
	if (code == MR_STORE_OK && may_expunge &&
		m.modseq != b->vanished_modseq)
		code = tell_removals(k, me);
	if (code == MR_STORE_OK && m.modseq != b->modseq)
		code = tell_rows(k, with_uid, me);
	if (code != MR_STORE_OK)
		return code;
	b->modseq = m.modseq;
	if (may_expunge)
		b->vanished_modseq = m.modseq;
	return MR_STORE_OK;
}
