/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * junk - files what looks like junk in Junk, and says why.
 *
 * Points for what the filters before it found (SPF, DKIM, DMARC, block lists)
 * and for how much the words are like those of mail that this account moved to
 * Junk. It refuses nothing. What an account leaves in its inbox counts as good
 * until it is moved to Junk, which takes that back; so an account has to teach
 * no more than what is wrong.
 */
#include <mailroom/plugin.h>

#include "junk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define JUNK_LEAST 5		/* messages, before words count */
#define GOOD_LEAST 5
#define GOOD_ENOUGH 500		/* then only unclear mail is learned unasked */
#define CLEARLY_GOOD 0.2
#define WORDS_WEIGH 60		/* tenths of points, at most */
#define REASONS 400

struct config {
	int64_t threshold, most_words, body;
	bool learn_good;
	struct memory *memory;
	bool only_looks;	/* mailroom explain */
};

static const struct mr_setting settings[] = {
	{"threshold", MR_INT, 0, offsetof(struct config, threshold), "5", 1,
		100, NULL, "From how many points on mail is filed in Junk. "
		"Words alone give up to 6, and take away as many."},
	{"learn_good", MR_BOOL, 0, offsetof(struct config, learn_good), "true",
		0, 0, NULL, "Mail that is not filed in Junk counts as good "
		"until it is moved there."},
	{"body", MR_SIZE, 0, offsetof(struct config, body), "\"256 KiB\"",
		4096, 1 << 20, NULL, "How much of a message is read."},
	{"words", MR_INT, 0, offsetof(struct config, most_words), "400000",
		10000, 100000000, NULL, "How many words are remembered, of all "
		"accounts; old and rare ones are forgotten first. A million "
		"take about 40 MB of disk."},
	MR_SETTINGS_END,
};

/* ----------------------------------------------------------- the message */

/* What is read of a message. */
struct letter {
	struct words words;
	uint64_t number;	/* knows it again, wherever it is filed */
	bool is_junk_already;	/* a filter before says so */
	int block_lists;
	bool is_stranger;	/* to greylist */
	char type[1024], encoding[64];
};

static bool
is_named(struct mr_str name, const char *word)
{
	return name.len == strlen(word) &&
		!strncasecmp(name.at, word, name.len);
}

static void
keep(char *out, size_t size, struct mr_str value)
{
	size_t n = value.len < size - 1 ? value.len : size - 1;

	memcpy(out, value.at, n);
	out[n] = '\0';
}

/* Fields that no server on the way and no filter here writes. */
static void
add_to_number(struct letter *l, const struct mr_header *h)
{
	static const char *const fields[] = {"Message-ID", "Date", "From"};
	size_t i, from = 0;

	while (from < h->value.len && strchr(" \t", h->value.at[from]))
		from++;
	for (i = 0; i < sizeof fields / sizeof *fields; i++)
		if (is_named(h->name, fields[i]))
			l->number += words_hash(fields[i], h->value.at + from,
				h->value.len - from);
}

static void
read_header(struct mr_call *call, struct letter *l)
{
	struct mr_header h;
	size_t i;

	for (i = 0; call->host->header(call, i, &h) == 0; i++) {
		words_field(&l->words, h.name.at, h.name.len, h.value.at,
			h.value.len);
		add_to_number(l, &h);
		if (is_named(h.name, "Content-Type"))
			keep(l->type, sizeof l->type, h.value);
		else if (is_named(h.name, "Content-Transfer-Encoding"))
			keep(l->encoding, sizeof l->encoding, h.value);
		else if (is_named(h.name, "X-Junk-Reason"))
			l->is_junk_already = true;
		else if (is_named(h.name, "X-DNSBL"))
			l->block_lists++;
		else if (is_named(h.name, "X-Greylist"))
			l->is_stranger = true;
	}
}

