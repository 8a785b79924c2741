/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * sign.c - two signatures on mail of our domains: rsa-sha256, which all can
 * check, and ed25519-sha256 (RFC 8463).
 *
 * The domain is that of the From field, so that DMARC finds it aligned. Mail
 * of others, such as what is forwarded, is signed only if the admin wants it. Fields that a client
 * shows are signed once more often than they are there: one that is added on
 * the way breaks the signature.
 */
#include "dkim.h"

#include "elsewhere.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *kind;
	dkim_alg_t algorithm;
} kinds[] = {
	{"rsa", DKIM_SIGN_RSASHA256}, {"ed25519", DKIM_SIGN_ED25519SHA256},
};

/* The domain of the only author; false: there is none, or several. */
static bool
author_domain(struct mr_call *call, char out[NAME_MOST + 1])
{
	unsigned char *user = NULL, *domain = NULL;
	struct mr_header h, from = {0};
	char value[2048];
	size_t i, n = 0;

	for (i = 0; call->host->header(call, i, &h) == 0; i++)
		if (feed_is_name(h.name, "From")) {
			from = h;
			n++;
		}
	if (n != 1 || from.value.len >= sizeof value)
		return false;
	memcpy(value, from.value.at, from.value.len);
	value[from.value.len] = '\0';
	if (dkim_mail_parse((unsigned char *)value, &user, &domain) != 0 ||
		!domain || !*domain || strlen((char *)domain) > NAME_MOST)
		return false;
	for (i = 0; domain[i]; i++)
		out[i] = (char)(domain[i] >= 'A' && domain[i] <= 'Z' ?
			domain[i] | 0x20 : domain[i]);
	out[i] = '\0';
	return true;
}

static bool
is_allowed(const struct config *c, const char *domain)
{
	size_t i;

	for (i = 0; i < c->domains.n; i++)
		if (!strcasecmp(c->domains.item[i], domain))
			return true;
	return c->domains.n == 0;
}

/* *broken: there is one, and it cannot be used. */
static const struct key *
find_key(struct mr_call *call, const char *domain, const char *kind,
	bool *broken)
{
	const struct config *c = call->config;
	const struct key *key;
	char why[200];

	if (!is_allowed(c, domain))
		return NULL;
	key = keys_find(c->keys, domain, kind, why);
	if (*why)
		mr_log(call, MR_LOG_ERROR, "key of %s: %s", domain, why);
	*broken |= *why != '\0';
	return key;
}

/* The domain itself, or the nearest above it that has a key. */
static const char *
signing_domain(struct mr_call *call, const char *domain, bool *broken)
{
	const struct config *c = call->config;
	size_t i;

	for (; domain && strchr(domain, '.'); domain = strchr(domain, '.')) {
		domain += *domain == '.';
		for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (find_key(call, domain, kinds[i].kind, broken))
				return domain;
		if (!c->sign_parents)
			return NULL;
	}
	return NULL;
}

/* The field's value: what the library writes has bare LF in its folds. */
static bool
make_signature(struct mr_call *call, DKIM *dkim, char **out)
{
	unsigned char *value;
	DKIM_STAT st = feed(dkim, call, false, NULL, NULL);
	size_t len;

	if (st == DKIM_STAT_OK)
		st = dkim_eom(dkim, NULL);
	if (st == DKIM_STAT_OK)
		st = dkim_getsighdr_d(dkim, strlen("DKIM-Signature: "),
			&value, &len);
	if (st != DKIM_STAT_OK) {
		mr_log(call, MR_LOG_ERROR, "signing: %s%s%s",
			dkim_getresultstr(st), dkim_geterror(dkim) ? ": " :
			"", dkim_geterror(dkim) ? dkim_geterror(dkim) : "");
		return false;
	}
	*out = strndup((char *)value, len);
	return *out != NULL;
}

static bool
sign_with(struct mr_call *call, const char *domain, const struct key *key,
	dkim_alg_t algorithm, char **out)
{
	const struct config *c = call->config;
	DKIM_STAT st;
	bool good;
	DKIM *dkim = dkim_sign(c->lib, (const unsigned char *)
		mr_fact(call, MR_FACT_QUEUE_ID), NULL, key->pem,
		(const unsigned char *)key->selector,
		(const unsigned char *)domain, DKIM_CANON_RELAXED,
		DKIM_CANON_RELAXED, algorithm, -1, &st);

	if (!dkim) {
		mr_log(call, MR_LOG_ERROR, "signing as %s: %s", domain,
			dkim_getresultstr(st));
		return false;
	}
	good = make_signature(call, dkim, out);
	dkim_free(dkim);
	return good;
}

/* Both are made before one is added: neither covers the other. */
static bool
sign_as(struct mr_call *call, const char *domain)
{
	char *value[2] = {NULL, NULL};
	const struct key *key;
	bool good = true, broken = false;
	size_t i;

	for (i = 0; i < 2 && good; i++) {
		key = find_key(call, domain, kinds[i].kind, &broken);
		if (broken)
			good = false;
		else if (key)
			good = sign_with(call, domain, key,
				kinds[i].algorithm, &value[i]);
	}
	for (i = 0; i < 2; i++) {
		if (value[i] && good)
			good = call->host->header_insert(call, 0,
				"DKIM-Signature", value[i]) == 0;
		free(value[i]);
	}
	return good;
}

/* Unsigned, it might be refused elsewhere for good. */
static enum mr_verdict
try_later(struct mr_call *call)
{
	mr_say(call, 451, "4.7.0", "The message cannot be signed now");
	return MR_TEMPFAIL;
}

enum mr_verdict
sign(struct mr_call *call)
{
	char author[NAME_MOST + 1];
	const char *domain;
	bool broken = false;

	if (!author_domain(call, author))
		return MR_PASS;
	domain = signing_domain(call, author, &broken);
	if (!domain && !broken)
		return MR_PASS;
	if (!broken && sign_as(call, domain))
		return MR_PASS;
	return try_later(call);
}

enum mr_verdict
sign_forwarded(struct mr_call *call)
{
	const struct config *c = call->config;
	bool broken = false;
	size_t i, n = 0;

	if (!MR_HAS(call->host, rcpt_account) || !goes_elsewhere(call))
		return MR_PASS;
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		n += find_key(call, c->third_party, kinds[i].kind, &broken) !=
			NULL;
	if (n && !broken && sign_as(call, c->third_party))
		return MR_PASS;
	if (!n && !broken)
		mr_log(call, MR_LOG_ERROR, "no key of %s: mailroom dkim new %s",
			c->third_party, c->third_party);
	return try_later(call);
}
