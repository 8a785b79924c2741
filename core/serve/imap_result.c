/*
 * imap_result.c - result options of SEARCH and SORT: reading them, and
 * answering with ESEARCH. Pure but for what it writes into buffers; any
 * thread.
 */
#include "serve/imap_result.h"

#include "mail/mime.h"
#include "serve/imap_box.h"

/* -------------------------------------------------------------- options */

static const struct {
	const char *name;
	unsigned bit;
} options[] = {
	{"MIN", RETURN_MIN}, {"MAX", RETURN_MAX}, {"ALL", RETURN_ALL},
	{"COUNT", RETURN_COUNT}, {"PARTIAL", RETURN_PARTIAL},
	{"SAVE", RETURN_SAVE}, {"UPDATE", RETURN_UPDATE},
	{"CONTEXT", RETURN_CONTEXT},	/* a hint, RFC 5267 4.2 */
};

static unsigned
find_option(struct str word)
{
	size_t i;

	for (i = 0; i < sizeof options / sizeof *options; i++)
		if (str_iis(word, options[i].name))
			return options[i].bit;
	return 0;
}

static bool
refuse(struct imap_in *in, const char *why)
{
	in->wrong = why;
	return false;
}

/* The words between the brackets. RFC 9394 3.1: one PARTIAL, or ALL, or none
 * of both. */
static bool
take_options(struct search_return *r, struct imap_in *in,
	const struct str *word, size_t n)
{
	unsigned bit;
	size_t i;

	for (i = 0; i < n; i++) {
		bit = find_option(word[i]);
		if (bit == 0)
			return refuse(in, "unknown result option");
		if (bit == RETURN_PARTIAL && (r->asked & bit || ++i == n ||
		    !imap_window_read(&r->window, word[i])))
			return refuse(in, "PARTIAL wants one range");
		r->asked |= bit;
	}
	if (r->asked & RETURN_PARTIAL && r->asked & RETURN_ALL)
		return refuse(in, "PARTIAL and ALL exclude each other");
	return true;
}

bool
search_return_read(struct search_return *r, struct imap_in *in)
{
	struct str word, *option;
	size_t n;

	if (!str_istarts(in->rest, "RETURN "))
		return true;
	if (!imap_atom(in, &word) || !imap_blank(in) ||
	    !imap_words(in, false, &option, &n) || !imap_blank(in) ||
	    !take_options(r, in, option, n))
		return false;
	r->extended = true;
	if (!(r->asked & (RETURN_DATA | RETURN_SAVE)))
		r->asked |= RETURN_ALL;
	return true;
}

/* ---------------------------------------------------------------- results */

void
search_found_init(struct search_found *f)
{
	buf_init(&f->modseqs, BUF_NO_CAP);
}

void
search_found_free(struct search_found *f)
{
	imap_list_free(&f->shown);
	imap_list_free(&f->uids);
	buf_free(&f->modseqs);
}

void
search_found_add(struct search_found *f, uint32_t seq, uint32_t uid,
	uint64_t modseq)
{
	imap_list_add(&f->shown, f->uid ? uid : seq);
	if (f->keeps_uids)
		imap_list_add(&f->uids, uid);
	if (f->keeps_modseqs)
		buf_add(&f->modseqs, &modseq, sizeof modseq);
}

/* Of these positions. */
static uint64_t
highest(const struct search_found *f, struct mr_range at)
{
	const uint64_t *modseq = (const uint64_t *)(void *)f->modseqs.at;
	uint64_t most = 0;
	uint32_t i;

	for (i = at.first; i <= at.last; i++)
		if (modseq[i - 1] > most)
			most = modseq[i - 1];
	return most;
}

uint64_t
search_found_modseq(const struct search_found *f)
{
	return highest(f, (struct mr_range){1, f->shown.count});
}

/* The positions that MIN, MAX and PARTIAL name, in that order; the others
 * name all. */
