/*
 * smtp_body.c - reading DATA and BDAT. Small machines over large views: whole
 * lines are found by memchr and passed on in one piece.
 *
 * The state is where we stand between views: at the start of a line, inside
 * one, behind a CR whose LF has not come yet, or behind a dot at the start.
 */
#include "serve/smtp_body.h"

enum where { AT_START, INSIDE, BEHIND_CR, BEHIND_DOT, BEHIND_DOT_CR };

struct reader {
	struct message *m;
	uint64_t most, length;
	enum where where;
	enum smtp_body fault;
	struct err *e;
	bool ended;
};

static void
blame(struct reader *r, enum smtp_body fault)
{
	if (r->fault == SMTP_BODY_OK)
		r->fault = fault;
}

static void
keep(struct reader *r, const char *at, size_t n)
{
	if (r->fault != SMTP_BODY_OK || n == 0)
		return;
	r->length += n;
	if (r->length > r->most)
		r->fault = SMTP_BODY_TOO_LARGE;
	else if (message_write(r->m, str_of(at, n), r->e) < 0)
		r->fault = SMTP_BODY_SPOOL;
}

/* A run of bytes without CR and LF. */
static void
take_text(struct reader *r, const char *at, size_t n)
{
	if (memchr(at, '\0', n))
		blame(r, SMTP_BODY_NUL);
	keep(r, at, n);
	r->where = INSIDE;
}

/* What a state makes of the byte after it, before the byte is looked at by
 * itself: a CR that is not followed by LF was bare. */
static void
settle_cr(struct reader *r, char next)
{
	if (next == '\n')
		return;
	blame(r, SMTP_BODY_BARE);
	r->where = INSIDE;
}

static void
take_lf(struct reader *r)
{
	if (r->where == BEHIND_DOT_CR) {
		r->ended = true;
	} else if (r->where == BEHIND_CR) {
		keep(r, "\r\n", 2);
		r->where = AT_START;
	} else {
		blame(r, SMTP_BODY_BARE);
		r->where = INSIDE;	/* a bare LF begins no line */
	}
}

static void
take_cr(struct reader *r)
{
	r->where = r->where == BEHIND_DOT ? BEHIND_DOT_CR : BEHIND_CR;
}

/* Consumes what it can of the view; returns how much. */
static size_t
take(struct reader *r, struct str view)
{
	size_t i = 0, n;

	while (i < view.len && !r->ended) {
		char c = view.at[i];

		if (r->where == BEHIND_CR || r->where == BEHIND_DOT_CR)
			settle_cr(r, c);
		if (c == '\n') {
			take_lf(r);
			i++;
		} else if (c == '\r') {
			take_cr(r);
			i++;
		} else if (c == '.' && r->where == AT_START) {
			r->where = BEHIND_DOT;	/* stuffed, or the end */
			i++;
		} else {
			n = str_find(str_sub(view, i, view.len), '\r');
			n = str_find(str_sub(view, i, n), '\n');
			take_text(r, view.at + i, n);
			i += n;
		}
	}
	return i;
}

enum smtp_body
smtp_body_read(struct stream *s, struct message *m, uint64_t most,
	struct err *e)
{
	struct reader r = {.m = m, .most = most, .where = AT_START,
		.fault = SMTP_BODY_OK, .e = e};
	struct str view;

	while (!r.ended) {
		view = stream_peek(s);
		if (!view.len)
			return SMTP_BODY_LOST;
		stream_consume(s, take(&r, view));
	}
	return r.fault;
}

/* ----------------------------------------------------------------- chunks */

void
smtp_chunks_init(struct smtp_chunks *c, struct message *m, uint64_t most,
	bool is_binary)
{
	*c = (struct smtp_chunks){.m = m, .most = most, .in_header = true,
		.is_binary = is_binary, .fault = SMTP_BODY_OK};
}

static bool
is_strict(const struct smtp_chunks *c)
{
	return c->in_header || !c->is_binary;
}

static void
blame_chunk(struct smtp_chunks *c, enum smtp_body fault)
{
	if (c->fault == SMTP_BODY_OK && is_strict(c))
		c->fault = fault;
}

/* One CR, LF or NUL, or a run of other bytes. */
static void
check_run(struct smtp_chunks *c, struct str run)
{
	char first = run.at[0];

	if (c->behind_cr && first != '\n')
		blame_chunk(c, SMTP_BODY_BARE);
	if (first == '\n') {
		if (!c->behind_cr)
			blame_chunk(c, SMTP_BODY_BARE);
		else if (!c->line)
			c->in_header = false;
		c->line = 0;
	} else if (first != '\r') {
		c->line = 1;
		if (memchr(run.at, '\0', run.len))
			blame_chunk(c, SMTP_BODY_NUL);
	}
	c->behind_cr = first == '\r';
}

static void
check_view(struct smtp_chunks *c, struct str view)
{
	size_t n;

	for (; view.len && c->fault == SMTP_BODY_OK && (is_strict(c) ||
		c->behind_cr); view = str_sub(view, n, view.len)) {
		n = 1;
		if (view.at[0] != '\r' && view.at[0] != '\n') {
			n = str_find(view, '\r');
			n = str_find(str_sub(view, 0, n), '\n');
		}
		check_run(c, str_sub(view, 0, n));
	}
}

static void
keep_view(struct smtp_chunks *c, struct str view)
{
	c->length += view.len;
	if (c->length > c->most && c->fault == SMTP_BODY_OK)
		c->fault = SMTP_BODY_TOO_LARGE;
	check_view(c, view);
	if (c->fault == SMTP_BODY_OK && message_write(c->m, view, &c->e) < 0)
		c->fault = SMTP_BODY_SPOOL;
}

bool
smtp_chunks_read(struct smtp_chunks *c, struct stream *s, uint64_t length)
{
	struct str view;

	while (length) {
		view = stream_peek(s);
		if (!view.len)
			return false;
		if (view.len > length)
			view.len = (size_t)length;
		if (c->m && c->fault == SMTP_BODY_OK)
			keep_view(c, view);
		length -= view.len;
		stream_consume(s, view.len);
	}
	return true;
}

enum smtp_body
smtp_chunks_end(struct smtp_chunks *c)
{
	if (c->behind_cr)
		blame_chunk(c, SMTP_BODY_BARE);
	return c->fault;
}
