/*
 * mime_imap.c - the parse in the words of IMAP: ENVELOPE, BODY and
 * BODYSTRUCTURE (RFC 9051 7.5.2).
 *
 * While the message is parsed each part gets its constant texts:
 *
 *	leaf, message	head  "TYPE" "SUBTYPE" (params) id description encoding
 *			tail   md5 disposition language location
 *	multipart	head  "SUBTYPE"
 *			tail   (params) disposition language location
 *
 * and a message its envelope. mime_text_structure then writes the tree around
 * them, walking by the links of the parts. Header text goes over as it is:
 * encoded words stay, bytes beyond ASCII make a literal. Pure; any thread.
 */
#include "mail/mime_parts.h"

#include "mail/addr.h"
#include "mail/header.h"

#define QUOTED_MAX 1000
/* Address lists grow when they are written out; a hostile one stops here. */
#define ADDRESSES_MAX 5000
#define TEXT_MAX (4u * 1024 * 1024)

static bool
is_quotable(struct str s)
{
	size_t i;

	if (s.len > QUOTED_MAX)
		return false;
	for (i = 0; i < s.len; i++)
		if (s.at[i] == '\0' || s.at[i] == '\r' || s.at[i] == '\n' ||
		    (unsigned char)s.at[i] >= 0x80)
			return false;
	return true;
}

/* A literal may hold anything but NUL (RFC 9051 section 9, CHAR8). */
static void
add_literal(struct buf *out, struct str s)
{
	size_t i;

	buf_addf(out, "{%zu}\r\n", s.len);
	for (i = 0; i < s.len; i++)
		buf_addc(out, s.at[i] == '\0' ? ' ' : s.at[i]);
}

