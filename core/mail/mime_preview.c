/*
 * mime_preview.c - how a message begins, as a person would read it (RFC 8970
 * section 3): the first PREVIEW_CHARACTERS of a text part, white space folded.
 *
 * What mailers put in to keep things apart (zero-width characters, soft
 * hyphens) and what turns the direction of writing is passed over, so are
 * quoted lines as long as there are others. Of HTML the text is taken that
 * stands between the tags. Strangers write it all: every loop moves forwards,
 * and what is never closed ends with the text. Pure; any thread.
 */
#include "mail/mime_parts.h"

#include "mail/charset.h"
#include "mail/decode.h"

#define PREVIEW_CHARACTERS 200

struct teller {
	struct buf *out;
	unsigned left;		/* characters that still fit */
	bool gap;		/* white space came behind the last one */
};

/* ------------------------------------------------------------ characters */

static void
add_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_addc(out, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_addc(out, (char)(0xe0 | c >> 12));
		} else {
			buf_addc(out, (char)(0xf0 | c >> 18));
			buf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_addc(out, (char)(0x80 | (c & 0x3f)));
}

/* The first character of a text that is UTF-8, cut off it. */
static uint32_t
take_utf8(struct str *in)
{
	unsigned char first = (unsigned char)in->at[0];
	size_t i, n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 :
		4;
	uint32_t c = n == 1 ? first : first & (0xffu >> (n + 1));

	for (i = 1; i < n && i < in->len; i++)
		c = c << 6 | ((unsigned char)in->at[i] & 0x3f);
	*in = str_sub(*in, n, in->len);
	return c;
}

