/*
 * imap_select.c - SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 section 6.3.2,
 * 6.4.1; RFC 3691).
 */
#include <inttypes.h>

#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_out.h"
#include "serve/imap_place.h"
#include "serve/row_cache.h"

#define FLAGS "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
#define KEYWORDS "$Forwarded $MDNSent $Junk $NotJunk"

/* Who has none of these can only read (RFC 4314 section 5.2). */
#define CHANGING (MR_RIGHT_SEEN | MR_RIGHT_WRITE | MR_RIGHT_INSERT | \
	MR_RIGHT_TRASH | MR_RIGHT_EXPUNGE)

static struct imap_box *
make_box(struct imap *k, const struct imap_place *p,
	const struct mr_mailbox *m, bool read_only)
{
	struct imap_box *b = imap_box_new(m, read_only);

	b->rights = p->rights;
	if (!imap_place_is_own(k, p))
		b->owner = mem_cstr(p->account);
	else
		b->special = m->special;
	return b;
}

/* Finds the mailbox and makes its map; the code of the store. Read-write, it
 * takes \Recent for itself, of the account's own. */
static int
open_box(struct imap *k, const struct imap_place *p, bool read_only,
	struct imap_box **out, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_mailbox m = p->m;
	int code = MR_STORE_OK;

	read_only |= !(p->rights & CHANGING);
	if (!read_only && m.recent_uid < m.uidnext && imap_place_is_own(k, p))
		code = s->op->mailbox_take_recent(s->self, m.id, &m, me);
	if (code != MR_STORE_OK)
		return code;
	*out = make_box(k, p, &m, read_only);
	code = imap_box_load(k->house, *out, me);
	if (code == MR_STORE_OK)
		return code;
	imap_box_free(*out);
	*out = NULL;
	return code;
}

static int
stop_at_unseen(void *arg, const struct mr_row *row)
{
	uint32_t *uid = arg;

	if (row->flags & MR_FLAG_SEEN)
		return 0;
	*uid = row->uid;
	return 1;
}

/* The number of the first unseen message, 0: none (or not known). */
static uint32_t
first_unseen(struct imap *k)
{
	const struct house *h = k->house;
	const struct imap_box *b = k->box;
	struct mr_error me = {{0}};
	uint32_t uid = 0;
	struct row_query q = {.mailbox = b->id, .each = stop_at_unseen,
		.arg = &uid};

	if (!b->unseen || row_cache_scan(h->rows, &h->store, &q, &me) !=
		MR_STORE_STOPPED)
		return 0;
	return imap_box_seq(b, uid);
}

static void
say_permanent(struct stream *to, const struct imap_box *b)
{
	static const struct {
		uint32_t right;
		const char *flags;
	} kept[] = {
		{MR_RIGHT_SEEN, "\\Seen "}, {MR_RIGHT_TRASH, "\\Deleted "},
		{MR_RIGHT_WRITE, "\\Answered \\Flagged \\Draft " KEYWORDS
			" \\* "},
	};
	struct buf flags;
	size_t i;

	buf_init(&flags, BUF_NO_CAP);
	for (i = 0; i < sizeof kept / sizeof *kept && !b->read_only; i++)
		if (b->rights & kept[i].right)
			buf_adds(&flags, kept[i].flags);
	stream_printf(to, "* OK [PERMANENTFLAGS (%.*s)] What can be kept\r\n",
		STR_ARGS(str_trim_blank(buf_str(&flags))));
	buf_free(&flags);
}

static void
describe(struct imap *k)
{
	struct stream *to = &k->session->stream;
	const struct imap_box *b = k->box;
	uint32_t unseen = first_unseen(k);

	stream_puts(to, "* FLAGS (" FLAGS " " KEYWORDS ")\r\n");
	say_permanent(to, b);
	imap_exists_out(k);
	if (unseen && !(k->enabled & (IMAP_UIDONLY | IMAP_REV2)))
		stream_printf(to, "* OK [UNSEEN %" PRIu32 "] First unseen\r\n",
			unseen);
	stream_printf(to, "* OK [UIDVALIDITY %" PRIu32 "] UIDs are valid\r\n"
		"* OK [UIDNEXT %" PRIu32 "] Next UID\r\n"
		"* OK [HIGHESTMODSEQ %" PRIu64 "] Highest\r\n",
		b->uidvalidity, b->uidnext, b->modseq);
	/* RFC 8474 4.2 */
	stream_printf(to, "* OK [MAILBOXID %s] Its name may change\r\n",
		imap_mailbox_object(k, b->id));
}

/* ------------------------------------------------------------- arguments */

struct select {
	struct str name;
	bool read_only, condstore;
	bool resync;		/* the rest holds */
	uint32_t uidvalidity;
	uint64_t since;
	bool uid_only;
	struct imap_list known;	/* n 0: none was given */
};

/* A set that is written out: no search of the mailbox can stand behind "$"
 * before it is selected (RFC 7162 section 7, known-uids). */
static bool
take_known(struct imap_in *in, struct mr_range **set, size_t *n)
{
	bool saved;

	if (!imap_set(in, set, n, &saved))
		return false;
	if (saved)
		in->wrong = "No result of a search can stand here";
	return !saved;
}

/* "(1:5 3,6:9)": numbers and their UIDs, which we need not look at. */
static bool
take_match(struct imap_in *in)
{
	struct mr_range *set;
	size_t n;

	return imap_char(in, '(') && take_known(in, &set, &n) &&
		imap_blank(in) && take_known(in, &set, &n) &&
		imap_char(in, ')');
}

