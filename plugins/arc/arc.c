/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * arc - was a forwarded message whole when it came to those who forwarded it?
 * (RFC 8617)
 *
 * Its result says whether the chain of seals is whole. Anyone can make a whole
 * chain, so alone that means nothing: only where all who have sealed are
 * trusted by the admin the first one's finding of DMARC is passed on to dmarc,
 * which then does not follow a policy.
 */
#include "letter.h"

#include "../dmarc/comment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct config {
	struct mr_list trusted;
	struct key_cache *keys;	/* made by open */
};

static const struct mr_setting settings[] = {
	{"trusted", MR_LIST, 0, offsetof(struct config, trusted), "[]", 0, 0,
		NULL, "Domains of lists and forwarders whose seals are "
		"believed: mail that passed DMARC when it came to them is not "
		"refused for what they changed."},
	MR_SETTINGS_END,
};

/* ---------------------------------------------------------------- sealers */

static bool
is_trusted(const struct config *c, struct mr_str domain)
{
	size_t i, n;

	for (i = 0; i < c->trusted.n; i++) {
		const char *name = c->trusted.item[i];

		n = strlen(name);
		if (n > domain.len || strncasecmp(domain.at + domain.len - n,
			name, n))
			continue;
		if (n == domain.len || domain.at[domain.len - n - 1] == '.')
			return true;
	}
	return false;
}

static bool
are_trusted(const struct config *c, const struct sets *s)
{
	unsigned i;

	for (i = 0; i < s->n; i++)
		if (!is_trusted(c, tags_get(&s->set[i].seal, "d")) ||
			!is_trusted(c, tags_get(&s->set[i].message, "d")))
			return false;
	return s->n > 0;
}

/* One result, comments already left out: "dmarc = pass header.from=x". */
static bool
is_dmarc_pass(const char *text)
{
	text += strspn(text, " \t\r\n");
	if (strncasecmp(text, "dmarc", 5))
		return false;
	text += 5 + strspn(text + 5, " \t\r\n");
	if (*text++ != '=')
		return false;
	text += strspn(text, " \t\r\n");
	return !strncasecmp(text, "pass", 4) && strchr(" \t\r\n", text[4]);
}

/* In the value of an ARC-Authentication-Results field. */
static bool
has_dmarc_pass(struct mr_str v)
{
	char one[64];
	size_t i = 0, n = 0;
	bool found = false;

	while (i < v.len && !found) {
		char c = v.at[i];

		if (c == '(' || c == '"') {
			i = comment_pass(v, i);
			c = ' ';
		} else {
			i++;
		}
		if (c != ';' && n + 1 < sizeof one)
			one[n++] = c;
		if (c != ';' && i < v.len)
			continue;
		one[n] = '\0';
		n = 0;
		found = is_dmarc_pass(one);
	}
	return found;
}

/* ----------------------------------------------------------------- result */

static const char *
value_of(enum chain chain)
{
	static const char *const values[] = {[CHAIN_NONE] = "none",
		[CHAIN_PASS] = "pass", [CHAIN_FAIL] = "fail",
		[CHAIN_TEMP] = "temperror"};

	return values[chain];
}

static void
note(struct mr_call *call, const struct sets *s, const struct finding *f)
{
	const char *address = mr_fact(call, MR_FACT_PEER_ADDRESS);
	char reason[160] = "", props[300] = "";
	struct mr_result r = {.size = sizeof r, .method = "arc",
		.value = value_of(f->chain)};
	bool believed = f->chain == CHAIN_PASS && are_trusted(call->config,
		s) && has_dmarc_pass(s->set[0].field[PART_RESULTS]->value);

	if (f->why && f->instance)
		snprintf(reason, sizeof reason, "i=%u: %s", f->instance,
			f->why);
	else if (f->why)
		snprintf(reason, sizeof reason, "%s", f->why);
	if (f->chain == CHAIN_PASS)
		snprintf(props, sizeof props, "header.oldest-pass=%u%s",
			f->oldest_pass, believed ? " policy.dmarc=pass" : "");
	if (*address && f->chain != CHAIN_NONE)
		snprintf(props + strlen(props), sizeof props - strlen(props),
			strchr(address, ':') ? "%ssmtp.remote-ip=\"%s\"" :
			"%ssmtp.remote-ip=%s", *props ? " " : "", address);
	r.reason = *reason ? reason : NULL;
	r.props = *props ? props : NULL;
	call->host->result_add(call, &r);
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	struct resolver resolver;
	struct letter letter;
	struct finding found;
	struct sets sets;

	if (*mr_fact(call, MR_FACT_AUTH_LOGIN))
		return MR_PASS;
	if (!letter_open(call, &letter, &resolver))
		return MR_TEMPFAIL;
	resolver.keys = c->keys;
	sets_read(&letter, &sets);
	check_chain(&letter, &sets, &resolver, &found);
	note(call, &sets, &found);
	sets_free(&sets);
	letter_close(&letter);
	return MR_PASS;
}

static int
on_open(void *config, struct mr_open *open)
{
	struct config *c = config;

	c->keys = key_cache_new();
	if (c->keys)
		return 0;
	snprintf(open->error, open->error_size, "no memory");
	return -1;
}

static void
on_close(void *config)
{
	struct config *c = config;

	key_cache_free(c->keys);
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_RESULTS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "arc", .version = "1.0",
	.summary = "checks the seals of those who forwarded a message",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .filter = &filter,
};