static int
read_body(struct mr_call *call, struct letter *l)
{
	const struct config *c = call->config;
	uint64_t size = call->host->body_size(call);
	size_t len = size < (uint64_t)c->body ? (size_t)size :
		(size_t)c->body, at = 0;
	char *body = malloc(len + 1);
	int64_t n = 1;

	while (body && at < len && n > 0) {
		n = call->host->body_read(call, at, body + at, len - at);
		at += n > 0 ? (size_t)n : 0;
	}
	if (body && n >= 0) {
		body[at] = '\0';
		words_body(&l->words, l->type, l->encoding, body, at);
	}
	free(body);
	return body && n >= 0 ? 0 : -1;
}

static int
read_letter(struct mr_call *call, struct letter *l)
{
	*l = (struct letter){.number = 0};
	words_init(&l->words);
	read_header(call, l);
	if (read_body(call, l) < 0)
		return -1;
	words_end(&l->words);
	return 0;
}

/* ----------------------------------------------------------------- points */

struct verdict {
	int points;		/* tenths */
	double words;		/* 0.5 where they do not count */
	struct count all;
	char reasons[REASONS];
};

static void
give(struct verdict *v, int points, const char *why)
{
	size_t len = strlen(v->reasons);

	v->points += points;
	snprintf(v->reasons + len, sizeof v->reasons - len, "%s%s",
		len ? "; " : "", why);
}

static void
judge_results(struct mr_call *call, struct verdict *v)
{
	static const struct {
		const char *method, *value;
		int points;
		const char *why;
	} rules[] = {
		{"spf", "fail", 20, "its server may not send for this sender "
			"(SPF)"},
		{"spf", "softfail", 10, "its server should not send for this "
			"sender (SPF)"},
		{"dkim", "fail", 10, "its signature is wrong (DKIM)"},
		{"dmarc", "fail", 30, "its author's domain does not stand "
			"behind it (DMARC)"},
		{"dmarc", "permerror", 20, "it names several authors (DMARC)"},
	};
	struct mr_result r = {.size = sizeof r};
	bool given[sizeof rules / sizeof *rules] = {false};
	size_t i, k;

	for (i = 0; call->host->result(call, i, &r) == 0; i++)
		for (k = 0; k < sizeof rules / sizeof *rules; k++) {
			if (given[k] || strcmp(r.method, rules[k].method) ||
				strcmp(r.value, rules[k].value))
				continue;
			given[k] = true;
			give(v, rules[k].points, rules[k].why);
		}
}

/* Only what is nearly certain weighs: 5 points at 0.978, 2.5 at 0.9. */
static int
weigh_words(double p)
{
	double far = 2 * p - 1, square = far * far;

	return (int)((far < 0 ? -WORDS_WEIGH : WORDS_WEIGH) * square * square);
}

static void
judge_words(const struct config *c, const char *account,
	const struct letter *l, struct verdict *v)
{
	struct count *of = calloc(l->words.n + 1, sizeof *of);
	char why[160];

	v->words = 0.5;
	if (of && memory_look(c->memory, account, &l->words, of, &v->all) == 0
		&& v->all.junk >= JUNK_LEAST && v->all.good >= GOOD_LEAST) {
		v->words = bayes_judge(of, l->words.n, v->all);
		snprintf(why, sizeof why, "its words are %d %% like mail that "
			"was moved to Junk", (int)(v->words * 100 + 0.5));
		if (v->words > 0.5)
			give(v, 0, why);
		v->points += weigh_words(v->words);
	}
	free(of);
}

/* ------------------------------------------------------------------ filing */

static bool
is_junk(const struct config *c, const struct verdict *v)
{
	return v->points >= c->threshold * 10;
}

/* Until it is moved. What filters before have filed is no example. */
static void
learn_as_good(const struct config *c, const char *account,
	const struct letter *l, const struct verdict *v)
{
	if (!c->learn_good || c->only_looks || l->is_junk_already ||
		(v->all.good >= GOOD_ENOUGH && v->words < CLEARLY_GOOD))
		return;
	memory_teach(c->memory, account, l->number, &l->words, false, true);
}

