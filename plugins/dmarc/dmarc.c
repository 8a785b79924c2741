/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dmarc - does the domain that a reader sees stand behind the message? (RFC
 * 9989)
 *
 * It judges by what spf and dkim found, which stand before it in the chain: a
 * message passes if one of them passed for a domain of the author's
 * organization. If none did, the domain's policy says what becomes of it, and
 * the admin whether that is followed. A message without one author domain is
 * nobody's: no policy speaks for it.
 */
#include "dmarc.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* As the choices of the settings stand. */
enum reject { REJECT_FOLLOW, REJECT_HOLD, REJECT_IGNORE };
enum quarantine { QUARANTINE_JUNK, QUARANTINE_HOLD, QUARANTINE_IGNORE };

struct config {
	int64_t reject, quarantine;
	struct mr_list trusted;
	bool reports;
	struct rows *rows;	/* made by open */
};

static const struct mr_setting settings[] = {
	{"reject", MR_CHOICE, 0, offsetof(struct config, reject),
		"\"follow\"", 0, 0, "follow|hold|ignore", "What a policy of "
		"reject does: refuse; hold the message for the admin; "
		"nothing but a result."},
	{"quarantine", MR_CHOICE, 0, offsetof(struct config, quarantine),
		"\"junk\"", 0, 0, "junk|hold|ignore", "What a policy of "
		"quarantine does: file the message in Junk, of recipients "
		"with an account here; hold it for the admin; nothing but a "
		"result, which mail programs and later filters see."},
	{"trusted", MR_LIST, 0, offsetof(struct config, trusted), "[]", 0, 0,
		NULL, "Author domains whose policy is not followed, for "
		"instance one whose mail comes by lists that change it."},
	{"reports", MR_BOOL, 0, offsetof(struct config, reports), "true", 0, 0,
		NULL, "Keep what was found of each message, for the reports "
		"that [reports] sends to the domains that ask for them."},
	MR_SETTINGS_END,
};

/* What is decided of a message. */
struct judgement {
	char domain[NAME_MOST + 1];
	const char *result, *reason;
	enum policy policy;	/* that applies */
	bool is_tested;		/* t=y made it one step less */
	bool is_excused;	/* by a forwarder that the admin trusts */
	bool dkim, spf;		/* passed, and aligned */
	char owner[NAME_MOST + 1];	/* whose record it is */
	struct record record;		/* if owner is not "" */
};

static void
ask_host(void *arg, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	struct mr_call *call = arg;

	call->host->dns(call, name, type, out);
}

