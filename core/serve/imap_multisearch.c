/*
 * imap_multisearch.c - ESEARCH: one search in many mailboxes (RFC 7377).
 *
 * Each mailbox is made the session's own for as long as it is searched: the
 * keys are read anew for it, since numbers mean other messages there, and in
 * an arena that is emptied in between. What is found is told by UIDs, mailbox
 * by mailbox; one without a match is not told of. The selected mailbox is
 * searched as this session knows it.
 */
#include <inttypes.h>

#include "serve/imap_place.h"
#include "serve/imap_result.h"
#include "serve/imap_rows.h"
#include "serve/imap_search.h"

enum reach { REACH_ONE, REACH_BELOW, REACH_ALL_BELOW };

struct root {
	struct root *next;
	const char *name;
	enum reach reach;
};

struct place {
	struct place *next;
	int64_t id;
	const char *name;
};

struct multisearch {
	struct imap *k;
	struct str tag;
	bool selected, inboxes, personal, subscribed;	/* where to look */
	struct root *roots;
	struct place *first, **end;	/* mailboxes that were found there */
	struct search_return result;
	struct str keys;
	bool gone, failed;
};

/* ------------------------------------------------------------------ sources */

static bool
take_root(struct multisearch *s, struct imap_in *in, enum reach reach)
{
	struct root *root;
	struct str word;

	if (!imap_astring(in, &word))
		return false;
	root = arena_alloc(in->arena, sizeof *root);
	root->reach = reach;
	root->name = imap_name_in(s->k, word);
	/* What cannot be a name is of no mailbox. */
	if (root->name) {
		root->next = s->roots;
		s->roots = root;
	}
	return true;
}

/* " name" or " (name name)" */
static bool
take_roots(struct multisearch *s, struct imap_in *in, enum reach reach)
{
	if (!imap_blank(in))
		return false;
	if (!imap_is_char(in, '('))
		return take_root(s, in, reach);
	imap_char(in, '(');
	do {
		if (!take_root(s, in, reach))
			return false;
	} while (imap_is_char(in, ' ') && imap_blank(in));
	return imap_char(in, ')');
}

static const struct {
	const char *name;
	size_t flag;		/* a bool of struct multisearch; 0: names */
	enum reach reach;
} sources[] = {
	{"selected", offsetof(struct multisearch, selected), 0},
	{"inboxes", offsetof(struct multisearch, inboxes), 0},
	{"personal", offsetof(struct multisearch, personal), 0},
	{"subscribed", offsetof(struct multisearch, subscribed), 0},
	{"mailboxes", 0, REACH_ONE},
	{"subtree", 0, REACH_ALL_BELOW},
	{"subtree-one", 0, REACH_BELOW},
};

/* RFC 7377 2.2 takes the filters of RFC 5465 6 but for selected-delayed. */
static bool
take_source(struct multisearch *s, struct imap_in *in)
{
	struct str word;
	size_t i;

	if (!imap_atom(in, &word))
		return false;
	for (i = 0; i < sizeof sources / sizeof *sources; i++) {
		if (!str_iis(word, sources[i].name))
			continue;
		if (sources[i].flag == 0)
			return take_roots(s, in, sources[i].reach);
		*(bool *)((char *)s + sources[i].flag) = true;
		return true;
	}
	in->wrong = "Mailboxes cannot be named that way";
	return false;
}

/* "IN (personal subtree (a b)) ", or nothing for the selected mailbox. */
static bool
take_sources(struct multisearch *s, struct imap_in *in)
{
	struct str word;

	s->selected = !str_istarts(in->rest, "IN ");
	if (s->selected)
		return true;
	if (!imap_atom(in, &word) || !imap_blank(in) || !imap_char(in, '('))
		return false;
	do {
		if (!take_source(s, in))
			return false;
	} while (imap_is_char(in, ' ') && imap_blank(in));
	return imap_char(in, ')') && imap_blank(in);
}

static bool
looks_elsewhere(const struct multisearch *s)
{
	return s->inboxes || s->personal || s->subscribed || s->roots;
}

/* ------------------------------------------------------------------- places */

