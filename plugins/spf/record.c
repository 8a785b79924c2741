/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * record.c - the terms of an SPF record, by the grammar of RFC 7208 12.
 */
#include "spf.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum takes { NOTHING, SPEC, SPEC_MAYBE, SPEC_CIDR_MAYBE, ADDRESS4, ADDRESS6 };

static const struct {
	const char *name;
	enum spf_kind kind;
	enum takes takes;
} mechanisms[] = {
	{"all", SPF_ALL, NOTHING}, {"include", SPF_INCLUDE, SPEC},
	{"a", SPF_A, SPEC_CIDR_MAYBE}, {"mx", SPF_MX, SPEC_CIDR_MAYBE},
	{"ptr", SPF_PTR, SPEC_MAYBE}, {"ip4", SPF_IP4, ADDRESS4},
	{"ip6", SPF_IP6, ADDRESS6}, {"exists", SPF_EXISTS, SPEC},
};

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word(struct mr_str s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

void
spf_copy(char *out, size_t size, struct mr_str s)
{
	size_t i;

	for (i = 0; i < s.len && i + 1 < size; i++)
		out[i] = s.at[i] > ' ' && s.at[i] <= '~' ? s.at[i] : '?';
	out[i] = '\0';
}

static int
complain(char *why, const struct spf_term *t, const char *what)
{
	char text[80];

	spf_copy(text, sizeof text, t->text);
	snprintf(why, SPF_WHY_MOST, "%s in \"%s\"", what, text);
	return -1;
}

/* Digits at the end of *s behind `mark`, cut off with it; -1: there are none;
 * -2: they are no length up to `most`. */
static int
cut_cidr(struct mr_str *s, const char *mark, int most)
{
	size_t digits = 0, n = strlen(mark);
	int value = 0;
	const char *at;

	while (digits < s->len && is_digit(s->at[s->len - digits - 1]))
		digits++;
	if (s->len < digits + n)
		return -1;
	at = s->at + s->len - digits;
	if (memcmp(at - n, mark, n))
		return -1;
	if (digits == 0 || digits > 3 || (digits > 1 && *at == '0'))
		return -2;
	s->len -= digits + n;
	for (; digits; digits--)
		value = value * 10 + (*at++ - '0');
	return value > most ? -2 : value;
}

/* "/24", "//64", "/24//64" behind a domain-spec. */
static bool
take_cidrs(struct mr_str *s, struct spf_term *t)
{
	int six = cut_cidr(s, "//", 128), four;

	if (six == -2)
		return false;
	t->cidr6 = six < 0 ? 128 : six;
	four = cut_cidr(s, "/", 32);
	t->cidr4 = four < 0 ? 32 : four;
	return four != -2;
}

static bool
take_address(struct mr_str s, int family, struct spf_term *t)
{
	char text[INET6_ADDRSTRLEN];
	int cidr = memchr(s.at, '/', s.len) ? cut_cidr(&s, "/",
		family == AF_INET ? 32 : 128) : -1;

	if (cidr == -2 || s.len >= sizeof text || memchr(s.at, '/', s.len))
		return false;
	memcpy(text, s.at, s.len);
	text[s.len] = '\0';
	t->cidr4 = cidr < 0 ? 32 : cidr;
	t->cidr6 = cidr < 0 ? 128 : cidr;
	return inet_pton(family, text, t->ip) == 1;
}

/* What stands behind the name of a mechanism, its ':' or '/' included. */
static int
take_argument(struct spf_term *t, enum takes takes, struct mr_str rest,
	char *why)
{
	bool has_spec = rest.len && rest.at[0] == ':';

	t->cidr4 = 32;
	t->cidr6 = 128;
	if (takes == NOTHING)
		return rest.len ? complain(why, t, "no argument belongs") : 0;
	if (has_spec) {
		rest.at++;
		rest.len--;
	}
	if (takes == ADDRESS4 || takes == ADDRESS6)
		return has_spec && take_address(rest, takes == ADDRESS4 ?
			AF_INET : AF_INET6, t) ? 0 :
			complain(why, t, "no address");
	if (takes == SPEC_CIDR_MAYBE && !take_cidrs(&rest, t))
		return complain(why, t, "bad prefix length");
	if (!has_spec && rest.len)
		return complain(why, t, "unknown argument");
	if (!has_spec && takes == SPEC)
		return complain(why, t, "a domain is missing");
	if (has_spec && !spf_is_domain_spec(rest))
		return complain(why, t, "bad domain");
	t->spec = rest;
	return 0;
}

static int
take_mechanism(struct spf_term *t, struct mr_str s, char *why)
{
	struct mr_str name = {s.at, 0};
	size_t i;

	t->qualifier = '+';
	if (strchr("+-~?", s.at[0])) {
		t->qualifier = s.at[0];
		name.at++;
		s.at++;
		s.len--;
	}
	while (name.len < s.len && s.at[name.len] != ':' &&
		s.at[name.len] != '/')
		name.len++;
	s.at += name.len;
	s.len -= name.len;
	for (i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
		if (is_word(name, mechanisms[i].name)) {
			t->kind = mechanisms[i].kind;
			return take_argument(t, mechanisms[i].takes, s, why);
		}
	return complain(why, t, "unknown mechanism");
}

static int
take_modifier(struct spf_term *t, struct mr_str name, char *why)
{
	size_t i;

	t->spec = (struct mr_str){name.at + name.len + 1,
		t->text.len - name.len - 1};
	if (!is_alpha(name.at[0]))
		return complain(why, t, "bad name of a modifier");
	for (i = 1; i < name.len; i++)
		if (!is_alpha(name.at[i]) && !is_digit(name.at[i]) &&
			!strchr("-_.", name.at[i]))
			return complain(why, t, "bad name of a modifier");
	t->kind = is_word(name, "redirect") ? SPF_REDIRECT :
		is_word(name, "exp") ? SPF_EXP : SPF_UNKNOWN_MODIFIER;
	if (t->kind == SPF_UNKNOWN_MODIFIER)
		return spf_is_macro_string(t->spec, false) ? 0 :
			complain(why, t, "bad macro");
	return t->spec.len && spf_is_domain_spec(t->spec) ? 0 :
		complain(why, t, "bad domain");
}

int
spf_next_term(struct mr_str *rest, struct spf_term *t, char *why)
{
	struct mr_str name;

	while (rest->len && *rest->at == ' ') {
		rest->at++;
		rest->len--;
	}
	if (!rest->len)
		return 0;
	*t = (struct spf_term){.text = {rest->at, 0}};
	while (t->text.len < rest->len && t->text.at[t->text.len] != ' ')
		t->text.len++;
	rest->at += t->text.len;
	rest->len -= t->text.len;
	name = (struct mr_str){t->text.at, 0};
	while (name.len < t->text.len && !strchr(":/=", name.at[name.len]))
		name.len++;
	if (name.len && name.len < t->text.len && name.at[name.len] == '=')
		return take_modifier(t, name, why) < 0 ? -1 : 1;
	return take_mechanism(t, t->text, why) < 0 ? -1 : 1;
}

bool
spf_is_record(struct mr_str txt, struct mr_str *rest)
{
	if (txt.len < 6 || strncasecmp(txt.at, "v=spf1", 6) ||
		(txt.len > 6 && txt.at[6] != ' '))
		return false;
	*rest = (struct mr_str){txt.at + 6, txt.len - 6};
	return true;
}
