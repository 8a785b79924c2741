/*
 * stream.c - blocking calls over a non-blocking socket, in the clear or
 * under TLS. One thread at a time.
 *
 * All waiting is in await(): it knows the deadline of the call and the
 * minimum rate. The rate is measured only while a call waits for the peer: a
 * window ends when calls have waited RATE_WINDOW in all, and a peer that sent
 * or took less than min_rate in it fails the stream. Time that we spend
 * elsewhere, or parked, does not count.
 */
#include "net/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/clock.h"
#include "net/deflate.h"
#include "net/tls_impl.h"

#define IN_SMALL 4096
#define IN_LARGE 32768
#define OUT_ROOM 16384
#define RATE_WINDOW 10000

void
stream_init(struct stream *s, int fd)
{
	*s = (struct stream){.fd = fd, .limit = CLOCK_NEVER};
}

void
stream_close(struct stream *s)
{
	if (s->fd < 0)
		return;
	if (s->ssl) {
		if (!s->failed && SSL_is_init_finished(s->ssl))
			SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
		ERR_clear_error();
	}
	close(s->fd);
	deflate_free(s->deflate);
	free(s->in);
	free(s->out);
	free(s->failed);
	*s = (struct stream){.fd = -1};
}

void
stream_limit(struct stream *s, int64_t ms, uint32_t min_rate)
{
	s->limit = ms;
	if (s->min_rate != min_rate) {
		s->min_rate = min_rate;
		s->window_bytes = s->window_waited = 0;
	}
}

bool
stream_failed(const struct stream *s)
{
	return s->failed != NULL;
}

const struct err *
stream_error(const struct stream *s)
{
	return s->failed;
}

void
stream_fail(struct stream *s, enum err_kind kind, const char *text)
{
	if (s->failed)
		return;
	s->failed = mem_alloc(sizeof *s->failed);
	err_set(s->failed, kind, "%s", text);
}

static void
fail_errno(struct stream *s, const char *what)
{
	int code = errno;

	if (s->failed)
		return;
	stream_fail(s, code == EPIPE || code == ECONNRESET ? ERR_CLOSED :
		ERR_SYS, what);
	errno = code;
	err_sys(s->failed, "%s", what);
	if (code == EPIPE || code == ECONNRESET)
		s->failed->kind = ERR_CLOSED;
}

/* ------------------------------------------------------------- waiting */

/* A public call begins that may wait. */
static void
start_call(struct stream *s)
{
	if (s->limit != CLOCK_NEVER)
		s->deadline = clock_mono() + s->limit;
}

static bool
is_too_slow(struct stream *s)
{
	if (!s->min_rate || s->window_waited < RATE_WINDOW)
		return false;
	if (s->window_bytes < s->min_rate * (RATE_WINDOW / 1000))
		return true;
	s->window_bytes = s->window_waited = 0;
	return false;
}

/* Waits until the descriptor is ready for `events`; false: failed now. */
static bool
await(struct stream *s, short events)
{
	struct pollfd p = {s->fd, events, 0};
	int64_t now, left;
	int n;

	for (;;) {
		now = clock_mono();
		left = s->limit == CLOCK_NEVER ? 60000 : s->deadline - now;
		if (left <= 0) {
			stream_fail(s, ERR_TIMEOUT, "time-out");
			return false;
		}
		if (is_too_slow(s)) {
			stream_fail(s, ERR_TIMEOUT, "peer is too slow");
			return false;
		}
		if (s->min_rate && left > RATE_WINDOW - s->window_waited)
			left = RATE_WINDOW - s->window_waited;
		n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		s->window_waited += (uint32_t)(clock_mono() - now);
		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR) {
			fail_errno(s, "poll");
			return false;
		}
	}
}

static void
count(struct stream *s, size_t n)
{
	s->window_bytes += (uint32_t)n;
}

/* What to do after an SSL call that returned `code`: 1 try again, 0 end of
 * the peer's data, -1 failed. */
