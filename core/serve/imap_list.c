/*
 * imap_list.c - LIST and LSUB (RFC 9051 section 6.3.9, RFC 5258, RFC 5819,
 * RFC 6154, RFC 8440, RFC 9590; RFC 3501 section 6.3.9).
 *
 * The store's mailboxes and subscriptions are gathered into entries first,
 * with names in between that only exist as parents; then each entry is held
 * against the patterns and the options.
 */
#include "base/map.h"
#include "serve/imap.h"
#include "serve/imap_metadata.h"
#include "serve/imap_place.h"

#define PATTERNS_MOST 16

enum list_option {
	LIST_SUBSCRIBED = 1, LIST_SPECIAL = 2, LIST_REMOTE = 4,
	LIST_RECURSIVE = 8, LIST_CHILDREN = 16, LIST_STATUS = 32,
	LIST_METADATA = 64, LIST_MYRIGHTS = 128,
};

struct request {
	unsigned select, give;	/* enum list_option */
	unsigned status;	/* items of STATUS */
	struct imap_entries *metadata;	/* what METADATA asks for */
	bool extended;
	const char *pattern[PATTERNS_MOST];
	size_t n;
};

struct entry {
	struct entry *next;
	const char *name;
	struct mr_mailbox m;	/* id 0: there is no such mailbox */
	uint32_t rights;	/* MR_RIGHT_* */
	bool subscribed;
	bool has_children;	/* mailboxes below it */
	bool below;		/* subscribed names below it ... */
	bool below_hidden;	/* ... that the patterns do not show */
};

struct listing {
	struct imap *k;
	const struct request *request;
	struct map by_name;
	struct entry *first, **end;
	bool has_shared;	/* mailboxes of others */
};

/* ---------------------------------------------------------- special use */

static const char *const specials[] = {
	[MR_SPECIAL_NONE] = "", [MR_SPECIAL_DRAFTS] = "\\Drafts",
	[MR_SPECIAL_SENT] = "\\Sent", [MR_SPECIAL_JUNK] = "\\Junk",
	[MR_SPECIAL_TRASH] = "\\Trash", [MR_SPECIAL_ARCHIVE] = "\\Archive",
};
#define N_SPECIALS (sizeof specials / sizeof *specials)

const char *
imap_special_name(uint32_t special)
{
	return special < N_SPECIALS ? specials[special] : "";
}

uint32_t
imap_special_find(struct str word)
{
	uint32_t i;

	for (i = 1; i < N_SPECIALS; i++)
		if (str_iis(word, specials[i]))
			return i;
	return UINT32_MAX;
}

/* -------------------------------------------------------------- request */

static const struct {
	const char *name;
	unsigned bit;
} select_options[] = {
	{"SUBSCRIBED", LIST_SUBSCRIBED}, {"SPECIAL-USE", LIST_SPECIAL},
	{"REMOTE", LIST_REMOTE}, {"RECURSIVEMATCH", LIST_RECURSIVE},
}, give_options[] = {
	{"SUBSCRIBED", LIST_SUBSCRIBED}, {"SPECIAL-USE", LIST_SPECIAL},
	{"CHILDREN", LIST_CHILDREN}, {"STATUS", LIST_STATUS},
	{"METADATA", LIST_METADATA}, {"MYRIGHTS", LIST_MYRIGHTS},
};
#define N_GIVE (sizeof give_options / sizeof *give_options)

static bool
take_select(struct imap_in *in, struct request *r)
{
	struct str *word;
	size_t n, i, j;

	if (!imap_words(in, false, &word, &n) || !imap_blank(in))
		return false;
	for (i = 0; i < n; i++) {
		for (j = 0; j < 4 && !str_iis(word[i],
			select_options[j].name); j++)
			;
		if (j == 4)
			in->wrong = "That option is not known";
		else
			r->select |= select_options[j].bit;
	}
	if (r->select & LIST_RECURSIVE && !(r->select & LIST_SUBSCRIBED))
		in->wrong = "RECURSIVEMATCH is not an option by itself";
	return !in->wrong;
}

static bool
take_give_option(struct imap_in *in, struct request *r)
{
	struct str word;
	size_t j;

	if (!imap_atom(in, &word))
		return false;
	for (j = 0; j < N_GIVE && !str_iis(word, give_options[j].name); j++)
		;
	if (j == N_GIVE) {
		in->wrong = "That option is not known";
		return false;
	}
	r->give |= give_options[j].bit;
	if (give_options[j].bit == LIST_STATUS)
		return imap_blank(in) && imap_status_items(in, &r->status);
	if (give_options[j].bit == LIST_METADATA) {
		r->metadata = arena_alloc(in->arena, sizeof *r->metadata);
		return imap_blank(in) &&
			imap_metadata_entries(in, r->metadata);
	}
	return true;
}

