/*
 * imap_thread_subject.c - THREAD (RFC 5256), and ORDEREDSUBJECT, the plainer
 * way of it: those of one base subject, by date. The other way is in
 * imap_thread.c.
 */
#include "serve/imap_limit.h"
#include "serve/imap_order.h"
#include "serve/imap_out.h"

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

static void
note_ordered(void *arg, const struct imap_row *r, struct search_match *m)
{
	order_add(arg, r, m);
}

static struct imap_answer
by_subject(struct imap *k, const struct search_tree *tree, bool uid)
{
	struct order o = {.uid = uid, .n_key = 2, .key = {
		{SORT_SUBJECT, false}, {SORT_DATE, false}}};
	struct search_walk w = {.k = k, .tree = tree, .want = order_wants(&o),
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
	if (search_is_too_large(k, &tree))
		return imap_limit_refuse(k);
	if (tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	return subjects ? by_subject(k, &tree, uid) :
		search_references(k, &tree, uid);
}
