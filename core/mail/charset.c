/*
 * charset.c - text of the charsets of mail to UTF-8, by iconv and an
 * allow-list. Pure; any thread.
 */
#include "mail/charset.h"

#include <errno.h>
#include <iconv.h>

#include "base/arena.h"
#include "base/enc.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define LONGEST 16		/* bytes of one character, shifts included */

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

/* Most text is ASCII, and is copied by the run. */
static size_t
ascii_length(struct str s)
{
	size_t n = 0;

	while (n < s.len && (signed char)s.at[n] > 0)
		n++;
	return n;
}

static void
add_utf8(struct buf *out, struct str s, bool ascii_only)
{
	size_t n;

	while (s.len > 0) {
		n = ascii_length(s);
		if (n == 0)
			n = utf8_length(s);
		if (n == 0 || (ascii_only && (signed char)s.at[0] < 0)) {
			buf_adds(out, REPLACEMENT);
			n = 1;
		} else {
			buf_add(out, s.at, n);
		}
		s = str_sub(s, n, s.len);
	}
}

void
charset_check_utf8(struct buf *out, struct str text)
{
	add_utf8(out, text, false);
}

bool
charset_is_known(struct str name)
{
	return charset_find(name) != NULL;
}

/* Converts what it can. What is left at the end, returned, is the beginning
 * of a character; with `all` it is replaced like other broken bytes. */
static struct str
add_iconv(struct buf *out, iconv_t cd, struct str s, bool all)
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
		if (rc == (size_t)-1 && errno == EINVAL && !all &&
		    left < LONGEST)
			break;
		if (rc == (size_t)-1 || (left == before && left > 0)) {
			buf_adds(out, REPLACEMENT);
			if (left == 0)
				break;
			in++;
			left--;
		}
	}
	return str_of(in, left);
}

/* Back to the first state of a charset with shifts. */
static void
finish_iconv(struct buf *out, iconv_t cd)
{
	char room[64], *to = room;
	size_t space = sizeof room;

	iconv(cd, NULL, NULL, &to, &space);
	buf_add(out, room, sizeof room - space);
}

void
charset_convert(struct buf *out, struct str charset, struct str text)
{
	const char *name = charset_find(charset);
	bool is_utf8 = name != NULL && strcmp(name, "utf-8") == 0;
	iconv_t cd = (iconv_t)-1;

	if (name != NULL && !is_utf8 && strcmp(name, "us-ascii") != 0)
		cd = iconv_open("UTF-8", name);
	if (cd == (iconv_t)-1) {
		add_utf8(out, text, !is_utf8);
		return;
	}
	add_iconv(out, cd, text, true);
	finish_iconv(out, cd);
	iconv_close(cd);
}

/* ---------------------------------------------------------- in pieces */

struct charset {
	iconv_t cd;
	char cut[LONGEST];	/* a character whose end has not come */
	size_t n_cut;
};

struct charset *
charset_new(struct str name)
{
	const char *known = charset_find(name);
	struct charset *c;
	iconv_t cd;

	if (known == NULL || strcmp(known, "utf-8") == 0 ||
	    strcmp(known, "us-ascii") == 0)
		return NULL;
	cd = iconv_open("UTF-8", known);
	if (cd == (iconv_t)-1)
		return NULL;
	c = mem_alloc(sizeof *c);
	c->cd = cd;
	return c;
}

void
charset_add(struct charset *c, struct buf *out, struct str bytes)
{
	struct buf joined;
	struct str left;

	buf_init(&joined, BUF_NO_CAP);
	if (c->n_cut > 0) {
		buf_add(&joined, c->cut, c->n_cut);
		buf_addstr(&joined, bytes);
		bytes = buf_str(&joined);
	}
	left = add_iconv(out, c->cd, bytes, false);
	memcpy(c->cut, left.at, left.len);
	c->n_cut = left.len;
	buf_free(&joined);
}

void
charset_end(struct charset *c, struct buf *out)
{
	add_iconv(out, c->cd, str_of(c->cut, c->n_cut), true);
	c->n_cut = 0;
	finish_iconv(out, c->cd);
}

void
charset_free(struct charset *c)
{
	if (c == NULL)
		return;
	iconv_close(c->cd);
	free(c);
}