/* "(67890007 20050715194045000 41:211,214:541)", RFC 7162 3.2.5 */
static bool
take_resync(struct imap_in *in, struct select *sel)
{
	sel->resync = true;
	if (!imap_blank(in) || !imap_char(in, '(') ||
		!imap_number(in, &sel->uidvalidity) || !imap_blank(in) ||
		!imap_number64(in, &sel->since))
		return false;
	if (imap_is_char(in, ' ') && (!imap_blank(in) ||
		(!imap_is_char(in, '(') && !take_known(in, &sel->known.at,
		&sel->known.n))))
		return false;
	sel->known.n = imap_ranges_join(sel->known.at, sel->known.n);
	if (imap_is_char(in, ' ') && !imap_blank(in))
		return false;
	if (imap_is_char(in, '(') && sel->uid_only) {
		in->wrong = imap_uid_required;	/* RFC 9586 3.5 */
		return false;
	}
	if (imap_is_char(in, '(') && !take_match(in))
		return false;
	return imap_char(in, ')');
}

static bool
take_option(struct imap *k, struct imap_in *in, struct select *sel)
{
	struct str word;

	if (!imap_atom(in, &word))
		return false;
	if (str_iis(word, "CONDSTORE"))
		return sel->condstore = true;
	if (str_iis(word, "QRESYNC") && k->enabled & IMAP_QRESYNC)
		return take_resync(in, sel);
	in->wrong = "That option is not known, or not enabled";
	return false;
}

static bool
take_arguments(struct imap *k, struct imap_in *in, struct select *sel)
{
	int n;

	if (!imap_astring(in, &sel->name))
		return false;
	if (!in->rest.len)
		return true;
	if (!imap_blank(in) || !imap_char(in, '('))
		return false;
	for (n = 0; n == 0 || !imap_is_char(in, ')'); n++)
		if ((n && !imap_blank(in)) || !take_option(k, in, sel))
			return false;
	return imap_char(in, ')') && imap_end(in);
}

/* ---------------------------------------------------------------- the verbs */

/* A SELECT that fails leaves no mailbox selected. */
static void
leave_old(struct imap *k)
{
	if (k->box && k->enabled & (IMAP_QRESYNC | IMAP_REV2))
		stream_puts(&k->session->stream,
			"* OK [CLOSED] Previous mailbox is closed\r\n");
	imap_deselect(k);
}

static int
enter(struct imap *k, const struct select *sel, struct mr_error *me)
{
	struct imap_box *box = NULL;
	struct imap_place p;
	int code = imap_place_find(k, sel->name, MR_RIGHT_READ, &p, me);

	if (code == MR_STORE_OK)
		code = open_box(k, &p, sel->read_only, &box, me);
	if (code != MR_STORE_OK)
		return code;
	k->box = box;
	k->state = IMAP_SELECTED;
	describe(k);
	if (k->enabled & IMAP_REV2)	/* RFC 9051 6.3.2 */
		imap_list_line(k, p.shown, sel->name);
	if (!sel->resync || sel->uidvalidity != box->uidvalidity)
		return MR_STORE_OK;
	code = imap_box_resync(k, sel->since, sel->known.n ? &sel->known :
		NULL, me);
	if (code != MR_STORE_OK)
		imap_deselect(k);
	return code;
}

static struct imap_answer
select_as(struct imap *k, struct imap_in *in, bool read_only)
{
	struct select sel = {.read_only = read_only,
		.uid_only = k->enabled & IMAP_UIDONLY};
	struct mr_error me = {{0}};
	int code;

	if (!take_arguments(k, in, &sel))
		return imap_bad(k, in);
	if (sel.condstore)
		k->enabled |= IMAP_CONDSTORE;
	leave_old(k);
	code = enter(k, &sel, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	if (!read_only && k->box->read_only)
		return IMAP_ANSWER(IMAP_OK, "READ-ONLY", "Selected to read");
	return read_only ? IMAP_ANSWER(IMAP_OK, "READ-ONLY", "Examined") :
		IMAP_ANSWER(IMAP_OK, "READ-WRITE", "Selected");
}

struct imap_answer
imap_select(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	return select_as(k, in, false);
}

struct imap_answer
imap_examine(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	return select_as(k, in, true);
}

struct imap_answer
imap_close(struct imap *k, struct imap_in *in, bool uid)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_admin_step step = {.n = 0};
	int code = MR_STORE_OK;

	(void)in;
	(void)uid;
	if (!k->box->read_only && k->box->rights & MR_RIGHT_EXPUNGE)
		imap_admin_expunge(k, NULL, 0, &step);
	if (!k->box->read_only && k->box->rights & MR_RIGHT_EXPUNGE)
		code = s->op->expunge(s->self, k->box->id, NULL, 0, false,
			&me);
	if (code != MR_STORE_OK && code != MR_STORE_MISSING)
		return imap_store_failed(k, code, &me);
	imap_admin_finish(k, &step);
	imap_deselect(k);
	return IMAP_ANSWER(IMAP_OK, NULL, "Closed");
}

struct imap_answer
imap_unselect(struct imap *k, struct imap_in *in, bool uid)
{
	(void)in;
	(void)uid;
	imap_deselect(k);
	return IMAP_ANSWER(IMAP_OK, NULL, "Left");
}
