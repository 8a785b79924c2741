/*
 * addr_list.c - the address lists of header fields (RFC 5322 3.4, with the
 * obsolete forms of 4.4), one item a call.
 *
 * Lists are written by strangers, so nothing here recurses, every call takes
 * at least one byte, and what cannot be read is passed over. The only state
 * between calls is the rest of the list: a ';' always gives a group end, and
 * a caller for whom that matters counts the starts. Pure; any thread.
 *
 * One pass over an item fills three texts: `text` (all words with one blank
 * between: the display name if '<' comes, the group name if ':' comes),
 * `run` (the last words linked by dots: the local part if '@' comes) and
 * `domain`.
 */
#include "mail/addr.h"

#include "base/buf.h"

#define TEXT_MAX 65536

struct item {
	struct buf text, run, domain, comment;
	struct str route;	/* view of the list */
	size_t run_at;		/* where `run` began in text */
	bool gap;		/* blanks or a comment since the last word */
	bool has_at;		/* a bare addr-spec: '@' was seen */
	bool closed;		/* its domain is complete */
};

static void
item_init(struct item *it)
{
	*it = (struct item){.gap = false};
	buf_init(&it->text, TEXT_MAX);
	buf_init(&it->run, TEXT_MAX);
	buf_init(&it->domain, TEXT_MAX);
	buf_init(&it->comment, TEXT_MAX);
}

