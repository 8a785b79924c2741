/*
 * reply.c - SMTP replies as values: made, written, read from a peer.
 *
 * Leaves to others: what is said and when (the verbs), and the writing to
 * the client (the session loop). Pure; any thread.
 */
#include "mail/reply.h"

#include <stdarg.h>

#define LINE_MAX_BYTES 510	/* RFC 5321 4.5.3.1.5, less CRLF */
#define LINES_MAX 32
#define PEER_LINES_MAX 128
#define PEER_TEXT_MAX 16384

struct reply
reply_printf(struct arena *a, int code, const char *enhanced,
	const char *fmt, ...)
{
	struct reply r = {.code = code};
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	text = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	snprintf(r.enhanced, sizeof r.enhanced, "%s", enhanced ? enhanced : "");
	r.text = str_of(text, (size_t)n);
	return r;
}

/* RFC 5321 4.2: reply text is printable ASCII and blanks. A character of
 * UTF-8 becomes one '?'. */
static void
add_harmless(struct buf *out, struct str s, size_t max)
{
	size_t i;

	for (i = 0; i < s.len && max > 0; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c >= 0x80 && c < 0xc0)
			continue;
		if (c >= 0x80)
			c = '?';
		buf_addc(out, c < 0x20 || c == 0x7f ? ' ' : (char)c);
		max--;
	}
}

static struct str
next_line(struct str *text)
{
	struct str line = str_cut(text, '\n');

	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void
write_line(struct buf *out, const struct reply *r, struct str line, bool last)
{
	size_t start = out->len, used;

	buf_addf(out, "%03d", r->code);
	if (last && line.len == 0 && r->enhanced[0] == '\0') {
		/* RFC 4954 section 8: the blank belongs to the challenge. */
		buf_adds(out, r->code == 334 ? " \r\n" : "\r\n");
		return;
	}
	buf_addc(out, last ? ' ' : '-');
	if (r->enhanced[0] != '\0') {
		buf_adds(out, r->enhanced);
		if (line.len > 0)
			buf_addc(out, ' ');
	}
	used = out->len - start;
	add_harmless(out, line, LINE_MAX_BYTES - used);
	buf_adds(out, "\r\n");
}

void
reply_write(struct buf *out, const struct reply *r)
{
	struct str text = r->text, line;
	unsigned n = 0;

	if (r->code == 0)
		return;
	/* A final line end is no line of its own. */
	while (text.len > 0 && (text.at[text.len - 1] == '\n' ||
	    text.at[text.len - 1] == '\r'))
		text.len--;
	do {
		line = next_line(&text);
		n++;
		write_line(out, r, line, text.len == 0 || n == LINES_MAX);
	} while (text.len > 0 && n < LINES_MAX);
}

void
reply_line(struct buf *out, const struct reply *r)
{
	struct str text = r->text, line;
	const char *gap = "";

	buf_addf(out, "%03d", r->code);
	if (r->enhanced[0] != '\0')
		buf_addf(out, " %s", r->enhanced);
	if (text.len > 0)
		buf_addc(out, ' ');
	while (text.len > 0) {
		line = str_trim(next_line(&text));
		if (line.len == 0)
			continue;
		buf_adds(out, gap);
		add_harmless(out, line, LINE_MAX_BYTES);
		gap = "; ";
	}
}

/* RFC 3463 section 2: class 2, 4 or 5, then 1*3digit twice. */
size_t
reply_enhanced(struct str s, int code)
{
	size_t i = 1, part, digits;

	if (s.len < 5 || s.at[0] != '0' + code / 100 ||
	    (s.at[0] != '2' && s.at[0] != '4' && s.at[0] != '5'))
		return 0;
	for (part = 0; part < 2; part++) {
		if (i >= s.len || s.at[i++] != '.')
			return 0;
		for (digits = 0; i < s.len && is_digit(s.at[i]); digits++)
			i++;
		if (digits < 1 || digits > 3)
			return 0;
	}
	if (i < s.len && !is_blank(s.at[i]))
		return 0;
	return i;
}

/* A peer may send lines without end: what is beyond the bounds is dropped,
 * so that the arena stays small. */
static void
append_text(struct arena *a, struct reply *r, struct str text)
{
	size_t i, lines = 0, len = r->text.len;
	char *at;

	for (i = 0; i < len; i++)
		lines += r->text.at[i] == '\n';
	if (lines >= PEER_LINES_MAX || len + text.len + 1 > PEER_TEXT_MAX)
		return;
	at = arena_alloc(a, len + text.len + 2);
	if (len > 0)
		memcpy(at, r->text.at, len);
	if (r->text.at != NULL)
		at[len++] = '\n';
	if (text.len > 0)
		memcpy(at + len, text.at, text.len);
	r->text = str_of(at, len + text.len);
}

int
reply_parse(struct str line, struct arena *a, struct reply *r)
{
	struct str text;
	size_t n;
	bool more;

	while (line.len > 0 && (line.at[line.len - 1] == '\n' ||
	    line.at[line.len - 1] == '\r'))
		line.len--;
	if (line.len < 3 || line.at[0] < '2' || line.at[0] > '5' ||
	    !is_digit(line.at[1]) || !is_digit(line.at[2]))
		return -1;
	if (line.len > 3 && line.at[3] != ' ' && line.at[3] != '-')
		return -1;
	more = line.len > 3 && line.at[3] == '-';
	r->code = (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 +
		line.at[2] - '0';
	text = str_sub(line, 4, line.len);
	n = reply_enhanced(text, r->code);
	if (n > 0) {
		memcpy(r->enhanced, text.at, n);
		r->enhanced[n] = '\0';
		text = str_trim_blank(str_sub(text, n, text.len));
	}
	append_text(a, r, text);
	return more ? 0 : 1;
}
