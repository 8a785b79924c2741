/*
 * imap_metadata.c - GETMETADATA and SETMETADATA (RFC 5464): annotations of
 * mailboxes, and of the server where the mailbox is "".
 *
 * What is private belongs to the account that set it, what is shared to the
 * mailbox. The server's shared entries are the administrator's and can only
 * be read here. What a mailbox of the account's own is for (RFC 6154 section
 * 4) is an entry too, which is kept with the mailbox and not with the others.
 */
#include "serve/imap_metadata.h"

#include <inttypes.h>
#include <limits.h>

#include "base/buf.h"
#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_place.h"

#define VALUE_MOST 65536	/* bytes */
#define VALUE_MOST_CODE "METADATA MAXSIZE 65536"
#define NAME_MOST 255
#define QUOTED_MOST 1000	/* longer values are literals */
#define SPECIAL "/private/specialuse"

bool
imap_has_metadata(const struct imap *k)
{
	const struct mr_store *op = k->house->store.op;

	return MR_HAS(op, metadata_set) && op->metadata_get &&
		op->metadata_set;
}

static struct imap_answer
not_kept(void)
{
	return IMAP_ANSWER(IMAP_NO, "CANNOT", "No annotations are kept here");
}

/* ------------------------------------------------------------- arguments */

/* RFC 5464 section 3.2: what an entry's name may be. */
static bool
is_entry_name(const char *name)
{
	struct str s = str_from(name);
	size_t i;

	if (!str_starts(s, "/private/") && !str_starts(s, "/shared/"))
		return false;
	for (i = 0; i < s.len; i++)
		if (s.at[i] < ' ' || s.at[i] > 126 || s.at[i] == '*' ||
			s.at[i] == '%' || (s.at[i] == '/' && (i + 1 == s.len ||
			s.at[i + 1] == '/')))
			return false;
	return s.len <= NAME_MOST;
}

/* Names have no case. */
static bool
take_name(struct imap_in *in, const char **out)
{
	struct str word;
	char *name;
	size_t i;

	if (!imap_astring(in, &word))
		return false;
	name = arena_cstr(in->arena, word);
	for (i = 0; i < word.len; i++)
		name[i] = to_lower(name[i]);
	*out = name;
	if (!is_entry_name(name))
		in->wrong = "That is not the name of an annotation";
	return !in->wrong;
}

bool
imap_metadata_entries(struct imap_in *in, struct imap_entries *out)
{
	*out = (struct imap_entries){.most = UINT64_MAX};
	if (!imap_is_char(in, '('))
		return take_name(in, &out->name[out->n++]);
	if (!imap_char(in, '('))
		return false;
	do {
		if (out->n == IMAP_ENTRIES_MOST) {
			in->wrong = "Too many annotations";
			return false;
		}
		if ((out->n && !imap_blank(in)) ||
			!take_name(in, &out->name[out->n++]))
			return false;
	} while (!imap_is_char(in, ')'));
	return imap_char(in, ')');
}

static bool
take_depth(struct imap_in *in, unsigned *out)
{
	static const struct {
		const char *word;
		unsigned depth;
	} known[] = {{"0", 0}, {"1", 1}, {"INFINITY", UINT_MAX}};
	struct str word;
	size_t i;

	if (!imap_atom(in, &word))
		return false;
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (str_iis(word, known[i].word)) {
			*out = known[i].depth;
			return true;
		}
	in->wrong = "The depth is 0, 1 or infinity";
	return false;
}

struct options {
	unsigned depth;
	uint64_t most;
};

static bool
take_option(struct imap_in *in, struct options *o)
{
	struct str word;

	if (!imap_atom(in, &word) || !imap_blank(in))
		return false;
	if (str_iis(word, "MAXSIZE"))
		return imap_number64(in, &o->most);
	if (str_iis(word, "DEPTH"))
		return take_depth(in, &o->depth);
	in->wrong = "That option is not known";
	return false;
}

/* "(MAXSIZE 1024 DEPTH 1) " */
static bool
take_options(struct imap_in *in, struct options *o)
{
	int n;

	if (!imap_char(in, '('))
		return false;
	for (n = 0; n == 0 || !imap_is_char(in, ')'); n++)
		if ((n && !imap_blank(in)) || !take_option(in, o))
			return false;
	return imap_char(in, ')') && imap_blank(in);
}

/* The grammar of RFC 5464 has the options in front of the mailbox, its
 * examples have them behind: both are in use. */
static bool
take_get(struct imap_in *in, struct str *mailbox, struct imap_entries *w)
{
	struct options o = {.most = UINT64_MAX};

	if (imap_is_char(in, '(') && !take_options(in, &o))
		return false;
	if (!imap_astring(in, mailbox) || !imap_blank(in))
		return false;
	if ((str_istarts(in->rest, "(MAXSIZE") ||
		str_istarts(in->rest, "(DEPTH")) && !take_options(in, &o))
		return false;
	if (!imap_metadata_entries(in, w) || !imap_end(in))
		return false;
	w->depth = o.depth;
	w->most = o.most;
	return true;
}

