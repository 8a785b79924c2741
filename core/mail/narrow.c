/*
 * narrow.c - walks the parts in their order and writes each in 7 bits. Any
 * thread.
 */
#include "mail/narrow.h"

#include "base/enc.h"
#include "base/file.h"
#include "mail/header.h"
#include "mail/mime.h"

#define LINE_MOST 998		/* RFC 5322 2.1.1 */
#define QP_LINE 76		/* RFC 2045 6.7 (5) */
#define BASE64_BYTES 57		/* of a line of 76 */
#define FLUSH (256 << 10)

struct narrow {
	struct str text;
	struct mime_view view;
	struct buf out;
	int fd;
	uint64_t written;
	struct err *e;
	bool failed;
	uint64_t at;		/* how far the message is copied */
};

/* ------------------------------------------------------------------ needs */

enum narrow_need
narrow_need(struct str s)
{
	enum narrow_need need = NARROW_NOTHING;
	size_t i, line = 0;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '\r' && i + 1 < s.len && s.at[i + 1] == '\n') {
			i++;
			line = 0;
			continue;
		}
		if (c == '\0' || c == '\r' || c == '\n' || ++line > LINE_MOST)
			return NARROW_BINARY;
		if (c >= 0x80)
			need = NARROW_8BIT;
	}
	return need;
}

/* ----------------------------------------------------------------- output */

static void
flush(struct narrow *n, size_t above)
{
	if (n->out.len <= above)
		return;
	if (!n->failed && file_write_all(n->fd, n->out.at, n->out.len, n->e) < 0)
		n->failed = true;
	n->written += n->out.len;
	buf_reset(&n->out);
}

static void
put(struct narrow *n, struct str s)
{
	buf_addstr(&n->out, s);
	flush(n, FLUSH);
}

/* As it is up to there. */
static void
copy_to(struct narrow *n, uint64_t end)
{
	if (end > n->at)
		put(n, str_sub(n->text, (size_t)n->at, (size_t)(end - n->at)));
	n->at = end > n->at ? end : n->at;
}

/* -------------------------------------------------------------- encodings */

static void
put_base64(struct narrow *n, struct str body)
{
	for (; body.len; body = str_sub(body, BASE64_BYTES, body.len)) {
		struct str line = str_sub(body, 0, BASE64_BYTES);

		enc_base64(&n->out, line.at, line.len);
		buf_adds(&n->out, "\r\n");
		flush(n, FLUSH);
	}
}

static bool
is_plain_in_qp(unsigned char c, bool at_end)
{
	if (c == ' ' || c == '\t')
		return !at_end;
	return c > 32 && c < 127 && c != '=';
}

/* One line without its end. */
static void
put_qp_line(struct narrow *n, struct str line)
{
	size_t i, column = 0;

	for (i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.at[i];
		bool plain = is_plain_in_qp(c, i + 1 == line.len);
		size_t width = plain ? 1 : 3;

		/* Room for the '=' of a soft break, and no lone dot. */
		if (column + width > QP_LINE - 1) {
			buf_adds(&n->out, "=\r\n");
			column = 0;
		}
		if (plain)
			buf_addc(&n->out, (char)c);
		else
			buf_addf(&n->out, "=%02X", c);
		column += width;
	}
}

static void
put_qp(struct narrow *n, struct str body)
{
	while (body.len) {
		size_t end = str_find_str(body, STR("\r\n"));

		put_qp_line(n, str_sub(body, 0, end));
		if (end == body.len)
			/* The body has no last line end: nor has the text. */
			return buf_adds(&n->out, "=\r\n");
		buf_adds(&n->out, "\r\n");
		flush(n, FLUSH);
		body = str_sub(body, end + 2, body.len);
	}
}

/* ------------------------------------------------------------------ parts */

