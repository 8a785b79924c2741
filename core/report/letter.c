/*
 * letter.c - composes a report, and asks whether a foreign address wants it
 * (RFC 9990 4: else anyone could have others flooded).
 */
#include "report/letter.h"

#include <time.h>

#include "base/clock.h"
#include "base/enc.h"
#include "mail/addr.h"
#include "queue/drop.h"
#include "report/unpack.h"

#define CONSENT_MS 20000
#define LINE 57			/* bytes of a line of base64 */

struct target {
	struct str address;
	uint64_t most;		/* bytes; 0: any number */
};

int64_t
letter_day(const char *day)
{
	struct tm tm = {.tm_isdst = 0};
	const char *end = strptime(day, "%Y-%m-%d", &tm);

	return end && !*end && strlen(day) == 10 ? timegm(&tm) : -1;
}

void
letter_today(char out[32])
{
	clock_iso(clock_wall(), out);
	out[10] = '\0';
}

/* ---------------------------------------------------------------- targets */

static struct str
decode_percent(struct arena *a, struct str s)
{
	char *out = arena_alloc(a, s.len + 1);
	size_t i, n = 0;
	unsigned c;

	for (i = 0; i < s.len; i++)
		if (s.at[i] == '%' && i + 2 < s.len && sscanf(s.at + i + 1,
			"%2x", &c) == 1) {
			out[n++] = (char)c;
			i += 2;
		} else {
			out[n++] = s.at[i];
		}
	return str_of(out, n);
}

/* "10m" */
static uint64_t
read_size(struct str s)
{
	static const char units[] = "kmgt";
	uint64_t n = 0;
	const char *unit = s.len ? strchr(units, to_lower(s.at[s.len - 1])) :
		NULL;

	if (unit)
		s.len--;
	if (!s.len || !str_u64(s, 1 << 20, &n))
		return 0;
	return unit ? n << 10 * (unit - units + 1) : n;
}

/* mailto: addresses of "mailto:a@b!10m, https://c"; others are passed over. */
static size_t
read_targets(const char *rua, struct arena *a, struct target *out)
{
	struct str rest = str_from(rua), one, size;
	struct addr address;
	size_t n = 0;

	while (rest.len && n < LETTER_TARGETS) {
		size = one = str_trim(str_cut(&rest, ','));
		if (one.len < 7 || !str_iis(str_sub(one, 0, 7), "mailto:"))
			continue;
		size = str_sub(one, 7, one.len);
		one = decode_percent(a, str_cut(&size, '!'));
		if (!addr_parse(one, &address) || !address.domain.len)
			continue;
		out[n++] = (struct target){arena_str(a, one),
			read_size(size)};
	}
	return n;
}

/* One is the other, or lies in it. */
static bool
is_kin(struct str one, struct str other)
{
	struct str longer = one.len > other.len ? one : other;
	struct str shorter = one.len > other.len ? other : one;
	size_t at = longer.len - shorter.len;

	return str_ieq(str_sub(longer, at, longer.len), shorter) &&
		(!at || longer.at[at - 1] == '.');
}

static struct str
domain_of(struct str address)
{
	return str_sub(address, str_rfind(address, '@') + 1, address.len);
}

/* "v=DMARC1", the first tag of a record, which moves behind it. */
static bool
cut_version(struct str *record)
{
	struct str value = str_cut(record, ';');

	return str_is(str_trim(str_cut(&value, '=')), "v") &&
		str_is(str_trim(value), "DMARC1");
}

/* The record may name another address of the same host, and none elsewhere
 * (RFC 9990 4, step 9). False: it does. */
static bool
redirect(struct str record, struct target *t, struct arena *a)
{
	struct target other[LETTER_TARGETS];
	struct str value;

	while (record.len) {
		value = str_cut(&record, ';');
		if (!str_is(str_trim(str_cut(&value, '=')), "rua"))
			continue;
		if (!read_targets(arena_cstr(a, value), a, other) ||
			!str_ieq(domain_of(other[0].address),
			domain_of(t->address)))
			return false;
		*t = other[0];
	}
	return true;
}

/* NULL: it does not; *t is then where the report is to go. */
static const char *
refuses(const struct letter *l, struct target *t, struct arena *a)
{
	struct str domain = domain_of(t->address), record;
	struct dns_answer got;
	size_t i;

	if (strcmp(l->kind, "dmarc") || is_kin(domain, str_from(l->domain)))
		return NULL;
	dns_query(l->house->dns, str_from(arena_printf(a,
		"%s._report._dmarc.%.*s", l->domain, STR_ARGS(domain))),
		DNS_TXT, clock_mono() + CONSENT_MS, a, &got);
	for (i = 0; i < got.n; i++) {
		record = got.record[i].text;
		if (cut_version(&record))
			return redirect(record, t, a) ? NULL :
				"it wants reports to go to another host";
	}
	return got.status == DNS_TEMPFAIL || got.status == DNS_BOGUS ?
		"whether it wants reports of this domain cannot be told" :
		"it does not say that it wants reports of this domain";
}

/* --------------------------------------------------------------- composing */

