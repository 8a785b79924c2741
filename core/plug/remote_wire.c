/*
 * remote_wire.c - frames: writing and reading values, sending and receiving.
 * A wire is used by one thread at a time.
 */
#include "plug/remote_wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#define READ_SIZE 8192
#define KEEP_MOST (64u << 10)	/* memory that an idle wire keeps */
#define NO_TEXT UINT32_MAX

/* --------------------------------------------------------------- writing */

size_t
wire_begin(struct buf *b, enum wire_type type)
{
	size_t begin = b->len;

	wire_u32(b, 0);
	buf_addc(b, (char)type);
	return begin;
}

void
wire_end(struct buf *b, size_t begin)
{
	uint32_t len = (uint32_t)(b->len - begin - sizeof len);

	memcpy(b->at + begin, &len, sizeof len);
}

void
wire_u32(struct buf *b, uint32_t n)
{
	buf_add(b, &n, sizeof n);
}

void
wire_u64(struct buf *b, uint64_t n)
{
	buf_add(b, &n, sizeof n);
}

void
wire_str(struct buf *b, struct str s)
{
	wire_u32(b, (uint32_t)s.len);
	buf_add(b, s.at, s.len);
	buf_addc(b, '\0');
}

void
wire_text(struct buf *b, const char *c)
{
	if (c)
		wire_str(b, str_from(c));
	else
		wire_u32(b, NO_TEXT);
}

/* --------------------------------------------------------------- reading */

static const char *
take(struct wire_in *in, size_t len)
{
	const char *at = in->at;

	if (in->bad || len > in->len) {
		in->bad = true;
		return NULL;
	}
	in->at += len;
	in->len -= len;
	return at;
}

uint32_t
wire_get_u32(struct wire_in *in)
{
	uint32_t n = 0;
	const char *at = take(in, sizeof n);

	if (at)
		memcpy(&n, at, sizeof n);
	return n;
}

uint64_t
wire_get_u64(struct wire_in *in)
{
	uint64_t n = 0;
	const char *at = take(in, sizeof n);

	if (at)
		memcpy(&n, at, sizeof n);
	return n;
}

struct str
wire_get_str(struct wire_in *in)
{
	uint32_t len = wire_get_u32(in);
	const char *at;

	if (len == NO_TEXT && !in->bad)
		return (struct str){NULL, 0};
	at = take(in, (size_t)len + 1);
	if (!at || at[len]) {
		in->bad = true;
		return STR("");
	}
	return str_of(at, len);
}

const char *
wire_get_text(struct wire_in *in)
{
	return wire_get_str(in).at;
}

/* ---------------------------------------------------------------- socket */

void
wire_open(struct wire *w, int fd, uint32_t most)
{
	*w = (struct wire){.fd = fd, .most = most};
	buf_init(&w->in, (size_t)most + READ_SIZE + sizeof(uint32_t));
}

void
wire_close(struct wire *w)
{
	int fds[WIRE_FDS];
	size_t i;

	wire_take_fds(w, fds, WIRE_FDS);
	for (i = 0; i < WIRE_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	close(w->fd);
	buf_free(&w->in);
}

void
wire_set_timeout(const struct wire *w, int64_t ms)
{
	struct timeval t = {ms / 1000, ms % 1000 * 1000};

	if (ms <= 0)
		t.tv_usec = 1;	/* 0 would be for ever */
	setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static int
failed(struct err *e)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return err_set(e, ERR_TIMEOUT, "no answer in time");
	if (errno == EPIPE || errno == ECONNRESET)
		return err_set(e, ERR_CLOSED, "the process has ended");
	return err_sys(e, "socket of a plugin's process");
}

static void
attach_fds(struct msghdr *m, const int *fds, size_t n)
{
	struct cmsghdr *c;

	m->msg_controllen = CMSG_SPACE(n * sizeof *fds);
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof *fds);
	memcpy(CMSG_DATA(c), fds, n * sizeof *fds);
}

int
wire_send(const struct wire *w, const struct buf *b, const int *fds,
	size_t n_fds, struct err *e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(WIRE_FDS * sizeof(int))];
	} control = {.room = ""};
	struct iovec part = {b->at, b->len};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds) {
		m.msg_control = &control;
		attach_fds(&m, fds, n_fds);
	}
	while (part.iov_len) {
		n = sendmsg(w->fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(e);
		part.iov_base = (char *)part.iov_base + n;
		part.iov_len -= (size_t)n;
		m.msg_control = NULL;
		m.msg_controllen = 0;
	}
	return 0;
}

static void
keep_fds(struct wire *w, struct msghdr *m)
{
	struct cmsghdr *c;
	size_t n, i;
	int fd;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof fd;
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (w->n_fds < WIRE_FDS)
				w->fds[w->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

/* Some more bytes into w->in. */
static int
receive(struct wire *w, bool with_fds, size_t want, struct err *e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(WIRE_FDS * sizeof(int))];
	} control;
	size_t room = want > READ_SIZE ? want : READ_SIZE;
	struct iovec part = {buf_reserve(&w->in, room), room};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (!part.iov_base)
		return err_set(e, ERR_PROTOCOL, "a frame is too long");
	if (with_fds) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
	}
	do
		n = recvmsg(w->fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed(e);
	if (n == 0)
		return err_set(e, ERR_CLOSED, "the process has ended");
	if (with_fds)
		keep_fds(w, &m);
	buf_grew(&w->in, (size_t)n);
	return 0;
}

static void
drop_used(struct wire *w)
{
	buf_shift(&w->in, w->used);
	w->used = 0;
	if (!w->in.len && w->in.room > KEEP_MOST)
		buf_free(&w->in);
}

int
wire_next(struct wire *w, bool with_fds, enum wire_type *type,
	struct wire_in *in, struct err *e)
{
	uint32_t len = 0;

	drop_used(w);
	while (w->in.len < sizeof len)
		if (receive(w, with_fds, sizeof len, e) < 0)
			return -1;
	memcpy(&len, w->in.at, sizeof len);
	if (!len || len > w->most)
		return err_set(e, ERR_PROTOCOL, "a frame of %u bytes", len);
	while (w->in.len < sizeof len + len)
		if (receive(w, with_fds, sizeof len + len - w->in.len, e) < 0)
			return -1;
	w->used = sizeof len + len;
	*type = (enum wire_type)(unsigned char)w->in.at[sizeof len];
	*in = (struct wire_in){.at = w->in.at + sizeof len + 1,
		.len = len - 1};
	return 0;
}

void
wire_take_fds(struct wire *w, int *out, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = i < w->n_fds ? w->fds[i] : -1;
	for (; i < w->n_fds; i++)
		close(w->fds[i]);
	w->n_fds = 0;
}
