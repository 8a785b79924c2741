/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * arcseal - seals what goes on to others (RFC 8617): those who get it can see
 * what it passed here, though our forwarding breaks SPF.
 *
 * Stands at the end of the inbound chain, behind arc and all who give results
 * or change the message. It uses the keys of the dkim plugin.
 */
#include "../arc/letter.h"

#include "../dkim/elsewhere.h"
#include "../dkim/keys.h"

#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum when { WHEN_FORWARDED, WHEN_ALWAYS };

/* A parsed key; the list only grows. */
struct parsed {
	const struct key *from;
	EVP_PKEY *key;
	struct parsed *next;
};

struct config {
	const char *keys_path, *domain;
	int64_t when;
	/* made by open */
	struct keys *keys;
	char hostname[NAME_MOST + 1];
	pthread_mutex_t lock;
	struct parsed *first;	/* under the lock */
};

static const struct mr_setting settings[] = {
	{"domain", MR_TEXT, 0, offsetof(struct config, domain), "\"\"", 0,
		NAME_MOST, NULL, "In whose name it seals. None: the name of "
		"this server, or the nearest above it that has keys."},
	{"keys", MR_PATH, 0, offsetof(struct config, keys_path), NULL, 0, 0,
		NULL, "Folder of the keys that `mailroom dkim` makes. None: "
		"dkim in the data folder."},
	{"when", MR_CHOICE, 0, offsetof(struct config, when),
		"\"forwarded\"", 0, 0, "forwarded|always", "What is sealed: "
		"mail that goes to a recipient elsewhere; all mail."},
	MR_SETTINGS_END,
};

/* ------------------------------------------------------------------- keys */

static EVP_PKEY *
parse(struct config *c, const struct key *k)
{
	struct parsed *p;
	BIO *bio;

	pthread_mutex_lock(&c->lock);
	for (p = c->first; p && p->from != k; p = p->next)
		;
	if (!p && (p = calloc(1, sizeof *p))) {
		bio = BIO_new_mem_buf(k->pem, -1);
		p->from = k;
		p->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) :
			NULL;
		BIO_free(bio);
		p->next = c->first;
		c->first = p;
	}
	pthread_mutex_unlock(&c->lock);
	return p ? p->key : NULL;
}

/* All who check ARC know RSA, some nothing else. */
static bool
find_key(struct mr_call *call, struct plan *plan)
{
	static const char *const kinds[] = {"rsa", "ed25519"};
	struct config *c = call->config;
	const char *domain = *c->domain ? c->domain : c->hostname;
	const struct key *k = NULL;
	char why[200];
	size_t i;

	for (; domain && strchr(domain, '.'); domain = strchr(domain, '.')) {
		domain += *domain == '.';
		for (i = 0; !k && i < sizeof kinds / sizeof *kinds; i++) {
			k = keys_find(c->keys, domain, kinds[i], why);
			if (*why)
				mr_log(call, MR_LOG_ERROR, "key of %s: %s",
					domain, why);
		}
		if (k || *c->domain)
			break;
	}
	if (!k)
		return false;
	plan->domain = domain;
	plan->selector = k->selector;
	plan->key = parse(c, k);
	return plan->key != NULL;
}

/* ---------------------------------------------------------------- results */

/* "mail.example.org; spf=pass smtp.mailfrom=a@b; ..." */
static void
write_results(struct mr_call *call, struct text *out)
{
	struct mr_result r = {.size = sizeof r};
	size_t i;

	text_adds(out, mr_fact(call, MR_FACT_AUTHSERV_ID));
	for (i = 0; call->host->result(call, i, &r) == 0; i++) {
		text_adds(out, ";\r\n\t");
		text_adds(out, r.method);
		text_adds(out, "=");
		text_adds(out, r.value);
		if (r.reason) {
			text_adds(out, " (");
			text_adds(out, r.reason);
			text_adds(out, ")");
		}
		if (r.props) {
			text_adds(out, " ");
			text_adds(out, r.props);
		}
	}
	if (!i)
		text_adds(out, "; none");
}