static int
ssl_again(struct stream *s, int code, const char *what)
{
	struct err e = {0};

	switch (SSL_get_error(s->ssl, code)) {
	case SSL_ERROR_WANT_READ:
		return await(s, POLLIN) ? 1 : -1;
	case SSL_ERROR_WANT_WRITE:
		return await(s, POLLOUT) ? 1 : -1;
	case SSL_ERROR_ZERO_RETURN:
		ERR_clear_error();
		return 0;
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		if (errno)
			fail_errno(s, what);
		else
			stream_fail(s, ERR_CLOSED, "connection closed");
		return -1;
	default:
		tls_error(&e, what);
		stream_fail(s, ERR_TLS, e.text);
		return -1;
	}
}

/* -------------------------------------------------------------- reading */

/* One read off the wire; 0 at end or failure. wait: block for the first
 * byte. */
static size_t
read_wire(struct stream *s, void *out, size_t room, bool wait)
{
	ssize_t n;
	int next;

	while (!s->failed && !s->eof) {
		if (s->ssl) {
			errno = 0;
			n = SSL_read(s->ssl, out, (int)room);
			if (n > 0)
				break;
			if (!wait && SSL_get_error(s->ssl, (int)n) ==
				SSL_ERROR_WANT_READ)
				return 0;
			next = ssl_again(s, (int)n, "TLS read");
			if (next == 0)
				s->eof = true;
			continue;
		}
		n = recv(s->fd, out, room, 0);
		if (n > 0)
			break;
		if (n == 0)
			s->eof = true;
		else if (errno != EAGAIN && errno != EINTR)
			fail_errno(s, "read");
		else if (errno == EAGAIN && (!wait || !await(s, POLLIN)))
			return 0;
	}
	if (s->failed || s->eof)
		return 0;
	count(s, (size_t)n);
	s->bytes_in += (uint64_t)n;
	return (size_t)n;
}

/* Packed data that unpacks to nothing must not keep us for ever. */
static bool
is_overdue(const struct stream *s)
{
	return s->limit != CLOCK_NEVER && clock_mono() > s->deadline;
}

/* More packed bytes; false: none came. */
static bool
fetch_packed(struct stream *s, bool wait)
{
	size_t room, n;
	char *to = deflate_room(s->deflate, &room);

	if (is_overdue(s))
		stream_fail(s, ERR_TIMEOUT, "time-out");
	n = read_wire(s, to, room, wait);
	deflate_came(s->deflate, n);
	return n > 0;
}

/* As read_wire, of what the peer packed. */
static size_t
read_packed(struct stream *s, void *out, size_t room, bool wait)
{
	enum deflate_got got;
	size_t n;

	while (!s->failed && !s->eof) {
		if (!deflate_holds(s->deflate) && !fetch_packed(s, wait))
			return 0;
		got = deflate_unpack(s->deflate, out, room, &n);
		if (n)
			return n;
		if (got == DEFLATE_END)
			s->eof = true;
		else if (got == DEFLATE_DAMAGED)
			stream_fail(s, ERR_PROTOCOL,
				"compressed data is damaged");
	}
	return 0;
}

static size_t
read_some(struct stream *s, void *out, size_t room, bool wait)
{
	return s->deflate ? read_packed(s, out, room, wait) :
		read_wire(s, out, room, wait);
}

/* Adds input to the buffer; false when none came. */
static bool
fill(struct stream *s, bool wait)
{
	size_t n;

	if (s->in_at == s->in_end)
		s->in_at = s->in_end = 0;
	if (s->in_at && s->in_end == s->in_room) {
		memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
		s->in_end -= s->in_at;
		s->in_at = 0;
	}
	if (!s->in || (s->in_end == s->in_room && s->in_room < IN_LARGE)) {
		uint32_t room = !s->in ? IN_SMALL : IN_LARGE;

		/* A caller that waits for bulk shows by a full buffer. */
		s->in = mem_grow(s->in, room);
		s->in_room = room;
	}
	if (s->in_end == s->in_room)
		return false;
	n = read_some(s, s->in + s->in_end, s->sparing ? 1 :
		s->in_room - s->in_end, wait);
	s->in_end += (uint32_t)n;
	return n > 0;
}

