/*
 * imap_search.c - SEARCH and SORT (RFC 9051 6.4.4, RFC 5256; MODSEQ as RFC
 * 7162, results that are kept as RFC 5182 and RFC 5267).
 *
 * Where cheap keys stand beside dear ones, a first walk over the rows alone
 * leaves only those messages whose caches and bodies are worth a look. Sets
 * at the top level narrow the walk from the beginning.
 */
#include "serve/imap_search.h"

#include "base/log.h"
#include "serve/imap_context.h"
#include "serve/imap_limit.h"
#include "serve/imap_result.h"
#include "serve/imap_rows.h"

#define SETS_MOST 16		/* that narrow a walk */

struct search {
	struct search_tree tree;
	struct search_return result;
	struct search_found found;
	struct imap_context *context;	/* UPDATE; or NULL */
	bool sorts;
	bool is_partial;	/* MESSAGELIMIT left some out */
	struct order order;
};

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
	search_found_add(&s->found, r->seq, r->row.uid, r->row.modseq);
}

static void
note_ordered(void *arg, const struct imap_row *r, struct search_match *m)
{
	struct search *s = arg;

	order_add(&s->order, r, m);
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
			if (candidates == NULL)
				imap_progress_step(w->k);
		}
	return code;
}

/* What is in both, in the arena. */
static struct mr_range *
common(const struct mr_range *a, size_t *n, const struct search_key *key,
	struct arena *arena)
{
	struct mr_range *out = arena_alloc(arena, (*n + key->n) * sizeof *out);
	size_t i = 0, j = 0, kept = 0;

	while (i < *n && j < key->n) {
		struct mr_range b = key->range[j], both = {
			a[i].first > b.first ? a[i].first : b.first,
			a[i].last < b.last ? a[i].last : b.last};

		if (both.first <= both.last)
			out[kept++] = both;
		if (a[i].last < b.last)
			i++;
		else
			j++;
	}
	*n = kept;
	return out;
}

/* Where the keys at the top leave something to look for: the first few, the
 * others are held against each message. */
static struct mr_range *
narrow(const struct imap *k, const struct search_tree *tree, size_t *n)
{
	struct arena *a = &k->session->command;
	struct mr_range all = {1, imap_box_last_uid(k->box)}, *range;
	const struct search_key *key;
	unsigned sets = 0;

	range = arena_copy(a, &all, sizeof all);
	*n = all.last > 0;
	for (key = tree->top->first; key && sets < SETS_MOST; key = key->next)
		if (key->kind == SEARCH_UIDS && !key->negated) {
			range = common(range, n, key, a);
			sets++;
		}
	return range;
}

bool
search_is_too_large(const struct imap *k, const struct search_tree *tree)
{
	size_t n;
	const struct mr_range *range;

	if (imap_limit(k) == 0)
		return false;
	range = narrow(k, tree, &n);
	return imap_limit_exceeded(k, range, n);
}

static void
begin_rows(struct search_walk *w, struct imap_rows *rows, uint32_t want)
{
	const struct search_key *key;
	size_t n;
	struct mr_range *range = narrow(w->k, w->tree, &n);

	if (w->limits)
		w->lowest = imap_limit_cut(w->k, &range, &n);
	imap_progress_expect(w->k, imap_count_known(w->k->box, range, n));
	imap_rows_begin(rows, w->k, range, n, want);
	for (key = w->tree->top->first; key != NULL; key = key->next) {
		if (key->kind == SEARCH_FLAG && key->negated)
			rows->without |= key->flag;
		else if (key->kind == SEARCH_FLAG)
			rows->with |= key->flag;
		else if (key->kind == SEARCH_MODSEQ && !key->negated &&
		    key->low > 0)
			rows->since = (uint64_t)key->low - 1;
	}
}

/* Keys that rows answer beside others that they do not. */
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

struct plain {
	struct search_walk *walk;
	struct search_match *match;
};

static void
look_at_row(void *arg, const struct imap_row *r)
{
	struct plain *p = arg;

	if (search_match_row(p->match, p->walk->tree->top, &r->row, false))
		p->walk->found(p->walk->arg, r, p->match);
}

/* What rows answer, and what is made of those that are found, without a look
 * at a message: they need not be gathered before. */
static bool
is_plain(const struct search_walk *w)
{
	return w->tree->top->cost == COST_ROW && !((w->want | w->tree->want) &
		(MR_ROW_CACHE | MR_ROW_SENT));
}

static int
walk_plain(struct search_walk *w, struct search_match *m, struct mr_error *me)
{
	struct plain p = {w, m};
	struct imap_rows rows;
	int code;

	begin_rows(w, &rows, w->want | w->tree->want);
	code = imap_rows_each(&rows, look_at_row, &p, me);
	imap_rows_end(&rows);
	return code;
}

