/*
 * imap_fetch.c - FETCH and UID FETCH (RFC 9051 6.4.5; CHANGEDSINCE and
 * VANISHED of RFC 7162, PARTIAL of RFC 9394): the command, and the walk over
 * its messages.
 *
 * Messages that somebody else removed keep their numbers here until EXPUNGE
 * may be said; a FETCH of such a number answers the others and ends with NO
 * [EXPUNGEISSUED] (RFC 2180 4.1.2). A UID that is not there is no error.
 */
#include "serve/imap_fetch.h"

#include "base/log.h"
#include "serve/imap_limit.h"

/* ------------------------------------------------------------- arguments */

struct request {
	struct fetch_plan plan;
	struct mr_range *range;		/* of messages that are known here */
	size_t n;
	struct mr_range *set;		/* as it was asked, sorted */
	size_t n_set;
	bool uid;
};

/* "PARTIAL 1:500" */
static bool
read_window(struct fetch_plan *p, struct imap_in *in)
{
	struct str word;

	if (!imap_blank(in) || !imap_atom(in, &word))
		return false;
	if (p->partial || !imap_window_read(&p->window, word)) {
		in->wrong = "PARTIAL wants one range";
		return false;
	}
	p->partial = true;
	return true;
}

/* "CHANGEDSINCE n", "VANISHED" or "PARTIAL n:n". */
static bool
read_modifier(struct fetch_plan *p, struct imap_in *in)
{
	struct str word;

	if (!imap_atom(in, &word))
		return false;
	if (str_iis(word, "PARTIAL"))
		return read_window(p, in);
	if (str_iis(word, "VANISHED") && !p->vanished) {
		p->vanished = true;
		return true;
	}
	if (!str_iis(word, "CHANGEDSINCE") || p->since > 0) {
		in->wrong = "unknown modifier";
		return false;
	}
	fetch_plan_add(p, in->arena, FETCH_MODSEQ);
	return imap_blank(in) && imap_number64(in, &p->since);
}

static bool
read_modifiers(struct fetch_plan *p, struct imap_in *in)
{
	if (in->rest.len == 0)
		return true;
	if (!imap_blank(in) || !imap_char(in, '('))
		return false;
	do {
		if (!read_modifier(p, in))
			return false;
	} while (imap_is_char(in, ' ') && imap_blank(in));
	return imap_char(in, ')') && imap_end(in);
}

static bool
read_request(struct request *r, struct imap *k, struct imap_in *in)
{
	/* A UIDFETCH begins with the UID. */
	bool with_uid = r->uid && !(k->enabled & IMAP_UIDONLY);
	bool saved = false;

	if (!imap_set(in, &r->set, &r->n_set, &saved) || !imap_blank(in) ||
	    !fetch_plan_read(&r->plan, in, with_uid) ||
	    !read_modifiers(&r->plan, in))
		return false;
	if (saved)	/* with an empty set: nothing in "$" has vanished */
		r->range = imap_box_saved(k->box, in->arena, &r->n);
	else if (!imap_box_ranges(k->box, r->set, r->n_set, r->uid,
	    in->arena, &r->range, &r->n)) {
		in->wrong = "no such message";
		return false;
	}
	if (r->plan.vanished && (!r->uid || !r->plan.since ||
	    !(k->enabled & IMAP_QRESYNC))) {
		in->wrong = "VANISHED needs UID, CHANGEDSINCE and QRESYNC";
		return false;
	}
	if (r->plan.partial && !r->uid) {
		in->wrong = "PARTIAL is for UID FETCH";
		return false;
	}
	if (r->plan.partial)
		r->range = imap_ranges_place(k->box, r->range, &r->n,
			&r->plan.window, in->arena);
	r->n_set = imap_ranges_join(r->set, r->n_set);
	return true;
}

/* -------------------------------------------------------------- \Seen */

/* Which messages are going to be marked. Rows are the same that the walk
 * will meet, so CHANGEDSINCE is asked before it can see our own change. */
static int
find_unseen(struct fetch *f, const struct request *r, struct mr_error *me)
{
	struct imap_rows rows;
	size_t i;
	int code;

	imap_rows_begin(&rows, f->k, r->range, r->n, 0);
	rows.since = r->plan.since;
	while ((code = imap_rows_next(&rows, me)) == MR_STORE_OK && rows.n > 0)
		for (i = 0; i < rows.n; i++)
			if (!(rows.at[i].row.flags & MR_FLAG_SEEN))
				imap_list_add(&f->unseen, rows.at[i].row.uid);
	imap_rows_end(&rows);
	return code;
}

/* One change for the whole FETCH. Mail can be read though it cannot be
 * marked: a full disk must not hide it. */
static int
mark_seen(struct fetch *f, const struct request *r, struct mr_error *me)
{
	const struct mr_flag_change seen = {.op = MR_FLAGS_ADD,
		.flags = MR_FLAG_SEEN};
	const struct store *s = &f->k->house->store;
	uint64_t modseq = 0;
	int code;

	if (!r->plan.sets_seen || f->k->box->read_only ||
		!(f->k->box->rights & MR_RIGHT_SEEN))
		return MR_STORE_OK;
	code = find_unseen(f, r, me);
	if (code != MR_STORE_OK || f->unseen.n == 0)
		return code;
	code = s->op->store_flags(s->self, f->k->box->id, f->unseen.at,
		f->unseen.n, &seen, NULL, NULL, &modseq, me);
	if (code == MR_STORE_OK) {
		imap_box_own_change(f->k->box, modseq);
		return code;
	}
	log_error("imap.seen", LOG_S("session", f->k->session->id),
		LOG_S("error", me->text));
	imap_list_free(&f->unseen);
	return MR_STORE_OK;
}

