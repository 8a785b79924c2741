/*
 * imap_plan.c - the items of FETCH as a client writes them, made into a plan
 * (RFC 3501 6.4.5, RFC 9051 6.4.5, RFC 7162, RFC 3516, RFC 8514, RFC 8474, RFC
 * 8970).
 * Nothing is read from the store here.
 */
#include "serve/imap_fetch.h"

#define ITEMS_MOST 1000
#define PATH_MOST 128		/* numbers in a section; mime.h allows less */
#define FIELDS_MOST 1000

/* Letters, digits and dots: item names end at '[' too, which is part of an
 * atom elsewhere. */
static struct str
take_word(struct imap_in *in)
{
	struct str word;
	size_t i = 0;

	while (i < in->rest.len && (is_alnum(in->rest.at[i]) ||
	    in->rest.at[i] == '.'))
		i++;
	word = str_sub(in->rest, 0, i);
	in->rest = str_sub(in->rest, i, in->rest.len);
	return word;
}

static bool
refuse(struct imap_in *in, const char *why)
{
	if (in->wrong == NULL)
		in->wrong = why;
	return false;
}

static struct fetch_item *
add_item(struct fetch_plan *p, struct arena *a)
{
	struct fetch_item *old = p->item;

	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 8;
		p->item = arena_alloc(a, p->room * sizeof *p->item);
		if (p->n > 0)
			memcpy(p->item, old, p->n * sizeof *old);
	}
	return &p->item[p->n++];
}

/* ------------------------------------------------------------- sections */

static const struct {
	const char *name;
	enum section_text text;
	bool has_fields;
	bool is_of_part;	/* stands behind a number only */
} texts[] = {
	{"HEADER", SECTION_HEADER, false, false},
	{"HEADER.FIELDS", SECTION_FIELDS, true, false},
	{"HEADER.FIELDS.NOT", SECTION_FIELDS_NOT, true, false},
	{"TEXT", SECTION_TEXT, false, false},
	{"MIME", SECTION_MIME, false, true},
};

/* "1.2." or "1.2"; *more: a text part has to follow. */
static bool
read_path(struct imap_in *in, struct fetch_section *s, bool *more)
{
	s->path = arena_alloc(in->arena, PATH_MOST * sizeof *s->path);
	*more = true;
	while (in->rest.len > 0 && is_digit(in->rest.at[0])) {
		if (s->n_path == PATH_MOST)
			return refuse(in, "section too deep");
		if (!imap_number(in, &s->path[s->n_path]))
			return false;
		if (s->path[s->n_path++] == 0)
			return refuse(in, "parts count from 1");
		*more = imap_is_char(in, '.');
		if (!*more)
			return true;
		imap_char(in, '.');
	}
	/* An empty section is the whole message. */
	*more = s->n_path > 0 || !imap_is_char(in, ']');
	return true;
}

static void
add_field(struct fetch_section *s, struct str field, struct arena *a)
{
	struct str *old = s->field;

	/* Room is doubled whenever a power of two is full. */
	if ((s->n_field & (s->n_field - 1)) == 0) {
		s->field = arena_alloc(a, (s->n_field + 1) * 2 * sizeof *old);
		if (s->n_field > 0)
			memcpy(s->field, old, s->n_field * sizeof *old);
	}
	s->field[s->n_field++] = field;
}

static bool
read_fields(struct imap_in *in, struct fetch_section *s)
{
	struct str field;

	if (!imap_blank(in) || !imap_char(in, '('))
		return false;
	for (;;) {
		if (s->n_field == FIELDS_MOST)
			return refuse(in, "too many header fields");
		if (!imap_astring(in, &field))
			return false;
		add_field(s, field, in->arena);
		if (imap_is_char(in, ')'))
			return imap_char(in, ')');
		if (!imap_blank(in))
			return false;
	}
}

static bool
read_text(struct imap_in *in, struct fetch_section *s)
{
	struct str word = take_word(in);
	size_t i;

	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!str_iis(word, texts[i].name))
			continue;
		if (texts[i].is_of_part && s->n_path == 0)
			return refuse(in, "MIME needs a part number");
		s->text = texts[i].text;
		return !texts[i].has_fields || read_fields(in, s);
	}
	return refuse(in, "unknown section");
}

/* "<0.1024>" */
static bool
read_partial(struct imap_in *in, struct fetch_section *s)
{
	s->most = UINT64_MAX;
	if (!imap_is_char(in, '<'))
		return true;
	if (!imap_char(in, '<') || !imap_number64(in, &s->from) ||
	    !imap_char(in, '.') || !imap_number64(in, &s->most) ||
	    !imap_char(in, '>'))
		return false;
	return s->most > 0 || refuse(in, "partial of no bytes");
}