/* The mailbox's id in p->m; 0 for "", the server. */
static int
find(struct imap *k, struct str name, uint32_t needs, struct imap_place *p,
	struct mr_error *me)
{
	*p = (struct imap_place){.shown = ""};
	return name.len ? imap_place_find(k, name, needs, p, me) :
		MR_STORE_OK;
}

/* ------------------------------------------------------------ GETMETADATA */

static bool
is_quotable(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.at[i] < ' ' || s.at[i] > 126)
			return false;
	return s.len <= QUOTED_MOST;
}

static void
add_value(struct buf *out, struct str value)
{
	size_t i;

	if (is_quotable(value)) {
		buf_addc(out, '"');
		for (i = 0; i < value.len; i++)
			buf_addf(out, "%s%c", value.at[i] == '"' ||
				value.at[i] == '\\' ? "\\" : "",
				value.at[i]);
		buf_addc(out, '"');
		return;
	}
	/* literal8 where it must be, RFC 5464 section 4.4.1 */
	buf_addf(out, "%s{%zu}\r\n", str_has_byte(value, '\0') ? "~" : "",
		value.len);
	buf_addstr(out, value);
}

/* Among what a name may have are blanks, quotes and brackets. */
void
imap_metadata_name(struct buf *out, const char *name)
{
	struct str s = str_from(name);
	size_t i;

	for (i = 0; i < s.len && (is_alnum(s.at[i]) ||
		memchr("/-_.:$", s.at[i], 6)); i++)
		;
	if (i == s.len)
		buf_addstr(out, s);
	else
		add_value(out, s);
}

struct reading {
	struct imap_entries *wanted;
	struct buf out;
};

/* At most `depth` levels below a wanted name, or that name itself. */
static bool
is_wanted(struct imap_entries *w, struct str name)
{
	struct str below;
	bool wanted = false;
	unsigned levels;
	size_t i, j;

	for (i = 0; i < w->n; i++) {
		if (!str_starts(name, w->name[i]))
			continue;
		below = str_sub(name, str_from(w->name[i]).len, name.len);
		for (j = levels = 0; j < below.len; j++)
			levels += below.at[j] == '/';
		if (below.len && below.at[0] != '/')
			continue;
		w->found[i] |= !below.len;
		wanted |= levels <= w->depth;
	}
	return wanted;
}

static int
add_entry(void *arg, const char *name, struct mr_str v)
{
	struct str value = v.len ? str_of(v.at, v.len) : STR("");
	struct reading *r = arg;

	if (!is_wanted(r->wanted, str_from(name)))
		return 0;
	if (value.len > r->wanted->most) {
		if (value.len > r->wanted->left_out)
			r->wanted->left_out = value.len;
		return 0;
	}
	if (r->out.len)
		buf_addc(&r->out, ' ');
	imap_metadata_name(&r->out, name);
	buf_addc(&r->out, ' ');
	add_value(&r->out, value);
	return 0;
}

/* A name that was asked for itself and is not there is NIL. */
static void
add_missing(struct reading *r)
{
	const struct imap_entries *w = r->wanted;
	size_t i;

	for (i = 0; i < w->n && !w->depth; i++) {
		if (w->found[i])
			continue;
		if (r->out.len)
			buf_addc(&r->out, ' ');
		imap_metadata_name(&r->out, w->name[i]);
		buf_adds(&r->out, " NIL");
	}
}

static void
say(struct imap *k, const char *name, const struct buf *entries)
{
	struct stream *to = &k->session->stream;
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* METADATA ");
	imap_name_out(k, &b, name);
	buf_adds(&b, " (");
	stream_write_str(to, buf_str(&b));
	stream_write_str(to, buf_str(entries));
	stream_puts(to, ")\r\n");
	buf_free(&b);
}

int
imap_metadata_line(struct imap *k, const struct mr_mailbox *m,
	const char *name, struct imap_entries *w, struct mr_error *me)
{
	struct str special = str_from(imap_special_name(m->special));
	const struct store *s = &k->house->store;
	struct reading r = {.wanted = w};
	size_t i;
	int code;

	for (i = 0; i < w->n; i++)
		w->found[i] = false;
	buf_init(&r.out, BUF_NO_CAP);
	if (special.len)
		add_entry(&r, SPECIAL, (struct mr_str){special.at,
			special.len});
	code = s->op->metadata_get(s->self, k->account, m->id, add_entry, &r,
		me);
	if (code == MR_STORE_OK)
		add_missing(&r);
	if (code == MR_STORE_OK && r.out.len)
		say(k, name, &r.out);
	buf_free(&r.out);
	return code;
}

