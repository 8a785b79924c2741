/*
 * report_text.c - a multipart/report of three parts: what happened in plain
 * words, message/delivery-status, and the message or its header section (RFC
 * 6522, RFC 3464). With addresses beyond ASCII the parts have the types of
 * RFC 6533.
 *
 * What the other side said is quoted as text of this message: control
 * characters are made harmless and long lines folded, so that no reply can
 * end a part, a field or a line that is too long.
 */
#include "queue/report.h"

#include <unistr.h>

#include "base/clock.h"
#include "base/enc.h"
#include "mail/esmtp_args.h"
#include "mail/header.h"
#include "mail/reply.h"
#include "queue/remedy.h"

#define WIDTH 74
#define QUOTE_WIDTH 500		/* what others said stays findable */
#define SUBJECT_MOST 300	/* of the message, in ours */

static void
add_clean(struct buf *out, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		buf_addc(out, c < 32 || c == 127 ? ' ' : (char)c);
	}
}

/* Words up to the width, each line but the first behind `indent`; `at` is
 * where the first stands already. Ends the line. */
static void
add_words(struct buf *out, const char *indent, size_t at, size_t width,
	struct str text)
{
	struct str word;
	bool first = true;

	while ((word = str_word(&text)).len) {
		if (!first && at + 1 + word.len > width) {
			buf_addf(out, "\r\n%s", indent);
			at = strlen(indent);
		} else if (!first) {
			buf_addc(out, ' ');
			at++;
		}
		/* A "word" without blanks can be longer than a line may. */
		add_clean(out, str_sub(word, 0, 500));
		at += word.len;
		first = false;
	}
	buf_adds(out, "\r\n");
}

static void
add_paragraph(struct buf *out, const char *indent, const char *head,
	struct str text)
{
	buf_addf(out, "%s%s", indent, head);
	add_words(out, indent, strlen(indent) + strlen(head), WIDTH, text);
}

/* ---------------------------------------------------------- part 1: people */

static const struct {
	enum report_action action;
	const char *subject;	/* by the first action that there is */
	const char *says;
	bool explains;		/* why, and what helps */
} sections[] = {
	{REPORT_FAILED, "Your message could not be delivered",
		"Your message could not be delivered to the following. It "
		"will not be tried again.", true},
	{REPORT_DELAYED, "Your message is not delivered yet",
		"Your message has not been delivered yet to:", true},
	{REPORT_DELIVERED, "Your message was delivered",
		"Your message was delivered to:", false},
	{REPORT_EXPANDED, "Your message was delivered",
		"Your message was sent on to all whom these addresses stand "
		"for:", false},
	{REPORT_RELAYED, "Your message was passed on",
		"Your message was passed on to a server that sends no "
		"confirmations. You will hear no more of these recipients, "
		"unless delivery fails:", false},
};
#define SECTIONS (sizeof sections / sizeof *sections)

static bool
has_action(const struct report *r, enum report_action a)
{
	size_t i;

	for (i = 0; i < r->n_rcpt; i++)
		if (r->rcpt[i].action == a)
			return true;
	return false;
}

static void
add_advice(struct buf *out, const struct report_rcpt *r)
{
	const struct remedy *known = remedy_find(r->reply);
	bool is_lasting = !str_starts(r->reply, "4");
	const char *what = known ? known->sender : NULL;

	if (known)
		add_paragraph(out, "        ", "What it means: ",
			str_from(known->cause));
	if (r->action == REPORT_DELAYED)
		return;
	if (!is_lasting && !what)
		what = "It was tried until its time was over. Send it again "
			"later, or reach the recipient another way.";
	if (what)
		add_paragraph(out, "        ", "What you can do: ",
			str_from(what));
}

static void
add_person(struct buf *out, const struct report_rcpt *r, bool explains)
{
	buf_adds(out, "    ");
	add_clean(out, r->address);
	buf_adds(out, "\r\n");
	if (!explains)
		return;
	buf_adds(out, "        ");
	if (r->remote.len) {
		add_clean(out, r->remote);
		buf_adds(out, " said: ");
	}
	add_words(out, "        ", r->remote.len + 15, QUOTE_WIDTH, r->reply);
	add_advice(out, r);
	buf_adds(out, "\r\n");
}

static void
add_section(struct buf *out, const struct report *r, size_t n)
{
	size_t i;
	char date[40];

	if (!has_action(r, sections[n].action))
		return;
	add_paragraph(out, "", "", str_from(sections[n].says));
	buf_adds(out, "\r\n");
	for (i = 0; i < r->n_rcpt; i++)
		if (r->rcpt[i].action == sections[n].action)
			add_person(out, &r->rcpt[i], sections[n].explains);
	if (!sections[n].explains)
		buf_adds(out, "\r\n");
	if (sections[n].action != REPORT_DELAYED)
		return;
	clock_mail_date(r->expire_ms, date);
	buf_addf(out, "You need not do anything: it is tried again until\r\n"
		"%s,\r\nand you are told if it fails for good.\r\n\r\n", date);
}