/* Header field names are echoed as atoms where they are such. */
static void
add_name(struct buf *out, struct str name)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (!is_alnum(name.at[i]) && name.at[i] != '-' &&
		    name.at[i] != '_')
			break;
	if (i == name.len && i > 0)
		buf_addstr(out, name);
	else
		mime_imap_string(out, name);
}

static void
add_text_name(struct buf *out, const struct fetch_section *s)
{
	size_t i;

	for (i = 0; i < sizeof texts / sizeof *texts; i++)
		if (texts[i].text == s->text)
			buf_adds(out, texts[i].name);
	for (i = 0; i < s->n_field; i++) {
		buf_adds(out, i == 0 ? " (" : " ");
		add_name(out, s->field[i]);
	}
	if (s->n_field > 0)
		buf_addc(out, ')');
}

static void
make_label(struct fetch_section *s, const char *name, struct arena *a)
{
	struct buf b;
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "%s[", name);
	for (i = 0; i < s->n_path; i++)
		buf_addf(&b, i == 0 ? "%u" : ".%u", s->path[i]);
	if (s->text != SECTION_ALL && s->n_path > 0)
		buf_addc(&b, '.');
	if (s->text != SECTION_ALL)
		add_text_name(&b, s);
	buf_addc(&b, ']');
	if (s->most != UINT64_MAX)
		buf_addf(&b, "<%llu>", (unsigned long long)s->from);
	s->label = arena_str(a, buf_str(&b));
	buf_free(&b);
}

/* ----------------------------------------------------------------- items */

enum { PEEKS = 1, IS_BINARY = 2, IS_SIZE = 4 };

static const struct bracketed {
	const char *name, *label;
	enum fetch_kind kind;
	unsigned how;
} bracketed[] = {
	{"BODY", "BODY", FETCH_SECTION, 0},
	{"BODY.PEEK", "BODY", FETCH_SECTION, PEEKS},
	{"BINARY", "BINARY", FETCH_BINARY, IS_BINARY},
	{"BINARY.PEEK", "BINARY", FETCH_BINARY, IS_BINARY | PEEKS},
	{"BINARY.SIZE", "BINARY.SIZE", FETCH_BINARY_SIZE,
		IS_BINARY | IS_SIZE | PEEKS},
};

bool
fetch_section_read(struct imap_in *in, struct fetch_section *s)
{
	bool more;

	*s = (struct fetch_section){.text = SECTION_ALL, .most = UINT64_MAX};
	return read_path(in, s, &more) && (!more || read_text(in, s)) &&
		imap_char(in, ']');
}

static bool
read_section(struct fetch_plan *p, struct imap_in *in,
	const struct bracketed *b)
{
	struct fetch_section s;
	struct fetch_item *item;

	if (!imap_char(in, '[') || !fetch_section_read(in, &s))
		return false;
	if (s.text != SECTION_ALL && b->how & IS_BINARY)
		return refuse(in, "a binary section is a part number");
	if (!(b->how & IS_SIZE) && !read_partial(in, &s))
		return false;
	make_label(&s, b->label, in->arena);
	item = add_item(p, in->arena);
	item->kind = b->kind;
	item->section = s;
	p->needs_body = true;
	p->want |= MR_ROW_MESSAGE | MR_ROW_CACHE;
	p->sets_seen |= !(b->how & PEEKS);
	return true;
}

static const struct {
	const char *name;
	enum fetch_kind kind;
	uint32_t want;
} simple[] = {
	{"UID", FETCH_UID, 0},
	{"FLAGS", FETCH_FLAGS, MR_ROW_KEYWORDS},
	{"INTERNALDATE", FETCH_INTERNALDATE, MR_ROW_MESSAGE},
	{"RFC822.SIZE", FETCH_SIZE, MR_ROW_MESSAGE},
	{"MODSEQ", FETCH_MODSEQ, 0},
	{"SAVEDATE", FETCH_SAVEDATE, MR_ROW_SAVED},
	{"EMAILID", FETCH_EMAILID, MR_ROW_MESSAGE},
	/* The message is read if the cache is of an old form. */
	{"THREADID", FETCH_THREADID, MR_ROW_CACHE | MR_ROW_MESSAGE},
	{"PREVIEW", FETCH_PREVIEW, MR_ROW_CACHE | MR_ROW_MESSAGE},
	{"ENVELOPE", FETCH_ENVELOPE, MR_ROW_CACHE | MR_ROW_MESSAGE},
	{"BODY", FETCH_BODY, MR_ROW_CACHE | MR_ROW_MESSAGE},
	{"BODYSTRUCTURE", FETCH_STRUCTURE, MR_ROW_CACHE | MR_ROW_MESSAGE},
};