static int
walk(struct search_walk *w, struct search_match *m, struct mr_error *me)
{
	bool is_indexed = w->tree->has_text &&
		imap_index_is_there(&m->index);
	uint32_t want = w->tree->want | w->want;
	struct imap_list candidates = {0};
	struct imap_rows rows;
	int code = MR_STORE_OK;

	if (is_indexed || has_cheap_and_dear(w->tree->top)) {
		begin_rows(w, &rows, want & ~MR_ROW_CACHE);
		code = walk_rows(w, m, &rows, &candidates, me);
		imap_rows_end(&rows);
		/* Few are read without the cache of their structure. */
		if (is_indexed && m->index.unknown * 8 <= candidates.count)
			want = w->tree->want_indexed | w->want;
		imap_rows_begin(&rows, w->k, candidates.at, candidates.n,
			want);
		imap_progress_expect(w->k, candidates.count);
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
	code = is_plain(w) ? walk_plain(w, &m, me) : walk(w, &m, me);
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
add_numbers(struct buf *out, const struct imap_list *l)
{
	uint32_t n;
	size_t i;

	for (i = 0; i < l->n; i++)
		for (n = l->at[i].first; ; n++) {
			buf_addc(out, ' ');
			imap_number_out(out, n);
			if (n == l->at[i].last)
				break;
		}
}

/* RFC 7162 3.1.5, 3.1.6: MODSEQ behind the numbers. */
static void
add_old_form(const struct search *s, struct buf *out)
{
	buf_adds(out, s->sorts ? "* SORT" : "* SEARCH");
	add_numbers(out, &s->found.shown);
	if (s->tree.has_modseq && s->found.shown.n > 0)
		buf_addf(out, " (MODSEQ %llu)", (unsigned long long)
			search_found_modseq(&s->found));
	buf_adds(out, "\r\n");
}

static void
answer(const struct search *s, struct imap *k, struct str tag)
{
	struct buf out;

	buf_init(&out, BUF_NO_CAP);
	if (s->result.extended)
		search_return_write(&s->result, &s->found, tag, &out);
	else
		add_old_form(s, &out);
	stream_write_str(&k->session->stream, buf_str(&out));
	buf_free(&out);
}

/* What was found, as it is sorted, becomes the result. */
static void
fill_sorted(struct search *s)
{
	const struct order_row *row;
	size_t n, i;

	row = order_sort(&s->order, &n);
	for (i = 0; i < n; i++)
		search_found_add(&s->found, row[i].seq, row[i].uid,
			row[i].modseq);
}

static struct imap_answer
run(struct search *s, struct imap *k, struct str tag)
{
	struct search_walk w = {.k = k, .tree = &s->tree, .arg = s,
		.found = s->sorts ? note_ordered : note_found,
		.want = s->sorts ? order_wants(&s->order) : 0,
		.limits = !s->sorts};
	struct mr_error me = {{0}};
	int code;

	if (s->sorts && search_is_too_large(k, &s->tree))
		return imap_limit_refuse(k);
	if (s->tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	s->found.keeps_uids = s->result.asked & RETURN_KEEPS;
	s->found.keeps_modseqs = s->tree.has_modseq;
	code = search_walk(&w, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	fill_sorted(s);
	answer(s, k, tag);
	s->is_partial = w.lowest > 0;
	return imap_limit_say(k, w.lowest, false, search_done(&w, s->sorts ?
		"SORT done" : "SEARCH done"));
}

/* ---------------------------------------------------------------- the verbs */

static bool
read_keys(struct search *s, struct imap *k, struct imap_in *in)
{
	if (!s->sorts)
		return search_tree_read(&s->tree, k, in);
	return order_read(&s->order, in) &&
		search_tree_read_sort(&s->tree, k, in);
}

/* From the options on; with UPDATE the keys are read where they stay. */
static bool
read_request(struct search *s, struct imap *k, struct imap_in *in)
{
	struct imap_in keys;

	if (!search_return_read(&s->result, in))
		return false;
	/* RFC 9051 7.3.4: SEARCH has no other answer any more. */
	if (k->enabled & IMAP_REV2 && !s->sorts && !s->result.extended) {
		s->result.extended = true;
		s->result.asked = RETURN_ALL;
	}
	if (!(s->result.asked & RETURN_UPDATE))
		return read_keys(s, k, in);
	if (!imap_context_begin(k, in, &s->context, &keys))
		return false;
	if (read_keys(s, k, &keys))
		return true;
	in->wrong = keys.wrong;
	return false;
}

/* "$", and the search that goes on. */
static void
keep(struct search *s, struct imap *k, bool failed)
{
	search_return_save(&s->result, &s->found, k->box, failed);
	if (s->context && s->is_partial) {
		imap_context_refuse(k, s->context);
	} else if (s->context && !failed) {
		s->context->tree = s->tree;
		imap_context_take(k, s->context, &s->found.uids,
			s->sorts ? &s->order : NULL);
	} else {
		imap_context_free(s->context);
	}
}

static struct imap_answer
search(struct imap *k, struct imap_in *in, bool uid, bool sorts)
{
	struct search s = {.found.uid = uid, .sorts = sorts};
	struct imap_answer said;

	order_init(&s.order);
	search_found_init(&s.found);
	if (read_request(&s, k, in))
		said = run(&s, k, imap_command_of(in)->tag);
	else
		said = search_bad(&s.tree, k, in);
	if (said.status == IMAP_BAD)
		s.result.asked = 0;	/* "$" stays as it is */
	keep(&s, k, said.status != IMAP_OK);
	search_found_free(&s.found);
	order_free(&s.order);
	return said;
}

struct imap_answer
imap_search(struct imap *k, struct imap_in *in, bool uid)
{
	return search(k, in, uid, false);
}

struct imap_answer
imap_sort(struct imap *k, struct imap_in *in, bool uid)
{
	return search(k, in, uid, true);
}
