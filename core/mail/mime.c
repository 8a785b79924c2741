/*
 * mime.c - finds the parts of a message while its bytes pass by.
 *
 * The parser sees lines and keeps of them only what it needs: all of a header
 * section, and of a body line that begins with "--" the head, because it may
 * be a boundary. A stack holds the parts that are open, the innermost last;
 * a boundary belongs to the innermost open multipart that has it and closes
 * all parts above that. Boundary lines are compared whole, but for blanks
 * behind (RFC 2046 5.1.1), so "--ab" is no boundary of "a". The line end
 * before a boundary belongs to the boundary.
 *
 * Nothing recurses; the work is one memchr a line plus, for lines that begin
 * with "--", a look at each open multipart. Leaves to others: what header
 * fields say (mime_content.c), IMAP text (mime_imap.c), the byte string
 * (mime_cache.c). Any thread.
 */
#include "mail/mime_parts.h"

#include "base/clock.h"
#include "mail/header.h"

#define HEADERS_MAX (1024 * 1024)
#define LINE_KEEP 1000
#define BOUNDARY_MAX 512
#define TASTE_PLAIN 4096	/* bytes of a text part, for the preview */
#define TASTE_HTML 32768	/* much of which is no text */

struct open_part {
	uint32_t part;
	char *boundary;			/* malloc; NULL: no multipart */
	size_t boundary_len;
	bool closed;			/* what follows is epilogue */
	bool is_digest;
};

struct mime {
	uint64_t at, lines;		/* bytes and line ends taken */
	uint64_t line_at, line_lines;	/* where this line began */
	uint64_t line_len;
	char keep[LINE_KEEP];
	size_t n_keep;			/* < line_len: the rest was not kept */
	unsigned last_end;		/* length of the previous line's end */
	bool last_cr;
	bool in_header;
	bool full;			/* no more parts: all is body now */
	struct buf head;		/* header section of the top part */
	size_t head_line;		/* where this line stands in it */
	bool has_field;			/* a fold may follow */
	size_t head_left;		/* what may still be remembered */
	struct open_part open[MIME_DEPTH_MAX];
	size_t depth;
	struct mime_entity *part;
	uint32_t n_parts, room;
	uint64_t *body_lines;		/* line ends before the body, by part */
	struct buf text;
	uint64_t thread;
	int64_t sent_ms;
	int sent_zone;
	struct buf taste;		/* how the body of the part on top begins */
	size_t taste_left;		/* what of it is still wanted */
	struct mime_form taste_form;	/* in scratch */
	struct buf preview;
	struct arena scratch;
};

static struct open_part *
top(struct mime *m)
{
	return &m->open[m->depth - 1];
}

static struct mime_part *
top_part(struct mime *m)
{
	return &m->part[top(m)->part].at;
}

static void
make_room(struct mime *m)
{
	if (m->n_parts < m->room)
		return;
	m->room = m->room ? m->room * 2 : 4;
	m->part = mem_grow(m->part, m->room * sizeof *m->part);
	m->body_lines = mem_grow(m->body_lines,
		m->room * sizeof *m->body_lines);
}

static void
link_child(struct mime *m, uint32_t parent, uint32_t child)
{
	struct mime_entity *p = &m->part[parent];

	if (p->last_child != 0)
		m->part[p->last_child].at.next = child;
	else
		p->at.first_child = child;
	p->last_child = child;
	p->at.n_children++;
}

/* A child of the top part (or the message itself) begins at byte `at`. */
static void
part_open(struct mime *m, uint64_t at)
{
	uint32_t i = m->n_parts, parent = m->depth > 0 ? top(m)->part : 0;

	make_room(m);
	m->n_parts++;
	m->part[i] = (struct mime_entity){.at = {.parent = parent,
		.header_at = at, .body_at = at}};
	m->body_lines[i] = 0;
	if (i > 0)
		link_child(m, parent, i);
	m->open[m->depth++] = (struct open_part){.part = i};
	m->in_header = true;
	m->has_field = false;
	buf_reset(&m->head);
	m->head_line = 0;
}

/* The text part on top has ended. Some have none ("see the HTML part"): the
 * next one may have. */
static void
taste_end(struct mime *m, uint64_t end)
{
	uint64_t body_at = top_part(m)->body_at;
	uint64_t len = end > body_at ? end - body_at : 0;

	if (m->taste.len > len)		/* the boundary behind it */
		m->taste.len = (size_t)len;
	mime_preview(&m->preview, &m->taste_form, buf_str(&m->taste));
	buf_reset(&m->taste);
	m->taste_left = 0;
}

/* The part on top ends at byte `end`, before which `lines` line ends stand. */
static void
part_close(struct mime *m, uint64_t end, uint64_t lines)
{
	struct open_part *o = top(m);
	uint64_t n = lines - m->body_lines[o->part];

	if (m->taste.len > 0)
		taste_end(m, end);
	m->taste_left = 0;
	m->part[o->part].at.end = end;
	m->part[o->part].at.lines = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	free(o->boundary);
	m->depth--;
}

