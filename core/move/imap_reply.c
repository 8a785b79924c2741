/*
 * imap_reply.c - see imap_reply.h.
 */
#include "move/imap_reply.h"

#include "base/clock.h"
#include "move/uid_list.h"
#include "plug/special.h"

/* ----------------------------------------------------------------- pieces */

static void
skip_blanks(struct str *rest)
{
	while (rest->len && rest->at[0] == ' ')
		*rest = str_sub(*rest, 1, rest->len);
}

static bool
take_char(struct str *rest, char c)
{
	if (!rest->len || rest->at[0] != c)
		return false;
	*rest = str_sub(*rest, 1, rest->len);
	return true;
}

/* Up to a blank or a bracket; "BODY[]" is one. */
static struct str
take_atom(struct str *rest)
{
	size_t n = 0;
	struct str out;

	while (n < rest->len && !memchr(" ()\"", rest->at[n], 4))
		n++;
	out = str_sub(*rest, 0, n);
	*rest = str_sub(*rest, n, rest->len);
	return out;
}

/* A quoted string, unescaped, behind what is in out. */
static bool
take_quoted(struct str *rest, struct buf *out)
{
	size_t i;

	if (!rest->len || rest->at[0] != '"')
		return false;
	for (i = 1; i < rest->len && rest->at[i] != '"'; i++) {
		if (rest->at[i] == '\\' && i + 1 < rest->len)
			i++;
		buf_addc(out, rest->at[i]);
	}
	*rest = str_sub(*rest, i < rest->len ? i + 1 : i, rest->len);
	return true;
}

static void
take_string(struct str *rest, struct buf *out)
{
	if (!take_quoted(rest, out))
		buf_addstr(out, take_atom(rest));
}

/* What stands in brackets, without them. */
static struct str
take_list(struct str *rest)
{
	struct str out = {rest->at, 0};
	int depth = 0;
	size_t i;

	for (i = 0; i < rest->len; i++) {
		depth += rest->at[i] == '(';
		depth -= rest->at[i] == ')';
		if (!depth)
			break;
	}
	if (i > 0)
		out = str_sub(*rest, 1, i - 1);
	*rest = str_sub(*rest, i < rest->len ? i + 1 : i, rest->len);
	return out;
}

void
imap_reply_quote(struct buf *out, struct str text)
{
	size_t i;

	buf_addc(out, '"');
	for (i = 0; i < text.len; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, text.at[i]);
	}
	buf_addc(out, '"');
}

/* ------------------------------------------------------------------ FETCH */

static void
read_flags(struct str list, struct imap_fetched *out)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} known[] = {{"\\Seen", MR_FLAG_SEEN},
		{"\\Answered", MR_FLAG_ANSWERED},
		{"\\Flagged", MR_FLAG_FLAGGED},
		{"\\Deleted", MR_FLAG_DELETED}, {"\\Draft", MR_FLAG_DRAFT}};
	struct str word;
	size_t i, used;

	out->has_flags = true;
	while ((word = str_word(&list)).len) {
		for (i = 0; i < sizeof known / sizeof *known; i++)
			if (str_iis(word, known[i].name))
				out->flags |= known[i].flag;
		used = strlen(out->keywords);
		if (keyword_is_good(word) &&
			used + word.len + 2 < sizeof out->keywords)
			snprintf(out->keywords + used,
				sizeof out->keywords - used, "%s%.*s",
				used ? " " : "", STR_ARGS(word));
	}
}

static void
read_date(struct str *rest, struct imap_fetched *out)
{
	struct buf text;

	buf_init(&text, 64);
	take_string(rest, &text);
	clock_parse_imap_date(str_trim(buf_str(&text)), &out->received_ms);
	buf_free(&text);
}

static void
read_item(struct str *rest, struct imap_fetched *out, struct buf *body)
{
	struct str name = take_atom(rest);
	uint64_t n;

	skip_blanks(rest);
	if (str_iis(name, "UID")) {
		if (str_u64(take_atom(rest), UINT32_MAX, &n))
			out->uid = (uint32_t)n;
	} else if (str_iis(name, "FLAGS")) {
		read_flags(take_list(rest), out);
	} else if (str_iis(name, "INTERNALDATE")) {
		read_date(rest, out);
	} else if (str_iis(name, "BODY[]")) {
		if (!take_quoted(rest, body))
			take_atom(rest);
	} else if (rest->len && rest->at[0] == '(') {
		take_list(rest);
	} else {
		struct buf other;

		buf_init(&other, 1 << 16);
		take_string(rest, &other);
		buf_free(&other);
	}
}

