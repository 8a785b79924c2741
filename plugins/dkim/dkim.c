/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dkim - verifies signatures of mail that comes in, signs mail of our domains
 * (RFC 6376, 8301, 8463).
 *
 * What it does follows from the chain: it signs in `submission` and `local`,
 * and verifies elsewhere, or, with `third_party`, signs what is forwarded. The library behind it, libopendkim, ends the process
 * when it meets what it does not expect; it therefore asks for a process of
 * its own.
 */
#include "dkim.h"

#include <stdlib.h>
#include <string.h>

static const struct mr_setting settings[] = {
	{"keys", MR_PATH, 0, offsetof(struct config, keys_path), NULL, 0, 0,
		NULL, "Folder of the keys that `mailroom dkim` makes: "
		"DOMAIN/SELECTOR.pem. None: dkim in the data folder."},
	{"domains", MR_LIST, 0, offsetof(struct config, domains), "[]", 0, 0,
		NULL, "Sign for these domains only. None: for all that have "
		"keys."},
	{"sign_parents", MR_BOOL, 0, offsetof(struct config, sign_parents),
		"true", 0, 0, NULL, "Sign mail of news.example.org with the "
		"keys of example.org if it has none itself."},
	{"third_party", MR_TEXT, 0, offsetof(struct config, third_party),
		"\"\"", 0, NAME_MOST, NULL, "A domain of ours: in the inbound "
		"chain, sign with its keys what is forwarded to others, whoever "
		"its author is, and verify nothing. For a second [plugin.NAME] "
		"with module = \"dkim\" at the end of that chain."},
	{"signatures_most", MR_INT, 0, offsetof(struct config,
		signatures_most), "8", 1, 50, NULL, "Signatures of a message "
		"that are verified, the first ones."},
	{"least_bits", MR_INT, 0, offsetof(struct config, least_bits), "1024",
		512, 4096, NULL, "RSA keys with fewer bits do not pass."},
	MR_SETTINGS_END,
};

/* Once more than they are there. */
static const unsigned char *const oversigned[] = {
	(const unsigned char *)"From", (const unsigned char *)"To",
	(const unsigned char *)"Cc", (const unsigned char *)"Subject",
	(const unsigned char *)"Date", (const unsigned char *)"Reply-To",
	(const unsigned char *)"Message-ID", (const unsigned char *)
	"Content-Type", NULL,
};

static const unsigned char *const covered[] = {
	(const unsigned char *)"From", (const unsigned char *)"To",
	(const unsigned char *)"Cc", (const unsigned char *)"Subject",
	(const unsigned char *)"Date", (const unsigned char *)"Reply-To",
	(const unsigned char *)"Message-ID", (const unsigned char *)
	"Content-Type", (const unsigned char *)"Content-Transfer-Encoding",
	(const unsigned char *)"MIME-Version", (const unsigned char *)"Sender",
	(const unsigned char *)"In-Reply-To", (const unsigned char *)
	"References", (const unsigned char *)"List-Unsubscribe",
	(const unsigned char *)"List-Unsubscribe-Post", NULL,
};

static enum mr_verdict
on_message(struct mr_call *call)
{
	const struct config *c = call->config;
	const char *chain = mr_fact(call, MR_FACT_CHAIN);

	if (!strcmp(chain, "submission") || !strcmp(chain, "local"))
		return sign(call);
	return *c->third_party ? sign_forwarded(call) : verify(call);
}

static bool
set_up_library(struct config *c)
{
	unsigned bits = (unsigned)c->least_bits;

	c->lib = dkim_init(NULL, NULL);
	if (!c->lib)
		return false;
	verify_set_up(c->lib);
	return dkim_options(c->lib, DKIM_OP_SETOPT, DKIM_OPTS_MINKEYBITS,
			&bits, sizeof bits) == DKIM_STAT_OK &&
		dkim_options(c->lib, DKIM_OP_SETOPT, DKIM_OPTS_SIGNHDRS,
			(void *)covered, sizeof(char **)) == DKIM_STAT_OK &&
		dkim_options(c->lib, DKIM_OP_SETOPT, DKIM_OPTS_OVERSIGNHDRS,
			(void *)oversigned, sizeof(char **)) == DKIM_STAT_OK;
}

static void
on_close(void *self)
{
	struct config *c = self;

	keys_free(c->keys);
	if (c->lib)
		dkim_close(c->lib);
	c->keys = NULL;
	c->lib = NULL;
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;
	size_t size = strlen(open->data) + sizeof "/dkim";
	char *folder = malloc(size);

	if (!folder)
		return -1;
	snprintf(folder, size, "%s/dkim", open->data);
	c->keys = keys_new(*c->keys_path ? c->keys_path : folder);
	free(folder);
	if (c->keys && set_up_library(c))
		return 0;
	snprintf(open->error, open->error_size,
		"libopendkim does not start");
	on_close(c);
	return -1;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS | MR_MAY_RESULTS | MR_MAY_SIGN,
	.wants = MR_WANT_PROCESS | MR_WANT_FRESH, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "dkim", .version = "1.0",
	.summary = "verifies and makes DKIM signatures",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .filter = &filter,
};
