/*
 * imap_parse.c - the arguments of IMAP commands, taken off the front one by
 * one (RFC 9051 section 9).
 *
 * Views that are handed out point into the command, but for quoted strings
 * with a backslash, which are copied into the arena.
 */
#include "serve/imap_parse.h"

#include "base/buf.h"
#include "base/clock.h"

#define KEYWORD_MOST 128	/* bytes */
#define KEYWORDS_MOST 4096	/* all of one command */

/* Keeps the first complaint: the later ones follow from it. */
static bool
wrong(struct imap_in *in, const char *what)
{
	if (!in->wrong)
		in->wrong = what;
	return false;
}

static void
skip(struct imap_in *in, size_t n)
{
	in->rest = str_sub(in->rest, n, in->rest.len);
}

static bool
is_ctl(char c)
{
	return (unsigned char)c < ' ' || c == 127;
}

static bool
is_atom_char(char c)
{
	return !is_ctl(c) && (unsigned char)c < 128 &&
		!memchr("(){ %*\"\\]", c, 9);
}

static bool
is_astring_char(char c)
{
	return is_atom_char(c) || c == ']';
}

static bool
is_pattern_char(char c)
{
	return is_astring_char(c) || c == '%' || c == '*';
}

static bool
is_word_char(char c)
{
	return is_astring_char(c) || c == '\\';
}

/* At least one character of a kind. */
static bool
take(struct imap_in *in, bool (*is)(char c), struct str *out,
	const char *complaint)
{
	size_t n = 0;

	while (n < in->rest.len && is(in->rest.at[n]))
		n++;
	if (!n)
		return wrong(in, complaint);
	*out = str_sub(in->rest, 0, n);
	skip(in, n);
	return true;
}

/* ---------------------------------------------------------- punctuation */

bool
imap_is_char(const struct imap_in *in, char c)
{
	return in->rest.len && in->rest.at[0] == c;
}

bool
imap_char(struct imap_in *in, char c)
{
	if (!imap_is_char(in, c))
		return wrong(in, c == '(' ? "A list is missing" :
			c == ')' ? "A list has no end" : "Syntax error");
	skip(in, 1);
	return true;
}

bool
imap_blank(struct imap_in *in)
{
	if (!imap_is_char(in, ' '))
		return wrong(in, in->rest.len ? "A blank is missing" :
			"An argument is missing");
	skip(in, 1);
	return true;
}

bool
imap_end(struct imap_in *in)
{
	return in->rest.len ? wrong(in, "Too many arguments") : true;
}

/* -------------------------------------------------------------- strings */

bool
imap_atom(struct imap_in *in, struct str *out)
{
	return take(in, is_atom_char, out, "A word is missing");
}

/* The end of what stands between the quotes, or rest.len. */
static size_t
find_quote(struct str rest, bool *escaped)
{
	size_t i;

	*escaped = false;
	for (i = 1; i < rest.len && rest.at[i] != '"'; i++) {
		if (is_ctl(rest.at[i]) && rest.at[i] != '\t')
			return rest.len;
		if (rest.at[i] != '\\')
			continue;
		*escaped = true;
		i++;
		if (i == rest.len || (rest.at[i] != '"' &&
			rest.at[i] != '\\'))
			return rest.len;
	}
	return i;
}

static struct str
without_backslashes(struct str s, struct arena *a)
{
	char *copy = arena_cstr(a, s);
	size_t i, n = 0;

	for (i = 0; i < s.len; i++) {
		if (s.at[i] == '\\')
			i++;
		copy[n++] = s.at[i];
	}
	return str_of(copy, n);
}

static bool
take_quoted(struct imap_in *in, struct str *out)
{
	bool escaped;
	size_t end = find_quote(in->rest, &escaped);

	if (end == in->rest.len)
		return wrong(in, "A quoted string has no end");
	*out = str_sub(in->rest, 1, end - 1);
	if (escaped)
		*out = without_backslashes(*out, in->arena);
	skip(in, end + 1);
	return true;
}

