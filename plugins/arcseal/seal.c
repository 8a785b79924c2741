/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * seal.c - the next set of a chain (RFC 8617 5.1): what was found of the
 * message, a signature over it as it leaves, and a seal over all sets.
 */
#include "../arc/arc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 72

/* Signed as often as they are there. Fields that servers on the way add or
 * change are not among them. */
static const char *const covered[] = {"From", "Reply-To", "Subject", "Date",
	"To", "Cc", "Message-ID", "In-Reply-To", "References", "MIME-Version",
	"Content-Type", "Content-Transfer-Encoding", "List-Id",
	"List-Unsubscribe", "List-Unsubscribe-Post", "DKIM-Signature"};

static const char *
algorithm_of(EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? "rsa-sha256" :
		"ed25519-sha256";
}

/* "from:from:to" */
static void
add_names(struct text *out, const struct letter *l)
{
	size_t i, k, n = 0;

	for (i = 0; i < sizeof covered / sizeof *covered; i++)
		for (k = 0; k < l->n && n < 100; k++)
			if (tags_is(l->field[k].name, covered[i])) {
				text_adds(out, n++ ? ":" : "");
				if (n % 6 == 5)
					text_adds(out, "\r\n\t ");
				text_adds(out, covered[i]);
			}
}

static void
add_folded(struct text *out, const char *base64)
{
	size_t n = strlen(base64), i;

	for (i = 0; i < n; i += LINE) {
		text_adds(out, "\r\n\t");
		text_add(out, base64 + i, n - i < LINE ? n - i : LINE);
	}
}

/* Signs what stands before, and the field itself, whose b= is empty. */
static bool
sign_field(struct text *bytes, enum part part, struct text *value,
	EVP_PKEY *key)
{
	struct mr_header h = {.name = {part_names[part],
		strlen(part_names[part])}, .value = {value->at, value->len}};
	struct tags none = {.n = 0};
	char *signature;

	canon_signature(bytes, &h, &none, true);
	signature = bytes->failed || value->failed ? NULL :
		key_sign(key, bytes);
	if (!signature)
		return false;
	add_folded(value, signature);
	free(signature);
	return !value->failed;
}

static bool
make_message(const struct letter *l, const struct plan *p, unsigned instance,
	struct text *out)
{
	struct text names = {.at = NULL}, bytes = {.at = NULL};
	unsigned char hash[HASH], base64[HASH * 2];
	uint64_t length;
	char head[1024];
	bool good;

	if (canon_body(l, true, UINT64_MAX, hash, &length) < 0)
		return false;
	EVP_EncodeBlock(base64, hash, HASH);
	add_names(&names, l);
	snprintf(head, sizeof head, "i=%u; a=%s; c=relaxed/relaxed; d=%s;\r\n"
		"\ts=%s; t=%lld; bh=%s;\r\n\th=", instance,
		algorithm_of(p->key), p->domain, p->selector,
		(long long)p->now, base64);
	text_adds(out, head);
	text_adds(out, names.at ? names.at : "From");
	text_adds(out, ";\r\n\tb=");
	good = canon_fields(&bytes, l, (struct mr_str){names.at ? names.at :
		"From", names.at ? names.len : 4}, true) &&
		sign_field(&bytes, PART_MESSAGE, out, p->key);
	text_free(&names);
	text_free(&bytes);
	return good;
}

static void
add_own(struct text *bytes, enum part part, const struct text *value)
{
	canon_field(bytes, (struct mr_str){part_names[part],
		strlen(part_names[part])}, (struct mr_str){value->at,
		value->len}, true);
}

/* Over all sets; over ours alone where the chain before is broken (5.1.2). */
static bool
make_seal(const struct sets *s, const struct plan *p, unsigned instance,
	const struct text before[PARTS], struct text *out)
{
	static const char *const cv[] = {[CHAIN_NONE] = "none",
		[CHAIN_PASS] = "pass", [CHAIN_FAIL] = "fail"};
	struct text bytes = {.at = NULL};
	unsigned i;
	char head[1024];
	bool good;
	int part;

	for (i = 0; p->chain == CHAIN_PASS && i < s->n; i++)
		for (part = 0; part < PARTS; part++)
			canon_field(&bytes, s->set[i].field[part]->name,
				s->set[i].field[part]->value, true);
	add_own(&bytes, PART_RESULTS, &before[PART_RESULTS]);
	add_own(&bytes, PART_MESSAGE, &before[PART_MESSAGE]);
	snprintf(head, sizeof head, "i=%u; a=%s; t=%lld; cv=%s; d=%s;\r\n"
		"\ts=%s; b=", instance, algorithm_of(p->key),
		(long long)p->now, cv[p->chain], p->domain, p->selector);
	text_adds(out, head);
	good = sign_field(&bytes, PART_SEAL, out, p->key);
	text_free(&bytes);
	return good;
}

bool
seal_make(const struct letter *l, const struct sets *s, const struct plan *p,
	char *out[PARTS])
{
	struct text part[PARTS] = {{.at = NULL}};
	unsigned instance = s->n + 1;
	char head[32];
	bool good;
	int i;

	snprintf(head, sizeof head, "i=%u; ", instance);
	text_adds(&part[PART_RESULTS], head);
	text_adds(&part[PART_RESULTS], p->results);
	good = !part[PART_RESULTS].failed && make_message(l, p, instance,
		&part[PART_MESSAGE]) && make_seal(s, p, instance, part,
		&part[PART_SEAL]);
	for (i = 0; i < PARTS; i++) {
		out[i] = good ? part[i].at : NULL;
		if (!good)
			text_free(&part[i]);
	}
	return good;
}
