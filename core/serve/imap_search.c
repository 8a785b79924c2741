/*
 * imap_search.c - SEARCH and UID SEARCH (RFC 9051 6.4.4; results as RFC 4731
 * where asked for, MODSEQ as RFC 7162, results kept for "$" as RFC 5182).
 *
 * Where cheap keys stand beside dear ones, a first walk over the rows alone
 * leaves only those messages whose caches and bodies are worth a look. Sets
 * at the top level narrow the walk from the beginning.
 */
#include "serve/imap_search.h"

#include "base/log.h"
#include "serve/imap_out.h"
#include "serve/imap_rows.h"

enum { RETURN_MIN = 1, RETURN_MAX = 2, RETURN_ALL = 4, RETURN_COUNT = 8,
	RETURN_SAVE = 16 };

struct search {
	struct search_tree tree;
	unsigned result;	/* RETURN_* bits; 0: the old form */
	bool saves;		/* for "$" */
	bool uid;
	struct imap_list found;	/* UIDs or numbers */
	struct imap_list saved;	/* UIDs */
	uint64_t modseq;	/* highest of what was found */
	uint64_t first_modseq, last_modseq;
};

/* ------------------------------------------------------------- arguments */

static const struct {
	const char *name;
	unsigned bit;
} options[] = {
	{"MIN", RETURN_MIN}, {"MAX", RETURN_MAX}, {"ALL", RETURN_ALL},
	{"COUNT", RETURN_COUNT}, {"SAVE", RETURN_SAVE},
};

static bool
read_option(struct search *s, struct imap_in *in, struct str word)
{
	size_t i;

	for (i = 0; i < sizeof options / sizeof *options; i++)
		if (str_iis(word, options[i].name)) {
			s->result |= options[i].bit;
			return true;
		}
	in->wrong = "unknown result option";
	return false;
}

/* "RETURN (MIN MAX) " */
static bool
read_options(struct search *s, struct imap_in *in)
{
	struct str word, *option;
	size_t n, i;

	if (!str_istarts(in->rest, "RETURN "))
		return true;
	if (!imap_atom(in, &word) || !imap_blank(in) ||
	    !imap_words(in, false, &option, &n) || !imap_blank(in))
		return false;
	for (i = 0; i < n; i++)
		if (!read_option(s, in, option[i]))
			return false;
	if (n == 0)
		s->result = RETURN_ALL;
	s->saves = s->result & RETURN_SAVE;
	s->result &= ~(unsigned)RETURN_SAVE;
	return true;
}

/* --------------------------------------------------------------- the walk */

static void
note_failure(struct search_walk *w, struct search_match *m,
	const struct mr_row *row)
{
	if (m->body.code == MR_STORE_MISSING) {
		w->gone = true;
		return;
	}
	w->failed = true;
	log_error("imap.search", LOG_S("session", w->k->session->id),
		LOG_N("mailbox", w->k->box->id), LOG_N("uid", row->uid),
		LOG_S("error", m->body.error.text));
}

static void
note_found(void *arg, const struct imap_row *r, struct search_match *m)
{
	struct search *s = arg;

	(void)m;
	imap_list_add(&s->found, s->uid ? r->row.uid : r->seq);
	if (s->saves)
		imap_list_add(&s->saved, r->row.uid);
	if (s->found.count == 1)
		s->first_modseq = r->row.modseq;
	s->last_modseq = r->row.modseq;
	if (r->row.modseq > s->modseq)
		s->modseq = r->row.modseq;
}

/* Candidates: UIDs whose rows alone do not speak against them. */
static int
walk_rows(struct search_walk *w, struct search_match *m,
	struct imap_rows *rows, struct imap_list *candidates,
	struct mr_error *me)
{
	size_t i;
	int code;

	while ((code = imap_rows_next(rows, me)) == MR_STORE_OK && rows->n > 0)
		for (i = 0; i < rows->n; i++) {
			const struct imap_row *r = &rows->at[i];
			bool found = search_match_row(m, w->tree->top,
				&r->row, candidates != NULL);

			if (found && candidates != NULL)
				imap_list_add(candidates, r->row.uid);
			else if (found)
				w->found(w->arg, r, m);
			else if (m->body.code != MR_STORE_OK)
				note_failure(w, m, &r->row);
		}
	return code;
}

/* The narrowest place to look that the top keys name by UID and modseq. */
static void
begin_rows(const struct search_walk *w, struct imap_rows *rows, uint32_t want)
{
	struct mr_range all = {1, imap_box_last_uid(w->k->box)};
	const struct mr_range *range = &all;
	const struct search_key *key;
	size_t n = all.last > 0;
	uint64_t since = 0;

	for (key = w->tree->top->first; key != NULL; key = key->next) {
		if (key->negated)
			continue;
		if (key->kind == SEARCH_UIDS && range == &all) {
			range = key->range;
			n = key->n;
		} else if (key->kind == SEARCH_MODSEQ && key->low > 0) {
			since = (uint64_t)key->low - 1;
		}
	}
	imap_rows_begin(rows, w->k, range, n, want);
	rows->since = since;
}

static bool
has_cheap_and_dear(const struct search_key *top)
{
	const struct search_key *key;

	for (key = top->first; key != NULL; key = key->next)
		if (key->kind != SEARCH_ALL && key->kind != SEARCH_UIDS &&
		    key->cost == COST_ROW)
			return top->cost > COST_ROW;
	return false;
}

