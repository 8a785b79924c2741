/*
 * cli_trace.c - mailroom trace: the life of a message, or the messages of an
 * address, from the store's ledger.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "mail/envelope.h"

/* What a row of the ledger means to who reads it. */
static const struct {
	const char *event, *says;
} events[] = {
	{"delivered", "delivered to"}, {"queued", "queued for"},
	{"held", "held for"}, {"released", "released for"},
	{"routed", "routed again for"}, {"relayed", "sent to"},
	{"failed", "failed for"}, {"dropped", "dropped for"},
	{"deferred", "put off for"}, {"discarded", "discarded by"},
};

static const char *
says(const char *event)
{
	size_t i;

	for (i = 0; i < sizeof events / sizeof *events; i++)
		if (!strcmp(event, events[i].event))
			return events[i].says;
	return event;
}

int
cli_need_ledger(struct cli *c)
{
	if (cli_need_store(c))
		return 1;
	if (MR_HAS(c->store.op, ledger) && c->store.op->ledger)
		return 0;
	fputs("mailroom: the store plugin keeps no ledger\n", stderr);
	return 1;
}

static void
set_text(json_t *j, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(j, key, json_string(text));
}

static json_t *
event_json(const struct mr_ledger_row *row)
{
	json_t *j = json_object(), *life;
	char when[32];

	clock_iso(row->at_ms, when);
	json_object_set_new(j, "at", json_string(when));
	set_text(j, "message", row->trace);
	set_text(j, "event", row->event);
	set_text(j, "origin", row->origin);
	set_text(j, "sender", row->sender);
	set_text(j, "recipient", row->rcpt);
	set_text(j, "detail", row->detail);
	if (row->queue)
		json_object_set_new(j, "entry", json_integer(row->queue));
	if (row->uid)
		json_object_set_new(j, "uid", json_integer(row->uid));
	life = *row->life ? json_loads(row->life, 0, NULL) : NULL;
	if (life)
		json_object_set_new(j, "life", life);
	return j;
}

/* ------------------------------------------------------------- for people */

static const char *
text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

/* "  name  value", nothing for an empty value. */
static void
print_fact(const char *name, const char *value)
{
	if (*value)
		printf("  %-12s %s\n", name, value);
}

static void
print_recipients(const json_t *life)
{
	const json_t *r, *t;
	size_t i, k;

	json_array_foreach(json_object_get(life, "rcpt"), i, r) {
		printf("  %-12s %s%s%s", "recipient", text_of(r, "to"),
			*text_of(r, "args") ? " " : "", text_of(r, "args"));
		if (*text_of(r, "by_filter"))
			printf(" (%s by a filter)", text_of(r, "by_filter"));
		json_array_foreach(json_object_get(r, "leads"), k, t)
			printf("%s%s", k ? ", " : " leads to ",
				json_string_value(t));
		puts("");
	}
}

static void
print_filters(const json_t *life)
{
	const json_t *f;
	size_t i;

	json_array_foreach(json_object_get(life, "filters"), i, f)
		printf("  %-12s %s at %s: %s%s%s\n", "filter",
			text_of(f, "filter"), text_of(f, "at"),
			text_of(f, "verdict"), *text_of(f, "text") ? ", " : "",
			text_of(f, "text"));
	json_array_foreach(json_object_get(life, "results"), i, f)
		printf("  %-12s %s=%s %s\n", "result", text_of(f, "method"),
			text_of(f, "value"), text_of(f, "props"));
	json_array_foreach(json_object_get(life, "edits"), i, f)
		printf("  %-12s %s %s %s%s%s%s%s\n", "edit", text_of(f, "by"),
			text_of(f, "what"), text_of(f, "field"),
			*text_of(f, "after") ? ": " : "", text_of(f, "after"),
			*text_of(f, "before") ? ", was: " : "",
			text_of(f, "before"));
}

