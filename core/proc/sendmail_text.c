/*
 * sendmail_text.c - a message from standard input: line ends, the recipients
 * that its header names (-t), and the fields a program may leave out. Date
 * and Message-ID are left to the server, as for all submissions.
 */
#include "proc/sendmail.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "mail/addr.h"
#include "mail/header.h"

#define LINE_MOST (1 << 20)
#define TEXT_MOST (1u << 30)

bool
sendmail_line(FILE *in, struct buf *line)
{
	char *text = NULL;
	size_t room = 0;
	ssize_t n = getline(&text, &room, in);

	buf_reset(line);
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0 && text[n - 1] == '\r')
		n--;
	if (n > 0)
		buf_add(line, text, (size_t)n);
	free(text);
	return n >= 0;
}

/* ----------------------------------------------------------------- header */

static bool
is_header_line(struct str line, bool is_first)
{
	size_t colon = str_find(line, ':');

	if (!is_first && line.len && is_blank(line.at[0]))
		return true;
	return colon < line.len && colon > 0 &&
		!str_has_byte(str_sub(line, 0, colon), ' ');
}

/* All of To, Cc and Bcc. The core takes Bcc out of what is submitted. */
static bool
take_recipients(struct sendmail *s, struct str header)
{
	struct header_field f;
	struct addr_item item;

	while (header_next(&header, &f)) {
		struct str list = f.value;

		if (!str_iis(f.name, "To") && !str_iis(f.name, "Cc") &&
			!str_iis(f.name, "Bcc"))
			continue;
		while (addr_list_next(&list, &s->arena, &item)) {
			if (item.group_start || item.group_end)
				continue;
			if (!sendmail_add_rcpt(s, arena_printf(&s->arena,
				"%.*s%s%.*s", STR_ARGS(item.local),
				item.domain.len ? "@" : "",
				STR_ARGS(item.domain))))
				return false;
		}
	}
	return true;
}

static bool
has_field(struct str header, const char *name)
{
	struct header_field f;

	while (header_next(&header, &f))
		if (str_iis(f.name, name))
			return true;
	return false;
}

static void
add_from(const struct sendmail *s, struct buf *out)
{
	const char *p = s->full_name ? s->full_name : "";

	buf_adds(out, "From: ");
	if (*p) {
		buf_addc(out, '"');
		for (; *p; p++) {
			if (*p == '"' || *p == '\\')
				buf_addc(out, '\\');
			if ((unsigned char)*p >= ' ')
				buf_addc(out, *p);
		}
		buf_adds(out, "\" ");
	}
	buf_addc(out, '<');
	buf_addstr(out, s->drop.sender);
	buf_adds(out, ">\r\n");
}

/* ------------------------------------------------------------------- read */

/* Up to the empty line, or the first line that is none of a header (then the
 * body begins there, kept in *line). false: the input ended. */
static bool
read_header(FILE *in, struct buf *header, struct buf *line)
{
	while (sendmail_line(in, line)) {
		struct str l = buf_str(line);

		/* "From alice Thu Jan 1": of mailbox files. */
		if (!header->len && str_starts(l, "From "))
			continue;
		if (!l.len || !is_header_line(l, !header->len))
			return true;
		buf_addstr(header, l);
		buf_adds(header, "\r\n");
	}
	return false;
}

static void
read_body(const struct sendmail *s, FILE *in, struct buf *line,
	struct buf *text)
{
	do {
		if (!s->dot_is_text && str_is(buf_str(line), "."))
			return;
		buf_addstr(text, buf_str(line));
		buf_adds(text, "\r\n");
	} while (!text->full && sendmail_line(in, line));
}

int
sendmail_read(struct sendmail *s, struct buf *text)
{
	struct buf line, header;
	bool more;
	int code = 0;

	buf_init(&line, LINE_MOST);
	buf_init(&header, LINE_MOST * 4);
	text->cap = TEXT_MOST;
	more = read_header(stdin, &header, &line);
	if (s->from_header && !take_recipients(s, buf_str(&header))) {
		fputs("sendmail: a recipient in the message is not an "
			"address\n", stderr);
		code = EX_DATAERR;
	}
	if (!has_field(buf_str(&header), "From"))
		add_from(s, text);
	buf_addstr(text, buf_str(&header));
	buf_adds(text, "\r\n");
	/* An empty line was the border; another one belongs to the body. */
	if (more && (line.len || sendmail_line(stdin, &line)))
		read_body(s, stdin, &line, text);
	if (ferror(stdin)) {
		perror("sendmail: standard input");
		code = EX_IOERR;
	} else if (text->full || header.full) {
		fputs("sendmail: the message is too large\n", stderr);
		code = EX_DATAERR;
	}
	buf_free(&line);
	buf_free(&header);
	return code;
}
