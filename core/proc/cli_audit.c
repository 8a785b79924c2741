/*
 * cli_audit.c - mailroom audit: proves from the ledger that every message
 * that was taken has exactly one fate for each recipient: delivered, relayed,
 * bounced, discarded or dropped by name, held, or still waiting.
 *
 * The ledger is walked once, the queue is listed, and what the ledger got
 * meanwhile is walked: an entry that is open in the first walk and not in the
 * list must have ended in the second.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "base/map.h"

enum fate { DELIVERED, RELAYED, BOUNCED, DISCARDED, DROPPED, HELD, WAITING,
	FATES };

static const char *const fate_names[FATES] = {"delivered", "relayed",
	"bounced", "discarded", "dropped", "held", "waiting"};

/* How an event changes a queue entry: it opens, goes on or ends. */
static const struct {
	const char *event;
	enum { OPENS, GOES_ON, ENDS } what;
	enum fate fate;		/* FATES: counted elsewhere */
} steps[] = {
	{"queued", OPENS, FATES}, {"held", OPENS, FATES},
	{"released", GOES_ON, FATES}, {"deferred", GOES_ON, FATES},
	{"routed", ENDS, FATES}, {"relayed", ENDS, RELAYED},
	{"failed", ENDS, BOUNCED}, {"dropped", ENDS, DROPPED},
};

struct entry {
	bool ended, listed, is_new;	/* new: since the list was read */
	int64_t id;
	char trace[24];
};

struct box {			/* a mailbox that was delivered to */
	int64_t id;
	uint32_t most;		/* UID */
	char trace[24];		/* whose */
};

struct audit {
	struct cli *cli;
	struct arena arena;
	struct map entries, boxes, messages;
	int64_t last_id, first_ms;
	bool again;		/* the second walk */
	uint64_t count[FATES], n_messages, n_reports, n_faults;
	json_t *faults;
};

static void
fault(struct audit *a, const char *trace, int64_t queue, const char *what)
{
	a->n_faults++;
	if (a->n_faults <= 1000)
		json_array_append_new(a->faults, json_pack("{s:s, s:I, s:s}",
			"message", trace, "entry", (json_int_t)queue, "fault",
			what));
}

static struct str
key_of(int64_t number, char out[24])
{
	return str_of(out, (size_t)snprintf(out, 24, "%lld",
		(long long)number));
}

/* ------------------------------------------------------------ the ledger */

static void
count_message(struct audit *a, const struct mr_ledger_row *row)
{
	struct str id = str_from(row->trace);

	if (map_get(&a->messages, id))
		return;
	map_put(&a->messages, id, a);
	a->n_messages++;
	a->n_reports += str_starts(str_from(row->origin), "report ");
}

static struct entry *
entry_of(struct audit *a, int64_t id, const char *trace, bool *is_new)
{
	char text[24];
	struct str key = key_of(id, text);
	struct entry *e = map_get(&a->entries, key);

	*is_new = !e;
	if (e)
		return e;
	e = arena_alloc(&a->arena, sizeof *e);
	e->id = id;
	e->is_new = a->again;
	snprintf(e->trace, sizeof e->trace, "%s", trace);
	map_put(&a->entries, key, e);
	return e;
}

static void
take_step(struct audit *a, const struct mr_ledger_row *row, size_t i)
{
	bool is_new;
	struct entry *e = entry_of(a, row->queue, row->trace, &is_new);

	if (e->ended)
		fault(a, row->trace, row->queue, steps[i].what == ENDS ?
			"a second fate" : "goes on after its fate");
	if (steps[i].what != ENDS || e->ended)
		return;
	e->ended = true;
	if (steps[i].fate != FATES)
		a->count[steps[i].fate]++;
}

/* Stores are not called during their walks: it is looked at later. */
static void
note_mailbox(struct audit *a, const struct mr_ledger_row *row)
{
	char text[24];
	struct str key = key_of(row->mailbox, text);
	struct box *b = map_get(&a->boxes, key);

	if (!b) {
		b = arena_alloc(&a->arena, sizeof *b);
		b->id = row->mailbox;
		map_put(&a->boxes, key, b);
	}
	if (row->uid < b->most)
		return;
	b->most = row->uid;
	snprintf(b->trace, sizeof b->trace, "%s", row->trace);
}

static int
take_row(void *arg, const struct mr_ledger_row *row)
{
	struct audit *a = arg;
	size_t i;

	if (!a->first_ms)
		a->first_ms = row->at_ms;
	a->last_id = row->id;
	count_message(a, row);
	if (!strcmp(row->event, "discarded")) {
		a->count[DISCARDED]++;
		if (!*row->detail)
			fault(a, row->trace, 0, "discarded by nobody");
	} else if (!strcmp(row->event, "delivered")) {
		a->count[DELIVERED]++;
		note_mailbox(a, row);
	}
	for (i = 0; i < sizeof steps / sizeof *steps; i++)
		if (row->queue && !strcmp(row->event, steps[i].event))
			take_step(a, row, i);
	return 0;
}

