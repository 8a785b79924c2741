/*
 * imap_name.c - mailbox names, flags and the heads of FETCH lines between the
 * wire and the store.
 */
#include "base/enc.h"
#include "serve/imap.h"

#define NAME_MOST 1000		/* bytes of UTF-8 */

/* Decoded and without control characters, or NULL. */
static char *
decode(struct imap *k, struct str name)
{
	struct arena *a = &k->session->command;
	char *text = NULL;
	struct buf b;
	size_t i;

	buf_init(&b, NAME_MOST);
	if (k->enabled & IMAP_UTF8_NAMES && enc_is_utf8(name))
		buf_addstr(&b, name);
	else if (!enc_is_ascii(name) || !enc_utf7_to_utf8(&b, name))
		b.full = true;
	for (i = 0; i < b.len; i++)
		if ((unsigned char)b.at[i] < ' ' || b.at[i] == 127)
			b.full = true;
	if (!b.full)
		text = arena_cstr(a, buf_str(&b));
	buf_free(&b);
	return text;
}

static bool
is_inbox(struct str name)
{
	return str_istarts(name, "INBOX") &&
		(name.len == 5 || name.at[5] == '/');
}

const char *
imap_name_in(struct imap *k, struct str name)
{
	char *text = decode(k, name);
	struct str rest = str_from(text);

	if (!rest.len || str_ends(rest, "/"))
		return NULL;
	if (is_inbox(rest))
		memcpy(text, "INBOX", 5);
	while (rest.len)
		if (!str_cut(&rest, '/').len)
			return NULL;	/* an empty level */
	return text;
}

const char *
imap_pattern_in(struct imap *k, struct str pattern)
{
	return decode(k, pattern);
}

static bool
is_plain(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] > 126 || s.at[i] <= ' ' ||
			memchr("(){%*\"\\]", s.at[i], 8))
			return false;
	return s.len && !str_iis(s, "NIL");
}

void
imap_name_out(struct imap *k, struct buf *out, const char *name)
{
	struct buf b;
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	if (k->enabled & IMAP_UTF8_NAMES)
		buf_adds(&b, name);
	else
		enc_utf8_to_utf7(&b, str_from(name));
	if (is_plain(buf_str(&b))) {
		buf_addstr(out, buf_str(&b));
		buf_free(&b);
		return;
	}
	buf_addc(out, '"');
	for (i = 0; i < b.len; i++) {
		if (b.at[i] == '"' || b.at[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, b.at[i]);
	}
	buf_addc(out, '"');
	buf_free(&b);
}

/* One step of the pattern: from[i] says that the pattern so far matches the
 * first i bytes of the name. */
static void
advance(const char *from, char *to, struct str name, size_t fold, char c)
{
	bool on = false;
	size_t i;

	to[0] = 0;
	for (i = 0; i <= name.len; i++) {
		if (c == '*' || c == '%') {
			on = from[i] || (on && (c == '*' ||
				name.at[i - 1] != '/'));
			to[i] = on;
		} else if (i < name.len) {
			to[i + 1] = from[i] && (name.at[i] == c ||
				(i < fold && name.at[i] == to_upper(c)));
		}
	}
}

bool
imap_name_matches(const char *pattern, const char *name)
{
	char state[2][NAME_MOST + 1] = {{1}};
	struct str n = str_from(name), p = str_from(pattern);
	size_t fold = is_inbox(n) ? 5 : 0, i;

	if (n.len > NAME_MOST)
		return false;
	for (i = 0; i < p.len; i++) {
		/* Wildcards in a row: work for nothing. */
		if (i && p.at[i] == '*' && p.at[i - 1] == '*')
			memcpy(state[(i + 1) & 1], state[i & 1], n.len + 1);
		else
			advance(state[i & 1], state[(i + 1) & 1], n, fold,
				p.at[i]);
	}
	return state[p.len & 1][n.len];
}

void
imap_fetch_out(const struct imap *k, struct buf *out, uint32_t seq,
	uint32_t uid)
{
	bool uid_only = k->enabled & IMAP_UIDONLY;

	buf_adds(out, "* ");
	imap_number_out(out, uid_only ? uid : seq);
	buf_adds(out, uid_only ? " UIDFETCH (" : " FETCH (");
}

void
imap_flags_out(struct buf *out, uint32_t flags, struct str keywords,
	bool recent)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} known[] = {
		{MR_FLAG_SEEN, "\\Seen "}, {MR_FLAG_ANSWERED, "\\Answered "},
		{MR_FLAG_FLAGGED, "\\Flagged "},
		{MR_FLAG_DELETED, "\\Deleted "}, {MR_FLAG_DRAFT, "\\Draft "},
	};
	size_t i, start;

	buf_addc(out, '(');
	start = out->len;
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (flags & known[i].flag)
			buf_adds(out, known[i].name);
	if (recent)
		buf_adds(out, "\\Recent ");
	buf_addstr(out, keywords);
	if (out->len > start && !keywords.len)
		out->len--;		/* the blank behind the last flag */
	buf_addc(out, ')');
}