struct mime *
mime_new(void)
{
	struct mime *m = mem_alloc(sizeof *m);

	buf_init(&m->head, BUF_NO_CAP);
	buf_init(&m->text, BUF_NO_CAP);
	buf_init(&m->taste, BUF_NO_CAP);
	buf_init(&m->preview, BUF_NO_CAP);
	arena_init(&m->scratch);
	m->head_left = HEADERS_MAX;
	part_open(m, 0);
	return m;
}

void
mime_free(struct mime *m)
{
	if (m == NULL)
		return;
	while (m->depth > 0)
		part_close(m, 0, 0);
	buf_free(&m->head);
	buf_free(&m->text);
	buf_free(&m->taste);
	buf_free(&m->preview);
	arena_free(&m->scratch);
	free(m->part);
	free(m->body_lines);
	free(m);
}

/* ------------------------------------------------- header sections */

static bool
is_entity_of_message(const struct mime *m, uint32_t i)
{
	return i == 0 || m->part[m->part[i].at.parent].at.is_message;
}

static bool
in_digest(const struct mime *m)
{
	return m->depth > 1 && m->open[m->depth - 2].is_digest;
}

static void
become_multipart(struct mime *m, struct str boundary, struct str subtype)
{
	struct open_part *o = top(m);

	top_part(m)->is_multipart = true;
	o->boundary = mem_alloc(boundary.len + 1);
	memcpy(o->boundary, boundary.at, boundary.len);
	o->boundary_len = boundary.len;
	o->is_digest = str_iis(subtype, "digest");
}

/* The preview is made of the first text part that is no attachment. */
static void
taste_begin(struct mime *m, const struct mime_content *c)
{
	bool is_html = str_iis(c->subtype, "html");

	if (m->preview.len > 0 || !str_iis(c->type, "text") ||
	    (!is_html && !str_iis(c->subtype, "plain")) ||
	    str_iis(c->disposition, "attachment"))
		return;
	mime_content_form(c, &m->scratch, &m->taste_form);
	m->taste_left = is_html ? TASTE_HTML : TASTE_PLAIN;
}

static void
read_date(struct mime *m, struct str section)
{
	struct header_field f;

	m->sent_zone = 0;
	if (!header_find(section, "Date", &f) ||
	    !clock_parse_mail_date(f.value, &m->sent_ms, &m->sent_zone))
		m->sent_ms = MIME_NOT_SENT;
}

/* The header section on top is complete and its body begins at body_at. A
 * message inside opens the next header section. */
static void
header_done(struct mime *m, uint64_t body_at, uint64_t lines)
{
	struct str section = buf_str(&m->head), boundary = STR("");
	struct mime_entity *e = &m->part[top(m)->part];
	struct mime_content c;
	enum mime_kind kind;

	arena_reset(&m->scratch);
	m->in_header = false;
	m->head_left -= section.len;
	e->at.body_at = body_at;
	m->body_lines[top(m)->part] = lines;
	kind = mime_content_read(section, in_digest(m), &m->scratch, &c,
		&boundary);
	if (kind != MIME_LEAF && (m->depth == MIME_DEPTH_MAX ||
	    m->n_parts == MIME_PARTS_MAX || boundary.len > BOUNDARY_MAX)) {
		kind = MIME_LEAF;
		mime_content_opaque(&c);
	}
	if (top(m)->part == 0) {
		m->thread = mime_thread(section);
		read_date(m, section);
	}
	if (is_entity_of_message(m, top(m)->part))
		mime_text_envelope(&m->text, e, section, &m->scratch);
	e->at.is_message = kind == MIME_MESSAGE;
	if (kind == MIME_MULTIPART)
		become_multipart(m, boundary, c.subtype);
	mime_text_content(&m->text, e, &c, &m->scratch);
	if (kind == MIME_LEAF)
		taste_begin(m, &c);
	if (kind == MIME_MESSAGE)
		part_open(m, body_at);
}

/* A line of a header section. One that is no field begins the body, and with
 * it perhaps the header section of a message inside. */
static void
header_line(struct mime *m, struct str line)
{
	struct header_field f;
	struct str in = line;

	if (line.len == 0) {
		m->head.len = m->head_line;
		header_done(m, m->at, m->lines);
		return;
	}
	if ((is_blank(line.at[0]) && m->has_field) || header_next(&in, &f)) {
		m->has_field = true;
		m->head_line = m->head.len;
		return;
	}
	m->head.len = m->head_line;
	while (m->in_header)
		header_done(m, m->line_at, m->line_lines);
}

/* ------------------------------------------------------ boundaries */