static bool
take_literal(struct imap_in *in, struct str *out)
{
	struct str rest = in->rest, head;
	uint64_t length;

	if (imap_is_char(in, '~'))
		rest = str_sub(rest, 1, rest.len);
	head = str_cut(&rest, '\n');
	if (!str_starts(head, "{") || !str_ends(head, "}\r") ||
		!str_u64(str_sub(head, 1, head.len - 3), rest.len, &length))
		return wrong(in, "A string is missing");
	*out = str_sub(rest, 0, (size_t)length);
	in->rest = str_sub(rest, (size_t)length, rest.len);
	return true;
}

bool
imap_string(struct imap_in *in, struct str *out)
{
	return imap_is_char(in, '"') ? take_quoted(in, out) :
		take_literal(in, out);
}

static bool
is_string(const struct imap_in *in)
{
	return imap_is_char(in, '"') || imap_is_char(in, '{') ||
		str_starts(in->rest, "~{");
}

bool
imap_astring(struct imap_in *in, struct str *out)
{
	return is_string(in) ? imap_string(in, out) :
		take(in, is_astring_char, out, "A string is missing");
}

bool
imap_nstring(struct imap_in *in, struct str *out)
{
	struct str word;

	if (is_string(in))
		return imap_string(in, out);
	if (!imap_atom(in, &word) || !str_iis(word, "NIL"))
		return wrong(in, "A string or NIL is missing");
	*out = (struct str){NULL, 0};
	return true;
}

bool
imap_list_mailbox(struct imap_in *in, struct str *out)
{
	return is_string(in) ? imap_string(in, out) :
		take(in, is_pattern_char, out, "A pattern is missing");
}

/* -------------------------------------------------------------- numbers */

static bool
take_number(struct imap_in *in, uint64_t max, uint64_t *out)
{
	size_t n = 0;

	while (n < in->rest.len && is_digit(in->rest.at[n]))
		n++;
	if (!str_u64(str_sub(in->rest, 0, n), max, out))
		return wrong(in, n ? "A number is too large" :
			"A number is missing");
	skip(in, n);
	return true;
}