static bool
is_word(struct mr_str s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

/* From the one From field. */
static enum author
find_author(struct mr_call *call, char out[NAME_MOST + 1])
{
	enum author found = AUTHOR_NONE;
	struct mr_header h;
	size_t i, n = 0;

	for (i = 0; call->host->header(call, i, &h) == 0; i++)
		if (is_word(h.name, "From")) {
			found = author_domain(h.value, out);
			n++;
		}
	return n > 1 ? AUTHOR_MANY : found;
}

/* --------------------------------------------------------------- alignment */

/* "smtp.mailfrom=a@b header.d=c" */
static bool
find_prop(const char *props, const char *name, char *out, size_t size)
{
	size_t n = strlen(name), len;

	for (; props; props = strchr(props, ' ')) {
		props += *props == ' ';
		if (strncmp(props, name, n) || props[n] != '=')
			continue;
		len = strcspn(props + n + 1, " ");
		if (len >= size)
			return false;
		memcpy(out, props + n + 1, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

static const char *
organization_of(const struct tree *t, const char *domain)
{
	return t->has_organization ? t->organization : domain;
}

static bool
is_aligned(const struct resolver *r, const struct tree *author,
	const char *domain, const char *other, bool strict)
{
	struct tree t;

	if (!strcmp(domain, other))
		return true;
	if (strict)
		return false;
	walk(r, other, &t);
	return !t.failed && !strcmp(organization_of(author, domain),
		organization_of(&t, other));
}

static void
find_aligned(struct mr_call *call, const struct resolver *r,
	const struct tree *t, struct judgement *j)
{
	const struct record *policy = &j->record;
	struct mr_result got = {.size = sizeof got};
	char value[1024], other[NAME_MOST + 1];
	const char *at;
	size_t i;

	for (i = 0; call->host->result(call, i, &got) == 0; i++) {
		bool is_spf = !strcmp(got.method, "spf");
		bool *aligned = is_spf ? &j->spf : &j->dkim;

		if (*aligned || strcmp(got.value, "pass") || !got.props ||
			(!is_spf && strcmp(got.method, "dkim")))
			continue;
		/* The HELO name counts only in place of a null sender. */
		if (!find_prop(got.props, is_spf ? "smtp.mailfrom" :
			"header.d", value, sizeof value) && !(is_spf &&
			!*mr_fact(call, MR_FACT_SENDER) && find_prop(
			got.props, "smtp.helo", value, sizeof value)))
			continue;
		at = strrchr(value, '@');
		*aligned = author_ascii(at ? at + 1 : value, other) &&
			is_aligned(r, t, j->domain, other, is_spf ?
			policy->strict_spf : policy->strict_dkim);
	}
}

/* ----------------------------------------------------------------- policy */

static bool
does_not_exist(const struct resolver *r, const char *domain)
{
	struct mr_dns_answer got = {.size = sizeof got};

	r->dns(r->arg, domain, MR_DNS_A, &got);
	return got.status == MR_DNS_NXDOMAIN;
}

static enum policy
choose(const struct resolver *r, const struct tree *t, const char *domain)
{
	const struct record *o = &t->of_organization;
	enum policy p;

	if (t->has_own)
		p = t->own.p;
	else if (o->np && does_not_exist(r, domain))
		p = o->np;
	else if (!strcmp(t->organization, domain) && o->psd != PSD_YES)
		p = o->p;
	else
		p = o->sp ? o->sp : o->p;
	return p;
}

/* By arc: all who sealed it are trusted, and the first saw it pass (RFC 8617
 * 7.2.1). */
static bool
passed_before(struct mr_call *call)
{
	struct mr_result got = {.size = sizeof got};
	char value[8];
	size_t i;

	for (i = 0; call->host->result(call, i, &got) == 0; i++)
		if (!strcmp(got.method, "arc") && !strcmp(got.value, "pass") &&
			find_prop(got.props, "policy.dmarc", value,
			sizeof value) && !strcmp(value, "pass"))
			return true;
	return false;
}

static void
judge(struct mr_call *call, struct judgement *j)
{
	struct resolver r = {ask_host, call};
	enum author author = find_author(call, j->domain);
	struct tree t;

	*j->domain = author == AUTHOR_ONE ? *j->domain : '\0';
	j->policy = POLICY_NONE;
	j->reason = NULL;
	j->is_excused = j->is_tested = j->dkim = j->spf = false;
	*j->owner = '\0';
	if (author != AUTHOR_ONE) {
		j->result = author == AUTHOR_NONE ? "none" : "permerror";
		j->reason = author == AUTHOR_NONE ? "no author" :
			"more than one author domain";
		return;
	}
	walk(&r, j->domain, &t);
	if (t.failed) {
		j->result = "temperror";
		j->reason = "DNS does not answer";
		return;
	}
	if (!t.has_own && !t.has_organization_record) {
		j->result = "none";
		return;
	}
	j->record = t.has_own ? t.own : t.of_organization;
	snprintf(j->owner, sizeof j->owner, "%s", t.has_own ? j->domain :
		t.organization);
	find_aligned(call, &r, &t, j);
	j->result = j->dkim || j->spf ? "pass" : "fail";
	if (!j->dkim && !j->spf) {
		j->policy = choose(&r, &t, j->domain);
		j->is_tested = j->record.testing && j->policy > POLICY_NONE;
		/* A domain that tests asks for one step less. */
		if (j->is_tested)
			j->policy = (enum policy)(j->policy - 1);
		j->is_excused = passed_before(call);
		j->reason = j->is_excused ? "arc: a forwarder that is trusted "
			"saw it pass" : NULL;
	}
}

static bool
is_trusted(const struct config *c, const char *domain)
{
	size_t i;

	for (i = 0; i < c->trusted.n; i++)
		if (!strcasecmp(c->trusted.item[i], domain))
			return true;
	return false;
}

/* ---------------------------------------------------------------- reports */

/* The domain that SPF asked for as the sender's. A HELO name is it only in
 * place of a null sender (RFC 7208 2.4), else reports have no use for it. */
static bool
find_sender(struct mr_call *call, const char *props, char *out, size_t size)
{
	if (find_prop(props, "smtp.mailfrom", out, size))
		return true;
	return !*mr_fact(call, MR_FACT_SENDER) && find_prop(props, "smtp.helo",
		out, size);
}

/* The results that a report tells: [method, value, domain, selector or
 * scope]. The scope is always "mfrom" (RFC 9990 3.1). */
static json_t *
results_json(struct mr_call *call)
{
	struct mr_result got = {.size = sizeof got};
	json_t *all = json_array();
	size_t i;

	for (i = 0; call->host->result(call, i, &got) == 0; i++) {
		bool is_spf = !strcmp(got.method, "spf");
		char domain[1024] = "", more[256] = "mfrom";
		const char *at;

		if (!is_spf && strcmp(got.method, "dkim"))
			continue;
		if (is_spf && !find_sender(call, got.props, domain,
			sizeof domain))
			continue;
		if (!is_spf) {
			*more = '\0';
			find_prop(got.props, "header.d", domain,
				sizeof domain);
			find_prop(got.props, "header.s", more, sizeof more);
		}
		at = strrchr(domain, '@');
		json_array_append_new(all, json_pack("[s, s, s, s]",
			got.method, got.value, at ? at + 1 : domain, more));
	}
	return all;
}

/* What reports call an exception to the policy (RFC 9990). */
static const char *
exception(const struct config *c, const struct judgement *j,
	enum policy followed)
{
	if (j->policy == followed)
		return j->is_tested ? "policy_test_mode" : NULL;
	return j->is_excused || is_trusted(c, j->domain) ? "trusted_forwarder" :
		"local_policy";
}

/* followed: what is done, which may be less than the policy says. */
static void
keep_row(struct mr_call *call, const struct judgement *j,
	enum policy followed)
{
	static const char *const psd[] = {[PSD_UNKNOWN] = "u", [PSD_YES] = "y",
		[PSD_NO] = "n"};
	const struct config *c = call->config;
	const struct record *r = &j->record;
	const char *sender = mr_fact(call, MR_FACT_SENDER);
	const char *at = strrchr(sender, '@');
	json_t *row;
	char *line;

	if (!c->rows || !*j->owner || !*r->rua)
		return;
	row = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:b, s:b, s:s, s:s, s:s*,"
		" s:s*, s:b, s:b, s:b, s:s, s:s, s:o}", "domain", j->owner,
		"from", j->domain, "ip", mr_fact(call, MR_FACT_PEER_ADDRESS),
		"disposition", policy_name(followed), "reason",
		exception(c, j, followed), "dkim", j->dkim, "spf", j->spf,
		"envelope", at ? at + 1 : "", "p", policy_name(r->p), "sp",
		r->sp ? policy_name(r->sp) : NULL, "np", r->np ?
		policy_name(r->np) : NULL, "strict_dkim", r->strict_dkim,
		"strict_spf", r->strict_spf, "testing", r->testing, "psd",
		psd[r->psd], "rua", r->rua, "results", results_json(call));
	line = row ? json_dumps(row, JSON_COMPACT) : NULL;
	if (line) {
		size_t len = strlen(line);

		line[len] = '\n';	/* in place of its NUL */
		if (rows_add(c->rows, line, len + 1, time(NULL)) < 0)
			mr_log(call, MR_LOG_WARN, "no row for a report: %s",
				strerror(errno));
	}
	free(line);
	json_decref(row);
}

/* ------------------------------------------------------------------ verdict */

static void
note(struct mr_call *call, const struct judgement *j)
{
	char props[400];
	struct mr_result r = {.size = sizeof r, .method = "dmarc",
		.value = j->result, .reason = j->reason, .props = props};

	snprintf(props, sizeof props, "%s%s%s%s", *j->domain ?
		"header.from=" : "", j->domain, strcmp(j->result, "fail") ?
		"" : " policy.dmarc=", strcmp(j->result, "fail") ? "" :
		policy_name(j->policy));
	if (!*props)
		r.props = NULL;
	call->host->result_add(call, &r);
}

static enum mr_verdict
hold(struct mr_call *call, const struct judgement *j)
{
	char text[400];

	snprintf(text, sizeof text, "DMARC: the policy of %s is %s",
		j->domain, policy_name(j->policy));
	mr_say(call, 250, NULL, text);
	return MR_QUARANTINE;
}

/* The reason stands in the message, for whoever wonders why it is there. */
static enum mr_verdict
file_as_junk(struct mr_call *call, const struct judgement *j)
{
	char text[400];

	if (mr_file_into(call, NULL, "\\Junk") < 1)
		return MR_PASS;
	snprintf(text, sizeof text, "neither SPF nor DKIM shows that this is "
		"from %s, which asks to keep such mail apart (DMARC)",
		j->domain);
	mr_header_add(call, "X-Junk-Reason", text);
	return MR_PASS;
}

static enum mr_verdict
quarantine(struct mr_call *call, const struct judgement *j)
{
	const struct config *c = call->config;

	if (c->quarantine == QUARANTINE_IGNORE)
		return MR_PASS;
	return c->quarantine == QUARANTINE_HOLD ? hold(call, j) :
		file_as_junk(call, j);
}

/* *followed: which policy that comes to. */
static enum mr_verdict
follow(struct mr_call *call, const struct judgement *j, enum policy *followed)
{
	const struct config *c = call->config;
	char text[400];

	*followed = POLICY_NONE;
	if (j->is_excused || is_trusted(c, j->domain))
		return MR_PASS;
	if (j->policy == POLICY_QUARANTINE) {
		*followed = c->quarantine == QUARANTINE_IGNORE ? POLICY_NONE :
			POLICY_QUARANTINE;
		return quarantine(call, j);
	}
	if (j->policy != POLICY_REJECT || c->reject == REJECT_IGNORE)
		return MR_PASS;
	*followed = c->reject == REJECT_HOLD ? POLICY_QUARANTINE :
		POLICY_REJECT;
	if (c->reject == REJECT_HOLD)
		return hold(call, j);
	snprintf(text, sizeof text, "DMARC: neither SPF nor DKIM shows that "
		"this is from %s, whose policy is to refuse it", j->domain);
	mr_say(call, 550, "5.7.1", text);
	return MR_REJECT;
}

/* Mail of our own accounts and of this machine's programs. */
static bool
is_ours(struct mr_call *call)
{
	const char *address = mr_fact(call, MR_FACT_PEER_ADDRESS);

	return *mr_fact(call, MR_FACT_AUTH_LOGIN) || !*address ||
		!strncmp(address, "127.", 4) || !strcmp(address, "::1");
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	enum policy followed;
	struct judgement j;
	enum mr_verdict v;

	if (is_ours(call))
		return MR_PASS;
	judge(call, &j);
	note(call, &j);
	v = follow(call, &j, &followed);
	keep_row(call, &j, followed);
	return v;
}

static int
on_open(void *config, struct mr_open *open)
{
	struct config *c = config;
	char folder[4000];

	snprintf(folder, sizeof folder, "%s/dmarc", open->data);
	if (!c->reports || !strcmp(open->role, "cli"))
		return 0;
	c->rows = rows_open(folder);
	return c->rows ? 0 : -1;
}

static void
on_close(void *config)
{
	struct config *c = config;

	rows_close(c->rows);
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS | MR_NEEDS_RESULTS,
	.may = MR_MAY_RESULTS | MR_MAY_HEADERS, .message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "dmarc", .version = "1.0",
	.summary = "follows the policy of the author's domain",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .close = on_close, .filter = &filter,
};
