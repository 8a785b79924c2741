/*
 * remote_wire.h - frames between a worker and the process of a plugin.
 *
 * A frame is a 32-bit length, a byte that says what it is, and values one
 * after another: numbers as the machine has them (both ends are one binary
 * on one machine), texts with their length before and a NUL behind. Frames go
 * over stream sockets; a few of those to the plugin carry descriptors.
 *
 * The worker trusts nothing it reads: a length beyond the limit, a value that
 * is not all there, a text without its NUL make the frame `bad`, and whoever
 * sends one is ended.
 */
#ifndef PLUG_REMOTE_WIRE_H
#define PLUG_REMOTE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define WIRE_FDS 2		/* that one frame may carry */
#define WIRE_TO_PLUGIN (64u << 20)	/* longest frames */
#define WIRE_TO_WORKER (1u << 20)
#define WIRE_CHUNK (256u << 10)	/* of a body that is given piece by piece */

enum wire_type {
	/* to the plugin */
	WIRE_LOAD = 1,	/* the section, and how to hold the plugin */
	WIRE_OPEN,	/* call its open */
	WIRE_LINE,	/* carries a new line for calls */
	WIRE_CALL,	/* a hook, with what it will ask for */
	WIRE_FORGET,	/* a session is over */
	WIRE_ANSWER,	/* to one of the questions below */
	/* to the worker */
	WIRE_LOADED, WIRE_OPENED,
	WIRE_LOG, WIRE_SAY,
	WIRE_INSERT, WIRE_CHANGE, WIRE_REMOVE, WIRE_EXACT, WIRE_UNDO,
	WIRE_BODY, WIRE_SENDER, WIRE_RCPT_ADD, WIRE_RCPT_REMOVE, WIRE_RESULT,
	WIRE_FILE,
	WIRE_ASK_RCPT, WIRE_ASK_BODY, WIRE_ASK_DNS,
	WIRE_ASK_GET, WIRE_ASK_SET, WIRE_ASK_ADD,
	WIRE_DONE,	/* the hook's verdict */
	WIRE_TYPES
};

/* Writing. begin returns what end wants. */
size_t wire_begin(struct buf *b, enum wire_type type);
void wire_end(struct buf *b, size_t begin);
void wire_u32(struct buf *b, uint32_t n);
void wire_u64(struct buf *b, uint64_t n);
void wire_str(struct buf *b, struct str s);
void wire_text(struct buf *b, const char *c);	/* NULL stays NULL */

/* Reading. What is missing reads as 0 or "", and sets bad. */
struct wire_in {
	const char *at;
	size_t len;
	bool bad;
};
uint32_t wire_get_u32(struct wire_in *in);
uint64_t wire_get_u64(struct wire_in *in);
struct str wire_get_str(struct wire_in *in);	/* at NULL: was NULL */
const char *wire_get_text(struct wire_in *in);

/* One end of a stream socket. fd is its own. */
struct wire {
	int fd;
	uint32_t most;		/* longest frame that is taken */
	struct buf in;
	size_t used;		/* of `in`, by frames that were given out */
	int fds[WIRE_FDS];	/* that came; taken by wire_take_fds */
	size_t n_fds;
};
void wire_open(struct wire *w, int fd, uint32_t most);
void wire_close(struct wire *w);
/* Both in one: how long a send and a receive may block. */
void wire_set_timeout(const struct wire *w, int64_t ms);
/* -1 with e: ERR_CLOSED (nobody is there), ERR_TIMEOUT, ERR_SYS. */
int wire_send(const struct wire *w, const struct buf *b, const int *fds,
	size_t n_fds, struct err *e);
/* The next frame; its content lives until the next call. -1 with e as above,
 * or ERR_PROTOCOL. Descriptors are taken where n_fds is wanted, else the
 * kernel drops them. */
int wire_next(struct wire *w, bool with_fds, enum wire_type *type,
	struct wire_in *in, struct err *e);
/* Moves up to n descriptors that came; those not there are -1. */
void wire_take_fds(struct wire *w, int *out, size_t n);

#endif
