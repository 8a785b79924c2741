/*
 * sock.c - addresses and sockets. Any thread; connect blocks up to its
 * deadline, nothing else blocks.
 */
#include "net/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"

/* ------------------------------------------------------------ addresses */

static int
parse_unix(struct str path, struct sock_addr *out, struct err *e)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->sa;

	if (path.len == 0 || path.len >= sizeof un->sun_path ||
		str_has_byte(path, '\0'))
		return err_set(e, ERR_CONFIG, "unix socket path must have 1 "
			"to %zu bytes", sizeof un->sun_path - 1);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path.at, path.len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		path.len + 1);
	return 0;
}

/* Host text (no brackets) into *out without a port. */
static bool
parse_host(struct str host, struct sock_addr *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->sa;
	char text[SOCK_TEXT];

	if (host.len == 0 || host.len >= sizeof text ||
		str_has_byte(host, '\0'))
		return false;
	memcpy(text, host.at, host.len);
	text[host.len] = '\0';
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		out->len = sizeof *v4;
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		out->len = sizeof *v6;
		return true;
	}
	return false;
}

int
sock_parse(struct str text, struct sock_addr *out, struct err *e)
{
	size_t colon = str_rfind(text, ':');
	struct str host = str_sub(text, 0, colon);
	bool brackets = str_starts(host, "[") && str_ends(host, "]");
	uint64_t port;

	memset(out, 0, sizeof *out);
	if (str_starts(text, "unix:"))
		return parse_unix(str_sub(text, 5, text.len), out, e);
	if (brackets)
		host = str_sub(host, 1, host.len - 2);
	/* Without brackets the last colon of "2001:db8::25" means nothing. */
	if (colon == text.len || !str_u64(str_sub(text, colon + 1, text.len),
		65535, &port) || !parse_host(host, out) ||
		brackets != (out->sa.ss_family == AF_INET6))
		return err_set(e, ERR_CONFIG, "`%.*s` is no address; write "
			"\"127.0.0.1:25\", \"[::]:25\" or \"unix:/path\"",
			STR_ARGS(text));
	sock_set_port(out, (unsigned)port);
	return 0;
}

static bool
is_mapped(const struct sock_addr *a)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;

	return a->sa.ss_family == AF_INET6 &&
		IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
}

void
sock_host(const struct sock_addr *a, char out[SOCK_TEXT])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;

	out[0] = '\0';
	if (a->sa.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, out, SOCK_TEXT);
	else if (is_mapped(a))
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, out, SOCK_TEXT);
	else if (a->sa.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, out, SOCK_TEXT);
	else if (a->sa.ss_family == AF_UNIX &&
		a->len > offsetof(struct sockaddr_un, sun_path))
		snprintf(out, SOCK_TEXT, "%.107s", un->sun_path);
}

void
sock_text(const struct sock_addr *a, char out[SOCK_TEXT])
{
	char host[SOCK_TEXT];

	sock_host(a, host);
	if (a->sa.ss_family == AF_UNIX)
		snprintf(out, SOCK_TEXT, "unix:%.107s", host);
	else
		snprintf(out, SOCK_TEXT, strchr(host, ':') ? "[%.90s]:%u" :
			"%.90s:%u", host, sock_port(a));
}

