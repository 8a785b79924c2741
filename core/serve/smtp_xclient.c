/*
 * smtp_xclient.c - XCLIENT: a filter or proxy in front says for which client
 * it speaks (Postfix's XCLIENT_README).
 *
 * Only for connections from smtp.xclient_networks. The session then begins
 * again: filters see a new connection with the client's facts, and the
 * greeting is the answer.
 */
#include "base/enc.h"
#include "base/log.h"
#include "serve/smtp.h"

struct claim {			/* what one command says; at NULL: nothing */
	struct str name, addr, port, proto, helo, destaddr, destport;
};

static const struct {
	const char *name;
	size_t offset;
} attributes[] = {
	{"NAME", offsetof(struct claim, name)},
	{"ADDR", offsetof(struct claim, addr)},
	{"PORT", offsetof(struct claim, port)},
	{"PROTO", offsetof(struct claim, proto)},
	{"HELO", offsetof(struct claim, helo)},
	{"DESTADDR", offsetof(struct claim, destaddr)},
	{"DESTPORT", offsetof(struct claim, destport)},
};

/* xtext of RFC 3461 section 4; at NULL: not that, or not printable. */
static struct str
decode_xtext(struct arena *a, struct str in)
{
	char *out = arena_alloc(a, in.len + 1);
	size_t i, n = 0;

	for (i = 0; i < in.len; i++) {
		int high, low, c = (unsigned char)in.at[i];

		if (c == '+') {
			high = i + 2 < in.len ? hex_value(in.at[i + 1]) : -1;
			low = high < 0 ? -1 : hex_value(in.at[i + 2]);
			if (low < 0)
				return (struct str){NULL, 0};
			c = high << 4 | low;
			i += 2;
		}
		if (c <= ' ' || c >= 127)
			return (struct str){NULL, 0};
		out[n++] = (char)c;
	}
	return (struct str){out, n};
}

static bool
is_unknown(struct str value)
{
	return str_iis(value, "[UNAVAILABLE]") ||
		str_iis(value, "[TEMPUNAVAIL]");
}

static bool
is_name(struct str value)
{
	return value.at && !is_unknown(value) && smtp_is_host_name(value);
}

static bool
take_attribute(struct smtp *k, struct str word, struct claim *c)
{
	struct str value = word, name = str_cut(&value, '=');
	struct str decoded = decode_xtext(&k->session->arena, value);
	size_t i;

	if (!decoded.at || name.len == word.len)
		return false;
	for (i = 0; i < sizeof attributes / sizeof *attributes; i++)
		if (str_iis(name, attributes[i].name)) {
			memcpy((char *)c + attributes[i].offset, &decoded,
				sizeof decoded);
			return true;
		}
	return false;
}

/* "192.0.2.1" or "IPv6:2001:db8::1" into a, which keeps its port. */
static bool
set_address(struct sock_addr *a, struct str text)
{
	unsigned port = sock_port(a);
	char full[96];
	int n;

	if (str_istarts(text, "IPv6:"))
		text = str_sub(text, 5, text.len);
	n = snprintf(full, sizeof full, str_has_byte(text, ':') ?
		"[%.*s]:%u" : "%.*s:%u", STR_ARGS(text), port);
	return n > 0 && (size_t)n < sizeof full &&
		sock_parse(str_of(full, (size_t)n), a, NULL) == 0;
}

static bool
set_end(struct sock_addr *a, struct str address, struct str port)
{
	uint64_t n;

	if (address.at && !is_unknown(address) && !set_address(a, address))
		return false;
	if (!port.at || is_unknown(port))
		return true;
	if (!str_u64(port, 65535, &n))
		return false;
	sock_set_port(a, (unsigned)n);
	return true;
}

static void
forget_session(struct smtp *k)
{
	smtp_reset(k);
	hooks_end(k->hooks);
	k->refused = (struct reply){0};
	k->facts.helo = STR("");
	k->facts.peer_name = STR("");
	k->facts.iprev = NULL;
	k->esmtp = false;
}

struct reply
smtp_xclient(struct smtp *k, struct str args)
{
	struct session *s = k->session;
	struct claim c = {{NULL, 0}};
	struct sock_addr peer = s->peer, *local;
	struct str word;

	if (!k->may_xclient)
		return REPLY(550, "5.7.0", "XCLIENT is not for you");
	while ((word = str_word(&args)).len)
		if (!take_attribute(k, word, &c))
			return REPLY(501, "5.5.4", "Bad XCLIENT attribute");
	local = arena_alloc(&s->arena, sizeof *local);
	session_local(s, local);
	if (!set_end(&peer, c.addr, c.port) ||
		!set_end(local, c.destaddr, c.destport))
		return REPLY(501, "5.5.4", "Bad XCLIENT address");
	forget_session(k);
	s->peer = k->facts.peer = peer;
	s->local = local;
	k->facts.local = *local;
	if (is_name(c.name)) {
		k->facts.peer_name = c.name;
		k->facts.iprev = "pass";
	} else if (c.name.at) {
		k->facts.iprev = str_iis(c.name, "[TEMPUNAVAIL]") ?
			"temperror" : "fail";
	}
	if (c.proto.at)
		k->esmtp = str_iis(c.proto, "ESMTP");
	if (is_name(c.helo))
		k->facts.helo = c.helo;
	return smtp_greet(k);
}
