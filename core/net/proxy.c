/*
 * proxy.c - reading PROXY headers, text (version 1) and binary (version 2).
 * A session's thread, in its first turn. Numbers follow HAProxy's
 * proxy-protocol.txt, sections 2.1 and 2.2.
 */
#include "net/proxy.h"

#include <netinet/in.h>

#define V1_MOST 107		/* with CR LF */
#define V2_HEAD 16
#define V2_MOST 4096		/* addresses and TLVs behind the head */

static const char v2_mark[12] = "\r\n\r\n\0\r\nQUIT\n";

/* "192.0.2.1" and "25", or "2001:db8::1" and "25". */
static bool
parse_end(struct str host, struct str port, bool is_v6, struct sock_addr *out)
{
	char text[64];
	int n;

	if (str_has_byte(host, ':') != is_v6 || !host.len || !port.len)
		return false;
	n = snprintf(text, sizeof text, is_v6 ? "[%.*s]:%.*s" : "%.*s:%.*s",
		STR_ARGS(host), STR_ARGS(port));
	return n > 0 && (size_t)n < sizeof text &&
		sock_parse(str_of(text, (size_t)n), out, NULL) == 0;
}

/* "TCP4 source destination sport dport", behind "PROXY ". */
static bool
parse_v1(struct str rest, struct sock_addr *peer, struct sock_addr *local)
{
	struct str family = str_cut(&rest, ' ');
	struct str from = str_cut(&rest, ' '), to = str_cut(&rest, ' ');
	struct str from_port = str_cut(&rest, ' ');
	struct sock_addr p, l;
	bool is_v6 = str_is(family, "TCP6");

	if (str_is(family, "UNKNOWN"))
		return true;
	if ((!is_v6 && !str_is(family, "TCP4")) ||
		!parse_end(from, from_port, is_v6, &p) ||
		!parse_end(to, rest, is_v6, &l))
		return false;
	*peer = p;
	*local = l;
	return true;
}

static int
read_v1(struct stream *s, struct sock_addr *peer, struct sock_addr *local,
	struct err *e)
{
	struct str line;

	if (stream_line(s, V1_MOST - 2, &line) == STREAM_LINE_OK &&
		str_starts(line, "PROXY ") &&
		parse_v1(str_sub(line, 6, line.len), peer, local))
		return 0;
	return err_set(e, ERR_PROTOCOL, "no PROXY header, though the network "
		"is listed in proxy_networks");
}

static void
set_v4(struct sock_addr *out, const unsigned char *ip,
	const unsigned char *port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->sa;

	memset(out, 0, sizeof *out);
	v4->sin_family = AF_INET;
	memcpy(&v4->sin_addr, ip, 4);
	memcpy(&v4->sin_port, port, 2);
	out->len = sizeof *v4;
}

static void
set_v6(struct sock_addr *out, const unsigned char *ip,
	const unsigned char *port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->sa;

	memset(out, 0, sizeof *out);
	v6->sin6_family = AF_INET6;
	memcpy(&v6->sin6_addr, ip, 16);
	memcpy(&v6->sin6_port, port, 2);
	out->len = sizeof *v6;
}

/* What stands behind the head of version 2. */
static bool
parse_v2(unsigned char family, const unsigned char *at, size_t len,
	struct sock_addr *peer, struct sock_addr *local)
{
	if (family == 0x11 && len >= 12) {	/* TCP over IPv4 */
		set_v4(peer, at, at + 8);
		set_v4(local, at + 4, at + 10);
		return true;
	}
	if (family == 0x21 && len >= 36) {	/* TCP over IPv6 */
		set_v6(peer, at, at + 32);
		set_v6(local, at + 16, at + 34);
		return true;
	}
	/* Unix sockets and what is unspecified keep the real addresses. */
	return family == 0x00 || family == 0x31;
}

static int
read_v2(struct stream *s, struct sock_addr *peer, struct sock_addr *local,
	struct err *e)
{
	unsigned char head[V2_HEAD], rest[V2_MOST];
	size_t len;

	if (!stream_read(s, head, sizeof head))
		return err_set(e, ERR_CLOSED, "no whole PROXY header");
	len = (size_t)head[14] << 8 | head[15];
	if (memcmp(head, v2_mark, sizeof v2_mark) || head[12] >> 4 != 2 ||
		(head[12] & 15) > 1 || len > sizeof rest)
		return err_set(e, ERR_PROTOCOL, "PROXY header of an unknown "
			"form");
	if (!stream_read(s, rest, len))
		return err_set(e, ERR_CLOSED, "no whole PROXY header");
	if ((head[12] & 15) == 0)		/* LOCAL */
		return 0;
	if (parse_v2(head[13], rest, len, peer, local))
		return 0;
	return err_set(e, ERR_PROTOCOL, "PROXY header with a family that is "
		"not TCP");
}

int
proxy_read(struct stream *s, struct sock_addr *peer, struct sock_addr *local,
	struct err *e)
{
	struct str first = stream_peek(s);

	if (!first.len)
		return err_set(e, ERR_CLOSED, "no PROXY header came");
	return first.at[0] == v2_mark[0] ? read_v2(s, peer, local, e) :
		read_v1(s, peer, local, e);
}
