/*
 * explain.c - gathers what happens in a dry run, and prints it. The command
 * line's one thread.
 *
 * A filter's edits are found by comparing the message before its hook with
 * the message after it: what counts is what the next filter will see.
 */
#include "proc/explain.h"

#include "base/enc.h"
#include "net/dns.h"
#include "plug/hooks.h"
#include "proc/meaning.h"

#define VALUE_SHOWN 200
#define RECORD_SHOWN 1000

struct before {
	struct message_field *field;
	size_t n_field;
	uint64_t body;		/* a digest */
	struct str sender;
	struct envelope_rcpt *rcpt;
	size_t n_rcpt;
};

struct explain {
	struct arena arena;	/* reset before each hook */
	struct before before;
	size_t n_result;	/* of the message, before the hook */
	json_t *asked;		/* of DNS, in the hook */
	json_t *filters;	/* of the step that is under way */
	json_t *steps, *places;
	const char *discarded_by;
	char *reply;
	int code;
};

/* Bytes of a stranger's as text that JSON and terminals take. */
static json_t *
clean_up(struct str s, size_t most)
{
	bool is_utf8, is_cut = s.len > most;
	struct buf b;
	json_t *j;
	size_t i;

	s = str_sub(s, 0, most);
	while (is_cut && s.len && ((unsigned char)s.at[s.len - 1] & 0x80))
		s.len--;
	is_utf8 = enc_is_utf8(s);
	buf_init(&b, BUF_NO_CAP);
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];

		if (c == '\r')
			continue;
		buf_addc(&b, c == '\n' ? ' ' : c < ' ' || c == 127 ||
			(c > 127 && !is_utf8) ? '?' : s.at[i]);
	}
	buf_adds(&b, is_cut ? " ..." : "");
	j = json_string(buf_c(&b));
	buf_free(&b);
	return j;
}

static json_t *
clean(struct str s)
{
	return clean_up(s, VALUE_SHOWN);
}

static json_t *
clean_long(struct str s)
{
	return clean_up(s, RECORD_SHOWN);
}

/* ------------------------------------------------------------------ edits */

static uint64_t
digest_body(struct message *m)
{
	uint64_t h = 0xcbf29ce484222325u, at = 0;
	char block[4096];
	struct err e;
	int64_t n, i;

	while ((n = message_body_read(m, at, block, sizeof block, &e)) > 0) {
		for (i = 0; i < n; i++)	/* FNV-1a */
			h = (h ^ (unsigned char)block[i]) * 0x100000001b3u;
		at += (uint64_t)n;
	}
	return h;
}

static void
look(struct arena *a, const struct facts *f, struct before *b)
{
	const struct envelope *e = f->envelope;
	size_t i;

	*b = (struct before){.n_field = 0};
	if (!f->message)
		return;
	b->n_field = message_field_count(f->message);
	b->field = arena_alloc(a, (b->n_field + 1) * sizeof *b->field);
	for (i = 0; i < b->n_field; i++) {
		message_field(f->message, i, &b->field[i]);
		b->field[i].name = arena_str(a, b->field[i].name);
		b->field[i].value = arena_str(a, b->field[i].value);
	}
	b->body = digest_body(f->message);
	b->sender = arena_str(a, e->sender);
	b->n_rcpt = e->n_rcpt;
	b->rcpt = arena_copy(a, e->rcpt, e->n_rcpt * sizeof *e->rcpt);
}

static void
add_edit(json_t *edits, const char *what, struct str name, struct str value)
{
	json_array_append_new(edits, json_pack("{s:s, s:o, s:o}", "edit", what,
		"name", clean(name), "value", clean(str_trim_blank(value))));
}

static const struct message_field *
find_field(const struct before *b, uint64_t id)
{
	size_t i;

	for (i = 0; i < b->n_field; i++)
		if (b->field[i].id == id)
			return &b->field[i];
	return NULL;
}

static void
compare_fields(const struct before *was, const struct before *is,
	json_t *edits)
{
	const struct message_field *other;
	size_t i;

	for (i = 0; i < was->n_field; i++)
		if (!find_field(is, was->field[i].id))
			add_edit(edits, "header removed", was->field[i].name,
				was->field[i].value);
	for (i = 0; i < is->n_field; i++) {
		other = find_field(was, is->field[i].id);
		if (!other)
			add_edit(edits, "header added", is->field[i].name,
				is->field[i].value);
		else if (!str_eq(other->name, is->field[i].name) ||
			!str_eq(other->value, is->field[i].value))
			add_edit(edits, "header changed", is->field[i].name,
				is->field[i].value);
	}
}

