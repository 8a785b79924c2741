/*
 * imap_select.c - SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 section 6.3.2,
 * 6.4.1; RFC 3691).
 */
#include <inttypes.h>

#include "serve/imap.h"

#define FLAGS "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
#define KEYWORDS "$Forwarded $MDNSent $Junk $NotJunk"

/* Finds the mailbox and makes its map; the code of the store. Read-write,
 * it takes \Recent for itself. */
static int
open_box(struct imap *k, const char *name, bool read_only,
	struct imap_box **out, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_mailbox m;
	int code = s->op->mailbox_find(s->self, k->account, name, &m, me);

	if (code == MR_STORE_OK && !read_only && m.recent_uid < m.uidnext)
		code = s->op->mailbox_take_recent(s->self, m.id, &m, me);
	if (code != MR_STORE_OK)
		return code;
	*out = imap_box_new(&m, read_only);
	code = imap_box_load(s, *out, me);
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
	const struct store *s = &k->house->store;
	const struct imap_box *b = k->box;
	struct mr_error me = {{0}};
	uint32_t uid = 0;

	if (!b->exists || s->op->scan(s->self, b->id, NULL, 0, 0, 0,
		stop_at_unseen, &uid, &me) != MR_STORE_STOPPED)
		return 0;
	return imap_box_seq(b, uid);
}

static void
describe(struct imap *k)
{
	struct stream *to = &k->session->stream;
	const struct imap_box *b = k->box;
	uint32_t unseen = first_unseen(k);

	stream_puts(to, "* FLAGS (" FLAGS " " KEYWORDS ")\r\n");
	stream_printf(to, "* OK [PERMANENTFLAGS (%s)] What can be kept\r\n",
		b->read_only ? "" : FLAGS " " KEYWORDS " \\*");
	stream_printf(to, "* %" PRIu32 " EXISTS\r\n* %" PRIu32 " RECENT\r\n",
		b->exists, imap_box_recent(b));
	if (unseen)
		stream_printf(to, "* OK [UNSEEN %" PRIu32 "] First unseen\r\n",
			unseen);
	stream_printf(to, "* OK [UIDVALIDITY %" PRIu32 "] UIDs are valid\r\n"
		"* OK [UIDNEXT %" PRIu32 "] Next UID\r\n"
		"* OK [HIGHESTMODSEQ %" PRIu64 "] Highest\r\n",
		b->uidvalidity, b->uidnext, b->modseq);
}

/* "(CONDSTORE)", RFC 7162 section 3.1.8. */
static bool
take_options(struct imap *k, struct imap_in *in)
{
	struct str *word;
	size_t n, i;

	if (!in->rest.len)
		return true;
	if (!imap_blank(in) || !imap_words(in, false, &word, &n))
		return false;
	for (i = 0; i < n; i++) {
		if (!str_iis(word[i], "CONDSTORE")) {
			in->wrong = "That option is not known";
			return false;
		}
		k->enabled |= IMAP_CONDSTORE;
	}
	return imap_end(in);
}

static struct imap_answer
enter(struct imap *k, struct imap_in *in, bool read_only)
{
	struct mr_error me = {{0}};
	struct imap_box *box = NULL;
	const char *name;
	struct str word;
	int code;

	if (!imap_astring(in, &word) || !take_options(k, in))
		return imap_bad(k, in);
	/* A SELECT that fails leaves no mailbox selected. */
	imap_deselect(k);
	name = imap_name_in(k, word);
	code = name ? open_box(k, name, read_only, &box, &me) :
		MR_STORE_MISSING;
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	k->box = box;
	k->state = IMAP_SELECTED;
	describe(k);
	return read_only ? IMAP_ANSWER(IMAP_OK, "READ-ONLY", "Examined") :
		IMAP_ANSWER(IMAP_OK, "READ-WRITE", "Selected");
}

struct imap_answer
imap_select(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	return enter(k, in, false);
}

struct imap_answer
imap_examine(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	return enter(k, in, true);
}

struct imap_answer
imap_close(struct imap *k, struct imap_in *in, bool uid)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	int code = MR_STORE_OK;

	(void)in;
	(void)uid;
	if (!k->box->read_only)
		code = s->op->expunge(s->self, k->box->id, NULL, 0, false,
			&me);
	if (code != MR_STORE_OK && code != MR_STORE_MISSING)
		return imap_store_failed(k, code, &me);
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
