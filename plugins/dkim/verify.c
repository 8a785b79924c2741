/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * verify.c - the signatures of a message that came in (RFC 6376 6, 8301,
 * 8463), by libopendkim.
 *
 * The library is kept from what would harm it or us: it gets no signature
 * whose i= it cannot decode safely, a bounded number of them, and never asks
 * DNS itself. rsa-sha1 and signatures that leave out the end of the body
 * (l=) pass in the library, not here.
 */
#include "dkim.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TROUBLES 64

struct finding {
	const char *value, *reason;
};

/* One message while it is verified. */
struct work {
	struct mr_call *call;
	unsigned n_fed, n_from, n_dropped, n_unsafe;
	/* Signatures whose key we know more of than the library. */
	struct trouble {
		const DKIM_SIGINFO *sig;
		struct finding finding;
	} trouble[TROUBLES];
	unsigned n_trouble;
};

/* ------------------------------------------------------------------- keys */

/* To the library there is no key: its other answers for what cannot be had
 * would end the work on all signatures. */
static DKIM_CBSTAT
no_key(struct work *w, const DKIM_SIGINFO *sig, const char *value,
	const char *reason)
{
	if (w->n_trouble < TROUBLES)
		w->trouble[w->n_trouble++] = (struct trouble){sig,
			{value, reason}};
	return DKIM_CBSTAT_NOTFOUND;
}

static DKIM_CBSTAT
look_up(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t size)
{
	struct work *w = dkim_get_user_context(dkim);
	struct mr_dns_answer got = {.size = sizeof got};
	char name[512];

	snprintf(name, sizeof name, "%s._domainkey.%s",
		(char *)dkim_sig_getselector(sig),
		(char *)dkim_sig_getdomain(sig));
	if (strlen(name) > NAME_MOST)
		return DKIM_CBSTAT_NOTFOUND;
	w->call->host->dns(w->call, name, MR_DNS_TXT, &got);
	if (got.status == MR_DNS_TEMPFAIL || got.status == MR_DNS_BOGUS)
		return no_key(w, sig, "temperror", "DNS does not answer");
	if (got.status != MR_DNS_OK || !got.n)
		return DKIM_CBSTAT_NOTFOUND;
	if (got.n > 1)
		return no_key(w, sig, "permerror", "more than one key");
	if (got.record[0].data.len >= size)
		return no_key(w, sig, "permerror", "key record is too long");
	memcpy(buf, got.record[0].data.at, got.record[0].data.len);
	buf[got.record[0].data.len] = '\0';
	dkim_sig_setdnssec(sig, got.secure ? DKIM_DNSSEC_SECURE :
		DKIM_DNSSEC_INSECURE);
	return DKIM_CBSTAT_CONTINUE;
}

/* A tag as it was written: what the library made of a signature that it did
 * not read to its end is zero, and zero is rsa-sha1. */
static const char *
tag(DKIM_SIGINFO *sig, const char *name)
{
	unsigned char *value = dkim_sig_gettagvalue(sig, false,
		(unsigned char *)name);

	return value ? (const char *)value : "";
}

static bool
is_sha1(DKIM_SIGINFO *sig)
{
	return !strcasecmp(tag(sig, "a"), "rsa-sha1");
}

/* RFC 8301 3.1: rsa-sha1 is not verified. */
static DKIM_CBSTAT
prescreen(DKIM *dkim, DKIM_SIGINFO **sigs, int n)
{
	int i;

	(void)dkim;
	for (i = 0; i < n; i++)
		if (is_sha1(sigs[i]))
			dkim_sig_ignore(sigs[i]);
	return DKIM_CBSTAT_CONTINUE;
}

void
verify_set_up(DKIM_LIB *lib)
{
	dkim_set_key_lookup(lib, look_up);
	dkim_set_prescreen(lib, prescreen);
}

/* ---------------------------------------------------------------- feeding */