bool
imap_number(struct imap_in *in, uint32_t *out)
{
	uint64_t n;

	if (!take_number(in, UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

/* RFC 7162 and RFC 9051 keep to 63 bits. */
bool
imap_number64(struct imap_in *in, uint64_t *out)
{
	return take_number(in, INT64_MAX, out);
}

/* ---------------------------------------------------------------- lists */

static size_t
count_blanks(struct str s)
{
	size_t i, n = 0;

	for (i = 0; i < s.len && s.at[i] != ')'; i++)
		n += s.at[i] == ' ';
	return n;
}

static bool
take_word(struct imap_in *in, struct str *out)
{
	return take(in, is_word_char, out, "A word is missing");
}

bool
imap_words(struct imap_in *in, bool bare, struct str **out, size_t *n)
{
	*n = bare && !imap_is_char(in, '(');
	*out = arena_alloc(in->arena, (count_blanks(in->rest) + 1) *
		sizeof **out);
	if (*n)
		return take_word(in, *out);
	if (!imap_char(in, '('))
		return false;
	while (!imap_is_char(in, ')')) {
		if (*n && !imap_blank(in))
			return false;
		if (!take_word(in, &(*out)[*n]))
			return false;
		++*n;
	}
	return imap_char(in, ')');
}

static const struct {
	const char *name;
	uint32_t flag;
} system_flags[] = {
	{"\\Seen", MR_FLAG_SEEN}, {"\\Answered", MR_FLAG_ANSWERED},
	{"\\Flagged", MR_FLAG_FLAGGED}, {"\\Deleted", MR_FLAG_DELETED},
	{"\\Draft", MR_FLAG_DRAFT},
};

static bool
add_flag(struct imap_in *in, struct str word, uint32_t *flags,
	struct buf *keywords)
{
	size_t i;

	for (i = 0; i < sizeof system_flags / sizeof *system_flags; i++)
		if (str_iis(word, system_flags[i].name)) {
			*flags |= system_flags[i].flag;
			return true;
		}
	if (str_has_byte(word, '\\'))
		return wrong(in, "That flag is not known or cannot be set");
	if (word.len > KEYWORD_MOST || str_has_byte(word, ']'))
		return wrong(in, "That keyword is not possible");
	if (keywords->len)
		buf_addc(keywords, ' ');
	buf_addstr(keywords, word);
	return true;
}

bool
imap_flag_list(struct imap_in *in, bool bare, uint32_t *flags,
	const char **keywords)
{
	bool good, listed = imap_is_char(in, '(');
	struct buf names;
	struct str *word, one;
	size_t n, i;

	*flags = 0;
	*keywords = "";
	buf_init(&names, KEYWORDS_MOST);
	good = imap_words(in, bare, &word, &n);
	for (i = 0; good && i < n; i++)
		good = add_flag(in, word[i], flags, &names);
	/* Without brackets there may be several, too. */
	while (good && bare && !listed && imap_is_char(in, ' ')) {
		skip(in, 1);
		good = take_word(in, &one) &&
			add_flag(in, one, flags, &names) && (!names.full ||
			wrong(in, "Too many keywords"));
	}
	if (good && names.full)
		good = wrong(in, "Too many keywords");
	if (good)
		*keywords = arena_cstr(in->arena, buf_str(&names));
	buf_free(&names);
	return good;
}

/* --------------------------------------------------------- sequence sets */

static bool
take_set_number(struct imap_in *in, uint32_t *out)
{
	if (imap_is_char(in, '*')) {
		skip(in, 1);
		*out = UINT32_MAX;
		return true;
	}
	if (!imap_number(in, out))
		return false;
	return *out ? true : wrong(in, "Message numbers begin with 1");
}

static bool
take_range(struct imap_in *in, struct mr_range *out)
{
	uint32_t a, b;

	if (!take_set_number(in, &a))
		return false;
	b = a;
	if (imap_is_char(in, ':')) {
		skip(in, 1);
		if (!take_set_number(in, &b))
			return false;
	}
	*out = (struct mr_range){a < b ? a : b, a < b ? b : a};
	return true;
}

static size_t
count_ranges(struct str s)
{
	size_t i, n = 1;

	for (i = 0; i < s.len && (is_digit(s.at[i]) ||
		memchr(",:*", s.at[i], 3)); i++)
		n += s.at[i] == ',';
	return n;
}

bool
imap_set(struct imap_in *in, struct mr_range **out, size_t *n, bool *saved)
{
	size_t room = count_ranges(in->rest);

	*n = 0;
	*out = NULL;
	*saved = imap_is_char(in, '$');
	if (*saved)
		return imap_char(in, '$');
	if (room > IMAP_SET_MOST)
		return wrong(in, "Too many ranges");
	*out = arena_alloc(in->arena, room * sizeof **out);
	do {
		if (*n && !imap_char(in, ','))
			return false;
		if (!take_range(in, &(*out)[*n]))
			return false;
		++*n;
	} while (imap_is_char(in, ','));
	return true;
}

/* ---------------------------------------------------------------- dates */

bool
imap_date_time(struct imap_in *in, int64_t *wall_ms)
{
	struct str s;

	if (!imap_is_char(in, '"') || !take_quoted(in, &s) ||
		!clock_parse_imap_date(s, wall_ms))
		return wrong(in, "A date with time is wrong");
	return true;
}

bool
imap_day(struct imap_in *in, int64_t *day)
{
	struct str s;

	if (!imap_astring(in, &s) || !clock_parse_imap_day(s, day))
		return wrong(in, "A date is wrong");
	return true;
}
