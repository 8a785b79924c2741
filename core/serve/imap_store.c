/*
 * imap_store.c - STORE with its conditions (RFC 9051 6.4.6, RFC 7162 3.1.3),
 * EXPUNGE and UID EXPUNGE (RFC 4315).
 *
 * One change of the store for the whole set; what it made of the messages is
 * read back and told. EXPUNGE says nothing itself: the loop tells this
 * session of removals as it tells of those of others.
 */
#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_limit.h"
#include "serve/imap_out.h"
#include "serve/imap_place.h"
#include "serve/imap_rows.h"

struct store_request {
	struct mr_range *range;
	size_t n;
	struct mr_flag_change change;
	uint32_t also_take;		/* system flags; see limit() */
	bool uid, silent;
	bool is_conditional;
	struct imap_list failed;	/* UIDs that UNCHANGEDSINCE kept */
};

/* ------------------------------------------------------------- arguments */

/* "(UNCHANGEDSINCE n) " */
static bool
read_condition(struct store_request *r, struct imap_in *in)
{
	struct str word;

	if (!imap_is_char(in, '('))
		return true;
	if (!imap_char(in, '(') || !imap_atom(in, &word))
		return false;
	if (!str_iis(word, "UNCHANGEDSINCE")) {
		in->wrong = "unknown modifier";
		return false;
	}
	r->is_conditional = true;
	return imap_blank(in) &&
		imap_number64(in, &r->change.unchanged_since) &&
		imap_char(in, ')') && imap_blank(in);
}

static const struct {
	const char *name;
	enum mr_flag_op op;
	bool silent;
} operations[] = {
	{"FLAGS", MR_FLAGS_SET, false},
	{"FLAGS.SILENT", MR_FLAGS_SET, true},
	{"+FLAGS", MR_FLAGS_ADD, false},
	{"+FLAGS.SILENT", MR_FLAGS_ADD, true},
	{"-FLAGS", MR_FLAGS_REMOVE, false},
	{"-FLAGS.SILENT", MR_FLAGS_REMOVE, true},
};

static bool
read_operation(struct store_request *r, struct imap_in *in)
{
	struct str word;
	size_t i;

	if (!imap_atom(in, &word))
		return false;
	for (i = 0; i < sizeof operations / sizeof *operations; i++)
		if (str_iis(word, operations[i].name)) {
			r->change.op = operations[i].op;
			r->silent = operations[i].silent;
			return imap_blank(in) && imap_flag_list(in, true,
				&r->change.flags, &r->change.keywords);
		}
	in->wrong = "unknown change of flags";
	return false;
}

static bool
read_messages(struct imap *k, struct imap_in *in, bool uid,
	struct mr_range **range, size_t *n)
{
	struct mr_range *set;
	size_t n_set;
	bool saved;

	if (!imap_set(in, &set, &n_set, &saved))
		return false;
	if (saved) {
		*range = imap_box_saved(k->box, in->arena, n);
		return true;
	}
	if (imap_box_ranges(k->box, set, n_set, uid, in->arena, range, n))
		return true;
	in->wrong = "no such message";
	return false;
}

static bool
read_request(struct store_request *r, struct imap *k, struct imap_in *in)
{
	return read_messages(k, in, r->uid, &r->range, &r->n) &&
		imap_blank(in) && read_condition(r, in) &&
		read_operation(r, in) && imap_end(in);
}

/* ---------------------------------------------------------------- STORE */

static int
note_failed(void *arg, uint32_t uid)
{
	struct store_request *r = arg;

	imap_list_add(&r->failed, uid);
	return 0;
}

static void
write_row(struct imap *k, const struct store_request *r,
	const struct imap_row *row, struct buf *out)
{
	struct str keywords = {row->row.keywords.at, row->row.keywords.len};
	const char *gap = "";

	imap_fetch_out(k, out, row->seq, row->row.uid);
	if (r->uid && !(k->enabled & IMAP_UIDONLY)) {
		buf_adds(out, "UID ");
		imap_number_out(out, row->row.uid);
		gap = " ";
	}
	if (k->enabled & IMAP_CONDSTORE) {
		buf_addf(out, "%sMODSEQ (%llu)", gap,
			(unsigned long long)row->row.modseq);
		gap = " ";
	}
	if (!r->silent) {
		buf_addf(out, "%sFLAGS ", gap);
		imap_flags_out(out, row->row.flags, keywords,
			imap_shows_recent(k, row->row.uid));
	}
	buf_adds(out, ")\r\n");
}

