/*
 * smtp_body.c - DATA, held against a reading that looks at all of it at
 * once: the end is the first CR LF . CR LF and nothing else, what stands
 * behind it is left alone, and what is kept is what was sent.
 *
 * Each input is read in large views and in tiny ones, so that every state is
 * met at the border of a view.
 */
#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "serve/smtp_body.h"

#define MOST 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct expected {
	struct buf text;	/* unstuffed */
	size_t end;		/* behind the last LF; 0: there is none */
	bool is_clean;
};

static bool
at(struct str in, size_t i, const char *what)
{
	return str_starts(str_sub(in, i, in.len), what);
}

/* A CR or LF that is not half of a pair, or a NUL. */
static bool
is_bad_byte(struct str in, size_t i)
{
	if (in.at[i] == '\r')
		return !at(in, i, "\r\n");
	if (in.at[i] == '\n')
		return i == 0 || in.at[i - 1] != '\r';
	return in.at[i] == '\0';
}

static void
expect(struct str in, struct expected *x)
{
	bool start = true;
	size_t i;

	buf_init(&x->text, BUF_NO_CAP);
	x->is_clean = true;
	x->end = 0;
	for (i = 0; i < in.len; i++) {
		if (start && at(in, i, ".\r\n")) {
			x->end = i + 3;
			return;
		}
		x->is_clean = x->is_clean && !is_bad_byte(in, i);
		if (!start || in.at[i] != '.')
			buf_addc(&x->text, in.at[i]);
		start = i > 0 && in.at[i] == '\n' && in.at[i - 1] == '\r';
	}
}

static void
check_text(struct message *m, struct str want)
{
	struct mr_piece *piece;
	uint64_t length;
	struct err e;
	size_t n, i;

	assert(message_seal(m, &e) == 0);
	assert(message_raw_length(m) == want.len);
	assert(message_pieces(m, &piece, &n, &length, &e) == 0);
	assert(length == want.len);
	for (i = 0; i < n; i++) {
		assert(piece[i].fd < 0);
		assert(!memcmp(piece[i].mem, want.at, piece[i].length));
		want = str_sub(want, piece[i].length, want.len);
	}
}

static void
check_rest(struct stream *s, struct str want)
{
	struct str have;

	while (want.len) {
		have = stream_peek(s);
		assert(have.len && have.len <= want.len);
		assert(!memcmp(have.at, want.at, have.len));
		want = str_sub(want, have.len, want.len);
		stream_consume(s, have.len);
	}
}

static void
read_body(struct stream *s, struct str in, const struct expected *x)
{
	enum smtp_body got;
	struct message *m;
	struct arena a;
	struct err e;

	arena_init(&a);
	m = message_new(&a, "/nowhere", 2 * MOST);
	got = smtp_body_read(s, m, MOST, &e);
	assert((got == SMTP_BODY_LOST) == (x->end == 0));
	if (x->end) {
		assert((got == SMTP_BODY_OK) ==
			(x->is_clean && x->text.len <= MOST));
		check_rest(s, str_sub(in, x->end, in.len));
	}
	if (got == SMTP_BODY_OK)
		check_text(m, buf_str(&x->text));
	message_free(m);
	arena_free(&a);
}

/* Sent in parts that arrive as they were sent. */
static void
try_parts(struct str in, size_t part, const struct expected *x)
{
	struct stream s;
	size_t i;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd) < 0)
		return;
	for (i = 0; i < in.len; i += part) {
		struct str some = str_sub(in, i, part);

		assert(send(fd[1], some.at, some.len, 0) ==
			(ssize_t)some.len);
	}
	shutdown(fd[1], SHUT_WR);
	stream_init(&s, fd[0]);
	stream_limit(&s, 1000, 0);
	read_body(&s, in, x);
	stream_close(&s);
	close(fd[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size);
	struct expected x;

	expect(in, &x);
	try_parts(in, 4096, &x);
	/* No more parts than a socket buffer holds. */
	try_parts(in, 1 + size / 64, &x);
	buf_free(&x.text);
	return 0;
}
