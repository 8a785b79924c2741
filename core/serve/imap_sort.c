/*
 * imap_sort.c - SORT and UID SORT (RFC 5256, SORT=DISPLAY of RFC 5957), and
 * THREAD=ORDEREDSUBJECT; the other way to thread is in imap_thread.c.
 *
 * Each message that is found becomes one string of bytes whose order is the
 * order that is wanted: numbers with their highest byte first, texts folded
 * and ended by a NUL, all bits turned over where REVERSE is said, and at the
 * end its number in the mailbox, which decides between equals. Everything
 * comes from rows and cached envelopes; no message is opened.
 */
#include "serve/imap_search.h"

#include "base/clock.h"
#include "serve/imap_out.h"
#include "serve/imap_rows.h"
#include "serve/imap_subject.h"
#include "serve/imap_text.h"

#define KEYS_MOST 32

enum sort_kind { SORT_ARRIVAL, SORT_CC, SORT_DATE, SORT_FROM, SORT_SIZE,
	SORT_SUBJECT, SORT_TO, SORT_DISPLAYFROM, SORT_DISPLAYTO };

struct sort_key {
	enum sort_kind kind;
	bool reverse;
};

struct sorted {
	uint32_t number;	/* UID, or in the mailbox */
	size_t at, len;		/* its bytes */
	size_t subject;		/* of these the first: THREAD, which has the
				   date behind it */
};

struct sort {
	struct sort_key key[KEYS_MOST];
	size_t n_key;
	bool uid;
	struct search_tree tree;
	struct buf bytes;	/* of all */
	struct buf row;		/* struct sorted, one behind the other */
	struct buf text, name, domain;	/* used again and again */
};

/* ----------------------------------------------------------------- criteria */

static const struct {
	const char *name;
	enum sort_kind kind;
} criteria[] = {
	{"ARRIVAL", SORT_ARRIVAL}, {"CC", SORT_CC}, {"DATE", SORT_DATE},
	{"FROM", SORT_FROM}, {"SIZE", SORT_SIZE}, {"SUBJECT", SORT_SUBJECT},
	{"TO", SORT_TO}, {"DISPLAYFROM", SORT_DISPLAYFROM},
	{"DISPLAYTO", SORT_DISPLAYTO},
};

static bool
take_criterion(struct sort *s, struct imap_in *in, struct str word,
	bool reverse)
{
	size_t i;

	for (i = 0; i < sizeof criteria / sizeof *criteria; i++) {
		if (!str_iis(word, criteria[i].name))
			continue;
		if (s->n_key == KEYS_MOST) {
			in->wrong = "too many sort keys";
			return false;
		}
		s->key[s->n_key++] = (struct sort_key){criteria[i].kind,
			reverse};
		return true;
	}
	in->wrong = "unknown sort key";
	return false;
}

/* "(SUBJECT REVERSE DATE) " */
static bool
read_criteria(struct sort *s, struct imap_in *in)
{
	struct str *word;
	size_t n, i;
	bool reverse;

	if (!imap_words(in, false, &word, &n) || !imap_blank(in))
		return false;
	for (i = 0; i < n; i++) {
		reverse = str_iis(word[i], "REVERSE");
		i += reverse;
		if (i == n) {
			in->wrong = "REVERSE of what?";
			return false;
		}
		if (!take_criterion(s, in, word[i], reverse))
			return false;
	}
	if (n == 0)
		in->wrong = "no sort key";
	return n > 0;
}

/* ------------------------------------------------------------------- bytes */

static void
add_number(struct buf *out, uint64_t n)
{
	int shift;

	for (shift = 56; shift >= 0; shift -= 8)
		buf_addc(out, (char)(n >> shift & 0xff));
}

/* Times before 1970 come before it. */
static void
add_time(struct buf *out, int64_t ms)
{
	add_number(out, (uint64_t)ms ^ (UINT64_C(1) << 63));
}

static void
add_text(struct buf *out, struct str folded)
{
	size_t i;

	for (i = 0; i < folded.len; i++)
		if (folded.at[i])
			buf_addc(out, folded.at[i]);
	buf_addc(out, '\0');
}

int64_t
search_sent_date(struct str envelope, const struct mr_row *row,
	struct buf *room)
{
	int64_t ms;
	int zone;