/* The library decodes quoted-printable in i= without looking for its end. */
static bool
is_safe(struct mr_str value)
{
	size_t i, n;
	bool in_i = false, at_tag = true;

	for (i = 0; i < value.len; i++) {
		char c = value.at[i];

		if (c == ';') {
			at_tag = true;
			in_i = false;
		} else if (at_tag && !isspace((unsigned char)c)) {
			at_tag = false;
			for (n = i + 1; n < value.len &&
				isspace((unsigned char)value.at[n]); n++)
				;
			in_i = (c == 'i' || c == 'I') && n < value.len &&
				value.at[n] == '=';
			if (in_i)
				i = n;
		} else if (in_i && c == '=' && (i + 2 >= value.len ||
			!isxdigit((unsigned char)value.at[i + 1]) ||
			!isxdigit((unsigned char)value.at[i + 2]))) {
			return false;
		}
	}
	return true;
}

static bool
skip(void *arg, const struct mr_header *h)
{
	struct work *w = arg;
	const struct config *c = w->call->config;

	if (feed_is_name(h->name, "From"))
		w->n_from++;
	if (!feed_is_name(h->name, "DKIM-Signature"))
		return false;
	if (!is_safe(h->value)) {
		w->n_unsafe++;
		return true;
	}
	if (w->n_fed < (unsigned)c->signatures_most) {
		w->n_fed++;
		return false;
	}
	w->n_dropped++;
	return true;
}

/* --------------------------------------------------------------- results */

static const struct finding *
find_trouble(const struct work *w, const DKIM_SIGINFO *sig)
{
	unsigned i;

	for (i = 0; i < w->n_trouble; i++)
		if (w->trouble[i].sig == sig)
			return &w->trouble[i].finding;
	return NULL;
}

/* l= with more behind it. A body too long to be counted has more. */
static bool
leaves_out(const struct work *w, DKIM *dkim, DKIM_SIGINFO *sig)
{
	ssize_t bytes, hashed, said;
	dkim_canon_t header, body;

	if (dkim_sig_getcanonlen(dkim, sig, &bytes, &hashed, &said) !=
		DKIM_STAT_OK || said < 0)
		return false;
	return dkim_sig_getcanons(sig, &header, &body) != DKIM_STAT_OK ||
		feed_canonical_length(w->call, body == DKIM_CANON_RELAXED) !=
		said;
}

/* What an error of the library means in the words of RFC 8601 2.7.1. */
static struct finding
judge_error(int error)
{
	switch (error) {
	case DKIM_SIGERROR_BADSIG:
		return (struct finding){"fail", "signature mismatch"};
	case DKIM_SIGERROR_EXPIRED:
		return (struct finding){"fail", "signature expired"};
	case DKIM_SIGERROR_FUTURE:
		return (struct finding){"fail", "signature is of the future"};
	case DKIM_SIGERROR_KEYTOOSMALL:
		return (struct finding){"policy", "key is too small"};
	case DKIM_SIGERROR_NOKEY:
		return (struct finding){"permerror", "no key in DNS"};
	case DKIM_SIGERROR_KEYREVOKED:
		return (struct finding){"permerror", "key is revoked"};
	case DKIM_SIGERROR_KEYFAIL:
		return (struct finding){"temperror", "DNS does not answer"};
	default:
		return (struct finding){"permerror",
			dkim_sig_geterrorstr(error)};
	}
}