static const char *
sender_of(const struct letter *l, struct arena *a)
{
	return *l->house->settings->sender ? l->house->settings->sender :
		arena_printf(a, "noreply-reports@%s", l->house->hostname);
}

static void
add_head(const struct letter *l, const struct target *t, struct arena *a,
	struct buf *out)
{
	const char *from = sender_of(l, a), *host = l->house->hostname;
	bool is_tls = !strcmp(l->kind, "tls");
	char date[40];

	clock_mail_date(clock_wall(), date);
	buf_addf(out, "From: Reports of %s <%s>\r\nTo: <%.*s>\r\n"
		"Subject: Report Domain: %s\r\n Submitter: %s\r\n"
		" Report-ID: <%s.%s@%s>\r\nDate: %s\r\n"
		"Message-ID: <%s.%s.%s@%s>\r\n"
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n",
		host, from, STR_ARGS(t->address), l->domain, host, l->day,
		l->domain, host, date, l->kind, l->day, l->domain, host);
	if (is_tls)
		buf_addf(out, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: "
			"%s\r\n", l->domain, host);
	buf_addf(out, "Content-Type: multipart/%s; boundary=\"report\"\r\n\r\n",
		is_tls ? "report; report-type=\"tlsrpt\"" : "mixed");
}

static void
add_attachment(const struct letter *l, struct str packed, struct buf *out)
{
	int64_t begin = letter_day(l->day);
	size_t at;

	buf_addf(out, "--report\r\nContent-Type: application/%s\r\n"
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: "
		"attachment;\r\n filename=\"%s!%s!%lld!%lld.%s.gz\"\r\n\r\n",
		strcmp(l->kind, "tls") ? "gzip" : "tlsrpt+gzip",
		l->house->hostname, l->domain, (long long)begin,
		(long long)begin + 86399, l->form);
	for (at = 0; at < packed.len; at += LINE) {
		struct str line = str_sub(packed, at, LINE);

		enc_base64(out, line.at, line.len);
		buf_adds(out, "\r\n");
	}
	buf_adds(out, "--report--\r\n");
}

static void
compose(const struct letter *l, const struct target *t, struct str packed,
	struct arena *a, struct buf *out)
{
	add_head(l, t, a, out);
	buf_addf(out, "--report\r\nContent-Type: text/plain\r\n\r\n"
		"The report for %s of %s is attached. %s asks for it by the "
		"record\r\n%s%s in DNS.\r\n\r\n", l->domain, l->day, l->domain,
		strcmp(l->kind, "tls") ? "_dmarc." : "_smtp._tls.", l->domain);
	add_attachment(l, packed, out);
}

/* ----------------------------------------------------------------- sending */

static void
tell(const struct letter *l, const struct target *t, size_t bytes,
	const char *fate)
{
	json_t *report;

	if (!l->told)
		return;
	report = json_pack("{s:s, s:s, s:s, s:s%, s:i, s:s}", "kind", l->kind,
		"domain", l->domain, "day", l->day, "to", t->address.at,
		t->address.len, "bytes", (int)bytes, "fate", fate);
	l->told(l->arg, report, l->document);
	json_decref(report);
}

/* Bytes of the attachment as it travels: what the limit of rua= is about (RFC
 * 9990 3.5). */
static size_t
encoded_size(size_t packed)
{
	return (packed + 2) / 3 * 4 + (packed + LINE - 1) / LINE * 2;
}

/* 1: sent, 0: not wanted, -1. The null sender: nobody is told when it does not
 * arrive. */
static int
send_to(const struct letter *l, struct target *t, struct str packed,
	struct arena *a, struct err *e)
{
	const char *why = refuses(l, t, a);
	struct str rcpt = t->address;
	struct drop d = {.sender = STR(""), .rcpt = &rcpt, .n_rcpt = 1,
		.args = STR(""), .notify = STR("NEVER")};
	struct buf text;
	int code = 0;

	if (!why && t->most && encoded_size(packed.len) > t->most)
		why = "it is larger than it wants reports to be";
	if (why || l->house->dry) {
		tell(l, t, packed.len, why ? why : "would be sent");
		return 0;
	}
	buf_init(&text, BUF_NO_CAP);
	compose(l, t, packed, a, &text);
	code = drop_write(l->house->drop, &d, buf_str(&text), NULL, e);
	buf_free(&text);
	if (code < 0)
		return -1;
	tell(l, t, packed.len, "sent");
	return 1;
}

int
letter_send(const struct letter *l, struct err *e)
{
	struct target target[LETTER_TARGETS];
	struct arena a;
	struct buf packed;
	size_t i, n;
	int sent = 0, code;

	arena_init(&a);
	buf_init(&packed, BUF_NO_CAP);
	n = read_targets(l->rua, &a, target);
	code = n ? pack(l->document, &packed, e) : 0;
	for (i = 0; i < n && code >= 0; i++) {
		code = send_to(l, &target[i], buf_str(&packed), &a, e);
		sent += code > 0;
	}
	buf_free(&packed);
	arena_free(&a);
	return code < 0 ? -1 : sent;
}
