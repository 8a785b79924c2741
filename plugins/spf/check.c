/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * check.c - check_host() of RFC 7208 4: finds the record of a domain, goes
 * through its terms from the left, and follows include and redirect.
 *
 * The limits of 4.6.4 hold for the whole check: ten terms that ask DNS, two
 * answers that are empty. They also bound how deep include goes.
 */
#include "spf.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define LOOKUPS_MOST 10
#define VOIDS_MOST 2
#define NAMES_MOST 10		/* of MX, and of PTR */

struct check {
	const struct spf_query *q;
	struct spf_answer *out;
	unsigned lookups, voids;
	unsigned includes;	/* how deep we are in them */
	bool has_asked_name;
	char name[SPF_NAME_MOST + 1];	/* %{p} */
	const char *domain;	/* of the record at hand */
};

/* What a mechanism says. */
enum match { NO, YES, TEMPORARY, PERMANENT };

static enum spf_result check_host(struct check *c, const char *domain);

const char *
spf_result_name(enum spf_result r)
{
	static const char *const names[] = {"none", "neutral", "pass", "fail",
		"softfail", "temperror", "permerror"};

	return names[r];
}

bool
spf_set_ip(struct spf_query *q, const char *text)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff};

	q->is_ipv6 = false;
	if (inet_pton(AF_INET, text, q->ip) == 1)
		return true;
	if (inet_pton(AF_INET6, text, q->ip) != 1)
		return false;
	q->is_ipv6 = memcmp(q->ip, mapped, sizeof mapped) != 0;
	if (!q->is_ipv6)
		memmove(q->ip, q->ip + 12, 4);
	return true;
}

bool
spf_is_domain(const char *name)
{
	size_t label, labels = 0, len = strlen(name);

	if (len && name[len - 1] == '.')
		len--;
	if (!len || len > SPF_NAME_MOST)
		return false;
	for (; len; labels++) {
		for (label = 0; label < len && name[label] != '.'; label++)
			;
		if (!label || label > 63 || label + 1 == len)
			return false;
		name += label + (label < len);
		len -= label + (label < len);
	}
	return labels > 1;
}

/* ------------------------------------------------------------------- DNS */

static void
ask(const struct check *c, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	*out = (struct mr_dns_answer){.size = sizeof *out,
		.status = MR_DNS_NXDOMAIN};
	if (spf_is_domain(name))
		c->q->dns(c->q->arg, name, type, out);
}

static enum match
fail_term(struct check *c, enum match kind, const char *what,
	const char *name)
{
	snprintf(c->out->why, sizeof c->out->why, "%s%s%.150s", what,
		*name ? ": " : "", name);
	return kind;
}

/* A term that asks DNS begins. */
static enum match
count_lookup(struct check *c)
{
	return ++c->lookups > LOOKUPS_MOST ? fail_term(c, PERMANENT,
		"more than 10 terms that ask DNS", "") : YES;
}

/* YES: there are records; NO: there are none, or it cannot be a name. */
static enum match
ask_counted(struct check *c, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	ask(c, name, type, out);
	if (!spf_is_domain(name))
		return NO;
	if (out->status == MR_DNS_TEMPFAIL || out->status == MR_DNS_BOGUS)
		return fail_term(c, TEMPORARY, "DNS does not answer", name);
	if (out->status == MR_DNS_OK && out->n)
		return YES;
	return ++c->voids > VOIDS_MOST ? fail_term(c, PERMANENT,
		"more than 2 DNS answers are empty", name) : NO;
}

static bool
is_within(const unsigned char *a, const unsigned char *b, int bits)
{
	int bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, (size_t)bytes))
		return false;
	return !rest || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0;
}

static bool
is_client(const struct check *c, const unsigned char *ip, int cidr4,
	int cidr6)
{
	return is_within(c->q->ip, ip, c->q->is_ipv6 ? cidr6 : cidr4);
}

