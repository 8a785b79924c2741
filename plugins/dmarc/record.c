/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * record.c - a policy record: tags and values divided by semicolons, "v=DMARC1"
 * first (RFC 9989 4.8). Tags of RFC 7489 that mean nothing any more (pct, rf,
 * ri) and unknown ones are passed over.
 */
#include "dmarc.h"

#include <string.h>
#include <strings.h>

static struct mr_str
trim(struct mr_str s)
{
	while (s.len && strchr(" \t\r\n", *s.at)) {
		s.at++;
		s.len--;
	}
	while (s.len && strchr(" \t\r\n", s.at[s.len - 1]))
		s.len--;
	return s;
}

static bool
is(struct mr_str s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

static struct mr_str
cut(struct mr_str *rest, char c)
{
	const char *end = memchr(rest->at, c, rest->len);
	struct mr_str s = {rest->at, end ? (size_t)(end - rest->at) :
		rest->len};

	rest->at += s.len + (end != NULL);
	rest->len -= s.len + (end != NULL);
	return trim(s);
}

const char *
policy_name(enum policy p)
{
	static const char *const names[] = {"none", "none", "quarantine",
		"reject"};

	return names[p];
}

static enum policy
read_policy(struct mr_str value)
{
	return is(value, "none") ? POLICY_NONE : is(value, "quarantine") ?
		POLICY_QUARANTINE : is(value, "reject") ? POLICY_REJECT :
		POLICY_UNSET;
}

static void
take_tag(struct record *r, struct mr_str tag, struct mr_str value)
{
	if (is(tag, "p"))
		r->p = read_policy(value);
	else if (is(tag, "sp"))
		r->sp = read_policy(value);
	else if (is(tag, "np"))
		r->np = read_policy(value);
	else if (is(tag, "aspf"))
		r->strict_spf = is(value, "s");
	else if (is(tag, "adkim"))
		r->strict_dkim = is(value, "s");
	else if (is(tag, "t"))
		r->testing = is(value, "y");
	else if (is(tag, "rua") && value.len < sizeof r->rua)
		memcpy(r->rua, value.at, value.len);
	else if (is(tag, "psd"))
		r->psd = is(value, "y") ? PSD_YES : is(value, "n") ? PSD_NO :
			PSD_UNKNOWN;
}

bool
record_read(struct mr_str text, struct record *out)
{
	struct mr_str part = cut(&text, ';'), tag = cut(&part, '=');

	*out = (struct record){.p = POLICY_UNSET};
	part = trim(part);
	/* The version is matched with its case. */
	if (!is(tag, "v") || part.len != 6 || memcmp(part.at, "DMARC1", 6))
		return false;
	while (text.len) {
		part = cut(&text, ';');
		tag = cut(&part, '=');
		take_tag(out, tag, trim(part));
	}
	/* Without a policy it asks for nothing (RFC 9989 4.7). */
	if (out->p == POLICY_UNSET)
		out->p = POLICY_NONE;
	return true;
}