static struct finding
judge(const struct work *w, DKIM *dkim, DKIM_SIGINFO *sig)
{
	const struct finding *trouble = find_trouble(w, sig);
	unsigned flags = dkim_sig_getflags(sig);

	if (trouble)
		return *trouble;
	if (is_sha1(sig))
		return (struct finding){"policy", "rsa-sha1 counts no more"};
	if (dkim_sig_getbh(sig) == DKIM_SIGBH_MISMATCH)
		return (struct finding){"fail", "body hash mismatch"};
	if (!(flags & DKIM_SIGFLAG_PASSED) || dkim_sig_getbh(sig) !=
		DKIM_SIGBH_MATCH)
		return judge_error(dkim_sig_geterror(sig));
	if (leaves_out(w, dkim, sig))
		return (struct finding){"policy",
			"l= leaves out the end of the body"};
	if (w->n_from > 1)
		return (struct finding){"policy", "more than one From"};
	return (struct finding){"pass", flags & DKIM_SIGFLAG_TESTKEY ?
		"key in test mode" : NULL};
}

static void
add(struct mr_call *call, struct finding f, const char *props)
{
	struct mr_result r = {.size = sizeof r, .method = "dkim",
		.value = f.value, .reason = f.reason, .props = props};

	call->host->result_add(call, &r);
}

/* header.b tells signatures of one domain apart (RFC 6008). */
static void
add_signature(const struct work *w, DKIM *dkim, DKIM_SIGINFO *sig)
{
	const char *b = tag(sig, "b");
	char props[800], start[9] = "";
	size_t n = 0;

	for (; *b && n < 8; b++)
		if (isalnum((unsigned char)*b) || strchr("+/=", *b))
			start[n++] = *b;
	snprintf(props, sizeof props, "header.d=%.253s header.s=%.128s "
		"header.a=%.40s header.b=%s", tag(sig, "d"), tag(sig, "s"),
		tag(sig, "a"), start);
	add(w->call, judge(w, dkim, sig), props);
}

static void
add_all(const struct work *w, DKIM *dkim)
{
	DKIM_SIGINFO **sig = NULL;
	unsigned i;
	int n = 0, at;

	if (dkim_getsiglist(dkim, &sig, &n) != DKIM_STAT_OK)
		n = 0;
	for (at = 0; at < n; at++)
		add_signature(w, dkim, sig[at]);
	for (; at < (int)w->n_fed; at++)
		add(w->call, (struct finding){"permerror",
			"signature is malformed"}, NULL);
	for (i = 0; i < w->n_unsafe; i++)
		add(w->call, (struct finding){"permerror",
			"i= is badly encoded"}, NULL);
	if (w->n_dropped)
		add(w->call, (struct finding){"policy",
			"too many signatures: the rest was not looked at"},
			NULL);
	if (!w->n_fed && !w->n_unsafe)
		add(w->call, (struct finding){"none", NULL}, NULL);
}

static enum mr_verdict
verify_with(struct work *w, DKIM *dkim)
{
	DKIM_STAT st;

	dkim_set_user_context(dkim, w);
	st = feed(dkim, w->call, true, skip, w);
	if (st == DKIM_STAT_NORESOURCE) {
		mr_say(w->call, 451, "4.3.0", "The message cannot be read");
		return MR_TEMPFAIL;
	}
	if (st == DKIM_STAT_OK)
		dkim_eom(dkim, NULL);	/* each signature says how it went */
	else if (st != DKIM_STAT_NOSIG)
		mr_log(w->call, MR_LOG_INFO, "verifying: %s",
			dkim_getresultstr(st));
	add_all(w, dkim);
	return MR_PASS;
}

enum mr_verdict
verify(struct mr_call *call)
{
	const struct config *c = call->config;
	struct work w = {.call = call};
	enum mr_verdict v;
	DKIM_STAT st;
	DKIM *dkim = dkim_verify(c->lib, (const unsigned char *)
		mr_fact(call, MR_FACT_QUEUE_ID), NULL, &st);

	if (!dkim) {
		mr_log(call, MR_LOG_ERROR, "libopendkim: %s",
			dkim_getresultstr(st));
		mr_say(call, 451, "4.3.0", "Signatures cannot be checked now");
		return MR_TEMPFAIL;
	}
	v = verify_with(&w, dkim);
	dkim_free(dkim);
	return v;
}