static void
compare_envelopes(const struct before *was, const struct before *is,
	json_t *edits)
{
	size_t i;

	if (!str_eq(was->sender, is->sender))
		add_edit(edits, "sender changed", STR("sender"), is->sender);
	for (i = 0; i < is->n_rcpt; i++) {
		const struct envelope_rcpt *r = &is->rcpt[i];

		if (i >= was->n_rcpt && !r->removed)
			add_edit(edits, "recipient added", STR("recipient"),
				r->address);
		else if (i < was->n_rcpt && r->removed &&
			!was->rcpt[i].removed)
			add_edit(edits, "recipient removed", STR("recipient"),
				r->address);
	}
}

/* -------------------------------------------------------------- call-backs */

static size_t
count_results(const struct facts *f)
{
	const struct result *r;
	size_t n = 0;

	for (r = f->results; r; r = r->next)
		n++;
	return n;
}

static void
on_before(void *arg, const struct facts *f)
{
	struct explain *x = arg;

	arena_reset(&x->arena);
	look(&x->arena, f, &x->before);
	x->n_result = count_results(f);
	json_array_clear(x->asked);
}

static void
on_asked(void *arg, const char *name, unsigned type,
	const struct dns_answer *got)
{
	struct explain *x = arg;
	json_t *records = json_array();
	struct buf line;
	size_t i;

	buf_init(&line, BUF_NO_CAP);
	for (i = 0; i < got->n; i++) {
		buf_reset(&line);
		meaning_record(&line, type, &got->record[i]);
		json_array_append_new(records, clean_long(buf_str(&line)));
	}
	buf_free(&line);
	json_array_append_new(x->asked, json_pack("{s:o, s:s, s:s, s:o}",
		"name", clean(str_from(name)), "type", meaning_type(type),
		"answer", meaning_status(got->status), "records", records));
}

/* What the filter found, with what that means. */
static json_t *
new_results(const struct explain *x, const struct facts *f)
{
	const struct result *r = f->results;
	json_t *out = json_array();
	struct buf text;
	size_t i;

	buf_init(&text, BUF_NO_CAP);
	for (i = 0; r; r = r->next, i++) {
		if (i < x->n_result)
			continue;
		buf_reset(&text);
		meaning_result(&text, r);
		json_array_append_new(out, json_pack(
			"{s:s, s:s, s:o*, s:o*, s:o}", "method", r->method,
			"value", r->value, "reason", r->reason ?
			clean(str_from(r->reason)) : NULL, "props", r->props ?
			clean(str_from(r->props)) : NULL, "means",
			clean_long(buf_str(&text))));
	}
	buf_free(&text);
	return out;
}

static void
on_after(void *arg, const struct facts *f, const char *hook,
	const struct verdict *v)
{
	static const char *const names[] = {"pass", "done", "tempfail",
		"reject", "discard", "quarantine", "hangup"};
	struct explain *x = arg;
	json_t *edits = json_array(), *text;
	struct before now;
	struct buf line;

	look(&x->arena, f, &now);
	if (f->message) {
		compare_fields(&x->before, &now, edits);
		if (x->before.body != now.body)
			add_edit(edits, "body replaced", STR("body"),
				STR(""));
		compare_envelopes(&x->before, &now, edits);
	}
	buf_init(&line, 4096);
	if (v->reply.code)
		reply_line(&line, &v->reply);
	else
		buf_addstr(&line, v->reason);
	text = clean(buf_str(&line));
	buf_free(&line);
	json_array_append_new(x->filters, json_pack(
		"{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "filter", v->by,
		"hook", hook, "verdict", names[v->kind], "text", text,
		"edits", edits, "asked", json_copy(x->asked), "results",
		new_results(x, f)));
}

static void
on_said(void *arg, const char *command, const struct reply *answer)
{
	struct explain *x = arg;
	struct buf line;
	json_t *text;

	buf_init(&line, 8192);
	if (answer->code)
		reply_line(&line, answer);
	text = clean(buf_str(&line));
	free(x->reply);
	x->reply = mem_cstr(json_string_value(text));
	x->code = answer->code;
	buf_free(&line);
	json_array_append_new(x->steps, json_pack("{s:o, s:o, s:o}",
		"command", clean(str_from(command)), "filters", x->filters,
		"answer", text));
	x->filters = json_array();
}

static json_t *
place_json(const struct mr_placement *p)
{
	if (p->kind == MR_PLACE_MAILBOX)
		return json_pack("{s:s, s:o, s:o}", "kind", "mailbox",
			"account", clean(str_from(p->account)),
			"mailbox", clean(str_from(p->mailbox)));
	return json_pack("{s:s, s:o, s:o, s:b, s:o}", "kind", "queue",
		"recipient", clean(str_from(p->rcpt)),
		"next_hop", clean(str_from(p->next_hop)), "held", p->held,
		"reason", clean(str_from(p->reason)));
}