/* The header section with another encoding. */
static void
put_header(struct narrow *n, const struct mime_part *p, const char *encoding,
	bool is_top)
{
	struct str section = str_sub(n->text, (size_t)p->header_at,
		(size_t)(p->body_at - p->header_at));
	struct header_field f;
	bool has_version = false, has_type = false;

	while (header_next(&section, &f)) {
		has_version |= str_iis(f.name, "MIME-Version");
		has_type |= str_iis(f.name, "Content-Type");
		if (!str_iis(f.name, "Content-Transfer-Encoding"))
			put(n, f.raw);
	}
	if (is_top && !has_version)
		put(n, STR("MIME-Version: 1.0\r\n"));
	if (!has_type)
		put(n, STR("Content-Type: text/plain; "
			"charset=unknown-8bit\r\n"));
	buf_addf(&n->out, "Content-Transfer-Encoding: %s\r\n\r\n", encoding);
	n->at = p->body_at;
}

static void
read_form(struct narrow *n, const struct mime_part *p, struct arena *a,
	struct mime_form *form)
{
	mime_form_read(str_sub(n->text, (size_t)p->header_at,
		(size_t)(p->body_at - p->header_at)), a, form);
}

static bool
is_open_encoding(struct str e)
{
	return !e.len || str_iis(e, "7bit") || str_iis(e, "8bit") ||
		str_iis(e, "binary");
}

static void
put_leaf(struct narrow *n, const struct mime_part *p, bool is_top)
{
	struct str body = str_sub(n->text, (size_t)p->body_at,
		(size_t)(p->end - p->body_at));
	enum narrow_need need = narrow_need(body);
	struct mime_form form;
	struct arena a;

	arena_init(&a);
	read_form(n, p, &a, &form);
	if (need == NARROW_NOTHING && (!form.encoding.len ||
		str_iis(form.encoding, "7bit")))
		goto out;
	if (!is_open_encoding(form.encoding))
		goto out;	/* it says that it is encoded */
	if (need == NARROW_NOTHING) {
		put_header(n, p, "7bit", is_top);
		copy_to(n, p->end);
	} else if (need == NARROW_8BIT && (!form.type.len ||
		str_iis(form.type, "text"))) {
		put_header(n, p, "quoted-printable", is_top);
		put_qp(n, body);
	} else {
		put_header(n, p, "base64", is_top);
		put_base64(n, body);
	}
	n->at = p->end;
out:
	arena_free(&a);
	copy_to(n, p->end);
}

/* Parts that hold parts say 7bit now. */
static void
put_holder(struct narrow *n, const struct mime_part *p, bool is_top)
{
	struct mime_form form;
	struct arena a;

	arena_init(&a);
	read_form(n, p, &a, &form);
	if (str_iis(form.encoding, "8bit") || str_iis(form.encoding, "binary"))
		put_header(n, p, "7bit", is_top);
	arena_free(&a);
	copy_to(n, p->body_at);
}

/* The parts are in the order of their bytes: what lies between (preambles,
 * boundaries) is copied. */
static void
put_parts(struct narrow *n)
{
	struct mime_part p;
	uint32_t i;

	for (i = 0; i < n->view.n_parts && mime_part(&n->view, i, &p); i++) {
		copy_to(n, p.header_at);
		if (p.is_multipart || p.is_message)
			put_holder(n, &p, i == 0);
		else
			put_leaf(n, &p, i == 0);
	}
	copy_to(n, n->text.len);
}

int
narrow_write(struct str message, int fd, uint64_t *length, struct err *e)
{
	struct narrow n = {.text = message, .fd = fd, .e = e};
	struct mime *m = mime_new();
	struct buf cache;

	buf_init(&cache, BUF_NO_CAP);
	buf_init(&n.out, BUF_NO_CAP);
	mime_feed(m, message.at, message.len);
	mime_end(m, &cache);
	if (mime_open(buf_str(&cache), &n.view))
		put_parts(&n);
	else
		n.failed = err_set(e, ERR_PROTOCOL, "no message") < 0;
	flush(&n, 0);
	buf_free(&cache);
	buf_free(&n.out);
	*length = n.written;
	return n.failed ? -1 : 0;
}
