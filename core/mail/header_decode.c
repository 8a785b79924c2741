/*
 * header_decode.c - header text for people and for SEARCH: RFC 2047 encoded
 * words to UTF-8.
 *
 * Bytes that mean nothing in their charset become U+FFFD, one each; nothing
 * is refused. Charsets are an allow-list, because strangers choose them and
 * glibc loads whatever converter they name. Pure; any thread.
 */
#include "mail/header.h"

#include <errno.h>
#include <iconv.h>

#include "base/enc.h"

#define CHARSET_MAX 40
#define REPLACEMENT "\xef\xbf\xbd"

/* Names that mail uses and glibc does not know, or knows too narrowly. */
static const struct {
	const char *name, *iconv;
} aliases[] = {
	{"utf8", "utf-8"},
	{"unicode-1-1-utf-7", "utf-7"},
	{"ascii", "us-ascii"},
	{"ansi_x3.4-1968", "us-ascii"},
	{"latin1", "iso-8859-1"},
	{"iso8859-1", "iso-8859-1"},
	{"iso-8859-8-i", "iso-8859-8"},
	{"iso-8859-8-e", "iso-8859-8"},
	{"iso-8859-6-i", "iso-8859-6"},
	{"gb2312", "gb18030"},
	{"gbk", "gb18030"},
	{"x-gbk", "gb18030"},
	{"cp936", "gb18030"},
	{"big5", "big5-hkscs"},
	{"ks_c_5601-1987", "cp949"},
	{"ks_c_5601", "cp949"},
	{"euc-kr", "cp949"},
	{"shift_jis", "cp932"},
	{"shift-jis", "cp932"},
	{"x-sjis", "cp932"},
	{"sjis", "cp932"},
	{"windows-31j", "cp932"},
	{"x-euc-jp", "euc-jp"},
	{"x-mac-roman", "macintosh"},
	{"windows-874", "cp874"},
};

static const char *const allowed[] = {
	"utf-8", "utf-7", "utf-16", "utf-16le", "utf-16be", "us-ascii",
	"gb18030", "big5-hkscs", "euc-tw", "euc-jp", "cp932", "cp949", "cp874",
	"iso-2022-jp", "iso-2022-kr", "koi8-r", "koi8-u", "tis-620", "viscii",
	"macintosh", "iso-8859-1", "iso-8859-2", "iso-8859-3", "iso-8859-4",
	"iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-9",
	"iso-8859-10", "iso-8859-11", "iso-8859-13", "iso-8859-14",
	"iso-8859-15", "iso-8859-16", "windows-1250", "windows-1251",
	"windows-1252", "windows-1253", "windows-1254", "windows-1255",
	"windows-1256", "windows-1257", "windows-1258", "cp437", "cp850",
	"cp852", "cp855", "cp857", "cp860", "cp861", "cp862", "cp863", "cp865",
	"cp866", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255",
	"cp1256", "cp1257", "cp1258",
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* What iconv calls this charset, or NULL. */
static const char *
charset_find(struct str name)
{
	size_t i;

	for (i = 0; i < COUNT(aliases); i++)
		if (str_iis(name, aliases[i].name))
			return aliases[i].iconv;
	for (i = 0; i < COUNT(allowed); i++)
		if (str_iis(name, allowed[i]))
			return allowed[i];
	return NULL;
}

/* Length of the valid UTF-8 character at the head of s, or 0. */
static size_t
utf8_length(struct str s)
{
	unsigned char c = (unsigned char)s.at[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 :
		c < 0xf5 ? 4 : 0;

	if (n == 0 || n > s.len || !enc_is_utf8(str_sub(s, 0, n)))
		return 0;
	return n;
}

static void
add_utf8(struct buf *out, struct str s, bool ascii_only)
{
	size_t n;

	while (s.len > 0) {
		n = utf8_length(s);
		if (n == 0 || (ascii_only && n > 1)) {
			buf_adds(out, REPLACEMENT);
			n = 1;
		} else {
			buf_add(out, s.at, n);
		}
		s = str_sub(s, n, s.len);
	}
}

static void
add_iconv(struct buf *out, iconv_t cd, struct str s)
{
	char *in = (char *)s.at, *to, room[512];
	size_t left = s.len, space, before, rc;

	while (left > 0) {
		to = room;
		space = sizeof room;
		before = left;
		rc = iconv(cd, &in, &left, &to, &space);
		buf_add(out, room, sizeof room - space);
		if (rc == (size_t)-1 && errno == E2BIG &&
		    (left < before || space < sizeof room))
			continue;
		if (rc == (size_t)-1 || (left == before && left > 0)) {
			buf_adds(out, REPLACEMENT);
			if (left == 0)
				break;
			in++;
			left--;
		}
	}
	to = room;
	space = sizeof room;
	iconv(cd, NULL, NULL, &to, &space);
	buf_add(out, room, sizeof room - space);
}

static void
add_converted(struct buf *out, struct str charset, struct str bytes)
{
	const char *name = charset_find(charset);
	iconv_t cd;

	if (name == NULL || strcmp(name, "us-ascii") == 0) {
		add_utf8(out, bytes, true);
		return;
	}
	if (strcmp(name, "utf-8") == 0) {
		add_utf8(out, bytes, false);
		return;
	}
	cd = iconv_open("UTF-8", name);
	if (cd == (iconv_t)-1) {
		add_utf8(out, bytes, true);
		return;
	}
	add_iconv(out, cd, bytes);
	iconv_close(cd);
}

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

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
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
			high = hex_digit(text.at[i + 1]);
			low = hex_digit(text.at[i + 2]);
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
	add_converted(out, charset, buf_str(&bytes));
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
		add_utf8(out, str_sub(s, 0, i), false);
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
