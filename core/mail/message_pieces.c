/*
 * message_pieces.c - the final bytes of a message, as pieces for the store.
 *
 * Received ranges that follow each other become one piece, so that a message
 * without edits is our own fields and the exact bytes that came. An empty
 * line is put in only where the meaning would change without it:
 *
 * - the message began with a line that is no field and not empty, so it has
 *   no header section, and now fields stand on top of it;
 * - the header section had no end of its own and the body was replaced, so
 *   that the new body cannot be read as fields.
 */
#include "mail/message_parts.h"

struct list {
	struct message *m;
	struct mr_piece *piece;
	size_t n, room;
	uint64_t length;
	uint64_t from, to;	/* received range not yet in the list */
	bool open_line;		/* what came last has no line end */
};

static void
list_add(struct list *l, struct mr_piece p)
{
	struct mr_piece *old = l->piece;

	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 8;
		l->piece = arena_alloc(l->m->arena,
			l->room * sizeof *l->piece);
		if (l->n > 0)
			memcpy(l->piece, old, l->n * sizeof *old);
	}
	l->piece[l->n++] = p;
	l->length += p.length;
}

static void
add_range(struct list *l, const struct spool *s, uint64_t from, uint64_t len)
{
	struct mr_piece p[2];
	size_t n = spool_pieces(s, from, len, p), i;

	for (i = 0; i < n; i++)
		list_add(l, p[i]);
}

static void
flush_received(struct list *l)
{
	add_range(l, &l->m->raw, l->from, l->to - l->from);
	l->from = l->to = 0;
}

static void
add_received(struct list *l, uint64_t from, uint64_t to)
{
	if (from == to)
		return;
	if (l->to != from) {
		flush_received(l);
		l->from = from;
	}
	l->to = to;
}

static void
add_text(struct list *l, struct str s)
{
	if (s.len == 0)
		return;
	flush_received(l);
	list_add(l, (struct mr_piece){.mem = s.at, .fd = -1,
		.length = s.len});
}

static void
add_items(struct list *l)
{
	size_t i;

	for (i = 0; i < l->m->n_item; i++) {
		const struct item *it = l->m->item[i];

		if (it->text.len == 0)
			continue;
		if (l->open_line)
			add_text(l, STR("\r\n"));
		if (it->is_received)
			add_received(l, it->at, it->at + it->text.len);
		else
			add_text(l, it->text);
		l->open_line = it->text.at[it->text.len - 1] != '\n';
	}
}

static void
add_empty_line(struct list *l, bool has_items)
{
	struct message *m = l->m;

	if (m->body_at > m->header_end) {
		add_received(l, m->header_end, m->body_at);
		return;
	}
	if (message_body_length(m) == 0 ||
	    (m->body == NULL && (!has_items || m->had_fields)))
		return;
	if (l->open_line)
		add_text(l, STR("\r\n"));
	add_text(l, STR("\r\n"));
}

static int
add_body(struct list *l, struct err *e)
{
	struct message *m = l->m;

	if (m->body == NULL) {
		add_received(l, m->body_at, m->raw.length);
		flush_received(l);
		return 0;
	}
	flush_received(l);
	if (spool_flush(&m->body->spool, e) < 0)
		return -1;
	add_range(l, &m->body->spool, 0, m->body->spool.length);
	add_text(l, str_sub(STR("\r\n"), 0, body_missing_end(m->body)));
	return 0;
}

int
message_pieces(struct message *m, struct mr_piece **out, size_t *n,
	uint64_t *length, struct err *e)
{
	struct list l = {.m = m};

	add_items(&l);
	add_empty_line(&l, l.n > 0 || l.to > 0);
	if (add_body(&l, e) < 0)
		return -1;
	*out = l.piece;
	*n = l.n;
	*length = l.length;
	return 0;
}