static bool
has_client(const struct check *c, const struct mr_dns_answer *a, int cidr4,
	int cidr6)
{
	size_t len = c->q->is_ipv6 ? 16 : 4;
	uint32_t i;

	for (i = 0; i < a->n; i++)
		if (a->record[i].data.len == len && is_client(c,
			(const unsigned char *)a->record[i].data.at, cidr4,
			cidr6))
			return true;
	return false;
}

/* Does the name have an address that the client's is within? */
static enum match
match_addresses(struct check *c, const char *name, int cidr4, int cidr6)
{
	struct mr_dns_answer got;
	enum match m = ask_counted(c, name, c->q->is_ipv6 ? MR_DNS_AAAA :
		MR_DNS_A, &got);

	if (m != YES)
		return m;
	return has_client(c, &got, cidr4, cidr6) ? YES : NO;
}

/* -------------------------------------------------- names of the client */

static void
write_reverse(const struct spf_query *q, char *out, size_t size)
{
	int i;

	if (!q->is_ipv6) {
		snprintf(out, size, "%u.%u.%u.%u.in-addr.arpa", q->ip[3],
			q->ip[2], q->ip[1], q->ip[0]);
		return;
	}
	for (i = 0; i < 16; i++)
		snprintf(out + i * 4, size - (size_t)i * 4, "%x.%x.",
			q->ip[15 - i] & 15, q->ip[15 - i] >> 4);
	snprintf(out + 64, size - 64, "ip6.arpa");
}

static bool
is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	if (d && domain[d - 1] == '.')
		d--;
	if (n && name[n - 1] == '.')
		n--;
	return d <= n && !strncasecmp(name + n - d, domain, d) &&
		(d == n || name[n - d - 1] == '.');
}

/* A look-up whose failing means no more than no name. */
static void
ask_name(struct check *c, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	if (ask_counted(c, name, type, out) != YES)
		out->n = 0;
}

/* The names of the client whose addresses say so too (5.5): out gets one
 * below domain, or any, or stays empty. */
static void
find_name(struct check *c, const char *domain, char out[SPF_NAME_MOST + 1],
	bool any)
{
	struct mr_dns_answer names, got;
	char reverse[SPF_NAME_MOST + 1];
	uint32_t i;

	write_reverse(c->q, reverse, sizeof reverse);
	ask_name(c, reverse, MR_DNS_PTR, &names);
	for (i = 0; i < names.n && i < NAMES_MOST; i++) {
		const char *name = names.record[i].data.at;

		if (names.record[i].data.len > SPF_NAME_MOST)
			continue;
		ask_name(c, name, c->q->is_ipv6 ? MR_DNS_AAAA : MR_DNS_A,
			&got);
		if (!has_client(c, &got, 32, 128))
			continue;
		if (is_below(name, domain)) {
			snprintf(out, SPF_NAME_MOST + 1, "%s", name);
			return;
		}
		if (any && !*out)
			snprintf(out, SPF_NAME_MOST + 1, "%s", name);
	}
}

/* %{p} */
static const char *
validated_name(void *arg)
{
	struct check *c = arg;

	if (!c->has_asked_name)
		find_name(c, c->domain, c->name, true);
	c->has_asked_name = true;
	return *c->name ? c->name : "unknown";
}

/* -------------------------------------------------------------- mechanisms */

static int
expand_spec(struct check *c, struct mr_str spec, char out[SPF_NAME_MOST + 1])
{
	struct spf_macro m = {.q = c->q, .domain = c->domain,
		.validated = validated_name, .arg = c};

	if (!spec.len) {
		snprintf(out, SPF_NAME_MOST + 1, "%s", c->domain);
		return 0;
	}
	return spf_expand_domain(&m, spec, out);
}

