/*
 * dns_watch.c - a small fact for each domain: which of its records have been
 * right once, and of which it was told that they are not any more. What was
 * never right is no drift: its admin is about to set it up, or does not want
 * it.
 */
#include "proc/dns_watch.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "queue/drop.h"
#include "zone/verify.h"

#define KEEP_MS (400 * 86400000ll)
#define SHOWN_MOST 400		/* bytes of a value */

struct round {
	const struct dns_watching *w;
	const char *domain;
	struct arena a;
	json_t *before, *after;	/* "MX example.org": "right" or "told" */
	json_t *drifted;
	size_t n_drifted;
};

/* ------------------------------------------------------------------- facts */

static void
take_facts(void *arg, struct mr_str value)
{
	struct round *r = arg;

	json_decref(r->before);
	r->before = json_loadb(value.at, value.len, 0, NULL);
}

static int
read_facts(struct round *r, struct err *e)
{
	const struct store *s = r->w->house->store;
	struct mr_error me = {{0}};
	int code = s->op->state_get(s->self, DNS_WATCH_SPACE, r->domain,
		clock_wall(), take_facts, r, &me);

	if (!r->before)
		r->before = json_object();
	return code == MR_STORE_MISSING ? 0 : store_result(code, &me, e);
}

static int
write_facts(struct round *r, struct err *e)
{
	const struct store *s = r->w->house->store;
	char *text = json_dumps(r->after, JSON_COMPACT | JSON_SORT_KEYS);
	struct mr_error me = {{0}};
	int code = s->op->state_set(s->self, DNS_WATCH_SPACE, r->domain,
		(struct mr_str){text, strlen(text)}, clock_wall() + KEEP_MS,
		&me);

	free(text);
	return store_result(code, &me, e);
}

/* ---------------------------------------------------------------- judging */

static void
note(struct round *r, const char *key, const char *state)
{
	const char *now = json_string_value(json_object_get(r->after, key));

	/* Of several values at one name the worst one stands. */
	if (state && (!now || strcmp(now, "told")))
		json_object_set_new(r->after, key, json_string(state));
}

static void
judge(struct round *r, const struct zone_found *f)
{
	const struct zone_record *record = f->record;
	const char *key = arena_printf(&r->a, "%s %s", zone_type_name(
		record->type), record->name);
	const char *before = json_string_value(json_object_get(r->before,
		key));

	if (f->finding >= ZONE_PARTLY) {
		note(r, key, before);
	} else if (f->finding == ZONE_RIGHT) {
		note(r, key, "right");
	} else if (before) {
		note(r, key, "told");
		if (strcmp(before, "right"))
			return;
		json_array_append_new(r->drifted, json_pack("{s:s, s:s, s:s, "
			"s:s, s:s}", "name", record->name, "type",
			zone_type_name(record->type), "value", record->value,
			"finding", zone_finding_name(f->finding), "say",
			f->say));
		r->n_drifted++;
	}
}

/* -------------------------------------------------------------- the letter */

/* Text of strangers, in one line that is not too long. */
static void
put_clean(struct buf *out, const char *text)
{
	size_t i;

	for (i = 0; text[i] && i < SHOWN_MOST; i++)
		buf_addc(out, text[i] >= ' ' && text[i] < 127 ? text[i] : '?');
	if (text[i])
		buf_adds(out, " ...");
	buf_adds(out, "\r\n");
}

static void
put_header(struct buf *out, const struct round *r, const char *to)
{
	const char *hostname = r->w->house->config->server.hostname;
	char date[40], id[17];

	clock_mail_date(clock_wall(), date);
	enc_random_word(id, 16);
	buf_addf(out, "From: Mailroom <postmaster@%s>\r\nTo: <%s>\r\n"
		"Subject: DNS of %s: %zu record%s no longer right\r\n"
		"Date: %s\r\nMessage-ID: <dns.%s@%s>\r\n"
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=us-ascii\r\n\r\n",
		hostname, to, r->domain, r->n_drifted, r->n_drifted > 1 ?
		"s are" : " is", date, id, hostname);
}

