/*
 * sendmail_smtp.c - sendmail -bs: SMTP on standard input and output, for
 * programs that would rather talk. Each message that is taken lies on disk
 * when we say 250; recipients are judged later, by the server.
 */
#include "proc/sendmail.h"

#include <string.h>

#include "mail/addr.h"
#include "mail/esmtp_args.h"

#define LINE_MOST (1 << 20)
#define TEXT_MOST (1u << 30)

struct talk {
	struct sendmail *s;
	FILE *in, *out;
	struct buf line;
	bool has_sender, quit;
};

static void
say(struct talk *t, const char *text)
{
	fprintf(t->out, "%s\r\n", text);
	fflush(t->out);
}

static void
reset(struct talk *t)
{
	t->has_sender = false;
	t->s->drop.n_rcpt = 0;
	t->s->drop.args = t->s->drop.notify = STR("");
}

static void
take_mail(struct talk *t, struct str args)
{
	struct addr from;
	struct str rest;

	if (!str_istarts(args, "FROM:") || !addr_parse_path(
		str_trim_blank(str_sub(args, 5, args.len)), true, false, &from,
		&rest)) {
		say(t, "501 5.1.7 Bad sender address");
		return;
	}
	reset(t);
	t->s->drop.sender = arena_str(&t->s->arena, from.full);
	t->s->drop.args = arena_str(&t->s->arena, str_trim_blank(rest));
	t->has_sender = true;
	say(t, "250 2.1.0 Ok");
}

static void
take_rcpt(struct talk *t, struct str args)
{
	struct str rest, notify;
	struct addr to;

	if (!t->has_sender) {
		say(t, "503 5.5.1 MAIL first");
		return;
	}
	if (!str_istarts(args, "TO:") || !addr_parse_path(str_trim_blank(
		str_sub(args, 3, args.len)), false, true, &to, &rest) ||
		!sendmail_add_rcpt(t->s, arena_cstr(&t->s->arena, to.full))) {
		say(t, "501 5.1.3 Bad recipient address");
		return;
	}
	if (esmtp_arg(rest, "NOTIFY", &notify))
		t->s->drop.notify = arena_str(&t->s->arena, notify);
	say(t, "250 2.1.5 Ok");
}

/* The lines up to the dot. false: the input ended before it. */
static bool
read_text(struct talk *t, struct buf *text)
{
	while (sendmail_line(t->in, &t->line)) {
		struct str l = buf_str(&t->line);

		if (str_is(l, "."))
			return true;
		if (str_starts(l, "."))
			l = str_sub(l, 1, l.len);
		buf_addstr(text, l);
		buf_adds(text, "\r\n");
	}
	return false;
}

static void
take_data(struct talk *t)
{
	struct err e = {0};
	struct buf text;
	char name[40];

	if (!t->s->drop.n_rcpt) {
		say(t, "503 5.5.1 RCPT first");
		return;
	}
	say(t, "354 End data with <CR><LF>.<CR><LF>");
	buf_init(&text, TEXT_MOST);
	if (!read_text(t, &text)) {
		t->quit = true;
	} else if (text.full) {
		say(t, "552 5.3.4 The message is too large");
	} else if (drop_write(t->s->folder, &t->s->drop, buf_str(&text), name,
		&e) < 0) {
		fprintf(stderr, "sendmail: %s\n", e.text);
		say(t, "451 4.3.0 The message cannot be kept now");
	} else {
		fprintf(t->out, "250 2.0.0 Kept as %s\r\n", name);
		fflush(t->out);
	}
	buf_free(&text);
	reset(t);
}

static void
take_line(struct talk *t, struct str args)
{
	struct str verb = str_word(&args);

	if (str_iis(verb, "EHLO")) {
		fprintf(t->out, "250-%s\r\n250-8BITMIME\r\n250-DSN\r\n"
			"250 ENHANCEDSTATUSCODES\r\n", t->s->hostname);
		fflush(t->out);
	} else if (str_iis(verb, "HELO") || str_iis(verb, "NOOP")) {
		say(t, "250 Ok");
	} else if (str_iis(verb, "RSET")) {
		reset(t);
		say(t, "250 2.0.0 Ok");
	} else if (str_iis(verb, "MAIL")) {
		take_mail(t, args);
	} else if (str_iis(verb, "RCPT")) {
		take_rcpt(t, args);
	} else if (str_iis(verb, "DATA")) {
		take_data(t);
	} else if (str_iis(verb, "QUIT")) {
		say(t, "221 2.0.0 Bye");
		t->quit = true;
	} else {
		say(t, "500 5.5.1 Unknown command");
	}
}

int
sendmail_smtp(struct sendmail *s, FILE *in, FILE *out)
{
	struct talk t = {.s = s, .in = in, .out = out};

	buf_init(&t.line, LINE_MOST);
	fprintf(out, "220 %s ESMTP Mailroom\r\n", s->hostname);
	fflush(out);
	while (!t.quit && sendmail_line(in, &t.line))
		take_line(&t, buf_str(&t.line));
	buf_free(&t.line);
	return 0;
}