/* One recipient. True: filed. */
static bool
judge(struct mr_call *call, const struct letter *l, const char *rcpt,
	const char *account, struct verdict *v)
{
	const struct config *c = call->config;

	*v = (struct verdict){.points = 0};
	judge_results(call, v);
	if (l->block_lists)
		give(v, 30, "its server is on a block list");
	if (l->is_stranger)
		give(v, 5, "its server never sent mail here before");
	judge_words(c, account, l, v);
	mr_log(call, MR_LOG_INFO, "%s: %s%d.%d points%s%s, learned from %u junk "
		"and %u good", account, v->points < 0 ? "-" : "",
		abs(v->points) / 10, abs(v->points) % 10,
		*v->reasons ? ": " : "", v->reasons, v->all.junk, v->all.good);
	if (!is_junk(c, v)) {
		learn_as_good(c, account, l, v);
		return false;
	}
	return mr_file_into(call, rcpt, "\\Junk") > 0;
}

/* All share one copy of the message: of a part of them it tells no more than
 * that it was so. */
static void
say_why(struct mr_call *call, const struct verdict *v, bool all)
{
	char text[REASONS + 80];

	snprintf(text, sizeof text, "%s%s (%d.%d points)", all ? "" :
		"for some of its recipients: ", all ? v->reasons :
		"it looks like what they call junk", v->points / 10,
		v->points % 10);
	mr_header_add(call, "X-Junk-Reason", text);
}

static void
judge_all(struct mr_call *call, const struct letter *l)
{
	struct verdict v, worst = {.points = 0};
	struct mr_rcpt rcpt;
	size_t i, n = 0, filed = 0;

	for (i = 0; call->host->rcpt(call, i, &rcpt) == 0; i++) {
		struct mr_str account = call->host->rcpt_account(call, i);

		if (!account.len)
			continue;
		n++;
		if (!judge(call, l, rcpt.address.at, account.at, &v))
			continue;
		filed++;
		if (v.points > worst.points)
			worst = v;
	}
	if (filed)
		say_why(call, &worst, filed == n);
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	struct letter l;

	if (*mr_fact(call, MR_FACT_AUTH_LOGIN))
		return MR_PASS;
	if (read_letter(call, &l) == 0)
		judge_all(call, &l);
	words_free(&l.words);
	return MR_PASS;
}

/* --------------------------------------------------------------- learning */

static void
on_learn(struct mr_call *call, const char *account, int junk)
{
	static const char *const what[] = {[TAUGHT_NOTHING] = "nothing new",
		[TAUGHT_NEW] = "new", [TAUGHT_OTHERWISE] = "learned anew"};
	const struct config *c = call->config;
	enum taught t = TAUGHT_NOTHING;
	struct letter l;

	if (read_letter(call, &l) == 0)
		t = memory_teach(c->memory, account, l.number, &l.words, junk,
			false);
	words_free(&l.words);
	mr_log(call, MR_LOG_INFO, "%s says %s: %s", account, junk ? "junk" :
		"good", what[t]);
}

/* ------------------------------------------------------------------- life */

static int
on_open(void *config, struct mr_open *open)
{
	struct config *c = config;
	char path[4096];

	if (!MR_HAS(open->host, file_into)) {
		snprintf(open->error, open->error_size,
			"this server cannot file mail");
		return -1;
	}
	c->only_looks = !strcmp(open->role, "cli");
	snprintf(path, sizeof path, "%s/%s.db", open->data, open->instance);
	c->memory = memory_open(path, c->most_words, open->error,
		open->error_size);
	return c->memory ? 0 : -1;
}

static void
on_close(void *config)
{
	struct config *c = config;

	memory_close(c->memory);
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_BODY,
	.may = MR_MAY_HEADERS, .message = on_message, .learn = on_learn,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "junk", .version = "1.0",
	.summary = "files junk in Junk, and learns what is moved there",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .filter = &filter,
};
