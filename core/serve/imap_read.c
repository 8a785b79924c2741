/*
 * imap_read.c - a whole IMAP command off the wire (RFC 9051 section 2.2.1,
 * literals as in section 4.3 and RFC 7888).
 *
 * A command is a line; when that ends in "{n}" a literal of n bytes follows
 * and then another line. What must not happen here is to lose step: bytes of
 * a literal that we do not want are never taken for commands. A synchronising
 * literal is refused by not asking for it; the others are read and dropped.
 *
 * The line is under the stream's time limit, a command as a whole under
 * twice that and a second more for each KiB.
 */
#include "serve/imap_parse.h"

#include "base/buf.h"
#include "base/clock.h"

#define LINE_MOST 32000
#define DROP_MOST (256LL << 20)	/* of a literal that nobody wants */

struct reader {
	struct stream *stream;
	struct arena *arena;
	struct buf text;	/* the arguments so far */
	int64_t started;
	const char *wrong;
	bool too_long;
};

static struct reader
reader_new(struct stream *s, struct arena *a)
{
	struct reader r = {.stream = s, .arena = a, .started = clock_mono()};

	buf_init(&r.text, IMAP_COMMAND_MOST);
	return r;
}

/* Someone who sends a byte a minute must not hold a thread for days. */
static bool
is_in_time(struct stream *s, int64_t started, uint64_t bytes)
{
	if (s->limit == CLOCK_NEVER || clock_mono() - started <=
		2 * s->limit + (int64_t)bytes)
		return true;
	stream_fail(s, ERR_TIMEOUT, "command takes too long");
	return false;
}

/* ------------------------------------------------------------- literals */

/* "{12}", "{12+}", "~{12}" at the end of a line; *line loses it. */
static bool
cut_literal(struct str *line, struct imap_literal *out)
{
	size_t open = str_rfind(*line, '{');
	struct str digits;
	uint64_t length;
	bool plus;

	if (open == line->len || line->at[line->len - 1] != '}')
		return false;
	digits = str_sub(*line, open + 1, line->len - open - 2);
	plus = str_ends(digits, "+");
	digits.len -= plus;
	if (!str_u64(digits, INT64_MAX, &length))
		return false;
	*out = (struct imap_literal){.length = length,
		.synchronising = !plus,
		.binary = open > 0 && line->at[open - 1] == '~'};
	*line = str_sub(*line, 0, open - out->binary);
	return true;
}

static bool
drop(struct stream *s, uint64_t length)
{
	int64_t started = clock_mono();
	uint64_t done = 0;
	struct str have;

	if (length > DROP_MOST) {
		stream_puts(s, "* BYE Literal is too large\r\n");
		stream_flush(s);
		stream_fail(s, ERR_PROTOCOL, "literal is too large");
		return false;
	}
	while (done < length && is_in_time(s, started, done)) {
		have = stream_peek(s);
		if (!have.len) {
			stream_fail(s, ERR_CLOSED, "connection closed");
			return false;
		}
		have.len = have.len < length - done ? have.len :
			(size_t)(length - done);
		stream_consume(s, have.len);
		done += have.len;
	}
	return done == length;
}

/* Into the text, in the form in which it came. */
static bool
keep(struct reader *r, const struct imap_literal *l)
{
	struct str have;
	size_t left = (size_t)l->length;

	buf_addf(&r->text, "%s{%zu}\r\n", l->binary ? "~" : "", left);
	while (left && is_in_time(r->stream, r->started, r->text.len)) {
		have = stream_peek(r->stream);
		if (!have.len) {
			stream_fail(r->stream, ERR_CLOSED,
				"connection closed");
			return false;
		}
		have.len = have.len < left ? have.len : left;
		if (!l->binary && str_has_byte(have, '\0'))
			r->wrong = "NUL in a literal";
		buf_addstr(&r->text, have);
		stream_consume(r->stream, have.len);
		left -= have.len;
	}
	return left == 0;
}

enum step { STEP_ON, STEP_END, STEP_LOST };

static enum step
take_literal(struct reader *r, const struct imap_literal *l)
{
	bool keeps = !r->wrong && !r->too_long;

	if (keeps && (l->length > IMAP_LITERAL_MOST ||
		l->length + r->text.len + LINE_MOST > IMAP_COMMAND_MOST)) {
		r->too_long = true;
		keeps = false;
	}
	if (!keeps && l->synchronising)
		return STEP_END;	/* the tagged answer stands for "no" */
	if (!keeps)
		return drop(r->stream, l->length) ? STEP_ON : STEP_LOST;
	if (l->synchronising) {
		stream_puts(r->stream, "+ OK\r\n");
		if (!stream_flush(r->stream))
			return STEP_LOST;
	}
	return keep(r, l) ? STEP_ON : STEP_LOST;
}

/* ---------------------------------------------------------------- lines */

