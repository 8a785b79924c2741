/*
 * result.c - Authentication-Results from what filters have found.
 */
#include "plug/result.h"

void
result_write(struct buf *out, const char *authserv_id, const struct result *r)
{
	buf_adds(out, authserv_id);
	for (; r; r = r->next) {
		buf_addf(out, ";\r\n\t%s=%s", r->method, r->value);
		if (r->reason)
			buf_addf(out, " (%s)", r->reason);
		if (r->props)
			buf_addf(out, " %s", r->props);
	}
}

/* What a reader passes over: white space, comments (which nest), line ends. */
static size_t
skip_white(struct str s, size_t i)
{
	int depth = 0;

	for (; i < s.len; i++) {
		if (s.at[i] == '(')
			depth++;
		else if (s.at[i] == ')' && depth > 0)
			depth--;
		else if (s.at[i] == '\\' && depth > 0)
			i++;
		else if (depth == 0 && !is_blank(s.at[i]) &&
			s.at[i] != '\r' && s.at[i] != '\n')
			break;
	}
	return i < s.len ? i : s.len;
}

static void
add_quoted(struct buf *out, struct str s)
{
	size_t i;

	for (i = 1; i < s.len && s.at[i] != '"'; i++) {
		if (s.at[i] == '\\' && i + 1 < s.len)
			i++;
		if (s.at[i] != '\r' && s.at[i] != '\n')
			buf_addc(out, s.at[i]);
	}
}

/* RFC 8601 2.2: a token or a quoted string. What ends a token for one reader
 * and not for another ends it here: a version may follow a slash, too. */
struct str
result_authserv_id(struct arena *a, struct str value)
{
	struct str s, id;
	struct buf out;
	size_t i;

	s = str_sub(value, skip_white(value, 0), value.len);
	buf_init(&out, 1024);
	if (s.len && s.at[0] == '"')
		add_quoted(&out, s);
	for (i = 0; i < s.len && s.at[0] != '"' && s.at[i] > ' ' &&
		!strchr(";(/\"", s.at[i]); i++)
		buf_addc(&out, s.at[i]);
	id = str_trim_blank(buf_str(&out));
	if (id.len && id.at[id.len - 1] == '.')
		id.len--;
	id = arena_str(a, id);
	buf_free(&out);
	return id;
}