static void
put_body(struct buf *out, const struct round *r)
{
	size_t i, n = json_array_size(r->drifted);

	buf_addf(out, "Records that the mail of %s needs were right in DNS "
		"and are not any more:\r\n\r\n", r->domain);
	for (i = n - r->n_drifted; i < n; i++) {
		const json_t *one = json_array_get(r->drifted, i);

		buf_addf(out, "%s %s\r\n  wanted: ", json_string_value(
			json_object_get(one, "type")), json_string_value(
			json_object_get(one, "name")));
		put_clean(out, json_string_value(json_object_get(one,
			"value")));
		buf_adds(out, "  ");
		put_clean(out, json_string_value(json_object_get(one,
			"say")));
		buf_adds(out, "\r\n");
	}
	buf_addf(out, "What to do: `mailroom dns verify %s` shows all of "
		"them,\r\n`mailroom dns apply %s` mends what it can.\r\n\r\n"
		"You are told once. If it is meant to be so, nothing needs to "
		"be done.\r\n", r->domain, r->domain);
}

static int
send_letter(const struct round *r, struct err *e)
{
	const char *told = r->w->house->config->zone.watch_to;
	char fallback[300];
	struct str rcpt;
	struct drop d = {.sender = STR(""), .rcpt = &rcpt, .n_rcpt = 1,
		.args = STR(""), .notify = STR("NEVER")};
	struct buf text;
	int code;

	snprintf(fallback, sizeof fallback, "postmaster@%s", r->domain);
	rcpt = str_from(*told ? told : fallback);
	buf_init(&text, BUF_NO_CAP);
	put_header(&text, r, rcpt.at);
	put_body(&text, r);
	code = drop_write(r->w->drop, &d, buf_str(&text), NULL, e);
	buf_free(&text);
	return code < 0 ? err_wrap(e, "telling %s", rcpt.at) : 0;
}

/* --------------------------------------------------------------- the round */

static int
look(struct round *r, struct err *e)
{
	struct zone_plan *plan;
	struct zone_found *found;
	size_t i, wrong;

	if (read_facts(r, e) < 0 || dns_make_plan(r->w->house, r->domain,
		&r->a, &plan, e) < 0)
		return -1;
	found = zone_verify(r->w->house->asker, plan, &r->a, &wrong);
	for (i = 0; i < plan->n; i++)
		judge(r, &found[i]);
	/* Told first: who crashes between the two tells twice. */
	if (r->n_drifted && send_letter(r, e) < 0)
		return -1;
	return write_facts(r, e);
}

int
dns_watch(const struct dns_watching *w, const char *domain, json_t *drifted,
	struct err *e)
{
	struct round r = {.w = w, .domain = domain, .drifted = drifted};
	int code;

	arena_init(&r.a);
	r.after = json_object();
	code = look(&r, e);
	json_decref(r.before);
	json_decref(r.after);
	arena_free(&r.a);
	return code;
}

static void
watch_one(const struct dns_watching *w, const char *domain)
{
	json_t *drifted = json_array();
	struct err e = {0};
	size_t i;

	if (dns_watch(w, domain, drifted, &e) < 0)
		log_error("dns.watch", LOG_S("domain", domain),
			LOG_S("error", e.text));
	for (i = 0; i < json_array_size(drifted); i++) {
		const json_t *one = json_array_get(drifted, i);

		log_warn("dns.drift", LOG_S("domain", domain), LOG_S("type",
			json_string_value(json_object_get(one, "type"))),
			LOG_S("name", json_string_value(json_object_get(one,
			"name"))), LOG_S("finding", json_string_value(
			json_object_get(one, "finding"))));
	}
	json_decref(drifted);
}

void
dns_watch_all(const struct config *c, const struct report_house *h)
{
	struct zone_ask_settings asking = dns_ask_settings(c, h->dns);
	struct dns_house house = {.config = c, .store = h->store,
		.dns = h->dns, .asker = zone_asker_new(&asking)};
	struct dns_watching w = {&house, h->drop};
	struct err e = {0};
	struct buf names;
	size_t at;

	buf_init(&names, BUF_NO_CAP);
	if (dns_domains(h->store, &names, &e) < 0)
		log_error("dns.watch", LOG_S("error", e.text));
	for (at = 0; at < names.len && !h->is_over(h->arg);
		at += strlen(names.at + at) + 1)
		watch_one(&w, names.at + at);
	buf_free(&names);
	zone_asker_free(house.asker);
}