/* What arc found. false: it did not look, or cannot tell now. */
static bool
find_chain(struct mr_call *call, const struct sets *s, enum chain *out)
{
	static const char *const values[] = {[CHAIN_NONE] = "none",
		[CHAIN_PASS] = "pass", [CHAIN_FAIL] = "fail"};
	struct mr_result r = {.size = sizeof r};
	size_t i, k;

	for (i = 0; call->host->result(call, i, &r) == 0; i++)
		for (k = 0; !strcmp(r.method, "arc") &&
			k < sizeof values / sizeof *values; k++)
			if (!strcmp(r.value, values[k])) {
				*out = (enum chain)k;
				return true;
			}
	*out = CHAIN_NONE;
	return !s->n && !s->wrong;
}

/* ------------------------------------------------------------------- seal */

/* A chain that a server before has called broken gets no more seals, nor one
 * that is as long as it may be. */
static bool
may_grow(const struct sets *s)
{
	return s->n < SETS_MOST && !(s->n && tags_is(tags_get(
		&s->set[s->n - 1].seal, "cv"), "fail"));
}

/* From below: the seal comes to stand on top. */
static bool
add_fields(struct mr_call *call, char *value[PARTS])
{
	bool good = true;
	int i;

	for (i = 0; i < PARTS; i++) {
		good = good && call->host->header_insert(call, 1,
			part_names[i], value[i]) == 0;
		free(value[i]);
	}
	return good;
}

static bool
seal(struct mr_call *call, const struct letter *l, const struct sets *s,
	struct plan *plan)
{
	struct text results = {.at = NULL};
	char *value[PARTS];
	bool good;

	write_results(call, &results);
	plan->results = results.at;
	plan->now = time(NULL);
	good = !results.failed && seal_make(l, s, plan, value) &&
		add_fields(call, value);
	text_free(&results);
	return good;
}

/* Unsealed mail is mail all the same: nothing is kept back for it. */
static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	struct resolver resolver;
	struct letter letter;
	struct plan plan;
	struct sets sets;

	if (*mr_fact(call, MR_FACT_AUTH_LOGIN) ||
		(c->when == WHEN_FORWARDED && !goes_elsewhere(call)))
		return MR_PASS;
	if (!find_key(call, &plan)) {
		mr_log(call, MR_LOG_WARN, "no key to seal with: mailroom dkim "
			"new %s", *c->domain ? c->domain : c->hostname);
		return MR_PASS;
	}
	if (!letter_open(call, &letter, &resolver))
		return MR_PASS;
	sets_read(&letter, &sets);
	if (may_grow(&sets) && find_chain(call, &sets, &plan.chain) &&
		!seal(call, &letter, &sets, &plan)) {
		call->host->edits_undo(call);
		mr_log(call, MR_LOG_ERROR, "it cannot be sealed");
	}
	sets_free(&sets);
	letter_close(&letter);
	return MR_PASS;
}

/* ------------------------------------------------------------------- life */

static void
on_close(void *self)
{
	struct config *c = self;
	struct parsed *p, *next;

	for (p = c->first; p; p = next) {
		next = p->next;
		EVP_PKEY_free(p->key);
		free(p);
	}
	keys_free(c->keys);
	pthread_mutex_destroy(&c->lock);
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;
	char folder[4096];

	if (!MR_HAS(open->host, rcpt_account)) {
		snprintf(open->error, open->error_size,
			"this server does not say where mail goes");
		return -1;
	}
	pthread_mutex_init(&c->lock, NULL);
	snprintf(c->hostname, sizeof c->hostname, "%s", open->hostname);
	snprintf(folder, sizeof folder, "%s/dkim", open->data);
	c->keys = keys_new(*c->keys_path ? c->keys_path : folder);
	if (c->keys)
		return 0;
	snprintf(open->error, open->error_size, "no memory");
	return -1;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS | MR_MAY_SIGN, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "arcseal", .version = "1.0",
	.summary = "seals mail that is forwarded",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .filter = &filter,
};