/* The new flags; for a silent change only MODSEQ, to who knows it. */
static int
tell(struct imap *k, const struct store_request *r, bool *gone,
	struct mr_error *me)
{
	struct imap_rows rows;
	struct buf out;
	size_t n, i;
	struct mr_range *changed = imap_ranges_without(r->range, r->n,
		&r->failed, &k->session->command, &n);
	int code;

	buf_init(&out, BUF_NO_CAP);
	imap_rows_begin(&rows, k, changed, n, MR_ROW_KEYWORDS);
	while ((code = imap_rows_next(&rows, me)) == MR_STORE_OK &&
	    rows.n > 0) {
		for (i = 0; i < rows.n; i++)
			write_row(k, r, &rows.at[i], &out);
		stream_write_str(&k->session->stream, buf_str(&out));
		buf_reset(&out);
	}
	*gone = !r->uid && code == MR_STORE_OK &&
		rows.given < imap_count_known(k->box, changed, n);
	imap_rows_end(&rows);
	buf_free(&out);
	return code;
}

/* "MODIFIED 7,9" in the terms of the command. */
static const char *
modified_code(struct imap *k, const struct store_request *r)
{
	struct imap_list numbers = {0};
	struct buf out;
	const char *code;
	uint32_t seq;
	uint64_t uid;
	size_t i;

	for (i = 0; i < r->failed.n; i++)
		for (uid = r->failed.at[i].first; uid <= r->failed.at[i].last;
		    uid++) {
			seq = imap_box_seq(k->box, (uint32_t)uid);
			if (seq > 0)
				imap_list_add(&numbers, r->uid ?
					(uint32_t)uid : seq);
		}
	buf_init(&out, BUF_NO_CAP);
	buf_adds(&out, "MODIFIED ");
	imap_ranges_out(&out, numbers.at, numbers.n);
	code = numbers.n > 0 ? arena_cstr(&k->session->command,
		buf_str(&out)) : NULL;
	buf_free(&out);
	imap_list_free(&numbers);
	return code;
}

/* No message has a modseq of 0 or less, and to the store 0 means that there
 * is no condition: all fail. */
static void
fail_all(struct imap *k, struct store_request *r)
{
	uint32_t seq, uid;
	size_t i = 0;

	for (seq = 1; seq <= imap_box_exists(k->box) && i < r->n; seq++) {
		uid = imap_box_uid(k->box, seq);
		while (i < r->n && r->range[i].last < uid)
			i++;
		if (i < r->n && r->range[i].first <= uid)
			imap_list_add(&r->failed, uid);
	}
}

/* What the rights do not allow is left as it is, and only where nothing is
 * left the command fails (RFC 4314 section 4). To replace some of the flags is
 * to add and to take; keywords are only added then. */
static bool
limit(struct imap *k, struct store_request *r)
{
	uint32_t rights = k->box->rights, may = MR_FLAG_SEEN |
		MR_FLAG_ANSWERED | MR_FLAG_FLAGGED | MR_FLAG_DELETED |
		MR_FLAG_DRAFT, all = may;
	const char *none = "";

	imap_place_limit(rights, &may, &none);
	if (!imap_place_limit(rights, &r->change.flags, &r->change.keywords))
		return false;
	if (r->change.op != MR_FLAGS_SET || may == all)
		return true;
	r->change.op = MR_FLAGS_ADD;
	r->also_take = may & ~r->change.flags;
	return !r->is_conditional;
}

static int
take_others(struct imap *k, const struct store_request *r, uint64_t *modseq,
	struct mr_error *me)
{
	const struct mr_flag_change c = {.op = MR_FLAGS_REMOVE,
		.flags = r->also_take};
	const struct store *s = &k->house->store;

	if (!r->also_take)
		return MR_STORE_OK;
	imap_box_own_change(k->box, *modseq);
	return s->op->store_flags(s->self, k->box->id, r->range, r->n, &c,
		NULL, NULL, modseq, me);
}

static int
change(struct imap *k, struct store_request *r, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	uint64_t modseq = 0;
	int code;

	if (r->is_conditional && r->change.unchanged_since == 0) {
		fail_all(k, r);
		return MR_STORE_OK;
	}
	if (r->n == 0)		/* which would mean all to the store */
		return MR_STORE_OK;
	code = s->op->store_flags(s->self, k->box->id, r->range, r->n,
		&r->change, note_failed, r, &modseq, me);
	if (code == MR_STORE_OK)
		code = take_others(k, r, &modseq, me);
	if (code == MR_STORE_OK) {
		imap_box_own_change(k->box, modseq);
		imap_learn_marked(k, r->range, r->n, &r->change);
	}
	return code;
}

