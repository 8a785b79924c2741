/*
 * log.c - lines to a descriptor. The settings are written once before
 * threads start and only read afterwards; a line is built on the caller's
 * stack and written with one write(2).
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#define LINE_MOST 4096

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

static bool
is_plain(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c <= ' ' || c == 127 || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return s.len > 0;
}

static void
add_json_string(struct buf *b, struct str s)
{
	size_t i;

	buf_addc(b, '"');
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < ' ' || c >= 127)	/* bytes, as Latin-1 */
			buf_addf(b, "\\u%04x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

static void
add_quoted(struct buf *b, struct str s)
{
	size_t i;

	buf_addc(b, '"');
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < ' ' || c == 127)
			buf_addf(b, "\\x%02x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

static void
add_field(struct buf *b, const struct log_field *f)
{
	if (log_json) {
		buf_addf(b, ",\"%s\":", f->key);
		if (f->is_number)
			buf_addf(b, "%lld", (long long)f->number);
		else
			add_json_string(b, f->text);
		return;
	}
	buf_addf(b, " %s=", f->key);
	if (f->is_number)
		buf_addf(b, "%lld", (long long)f->number);
	else if (is_plain(f->text))
		buf_addstr(b, f->text);
	else
		add_quoted(b, f->text);
}

void
log_write(enum log_level level, const char *event,
	const struct log_field *fields, size_t n)
{
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
	for (i = 0; i < n; i++)
		add_field(&b, &fields[i]);
	if (b.full)	/* a line is never cut silently */
		memcpy(b.at + b.len - 4, "....", 4);
	b.cap = LINE_MOST + 4;
	buf_adds(&b, log_json && !b.full ? "}\n" : "\n");
	written = write(log_fd, b.at, b.len);
	(void)written;	/* there is nowhere else to say it */
	buf_free(&b);
}
