/*
 * dmarc_read.c - expat tells the elements; a table says which of them are
 * kept, by their path. Others are passed over, whatever they are.
 */
#include "report/dmarc_read.h"

#include <expat.h>
#include <string.h>

#include "base/buf.h"
#include "base/enc.h"

#define DEPTH_MOST 20
#define PATH_MOST 400
#define TEXT_MOST 1000

static const struct {
	const char *path, *key;
	enum { TEXT, NUMBER, PASS } form;
	bool of_record;
} kept[] = {
	{"feedback/report_metadata/org_name", "org", TEXT, false},
	{"feedback/report_metadata/email", "email", TEXT, false},
	{"feedback/report_metadata/report_id", "id", TEXT, false},
	{"feedback/report_metadata/date_range/begin", "begin", NUMBER, false},
	{"feedback/report_metadata/date_range/end", "end", NUMBER, false},
	{"feedback/policy_published/domain", "domain", TEXT, false},
	{"feedback/policy_published/p", "policy", TEXT, false},
	{"feedback/record/row/source_ip", "ip", TEXT, true},
	{"feedback/record/row/count", "count", NUMBER, true},
	{"feedback/record/row/policy_evaluated/disposition", "disposition",
		TEXT, true},
	{"feedback/record/row/policy_evaluated/dkim", "dkim", PASS, true},
	{"feedback/record/row/policy_evaluated/spf", "spf", PASS, true},
	{"feedback/record/row/policy_evaluated/reason/type", "reason", TEXT,
		true},
	{"feedback/record/identifiers/header_from", "header_from", TEXT, true},
	{"feedback/record/identifiers/envelope_from", "envelope_from", TEXT,
		true},
};

struct reading {
	XML_Parser parser;
	json_t *report, *record;
	char path[PATH_MOST];
	size_t at[DEPTH_MOST];	/* where each level begins in it */
	int depth;
	char text[TEXT_MOST + 1];
	size_t n_text;
	const char *why;	/* it was given up */
};

static void
give_up(struct reading *r, const char *why)
{
	r->why = why;
	XML_StopParser(r->parser, XML_FALSE);
}

static void
on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
	const XML_Char *pubid, int has_internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)has_internal;
	give_up(arg, "it has a document type");
}

static void
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = arg;
	const char *colon = strrchr(name, ':');
	size_t end = strlen(r->path);

	(void)attributes;
	name = colon ? colon + 1 : name;
	if (r->depth == DEPTH_MOST || end + strlen(name) + 2 > PATH_MOST)
		return give_up(r, "its elements are nested too deep");
	r->at[r->depth++] = end;
	snprintf(r->path + end, PATH_MOST - end, "%s%s", end ? "/" : "", name);
	r->n_text = 0;
	if (strcmp(r->path, "feedback/record"))
		return;
	if (json_array_size(json_object_get(r->report, "records")) ==
		DMARC_RECORDS_MOST)
		return give_up(r, "it has too many records");
	json_decref(r->record);
	r->record = json_pack("{s:b, s:b}", "dkim", 0, "spf", 0);
}

static void
on_text(void *arg, const XML_Char *text, int len)
{
	struct reading *r = arg;
	size_t room = TEXT_MOST - r->n_text;
	size_t n = (size_t)len < room ? (size_t)len : room;

	memcpy(r->text + r->n_text, text, n);
	r->n_text += n;
}

static json_t *
value_of(size_t i, struct str text)
{
	uint64_t n = 0;

	switch (kept[i].form) {
	case NUMBER:
		str_u64(text, INT64_MAX, &n);
		return json_integer((json_int_t)n);
	case PASS:
		return json_boolean(str_iis(text, "pass"));
	default:
		return json_stringn(text.at, text.len);
	}
}

static void
keep(struct reading *r)
{
	struct str text = str_trim(str_of(r->text, r->n_text));
	json_t *into;
	size_t i;

	/* Cut amid a character? */
	while (text.len && !enc_is_utf8(text))
		text.len--;
	for (i = 0; i < sizeof kept / sizeof *kept; i++) {
		if (strcmp(kept[i].path, r->path))
			continue;
		into = kept[i].of_record ? r->record : r->report;
		json_object_set_new(into, kept[i].key, value_of(i, text));
	}
}

static void
on_end(void *arg, const XML_Char *name)
{
	struct reading *r = arg;

	(void)name;
	keep(r);
	r->n_text = 0;
	if (!strcmp(r->path, "feedback/record")) {
		json_array_append_new(json_object_get(r->report, "records"),
			r->record);
		r->record = NULL;
	}
	r->path[r->at[--r->depth]] = '\0';
}

static bool
has(const json_t *report, const char *key)
{
	const char *s = json_string_value(json_object_get(report, key));

	return s && *s;
}

json_t *
dmarc_read(struct str xml, struct err *e)
{
	struct reading r = {.parser = XML_ParserCreate(NULL)};

	if (!r.parser) {
		err_set(e, ERR_SYS, "expat cannot be used");
		return NULL;
	}
	r.report = json_pack("{s:s, s:[]}", "kind", "dmarc", "records");
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
	if (XML_Parse(r.parser, xml.at, (int)xml.len, 1) != XML_STATUS_OK)
		err_set(e, ERR_PROTOCOL, "line %lu: %s", (unsigned long)
			XML_GetCurrentLineNumber(r.parser), r.why ? r.why :
			XML_ErrorString(XML_GetErrorCode(r.parser)));
	else if (!has(r.report, "domain") || !has(r.report, "org"))
		err_set(e, ERR_PROTOCOL, "it names no domain, or nobody who "
			"reports");
	else
		r.why = "";
	XML_ParserFree(r.parser);
	json_decref(r.record);
	if (r.why && !*r.why)
		return r.report;
	json_decref(r.report);
	return NULL;
}