static struct imap_answer
store(struct imap *k, struct store_request *r)
{
	struct mr_error me = {{0}};
	bool gone = false;
	const char *modified;
	int code = change(k, r, &me);

	if (code == MR_STORE_OK && (!r->silent || k->enabled & IMAP_CONDSTORE))
		code = tell(k, r, &gone, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	modified = modified_code(k, r);
	if (modified != NULL)
		return IMAP_ANSWER(IMAP_OK, modified,
			"Some messages were changed by others");
	if (gone)
		return IMAP_ANSWER(IMAP_NO, "EXPUNGEISSUED",
			"Some messages are not there any more");
	return IMAP_ANSWER(IMAP_OK, NULL, "STORE done");
}

struct imap_answer
imap_store(struct imap *k, struct imap_in *in, bool uid)
{
	struct store_request r = {.uid = uid};
	struct imap_answer said;
	uint32_t lowest;

	if (!read_request(&r, k, in))
		return imap_bad(k, in);
	if (k->box->read_only)
		return IMAP_ANSWER(IMAP_NO, NULL,
			"The mailbox was opened for reading only");
	if (!limit(k, &r))
		return imap_store_failed(k, IMAP_NO_RIGHT, NULL);
	if (r.is_conditional)
		k->enabled |= IMAP_CONDSTORE;
	lowest = imap_limit_cut(k, &r.range, &r.n);
	said = imap_limit_say(k, lowest, false, store(k, &r));
	imap_list_free(&r.failed);
	return said;
}

/* -------------------------------------------------------------- EXPUNGE */

/* RFC 9738 3.1 counts only what is going to be removed, and lets EXPUNGE
 * without UIDs alone. */
static int
limit_removal(struct imap *k, struct mr_range **range, size_t *n,
	uint32_t *lowest, struct mr_error *me)
{
	struct imap_list deleted = {0};
	struct imap_rows rows;
	int code = MR_STORE_OK;
	size_t i;

	if (!imap_limit_exceeded(k, *range, *n))
		return MR_STORE_OK;
	imap_rows_begin(&rows, k, *range, *n, 0);
	while ((code = imap_rows_next(&rows, me)) == MR_STORE_OK && rows.n > 0)
		for (i = 0; i < rows.n; i++)
			if (rows.at[i].row.flags & MR_FLAG_DELETED)
				imap_list_add(&deleted, rows.at[i].row.uid);
	imap_rows_end(&rows);
	*range = arena_copy(&k->session->command, deleted.at,
		deleted.n * sizeof **range);
	*n = deleted.n;
	*lowest = imap_limit_cut(k, range, n);
	imap_list_free(&deleted);
	return code;
}

static int
remove_deleted(struct imap *k, const struct mr_range *range, size_t n,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct imap_admin_step step = {.n = 0};
	int code;

	imap_admin_expunge(k, range, n, &step);
	code = s->op->expunge(s->self, k->box->id, range, n, 0, me);
	if (code == MR_STORE_OK)
		imap_admin_finish(k, &step);
	return code;
}

/* RFC 9051 6.4.3 knows no partial failure: what stays, stays \Deleted, and the
 * text says why. */
static const char *
removed_text(struct imap *k, const struct mr_range *range, size_t n)
{
	struct mr_retained r = {.size = sizeof r, .mailbox = k->box->id,
		.range = range, .n = n};
	struct mr_error me = {{0}};

	if (store_retained(&k->house->store, &r, &me) != MR_STORE_OK ||
		r.messages == 0)
		return "EXPUNGE done";
	return arena_printf(&k->session->command, "EXPUNGE done; %s",
		store_retained_text(&r, &k->session->command));
}

struct imap_answer
imap_expunge(struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_range *range = NULL;
	struct mr_error me = {{0}};
	const char *text = "EXPUNGE done";
	uint32_t lowest = 0;
	size_t n = 0;
	int code = MR_STORE_OK;

	if ((uid && !read_messages(k, in, true, &range, &n)) || !imap_end(in))
		return imap_bad(k, in);
	if (k->box->read_only)
		return IMAP_ANSWER(IMAP_NO, NULL,
			"The mailbox was opened for reading only");
	if (uid)
		code = limit_removal(k, &range, &n, &lowest, &me);
	if (code == MR_STORE_OK && (!uid || n > 0))
		code = remove_deleted(k, range, n, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	if (!uid || n > 0)
		text = removed_text(k, range, n);
	return imap_limit_say(k, lowest, k->enabled & IMAP_CONDSTORE,
		IMAP_ANSWER(IMAP_OK, NULL, text));
}
