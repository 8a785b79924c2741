/*
 * imap_items.c - writing "* n FETCH (...)", item after item (RFC 9051 7.5.2).
 *
 * Text gathers in one buffer and goes to the stream in large pieces; a
 * message whose items are all in its row costs no allocation.
 */
#include "serve/imap_fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/imap_object.h"

#define LINE_FULL 32768

void
fetch_flush(struct fetch *f)
{
	stream_write_str(&f->k->session->stream, buf_str(&f->line));
	buf_reset(&f->line);
}

static void
write_uid(struct fetch *f, const struct imap_row *r)
{
	buf_adds(&f->line, "UID ");
	imap_number_out(&f->line, r->row.uid);
}

static void
write_flags(struct fetch *f, const struct imap_row *r)
{
	struct str keywords = {r->row.keywords.at, r->row.keywords.len};

	buf_adds(&f->line, "FLAGS ");
	imap_flags_out(&f->line, r->row.flags, keywords,
		imap_shows_recent(f->k, r->row.uid));
}

static void
add_date(struct fetch *f, const char *item, int64_t ms)
{
	char date[32];

	clock_imap_date(ms, date);
	buf_adds(&f->line, item);
	buf_adds(&f->line, " \"");
	buf_adds(&f->line, date);
	buf_addc(&f->line, '"');
}

static void
write_date(struct fetch *f, const struct imap_row *r)
{
	add_date(f, "INTERNALDATE", r->row.received_ms);
}

/* RFC 8514 4.2: NIL where the store does not keep it. */
static void
write_saved(struct fetch *f, const struct imap_row *r)
{
	if (r->row.saved_ms == 0)
		buf_adds(&f->line, "SAVEDATE NIL");
	else
		add_date(f, "SAVEDATE", r->row.saved_ms);
}

static void
write_size(struct fetch *f, const struct imap_row *r)
{
	buf_adds(&f->line, "RFC822.SIZE ");
	imap_number_out(&f->line, r->row.length);
}

static void
write_modseq(struct fetch *f, const struct imap_row *r)
{
	buf_adds(&f->line, "MODSEQ (");
	imap_number_out(&f->line, r->row.modseq);
	buf_addc(&f->line, ')');
}

/* RFC 8474 5.1: copies are one message to the store. */
static void
write_email_id(struct fetch *f, const struct imap_row *r)
{
	buf_adds(&f->line, "EMAILID ");
	imap_object_out(&f->line, IMAP_OBJECT_EMAIL,
		(uint64_t)r->row.message_id);
}

/* RFC 8474 5.2. The view is there: fetch_write_row has seen to it. */
static void
write_thread_id(struct fetch *f, const struct imap_row *r)
{
	uint64_t thread = imap_body_view(&f->body)->thread;

	(void)r;
	buf_adds(&f->line, "THREADID ");
	if (thread == 0)
		buf_adds(&f->line, "NIL");
	else
		imap_object_out(&f->line, IMAP_OBJECT_THREAD, thread);
}

/* RFC 8970 3.1: "" where there is nothing to show. */
static void
write_preview(struct fetch *f, const struct imap_row *r)
{
	const struct mime_view *v = imap_body_view(&f->body);

	(void)r;
	buf_adds(&f->line, "PREVIEW ");
	mime_imap_string(&f->line, v->is_old ? str_of(NULL, 0) : v->preview);
}

static void
write_envelope(struct fetch *f, const struct imap_row *r)
{
	(void)r;
	buf_adds(&f->line, "ENVELOPE ");
	buf_addstr(&f->line, imap_body_view(&f->body)->envelope);
}

static void
write_body(struct fetch *f, const struct imap_row *r)
{
	(void)r;
	buf_adds(&f->line, "BODY ");
	buf_addstr(&f->line, imap_body_view(&f->body)->body);
}

static void
write_structure(struct fetch *f, const struct imap_row *r)
{
	(void)r;
	buf_adds(&f->line, "BODYSTRUCTURE ");
	buf_addstr(&f->line, imap_body_view(&f->body)->bodystructure);
}

static void (*const writers[])(struct fetch *f, const struct imap_row *r) = {
	[FETCH_UID] = write_uid,
	[FETCH_FLAGS] = write_flags,
	[FETCH_INTERNALDATE] = write_date,
	[FETCH_SIZE] = write_size,
	[FETCH_MODSEQ] = write_modseq,
	[FETCH_SAVEDATE] = write_saved,
	[FETCH_EMAILID] = write_email_id,
	[FETCH_THREADID] = write_thread_id,
	[FETCH_PREVIEW] = write_preview,
	[FETCH_ENVELOPE] = write_envelope,
	[FETCH_BODY] = write_body,
	[FETCH_STRUCTURE] = write_structure,
};

static void
write_item(struct fetch *f, const struct fetch_item *i,
	const struct imap_row *r)
{
	switch (i->kind) {
	case FETCH_SECTION:
		fetch_write_section(f, &i->section);
		return;
	case FETCH_BINARY:
		fetch_write_binary(f, &i->section);
		return;
	case FETCH_BINARY_SIZE:
		fetch_write_binary_size(f, &i->section);
		return;
	default:
		writers[i->kind](f, r);
	}
}

/* Flags that this FETCH changed are told with it (RFC 9051 6.4.5). */
static void
write_news(struct fetch *f, const struct imap_row *r)
{
	if (!imap_list_has(&f->unseen, r->row.uid))
		return;
	if (!(f->plan->has & 1u << FETCH_FLAGS)) {
		buf_addc(&f->line, ' ');
		write_flags(f, r);
	}
	if (f->k->enabled & IMAP_CONDSTORE &&
	    !(f->plan->has & 1u << FETCH_MODSEQ)) {
		buf_addc(&f->line, ' ');
		write_modseq(f, r);
	}
}

/* All that can fail is tried before the first byte of the answer. */
static bool
is_ready(struct fetch *f)
{
	if (f->plan->want & MR_ROW_CACHE && !imap_body_view(&f->body))
		return false;
	if (f->plan->needs_whole && !imap_body_whole_view(&f->body))
		return false;
	return !f->plan->needs_body || imap_body_open(&f->body);
}

static void
note_failure(struct fetch *f, const struct imap_row *r)
{
	if (f->body.code == MR_STORE_MISSING) {
		f->gone = true;
		return;
	}
	f->failed = true;
	log_error("imap.fetch", LOG_S("session", f->k->session->id),
		LOG_N("mailbox", f->k->box->id), LOG_N("uid", r->row.uid),
		LOG_S("error", f->body.error.text));
}

void
fetch_write_row(struct fetch *f, const struct imap_row *r)
{
	size_t i;

	imap_body_turn(&f->body, &r->row);
	if (!is_ready(f)) {
		note_failure(f, r);
		return;
	}
	imap_fetch_out(f->k, &f->line, r->seq, r->row.uid);
	for (i = 0; i < f->plan->n; i++) {
		if (i > 0)
			buf_addc(&f->line, ' ');
		write_item(f, &f->plan->item[i], r);
	}
	write_news(f, r);
	buf_adds(&f->line, ")\r\n");
	if (f->body.code != MR_STORE_OK) {
		/* It failed inside a literal: the client cannot follow. */
		note_failure(f, r);
		stream_fail(&f->k->session->stream, ERR_STORE,
			"a message could not be read to its end");
	}
	if (f->line.len >= LINE_FULL)
		fetch_flush(f);
	if (f->message.used > 0)
		arena_reset(&f->message);
}
