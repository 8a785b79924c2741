/*
 * log.c - lines to a descriptor. The settings are written once before
 * threads start and only read afterwards; a line is built on the caller's
 * stack and written with one write(2).
 */
#include "base/log.h"

#include <unistr.h>

#include "base/buf.h"
#include "base/clock.h"

#define LINE_MOST 4096		/* PIPE_BUF: longer ones may be torn apart */
#define TEXT_END (LINE_MOST - 64)	/* room for the end of the line */
#define VALUE_MOST 1024		/* so that one cannot crowd out the others */
#define PLAIN_MOST 200

static int log_fd = 2;
static enum log_level log_least = LOG_INFO;
static bool log_json;
static const char *log_role = "";

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void
log_open(int fd, enum log_level least, bool json, const char *role)
{
	log_fd = fd;
	log_least = least;
	log_json = json;
	log_role = role;
}

/* How many bytes at the front are one character that may stand as it is; 0:
 * the first byte must be escaped. Beyond ASCII that concerns what is no UTF-8
 * and what some readers take for a control or a line end. */
static size_t
harmless(struct str s)
{
	ucs4_t c;
	int n = u8_mbtoucr(&c, (const uint8_t *)s.at, s.len);

	if (n <= 0 || c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
		c == 0x2029 || c == '"' || c == '\\')
		return 0;
	return (size_t)n;
}

static bool
is_plain(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c <= ' ' || c >= 127 || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return s.len > 0 && s.len < PLAIN_MOST;
}

/* Stops where it would grow too long; false then. */
static bool
add_quoted(struct buf *b, struct str s)
{
	size_t i, n, end = b->len + VALUE_MOST;

	if (end > TEXT_END)
		end = TEXT_END;
	buf_addc(b, '"');
	for (i = 0; i < s.len && b->len < end; i += n ? n : 1) {
		unsigned char c = (unsigned char)s.at[i];

		n = harmless(str_sub(s, i, s.len));
		if (n)
			buf_add(b, s.at + i, n);
		else if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else	/* bytes, in JSON as Latin-1 */
			buf_addf(b, log_json ? "\\u%04x" : "\\x%02x", c);
	}
	buf_adds(b, i < s.len ? "...\"" : "\"");
	return i == s.len;
}

/* false: its text was cut. */
static bool
add_field(struct buf *b, const struct log_field *f)
{
	buf_addf(b, log_json ? ",\"%s\":" : " %s=", f->key);
	if (f->is_number)
		buf_addf(b, "%lld", (long long)f->number);
	else if (!log_json && is_plain(f->text))
		buf_addstr(b, f->text);
	else
		return add_quoted(b, f->text);
	return true;
}

void
log_write(enum log_level level, const char *event,
	const struct log_field *fields, size_t n)
{
	bool whole = true;
	char when[32];
	struct buf b;
	ssize_t written;
	size_t i;

	if (level < log_least)
		return;
	clock_iso(clock_wall(), when);
	buf_init(&b, LINE_MOST);
	buf_addf(&b, log_json ? "{\"time\":\"%s\",\"level\":\"%s\","
		"\"event\":\"%s\",\"role\":\"%s\"" : "%s %s %s role=%s", when,
		level_names[level], event, log_role);
	for (i = 0; i < n && b.len < TEXT_END - PLAIN_MOST; i++)
		whole = add_field(&b, &fields[i]) && whole;
	if (!whole || i < n)	/* a line is never cut silently */
		buf_adds(&b, log_json ? ",\"cut\":1" : " cut=1");
	buf_adds(&b, log_json ? "}\n" : "\n");
	written = write(log_fd, b.at, b.len);
	(void)written;	/* there is nowhere else to say it */
	buf_free(&b);
}
