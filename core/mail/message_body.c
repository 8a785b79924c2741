/*
 * message_body.c - the body of a message as it stands, and its replacement
 * by a filter.
 *
 * A replacement is a spool of its own; the received bytes stay as they are.
 * Lines become CRLF on the way in (a lone CR or LF is a line end too); a CR
 * at the end of a chunk waits for the next one, and a missing last line end
 * is made up when the body is read, because more chunks may come. The
 * session's thread; may block on disk.
 */
#include "mail/message_parts.h"

static struct body *
body_new(struct message *m)
{
	struct body *b = arena_alloc(m->arena, sizeof *b);

	spool_init(&b->spool, m->dir, m->memory_limit);
	b->last = '\n';
	b->next = m->bodies;
	m->bodies = b;
	return b;
}

static int
body_write(struct body *b, const char *at, size_t len, struct err *e)
{
	if (len == 0)
		return 0;
	b->last = at[len - 1];
	return spool_write(&b->spool, at, len, e);
}

static int
body_end_line(struct body *b, struct err *e)
{
	b->has_cr = false;
	return body_write(b, "\r\n", 2, e);
}

/* A line end that a CR began is done by whatever comes next. */
static int
body_add(struct body *b, struct str s, struct err *e)
{
	size_t i, from = 0;

	if (!s.len)		/* then there may be no bytes to point at */
		return 0;
	for (i = 0; i < s.len; i++) {
		char c = s.at[i];
		bool ends = b->has_cr || c == '\n';

		if (!ends && c != '\r')
			continue;
		if (body_write(b, s.at + from, i - from, e) < 0 ||
		    (ends && body_end_line(b, e) < 0))
			return -1;
		b->has_cr = c == '\r';
		from = c == '\r' || c == '\n' ? i + 1 : i;
	}
	return body_write(b, s.at + from, i - from, e);
}

size_t
body_missing_end(const struct body *b)
{
	return b->has_cr || b->last != '\n' ? 2 : 0;
}

static bool
is_replaced_since_mark(const struct message *m)
{
	size_t i;

	for (i = m->mark; i < m->n_edit; i++)
		if (m->edit[i].new_body != NULL)
			return true;
	return false;
}

int
message_body_replace(struct message *m, const char *who, struct str bytes,
	struct err *e)
{
	if (!is_replaced_since_mark(m)) {
		struct edit *edit = message_edit_new(m, who);

		edit->old_body = m->body;
		edit->new_body = m->body = body_new(m);
	}
	return body_add(m->body, bytes, e);
}

uint64_t
message_body_length(struct message *m)
{
	if (m->body == NULL)
		return m->raw.length - m->body_at;
	return m->body->spool.length + body_missing_end(m->body);
}

static int64_t
read_replaced(struct body *b, uint64_t offset, char *out, size_t len,
	struct err *e)
{
	uint64_t end = b->spool.length;
	int64_t n;

	if (spool_flush(&b->spool, e) < 0)
		return -1;
	n = spool_read(&b->spool, offset, out, len, e);
	if (n < 0)
		return -1;
	while ((size_t)n < len && offset + (uint64_t)n - end <
	    body_missing_end(b)) {
		out[n] = "\r\n"[offset + (uint64_t)n - end];
		n++;
	}
	return n;
}

int64_t
message_body_read(struct message *m, uint64_t offset, void *out, size_t len,
	struct err *e)
{
	if (m->body != NULL)
		return read_replaced(m->body, offset, out, len, e);
	return spool_read(&m->raw, m->body_at + offset, out, len, e);
}

int
message_body_file(struct message *m, uint64_t *from, uint64_t *offset)
{
	uint64_t len = message_body_length(m);
	struct mr_piece piece[2];
	size_t n;

	if (m->body != NULL || m->raw.fd < 0)
		return -1;
	n = spool_pieces(&m->raw, m->body_at, len, piece);
	if (n == 0 || piece[n - 1].fd < 0)
		return -1;
	*from = len - piece[n - 1].length;
	*offset = piece[n - 1].offset;
	return piece[n - 1].fd;
}