static void
on_placed(void *arg, const struct mr_commit *c)
{
	struct explain *x = arg;
	size_t i;

	for (i = 0; i < c->n_place; i++)
		json_array_append_new(x->places, place_json(&c->place[i]));
	x->discarded_by = c->discarded_by ? mem_cstr(c->discarded_by) : NULL;
}

json_t *
explain_run(struct smtp_dry *d, struct err *e)
{
	struct explain x = {.filters = json_array(), .steps = json_array(),
		.places = json_array(), .asked = json_array()};
	const struct onlooker onlooker = {.before = on_before,
		.after = on_after, .asked = on_asked, .arg = &x};
	json_t *out = NULL;
	int i, code;

	arena_init(&x.arena);
	for (i = 0; i < CHAINS; i++)
		d->house->chain[i].onlooker = &onlooker;
	d->said = on_said;
	d->placed = on_placed;
	d->arg = &x;
	code = smtp_dry_run(d, e);
	for (i = 0; i < CHAINS; i++)
		d->house->chain[i].onlooker = NULL;
	if (code == 0)
		out = json_pack("{s:O, s:s, s:b, s:O, s:s?}", "steps",
			x.steps, "reply", x.reply ? x.reply : "", "accepted",
			x.code == 250, "places", x.places, "discarded_by",
			x.discarded_by);
	json_decref(x.filters);
	json_decref(x.asked);
	json_decref(x.steps);
	json_decref(x.places);
	free(x.reply);
	free((void *)(uintptr_t)x.discarded_by);
	arena_free(&x.arena);
	return out;
}

/* ---------------------------------------------------------------- printing */

static const char *
text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

static void
print_asked(const json_t *asked)
{
	const json_t *records = json_object_get(asked, "records"), *r;
	size_t i;

	if (!json_array_size(records))
		printf("        asked %s %s: %s\n", text_of(asked, "name"),
			text_of(asked, "type"), text_of(asked, "answer"));
	json_array_foreach(records, i, r)
		printf("        asked %s %s: %s\n", text_of(asked, "name"),
			text_of(asked, "type"), json_string_value(r));
}

static void
print_result(const json_t *r)
{
	const char *reason = text_of(r, "reason");

	printf("        %s=%s: %s%s%s%s\n", text_of(r, "method"),
		text_of(r, "value"), text_of(r, "means"), *reason ? " (" : "",
		reason, *reason ? ")" : "");
}

static void
print_filter(const json_t *f)
{
	const char *text = text_of(f, "text");
	const json_t *edit, *one;
	size_t i;

	printf("    %-16s %-10s %s%s%s\n", text_of(f, "filter"),
		text_of(f, "hook"), text_of(f, "verdict"), *text ? ": " : "",
		text);
	json_array_foreach(json_object_get(f, "asked"), i, one)
		print_asked(one);
	json_array_foreach(json_object_get(f, "results"), i, one)
		print_result(one);
	json_array_foreach(json_object_get(f, "edits"), i, edit)
		printf("        %s: %s%s%s\n", text_of(edit, "edit"),
			text_of(edit, "name"), *text_of(edit, "value") ?
			": " : "", text_of(edit, "value"));
}

static void
print_place(const json_t *p)
{
	if (!strcmp(text_of(p, "kind"), "mailbox"))
		printf("  %s of %s\n", text_of(p, "mailbox"),
			text_of(p, "account"));
	else
		printf("  queue, for %s by way of %s%s%s\n",
			text_of(p, "recipient"), text_of(p, "next_hop"),
			json_is_true(json_object_get(p, "held")) ?
			"; held: " : "", text_of(p, "reason"));
}

void
explain_print(const json_t *run)
{
	const char *who = text_of(run, "discarded_by");
	const json_t *step, *filter, *place;
	size_t i, k;

	json_array_foreach(json_object_get(run, "steps"), i, step) {
		printf("%s\n", text_of(step, "command"));
		json_array_foreach(json_object_get(step, "filters"), k, filter)
			print_filter(filter);
		printf("  %s\n", text_of(step, "answer"));
	}
	if (!json_is_true(json_object_get(run, "accepted"))) {
		printf("refused: %s\n", text_of(run, "reply"));
		return;
	}
	puts(*who ? "taken, and dropped:" : "taken:");
	if (*who)
		printf("  by %s\n", who);
	json_array_foreach(json_object_get(run, "places"), i, place)
		print_place(place);
}