/* " RETURN (SUBSCRIBED STATUS (MESSAGES))" */
static bool
take_give(struct imap_in *in, struct request *r)
{
	struct str word;
	int n;

	if (!imap_blank(in) || !imap_atom(in, &word))
		return false;
	if (!str_iis(word, "RETURN")) {
		in->wrong = "RETURN was expected";
		return false;
	}
	if (!imap_blank(in) || !imap_char(in, '('))
		return false;
	for (n = 0; !imap_is_char(in, ')'); n++)
		if ((n && !imap_blank(in)) || !take_give_option(in, r))
			return false;
	return imap_char(in, ')');
}

/* Reference and pattern are put together; what is no name matches none. */
static bool
take_pattern(struct imap *k, struct imap_in *in, struct str reference,
	struct request *r)
{
	struct buf whole;
	struct str word;

	if (!imap_list_mailbox(in, &word))
		return false;
	if (r->n == PATTERNS_MOST) {
		in->wrong = "Too many patterns";
		return false;
	}
	/* The empty pattern asks for the delimiter, not for a name. */
	if (!word.len && r->extended)
		return true;
	buf_init(&whole, BUF_NO_CAP);
	if (word.len)
		buf_addstr(&whole, reference);
	buf_addstr(&whole, word);
	r->pattern[r->n] = imap_pattern_in(k, buf_str(&whole));
	if (r->pattern[r->n])
		r->n++;
	buf_free(&whole);
	return true;
}

static bool
take_patterns(struct imap *k, struct imap_in *in, struct str reference,
	struct request *r)
{
	int n;

	if (!imap_is_char(in, '('))
		return take_pattern(k, in, reference, r);
	r->extended = true;
	imap_char(in, '(');
	for (n = 0; n == 0 || !imap_is_char(in, ')'); n++)
		if ((n && !imap_blank(in)) ||
			!take_pattern(k, in, reference, r))
			return false;
	return imap_char(in, ')');
}

static bool
take_request(struct imap *k, struct imap_in *in, struct request *r)
{
	struct str reference;

	*r = (struct request){.extended = imap_is_char(in, '(')};
	if (r->extended && !take_select(in, r))
		return false;
	if (!imap_astring(in, &reference) || !imap_blank(in) ||
		!take_patterns(k, in, reference, r))
		return false;
	return !in->rest.len || (take_give(in, r) && imap_end(in));
}

static bool
matches(const struct request *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (imap_name_matches(r->pattern[i], name))
			return true;
	return false;
}

/* -------------------------------------------------------------- gathering */

static struct entry *
entry_get(struct listing *l, struct str name)
{
	struct arena *a = &l->k->session->command;
	struct entry *e = map_get(&l->by_name, name);

	if (e)
		return e;
	e = arena_alloc(a, sizeof *e);
	e->name = arena_cstr(a, name);
	map_put(&l->by_name, name, e);
	*l->end = e;
	l->end = &e->next;
	return e;
}

static struct entry *
add_entry(struct listing *l, struct str name, const struct mr_mailbox *m)
{
	struct entry *e;
	size_t i;

	for (i = 0; i < name.len; i++)
		if (name.at[i] == '/')
			entry_get(l, str_sub(name, 0, i))->has_children = true;
	e = entry_get(l, name);
	e->m = *m;
	e->m.name = e->name;
	return e;
}

static int
add_mailbox(void *arg, const struct mr_mailbox *m)
{
	struct entry *e = add_entry(arg, str_from(m->name), m);

	e->subscribed = m->subscribed;
	e->rights = MR_RIGHTS_ALL;
	return 0;
}

/* Another's, under the name that it has here. What it is for there, it is not
 * for us: nobody is to find a second place for sent mail. */
static int
add_shared(void *arg, const char *owner, const struct mr_mailbox *m,
	uint32_t rights)
{
	struct listing *l = arg;
	struct entry *e;

	if (!(rights & MR_RIGHT_LOOKUP))
		return 0;
	e = add_entry(l, str_from(imap_place_shown(l->k, owner, m->name)), m);
	e->m.special = MR_SPECIAL_NONE;
	e->rights = rights;
	l->has_shared = true;
	return 0;
}

static int
add_subscription(void *arg, const char *subscribed)
{
	struct str name = str_from(subscribed);
	struct listing *l = arg;
	bool hidden = !matches(l->request, subscribed);
	struct entry *e;
	size_t i;

	for (i = 0; i < name.len; i++) {
		if (name.at[i] != '/')
			continue;
		e = entry_get(l, str_sub(name, 0, i));
		e->below = true;
		e->below_hidden |= hidden;
	}
	entry_get(l, name)->subscribed = true;
	return 0;
}

static int
gather(struct listing *l, struct mr_error *me)
{
	const struct store *s = &l->k->house->store;
	int code;

	map_init(&l->by_name);
	l->end = &l->first;
	code = s->op->mailbox_list(s->self, l->k->account, add_mailbox, l, me);
	if (code == MR_STORE_OK && imap_has_acl(l->k))
		code = s->op->acl_shared(s->self, l->k->account, add_shared,
			l, me);
	/* The store marks the account's own mailboxes only. */
	if (code == MR_STORE_OK && (l->request->select & LIST_SUBSCRIBED ||
		(l->has_shared && l->request->give & LIST_SUBSCRIBED)))
		code = s->op->subscriptions(s->self, l->k->account,
			add_subscription, l, me);
	map_free(&l->by_name);
	return code;
}