/* "--boundary" or "--boundary--" with blanks behind. */
static bool
is_boundary(const struct open_part *o, struct str line, bool *is_end)
{
	struct str rest;

	if (o->boundary == NULL || o->closed ||
	    line.len < o->boundary_len + 2 ||
	    memcmp(line.at + 2, o->boundary, o->boundary_len) != 0)
		return false;
	rest = str_sub(line, o->boundary_len + 2, line.len);
	*is_end = str_is(rest, "--");
	return *is_end || rest.len == 0;
}

static size_t
find_boundary(const struct mime *m, struct str line, bool *is_end)
{
	size_t level = m->depth;

	while (line.len > 0 && is_blank(line.at[line.len - 1]))
		line.len--;
	while (level > 0 && !is_boundary(&m->open[level - 1], line, is_end))
		level--;
	return level;
}

/* Closes all parts above `level`: they end before the line end in front of
 * this line, unless it is the one that ended their header section. */
static void
close_above(struct mime *m, size_t level)
{
	uint64_t end = m->line_at - m->last_end;
	uint64_t lines = m->line_lines - (m->last_end > 0);
	bool is_short;

	m->head.len = m->head_line;
	while (m->in_header) {
		is_short = top_part(m)->header_at <= end;
		header_done(m, is_short ? end : m->line_at,
			is_short ? lines : m->line_lines);
	}
	while (m->depth > level) {
		if (top_part(m)->body_at > end) {
			end = top_part(m)->body_at;
			lines = m->line_lines;
		}
		part_close(m, end, lines);
	}
}

/* true: the line was a boundary and is dealt with. */
static bool
boundary_line(struct mime *m, struct str line)
{
	bool is_end = false;
	size_t level;

	if (m->full || !str_starts(line, "--"))
		return false;
	level = find_boundary(m, line, &is_end);
	if (level == 0)
		return false;
	if (!is_end && m->n_parts == MIME_PARTS_MAX) {
		m->full = true;
		return false;
	}
	close_above(m, level);
	if (is_end)
		top(m)->closed = true;
	else
		part_open(m, m->at);
	return true;
}

/* ------------------------------------------------------------ lines */

static void
line_done(struct mime *m, unsigned end)
{
	struct str line = str_of(m->keep, m->n_keep);

	if (m->line_len == m->n_keep)
		line.len -= end;
	if (!(m->line_len == m->n_keep && boundary_line(m, line)) &&
	    m->in_header)
		header_line(m, line);
	m->last_end = end;
	m->line_at = m->at;
	m->line_lines = m->lines;
	m->line_len = 0;
	m->n_keep = 0;
}

static void
remember(struct mime *m, const char *at, size_t len)
{
	size_t room = m->head_left - m->head.len;

	buf_add(&m->head, at, len < room ? len : room);
}

static void
taste_add(struct mime *m, const char *at, size_t len)
{
	len = len < m->taste_left ? len : m->taste_left;
	buf_add(&m->taste, at, len);
	m->taste_left -= len;
}

/* What of a line has to be kept: in a body, only what may be a boundary. */
static void
line_keep(struct mime *m, const char *at, size_t len)
{
	size_t room = LINE_KEEP - m->n_keep;

	if (m->taste_left > 0)
		taste_add(m, at, len);
	if (m->in_header)
		remember(m, at, len);
	else if (m->line_len == 0 && len > 1 &&
	    (at[0] != '-' || at[1] != '-'))
		return;
	if (m->n_keep < m->line_len)
		return;
	len = len < room ? len : room;
	memcpy(m->keep + m->n_keep, at, len);
	m->n_keep += len;
}

void
mime_feed(struct mime *m, const void *bytes, size_t len)
{
	const char *at = bytes, *lf;
	size_t n;
	bool cr;

	while (len > 0) {
		lf = memchr(at, '\n', len);
		n = lf != NULL ? (size_t)(lf - at) + 1 : len;
		cr = n > 1 ? at[n - 2] == '\r' : m->last_cr;
		line_keep(m, at, n);
		m->line_len += n;
		m->at += n;
		m->last_cr = at[n - 1] == '\r';
		if (lf != NULL) {
			m->lines++;
			line_done(m, cr ? 2 : 1);
		}
		at += n;
		len -= n;
	}
}

void
mime_end(struct mime *m, struct buf *out)
{
	struct mime_result r;

	if (m->line_len > 0)
		line_done(m, 0);
	while (m->in_header)
		header_done(m, m->at, m->lines);
	while (m->depth > 0)
		part_close(m, m->at, m->lines);
	r = (struct mime_result){.part = m->part, .n_parts = m->n_parts,
		.text = &m->text, .length = m->at, .thread = m->thread,
		.sent_ms = m->sent_ms, .sent_zone = m->sent_zone,
		.preview = &m->preview};
	mime_cache_write(out, &r);
	mime_free(m);
}