static struct str
buffered(const struct stream *s)
{
	return str_of(s->in ? s->in + s->in_at : "", s->in_end - s->in_at);
}

/* For calls that have started already. */
static struct str
peek(struct stream *s)
{
	if (s->in_at == s->in_end)
		fill(s, true);
	/* A reader that came back for a whole buffer is reading bulk. */
	if (s->in_at == 0 && s->in_end == s->in_room && s->in_room < IN_LARGE)
		fill(s, false);
	return buffered(s);
}

struct str
stream_peek(struct stream *s)
{
	start_call(s);
	return peek(s);
}

void
stream_consume(struct stream *s, size_t n)
{
	uint32_t have = s->in_end - s->in_at;

	s->in_at += n < have ? (uint32_t)n : have;
}

bool
stream_read(struct stream *s, void *out, size_t n)
{
	char *at = out;
	struct str have;

	start_call(s);
	while (n) {
		have = peek(s);
		if (have.len == 0) {
			stream_fail(s, ERR_CLOSED, "connection closed");
			return false;
		}
		if (have.len > n)
			have.len = n;
		memcpy(at, have.at, have.len);
		stream_consume(s, have.len);
		at += have.len;
		n -= have.len;
	}
	return true;
}

void
stream_discard_input(struct stream *s)
{
	s->in_at = s->in_end = 0;
}

/* A line that ends at its LF: with CR before it and no other CR? */
static enum stream_line
judge_line(struct str raw, struct str *line)
{
	bool crlf = raw.len >= 2 && raw.at[raw.len - 2] == '\r';

	*line = str_sub(raw, 0, raw.len - (crlf ? 2 : 1));
	return crlf && !str_has_byte(*line, '\r') ? STREAM_LINE_OK :
		STREAM_LINE_BARE;
}

/* No line any more: the stream ended, if it did not fail before. */
static enum stream_line
lose_line(struct stream *s)
{
	stream_fail(s, ERR_CLOSED, "connection closed");
	return STREAM_LINE_FAILED;
}

/* Reads on to the LF of a line that is too long, keeping nothing. */
static enum stream_line
skip_line(struct stream *s)
{
	for (;;) {
		struct str have = peek(s);
		size_t lf = str_find(have, '\n');

		if (have.len == 0)
			return lose_line(s);
		stream_consume(s, lf < have.len ? lf + 1 : have.len);
		if (lf < have.len)
			return STREAM_LINE_LONG;
	}
}

enum stream_line
stream_line(struct stream *s, size_t max, struct str *line)
{
	size_t seen = 0, lf;
	struct str have;

	*line = STR("");
	start_call(s);
	for (;;) {
		have = buffered(s);
		lf = seen + str_find(str_sub(have, seen, have.len), '\n');
		if (lf < have.len) {
			stream_consume(s, lf + 1);
			if (lf + 1 > max + 2)
				return STREAM_LINE_LONG;
			return judge_line(str_sub(have, 0, lf + 1), line);
		}
		seen = have.len;
		if (seen > max + 2 || seen == IN_LARGE)
			return skip_line(s);
		if (!fill(s, true))
			return lose_line(s);
	}
}

/* What OpenSSL or zlib has taken already is not seen by epoll. */
static bool
holds_input(const struct stream *s)
{
	return (s->ssl && SSL_has_pending(s->ssl)) ||
		(s->deflate && deflate_holds(s->deflate));
}

bool
stream_pending(struct stream *s, bool any_byte)
{
	struct str have = buffered(s);

	if (s->failed || s->eof)
		return true;		/* a call will return at once */
	if (any_byte && have.len)
		return true;
	if (str_has_byte(have, '\n'))
		return true;
	if (!holds_input(s))
		return false;
	start_call(s);
	if (!fill(s, false))
		return s->failed || s->eof;
	return any_byte || str_has_byte(buffered(s), '\n');
}

/* -------------------------------------------------------------- writing */

