/*
 * dmarc_send.c - from the rows that the dmarc plugin keeps to reports: rows of
 * a day that are alike become one with a count, and those of a domain one
 * document (RFC 9990 appendix A).
 */
#include "report/outgoing.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "report/letter.h"
#include "report/sums.h"

#define FILE_MOST (80u << 20)
#define KINDS_MOST 20000	/* different rows of a domain */

/* ----------------------------------------------------------------- adding */

/* domains: {DOMAIN: {LINE: count}}. Lines are alike as text: they have the
 * same keys in the same order. */
static void
add_line(json_t *domains, struct str line)
{
	json_t *row = json_loadb(line.at, line.len, 0, NULL), *of, *count;
	const char *domain = json_string_value(json_object_get(row, "domain"));
	char *key = domain ? json_dumps(row, JSON_COMPACT) : NULL;

	if (key) {
		of = json_object_get(domains, domain);
		if (!of)
			json_object_set_new(domains, domain,
				of = json_object());
		count = json_object_get(of, key);
		if (count || json_object_size(of) < KINDS_MOST)
			json_object_set_new(of, key, json_integer(
				json_integer_value(count) + 1));
	}
	free(key);
	json_decref(row);
}

/* A line that is not whole (a full disk) is passed over. */
static json_t *
read_day(const char *path, struct err *e)
{
	json_t *domains = NULL;
	struct str text, line;
	struct arena a;

	arena_init(&a);
	if (file_read(path, FILE_MOST, &a, &text, e) == 0) {
		domains = json_object();
		while (text.len) {
			line = str_cut(&text, '\n');
			add_line(domains, line);
		}
	}
	arena_free(&a);
	return domains;
}

/* ---------------------------------------------------------------- writing */

static void
escape(struct buf *out, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '<': buf_adds(out, "&lt;"); break;
		case '>': buf_adds(out, "&gt;"); break;
		case '&': buf_adds(out, "&amp;"); break;
		default:
			if ((unsigned char)*s >= ' ')
				buf_addc(out, *s);
		}
}

static void
element(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "<%s>", name);
	escape(out, value);
	buf_addf(out, "</%s>\n", name);
}

/* Left out where there is nothing to say. */
static void
element_if(struct buf *out, const char *name, const char *value)
{
	if (*value)
		element(out, name, value);
}

static bool
is_true(const json_t *row, const char *key)
{
	return json_is_true(json_object_get(row, key));
}

static void
add_metadata(struct buf *out, const struct report_house *h,
	const char *domain, const char *day)
{
	int64_t begin = letter_day(day);

	buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
		"<version>1.0</version>\n<report_metadata>\n");
	element(out, "org_name", h->hostname);
	buf_adds(out, "<email>");
	if (*h->settings->contact)
		escape(out, h->settings->contact);
	else
		buf_addf(out, "postmaster@%s", h->hostname);
	buf_addf(out, "</email>\n<report_id>%s.", day);
	escape(out, domain);
	buf_addf(out, "@%s</report_id>\n<date_range><begin>%lld</begin>"
		"<end>%lld</end></date_range>\n", h->hostname,
		(long long)begin, (long long)begin + 86399);
	element(out, "generator", "Mailroom " PACKAGE_VERSION);
	buf_adds(out, "</report_metadata>\n");
}

static void
add_policy(struct buf *out, const json_t *row)
{
	buf_adds(out, "<policy_published>\n");
	element(out, "domain", sums_text(row, "domain"));
	element(out, "discovery_method", "treewalk");
	element(out, "p", sums_text(row, "p"));
	element_if(out, "sp", sums_text(row, "sp"));
	element_if(out, "np", sums_text(row, "np"));
	element(out, "adkim", is_true(row, "strict_dkim") ? "s" : "r");
	element(out, "aspf", is_true(row, "strict_spf") ? "s" : "r");
	element(out, "testing", is_true(row, "testing") ? "y" : "n");
	buf_adds(out, "</policy_published>\n");
}

static void
add_result(struct buf *out, const json_t *r)
{
	const char *method = json_string_value(json_array_get(r, 0));
	bool is_spf = method && !strcmp(method, "spf");
	const char *value[4];
	size_t i;

	for (i = 0; i < 4; i++) {
		value[i] = json_string_value(json_array_get(r, i));
		value[i] = value[i] ? value[i] : "";
	}
	if (!*value[2])		/* "none": there is no signature */
		return;
	buf_adds(out, is_spf ? "<spf>" : "<dkim>");
	element(out, "domain", value[2]);
	element(out, is_spf ? "scope" : "selector", value[3]);
	element(out, "result", value[1]);
	buf_adds(out, is_spf ? "</spf>\n" : "</dkim>\n");
}