static int
walk(struct search_walk *w, struct search_match *m, struct mr_error *me)
{
	const uint32_t want = w->tree->want | w->want;
	struct imap_list candidates = {0};
	struct imap_rows rows;
	int code = MR_STORE_OK;

	if (has_cheap_and_dear(w->tree->top)) {
		begin_rows(w, &rows, want & ~MR_ROW_CACHE);
		code = walk_rows(w, m, &rows, &candidates, me);
		imap_rows_end(&rows);
		imap_rows_begin(&rows, w->k, candidates.at, candidates.n,
			want);
	} else {
		begin_rows(w, &rows, want);
	}
	if (code == MR_STORE_OK)
		code = walk_rows(w, m, &rows, NULL, me);
	imap_rows_end(&rows);
	imap_list_free(&candidates);
	return code;
}

int
search_walk(struct search_walk *w, struct mr_error *me)
{
	struct search_match m;
	int code;

	search_match_init(&m, &w->k->house->store);
	code = walk(w, &m, me);
	search_match_free(&m);
	return code;
}

struct imap_answer
search_done(const struct search_walk *w, const char *text)
{
	if (w->failed)
		return IMAP_ANSWER(IMAP_NO, "SERVERBUG",
			"Some messages could not be read");
	return IMAP_ANSWER(IMAP_OK, w->gone ? "EXPUNGEISSUED" : NULL, text);
}

struct imap_answer
search_bad(const struct search_tree *t, struct imap *k,
	const struct imap_in *in)
{
	if (t->bad_charset)
		return IMAP_ANSWER(IMAP_NO, "BADCHARSET (US-ASCII UTF-8)",
			"That charset is not known here");
	return imap_bad(k, in);
}

/* -------------------------------------------------------------- results */

static void
add_old_form(const struct search *s, struct buf *out)
{
	size_t i;
	uint32_t n;

	buf_adds(out, "* SEARCH");
	for (i = 0; i < s->found.n; i++)
		for (n = s->found.at[i].first; ; n++) {
			buf_addc(out, ' ');
			imap_number_out(out, n);
			if (n == s->found.at[i].last)
				break;
		}
	if (s->tree.has_modseq && s->found.n > 0)
		buf_addf(out, " (MODSEQ %llu)",
			(unsigned long long)s->modseq);
}

/* RFC 7162 3.1.10: of the messages that are named, where only those are. */
static uint64_t
result_modseq(const struct search *s)
{
	switch (s->result) {
	case RETURN_MIN:
		return s->first_modseq;
	case RETURN_MAX:
		return s->last_modseq;
	case RETURN_MIN | RETURN_MAX:
		return s->first_modseq > s->last_modseq ? s->first_modseq :
			s->last_modseq;
	default:
		return s->modseq;
	}
}

static void
add_extended(const struct search *s, struct str tag, struct buf *out)
{
	const struct imap_list *l = &s->found;

	buf_adds(out, "* ESEARCH (TAG ");
	mime_imap_string(out, tag);
	buf_adds(out, s->uid ? ") UID" : ")");
	if (s->result & RETURN_COUNT)
		buf_addf(out, " COUNT %u", l->count);
	if (l->n == 0)
		return;
	if (s->result & RETURN_MIN)
		buf_addf(out, " MIN %u", l->at[0].first);
	if (s->result & RETURN_MAX)
		buf_addf(out, " MAX %u", l->at[l->n - 1].last);
	if (s->result & RETURN_ALL) {
		buf_adds(out, " ALL ");
		imap_ranges_out(out, l->at, l->n);
	}
	if (s->tree.has_modseq)
		buf_addf(out, " MODSEQ %llu",
			(unsigned long long)result_modseq(s));
}

static void
answer(const struct search *s, struct imap *k, struct str tag)
{
	struct buf out;

	if (s->saves && s->result == 0)
		return;		/* RFC 5182 2.1: SAVE alone says nothing */
	buf_init(&out, BUF_NO_CAP);
	if (s->result)
		add_extended(s, tag, &out);
	else
		add_old_form(s, &out);
	buf_adds(&out, "\r\n");
	stream_write_str(&k->session->stream, buf_str(&out));
	buf_free(&out);
}

/* RFC 5182 2.4: MIN and MAX without ALL or COUNT save but those messages. */
static void
narrow_saved(struct search *s)
{
	struct imap_list ends = {0};
	const struct imap_list *all = &s->saved;

	if (s->result == 0 || s->result & (RETURN_ALL | RETURN_COUNT) ||
	    all->n == 0)
		return;
	if (s->result & RETURN_MIN)
		imap_list_add(&ends, all->at[0].first);
	if (s->result & RETURN_MAX && (ends.n == 0 || all->count > 1))
		imap_list_add(&ends, all->at[all->n - 1].last);
	imap_list_free(&s->saved);
	s->saved = ends;
}

/* RFC 5182 2.1: what ends with NO leaves "$" empty, with BAD as it was. */
static struct imap_answer
save(struct search *s, struct imap *k, struct imap_answer said)
{
	if (s->saves && said.status != IMAP_BAD) {
		imap_list_free(&k->box->saved);
		if (said.status == IMAP_OK) {
			narrow_saved(s);
			k->box->saved = s->saved;
			s->saved = (struct imap_list){0};
		}
	}
	imap_list_free(&s->saved);
	return said;
}

struct imap_answer
imap_search(struct imap *k, struct imap_in *in, bool uid)
{
	struct search s = {.uid = uid};
	struct search_walk w = {.k = k, .tree = &s.tree, .found = note_found,
		.arg = &s};
	struct mr_error me = {{0}};
	int code;

	if (!read_options(&s, in) || !search_tree_read(&s.tree, k, in))
		return save(&s, k, search_bad(&s.tree, k, in));
	if (s.tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	code = search_walk(&w, &me);
	if (code == MR_STORE_OK)
		answer(&s, k, imap_command_of(in)->tag);
	imap_list_free(&s.found);
	return save(&s, k, code == MR_STORE_OK ?
		search_done(&w, "SEARCH done") :
		imap_store_failed(k, code, &me));
}