/* "" unless it can stand in a field of ours. */
static struct str
subject_of(const struct report *r, struct arena *a)
{
	struct header_field f;
	struct str s;

	if (!header_find(r->header, "Subject", &f))
		return STR("");
	s = header_unfold(a, f.value);
	if (s.len > SUBJECT_MOST ||
		(!enc_is_ascii(s) && !(report_is_utf8(r) && enc_is_utf8(s))))
		return STR("");
	return s;
}

static void
write_people(struct buf *out, const struct report *r)
{
	struct buf subject;
	struct header_field f;
	size_t i;

	buf_addf(out, "This is the mail server %s.\r\n\r\n", r->hostname);
	for (i = 0; i < SECTIONS; i++)
		add_section(out, r, i);
	if (header_find(r->header, "Subject", &f)) {
		buf_init(&subject, 2000);
		header_decode(&subject, f.value);
		add_paragraph(out, "", "Subject of the message: ",
			buf_str(&subject));
		buf_free(&subject);
	}
	add_paragraph(out, "", "", str_from(r->is_whole ?
		"The message is attached." :
		"The header of the message is attached."));
	buf_addf(out, "If you ask the administrator about it, name this "
		"id: %s\r\n", r->trace);
}

/* -------------------------------------------------------- part 2: programs */

static const char *const action_names[] = {
	[REPORT_FAILED] = "failed", [REPORT_DELAYED] = "delayed",
	[REPORT_RELAYED] = "relayed", [REPORT_DELIVERED] = "delivered",
	[REPORT_EXPANDED] = "expanded",
};

/* "5.1.1" out of "550 5.1.1 text", with the class that the action has (RFC
 * 3464 2.3.4): what was put off until the end has failed by the time (5.4.7
 * of RFC 3463). */
static void
add_status(struct buf *out, const struct report_rcpt *r)
{
	struct str rest = r->reply, code = str_word(&rest), said;
	size_t n;

	rest = str_trim_blank(rest);
	n = code.len == 3 ? reply_enhanced(rest, (code.at[0] - '0') * 100) : 0;
	said = str_sub(rest, 0, n);
	if (r->action == REPORT_FAILED)
		buf_addstr(out, str_starts(said, "5") ? said :
			str_starts(code, "5") ? STR("5.0.0") : STR("5.4.7"));
	else if (r->action == REPORT_DELAYED)
		buf_addstr(out, str_starts(said, "4") ? said : STR("4.0.0"));
	else
		buf_addstr(out, str_starts(said, "2") ? said : STR("2.0.0"));
}

static void
add_address(struct buf *out, const char *field, const char *type,
	struct str address)
{
	buf_addf(out, "%s: %s; ", field, type);
	add_clean(out, address);
	buf_adds(out, "\r\n");
}

static void
add_field(struct buf *out, const char *head, struct str text)
{
	buf_adds(out, head);
	add_words(out, "\t", strlen(head), QUOTE_WIDTH, text);
}

/* \x{HEX} of RFC 6533 section 3 as UTF-8; what is not that is kept. */
static void
add_unitext(struct buf *out, struct str s)
{
	while (s.len) {
		size_t from = str_find_str(s, STR("\\x{")), end;
		uint8_t utf8[6];
		ucs4_t c = 0;
		int n;

		buf_addstr(out, str_sub(s, 0, from));
		s = str_sub(s, from, s.len);
		end = str_find(s, '}');
		if (end == s.len || end > 9) {
			buf_addstr(out, s);
			return;
		}
		for (from = 3; from < end; from++)
			c = c << 4 | (ucs4_t)(is_digit(s.at[from]) ?
				s.at[from] - '0' :
				(to_upper(s.at[from]) - 'A' + 10) & 15);
		n = u8_uctomb(utf8, c, sizeof utf8);
		buf_add(out, utf8, n > 0 ? (size_t)n : 0);
		s = str_sub(s, end + 1, s.len);
	}
}

/* As the client named it (RFC 3461 4.2), when it did. */
static void
add_original(struct buf *out, const struct report *r, struct str args)
{
	struct buf plain, text;
	struct str value, type;
	bool is_utf8;

	if (!esmtp_arg(args, "ORCPT", &value))
		return;
	type = str_cut(&value, ';');
	is_utf8 = str_iis(type, "utf-8");
	buf_init(&plain, 2000);
	buf_init(&text, 2000);
	if (xtext_decode(&plain, value)) {
		if (is_utf8 && report_is_utf8(r))
			add_unitext(&text, buf_str(&plain));
		else
			buf_addstr(&text, buf_str(&plain));
		buf_adds(out, "Original-Recipient: ");
		add_clean(out, type);
		buf_adds(out, "; ");
		add_clean(out, buf_str(&text));
		buf_adds(out, "\r\n");
	}
	buf_free(&plain);
	buf_free(&text);
}