/* One method's results: the schema has DKIM before SPF, and one SPF. */
static void
add_results(struct buf *out, const json_t *row, const char *method,
	size_t most)
{
	const json_t *r;
	size_t i, n = 0;

	json_array_foreach(json_object_get(row, "results"), i, r) {
		const char *m = json_string_value(json_array_get(r, 0));

		if (m && !strcmp(m, method) && n++ < most)
			add_result(out, r);
	}
}

static void
add_row(struct buf *out, const json_t *row, json_int_t count)
{
	buf_adds(out, "<record>\n<row>\n");
	element(out, "source_ip", sums_text(row, "ip"));
	buf_addf(out, "<count>%lld</count>\n<policy_evaluated>\n",
		(long long)count);
	element(out, "disposition", sums_text(row, "disposition"));
	element(out, "dkim", is_true(row, "dkim") ? "pass" : "fail");
	element(out, "spf", is_true(row, "spf") ? "pass" : "fail");
	if (*sums_text(row, "reason")) {
		buf_adds(out, "<reason>");
		element(out, "type", sums_text(row, "reason"));
		buf_adds(out, "</reason>\n");
	}
	buf_adds(out, "</policy_evaluated>\n</row>\n<identifiers>\n");
	element(out, "header_from", sums_text(row, "from"));
	element_if(out, "envelope_from", sums_text(row, "envelope"));
	buf_adds(out, "</identifiers>\n<auth_results>\n");
	add_results(out, row, "dkim", 100);
	add_results(out, row, "spf", 1);
	buf_adds(out, "</auth_results>\n</record>\n");
}

/* The policy and the addresses are those of the last row: the newest. */
static char *
write_document(const struct report_house *h, const char *domain, json_t *lines,
	const char *day, struct buf *out)
{
	struct buf rows;
	json_t *count, *row, *last = NULL;
	const char *line;
	char *rua;

	buf_init(&rows, BUF_NO_CAP);
	json_object_foreach(lines, line, count) {
		row = json_loads(line, 0, NULL);
		add_row(&rows, row, json_integer_value(count));
		json_decref(last);
		last = row;
	}
	add_metadata(out, h, domain, day);
	add_policy(out, last);
	buf_addstr(out, buf_str(&rows));
	buf_adds(out, "</feedback>\n");
	rua = mem_cstr(sums_text(last, "rua"));
	json_decref(last);
	buf_free(&rows);
	return rua;
}

/* ---------------------------------------------------------------- sending */

static int
send_domain(const struct report_house *h, const char *domain, json_t *lines,
	struct letter *l, struct err *e)
{
	struct buf document;
	char *rua;
	int code;

	buf_init(&document, BUF_NO_CAP);
	rua = write_document(h, domain, lines, l->day, &document);
	l->domain = domain;
	l->rua = rua;
	l->document = buf_str(&document);
	code = letter_send(l, e);
	free(rua);
	buf_free(&document);
	return code;
}

static int
send_day(const struct report_house *h, const char *path, struct letter *l,
	struct err *e)
{
	json_t *domains = NULL, *lines;
	const char *domain;
	int sent = 0, code = 0;
	bool is_over = false;

	if (!h->discards && !(domains = read_day(path, e)))
		return -1;
	json_object_foreach(domains, domain, lines) {
		is_over = h->is_over && h->is_over(h->arg);
		if (is_over || code < 0)
			break;
		code = send_domain(h, domain, lines, l, e);
		sent += code > 0 ? code : 0;
	}
	json_decref(domains);
	if (code >= 0 && !is_over && !h->dry)
		unlink(path);
	return code < 0 ? -1 : sent;
}

int
report_send_dmarc(const struct report_house *h, report_told told,
	void *arg, struct err *e)
{
	struct letter l = {.house = h, .kind = "dmarc", .form = "xml",
		.told = told, .arg = arg};
	char folder[4096], path[4400], today[32];
	const struct dirent *one;
	int sent = 0, code = 0;
	DIR *d;

	letter_today(today);
	snprintf(folder, sizeof folder, "%s/dmarc", h->data);
	d = opendir(folder);
	if (!d)
		return errno == ENOENT ? 0 : err_sys(e, "%s", folder);
	while (code >= 0 && (one = readdir(d))) {
		if (letter_day(one->d_name) < 0 || strcmp(one->d_name,
			today) >= 0)
			continue;
		snprintf(path, sizeof path, "%s/%.255s", folder, one->d_name);
		l.day = one->d_name;
		code = send_day(h, path, &l, e);
		sent += code > 0 ? code : 0;
	}
	closedir(d);
	return code < 0 ? -1 : sent;
}
