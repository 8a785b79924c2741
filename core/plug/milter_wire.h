/*
 * milter_wire.h - frames of the milter protocol, version 6, the MTA's side.
 *
 * A frame is a length (32 bits, big endian, counts the command byte), a
 * command byte and data; strings end in NUL. What comes from a filter is
 * parsed here, with bounds; what it means is said in milter.c and
 * milter_edit.c. Names and numbers follow libmilter's mfdef.h.
 */
#ifndef PLUG_MILTER_WIRE_H
#define PLUG_MILTER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "net/stream.h"

#define MILTER_VERSION 6u
#define MILTER_ACTIONS 0x1ffu		/* every edit, and symbol lists */
#define MILTER_STEPS 0x1fffffu
#define MILTER_DATA_MOST 65535u		/* in one frame to a filter */
#define MILTER_REPLY_MOST (1u << 20)	/* in one frame from a filter */

/* What a filter said it may do. */
enum milter_action {
	MILTER_ADD_HEADERS = 0x1, MILTER_CHANGE_BODY = 0x2,
	MILTER_ADD_RCPT = 0x4, MILTER_REMOVE_RCPT = 0x8,
	MILTER_CHANGE_HEADERS = 0x10, MILTER_QUARANTINE = 0x20,
	MILTER_CHANGE_SENDER = 0x40, MILTER_ADD_RCPT_ARGS = 0x80,
};

/* Steps that a filter leaves out, or does not answer. */
enum milter_step {
	MILTER_NO_CONNECT = 0x1, MILTER_NO_HELO = 0x2, MILTER_NO_MAIL = 0x4,
	MILTER_NO_RCPT = 0x8, MILTER_NO_BODY = 0x10, MILTER_NO_HEADERS = 0x20,
	MILTER_NO_EOH = 0x40, MILTER_NR_HEADER = 0x80,
	MILTER_NO_UNKNOWN = 0x100, MILTER_NO_DATA = 0x200,
	MILTER_MAY_SKIP = 0x400, MILTER_WANT_REFUSED = 0x800,
	MILTER_NR_CONNECT = 0x1000, MILTER_NR_HELO = 0x2000,
	MILTER_NR_MAIL = 0x4000, MILTER_NR_RCPT = 0x8000,
	MILTER_NR_DATA = 0x10000, MILTER_NR_UNKNOWN = 0x20000,
	MILTER_NR_EOH = 0x40000, MILTER_NR_BODY = 0x80000,
	MILTER_LEADING_SPACE = 0x100000,
};

/* Stages of macros, as in symbol lists. */
enum milter_stage { MILTER_AT_CONNECT, MILTER_AT_HELO, MILTER_AT_MAIL,
	MILTER_AT_RCPT, MILTER_AT_DATA, MILTER_AT_END, MILTER_AT_EOH,
	MILTER_STAGES };

struct milter_options {
	uint32_t version, actions, steps;
	struct str symbols[MILTER_STAGES];	/* at NULL: the default */
};

/* Reads the data of an O frame. Unknown stages are passed over. -1: short,
 * or a version that nobody speaks. */
int milter_parse_options(struct str data, struct milter_options *out,
	struct err *e);

/* A reply code frame (y): "550 5.7.1 text", several lines as in SMTP. text
 * gets the lines joined by LF, `%%` made `%`. false: the code is not 4xx or
 * 5xx. */
bool milter_parse_reply(struct str data, int *code, char enhanced[12],
	struct buf *text);

/* Takes one NUL-ended string off the data. false: there is none. */
bool milter_take_string(struct str *data, struct str *out);
bool milter_take_u32(struct str *data, uint32_t *out);

/* Writes a frame whose data stands in up to three parts. */
void milter_send(struct stream *s, char command, struct str a, struct str b,
	struct str c);
/* Flushes, then reads a frame; its data lands in *data (replaced). The
 * command, or -1 with e. */
int milter_receive(struct stream *s, struct buf *data, struct err *e);

#endif
