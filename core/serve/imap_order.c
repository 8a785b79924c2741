/*
 * imap_order.c - the order of SORT (RFC 5256, SORT=DISPLAY of RFC 5957).
 *
 * Each message that is found becomes one string of bytes whose order is the
 * order that is wanted: numbers with their highest byte first, texts folded
 * and ended by a NUL, all bits turned over where REVERSE is said, and at the
 * end its UID, which decides between equals. Everything comes from rows and
 * cached envelopes; no message is opened.
 */
#include "serve/imap_order.h"

#include "base/clock.h"
#include "serve/imap_subject.h"
#include "serve/imap_text.h"

#define DEAD_MOST 65536		/* bytes */

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
take_criterion(struct order *s, struct imap_in *in, struct str word,
	bool reverse)
{
	size_t i;

	for (i = 0; i < sizeof criteria / sizeof *criteria; i++) {
		if (!str_iis(word, criteria[i].name))
			continue;
		if (s->n_key == ORDER_KEYS_MOST) {
			in->wrong = "too many sort keys";
			return false;
		}
		s->key[s->n_key].kind = criteria[i].kind;
		s->key[s->n_key++].reverse = reverse;
		return true;
	}
	in->wrong = "unknown sort key";
	return false;
}

bool
order_read(struct order *s, struct imap_in *in)
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

/* The local part; with `display` the name, or the address where there is
 * none (RFC 5957 3). */
static void
add_mailbox(struct order *s, struct str envelope, enum envelope_field field,
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
add_subject(struct order *s, struct str envelope)
{
	struct buf base;

	buf_reset(&s->text);
	buf_init(&base, BUF_NO_CAP);
	imap_envelope_text(envelope, ENVELOPE_SUBJECT, &s->text);
	imap_base_subject(&base, buf_str(&s->text), NULL);
	add_text(&s->bytes, buf_str(&base));
	buf_free(&base);
}

static bool
is_of_rows(enum sort_kind kind)
{
	return kind == SORT_ARRIVAL || kind == SORT_SIZE || kind == SORT_DATE;
}

uint32_t
order_wants(const struct order *o)
{
	uint32_t want = MR_ROW_MESSAGE | MR_ROW_SENT;
	size_t i;

	for (i = 0; i < o->n_key; i++)
		if (!is_of_rows(o->key[i].kind))
			want |= MR_ROW_CACHE;
	return want;
}

static struct str
envelope_of(struct search_match *m)
{
	const struct mime_view *v = imap_body_view(&m->body);

	return v ? v->envelope : STR("");
}

static void
add_key(struct order *s, enum sort_kind kind, struct search_match *m)
{
	struct str envelope = is_of_rows(kind) ? STR("") : envelope_of(m);

	switch (kind) {
	case SORT_ARRIVAL:
		return add_time(&s->bytes, m->body.row->received_ms);
	case SORT_SIZE:
		return add_number(&s->bytes, m->body.row->length);
	case SORT_DATE:
		return add_time(&s->bytes, search_sent_date(m));
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

void
order_add(struct order *s, const struct imap_row *r, struct search_match *m)
{
	struct order_row one = {.seq = r->seq, .uid = r->row.uid,
		.modseq = r->row.modseq, .at = s->bytes.len};
	size_t i, from;

	for (i = 0; i < s->n_key; i++) {
		from = s->bytes.len;
		add_key(s, s->key[i].kind, m);
		if (s->key[i].reverse)
			turn_over(&s->bytes, from);
		if (i == 0)
			one.subject = s->bytes.len - from;
	}
	add_number(&s->bytes, r->row.uid);
	one.len = s->bytes.len - one.at;
	buf_add(&s->row, &one, sizeof one);
}

/* ------------------------------------------------------------------ sorting */

static int
compare_rows(const void *a, const void *b, void *arg)
{
	const struct order_row *x = a, *y = b;
	const struct order *s = arg;
	int order = memcmp(s->bytes.at + x->at, s->bytes.at + y->at,
		x->len < y->len ? x->len : y->len);

	return order ? order : x->len < y->len ? -1 : x->len > y->len;
}

struct order_row *
order_rows(const struct order *s, size_t *n)
{
	struct order_row *row = (struct order_row *)(void *)s->row.at;

	*n = s->row.len / sizeof *row;
	return row;
}

struct order_row *
order_sort(struct order *s, size_t *n)
{
	struct order_row *row = order_rows(s, n);

	if (*n)
		qsort_r(row, *n, sizeof *row, compare_rows, s);
	return row;
}

/* ---------------------------------------------------------------- changing */

size_t
order_settle(struct order *s, size_t n)
{
	size_t n_row, low = 0, high = n, middle;
	struct order_row *row = order_rows(s, &n_row), moved = row[n];

	while (low < high) {
		middle = low + (high - low) / 2;
		if (compare_rows(&row[middle], &moved, s) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	memmove(&row[low + 1], &row[low], (n - low) * sizeof *row);
	row[low] = moved;
	return low;
}

/* Without the bytes of rows that are gone. */
static void
compact(struct order *s)
{
	size_t n, i, at;
	struct order_row *row = order_rows(s, &n);
	struct buf fresh;

	buf_init(&fresh, BUF_NO_CAP);
	for (i = 0; i < n; i++) {
		at = fresh.len;
		buf_add(&fresh, s->bytes.at + row[i].at, row[i].len);
		row[i].at = at;
	}
	buf_free(&s->bytes);
	s->bytes = fresh;
	s->dead = 0;
}

void
order_remove(struct order *s, size_t at)
{
	size_t n;
	struct order_row *row = order_rows(s, &n);

	s->dead += row[at].len;
	memmove(&row[at], &row[at + 1], (n - at - 1) * sizeof *row);
	s->row.len -= sizeof *row;
	if (s->dead > DEAD_MOST && s->dead > s->bytes.len / 2)
		compact(s);
}

void
order_cut(struct order *s, size_t n)
{
	size_t n_row;
	const struct order_row *row = order_rows(s, &n_row);

	if (n >= n_row)
		return;
	s->bytes.len = row[n].at;
	s->row.len = n * sizeof *row;
}

/* -------------------------------------------------------------------- life */

static struct buf *
buf_at(struct order *s, size_t i)
{
	struct buf *all[] = {&s->bytes, &s->row, &s->text, &s->name,
		&s->domain};

	return i < sizeof all / sizeof *all ? all[i] : NULL;
}

void
order_init(struct order *s)
{
	size_t i;

	for (i = 0; buf_at(s, i); i++)
		buf_init(buf_at(s, i), BUF_NO_CAP);
}

void
order_free(struct order *s)
{
	size_t i;

	for (i = 0; buf_at(s, i); i++)
		buf_free(buf_at(s, i));
}
