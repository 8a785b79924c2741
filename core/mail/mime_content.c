/*
 * mime_content.c - what the Content- fields of a part say (RFC 2045, 2183,
 * 1864, 3282, 2557).
 *
 * Strangers write them, so everything is read leniently: comments anywhere,
 * values without the quotes they need, a field that makes no sense counts as
 * absent. Pure; any thread.
 */
#include "mail/mime_parts.h"

#include "mail/decode.h"
#include "mail/header.h"

static void
skip(struct str *in, size_t n)
{
	*in = str_sub(*in, n, in->len);
}

static size_t
comment_length(struct str s)
{
	size_t i, depth = 0;

	for (i = 0; i < s.len; i++) {
		if (s.at[i] == '\\')
			i++;
		else if (s.at[i] == '(')
			depth++;
		else if (s.at[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.len;
}

static void
skip_blanks(struct str *in)
{
	while (in->len > 0 && (is_blank(in->at[0]) || in->at[0] == '('))
		skip(in, in->at[0] == '(' ? comment_length(*in) : 1);
}

/* RFC 2045 5.1 */
static struct str
read_token(struct str *in)
{
	struct str token;
	size_t i = 0;

	while (i < in->len && in->at[i] > 0x20 && in->at[i] < 0x7f &&
	    strchr("()<>@,;:\\\"/[]?=", in->at[i]) == NULL)
		i++;
	token = str_sub(*in, 0, i);
	skip(in, i);
	return token;
}

static struct str
read_quoted(struct str *in, struct arena *a)
{
	char *at = arena_alloc(a, in->len);
	size_t i, n = 0;

	for (i = 1; i < in->len && in->at[i] != '"'; i++) {
		if (in->at[i] == '\\' && i + 1 < in->len)
			i++;
		at[n++] = in->at[i];
	}
	skip(in, i + 1);
	return str_of(at, n);
}

/* Without quotes blanks are not allowed, but file names have them. */
static struct str
read_value(struct str *in, struct arena *a)
{
	struct str value;
	size_t i = 0;

	if (in->len > 0 && in->at[0] == '"')
		return read_quoted(in, a);
	while (i < in->len && in->at[i] != ';' && in->at[i] != '(')
		i++;
	value = str_trim_blank(str_sub(*in, 0, i));
	skip(in, i);
	return value;
}

/* Up to the ';' that begins the next parameter; quoted junk may hold one. */
static bool
skip_to_param(struct str *in, struct arena *a)
{
	skip_blanks(in);
	while (in->len > 0 && in->at[0] != ';') {
		if (in->at[0] == '"')
			read_quoted(in, a);
		else
			skip(in, 1);
		skip_blanks(in);
	}
	if (in->len == 0)
		return false;
	skip(in, 1);
	skip_blanks(in);
	return true;
}

bool
mime_param_next(struct str *in, struct arena *a, struct str *name,
	struct str *value)
{
	while (skip_to_param(in, a)) {
		*name = read_token(in);
		skip_blanks(in);
		if (name->len == 0 || in->len == 0 || in->at[0] != '=')
			continue;
		skip(in, 1);
		skip_blanks(in);
		*value = read_value(in, a);
		return true;
	}
	return false;
}

bool
mime_word_next(struct str *in, struct str *word)
{
	for (;;) {
		skip_blanks(in);
		if (in->len == 0)
			return false;
		*word = read_token(in);
		if (word->len > 0)
			return true;
		skip(in, 1);
	}
}

/* "type/subtype" at the head of *in. false: it is none. */
static bool
read_media(struct str *in, struct mime_content *c)
{
	skip_blanks(in);
	c->type = read_token(in);
	skip_blanks(in);
	if (c->type.len == 0 || in->len == 0 || in->at[0] != '/')
		return false;
	skip(in, 1);
	skip_blanks(in);
	c->subtype = read_token(in);
	c->params = *in;
	return c->subtype.len > 0;
}

static struct str
find_param(struct str params, const char *wanted, struct arena *a)
{
	struct str name, value;

	while (mime_param_next(&params, a, &name, &value))
		if (str_iis(name, wanted))
			return value;
	return (struct str){NULL, 0};
}

/* ------------------------------------------------------------ fields */

/* One slot each; the first field of a name counts. */
enum { TYPE, ENCODING, ID, DESCRIPTION, MD5, DISPOSITION, LANGUAGE, LOCATION,
	N_FIELDS };

static const char *const field_names[N_FIELDS] = {
	[TYPE] = "content-type",
	[ENCODING] = "content-transfer-encoding",
	[ID] = "content-id",
	[DESCRIPTION] = "content-description",
	[MD5] = "content-md5",
	[DISPOSITION] = "content-disposition",
	[LANGUAGE] = "content-language",
	[LOCATION] = "content-location",
};

static void
find_fields(struct str section, struct arena *a, struct str *out)
{
	struct header_field f;
	size_t i;

	while (header_next(&section, &f)) {
		if (!str_istarts(f.name, "content-"))
			continue;
		for (i = 0; i < N_FIELDS; i++)
			if (out[i].at == NULL && str_iis(f.name, field_names[i]))
				out[i] = header_unfold(a, f.value);
	}
}

/* RFC 2045 5.2: what is missing or no media type is plain text, in a digest
 * a message (RFC 2046 5.1.5). */
static void
set_default(struct mime_content *c, bool in_digest)
{
	c->type = in_digest ? STR("message") : STR("text");
	c->subtype = in_digest ? STR("rfc822") : STR("plain");
	c->params = STR("");
}

void
mime_content_opaque(struct mime_content *c)
{
	c->type = STR("application");
	c->subtype = STR("octet-stream");
	c->no_charset = false;
}

static enum mime_kind
kind_of(struct mime_content *c, struct arena *a, struct str *boundary)
{
	bool is_plain_bytes = !str_iis(c->encoding, "base64") &&
		!str_iis(c->encoding, "quoted-printable");

	if (str_iis(c->type, "multipart")) {
		*boundary = find_param(c->params, "boundary", a);
		while (boundary->len > 0 &&
		    is_blank(boundary->at[boundary->len - 1]))
			boundary->len--;
		if (boundary->len > 0)
			return MIME_MULTIPART;
		set_default(c, false);
	}
	if (!str_iis(c->type, "message") || (!str_iis(c->subtype, "rfc822") &&
	    !str_iis(c->subtype, "global")))
		return MIME_LEAF;
	if (is_plain_bytes)
		return MIME_MESSAGE;
	/* RFC 2046 5.2.1 forbids it; the client gets bytes to decode. */
	mime_content_opaque(c);
	return MIME_LEAF;
}

static struct str
first_token(struct str value)
{
	struct str token;

	skip_blanks(&value);
	token = read_token(&value);
	return token.len > 0 ? token : (struct str){NULL, 0};
}

enum mime_kind
mime_content_read(struct str section, bool is_in_digest, struct arena *a,
	struct mime_content *out, struct str *boundary)
{
	struct str field[N_FIELDS] = {{NULL, 0}};
	enum mime_kind kind;

	find_fields(section, a, field);
	*out = (struct mime_content){.id = field[ID],
		.description = field[DESCRIPTION], .md5 = field[MD5],
		.location = field[LOCATION], .language = field[LANGUAGE]};
	out->encoding = first_token(field[ENCODING]);
	if (!read_media(&field[TYPE], out))
		set_default(out, is_in_digest);
	skip_blanks(&field[DISPOSITION]);
	out->disposition = read_token(&field[DISPOSITION]);
	out->disposition_params = field[DISPOSITION];
	kind = kind_of(out, a, boundary);
	out->no_charset = str_iis(out->type, "text") &&
		str_iis(out->subtype, "plain") &&
		find_param(out->params, "charset", a).at == NULL;
	return kind;
}

void
mime_content_form(const struct mime_content *c, struct arena *a,
	struct mime_form *out)
{
	struct str charset = find_param(c->params, "charset", a);

	*out = (struct mime_form){.type = c->type, .subtype = c->subtype,
		.charset = charset.at ? charset : STR(""),
		.encoding = c->encoding.at ? c->encoding : STR("")};
}

void
mime_form_read(struct str section, struct arena *a, struct mime_form *out)
{
	struct mime_content c;
	struct str boundary;

	mime_content_read(section, false, a, &c, &boundary);
	mime_content_form(&c, a, out);
}

static void
give_body(struct str message, const struct mime_part *p,
	void (*each)(void *arg, const struct mime_form *form,
	struct str body), void *arg)
{
	enum decode_kind kind = DECODE_NONE;
	struct mime_form form;
	struct decode d;
	struct arena a;
	struct buf body;

	arena_init(&a);
	buf_init(&body, BUF_NO_CAP);
	mime_form_read(str_sub(message, (size_t)p->header_at,
		(size_t)(p->body_at - p->header_at)), &a, &form);
	decode_find(form.encoding, &kind);
	decode_init(&d, kind);
	decode_add(&d, &body, str_sub(message, (size_t)p->body_at,
		(size_t)(p->end - p->body_at)));
	decode_end(&d, &body);
	each(arg, &form, buf_str(&body));
	buf_free(&body);
	arena_free(&a);
}

void
mime_each_body(struct str message, uint32_t most,
	void (*each)(void *arg, const struct mime_form *form,
	struct str body), void *arg)
{
	struct mime *m = mime_new();
	struct mime_view v;
	struct mime_part p;
	struct buf cache;
	uint32_t i;

	buf_init(&cache, BUF_NO_CAP);
	mime_feed(m, message.at, message.len);
	mime_end(m, &cache);
	if (mime_open(buf_str(&cache), &v))
		for (i = 0; i < v.n_parts && i < most && mime_part(&v, i, &p);
			i++)
			if (!p.is_multipart)
				give_body(message, &p, each, arg);
	buf_free(&cache);
}
