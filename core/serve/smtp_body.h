/*
 * smtp_body.h - the bytes behind DATA: up to the one true end, into a
 * message. Private to smtp*.c; also the entry of a fuzz target.
 */
#ifndef SERVE_SMTP_BODY_H
#define SERVE_SMTP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "mail/message.h"
#include "net/stream.h"

enum smtp_body {
	SMTP_BODY_OK,
	SMTP_BODY_TOO_LARGE,
	SMTP_BODY_BARE,		/* a bare CR or LF somewhere */
	SMTP_BODY_NUL,
	SMTP_BODY_SPOOL,	/* the disk failed, e says how */
	SMTP_BODY_LOST,		/* the client went away */
};

/* Reads to CR LF . CR LF whatever comes, so that the session stays in step,
 * and stops storing at the first fault. Dots are unstuffed (RFC 5321 4.5.2).
 * No other sequence ends a message: a lone LF or CR before or behind the dot
 * is a fault of the message, never its end. */
enum smtp_body smtp_body_read(struct stream *s, struct message *m,
	uint64_t most, struct err *e);

/* BDAT (RFC 3030): content by length, in pieces. Dots mean nothing; line
 * ends are held to the same rules as behind DATA, but in the body of a
 * message that was declared BINARYMIME. */
struct smtp_chunks {
	struct message *m;
	uint64_t most, length;
	bool is_binary, in_header, behind_cr;
	unsigned line;			/* bytes of the line so far, at most 2 */
	enum smtp_body fault;		/* the first one */
	struct err e;
};
void smtp_chunks_init(struct smtp_chunks *c, struct message *m,
	uint64_t most, bool is_binary);
/* Reads exactly that many bytes, whatever they are. m NULL: to no end. false:
 * the client is gone. */
bool smtp_chunks_read(struct smtp_chunks *c, struct stream *s,
	uint64_t length);
/* Nothing follows. */
enum smtp_body smtp_chunks_end(struct smtp_chunks *c);

#endif