/* ---------------------------------------------------------------- showing */

static bool
is_selected(const struct request *r, const struct entry *e)
{
	if (r->select & LIST_SPECIAL && !(e->m.id &&
		*imap_special_name(e->m.special)))
		return false;
	if (r->select & LIST_SUBSCRIBED)
		return e->subscribed ||
			(r->select & LIST_RECURSIVE && e->below_hidden);
	return e->m.id || e->has_children;
}

static void
show(struct listing *l, const struct entry *e)
{
	const struct request *r = l->request;
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "* LIST (%s%s", e->m.id ? "" : "\\Noselect \\NonExistent ",
		e->has_children ? "\\HasChildren" : "\\HasNoChildren");
	if (*imap_special_name(e->m.special))
		buf_addf(&b, " %s", imap_special_name(e->m.special));
	if ((r->give | r->select) & LIST_SUBSCRIBED && e->subscribed)
		buf_adds(&b, " \\Subscribed");
	buf_adds(&b, ") \"/\" ");
	imap_name_out(l->k, &b, e->name);
	if (r->select & LIST_RECURSIVE && e->below)
		buf_adds(&b, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	buf_adds(&b, "\r\n");
	stream_write_str(&l->k->session->stream, buf_str(&b));
	buf_free(&b);
}

/* What RETURN asks for of a mailbox beside its name. */
static int
show_more(struct listing *l, const struct entry *e, struct mr_error *me)
{
	const struct request *r = l->request;
	int code = MR_STORE_OK;

	if (r->give & LIST_MYRIGHTS)
		imap_myrights_line(l->k, e->name, e->rights);
	if (!(e->rights & MR_RIGHT_READ))
		return code;
	if (r->give & LIST_STATUS)
		code = imap_status_line(l->k, &e->m, e->name, r->status, me);
	if (r->give & LIST_METADATA && code == MR_STORE_OK &&
		imap_has_metadata(l->k))
		code = imap_metadata_line(l->k, &e->m, e->name, r->metadata,
			me);
	return code;
}

static int
show_entries(struct listing *l, struct mr_error *me)
{
	const struct request *r = l->request;
	const struct entry *e;
	int code = MR_STORE_OK;

	for (e = l->first; e && code == MR_STORE_OK; e = e->next) {
		if (!is_selected(r, e) || !matches(r, e->name))
			continue;
		show(l, e);
		if (e->m.id)
			code = show_more(l, e, me);
	}
	return code;
}

struct imap_answer
imap_list(struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_error me = {{0}};
	struct request r;
	struct listing l = {.k = k, .request = &r};
	int code;

	(void)uid;
	if (!take_request(k, in, &r))
		return imap_bad(k, in);
	if (!r.extended && r.n && !*r.pattern[0]) {
		stream_puts(&k->session->stream,
			"* LIST (\\Noselect) \"/\" \"\"\r\n");
		return IMAP_ANSWER(IMAP_OK, NULL, "Done");
	}
	code = gather(&l, &me);
	if (code == MR_STORE_OK)
		code = show_entries(&l, &me);
	return code == MR_STORE_OK ? IMAP_ANSWER(IMAP_OK, NULL, "Done") :
		imap_store_failed(k, code, &me);
}

void
imap_list_line(struct imap *k, const char *name, struct str asked)
{
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* LIST () \"/\" ");
	imap_name_out(k, &b, name);
	if (asked.len > 0 && !str_is(asked, name)) {
		buf_adds(&b, " (\"OLDNAME\" (");
		imap_name_out(k, &b, arena_cstr(&k->session->command, asked));
		buf_adds(&b, "))");
	}
	buf_adds(&b, "\r\n");
	stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
}

/* ------------------------------------------------------------------ LSUB */

static void
show_subscribed(struct listing *l, const struct entry *e)
{
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "* LSUB (%s) \"/\" ", e->subscribed && e->m.id ? "" :
		"\\Noselect");
	imap_name_out(l->k, &b, e->name);
	buf_adds(&b, "\r\n");
	stream_write_str(&l->k->session->stream, buf_str(&b));
	buf_free(&b);
}

struct imap_answer
imap_lsub(struct imap *k, struct imap_in *in, bool uid)
{
	struct request r = {.select = LIST_SUBSCRIBED};
	struct listing l = {.k = k, .request = &r};
	struct mr_error me = {{0}};
	const struct entry *e;
	struct str reference;
	int code;

	(void)uid;
	if (!imap_astring(in, &reference) || !imap_blank(in) ||
		!take_pattern(k, in, reference, &r) || !imap_end(in))
		return imap_bad(k, in);
	code = gather(&l, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	/* A parent stands for those below it that '%' keeps from view. */
	for (e = l.first; e; e = e->next)
		if ((e->subscribed || e->below_hidden) &&
			matches(&r, e->name))
			show_subscribed(&l, e);
	return IMAP_ANSWER(IMAP_OK, NULL, "Done");
}