static bool
is_within(const struct root *root, const char *name)
{
	struct str whole = str_from(name), top = str_from(root->name), rest;

	if (!str_starts(whole, root->name))
		return false;
	if (whole.len == top.len)
		return true;
	rest = str_sub(whole, top.len, whole.len);
	if (root->reach == REACH_ONE || rest.at[0] != '/')
		return false;
	return root->reach == REACH_ALL_BELOW ||
		!str_has_byte(str_sub(rest, 1, rest.len), '/');
}

/* By its name, or as the one that is selected. */
static bool
is_named(const struct multisearch *s, int64_t id, const char *name)
{
	const struct root *root = s->roots;

	while (root && !is_within(root, name))
		root = root->next;
	return root || (s->selected && s->k->box && s->k->box->id == id);
}

static void
add_place(struct multisearch *s, int64_t id, const char *name)
{
	struct arena *a = &s->k->session->command;
	struct place *p = arena_alloc(a, sizeof *p);

	p->id = id;
	p->name = arena_cstr(a, str_from(name));
	*s->end = p;
	s->end = &p->next;
}

static int
note_own(void *arg, const struct mr_mailbox *m)
{
	struct multisearch *s = arg;

	if (s->personal || (s->subscribed && m->subscribed) ||
	    (s->inboxes && str_is(str_from(m->name), "INBOX")) ||
	    is_named(s, m->id, m->name))
		add_place(s, m->id, m->name);
	return 0;
}

/* Another's, which is nothing personal. One that may not be looked up is not
 * to be found this way either (RFC 4314 section 4), as with NOTIFY; the
 * selected one is known. */
static int
note_shared(void *arg, const char *owner, const struct mr_mailbox *m,
	uint32_t rights)
{
	struct multisearch *s = arg;
	const char *name = imap_place_shown(s->k, owner, m->name);
	bool is_known = rights & MR_RIGHT_LOOKUP || (s->k->box &&
		s->k->box->id == m->id);

	if (rights & MR_RIGHT_READ && is_known && is_named(s, m->id, name))
		add_place(s, m->id, name);
	return 0;
}

static int
find_places(struct multisearch *s, struct mr_error *me)
{
	const struct store *store = &s->k->house->store;
	int code;

	s->end = &s->first;
	code = store->op->mailbox_list(store->self, s->k->account, note_own, s,
		me);
	if (code == MR_STORE_OK && imap_has_acl(s->k))
		code = store->op->acl_shared(store->self, s->k->account,
			note_shared, s, me);
	return code;
}

/* ---------------------------------------------------------------- searching */

static void
note_found(void *arg, const struct imap_row *r, struct search_match *m)
{
	(void)m;
	search_found_add(arg, r->seq, r->row.uid, r->row.modseq);
}

static void
answer(struct multisearch *s, const struct place *p, struct search_found *f)
{
	struct buf out, of;

	if (f->shown.n == 0)
		return;
	buf_init(&out, BUF_NO_CAP);
	buf_init(&of, BUF_NO_CAP);
	buf_adds(&of, " MAILBOX ");
	imap_name_out(s->k, &of, p->name);
	buf_addf(&of, " UIDVALIDITY %" PRIu32, s->k->box->uidvalidity);
	f->of = buf_str(&of);
	search_return_write(&s->result, f, s->tag, &out);
	stream_write_str(&s->k->session->stream, buf_str(&out));
	buf_free(&of);
	buf_free(&out);
}

/* Of the mailbox that is at hand. The keys were read once before, so they are
 * right. */
static int
search_here(struct multisearch *s, const struct place *p, struct arena *a,
	struct mr_error *me)
{
	struct search_tree tree = {0};
	struct search_found found = {.uid = true,
		.keeps_uids = s->result.asked & RETURN_SAVE};
	struct search_walk w = {.k = s->k, .tree = &tree,
		.found = note_found, .arg = &found};
	struct imap_in keys = {s->keys, a, NULL};
	int code;