static void
add_rcpt(struct buf *out, const struct report *r, const struct report_rcpt *p)
{
	char date[40];

	buf_adds(out, "\r\n");
	add_original(out, r, p->args);
	add_address(out, "Final-Recipient", enc_is_ascii(p->address) ?
		"rfc822" : "utf-8", p->address);
	buf_addf(out, "Action: %s\r\nStatus: ", action_names[p->action]);
	add_status(out, p);
	buf_adds(out, "\r\n");
	if (p->remote.len) {
		buf_adds(out, "Remote-MTA: dns; ");
		add_clean(out, p->remote);
		buf_adds(out, "\r\n");
	}
	if (p->reply.len)
		add_field(out, "Diagnostic-Code: smtp; ", p->reply);
	clock_mail_date(clock_wall(), date);
	buf_addf(out, "Last-Attempt-Date: %s\r\n", date);
	if (p->action != REPORT_DELAYED)
		return;
	clock_mail_date(r->expire_ms, date);
	buf_addf(out, "Will-Retry-Until: %s\r\n", date);
}

static void
write_programs(struct buf *out, const struct report *r)
{
	struct str envid;
	struct buf plain;
	char date[40];
	size_t i;

	if (esmtp_arg(r->rcpt[0].args, "ENVID", &envid)) {
		buf_init(&plain, 200);
		if (xtext_decode(&plain, envid)) {
			buf_adds(out, "Original-Envelope-Id: ");
			add_clean(out, buf_str(&plain));
			buf_adds(out, "\r\n");
		}
		buf_free(&plain);
	}
	clock_mail_date(r->arrived_ms, date);
	buf_addf(out, "Reporting-MTA: dns; %s\r\nArrival-Date: %s\r\n",
		r->hostname, date);
	for (i = 0; i < r->n_rcpt; i++)
		add_rcpt(out, r, &r->rcpt[i]);
}

/* ---------------------------------------------------------------- the whole */

static void
write_header(struct buf *out, const struct report *r, const char *boundary)
{
	char date[40], id[21];
	struct header_field f;
	struct arena a;
	struct str subject;
	size_t i = 0;

	arena_init(&a);
	subject = subject_of(r, &a);
	while (i + 1 < SECTIONS && !has_action(r, sections[i].action))
		i++;
	clock_mail_date(clock_wall(), date);
	enc_random_word(id, 20);
	buf_addf(out, "From: Mail Delivery <postmaster@%s>\r\nTo: <",
		r->hostname);
	add_clean(out, r->sender);
	buf_addf(out, ">\r\nSubject: %s%s", sections[i].subject,
		subject.len ? ":\r\n\t" : "");
	add_clean(out, subject);
	buf_addf(out, "\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n", date, id,
		r->hostname);
	if (header_find(r->header, "Message-ID", &f)) {
		subject = header_unfold(&a, f.value);
		if (subject.len && subject.len < 900 && enc_is_ascii(subject))
			buf_addf(out, "In-Reply-To: %.*s\r\nReferences: "
				"%.*s\r\n", STR_ARGS(subject),
				STR_ARGS(subject));
	}
	buf_addf(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;"
		"\r\n\tboundary=\"%s\"\r\n\r\n", boundary);
	arena_free(&a);
}

static void
begin_part(struct buf *out, const char *boundary, const char *type,
	bool is_8bit, const char *description)
{
	buf_addf(out, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: "
		"%s\r\nContent-Description: %s\r\n\r\n", boundary, type,
		is_8bit ? "8bit" : "7bit", description);
}

static void
write_people_part(struct buf *out, const struct report *r,
	const char *boundary)
{
	struct buf text;
	bool is_8bit;

	buf_init(&text, BUF_NO_CAP);
	write_people(&text, r);
	is_8bit = !enc_is_ascii(buf_str(&text));
	begin_part(out, boundary, is_8bit ? "text/plain; charset=utf-8" :
		"text/plain; charset=us-ascii", is_8bit, "Notification");
	buf_addstr(out, buf_str(&text));
	buf_free(&text);
}

void
report_write(const struct report *r, struct buf *before, struct buf *behind)
{
	bool is_utf8 = report_is_utf8(r);
	char boundary[33];

	enc_random_word(boundary, 32);
	write_header(before, r, boundary);
	write_people_part(before, r, boundary);
	buf_adds(before, "\r\n");
	begin_part(before, boundary, is_utf8 ?
		"message/global-delivery-status" : "message/delivery-status",
		is_utf8, "Delivery report");
	write_programs(before, r);
	buf_adds(before, "\r\n");
	if (r->is_whole) {
		begin_part(before, boundary, is_utf8 ? "message/global" :
			"message/rfc822", true, "The message");
	} else {
		begin_part(before, boundary, is_utf8 ?
			"message/global-headers" : "text/rfc822-headers",
			is_utf8 || !enc_is_ascii(r->header),
			"Header of the message");
		buf_addstr(before, r->header);
		if (r->header.len && !str_ends(r->header, "\r\n"))
			buf_adds(before, "\r\n");
	}
	buf_addf(behind, "\r\n--%s--\r\n", boundary);
}