	buf_reset(room);
	if (imap_envelope_text(envelope, ENVELOPE_DATE, room) &&
	    clock_parse_mail_date(buf_str(room), &ms, &zone))
		return ms;
	return row->received_ms;
}

/* The local part; with `display` the name, or the address where there is
 * none (RFC 5957 3). */
static void
add_mailbox(struct sort *s, struct str envelope, enum envelope_field field,
	bool display)
{
	struct buf folded;

	buf_reset(&s->text);
	buf_reset(&s->name);
	buf_reset(&s->domain);
	imap_envelope_first(envelope, field, &s->name, &s->text, &s->domain);
	if (display && s->name.len > 0) {
		buf_reset(&s->text);
		buf_addstr(&s->text, buf_str(&s->name));
	} else if (display && s->domain.len > 0) {
		buf_addc(&s->text, '@');
		buf_addstr(&s->text, buf_str(&s->domain));
	}
	buf_init(&folded, BUF_NO_CAP);
	imap_text_fold(&folded, buf_str(&s->text));
	add_text(&s->bytes, buf_str(&folded));
	buf_free(&folded);
}

static void
add_subject(struct sort *s, struct str envelope)
{
	struct buf base;

	buf_reset(&s->text);
	buf_init(&base, BUF_NO_CAP);
	imap_envelope_text(envelope, ENVELOPE_SUBJECT, &s->text);
	imap_base_subject(&base, buf_str(&s->text), NULL);
	add_text(&s->bytes, buf_str(&base));
	buf_free(&base);
}

static void
add_key(struct sort *s, enum sort_kind kind, struct str envelope,
	const struct mr_row *row)
{
	switch (kind) {
	case SORT_ARRIVAL:
		return add_time(&s->bytes, row->received_ms);
	case SORT_SIZE:
		return add_number(&s->bytes, row->length);
	case SORT_DATE:
		return add_time(&s->bytes, search_sent_date(envelope, row,
			&s->text));
	case SORT_SUBJECT:
		return add_subject(s, envelope);
	case SORT_CC:
		return add_mailbox(s, envelope, ENVELOPE_CC, false);
	case SORT_TO:
	case SORT_DISPLAYTO:
		return add_mailbox(s, envelope, ENVELOPE_TO,
			kind == SORT_DISPLAYTO);
	default:
		add_mailbox(s, envelope, ENVELOPE_FROM,
			kind == SORT_DISPLAYFROM);
	}
}

static void
turn_over(struct buf *b, size_t from)
{
	for (; from < b->len; from++)
		b->at[from] = (char)~b->at[from];
}

static void
note_found(void *arg, const struct imap_row *r, struct search_match *m)
{
	struct sort *s = arg;
	const struct mime_view *v = imap_body_view(&m->body);
	struct str envelope = v ? v->envelope : STR("");
	struct sorted one = {.number = s->uid ? r->row.uid : r->seq,
		.at = s->bytes.len};
	size_t i, from;

	for (i = 0; i < s->n_key; i++) {
		from = s->bytes.len;
		add_key(s, s->key[i].kind, envelope, &r->row);
		if (s->key[i].reverse)
			turn_over(&s->bytes, from);
		if (i == 0)
			one.subject = s->bytes.len - from;
	}
	add_number(&s->bytes, r->seq);
	one.len = s->bytes.len - one.at;
	buf_add(&s->row, &one, sizeof one);
}

/* ------------------------------------------------------------------ sorting */