static enum match
match_mx(struct check *c, const struct spf_term *t, const char *name)
{
	struct mr_dns_answer got;
	enum match m = ask_counted(c, name, MR_DNS_MX, &got);
	uint32_t i;

	if (m == YES && got.n > NAMES_MOST)
		return fail_term(c, PERMANENT, "more than 10 MX", name);
	if (m != YES)
		return m;
	for (i = 0; i < got.n; i++) {
		m = match_addresses(c, got.record[i].data.at, t->cidr4,
			t->cidr6);
		if (m != NO)
			return m;
	}
	return NO;
}

static enum match
match_ptr(struct check *c, const char *domain)
{
	char name[SPF_NAME_MOST + 1] = "";

	find_name(c, domain, name, false);
	return c->voids > VOIDS_MOST ? PERMANENT : *name ? YES : NO;
}

static enum match
match_include(struct check *c, const char *name)
{
	const char *domain = c->domain;
	enum spf_result r;

	c->includes++;
	r = check_host(c, name);
	c->includes--;
	c->domain = domain;
	switch (r) {
	case SPF_PASS:
		return YES;
	case SPF_TEMPERROR:
		return TEMPORARY;
	case SPF_PERMERROR:
		return PERMANENT;
	case SPF_NONE:
		return fail_term(c, PERMANENT, "include of a domain without "
			"a record", name);
	default:
		return NO;
	}
}

static enum match
match_exists(struct check *c, const char *name)
{
	struct mr_dns_answer got;

	return ask_counted(c, name, MR_DNS_A, &got);
}

static enum match
match_asking(struct check *c, const struct spf_term *t)
{
	char name[SPF_NAME_MOST + 1];
	enum match m = count_lookup(c);

	if (m != YES)
		return m;
	if (expand_spec(c, t->spec, name) < 0)
		return NO;
	if (c->voids > VOIDS_MOST)
		return PERMANENT;	/* while %{p} was looked for */
	switch (t->kind) {
	case SPF_INCLUDE:
		return match_include(c, name);
	case SPF_A:
		return match_addresses(c, name, t->cidr4, t->cidr6);
	case SPF_MX:
		return match_mx(c, t, name);
	case SPF_PTR:
		return match_ptr(c, name);
	default:
		return match_exists(c, name);
	}
}

static enum match
match(struct check *c, const struct spf_term *t)
{
	switch (t->kind) {
	case SPF_ALL:
		return YES;
	case SPF_IP4:
		return !c->q->is_ipv6 && is_client(c, t->ip, t->cidr4, 0) ?
			YES : NO;
	case SPF_IP6:
		return c->q->is_ipv6 && is_client(c, t->ip, 0, t->cidr6) ?
			YES : NO;
	case SPF_REDIRECT:
	case SPF_EXP:
	case SPF_UNKNOWN_MODIFIER:
		return NO;
	default:
		return match_asking(c, t);
	}
}

/* ------------------------------------------------------------- the record */

/* What a record says beside its mechanisms. */
struct modifiers {
	struct mr_str redirect, exp;
};

/* All of it must be right before any of it counts (4.6). */
static bool
read_record(struct check *c, struct mr_str record, struct modifiers *m)
{
	struct spf_term t;
	int got;

	*m = (struct modifiers){.redirect = {0}};
	while ((got = spf_next_term(&record, &t, c->out->why)) > 0) {
		struct mr_str *once = t.kind == SPF_REDIRECT ? &m->redirect :
			t.kind == SPF_EXP ? &m->exp : NULL;

		if (once && once->len) {
			fail_term(c, PERMANENT, t.kind == SPF_EXP ?
				"two exp=" : "two redirect=", "");
			return false;
		}
		if (once)
			*once = t.spec;
	}
	return got == 0;
}

/* The record itself must be ASCII (3.1); a stray byte is an error of its
 * author, not a reason to look for another record. */
static bool
is_ascii(struct mr_str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.at[i] > 126)
			return false;
	return true;
}