void
mime_imap_string(struct buf *out, struct str s)
{
	size_t i;

	if (s.at == NULL) {
		buf_adds(out, "NIL");
		return;
	}
	if (!is_quotable(s)) {
		add_literal(out, s);
		return;
	}
	buf_addc(out, '"');
	for (i = 0; i < s.len; i++) {
		if (s.at[i] == '"' || s.at[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.at[i]);
	}
	buf_addc(out, '"');
}

static void
add_string(struct buf *out, struct str s)
{
	buf_addc(out, ' ');
	mime_imap_string(out, s);
}

static struct mime_span
span_from(const struct buf *text, size_t at)
{
	return (struct mime_span){(uint32_t)at, (uint32_t)(text->len - at)};
}

/* --------------------------------------------------------- envelope */

static void
add_address(struct buf *out, const struct addr_item *i)
{
	const struct str nil = {NULL, 0};

	buf_addc(out, '(');
	mime_imap_string(out, i->name.len > 0 ? i->name : nil);
	add_string(out, i->route.len > 0 ? i->route : nil);
	if (i->group_end) {
		buf_adds(out, " NIL NIL)");
		return;
	}
	add_string(out, i->local.len > 0 ? i->local : STR(""));
	add_string(out, i->group_start ? nil :
		i->domain.len > 0 ? i->domain : STR(""));
	buf_addc(out, ')');
}

/* Writes what is in the list and returns whether anything was. Groups are
 * closed as they were opened, whatever the sender wrote. */
static bool
add_addresses(struct buf *out, struct str list, struct arena *a)
{
	const struct addr_item end = {.group_end = true};
	struct addr_item item;
	size_t n = 0;
	bool in_group = false;

	while (n < ADDRESSES_MAX && out->len < TEXT_MAX &&
	    addr_list_next(&list, a, &item)) {
		if (in_group ? item.group_start : item.group_end)
			continue;
		if (item.group_start || item.group_end)
			in_group = item.group_start;
		if (n++ == 0)
			buf_addc(out, '(');
		add_address(out, &item);
	}
	if (in_group)
		add_address(out, &end);
	if (n > 0)
		buf_addc(out, ')');
	return n > 0;
}

enum { DATE, SUBJECT, FROM, SENDER, REPLY_TO, TO, CC, BCC, IN_REPLY_TO,
	MESSAGE_ID, N_FIELDS };

static const struct {
	const char *name;
	bool is_list;
	bool is_from_if_empty;		/* RFC 9051 7.5.2 */
} fields[N_FIELDS] = {
	[DATE] = {"date", false, false},
	[SUBJECT] = {"subject", false, false},
	[FROM] = {"from", true, false},
	[SENDER] = {"sender", true, true},
	[REPLY_TO] = {"reply-to", true, true},
	[TO] = {"to", true, false},
	[CC] = {"cc", true, false},
	[BCC] = {"bcc", true, false},
	[IN_REPLY_TO] = {"in-reply-to", false, false},
	[MESSAGE_ID] = {"message-id", false, false},
};

static void
find_fields(struct str section, struct arena *a, struct str *out)
{
	struct header_field f;
	size_t i;

	while (header_next(&section, &f))
		for (i = 0; i < N_FIELDS; i++)
			if (out[i].at == NULL && str_iis(f.name, fields[i].name))
				out[i] = header_unfold(a, f.value);
}

static void
add_field(struct buf *text, const struct str *field, size_t i,
	struct arena *a)
{
	if (i > 0)
		buf_addc(text, ' ');
	if (!fields[i].is_list) {
		mime_imap_string(text, field[i]);
		return;
	}
	if (add_addresses(text, field[i], a))
		return;
	if (!fields[i].is_from_if_empty ||
	    !add_addresses(text, field[FROM], a))
		buf_adds(text, "NIL");
}

void
mime_text_envelope(struct buf *text, struct mime_entity *e,
	struct str section, struct arena *a)
{
	struct str field[N_FIELDS] = {{NULL, 0}};
	size_t at = text->len, i;

	find_fields(section, a, field);
	buf_addc(text, '(');
	for (i = 0; i < N_FIELDS; i++)
		add_field(text, field, i, a);
	buf_addc(text, ')');
	e->envelope = span_from(text, at);
}

/* ------------------------------------------------- one part's texts */

/* The attribute-value pairs as they are (RFC 2231 is the client's). */
static void
add_params(struct buf *out, struct str params, bool no_charset,
	struct arena *a)
{
	struct str name, value;
	size_t n = 0;

	if (no_charset) {
		buf_adds(out, " (\"CHARSET\" \"US-ASCII\"");
		n++;
	}
	while (mime_param_next(&params, a, &name, &value)) {
		buf_adds(out, n++ == 0 ? " (" : " ");
		mime_imap_string(out, name);
		add_string(out, value);
	}
	buf_adds(out, n > 0 ? ")" : " NIL");
}

static void
add_disposition(struct buf *out, const struct mime_content *c,
	struct arena *a)
{
	if (c->disposition.len == 0) {
		buf_adds(out, " NIL");
		return;
	}
	buf_adds(out, " (");
	mime_imap_string(out, c->disposition);
	add_params(out, c->disposition_params, false, a);
	buf_addc(out, ')');
}

/* One language is a string, several are a list. */
static void
add_language(struct buf *out, struct str list)
{
	struct str rest = list, word, other;

	if (!mime_word_next(&rest, &word)) {
		buf_adds(out, " NIL");
		return;
	}
	if (!mime_word_next(&rest, &other)) {
		add_string(out, word);
		return;
	}
	buf_adds(out, " (");
	mime_imap_string(out, word);
	do {
		add_string(out, other);
	} while (mime_word_next(&rest, &other));
	buf_addc(out, ')');
}

void
mime_text_content(struct buf *text, struct mime_entity *e,
	const struct mime_content *c, struct arena *a)
{
	size_t at = text->len;

	e->is_text = str_iis(c->type, "text");
	if (!e->at.is_multipart) {
		mime_imap_string(text, c->type);
		buf_addc(text, ' ');
	}
	mime_imap_string(text, c->subtype);
	if (!e->at.is_multipart) {
		add_params(text, c->params, c->no_charset, a);
		add_string(text, c->id);
		add_string(text, c->description);
		add_string(text, c->encoding.at != NULL ? c->encoding :
			STR("7BIT"));
	}
	e->head = span_from(text, at);
	at = text->len;
	if (e->at.is_multipart)
		add_params(text, c->params, false, a);
	else
		add_string(text, c->md5);
	add_disposition(text, c, a);
	add_language(text, c->language);
	add_string(text, c->location);
	e->tail = span_from(text, at);
}

/* -------------------------------------------------------- structure */

struct writer {
	struct buf *out;
	const struct mime_entity *part;
	const struct buf *text;
	bool extended;
};

static void
add_span(const struct writer *w, struct mime_span s)
{
	if (s.len > 0)
		buf_add(w->out, w->text->at + s.at, s.len);
}

static void
finish(const struct writer *w, const struct mime_entity *e)
{
	if (e->at.is_multipart) {
		buf_addc(w->out, ' ');
		add_span(w, e->head);
	} else if (e->at.is_message || e->is_text) {
		buf_addf(w->out, " %u", e->at.lines);
	}
	if (w->extended)
		add_span(w, e->tail);
	buf_addc(w->out, ')');
}

/* Writes what stands before the children; the grammar has no multipart
 * without any, so an empty text stands in for them. */
static void
begin(const struct writer *w, const struct mime_entity *e)
{
	buf_addc(w->out, '(');
	if (!e->at.is_multipart) {
		add_span(w, e->head);
		buf_addf(w->out, " %llu",
			(unsigned long long)(e->at.end - e->at.body_at));
	} else if (e->at.first_child == 0) {
		buf_addf(w->out, "(\"TEXT\" \"PLAIN\" "
			"(\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0%s)",
			w->extended ? " NIL NIL NIL NIL" : "");
	}
	if (e->at.is_message) {
		buf_addc(w->out, ' ');
		add_span(w, w->part[e->at.first_child].envelope);
		buf_addc(w->out, ' ');
	}
}

void
mime_text_structure(struct buf *out, const struct mime_entity *e,
	const struct buf *text, bool extended)
{
	const struct writer w = {out, e, text, extended};
	uint32_t i = 0;

	for (;;) {
		begin(&w, &e[i]);
		if (e[i].at.first_child != 0) {
			i = e[i].at.first_child;
			continue;
		}
		finish(&w, &e[i]);
		while (i != 0 && e[i].at.next == 0) {
			i = e[i].at.parent;
			finish(&w, &e[i]);
		}
		if (i == 0)
			return;
		i = e[i].at.next;
	}
}
