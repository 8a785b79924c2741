/*
 * addr.c - addresses of the envelope (RFC 5321) and domains.
 *
 * Leaves to others: address lists of header fields (addr_list.c), and
 * whether anybody lives at an address (plug/route). Pure; any thread.
 */
#include "mail/addr.h"

#include <arpa/inet.h>
#include <idn2.h>

#include "base/enc.h"

#define LABEL_MAX 63

/* RFC 5322 3.2.3, and UTF-8 as RFC 6531 allows it; its validity is checked
 * for the whole path. */
static bool
is_atext(char c)
{
	return is_alnum(c) || (unsigned char)c >= 0x80 ||
		(c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Length of the quoted string at the head of s, or 0 (RFC 5321 4.1.2). */
static size_t
quoted_length(struct str s)
{
	size_t i;

	for (i = 1; i < s.len; i++) {
		if (s.at[i] == '"')
			return i + 1;
		if (s.at[i] == '\\')
			i++;
		if (i == s.len || (unsigned char)s.at[i] < 0x20 ||
		    s.at[i] == 0x7f)
			return 0;
	}
	return 0;
}

static size_t
dot_string_length(struct str s)
{
	size_t i = 0, atom;

	for (;;) {
		for (atom = i; i < s.len && is_atext(s.at[i]); i++)
			;
		if (i == atom)
			return 0;
		if (i == s.len || s.at[i] != '.')
			return i;
		i++;
	}
}

static size_t
local_length(struct str s)
{
	if (s.len > 0 && s.at[0] == '"')
		return quoted_length(s);
	return dot_string_length(s);
}

static size_t
domain_length(struct str s)
{
	size_t i = 0;

	if (s.len > 0 && s.at[0] == '[') {
		i = str_find(s, ']');
		return i < s.len ? i + 1 : 0;
	}
	while (i < s.len && (is_alnum(s.at[i]) || s.at[i] == '.' ||
	    s.at[i] == '-' || (unsigned char)s.at[i] >= 0x80))
		i++;
	return i;
}

bool
addr_is_literal(struct str s)
{
	char text[64];
	struct in6_addr v6;
	struct in_addr v4;
	struct str in = str_sub(s, 1, s.len - 2);
	bool is_v6;

	if (s.len < 3 || s.at[0] != '[' || s.at[s.len - 1] != ']')
		return false;
	is_v6 = str_istarts(in, "IPv6:");
	if (is_v6)
		in = str_sub(in, 5, in.len);
	if (in.len >= sizeof text || str_has_byte(in, '\0'))
		return false;
	memcpy(text, in.at, in.len);
	text[in.len] = '\0';
	return is_v6 ? inet_pton(AF_INET6, text, &v6) == 1 :
		inet_pton(AF_INET, text, &v4) == 1;
}

static bool
is_label(struct str s, bool allow_utf8)
{
	size_t i;

	if (s.len == 0 || s.at[0] == '-' || s.at[s.len - 1] == '-')
		return false;
	if (enc_is_ascii(s) && s.len > LABEL_MAX)
		return false;
	for (i = 0; i < s.len; i++)
		if (!is_alnum(s.at[i]) && s.at[i] != '-' &&
		    !(allow_utf8 && (unsigned char)s.at[i] >= 0x80))
			return false;
	return true;
}

bool
addr_is_domain(struct str s, bool allow_utf8)
{
	struct str rest = s;

	if (s.len == 0 || s.len > ADDR_DOMAIN_MAX)
		return false;
	if (s.at[0] == '[')
		return addr_is_literal(s);
	if (s.at[s.len - 1] == '.' || (allow_utf8 && !enc_is_utf8(s)))
		return false;
	while (rest.len > 0)
		if (!is_label(str_cut(&rest, '.'), allow_utf8))
			return false;
	return true;
}

/* local@domain at the head of *in; moves *in behind it. */
static bool
parse_mailbox(struct str *in, struct addr *out)
{
	size_t local = local_length(*in), domain;

	if (local == 0 || local > ADDR_LOCAL_MAX || local >= in->len ||
	    in->at[local] != '@')
		return false;
	domain = domain_length(str_sub(*in, local + 1, in->len));
	out->local = str_sub(*in, 0, local);
	out->domain = str_sub(*in, local + 1, domain);
	out->full = str_sub(*in, 0, local + 1 + domain);
	if (!addr_is_domain(out->domain, true) || !enc_is_utf8(out->local))
		return false;
	out->is_utf8 = !enc_is_ascii(out->full);
	*in = str_sub(*in, out->full.len, in->len);
	return true;
}

/* "@a,@b:" (RFC 5321 F.2). false: it begins like one and is none. */
static bool
skip_route(struct str *in)
{
	size_t n;

	if (in->len == 0 || in->at[0] != '@')
		return true;
	for (;;) {
		*in = str_sub(*in, 1, in->len);
		n = domain_length(*in);
		if (!addr_is_domain(str_sub(*in, 0, n), true) || n == in->len)
			return false;
		*in = str_sub(*in, n, in->len);
		if (in->at[0] == ':') {
			*in = str_sub(*in, 1, in->len);
			return true;
		}
		if (in->at[0] != ',' || in->len < 2 || in->at[1] != '@')
			return false;
		*in = str_sub(*in, 1, in->len);
	}
}

static bool
parse_inside(struct str *in, bool allow_null, bool allow_bare_postmaster,
	struct addr *out)
{
	size_t len = STR("postmaster").len;

	if (allow_null && in->len > 0 && in->at[0] == '>') {
		out->full = str_sub(*in, 0, 0);
		return true;
	}
	if (allow_bare_postmaster && str_istarts(*in, "postmaster>")) {
		out->full = out->local = str_sub(*in, 0, len);
		*in = str_sub(*in, len, in->len);
		return true;
	}
	return skip_route(in) && parse_mailbox(in, out);
}

bool
addr_parse_path(struct str in, bool allow_null, bool allow_bare_postmaster,
	struct addr *out, struct str *rest)
{
	*out = (struct addr){.full = STR("")};
	in = str_trim_blank(in);
	if (in.len < 2 || in.at[0] != '<')
		return false;
	in = str_sub(in, 1, in.len);
	if (!parse_inside(&in, allow_null, allow_bare_postmaster, out))
		return false;
	if (out->full.len > ADDR_MAX || in.len == 0 || in.at[0] != '>')
		return false;
	in = str_sub(in, 1, in.len);
	if (in.len > 0 && !is_blank(in.at[0]))
		return false;
	*rest = str_trim_blank(in);
	return true;
}

bool
addr_parse(struct str in, struct addr *out)
{
	*out = (struct addr){.full = STR("")};
	return parse_mailbox(&in, out) && in.len == 0 &&
		out->full.len <= ADDR_MAX;
}

static bool
is_dot_atom(struct str s)
{
	bool after_dot = true;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.at[i] == '.' ? after_dot : !is_atext(s.at[i]))
			return false;
		after_dot = s.at[i] == '.';
	}
	return !after_dot;
}

