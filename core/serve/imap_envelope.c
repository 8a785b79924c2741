/*
 * imap_envelope.c - walks the text "(date subject (addresses) ...)". It comes
 * out of the store, so nothing is taken for granted: what is not as expected
 * ends the walk. Pure; any thread.
 */
#include "serve/imap_envelope.h"

#include "mail/header.h"

static void
skip(struct str *in, size_t n)
{
	*in = str_sub(*in, n, in->len);
}

static bool
take_char(struct str *in, char c)
{
	if (in->len == 0 || in->at[0] != c)
		return false;
	skip(in, 1);
	return true;
}

/* Behind the opening quote. */
static void
take_quoted(struct str *in, struct buf *out)
{
	size_t i = 0;

	while (i < in->len && in->at[i] != '"') {
		if (in->at[i] == '\\' && i + 1 < in->len)
			i++;
		if (out != NULL)
			buf_addc(out, in->at[i]);
		i++;
	}
	skip(in, i + 1);
}

/* Behind "{". */
static bool
take_literal(struct str *in, struct buf *out)
{
	struct str digits = str_cut(in, '}');
	uint64_t length;

	if (!str_u64(digits, in->len, &length) || !take_char(in, '\r') ||
	    !take_char(in, '\n'))
		return false;
	if (out != NULL)
		buf_addstr(out, str_sub(*in, 0, (size_t)length));
	skip(in, (size_t)length);
	return true;
}

/* A string or NIL into out (NULL: passed over). false: neither stands
 * there. */
static bool
take_nstring(struct str *in, struct buf *out, bool *is_nil)
{
	*is_nil = false;
	if (take_char(in, '"')) {
		take_quoted(in, out);
		return true;
	}
	if (take_char(in, '{'))
		return take_literal(in, out);
	*is_nil = str_starts(*in, "NIL");
	if (*is_nil)
		skip(in, 3);
	return *is_nil;
}

/* "(name route local domain)". The local part alone, without a domain, is a
 * group's name. */
static bool
take_address(struct str *in, struct buf *out)
{
	struct buf part[4];
	bool is_nil[4], good;
	size_t i;

	for (i = 0; i < 4; i++)
		buf_init(&part[i], BUF_NO_CAP);
	good = take_char(in, '(');
	for (i = 0; i < 4 && good; i++)
		good = (i == 0 || take_char(in, ' ')) &&
			take_nstring(in, out ? &part[i] : NULL, &is_nil[i]);
	good = good && take_char(in, ')');
	if (good && out != NULL) {
		if (out->len > 0)
			buf_adds(out, ", ");
		header_decode(out, buf_str(&part[0]));
		if (!is_nil[2] && !is_nil[3])
			buf_addf(out, "%s<%s@%s>", part[0].len > 0 ? " " : "",
				buf_c(&part[2]), buf_c(&part[3]));
		else if (!is_nil[2])
			buf_addstr(out, buf_str(&part[2]));
	}
	for (i = 0; i < 4; i++)
		buf_free(&part[i]);
	return good;
}

/* An address list, or NIL. */
static bool
take_list(struct str *in, struct buf *out, bool *is_nil)
{
	if (!take_char(in, '('))
		return take_nstring(in, out, is_nil);
	*is_nil = false;
	while (!take_char(in, ')'))
		if (!take_address(in, out))
			return false;
	return true;
}

static bool
take_decoded(struct str *in, struct buf *out, bool *is_nil)
{
	struct buf raw;
	bool good;

	buf_init(&raw, BUF_NO_CAP);
	good = take_nstring(in, &raw, is_nil);
	header_decode(out, buf_str(&raw));
	buf_free(&raw);
	return good;
}

/* Passes over a field that is not wanted. */
static bool
pass(struct str *in, bool is_list)
{
	bool is_nil;

	if (!(is_list ? take_list(in, NULL, &is_nil) :
	    take_nstring(in, NULL, &is_nil)))
		return false;
	return take_char(in, ' ');
}

/* Up to a field. */
static bool
find_field(struct str *in, enum envelope_field field)
{
	unsigned i;

	if (!take_char(in, '('))
		return false;
	for (i = 0; i < field; i++)
		if (!pass(in, i >= ENVELOPE_FROM))
			return false;
	return true;
}

bool
imap_envelope_first(struct str envelope, enum envelope_field field,
	struct buf *name, struct buf *local, struct buf *domain)
{
	struct buf *into[] = {NULL, NULL, local, domain}, raw;
	struct str in = envelope;
	bool is_nil, good;
	size_t i;

	if (!find_field(&in, field) || !take_char(&in, '(') ||
	    !take_char(&in, '('))
		return false;
	buf_init(&raw, BUF_NO_CAP);
	into[0] = &raw;
	for (i = 0, good = true; i < 4 && good; i++)
		good = (i == 0 || take_char(&in, ' ')) &&
			take_nstring(&in, into[i], &is_nil);
	header_decode(name, buf_str(&raw));
	buf_free(&raw);
	return good;
}

bool
imap_envelope_text(struct str envelope, enum envelope_field field,
	struct buf *out)
{
	struct str in = envelope;
	bool is_nil;

	if (!find_field(&in, field))
		return false;
	if (field >= ENVELOPE_FROM)
		return take_list(&in, out, &is_nil) && !is_nil;
	return take_decoded(&in, out, &is_nil) && !is_nil;
}