	search_tree_read(&tree, s->k, &keys);
	search_found_init(&found);
	found.keeps_modseqs = tree.has_modseq;
	code = search_walk(&w, me);
	if (code == MR_STORE_OK)
		answer(s, p, &found);
	search_return_save(&s->result, &found, s->k->box,
		code != MR_STORE_OK);
	search_found_free(&found);
	s->gone |= w.gone;
	s->failed |= w.failed;
	return code;
}

static int
open_place(const struct house *h, int64_t id, struct imap_box **out,
	struct mr_error *me)
{
	struct mr_mailbox m;
	int code = h->store.op->mailbox_get(h->store.self, id, &m, me);

	if (code != MR_STORE_OK)
		return code;
	*out = imap_box_new(&m, true);
	return imap_box_load(h, *out, me);
}

/* One that was deleted meanwhile is passed over. */
static int
search_place(struct multisearch *s, const struct place *p, struct arena *a,
	struct mr_error *me)
{
	struct imap_box *selected = s->k->box, *other = NULL;
	int code;

	if (selected && selected->id == p->id)
		return search_here(s, p, a, me);
	code = open_place(s->k->house, p->id, &other, me);
	if (code == MR_STORE_OK) {
		s->k->box = other;
		code = search_here(s, p, a, me);
		s->k->box = selected;
	}
	imap_box_free(other);
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

static int
search_places(struct multisearch *s, struct mr_error *me)
{
	const struct place *p;
	struct arena a;
	int code = MR_STORE_OK;

	arena_init(&a);
	for (p = s->first; p && code == MR_STORE_OK &&
	    !stream_failed(&s->k->session->stream); p = p->next) {
		arena_reset(&a);
		code = search_place(s, p, &a, me);
	}
	arena_free(&a);
	return code;
}

/* ---------------------------------------------------------------- the verb */

/* Reads the keys for nothing but their syntax, as if of an empty mailbox. */
static bool
check_keys(struct imap *k, struct imap_in *in, struct search_tree *tree)
{
	struct imap_box none = {0}, *selected = k->box;
	bool good;

	k->box = &none;
	good = search_tree_read(tree, k, in);
	k->box = selected;
	return good;
}

/* RFC 7377 2.2: only what is found in the selected mailbox can be kept. That a
 * search goes on may be refused (RFC 5267 4.3.1), and is. */
static const char *
against(const struct multisearch *s)
{
	if (s->selected && !s->k->box)
		return "Select a mailbox first";
	if (s->result.asked & RETURN_SAVE && looks_elsewhere(s))
		return "SAVE is for the selected mailbox alone";
	return NULL;
}

static void
refuse_updates(const struct multisearch *s)
{
	struct buf out;

	if (!(s->result.asked & RETURN_UPDATE))
		return;
	buf_init(&out, BUF_NO_CAP);
	buf_adds(&out, "* NO [NOUPDATE ");
	mime_imap_string(&out, s->tag);
	buf_adds(&out, "] ESEARCH does not go on\r\n");
	stream_write_str(&s->k->session->stream, buf_str(&out));
	buf_free(&out);
}

static struct imap_answer
run(struct multisearch *s)
{
	struct mr_error me = {{0}};
	int code = find_places(s, &me);

	if (code == MR_STORE_OK)
		code = search_places(s, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(s->k, code, &me);
	return search_done(&(struct search_walk){.failed = s->failed,
		.gone = s->gone}, "ESEARCH done");
}

struct imap_answer
imap_esearch(struct imap *k, struct imap_in *in, bool uid)
{
	struct multisearch s = {.k = k, .tag = imap_command_of(in)->tag};
	struct search_tree tree = {0};
	const char *no;

	(void)uid;
	if (!take_sources(&s, in) || !search_return_read(&s.result, in))
		return imap_bad(k, in);
	s.keys = in->rest;
	if (!check_keys(k, in, &tree))
		return search_bad(&tree, k, in);
	no = against(&s);
	if (no)
		return IMAP_ANSWER(IMAP_BAD, NULL, no);
	if (!s.result.extended)
		s.result.asked = RETURN_ALL;
	if (tree.has_modseq)
		k->enabled |= IMAP_CONDSTORE;
	k->progress.is_open = true;
	refuse_updates(&s);
	return run(&s);
}