static bool
take_line(struct reader *r, struct str *line)
{
	enum stream_line how;

	if (!is_in_time(r->stream, r->started, r->text.len))
		return false;
	how = stream_line(r->stream, LINE_MOST, line);
	if (how == STREAM_LINE_BARE)
		r->wrong = "Lines must end in CR LF and hold no other CR or LF";
	if (how == STREAM_LINE_LONG)
		r->too_long = true;
	if (str_has_byte(*line, '\0'))
		r->wrong = "NUL in a command";
	return how != STREAM_LINE_FAILED;
}

static bool
is_tag(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] == 127 ||
			memchr("(){%*\"\\+", s.at[i], 8))
			return false;
	return s.len > 0;
}

/* Tag and verb of the first line; *line becomes what follows them. */
static void
take_head(struct reader *r, struct imap_command *c, struct str *line)
{
	struct str tag = str_cut(line, ' ');

	if (!is_tag(tag)) {
		r->wrong = "A command begins with a tag";
		return;
	}
	c->tag = arena_str(r->arena, tag);
	c->verb = str_cut(line, ' ');
	if (str_iis(c->verb, "UID") && line->len) {
		c->uid = true;
		c->verb = str_cut(line, ' ');
	}
	c->verb = arena_str(r->arena, c->verb);
	if (!c->verb.len && !r->wrong)
		r->wrong = "A command is missing";
}

/* The number in front of the mailbox of REPLACE (RFC 8508). */
static bool
skip_number(struct imap_in *in)
{
	struct mr_range *set;
	size_t n;
	bool saved;

	return imap_set(in, &set, &n, &saved) && imap_blank(in);
}

/* Whether the text ends where the message of an APPEND or REPLACE is due. */
static bool
is_message(struct reader *r, const struct imap_command *c)
{
	struct imap_in in = {buf_str(&r->text), r->arena, NULL};
	bool replaces = str_iis(c->verb, "REPLACE");
	struct str name;

	if (r->wrong || r->too_long || (!replaces &&
		(c->uid || !str_iis(c->verb, "APPEND"))))
		return false;
	return (!replaces || skip_number(&in)) && imap_astring(&in, &name) &&
		imap_blank(&in);
}

static enum imap_got
finish(struct reader *r, struct imap_command *c, enum imap_got got)
{
	if (got == IMAP_GOT_COMMAND && (r->too_long || r->text.full))
		got = IMAP_GOT_LONG;
	else if (got == IMAP_GOT_COMMAND && r->wrong)
		got = IMAP_GOT_BAD;
	c->in = (struct imap_in){arena_str(r->arena, buf_str(&r->text)),
		r->arena, r->wrong};
	buf_free(&r->text);
	return got;
}

/* One line into the text. True when a literal stands behind it. */
static bool
add_line(struct reader *r, struct imap_command *c, struct str line)
{
	bool more = cut_literal(&line, &c->literal);

	buf_addstr(&r->text, line);
	return more;
}

static enum imap_got
wait_literal(struct reader *r, struct imap_command *c)
{
	c->literal.waiting = true;
	c->unfinished = true;
	return finish(r, c, IMAP_GOT_LITERAL);
}

enum imap_got
imap_read(struct stream *s, struct arena *a, struct imap_command *out)
{
	struct reader r = reader_new(s, a);
	enum step step = STEP_ON;
	struct str line;

	*out = (struct imap_command){.verb = STR("")};
	if (!take_line(&r, &line))
		return finish(&r, out, IMAP_GOT_LOST);
	take_head(&r, out, &line);
	while (step == STEP_ON && add_line(&r, out, line)) {
		if (is_message(&r, out))
			return wait_literal(&r, out);
		step = take_literal(&r, &out->literal);
		if (step == STEP_ON && !take_line(&r, &line))
			step = STEP_LOST;
	}
	return finish(&r, out, step == STEP_LOST ? IMAP_GOT_LOST :
		IMAP_GOT_COMMAND);
}

enum imap_got
imap_read_more(struct stream *s, struct arena *a, struct imap_command *c)
{
	struct reader r = reader_new(s, a);
	struct str line;

	c->unfinished = false;
	if (!take_line(&r, &line))
		return finish(&r, c, IMAP_GOT_LOST);
	if (!add_line(&r, c, line))
		return finish(&r, c, IMAP_GOT_COMMAND);
	if (r.wrong) {
		c->literal.waiting = true;
		c->unfinished = true;
		return finish(&r, c, IMAP_GOT_COMMAND);
	}
	return wait_literal(&r, c);
}

void
imap_pass_over(struct stream *s, struct arena *a, struct imap_command *c)
{
	while (c->unfinished && !stream_failed(s)) {
		/* One that had to be asked for was refused by the answer. */
		if (c->literal.waiting && c->literal.synchronising)
			return;
		if (c->literal.waiting)
			drop(s, c->literal.length);
		c->literal.waiting = false;
		imap_read_more(s, a, c);
	}
}
