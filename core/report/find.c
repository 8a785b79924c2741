/*
 * find.c - walks the parts of a message, undoes their transfer encoding and
 * their packing, and tells by the first bytes what there is. Names and types
 * of attachments are not looked at: senders do as they like with them.
 */
#include "report/find.h"

#include "mail/header.h"
#include "mail/mime.h"
#include "report/dmarc_read.h"
#include "report/unpack.h"

#define PARTS_LOOKED_AT 50
#define FIELDS_MOST 50
#define VALUE_MOST 500

struct finding {
	void (*each)(void *arg, json_t *report);
	void *arg;
	unsigned n;
};

static void
give(struct finding *f, json_t *report)
{
	if (!report)
		return;
	f->each(f->arg, report);
	f->n += strcmp(json_string_value(json_object_get(report, "kind")),
		"bad") != 0;
	json_decref(report);
}

static void
give_bad(struct finding *f, const struct err *e)
{
	give(f, json_pack("{s:s, s:s}", "kind", "bad", "error", e->text));
}

/* ------------------------------------------------------------------ kinds */

static void
take_xml(struct finding *f, struct str text)
{
	struct err e = {0};
	json_t *report = dmarc_read(text, &e);

	if (report)
		give(f, report);
	else
		give_bad(f, &e);
}

static void
take_json(struct finding *f, struct str text)
{
	struct err e = {0};
	json_error_t wrong;
	json_t *report = json_loadb(text.at, text.len,
		JSON_REJECT_DUPLICATES, &wrong);

	if (json_is_array(json_object_get(report, "policies")) &&
		json_is_string(json_object_get(report, "organization-name"))) {
		json_object_set_new(report, "kind", json_string("tls"));
		give(f, report);
		return;
	}
	err_set(&e, ERR_PROTOCOL, report ? "it is no report of TLS" :
		"line %d: %s", wrong.line, wrong.text);
	json_decref(report);
	give_bad(f, &e);
}

/* Fields of a message/feedback-report (RFC 5965 3, RFC 6591 3). */
static void
take_failure(struct finding *f, struct str text)
{
	json_t *report = json_pack("{s:s}", "kind", "failure");
	struct header_field h;
	struct arena a;
	size_t n = 0;

	arena_init(&a);
	while (n++ < FIELDS_MOST && header_next(&text, &h)) {
		struct str value = str_sub(header_unfold(&a, h.value), 0,
			VALUE_MOST);
		char *name = arena_cstr(&a, h.name), *p;

		for (p = name; *p; p++)
			*p = to_lower(*p);
		json_object_set_new(report, name, json_stringn(value.at,
			value.len));	/* NULL, not set: no UTF-8 */
	}
	arena_free(&a);
	if (json_object_get(report, "feedback-type"))
		give(f, report);
	else
		json_decref(report);
}

/* ------------------------------------------------------------------ parts */

static bool
looks_packed(struct str s)
{
	return str_starts(s, "\x1f\x8b") || str_starts(s, "PK\x03\x04");
}

static void
take_document(struct finding *f, struct str bytes, bool was_packed)
{
	struct str text = str_starts(bytes, "\xef\xbb\xbf") ?
		str_sub(bytes, 3, bytes.len) : bytes;

	text = str_trim(text);
	if (str_starts(text, "<?xml") || str_starts(text, "<feedback"))
		take_xml(f, text);
	else if (str_starts(text, "{"))
		take_json(f, text);
	else if (was_packed)
		give(f, json_pack("{s:s, s:s}", "kind", "bad", "error",
			"what is packed is no report"));
}

/* Messages in the message have their own parts, which come too. */
static bool
is_message(const struct mime_form *form)
{
	return str_iis(form->type, "message") && (str_iis(form->subtype,
		"rfc822") || str_iis(form->subtype, "global"));
}

static void
take_part(void *arg, const struct mime_form *form, struct str body)
{
	struct finding *f = arg;
	struct err e = {0};
	struct buf plain;

	if (is_message(form))
		return;
	if (str_iis(form->type, "message") &&
		str_iis(form->subtype, "feedback-report")) {
		take_failure(f, body);
		return;
	}
	buf_init(&plain, BUF_NO_CAP);
	if (unpack(body, &plain, &e) < 0)
		give_bad(f, &e);
	else
		take_document(f, buf_str(&plain), looks_packed(body));
	buf_free(&plain);
}

unsigned
report_find(struct str message, void (*each)(void *arg, json_t *report),
	void *arg)
{
	struct finding f = {.each = each, .arg = arg};

	mime_each_body(message, PARTS_LOOKED_AT, take_part, &f);
	return f.n;
}