bool
imap_reply_fetch(struct str line, struct imap_fetched *out, struct buf *body)
{
	uint64_t number;
	size_t before;

	*out = (struct imap_fetched){0};
	if (!take_char(&line, '*') || !take_char(&line, ' ') ||
		!str_u64(str_word(&line), UINT32_MAX, &number) ||
		!str_iis(str_word(&line), "FETCH"))
		return false;
	skip_blanks(&line);
	if (!take_char(&line, '('))
		return false;
	do {
		before = line.len;
		skip_blanks(&line);
		if (line.len && line.at[0] != ')')
			read_item(&line, out, body);
	} while (line.len && line.at[0] != ')' && line.len < before);
	return true;
}

/* ------------------------------------------------------------------- LIST */

static void
read_attributes(struct str list, struct imap_listed *out)
{
	struct str word;

	while ((word = str_word(&list)).len) {
		enum mr_special special = special_use_of(word);

		if (special != MR_SPECIAL_NONE)
			out->special = special;
		if (str_iis(word, "\\Noselect") ||
			str_iis(word, "\\NonExistent"))
			out->is_selectable = false;
		if (str_iis(word, "\\Subscribed"))
			out->is_subscribed = true;
		if (str_iis(word, "\\All") || str_iis(word, "\\Flagged") ||
			str_iis(word, "\\Important"))
			out->is_view = true;
	}
}

bool
imap_reply_list(struct str line, struct arena *a, struct imap_listed *out)
{
	struct str word;
	struct buf text;

	*out = (struct imap_listed){.name = "", .is_selectable = true};
	if (!take_char(&line, '*'))
		return false;
	word = str_word(&line);
	if (!str_iis(word, "LIST") && !str_iis(word, "LSUB"))
		return false;
	out->is_subscribed = str_iis(word, "LSUB");
	skip_blanks(&line);
	if (!line.len || line.at[0] != '(')
		return false;
	read_attributes(take_list(&line), out);
	skip_blanks(&line);
	buf_init(&text, 4000);
	if (take_quoted(&line, &text))
		out->separator = text.len ? text.at[0] : 0;
	else
		take_atom(&line);		/* NIL */
	buf_reset(&text);
	skip_blanks(&line);
	take_string(&line, &text);
	if (!str_has_byte(buf_str(&text), '\0'))
		out->name = arena_cstr(a, buf_str(&text));
	buf_free(&text);
	return *out->name != '\0';
}

/* ------------------------------------------------------------------ others */

uint32_t
imap_reply_code(struct str line, const char *word)
{
	struct str wanted = str_from(word), rest;
	uint64_t n;
	size_t at = str_ifind_str(line, wanted);

	if (!str_istarts(line, "* OK [") || at == line.len)
		return 0;
	rest = str_trim_blank(str_sub(line, at + wanted.len, line.len));
	rest = str_cut(&rest, ']');
	return str_u64(rest, UINT32_MAX, &n) ? (uint32_t)n : 0;
}

bool
imap_reply_exists(struct str line, uint32_t *n)
{
	uint64_t number;

	if (!take_char(&line, '*') ||
		!str_u64(str_word(&line), UINT32_MAX, &number) ||
		!str_iis(str_word(&line), "EXISTS"))
		return false;
	*n = (uint32_t)number;
	return true;
}

const char *
imap_reply_prefix(struct str line, struct arena *a)
{
	const char *out = "";
	struct buf text;

	if (!str_istarts(line, "* NAMESPACE (("))
		return "";
	line = str_sub(line, 14, line.len);
	buf_init(&text, 1000);
	if (take_quoted(&line, &text) &&
		!str_has_byte(buf_str(&text), '\0'))
		out = arena_cstr(a, buf_str(&text));
	buf_free(&text);
	return out;
}