static void
write_wire(struct stream *s, const char *at, size_t n)
{
	ssize_t done;

	while (n && !s->failed) {
		if (s->ssl) {
			errno = 0;
			done = SSL_write(s->ssl, at, (int)(n > 1 << 20 ?
				1 << 20 : n));
			if (done <= 0) {
				if (ssl_again(s, (int)done, "TLS write") == 0)
					stream_fail(s, ERR_CLOSED,
						"connection closed");
				continue;
			}
		} else {
			done = send(s->fd, at, n, MSG_NOSIGNAL);
			if (done < 0) {
				if (errno == EAGAIN)
					await(s, POLLOUT);
				else if (errno != EINTR)
					fail_errno(s, "write");
				continue;
			}
		}
		at += done;
		n -= (size_t)done;
		count(s, (size_t)done);
		s->bytes_out += (uint64_t)done;
	}
}

/* all: the peer must get it now, so the packer holds nothing back. */
static void
write_out(struct stream *s, struct str plain, bool all)
{
	struct str packed;

	start_call(s);
	if (!s->deflate) {
		write_wire(s, plain.at, plain.len);
		return;
	}
	while (!s->failed && (packed = deflate_pack(s->deflate, &plain,
		all)).len)
		write_wire(s, packed.at, packed.len);
}

static void
empty_out(struct stream *s, bool all)
{
	struct str plain = str_of(s->out_len ? s->out : "", s->out_len);

	s->out_len = 0;
	if (plain.len || s->deflate)
		write_out(s, plain, all);
}

bool
stream_flush(struct stream *s)
{
	empty_out(s, true);
	return !s->failed;
}

void
stream_write(struct stream *s, const void *bytes, size_t n)
{
	if (s->failed || n == 0)
		return;
	if (n > OUT_ROOM - s->out_len) {
		empty_out(s, false);
		if (n >= OUT_ROOM) {
			write_out(s, str_of(bytes, n), false);
			return;
		}
	}
	if (!s->out) {
		s->out = mem_grow(NULL, OUT_ROOM);
		s->out_room = OUT_ROOM;
	}
	memcpy(s->out + s->out_len, bytes, n);
	s->out_len += (uint32_t)n;
}

void
stream_write_str(struct stream *s, struct str text)
{
	stream_write(s, text.at, text.len);
}

void
stream_puts(struct stream *s, const char *text)
{
	stream_write(s, text, strlen(text));
}

void
stream_printf(struct stream *s, const char *fmt, ...)
{
	char small[512], *large;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < sizeof small) {
		stream_write(s, small, (size_t)n);
		return;
	}
	large = mem_alloc((size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(large, (size_t)n + 1, fmt, ap);
	va_end(ap);
	stream_write(s, large, (size_t)n);
	free(large);
}

/* ------------------------------------------------------------------ TLS */

/* RFC 7672 3.1: with DANE-EE(3) neither names nor dates count. */
static bool
set_dane(SSL *ssl, const struct tls_want *w)
{
	size_t i;
	int good = 0;

	if (SSL_dane_enable(ssl, w->name) <= 0)
		return false;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (i = 0; i < w->n_tlsa; i++)
		good += SSL_dane_tlsa_add(ssl, w->tlsa[i].usage,
			w->tlsa[i].selector, w->tlsa[i].matching,
			(const unsigned char *)w->tlsa[i].data.at,
			w->tlsa[i].data.len) > 0;
	return good > 0;
}

static bool
set_wants(SSL *ssl, const struct tls_ctx *ctx, const struct tls_want *w)
{
	SSL_set_tlsext_host_name(ssl, w->name);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (ctx->check == TLS_CHECK_DANE ? !set_dane(ssl, w) :
		SSL_set1_host(ssl, w->name) != 1)
		return false;
	if (w->other_name)
		SSL_add1_host(ssl, w->other_name);
	SSL_set_connect_state(ssl);
	return true;
}

static int
handshake(struct stream *s, const struct tls_ctx *ctx,
	const struct tls_want *want, struct err *e)
{
	int code;

	start_call(s);
	s->ssl = SSL_new(ctx->ssl);
	if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1 ||
		(want && !set_wants(s->ssl, ctx, want))) {
		stream_fail(s, ERR_TLS, "TLS cannot be set up");
	} else if (!want) {
		SSL_set_accept_state(s->ssl);
	}
	while (!s->failed) {
		errno = 0;
		code = SSL_do_handshake(s->ssl);
		if (code == 1)
			return 0;
		if (ssl_again(s, code, "TLS handshake") == 0)
			stream_fail(s, ERR_CLOSED, "connection closed");
	}
	if (e)
		*e = *s->failed;
	return -1;
}