unsigned
sock_port(const struct sock_addr *a)
{
	if (a->sa.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
	if (a->sa.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
	return 0;
}

void
sock_set_port(struct sock_addr *a, unsigned port)
{
	if (a->sa.ss_family == AF_INET)
		((struct sockaddr_in *)&a->sa)->sin_port =
			htons((uint16_t)port);
	else if (a->sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->sa)->sin6_port =
			htons((uint16_t)port);
}

/* The 16 bytes that networks are compared by; IPv4 in its mapped form. */
static bool
address_bits(const struct sock_addr *a, uint8_t out[16], bool *is_v6)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;

	memset(out, 0, 16);
	*is_v6 = a->sa.ss_family == AF_INET6 && !is_mapped(a);
	if (a->sa.ss_family == AF_INET6) {
		memcpy(out, v6->sin6_addr.s6_addr, 16);
		return true;
	}
	if (a->sa.ss_family != AF_INET)
		return false;
	out[10] = out[11] = 0xff;
	memcpy(out + 12, &((const struct sockaddr_in *)&a->sa)->sin_addr, 4);
	return true;
}

bool
sock_is_loopback(const struct sock_addr *a)
{
	uint8_t bits[16];
	bool is_v6;

	if (!address_bits(a, bits, &is_v6))
		return a->sa.ss_family == AF_UNIX;
	return is_v6 ? IN6_IS_ADDR_LOOPBACK((struct in6_addr *)bits) :
		bits[12] == 127;
}

int
sock_parse_net(struct str text, struct sock_net *out, struct err *e)
{
	struct str rest = text, host = str_cut(&rest, '/');
	struct sock_addr a;
	uint64_t length;
	unsigned most;

	if (!parse_host(host, &a) ||
		!address_bits(&a, out->bits, &out->is_v6))
		goto bad;
	most = out->is_v6 ? 128 : 32;
	length = most;
	if (host.len < text.len && !str_u64(rest, most, &length))
		goto bad;
	out->length = (unsigned)length + (out->is_v6 ? 0 : 96);
	return 0;
bad:
	return err_set(e, ERR_CONFIG, "`%.*s` is no network; write "
		"\"192.0.2.0/24\" or \"2001:db8::/32\"", STR_ARGS(text));
}

bool
sock_in_net(const struct sock_addr *a, const struct sock_net *n)
{
	unsigned whole = n->length / 8, rest = n->length % 8;
	uint8_t bits[16];
	bool is_v6;

	if (!address_bits(a, bits, &is_v6) || is_v6 != n->is_v6)
		return false;
	if (memcmp(bits, n->bits, whole))
		return false;
	return !rest || (bits[whole] ^ n->bits[whole]) >> (8 - rest) == 0;
}

bool
sock_in_nets(const struct sock_addr *a, const struct sock_nets *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (sock_in_net(a, &l->item[i]))
			return true;
	return false;
}

/* -------------------------------------------------------------- sockets */

/* A unix socket's file stays when its owner dies; one that nobody answers on
 * is removed. */
static int
clear_stale(const struct sock_addr *a, struct err *e)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;
	struct stat st;
	int fd, code;

	if (lstat(un->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, ERR_EXISTS, "%s is there and is no socket",
			un->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	code = connect(fd, (const struct sockaddr *)&a->sa, a->len);
	close(fd);
	if (code == 0)
		return err_set(e, ERR_EXISTS, "%s is in use", un->sun_path);
	unlink(un->sun_path);
	return 0;
}

int
sock_listen(const struct sock_addr *a, int backlog, struct err *e)
{
	char text[SOCK_TEXT];
	int fd, one = 1, zero = 0;

	sock_text(a, text);
	if (a->sa.ss_family == AF_UNIX && clear_stale(a, e) < 0)
		return -1;
	fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
		SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (a->sa.ss_family == AF_INET6)	/* [::] serves both families */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	if (bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0 ||
		listen(fd, backlog) < 0) {
		err_sys(e, "listen on %s", text);
		close(fd);
		return -1;
	}
	return fd;
}

static void
no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int
sock_accept(int fd, struct sock_addr *peer, struct err *e)
{
	int got;

	memset(peer, 0, sizeof *peer);
	do {
		peer->len = sizeof peer->sa;
		got = accept4(fd, (struct sockaddr *)&peer->sa, &peer->len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (got < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (got < 0)
		return err_sys(e, "accept");
	if (peer->sa.ss_family != AF_UNIX)
		no_delay(got);
	return got;
}

/* Waits for a connect under way. 0, or -1 with errno. */
static int
await_connect(int fd, int64_t deadline)
{
	struct pollfd p = {fd, POLLOUT, 0};
	socklen_t len = sizeof(int);
	int64_t left;
	int code, n;

	do {
		left = deadline - clock_mono();
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
	} while (n == 0 || (n < 0 && errno == EINTR));
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		return -1;
	errno = code;
	return code ? -1 : 0;
}

int
sock_connect(const struct sock_addr *to, const struct sock_addr *source,
	int64_t deadline, struct err *e)
{
	char text[SOCK_TEXT];
	int fd;

	sock_text(to, text);
	fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
		SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (source && bind(fd, (const struct sockaddr *)&source->sa,
		source->len) < 0) {
		err_sys(e, "bind to the source address");
		close(fd);
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&to->sa, to->len) < 0 &&
		((errno != EINPROGRESS && errno != EINTR) ||
		await_connect(fd, deadline) < 0)) {
		err_sys(e, "connect to %s", text);
		if (e && e->sys == ETIMEDOUT)
			e->kind = ERR_TIMEOUT;
		close(fd);
		return -1;
	}
	if (to->sa.ss_family != AF_UNIX)
		no_delay(fd);
	return fd;
}

int
sock_local(int fd, struct sock_addr *out, struct err *e)
{
	memset(out, 0, sizeof *out);
	out->len = sizeof out->sa;
	if (getsockname(fd, (struct sockaddr *)&out->sa, &out->len) < 0)
		return err_sys(e, "getsockname");
	return 0;
}
