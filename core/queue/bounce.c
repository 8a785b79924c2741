/*
 * bounce.c - a multipart/report with three parts: what happened in plain
 * words, message/delivery-status, and the header section of the message
 * (RFC 6522, RFC 3464).
 *
 * What the other side said is quoted as text of this message: control
 * characters are made harmless, so that no reply can end a part or a field.
 */
#include "queue/bounce.h"

#include "base/clock.h"
#include "base/enc.h"

static void
add_clean(struct buf *out, struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		buf_addc(out, c < 32 || c == 127 ? ' ' : (char)c);
	}
}

/* "5.1.1" out of "550 5.1.1 text"; RFC 3463's unknown when there is none. */
static struct str
status_of(struct str reply)
{
	struct str rest = reply, code = str_word(&rest);
	struct str word = str_word(&rest);
	bool lasting = !str_starts(code, "4");
	size_t i, dots = 0;

	for (i = 0; i < word.len; i++) {
		if (word.at[i] == '.')
			dots++;
		else if (!is_digit(word.at[i]))
			break;
	}
	if (i == word.len && dots == 2)
		return word;
	return lasting ? STR("5.0.0") : STR("4.0.0");
}

/* A permanent status: what was temporary ends as 4.4.7 (RFC 3463). */
static struct str
final_status(struct str reply)
{
	struct str s = status_of(reply);

	return str_starts(s, "5") ? s : STR("5.4.7");
}

static void
write_human(const struct bounce *b, struct buf *out)
{
	size_t i;

	buf_addf(out, "This is the mail server %s.\r\n\r\n"
		"Your message could not be delivered to:\r\n\r\n",
		b->hostname);
	for (i = 0; i < b->n_rcpt; i++) {
		const struct bounce_rcpt *r = &b->rcpt[i];

		buf_adds(out, "    ");
		add_clean(out, r->address);
		buf_adds(out, "\r\n        ");
		if (r->remote.len) {
			add_clean(out, r->remote);
			buf_adds(out, " said: ");
		}
		add_clean(out, r->reply);
		buf_adds(out, "\r\n\r\n");
	}
	buf_addf(out, "It will not be tried again. The header of your message "
		"is attached. If you\r\nask the administrator about it, name "
		"this id: %s\r\n", b->trace);
}

static void
write_status(const struct bounce *b, struct buf *out)
{
	char date[40];
	size_t i;

	clock_mail_date(b->arrived_ms, date);
	buf_addf(out, "Reporting-MTA: dns; %s\r\nArrival-Date: %s\r\n",
		b->hostname, date);
	for (i = 0; i < b->n_rcpt; i++) {
		const struct bounce_rcpt *r = &b->rcpt[i];

		buf_adds(out, "\r\nFinal-Recipient: rfc822; ");
		add_clean(out, r->address);
		buf_adds(out, "\r\nAction: failed\r\nStatus: ");
		buf_addstr(out, final_status(r->reply));
		if (r->remote.len) {
			buf_adds(out, "\r\nRemote-MTA: dns; ");
			add_clean(out, r->remote);
		}
		buf_adds(out, "\r\nDiagnostic-Code: smtp; ");
		add_clean(out, r->reply);
		buf_adds(out, "\r\n");
	}
}

void
bounce_write(const struct bounce *b, struct buf *out)
{
	char date[40], boundary[33], id[21];

	clock_mail_date(clock_wall(), date);
	enc_random_word(boundary, 32);
	enc_random_word(id, 20);
	buf_addf(out, "From: Mail Delivery <postmaster@%s>\r\nTo: <",
		b->hostname);
	add_clean(out, b->sender);
	buf_addf(out, ">\r\nSubject: Your message could not be delivered\r\n"
		"Date: %s\r\nMessage-ID: <%s@%s>\r\n"
		"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;"
		"\r\n\tboundary=\"%s\"\r\n\r\n", date, id, b->hostname,
		boundary);
	buf_addf(out, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\n", boundary);
	write_human(b, out);
	buf_addf(out, "\r\n--%s\r\n"
		"Content-Type: message/delivery-status\r\n\r\n", boundary);
	write_status(b, out);
	buf_addf(out, "\r\n--%s\r\nContent-Type: text/rfc822-headers\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\n", boundary);
	buf_addstr(out, b->header);
	if (!str_ends(b->header, "\r\n"))
		buf_adds(out, "\r\n");
	buf_addf(out, "\r\n--%s--\r\n", boundary);
}