int
stream_tls_accept(struct stream *s, const struct tls_ctx *ctx, struct err *e)
{
	return handshake(s, ctx, NULL, e);
}

int
stream_tls_connect(struct stream *s, const struct tls_ctx *ctx,
	const struct tls_want *want, struct err *e)
{
	return handshake(s, ctx, want, e);
}

bool
stream_tls_binding(const struct stream *s, unsigned char out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	return s->ssl && SSL_export_keying_material(s->ssl, out, 32, label,
		sizeof label - 1, NULL, 0, 0) == 1;
}

/* The first one, of subjectAltName (RFC 5280 4.2.1.6). */
static bool
first_address(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name,
		NULL, NULL);
	bool found = false;
	int i, n;

	for (i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type != GEN_EMAIL)
			continue;
		n = ASN1_STRING_length(g->d.rfc822Name);
		if (n <= 0 || (size_t)n >= size || memchr(
			ASN1_STRING_get0_data(g->d.rfc822Name), 0, (size_t)n))
			continue;
		memcpy(out, ASN1_STRING_get0_data(g->d.rfc822Name), (size_t)n);
		out[n] = '\0';
		found = true;
	}
	GENERAL_NAMES_free(names);
	return found;
}

bool
stream_tls_address(const struct stream *s, char *out, size_t size)
{
	X509 *cert = s->ssl ? SSL_get0_peer_certificate(s->ssl) : NULL;

	return cert && SSL_get_verify_result(s->ssl) == X509_V_OK &&
		first_address(cert, out, size);
}

const char *
stream_tls_fault(const struct stream *s)
{
	long code = s->ssl ? SSL_get_verify_result(s->ssl) : X509_V_OK;

	switch (code) {
	case X509_V_OK:
		return NULL;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return "certificate-host-mismatch";
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "certificate-expired";
	case X509_V_ERR_DANE_NO_MATCH:
		return "tlsa-invalid";
	default:
		return "certificate-not-trusted";
	}
}

bool
stream_tls_facts(const struct stream *s, struct tls_facts *out)
{
	*out = (struct tls_facts){.bits = 0};
	if (!s->ssl)
		return false;
	snprintf(out->version, sizeof out->version, "%s",
		SSL_get_version(s->ssl));
	snprintf(out->cipher, sizeof out->cipher, "%s",
		SSL_get_cipher_name(s->ssl));
	out->bits = SSL_get_cipher_bits(s->ssl, NULL);
	out->peer_verified = SSL_get_verify_result(s->ssl) == X509_V_OK;
	return true;
}

/* ---------------------------------------------------------- compression */

bool
stream_compress(struct stream *s)
{
	struct str behind = buffered(s);
	size_t room;
	char *to;

	s->deflate = deflate_new();
	to = deflate_room(s->deflate, &room);
	if (behind.len > room)
		return false;
	memcpy(to, behind.at, behind.len);
	deflate_came(s->deflate, behind.len);
	stream_discard_input(s);
	return true;
}

bool
stream_is_compressed(const struct stream *s)
{
	return s->deflate || (s->ssl && SSL_get_current_compression(s->ssl));
}

bool
stream_release(struct stream *s)
{
	if (s->in_at != s->in_end || s->out_len || stream_pending(s, true))
		return false;
	if (s->deflate)
		deflate_rest(s->deflate);
	free(s->in);
	free(s->out);
	s->in = s->out = NULL;
	s->in_room = s->out_room = 0;
	s->in_at = s->in_end = 0;
	return true;
}