struct imap_answer
imap_getmetadata(struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_error me = {{0}};
	struct imap_entries w;
	struct imap_place p;
	struct str word;
	int code;

	(void)uid;
	if (!take_get(in, &word, &w))
		return imap_bad(k, in);
	if (!imap_has_metadata(k))
		return not_kept();
	code = find(k, word, MR_RIGHT_LOOKUP | MR_RIGHT_READ, &p, &me);
	if (code == MR_STORE_OK && p.account && !imap_place_is_own(k, &p))
		p.m.special = MR_SPECIAL_NONE;
	if (code == MR_STORE_OK)
		code = imap_metadata_line(k, &p.m, p.shown, &w, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	return IMAP_ANSWER(IMAP_OK, w.left_out ? arena_printf(
		&k->session->command, "METADATA LONGENTRIES %" PRIu64,
		w.left_out) : NULL, "Done");
}

/* ------------------------------------------------------------ SETMETADATA */

struct setting {
	struct str mailbox;
	struct mr_metadata entry[IMAP_ENTRIES_MOST];
	size_t n;
	bool too_many, too_long, shared;
	bool sets_special;
	uint32_t special;	/* UINT32_MAX: no use that we have */
};

/* "\Sent", or NIL for none (RFC 6154 section 4). */
static void
take_special(struct setting *s, struct str value)
{
	value = str_trim_blank(value);
	s->sets_special = true;
	s->special = value.len ? imap_special_find(value) : MR_SPECIAL_NONE;
}

static bool
take_entry(struct imap_in *in, struct setting *s)
{
	struct mr_metadata e;
	struct str value;

	if (!take_name(in, &e.name) || !imap_blank(in) ||
		!imap_nstring(in, &value))
		return false;
	if (str_is(str_from(e.name), SPECIAL)) {
		take_special(s, value);
		return true;
	}
	e.value = (struct mr_str){value.at, value.len};
	s->too_long |= value.len > VALUE_MOST;
	s->shared |= str_starts(str_from(e.name), "/shared/");
	s->too_many = s->n == IMAP_ENTRIES_MOST;
	if (!s->too_many)
		s->entry[s->n++] = e;
	return true;
}

static bool
take_set(struct imap_in *in, struct setting *s)
{
	if (!imap_astring(in, &s->mailbox) || !imap_blank(in) ||
		!imap_char(in, '('))
		return false;
	do {
		if (((s->n || s->sets_special) && !imap_blank(in)) ||
			!take_entry(in, s))
			return false;
	} while (!imap_is_char(in, ')'));
	return imap_char(in, ')') && imap_end(in);
}

static struct imap_answer
too_many(void)
{
	return IMAP_ANSWER(IMAP_NO, "METADATA TOOMANY",
		"Too many annotations");
}

/* All of it or nothing but for a store that fails in between. */
static int
keep(struct imap *k, const struct setting *s, const struct imap_place *p,
	struct mr_error *me)
{
	const struct store *store = &k->house->store;
	int code = MR_STORE_OK;

	if (s->sets_special && (!p->m.id || !imap_place_is_own(k, p) ||
		imap_admin_owns(k, p->m.special)))
		return IMAP_NO_RIGHT;
	if (s->n)
		code = store->op->metadata_set(store->self, k->account,
			p->m.id, s->entry, s->n, IMAP_ENTRIES_MOST, me);
	if (code == MR_STORE_OK && s->sets_special)
		code = MR_HAS(store->op, mailbox_use) &&
			store->op->mailbox_use ?
			store->op->mailbox_use(store->self, p->m.id,
			s->special, me) : MR_STORE_INVALID;
	return code;
}

static struct imap_answer
set(struct imap *k, const struct setting *s)
{
	struct mr_error me = {{0}};
	struct imap_place p;
	int code = find(k, s->mailbox, MR_RIGHT_LOOKUP | (s->shared ?
		MR_RIGHT_WRITE : MR_RIGHT_READ), &p, &me);

	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	if (!p.m.id && s->shared)
		return IMAP_ANSWER(IMAP_NO, "NOPERM", "The server's shared "
			"annotations are the administrator's");
	code = keep(k, s, &p, &me);
	if (code == MR_STORE_OVER_QUOTA)
		return too_many();
	return code == MR_STORE_OK ? IMAP_ANSWER(IMAP_OK, NULL, "Done") :
		imap_store_failed(k, code, &me);
}

struct imap_answer
imap_setmetadata(struct imap *k, struct imap_in *in, bool uid)
{
	struct setting s = {.n = 0};

	(void)uid;
	if (!take_set(in, &s))
		return imap_bad(k, in);
	if (!imap_has_metadata(k))
		return not_kept();
	if (s.too_long)
		return IMAP_ANSWER(IMAP_NO, VALUE_MOST_CODE,
			"A value is too long");
	if (s.special == UINT32_MAX)
		return IMAP_ANSWER(IMAP_NO, "USEATTR",
			"No mailbox can have that use");
	return s.too_many ? too_many() : set(k, &s);
}
