/*
 * reply.h - what an SMTP server says back, as a value.
 *
 * Each verb returns one; the session loop alone writes it, so no verb can
 * forget to answer or answer twice. Texts are ours, a plugin's or a
 * milter's: reply_write cuts control characters and long lines, whoever
 * made them.
 */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct reply {
	int code;		/* 0: say nothing (already handled) */
	char enhanced[12];	/* "5.7.1" (RFC 3463) or "" */
	struct str text;	/* lines divided by LF */
};

#define REPLY(code_, enhanced_, text_) \
	((struct reply){(code_), enhanced_, STR(text_)})

struct reply reply_printf(struct arena *a, int code, const char *enhanced,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "550-5.7.1 a" CRLF "550 5.7.1 b" CRLF; lines cut at 512 bytes with CRLF,
 * at most 32 lines; %, NUL, CR and control characters made harmless. */
void reply_write(struct buf *out, const struct reply *r);
/* One line "550 5.7.1 a; b" for logs and ledgers. */
void reply_line(struct buf *out, const struct reply *r);
/* Length of "5.7.1" at the head of s, at most 9, when its class fits the
 * code; else 0. */
size_t reply_enhanced(struct str s, int code);
/* Reads one line of a peer's answer: code, '-' or ' ', text, RFC 5321
 * 4.2.1. Returns 0 more lines follow, 1 last line, -1 not a reply. Appends
 * to r->text in the arena. */
int reply_parse(struct str line, struct arena *a, struct reply *r);

#endif