void
fetch_plan_add(struct fetch_plan *p, struct arena *a, enum fetch_kind kind)
{
	size_t i;

	if (p->has & 1u << kind)
		return;
	p->has |= 1u << kind;
	p->needs_whole |= kind == FETCH_THREADID ||
		(kind == FETCH_PREVIEW && !p->lazy);
	add_item(p, a)->kind = kind;
	for (i = 0; i < sizeof simple / sizeof *simple; i++)
		if (simple[i].kind == kind)
			p->want |= simple[i].want;
}

/* The names that RFC 822 left: a section under another label. */
static const struct {
	const char *name;
	enum section_text text;
	bool peeks;
} old_names[] = {
	{"RFC822", SECTION_ALL, false},
	{"RFC822.HEADER", SECTION_HEADER, true},
	{"RFC822.TEXT", SECTION_TEXT, false},
};

static bool
add_old_name(struct fetch_plan *p, struct imap_in *in, struct str word)
{
	struct fetch_item *item;
	size_t i;

	for (i = 0; i < sizeof old_names / sizeof *old_names; i++) {
		if (!str_iis(word, old_names[i].name))
			continue;
		item = add_item(p, in->arena);
		item->kind = FETCH_SECTION;
		item->section = (struct fetch_section){
			.label = str_from(old_names[i].name),
			.text = old_names[i].text, .most = UINT64_MAX};
		p->needs_body = true;
		p->want |= MR_ROW_MESSAGE | MR_ROW_CACHE;
		p->sets_seen |= !old_names[i].peeks;
		return true;
	}
	return refuse(in, "unknown item");
}

/* PREVIEW "(LAZY)", RFC 8970 section 4; "(CHANGEDSINCE 5)" may stand there
 * too and is of the command. */
static void
read_lazy(struct fetch_plan *p, struct imap_in *in)
{
	static const char lazy[] = " (LAZY)";

	p->lazy = str_istarts(in->rest, lazy);
	if (p->lazy)
		in->rest = str_sub(in->rest, sizeof lazy - 1, in->rest.len);
}

static bool
read_item(struct fetch_plan *p, struct imap_in *in, struct str word)
{
	size_t i;

	if (p->n >= ITEMS_MOST)
		return refuse(in, "too many items");
	if (imap_is_char(in, '[')) {
		for (i = 0; i < sizeof bracketed / sizeof *bracketed; i++)
			if (str_iis(word, bracketed[i].name))
				return read_section(p, in, &bracketed[i]);
		return refuse(in, "unknown item");
	}
	for (i = 0; i < sizeof simple / sizeof *simple; i++) {
		if (!str_iis(word, simple[i].name))
			continue;
		if (simple[i].kind == FETCH_PREVIEW)
			read_lazy(p, in);
		fetch_plan_add(p, in->arena, simple[i].kind);
		return true;
	}
	return add_old_name(p, in, word);
}

static bool
read_macro(struct fetch_plan *p, struct imap_in *in, struct str word)
{
	size_t level = str_iis(word, "FAST") ? 1 : str_iis(word, "ALL") ? 2 :
		str_iis(word, "FULL") ? 3 : 0;

	if (level == 0)
		return false;
	fetch_plan_add(p, in->arena, FETCH_FLAGS);
	fetch_plan_add(p, in->arena, FETCH_INTERNALDATE);
	fetch_plan_add(p, in->arena, FETCH_SIZE);
	if (level >= 2)
		fetch_plan_add(p, in->arena, FETCH_ENVELOPE);
	if (level >= 3)
		fetch_plan_add(p, in->arena, FETCH_BODY);
	return true;
}

bool
fetch_plan_read(struct fetch_plan *p, struct imap_in *in, bool with_uid)
{
	struct str word;

	if (with_uid)
		fetch_plan_add(p, in->arena, FETCH_UID);
	if (!imap_is_char(in, '(')) {
		word = take_word(in);
		return read_macro(p, in, word) || read_item(p, in, word);
	}
	imap_char(in, '(');
	while (read_item(p, in, take_word(in))) {
		if (imap_is_char(in, ')'))
			return imap_char(in, ')');
		if (!imap_blank(in))
			return false;
	}
	return false;
}
