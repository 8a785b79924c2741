/*
 * header_decode.c - header text for people and for SEARCH: RFC 2047 encoded
 * words to UTF-8.
 *
 * Nothing is refused. Leaves to others: charsets (charset.c). Pure; any thread.
 */
#include "mail/header.h"

#include "base/enc.h"
#include "mail/charset.h"

#define CHARSET_MAX 40

struct word {
	struct str charset;	/* language tag of RFC 2231 cut */
	char encoding;		/* 'q' or 'b' */
	struct str text;
	size_t len;		/* of the whole word */
};

/* "=?charset?Q?text?=" at the head of s. */
static bool
word_parse(struct str s, struct word *w)
{
	struct str rest = str_sub(s, 2, s.len);
	size_t end;

	if (!str_starts(s, "=?"))
		return false;
	w->charset = str_sub(rest, 0, str_find(str_sub(rest, 0, CHARSET_MAX * 2),
		'?'));
	rest = str_sub(rest, w->charset.len, rest.len);
	if (rest.len < 3 || rest.at[0] != '?' || rest.at[2] != '?')
		return false;
	w->encoding = to_lower(rest.at[1]);
	w->charset = str_sub(w->charset, 0, str_find(w->charset, '*'));
	rest = str_sub(rest, 3, rest.len);
	end = str_find(rest, '?');
	if (end + 1 >= rest.len || rest.at[end + 1] != '=')
		return false;
	w->text = str_sub(rest, 0, end);
	w->len = (size_t)(rest.at - s.at) + end + 2;
	return w->charset.len > 0 && w->charset.len <= CHARSET_MAX &&
		(w->encoding == 'q' || w->encoding == 'b');
}

/* RFC 2047 4.2 */
static void
add_q(struct buf *out, struct str text)
{
	size_t i;
	int high, low;

	for (i = 0; i < text.len; i++) {
		high = low = -1;
		if (text.at[i] == '=' && i + 2 < text.len) {
			high = hex_value(text.at[i + 1]);
			low = hex_value(text.at[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			buf_addc(out, (char)(high << 4 | low));
			i += 2;
		} else {
			buf_addc(out, text.at[i] == '_' ? ' ' : text.at[i]);
		}
	}
}

/* The words from the head of s on that have one charset, with only blanks
 * between: their bytes are joined first, because many senders split inside a
 * character. Returns how much of s they take. */
static size_t
add_words(struct buf *out, struct str s, const struct word *first)
{
	struct word w = *first;
	struct str charset = w.charset;
	struct buf bytes;
	size_t used = 0, gap = 0;

	buf_init(&bytes, s.len);
	do {
		used += gap + w.len;
		if (w.encoding == 'q')
			add_q(&bytes, w.text);
		else
			enc_mime_unbase64(&bytes, w.text);
		for (gap = 0; used + gap < s.len &&
		    is_blank(s.at[used + gap]); gap++)
			;
	} while (word_parse(str_sub(s, used + gap, s.len), &w) &&
	    str_ieq(w.charset, charset));
	charset_convert(out, charset, buf_str(&bytes));
	buf_free(&bytes);
	return used;
}

/* Text up to the next encoded word; blanks between two words go. */
static size_t
add_plain(struct buf *out, struct str s, bool behind_word)
{
	struct word w;
	size_t i = 1;

	while (i < s.len && !(s.at[i] == '=' &&
	    word_parse(str_sub(s, i, s.len), &w)))
		i++;
	if (!behind_word || i == s.len ||
	    str_trim_blank(str_sub(s, 0, i)).len > 0)
		charset_check_utf8(out, str_sub(s, 0, i));
	return i;
}

void
header_decode(struct buf *out, struct str value)
{
	struct arena a;
	struct str s;
	struct word w;
	bool behind_word = false;
	size_t n;

	arena_init(&a);
	s = header_unfold(&a, value);
	while (s.len > 0) {
		if (word_parse(s, &w)) {
			n = add_words(out, s, &w);
			behind_word = true;
		} else {
			n = add_plain(out, s, behind_word);
			behind_word = false;
		}
		s = str_sub(s, n, s.len);
	}
	arena_free(&a);
}