static int
walk(struct audit *a, struct mr_error *me)
{
	const struct store *s = &a->cli->store;
	struct mr_ledger_query q = {.size = sizeof q, .after_id = a->last_id};

	return s->op->ledger(s->self, &q, take_row, a, me);
}

/* ------------------------------------------------------------- the queue */

static int
take_item(void *arg, const struct mr_queue_item *i)
{
	struct audit *a = arg;
	bool is_new;
	struct entry *e;

	/* From before the ledger's time. */
	if (i->created_ms < a->first_ms)
		return a->count[i->state == MR_HELD ? HELD : WAITING]++, 0;
	e = entry_of(a, i->id, i->trace, &is_new);
	e->listed = true;
	/* Taken since the first walk: the second tells. */
	e->is_new |= is_new;
	if (e->ended)
		fault(a, i->trace, i->id, "has its fate and is in the queue");
	else
		a->count[i->state == MR_HELD ? HELD : WAITING]++;
	return 0;
}

static void
check_entries(struct audit *a)
{
	struct str key;
	void *value;
	size_t at = 0;

	while (map_next(&a->entries, &at, &key, &value)) {
		const struct entry *e = value;

		if (!e->ended && !e->listed && !e->is_new)
			fault(a, e->trace, e->id, "has no fate, and is not in "
				"the queue");
	}
}

/* A mailbox that is there has given out the UID; the message itself may have
 * been removed since. */
static void
check_mailboxes(struct audit *a)
{
	const struct store *s = &a->cli->store;
	struct mr_mailbox m;
	struct mr_error me;
	struct str key;
	void *value;
	size_t at = 0;

	while (map_next(&a->boxes, &at, &key, &value)) {
		const struct box *b = value;

		if (s->op->mailbox_get(s->self, b->id, &m, &me) ==
			MR_STORE_OK && m.uidnext <= b->most)
			fault(a, b->trace, 0, "delivered, and not in the "
				"mailbox");
	}
}

/* --------------------------------------------------------------- the verb */

static int
print_json(const struct audit *a)
{
	json_t *fates = json_object();
	char since[32];
	int i;

	clock_iso(a->first_ms, since);
	for (i = 0; i < FATES; i++)
		json_object_set_new(fates, fate_names[i],
			json_integer((json_int_t)a->count[i]));
	cli_print_json(json_pack("{s:s, s:I, s:I, s:o, s:I, s:O}", "since",
		since, "messages", (json_int_t)a->n_messages, "reports",
		(json_int_t)a->n_reports, "fates", fates, "fault_count",
		(json_int_t)a->n_faults, "faults", a->faults));
	return a->n_faults != 0;
}

static int
print_result(const struct audit *a)
{
	char since[32];
	json_t *f;
	size_t i;

	clock_iso(a->first_ms, since);
	printf("%llu messages since %.19s, %llu of them reports\n",
		(unsigned long long)a->n_messages, since,
		(unsigned long long)a->n_reports);
	for (i = 0; i < FATES; i++)
		printf("%10llu recipients %s\n",
			(unsigned long long)a->count[i], fate_names[i]);
	json_array_foreach(a->faults, i, f)
		printf("FAULT: %s entry %lld %s\n", json_string_value(
			json_object_get(f, "message")), (long long)
			json_integer_value(json_object_get(f, "entry")),
			json_string_value(json_object_get(f, "fault")));
	printf("%llu faults\n", (unsigned long long)a->n_faults);
	return a->n_faults != 0;
}

static int
audit(struct cli *c, int argc, char **argv)
{
	struct audit a = {.cli = c};
	struct mr_error me = {{0}};
	int code;

	(void)argc;
	(void)argv;
	if (cli_need_ledger(c))
		return 1;
	arena_init(&a.arena);
	map_init(&a.entries);
	map_init(&a.boxes);
	map_init(&a.messages);
	a.faults = json_array();
	code = walk(&a, &me);
	if (!code)
		code = c->store.op->queue_list(c->store.self, 0, take_item, &a,
			&me);
	a.again = true;
	if (!code)
		code = walk(&a, &me);
	if (!code) {
		check_entries(&a);
		check_mailboxes(&a);
		code = c->json ? print_json(&a) : print_result(&a);
	} else {
		code = cli_fail_store("audit", code, &me);
	}
	json_decref(a.faults);
	map_free(&a.messages);
	map_free(&a.boxes);
	map_free(&a.entries);
	arena_free(&a.arena);
	return code;
}

const struct cli_verb cli_audit_verbs[] = {
	{"audit", NULL, 0, 0, audit, "",
		"prove that every message has one fate; 1: it has not"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