static const struct {
	uint32_t first, last;
} spaces[] = {
	{0, 0x20}, {0x7f, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a},
	{0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
	{0x3000, 0x3000},
}, unseen[] = {
	{0xad, 0xad}, {0x34f, 0x34f}, {0x61c, 0x61c}, {0x180e, 0x180e},
	{0x200b, 0x200b}, {0x200e, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x206f},
	{0xfeff, 0xfeff}, {0xfff9, 0xfffb},
};

static bool
is_space(uint32_t c)
{
	size_t i;

	for (i = 0; i < sizeof spaces / sizeof *spaces; i++)
		if (c >= spaces[i].first && c <= spaces[i].last)
			return true;
	return false;
}

static bool
is_unseen(uint32_t c)
{
	size_t i;

	for (i = 0; i < sizeof unseen / sizeof *unseen; i++)
		if (c >= unseen[i].first && c <= unseen[i].last)
			return true;
	return false;
}

/* They belong into Persian words and between emoji, and mailers pad with
 * them. */
static bool
is_joiner(uint32_t c)
{
	return c == 0x200c || c == 0x200d;
}

static void
tell(struct teller *t, uint32_t c)
{
	if (t->left == 0 || is_unseen(c) || (is_joiner(c) &&
	    (t->gap || t->out->len == 0)))
		return;
	if (is_space(c)) {
		t->gap = true;
		return;
	}
	if (t->gap && t->out->len > 0) {
		if (--t->left == 0)
			return;
		buf_addc(t->out, ' ');
	}
	t->gap = false;
	add_utf8(t->out, c);
	t->left--;
}

/* ----------------------------------------------------------------- plain */

static void
tell_lines(struct teller *t, struct str text, bool with_quotes)
{
	struct str line;

	while (text.len > 0 && t->left > 0) {
		line = str_cut(&text, '\n');
		t->gap = true;
		if (!with_quotes && str_starts(line, ">"))
			continue;
		while (line.len > 0 && t->left > 0)
			tell(t, take_utf8(&line));
	}
}

static void
tell_plain(struct teller *t, struct str text)
{
	tell_lines(t, text, false);
	if (t->out->len == 0)
		tell_lines(t, text, true);
}

/* ------------------------------------------------------------------ HTML */

static const struct {
	const char *name;
	uint32_t character;
} entities[] = {
	{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''},
	{"nbsp", 0xa0}, {"shy", 0xad}, {"zwnj", 0x200c}, {"zwj", 0x200d},
	{"ensp", 0x2002}, {"emsp", 0x2003}, {"thinsp", 0x2009},
	{"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},
	{"rsquo", 0x2019}, {"sbquo", 0x201a}, {"ldquo", 0x201c},
	{"rdquo", 0x201d}, {"bdquo", 0x201e}, {"bull", 0x2022},
	{"hellip", 0x2026}, {"euro", 0x20ac}, {"trade", 0x2122},
	{"pound", 0xa3}, {"sect", 0xa7}, {"copy", 0xa9}, {"laquo", 0xab},
	{"reg", 0xae}, {"deg", 0xb0}, {"middot", 0xb7}, {"raquo", 0xbb},
	{"Auml", 0xc4}, {"Ouml", 0xd6}, {"Uuml", 0xdc}, {"szlig", 0xdf},
	{"agrave", 0xe0}, {"aacute", 0xe1}, {"acirc", 0xe2}, {"auml", 0xe4},
	{"aring", 0xe5}, {"aelig", 0xe6}, {"ccedil", 0xe7}, {"egrave", 0xe8},
	{"eacute", 0xe9}, {"ecirc", 0xea}, {"euml", 0xeb}, {"iacute", 0xed},
	{"icirc", 0xee}, {"ntilde", 0xf1}, {"ograve", 0xf2}, {"oacute", 0xf3},
	{"ocirc", 0xf4}, {"ouml", 0xf6}, {"oslash", 0xf8}, {"ugrave", 0xf9},
	{"uacute", 0xfa}, {"uuml", 0xfc},
};
#define ENTITY_MOST 12

static bool
is_scalar(uint64_t c)
{
	return c > 0 && c < 0x110000 && (c < 0xd800 || c > 0xdfff);
}

/* "#228" or "#xe4"; 0: none. */
static uint32_t
read_number(struct str name)
{
	uint64_t n = 0;
	size_t i;

	if (name.len > 2 && to_lower(name.at[1]) == 'x') {
		for (i = 2; i < name.len; i++) {
			int digit = hex_value(name.at[i]);

			if (digit < 0)
				return 0;
			n = n << 4 | (uint64_t)digit;
		}
	} else if (!str_u64(str_sub(name, 1, name.len), 0x10ffff, &n)) {
		return 0;
	}
	return is_scalar(n) ? (uint32_t)n : 0;
}

/* The character that a text at '&' begins with. */
static uint32_t
take_entity(struct str *in)
{
	size_t end = str_find(str_sub(*in, 0, ENTITY_MOST), ';'), i;
	struct str name = str_sub(*in, 1, end - 1);
	uint32_t c = 0;

	if (end >= ENTITY_MOST || end >= in->len || end < 2)
		return take_utf8(in);
	if (name.at[0] == '#')
		c = read_number(name);
	for (i = 0; c == 0 && i < sizeof entities / sizeof *entities; i++)
		if (str_is(name, entities[i].name))
			c = entities[i].character;
	if (c == 0)
		return take_utf8(in);
	*in = str_sub(*in, end + 1, in->len);
	return c;
}

/* Behind the '>' of the tag at the head; one in quotes is not meant. */
static size_t
tag_length(struct str in)
{
	char quote = '\0';
	size_t i;

	for (i = 1; i < in.len; i++) {
		if (quote != '\0')
			quote = in.at[i] == quote ? '\0' : quote;
		else if (in.at[i] == '>')
			return i + 1;
		else if (in.at[i] == '"' || in.at[i] == '\'')
			quote = in.at[i];
	}
	return in.len;
}

static struct str
tag_name(struct str tag)
{
	size_t at = tag.len > 1 && tag.at[1] == '/' ? 2 : 1, n = 0;

	while (at + n < tag.len && is_alnum(tag.at[at + n]))
		n++;
	return str_sub(tag, at, n);
}

static bool
is_one_of(struct str name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (str_iis(name, *list))
			return true;
	return false;
}

/* Behind the end tag of an element whose content is not for people. */
static size_t
element_length(struct str in, struct str name, size_t tag)
{
	struct str end = {in.at, 0};
	size_t at = tag;

	while (at < in.len) {
		at += str_find_str(str_sub(in, at, in.len), STR("</"));
		end = str_sub(in, at + 2, name.len);
		if (str_ieq(end, name))
			return at + tag_length(str_sub(in, at, in.len));
		at += 2;
	}
	return in.len;
}

static bool
is_tag(struct str in)
{
	return in.len > 1 && (is_alpha(in.at[1]) || in.at[1] == '/' ||
		in.at[1] == '!' || in.at[1] == '?');
}

static void
pass_tag(struct teller *t, struct str *in)
{
	static const char *const hidden[] = {"style", "script", "title",
		"template", NULL};
	static const char *const within[] = {"a", "b", "big", "code", "em",
		"font", "i", "s", "small", "span", "strong", "sub", "sup",
		"u", NULL};
	struct str name = tag_name(*in);
	size_t n;

	if (str_starts(*in, "<!--")) {
		n = 4 + str_find_str(str_sub(*in, 4, in->len), STR("-->")) + 3;
	} else {
		n = tag_length(*in);
		if (in->at[1] != '/' && is_one_of(name, hidden))
			n = element_length(*in, name, n);
		t->gap |= name.len > 0 && !is_one_of(name, within);
	}
	*in = str_sub(*in, n, in->len);
}

static void
tell_html(struct teller *t, struct str text)
{
	while (text.len > 0 && t->left > 0) {
		if (text.at[0] == '<' && is_tag(text))
			pass_tag(t, &text);
		else if (text.at[0] == '&')
			tell(t, take_entity(&text));
		else
			tell(t, take_utf8(&text));
	}
}

/* ------------------------------------------------------------------ both */

void
mime_preview(struct buf *out, const struct mime_form *form, struct str raw)
{
	struct str charset = form->charset.len > 0 ? form->charset :
		STR("utf-8");
	struct teller t = {.out = out, .left = PREVIEW_CHARACTERS};
	enum decode_kind kind = DECODE_NONE;
	struct buf plain, text;
	struct decode d;

	buf_init(&plain, BUF_NO_CAP);
	buf_init(&text, BUF_NO_CAP);
	if (decode_find(form->encoding, &kind) && kind != DECODE_NONE) {
		decode_init(&d, kind);
		decode_add(&d, &plain, raw);
		decode_end(&d, &plain);
		raw = buf_str(&plain);
	}
	charset_convert(&text, charset, raw);
	if (str_iis(form->subtype, "html"))
		tell_html(&t, buf_str(&text));
	else
		tell_plain(&t, buf_str(&text));
	buf_free(&plain);
	buf_free(&text);
}
