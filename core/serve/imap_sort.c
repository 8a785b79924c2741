/*
 * imap_sort.c - SORT and UID SORT (RFC 5256, results as RFC 5267 3 where asked
 * for), and THREAD=ORDEREDSUBJECT; the other way to thread is in
 * imap_thread.c, the order itself in imap_order.c.
 */
#include "serve/imap_order.h"
#include "serve/imap_result.h"

struct sort {
	struct order order;
	struct search_tree tree;
	struct search_return result;
	struct search_found found;
};

/* --------------------------------------------------------------------- SORT */

static void
note_ordered(void *arg, const struct imap_row *r, struct search_match *m)
{
	order_add(arg, r, m);
}

/* RFC 7162 3.1.9: MODSEQ behind the numbers. */
static void
add_old_form(const struct sort *s, struct buf *out)
{
	const struct order_row *row;
	size_t n, i;

	row = order_rows(&s->order, &n);
	buf_adds(out, "* SORT");
	for (i = 0; i < n; i++) {
		buf_addc(out, ' ');
		imap_number_out(out, order_number(&s->order, &row[i]));
	}
	if (s->tree.has_modseq && n > 0)
		buf_addf(out, " (MODSEQ %llu)", (unsigned long long)
			search_found_modseq(&s->found));
	buf_adds(out, "\r\n");
}

/* In the order of the result, of which ESEARCH tells in parts. */
static void
fill_found(struct sort *s)
{
	const struct order_row *row;
	size_t n, i;

	row = order_sort(&s->order, &n);
	for (i = 0; i < n; i++)
		search_found_add(&s->found, row[i].seq, row[i].uid,
			row[i].modseq);
}

static void
answer(struct sort *s, struct imap *k, struct str tag)
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

static struct imap_answer
run(struct sort *s, struct imap *k, struct str tag)
{
	struct search_walk w = {.k = k, .tree = &s->tree, .want = ORDER_WANTS,
		.found = note_ordered, .arg = &s->order};
	struct mr_error me = {{0}};
	int code = search_walk(&w, &me);

	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	fill_found(s);
	answer(s, k, tag);
	return search_done(&w, "SORT done");
}

struct imap_answer
imap_sort(struct imap *k, struct imap_in *in, bool uid)
{
	struct sort s = {.order.uid = uid, .found.uid = uid};
	struct imap_answer said;

	if (!search_return_read(&s.result, in) ||
	    !order_read(&s.order, in) ||
	    !search_tree_read_sort(&s.tree, k, in)) {
		said = search_bad(&s.tree, k, in);
		if (said.status == IMAP_NO)
			search_return_save(&s.result, &s.found, k->box, true);
		return said;
	}
	if (s.tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	order_init(&s.order);
	search_found_init(&s.found);
	s.found.keeps_uids = s.result.asked & RETURN_SAVE;
	s.found.keeps_modseqs = s.tree.has_modseq;
	said = run(&s, k, imap_command_of(in)->tag);
	search_return_save(&s.result, &s.found, k->box,
		said.status != IMAP_OK);
	search_found_free(&s.found);
	order_free(&s.order);
	return said;
}

/* ------------------------------------------------------------------ threads */

struct thread {
	size_t first, n;	/* rows */
	const char *date;	/* of the first, as its bytes have it */
	uint32_t number;
};

static int
compare_threads(const void *a, const void *b)
{
	const struct thread *x = a, *y = b;
	int order = memcmp(x->date, y->date, sizeof(int64_t));

	if (order)
		return order;
	return x->number < y->number ? -1 : x->number > y->number;
}

static bool
is_same_subject(const struct order *o, const struct order_row *a,
	const struct order_row *b)
{
	return a->subject == b->subject && !memcmp(o->bytes.at + a->at,
		o->bytes.at + b->at, a->subject);
}

/* RFC 5256: "(1 2)", and "(1 (2)(3))" where more than one follows. */
static void
write_thread(const struct order *o, const struct order_row *row, size_t n,
	struct buf *out)
{
	size_t i;

	buf_addc(out, '(');
	imap_number_out(out, order_number(o, row));
	if (n > 1)
		buf_addc(out, ' ');
	for (i = 1; i < n; i++) {
		if (n > 2)
			buf_addc(out, '(');
		imap_number_out(out, order_number(o, &row[i]));
		if (n > 2)
			buf_addc(out, ')');
	}
	buf_addc(out, ')');
}

static void
write_threads(struct order *o, struct buf *out)
{
	struct thread *thread;
	size_t n, i, n_thread = 0;
	const struct order_row *row = order_sort(o, &n);

	thread = mem_alloc((n + 1) * sizeof *thread);
	for (i = 0; i < n; i++) {
		if (i == 0 || !is_same_subject(o, &row[i - 1], &row[i]))
			thread[n_thread++] = (struct thread){i, 0,
				o->bytes.at + row[i].at + row[i].subject,
				order_number(o, &row[i])};
		thread[n_thread - 1].n++;
	}
	qsort(thread, n_thread, sizeof *thread, compare_threads);
	buf_adds(out, n_thread ? "* THREAD " : "* THREAD");
	for (i = 0; i < n_thread; i++)
		write_thread(o, row + thread[i].first, thread[i].n, out);
	buf_adds(out, "\r\n");
	free(thread);
}

static struct imap_answer
by_subject(struct imap *k, const struct search_tree *tree, bool uid)
{
	struct order o = {.uid = uid, .n_key = 2, .key = {
		{SORT_SUBJECT, false}, {SORT_DATE, false}}};
	struct search_walk w = {.k = k, .tree = tree, .want = ORDER_WANTS,
		.found = note_ordered, .arg = &o};
	struct mr_error me = {{0}};
	struct buf out;
	int code;

	order_init(&o);
	code = search_walk(&w, &me);
	if (code == MR_STORE_OK) {
		buf_init(&out, BUF_NO_CAP);
		write_threads(&o, &out);
		stream_write_str(&k->session->stream, buf_str(&out));
		buf_free(&out);
	}
	order_free(&o);
	return code == MR_STORE_OK ? search_done(&w, "THREAD done") :
		imap_store_failed(k, code, &me);
}

struct imap_answer
imap_thread(struct imap *k, struct imap_in *in, bool uid)
{
	struct search_tree tree = {0};
	struct str word;
	bool subjects;

	if (!imap_atom(in, &word) || !imap_blank(in))
		return imap_bad(k, in);
	subjects = str_iis(word, "ORDEREDSUBJECT");
	if (!subjects && !str_iis(word, "REFERENCES"))
		return IMAP_ANSWER(IMAP_BAD, NULL, "unknown way to thread");
	if (!search_tree_read_sort(&tree, k, in))
		return search_bad(&tree, k, in);
	if (tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	return subjects ? by_subject(k, &tree, uid) :
		search_references(k, &tree, uid);
}