static void
item_free(struct item *it)
{
	buf_free(&it->text);
	buf_free(&it->run);
	buf_free(&it->domain);
	buf_free(&it->comment);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char
head(struct str s)
{
	return s.len > 0 ? s.at[0] : '\0';
}

static void
skip(struct str *in, size_t n)
{
	*in = str_sub(*in, n, in->len);
}

/* "(a (nested) comment)" at the head of *in; the outermost brackets are not
 * copied. An open one takes the rest. */
static void
read_comment(struct str *in, struct buf *out)
{
	size_t i, depth = 0;

	if (out->len > 0)
		buf_addc(out, ' ');
	for (i = 0; i < in->len; i++) {
		char c = in->at[i];

		if (c == ')' && --depth == 0) {
			i++;
			break;
		}
		if (c == '\\' && i + 1 < in->len)
			c = in->at[++i];
		else if (c == '(' && depth++ == 0)
			continue;
		if (c != '\r' && c != '\n')
			buf_addc(out, c);
	}
	skip(in, i);
}

static void
skip_blanks(struct str *in, struct buf *comment, bool *gap)
{
	while (in->len > 0 && (is_space(in->at[0]) || in->at[0] == '(')) {
		*gap = true;
		if (in->at[0] == '(')
			read_comment(in, comment);
		else
			skip(in, 1);
	}
}

/* A quoted string, its quotes resolved. */
static void
read_quoted(struct str *in, struct buf *out)
{
	size_t i;

	for (i = 1; i < in->len && in->at[i] != '"'; i++) {
		if (in->at[i] == '\\' && i + 1 < in->len)
			i++;
		if (in->at[i] != '\r' && in->at[i] != '\n')
			buf_addc(out, in->at[i]);
	}
	skip(in, i + 1);
}

static bool
ends_atom(char c)
{
	return is_space(c) || strchr("\"(),:;<>@", c) != NULL;
}

static void
read_atom(struct str *in, struct buf *out)
{
	size_t i = 0;

	while (i < in->len && in->at[i] != '\0' && !ends_atom(in->at[i]))
		i++;
	if (i == 0)	/* a NUL, or a '>' too many */
		skip(in, 1);
	buf_add(out, in->at, i);
	skip(in, i);
}

/* A domain literal goes over whole, though it may hold a ':'. */
static void
read_domain_word(struct str *in, struct buf *out)
{
	size_t end;

	if (head(*in) == '"') {
		read_quoted(in, out);
		return;
	}
	if (head(*in) != '[') {
		read_atom(in, out);
		return;
	}
	end = str_find(*in, ']');
	end = end < in->len ? end + 1 : in->len;
	buf_add(out, in->at, end);
	skip(in, end);
}

static void
read_word(struct str *in, struct item *it, struct buf *word)
{
	buf_reset(word);
	if (it->has_at && !it->closed)
		read_domain_word(in, word);
	else if (head(*in) == '"')
		read_quoted(in, word);
	else
		read_atom(in, word);
}

static bool
links(const struct buf *left, const struct buf *word)
{
	return (left->len > 0 && left->at[left->len - 1] == '.') ||
		(word->len > 0 && word->at[0] == '.');
}

static void
take_word(struct item *it, const struct buf *word)
{
	if (it->gap && it->text.len > 0)
		buf_addc(&it->text, ' ');
	if (it->has_at) {
		it->closed = it->closed || (it->gap && it->domain.len > 0 &&
			!links(&it->domain, word));
		if (!it->closed)
			buf_addstr(&it->domain, buf_str(word));
	} else {
		if (it->gap && !links(&it->run, word)) {
			buf_reset(&it->run);
			it->run_at = it->text.len;
		}
		buf_addstr(&it->run, buf_str(word));
	}
	buf_addstr(&it->text, buf_str(word));
	it->gap = false;
}

/* A second '@' belongs to no address; it stays in the display text. */
static void
take_at(struct str *in, struct item *it)
{
	skip(in, 1);
	buf_addc(&it->text, '@');
	it->closed = it->has_at;
	it->has_at = true;
	it->gap = false;
}

/* "@a,@b:" inside angle brackets (RFC 5322 4.4 obs-route). */
static struct str
read_route(struct str *in)
{
	struct str route;
	size_t i = 0;

	if (head(*in) != '@')
		return STR("");
	while (i < in->len && in->at[i] != ':' && in->at[i] != '>')
		i++;
	route = str_trim(str_sub(*in, 0, i));
	skip(in, i < in->len && in->at[i] == ':' ? i + 1 : i);
	return route;
}

/* Words of an addr-spec up to one of `stop`. */
static void
read_until(struct str *in, struct item *it, const char *stop)
{
	struct buf word;

	buf_init(&word, TEXT_MAX);
	for (;;) {
		skip_blanks(in, &it->comment, &it->gap);
		if (in->len == 0 || (head(*in) != '\0' &&
		    strchr(stop, head(*in)) != NULL))
			break;
		if (head(*in) == '@') {
			take_at(in, it);
			continue;
		}
		if (strchr(",:;<>", head(*in)) != NULL) {
			skip(in, 1);
			continue;
		}
		read_word(in, it, &word);
		take_word(it, &word);
	}
	buf_free(&word);
}

/* "<route:local@domain>" after a display name; what stands between '>' and
 * the next comma is passed over, but for comments. */
static void
read_angle(struct str *in, struct item *it)
{
	struct item angle, junk;

	item_init(&angle);
	item_init(&junk);
	skip(in, 1);
	skip_blanks(in, &it->comment, &it->gap);
	it->route = read_route(in);
	read_until(in, &angle, ">,;");
	if (head(*in) == '>') {
		skip(in, 1);
		read_until(in, &junk, ",;");
	}
	if (it->comment.len == 0)
		buf_addstr(&it->comment, buf_str(&junk.comment));
	buf_reset(&it->run);
	buf_reset(&it->domain);
	buf_addstr(&it->run, buf_str(&angle.run));
	buf_addstr(&it->domain, buf_str(&angle.domain));
	item_free(&angle);
	item_free(&junk);
}

/* "joe@example.org (Joe)" is the old way to give a name. Without an '@' the
 * last run is the local part, as in "root". */
static void
give(const struct item *it, struct str name, struct arena *a,
	struct addr_item *out)
{
	name = str_trim(name);
	if (name.len == 0)
		name = str_trim(buf_str(&it->comment));
	out->name = arena_str(a, name);
	out->local = arena_str(a, buf_str(&it->run));
	out->domain = arena_str(a, buf_str(&it->domain));
	out->route = arena_str(a, it->route);
}

static void
read_item(struct str *in, struct item *it, struct arena *a,
	struct addr_item *out)
{
	read_until(in, it, ",:;<");
	if (head(*in) == '<') {
		read_angle(in, it);
		give(it, buf_str(&it->text), a, out);
		return;
	}
	if (head(*in) == ':' && !it->has_at) {
		skip(in, 1);
		out->group_start = true;
		out->local = arena_str(a, str_trim(buf_str(&it->text)));
		return;
	}
	if (head(*in) == ':') {
		it->closed = true;
		read_until(in, it, ",;");
	}
	give(it, it->has_at ? str_sub(buf_str(&it->text), 0, it->run_at) :
		STR(""), a, out);
}

static bool
is_nothing(const struct addr_item *out)
{
	return !out->group_start && out->local.len == 0 &&
		out->domain.len == 0 && out->name.len == 0;
}

bool
addr_list_next(struct str *in, struct arena *a, struct addr_item *out)
{
	struct item it;

	do {
		while (in->len > 0 && (is_space(in->at[0]) || in->at[0] == ','))
			skip(in, 1);
		*out = (struct addr_item){.group_start = false};
		if (in->len == 0)
			return false;
		if (in->at[0] == ';') {
			skip(in, 1);
			out->group_end = true;
			return true;
		}
		item_init(&it);
		read_item(in, &it, a, out);
		item_free(&it);
	} while (is_nothing(out));
	return true;
}