static void
print_life(const char *text)
{
	json_t *life = json_loads(text, 0, NULL);

	if (!life)
		return;
	printf("  %-12s %s%s%s, %s as %s\n", "client",
		text_of(life, "client"), *text_of(life, "client_name") ? " " :
		"", text_of(life, "client_name"), text_of(life, "protocol"),
		text_of(life, "helo"));
	print_fact("TLS", text_of(life, "tls"));
	print_fact("account", text_of(life, "account"));
	print_fact("listener", text_of(life, "listener"));
	print_fact("chain", text_of(life, "chain"));
	print_fact("session", text_of(life, "session"));
	printf("  %-12s <%s> %s\n", "sender", text_of(life, "sender"),
		text_of(life, "args"));
	printf("  %-12s %lld\n", "size", (long long)json_integer_value(
		json_object_get(life, "size")));
	print_fact("Message-ID", text_of(life, "message_id"));
	print_recipients(life);
	print_filters(life);
	json_decref(life);
}

static void
print_event(const struct mr_ledger_row *row, bool with_id)
{
	char when[32];

	clock_iso(row->at_ms, when);
	printf("  %.19s%s%s  %-16s %s", when, with_id ? "  " : "",
		with_id ? row->trace : "", says(row->event),
		*row->rcpt ? row->rcpt : row->detail);
	if (with_id && *row->sender)
		printf(" from <%s>", row->sender);
	if (row->queue && !with_id)
		printf(", entry %lld", (long long)row->queue);
	puts("");
	if (*row->detail && *row->rcpt)
		printf("        %s%s\n", !strcmp(row->event, "queued") ?
			"next hop " : "", row->detail);
}

/* ------------------------------------------------------------- the verbs */

struct tracing {
	const char *id;		/* NULL: of an address */
	json_t *events;		/* NULL: for people */
	unsigned n;
};

static int
take_row(void *arg, const struct mr_ledger_row *row)
{
	struct tracing *t = arg;
	bool is_own = t->id && !strcmp(t->id, row->trace);

	if (t->events) {
		json_array_append_new(t->events, event_json(row));
	} else if (t->id && !is_own) {
		printf("  %-19s  %s to %s\n", "report", row->trace, row->rcpt);
	} else {
		if (is_own && !t->n)
			printf("%s, by %s\n", row->trace, row->origin);
		if (is_own && *row->life)
			print_life(row->life);
		print_event(row, !is_own);
	}
	t->n++;
	return 0;
}

static int
trace(struct cli *c, int argc, char **argv)
{
	struct mr_ledger_query q = {.size = sizeof q};
	struct tracing t = {.events = c->json ? json_array() : NULL};
	struct mr_error me = {{0}};
	int64_t made = envelope_id_time(str_from(argv[0])), back = 0;
	int code;

	if (argc == 3 && !strcmp(argv[1], "--since") &&
		conf_parse_duration(str_from(argv[2]), &back))
		q.since_ms = clock_wall() - back;
	else if (argc > 1)
		return cli_usage(c, "how far back: --since 7d");
	if (made < 0 && !strchr(argv[0], '@'))
		return cli_usage(c, "neither the id of a message nor an "
			"address");
	if (made >= 0) {
		q.trace = t.id = argv[0];
		q.since_ms = made - 1000;
	} else {
		q.address = argv[0];
	}
	if (cli_need_ledger(c))
		return 1;
	code = c->store.op->ledger(c->store.self, &q, take_row, &t, &me);
	if (!code && !t.n) {
		snprintf(me.text, sizeof me.text, "the ledger knows nothing "
			"of %.200s", argv[0]);
		code = MR_STORE_MISSING;
	}
	if (code)
		return cli_fail_store("trace", code, &me);
	return t.events ? cli_print_json(t.events) : 0;
}

const struct cli_verb cli_trace_verbs[] = {
	{"trace", NULL, 1, 3, trace, "ID|ADDRESS [--since 7d]",
		"the whole life of a message, or an address's messages"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