/* -------------------------------------------------------------- the walk */

struct vanishing {
	const struct request *r;
	struct buf *out;
	size_t n;
};

/* The parts of a run of removed UIDs that the client asked about, be they
 * behind the last message that is left. */
static int
take_vanished(void *arg, struct mr_range run)
{
	struct vanishing *v = arg;
	const struct mr_range *set = v->r->set;
	size_t i = 0, high = v->r->n_set, middle;

	while (i < high) {	/* the first one that is not before the run */
		middle = i + (high - i) / 2;
		if (set[middle].last < run.first)
			i = middle + 1;
		else
			high = middle;
	}
	for (; i < v->r->n_set && set[i].first <= run.last; i++) {
		struct mr_range part = set[i];

		part.first = part.first < run.first ? run.first : part.first;
		part.last = part.last > run.last ? run.last : part.last;
		buf_adds(v->out, v->n++ == 0 ? "* VANISHED (EARLIER) " : ",");
		imap_ranges_out(v->out, &part, 1);
	}
	return 0;
}

static int
write_vanished(struct fetch *f, const struct request *r, struct mr_error *me)
{
	const struct store *s = &f->k->house->store;
	struct vanishing v = {r, &f->line, 0};
	int code;

	if (!r->plan.vanished)
		return MR_STORE_OK;
	code = s->op->vanished(s->self, f->k->box->id, r->plan.since,
		take_vanished, &v, me);
	if (v.n > 0)
		buf_adds(&f->line, "\r\n");
	return code;
}

static int
walk(struct fetch *f, const struct request *r, struct mr_error *me)
{
	struct stream *stream = &f->k->session->stream;
	struct imap_rows rows;
	size_t i;
	int code;

	imap_rows_begin(&rows, f->k, r->range, r->n, r->plan.want |
		(f->unseen.n > 0 ? MR_ROW_KEYWORDS : 0));
	rows.since = r->plan.since;
	while (!stream_failed(stream) &&
	    (code = imap_rows_next(&rows, me)) == MR_STORE_OK && rows.n > 0)
		for (i = 0; i < rows.n && !stream_failed(stream); i++)
			fetch_write_row(f, &rows.at[i]);
	if (stream_failed(stream))
		code = MR_STORE_OK;	/* nobody is there to be told */
	if (!r->uid && r->plan.since == 0 &&
	    rows.given < imap_count_known(f->k->box, r->range, r->n))
		f->gone = true;
	imap_rows_end(&rows);
	return code;
}

static int
run(struct fetch *f, const struct request *r, struct mr_error *me)
{
	int code = mark_seen(f, r, me);

	if (code == MR_STORE_OK)
		code = write_vanished(f, r, me);
	if (code == MR_STORE_OK)
		code = walk(f, r, me);
	fetch_flush(f);
	return code;
}

static struct imap_answer
answer(const struct fetch *f)
{
	if (f->unknown_encoding)
		return IMAP_ANSWER(IMAP_NO, "UNKNOWN-CTE",
			"A part has an encoding that is not known here");
	if (f->failed)
		return IMAP_ANSWER(IMAP_NO, "SERVERBUG",
			"Some messages could not be read");
	if (f->gone)
		return IMAP_ANSWER(IMAP_NO, "EXPUNGEISSUED",
			"Some messages are not there any more");
	return IMAP_ANSWER(IMAP_OK, NULL, "FETCH done");
}

struct imap_answer
imap_fetch(struct imap *k, struct imap_in *in, bool uid)
{
	const struct limits_settings *limits = k->house->limits;
	struct request r = {.uid = uid};
	struct fetch f = {.k = k, .plan = &r.plan};
	struct mr_error me = {{0}};
	uint32_t lowest;
	int code;

	if (!read_request(&r, k, in))
		return imap_bad(k, in);
	if (r.plan.partial && imap_limit(k) > 0 &&
	    r.plan.window.last - r.plan.window.first >= imap_limit(k))
		return imap_limit_refuse(k);
	lowest = imap_limit_cut(k, &r.range, &r.n);
	if (r.plan.has & 1u << FETCH_MODSEQ)
		k->enabled |= IMAP_CONDSTORE;
	stream_limit(&k->session->stream, limits->data_timeout,
		(uint32_t)limits->min_rate);
	buf_init(&f.line, BUF_NO_CAP);
	imap_body_init(&f.body, &k->house->store);
	arena_init(&f.message);
	code = run(&f, &r, &me);
	imap_body_free(&f.body);
	imap_list_free(&f.unseen);
	arena_free(&f.message);
	buf_free(&f.line);
	stream_limit(&k->session->stream, limits->command_timeout, 0);
	return code == MR_STORE_OK ?
		imap_limit_say(k, lowest, false, answer(&f)) :
		imap_store_failed(k, code, &me);
}