static size_t
named(const struct search_return *r, uint32_t count, struct mr_range at[3])
{
	size_t n = 0;

	if (count == 0)
		return 0;
	if (r->asked & (RETURN_ALL | RETURN_COUNT) ||
	    !(r->asked & RETURN_DATA)) {
		at[0] = (struct mr_range){1, count};
		return 1;
	}
	if (r->asked & RETURN_MIN)
		at[n++] = (struct mr_range){1, 1};
	if (r->asked & RETURN_MAX)
		at[n++] = (struct mr_range){count, count};
	if (r->asked & RETURN_PARTIAL)
		at[n++] = imap_window_place(&r->window, count);
	return n;
}

/* RFC 7162 3.1.10: of the messages that are named, where only those are. */
static uint64_t
named_modseq(const struct search_return *r, const struct search_found *f)
{
	struct mr_range at[3];
	size_t n = named(r, f->shown.count, at), i;
	uint64_t most = 0, one;

	for (i = 0; i < n; i++) {
		one = highest(f, at[i]);
		most = one > most ? one : most;
	}
	return most;
}

/* --------------------------------------------------------------- answering */

/* RFC 9394 3.1: "PARTIAL (1:500 2,7)", NIL where nothing is there. */
static void
add_window(const struct search_return *r, const struct imap_list *l,
	struct buf *out)
{
	struct mr_range at = imap_window_place(&r->window, l->count);
	struct buf part;

	buf_adds(out, " PARTIAL (");
	buf_addstr(out, r->window.text);
	buf_addc(out, ' ');
	buf_init(&part, BUF_NO_CAP);
	imap_list_cut(l, at, &part);
	if (part.len > 0)
		imap_ranges_out(out, (const struct mr_range *)part.at,
			part.len / sizeof at);
	else
		buf_adds(out, "NIL");
	buf_addc(out, ')');
	buf_free(&part);
}

void
search_return_write(const struct search_return *r,
	const struct search_found *f, struct str tag, struct buf *out)
{
	const struct imap_list *l = &f->shown;

	if (!(r->asked & RETURN_DATA))
		return;		/* RFC 5182 2.1: SAVE alone says nothing */
	buf_adds(out, "* ESEARCH (TAG ");
	mime_imap_string(out, tag);
	buf_addstr(out, f->of);
	buf_adds(out, f->uid ? ") UID" : ")");
	if (r->asked & RETURN_COUNT)
		buf_addf(out, " COUNT %u", l->count);
	if (r->asked & RETURN_MIN && l->n > 0)
		buf_addf(out, " MIN %u", l->at[0].first);
	if (r->asked & RETURN_MAX && l->n > 0)
		buf_addf(out, " MAX %u", l->at[l->n - 1].last);
	if (r->asked & RETURN_ALL && l->n > 0) {
		buf_adds(out, " ALL ");
		imap_ranges_out(out, l->at, l->n);
	}
	if (r->asked & RETURN_PARTIAL)
		add_window(r, l, out);
	if (f->keeps_modseqs && l->n > 0)
		buf_addf(out, " MODSEQ %llu",
			(unsigned long long)named_modseq(r, f));
	buf_adds(out, "\r\n");
}

/* RFC 5182 2.4, RFC 9394 3.2: MIN, MAX and PARTIAL without ALL or COUNT save
 * but those messages. */
static void
keep_named(const struct search_return *r, struct search_found *f,
	struct imap_list *out)
{
	struct mr_range at[3];
	size_t n = named(r, f->uids.count, at), i;
	struct buf kept;

	buf_init(&kept, BUF_NO_CAP);
	for (i = 0; i < n; i++)
		imap_list_cut(&f->uids, at[i], &kept);
	n = imap_ranges_join((struct mr_range *)(void *)kept.at,
		kept.len / sizeof *at);
	imap_list_copy(out, (const struct mr_range *)(void *)kept.at, n);
	buf_free(&kept);
}

void
search_return_save(const struct search_return *r, struct search_found *f,
	struct imap_box *b, bool failed)
{
	if (!(r->asked & RETURN_SAVE))
		return;
	imap_list_free(&b->saved);
	if (!failed)
		keep_named(r, f, &b->saved);
}