static int
compare_rows(const void *a, const void *b, void *arg)
{
	const struct sorted *x = a, *y = b;
	const struct sort *s = arg;
	int order = memcmp(s->bytes.at + x->at, s->bytes.at + y->at,
		x->len < y->len ? x->len : y->len);

	return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

static struct sorted *
sort_rows(struct sort *s, size_t *n)
{
	struct sorted *row = (struct sorted *)(void *)s->row.at;

	*n = s->row.len / sizeof *row;
	if (*n)
		qsort_r(row, *n, sizeof *row, compare_rows, s);
	return row;
}

static void
begin(struct sort *s)
{
	struct buf *all[] = {&s->bytes, &s->row, &s->text, &s->name,
		&s->domain};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		buf_init(all[i], BUF_NO_CAP);
}

static void
end(struct sort *s)
{
	buf_free(&s->bytes);
	buf_free(&s->row);
	buf_free(&s->text);
	buf_free(&s->name);
	buf_free(&s->domain);
}

/* Walks, and gives the rows to a function that writes the answer. */
static struct imap_answer
run(struct imap *k, struct sort *s, const char *done,
	void (*write)(struct sort *s, struct buf *out))
{
	struct search_walk w = {.k = k, .tree = &s->tree, .want =
		MR_ROW_CACHE | MR_ROW_MESSAGE, .found = note_found, .arg = s};
	struct mr_error me = {{0}};
	struct buf out;
	int code;

	if (s->tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	begin(s);
	code = search_walk(&w, &me);
	if (code == MR_STORE_OK) {
		buf_init(&out, BUF_NO_CAP);
		write(s, &out);
		buf_adds(&out, "\r\n");
		stream_write_str(&k->session->stream, buf_str(&out));
		buf_free(&out);
	}
	end(s);
	return code == MR_STORE_OK ? search_done(&w, done) :
		imap_store_failed(k, code, &me);
}

static void
write_sorted(struct sort *s, struct buf *out)
{
	size_t n, i;
	const struct sorted *row = sort_rows(s, &n);

	buf_adds(out, "* SORT");
	for (i = 0; i < n; i++) {
		buf_addc(out, ' ');
		imap_number_out(out, row[i].number);
	}
}

struct imap_answer
imap_sort(struct imap *k, struct imap_in *in, bool uid)
{
	struct sort s = {.uid = uid};

	if (!read_criteria(&s, in) || !search_tree_read_sort(&s.tree, k, in))
		return search_bad(&s.tree, k, in);
	return run(k, &s, "SORT done", write_sorted);
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
is_same_subject(const struct sort *s, const struct sorted *a,
	const struct sorted *b)
{
	return a->subject == b->subject && !memcmp(s->bytes.at + a->at,
		s->bytes.at + b->at, a->subject);
}

/* RFC 5256: "(1 2)", and "(1 (2)(3))" where more than one follows. */
static void
write_thread(struct buf *out, const struct sorted *row, size_t n)
{
	size_t i;

	buf_addc(out, '(');
	imap_number_out(out, row[0].number);
	if (n > 1)
		buf_addc(out, ' ');
	for (i = 1; i < n; i++) {
		if (n > 2)
			buf_addc(out, '(');
		imap_number_out(out, row[i].number);
		if (n > 2)
			buf_addc(out, ')');
	}
	buf_addc(out, ')');
}

static void
write_threads(struct sort *s, struct buf *out)
{
	struct thread *thread;
	size_t n, i, n_thread = 0;
	const struct sorted *row = sort_rows(s, &n);

	thread = mem_alloc((n + 1) * sizeof *thread);
	for (i = 0; i < n; i++) {
		if (i == 0 || !is_same_subject(s, &row[i - 1], &row[i]))
			thread[n_thread++] = (struct thread){i, 0,
				s->bytes.at + row[i].at + row[i].subject,
				row[i].number};
		thread[n_thread - 1].n++;
	}
	qsort(thread, n_thread, sizeof *thread, compare_threads);
	buf_adds(out, n_thread ? "* THREAD " : "* THREAD");
	for (i = 0; i < n_thread; i++)
		write_thread(out, row + thread[i].first, thread[i].n);
	free(thread);
}

struct imap_answer
imap_thread(struct imap *k, struct imap_in *in, bool uid)
{
	struct sort s = {.uid = uid, .n_key = 2, .key = {{SORT_SUBJECT, false},
		{SORT_DATE, false}}};
	struct str word;
	bool by_subject;

	if (!imap_atom(in, &word) || !imap_blank(in))
		return imap_bad(k, in);
	by_subject = str_iis(word, "ORDEREDSUBJECT");
	if (!by_subject && !str_iis(word, "REFERENCES"))
		return IMAP_ANSWER(IMAP_BAD, NULL, "unknown way to thread");
	if (!search_tree_read_sort(&s.tree, k, in))
		return search_bad(&s.tree, k, in);
	if (!by_subject)
		return search_references(k, &s.tree, uid);
	return run(k, &s, "THREAD done", write_threads);
}
