/*
 * decode.c - base64 and quoted-printable in pieces. Output goes to room that
 * is reserved once a call, because SEARCH decodes whole mailboxes. Pure; any
 * thread.
 */
#include "mail/decode.h"

static const struct {
	const char *name;
	enum decode_kind kind;
} encodings[] = {
	{"", DECODE_NONE}, {"7bit", DECODE_NONE}, {"8bit", DECODE_NONE},
	{"binary", DECODE_NONE}, {"base64", DECODE_BASE64},
	{"quoted-printable", DECODE_QP},
};

bool
decode_find(struct str encoding, enum decode_kind *out)
{
	size_t i;

	for (i = 0; i < sizeof encodings / sizeof *encodings; i++)
		if (str_iis(encoding, encodings[i].name)) {
			*out = encodings[i].kind;
			return true;
		}
	return false;
}

void
decode_init(struct decode *d, enum decode_kind kind)
{
	*d = (struct decode){.kind = kind};
}

/* ------------------------------------------------------------- base64 */

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t
add_base64(struct decode *d, char *to, struct str in)
{
	size_t i, n = 0;
	int v;

	for (i = 0; i < in.len; i++) {
		if (in.at[i] == '=') {	/* parts may be glued together */
			d->bits = 0;
			d->n_bits = 0;
			continue;
		}
		v = base64_value(in.at[i]);
		if (v < 0)
			continue;
		d->bits = d->bits << 6 | (uint32_t)v;
		d->n_bits += 6;
		if (d->n_bits >= 8) {
			d->n_bits -= 8;
			to[n++] = (char)(d->bits >> d->n_bits);
		}
	}
	return n;
}

/* --------------------------------------------------- quoted-printable */

/* What the held bytes are, which begin with '=': 1 a character, 2 a soft line
 * break, 0 not known yet, -1 neither. */
static int
judge(const struct decode *d)
{
	const char *h = d->held;
	size_t n = d->n_held, i = 1;

	if (n == 1 || (n == 2 && hex_value(h[1]) >= 0))
		return 0;
	if (n == 3 && hex_value(h[1]) >= 0)
		return hex_value(h[2]) >= 0 ? 1 : -1;
	while (i < n && is_blank(h[i]))
		i++;
	if (i == n)
		return n < sizeof d->held ? 0 : -1;
	if (h[i] == '\n')
		return 2;
	if (h[i] != '\r')
		return -1;
	return i + 1 == n ? (n < sizeof d->held ? 0 : -1) :
		h[i + 1] == '\n' ? 2 : -1;
}

static size_t add_qp(struct decode *d, char *to, struct str in);

/* The '=' meant nothing: it is text, and what came behind is looked at
 * again. */
static size_t
release(struct decode *d, char *to)
{
	char again[sizeof d->held];
	size_t n = d->n_held - 1;

	memcpy(again, d->held + 1, n);
	d->n_held = 0;
	*to = '=';
	return 1 + add_qp(d, to + 1, str_of(again, n));
}

static size_t
add_qp(struct decode *d, char *to, struct str in)
{
	size_t i, n = 0;

	for (i = 0; i < in.len; i++) {
		if (d->n_held == 0 && in.at[i] != '=') {
			to[n++] = in.at[i];
			continue;
		}
		d->held[d->n_held++] = in.at[i];
		switch (judge(d)) {
		case 1:
			to[n++] = (char)(hex_value(d->held[1]) << 4 |
				hex_value(d->held[2]));
			d->n_held = 0;
			break;
		case 2:
			d->n_held = 0;
			break;
		case -1:
			n += release(d, to + n);
			break;
		}
	}
	return n;
}

void
decode_add(struct decode *d, struct buf *out, struct str bytes)
{
	char *to;

	if (d->kind == DECODE_NONE) {
		buf_addstr(out, bytes);
		return;
	}
	to = buf_reserve(out, bytes.len + sizeof d->held);
	if (to == NULL)
		return;
	buf_grew(out, d->kind == DECODE_BASE64 ? add_base64(d, to, bytes) :
		add_qp(d, to, bytes));
}

void
decode_end(struct decode *d, struct buf *out)
{
	size_t i = 1;

	while (i < d->n_held && is_blank(d->held[i]))
		i++;
	/* "=" and blanks at the very end: a soft line break cut short. */
	if (i < d->n_held)
		buf_add(out, d->held, d->n_held);
	d->n_held = 0;
}