/* SPF_PASS: *record is the one there is. */
static enum spf_result
find_record(struct check *c, const char *domain, struct mr_str *record)
{
	struct mr_dns_answer got;
	struct mr_str rest;
	uint32_t i, n = 0;

	ask(c, domain, MR_DNS_TXT, &got);
	if (got.status == MR_DNS_TEMPFAIL || got.status == MR_DNS_BOGUS) {
		fail_term(c, TEMPORARY, "DNS does not answer", domain);
		return SPF_TEMPERROR;
	}
	for (i = 0; i < got.n; i++)
		if (spf_is_record(got.record[i].data, &rest)) {
			*record = rest;
			n++;
		}
	if (n == 0)
		return SPF_NONE;
	if (n == 1 && is_ascii(*record))
		return SPF_PASS;
	fail_term(c, PERMANENT, n > 1 ? "more than one record" :
		"record is not ASCII", domain);
	return SPF_PERMERROR;
}

/* The words of the domain for its fail (6.2). What is wrong with them is no
 * reason to say anything else but nothing. */
static void
explain(struct check *c, struct mr_str spec)
{
	struct spf_macro m = {.q = c->q, .domain = c->domain,
		.validated = validated_name, .arg = c};
	char *out = c->out->explanation;
	char name[SPF_NAME_MOST + 1];
	struct mr_dns_answer got;

	if (!spec.len || spf_expand_domain(&m, spec, name) < 0)
		return;
	ask(c, name, MR_DNS_TXT, &got);
	if (got.n != 1 || !spf_is_macro_string(got.record[0].data, true) ||
		spf_expand(&m, got.record[0].data, out,
			sizeof c->out->explanation) < 0)
		*out = '\0';
}

static enum spf_result
redirect(struct check *c, struct mr_str spec)
{
	char name[SPF_NAME_MOST + 1];
	enum spf_result r;

	if (count_lookup(c) != YES)
		return SPF_PERMERROR;
	if (expand_spec(c, spec, name) < 0) {
		fail_term(c, PERMANENT, "redirect cannot be expanded", "");
		return SPF_PERMERROR;
	}
	r = check_host(c, name);
	if (r != SPF_NONE)
		return r;
	fail_term(c, PERMANENT, "redirect to a domain without a record",
		name);
	return SPF_PERMERROR;
}

static enum spf_result
result_of(char qualifier)
{
	return qualifier == '+' ? SPF_PASS : qualifier == '-' ? SPF_FAIL :
		qualifier == '~' ? SPF_SOFTFAIL : SPF_NEUTRAL;
}

static enum spf_result
decide(struct check *c, const struct spf_term *t, const struct modifiers *m)
{
	enum spf_result r = result_of(t->qualifier);

	if (c->includes)
		return r;
	spf_copy(c->out->term, sizeof c->out->term, t->text);
	if (r == SPF_FAIL)
		explain(c, m->exp);
	return r;
}

static enum spf_result
check_host(struct check *c, const char *domain)
{
	struct mr_str record;
	struct modifiers m;
	struct spf_term t;
	enum spf_result r;

	if (!spf_is_domain(domain))
		return SPF_NONE;
	c->domain = domain;
	r = find_record(c, domain, &record);
	if (r != SPF_PASS)
		return r;
	if (!read_record(c, record, &m))
		return SPF_PERMERROR;
	while (spf_next_term(&record, &t, c->out->why) > 0) {
		switch (match(c, &t)) {
		case YES:
			return decide(c, &t, &m);
		case TEMPORARY:
			return SPF_TEMPERROR;
		case PERMANENT:
			return SPF_PERMERROR;
		default:
			break;
		}
	}
	return m.redirect.len ? redirect(c, m.redirect) : SPF_NEUTRAL;
}

void
spf_check(const struct spf_query *q, const char *domain,
	struct spf_answer *out)
{
	struct check c = {.q = q, .out = out};

	*out->term = *out->why = *out->explanation = '\0';
	out->result = check_host(&c, domain);
	if (out->result != SPF_TEMPERROR && out->result != SPF_PERMERROR)
		*out->why = '\0';
}
