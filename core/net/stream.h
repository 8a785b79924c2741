/*
 * stream.h - lines and bytes of one connection, under a deadline and a
 * minimum rate.
 *
 * The only place that reads a peer, for serving and for our own clients
 * (SMTP delivery, milters). Calls block the thread in poll(2) until done,
 * the deadline, or a minimum rate that is not kept. Errors are sticky: after
 * one, reads return nothing and writes are dropped, so a verb need not test
 * each; the loop looks at stream_failed once.
 *
 * Memory: buffers exist only while something is in them or a call runs;
 * stream_release gives them back before parking.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "net/tls.h"

struct deflate;
struct ssl_st;

struct stream {
	int fd;
	struct ssl_st *ssl;	/* NULL in the clear */
	struct deflate *deflate;	/* NULL: not compressed */
	char *in;		/* read buffer, NULL while empty and parked */
	uint32_t in_at, in_end, in_room;
	char *out;
	uint32_t out_len, out_room;
	int64_t limit;		/* ms for one call; CLOCK_NEVER */
	int64_t deadline;	/* of the call that runs, clock_mono */
	uint32_t min_rate;	/* bytes a second over windows of 10 s; 0: none */
	uint32_t window_bytes, window_waited;	/* ms spent in waiting */
	uint64_t bytes_in, bytes_out;
	bool sparing;		/* takes byte by byte, and leaves what follows
				   to somebody else (TLS behind a PROXY header) */
	bool eof;
	struct err *failed;	/* NULL while all is well */
};

/* Takes fd (non-blocking). */
void stream_init(struct stream *s, int fd);
/* Flushes nothing; sends close_notify if it can at once; closes. */
void stream_close(struct stream *s);
/* Each following call that has to wait for the peer may take ms. */
void stream_limit(struct stream *s, int64_t ms, uint32_t min_rate);
bool stream_failed(const struct stream *s);
const struct err *stream_error(const struct stream *s);
/* Marks the stream failed by its user's word (protocol error). */
void stream_fail(struct stream *s, enum err_kind kind, const char *text);

enum stream_line {
	STREAM_LINE_OK,		/* ended by CR LF; *line is without it */
	STREAM_LINE_BARE,	/* ended by a bare LF, or holds a bare CR */
	STREAM_LINE_LONG,	/* more than max bytes; it was read to its end */
	STREAM_LINE_FAILED,	/* sticky error or end of stream */
};
/* One line. The view is valid until the next read call on the stream. */
enum stream_line stream_line(struct stream *s, size_t max, struct str *line);
/* True when a read call would find a whole line (or any byte, if
 * any_byte) without waiting, TLS layer included. */
bool stream_pending(struct stream *s, bool any_byte);

/* At least one byte as a view, waiting for it; empty at end or error. The
 * caller then consumes what it used. */
struct str stream_peek(struct stream *s);
void stream_consume(struct stream *s, size_t n);
/* Exactly n bytes into out; false on error or end. */
bool stream_read(struct stream *s, void *out, size_t n);
/* Throws away what was received but not consumed (RFC 3207 section 4.2). */
void stream_discard_input(struct stream *s);

/* Buffered; the buffer flushes itself when it is large. */
void stream_write(struct stream *s, const void *bytes, size_t n);
void stream_write_str(struct stream *s, struct str text);
void stream_puts(struct stream *s, const char *text);
void stream_printf(struct stream *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* False on (sticky) error. */
bool stream_flush(struct stream *s);

/* Handshakes. The client variant checks the certificate as its context says,
 * by what is wanted. 0, or -1 with e (the stream is then failed). */
int stream_tls_accept(struct stream *s, const struct tls_ctx *ctx,
	struct err *e);
int stream_tls_connect(struct stream *s, const struct tls_ctx *ctx,
	const struct tls_want *want, struct err *e);
/* What was wrong with the certificate, also where that was no failure, as
 * RFC 8460 4.3 calls it; NULL: nothing. After a handshake, failed or not. */
const char *stream_tls_fault(const struct stream *s);
bool stream_tls_facts(const struct stream *s, struct tls_facts *out);
/* Channel binding tls-exporter (RFC 9266). false: no TLS. */
bool stream_tls_binding(const struct stream *s, unsigned char out[32]);
/* The mail address in the client's certificate, which our authority has
 * signed; false: there is none. */
bool stream_tls_address(const struct stream *s, char *out, size_t size);

/* From here on both directions are raw DEFLATE, below TLS; what came already
 * but was not consumed is compressed. Flush before. false: more came than a
 * peer that waits for our answer sends; close then. */
bool stream_compress(struct stream *s);
/* By stream_compress, or by TLS. */
bool stream_is_compressed(const struct stream *s);

/* Before parking: gives empty buffers back. Returns false if input is
 * waiting or output is not flushed: then do not park. */
bool stream_release(struct stream *s);

#endif