struct str
addr_plain(struct arena *a, struct str address)
{
	size_t at = str_rfind(address, '@'), i, n = 0;
	char *local;

	if (at == address.len || at < 3 || address.at[0] != '"' ||
		address.at[at - 1] != '"')
		return address;
	local = arena_alloc(a, at);
	for (i = 1; i < at - 1; i++) {
		if (address.at[i] == '\\' && i + 1 < at - 1)
			i++;
		local[n++] = address.at[i];
	}
	if (!is_dot_atom(str_of(local, n)))
		return address;
	return str_from(arena_printf(a, "%.*s%.*s", (int)n, local,
		STR_ARGS(str_sub(address, at, address.len))));
}

static struct str
lower(struct arena *a, struct str s)
{
	char *at = arena_alloc(a, s.len + 1);
	size_t i;

	for (i = 0; i < s.len; i++)
		at[i] = to_lower(s.at[i]);
	return str_of(at, s.len);
}

struct str
addr_domain_ascii(struct arena *a, struct str domain)
{
	const struct str none = {NULL, 0};
	struct str out = none;
	uint8_t *ascii = NULL;
	char *c;

	if (!addr_is_domain(domain, true))
		return none;
	if (enc_is_ascii(domain))
		return lower(a, domain);
	c = arena_cstr(a, domain);
	if (idn2_lookup_u8((const uint8_t *)c, &ascii,
	    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
		return none;
	if (addr_is_domain(str_from((const char *)ascii), false))
		out = lower(a, str_from((const char *)ascii));
	idn2_free(ascii);
	return out;
}

struct str
addr_canonical(struct arena *a, struct str address)
{
	struct str plain = addr_plain(a, address), domain, ascii;
	size_t at = str_rfind(plain, '@'), local = at < plain.len ? at + 1 : 0;

	domain = str_sub(plain, local, plain.len);
	if (enc_is_ascii(domain) || addr_is_literal(domain))
		return plain;
	ascii = addr_domain_ascii(a, domain);
	return ascii.at ? str_from(arena_printf(a, "%.*s%.*s", (int)local,
		plain.at, STR_ARGS(ascii))) : plain;
}
