/*
 * cli_queue.c - mailroom queue: what waits to go out, and why.
 *
 * Changes are made in the store; the runner hears of them from it.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "mail/header.h"
#include "proc/cli_queue_pick.h"
#include "queue/remedy.h"

#define HEADERS_SHOWN 16384
#define KICK_KEPT_MS 86400000

static const char *
state_name(uint32_t state)
{
	return state == MR_HELD ? "held" :
		state == MR_CLAIMED ? "being delivered" : "queued";
}

static const struct remedy *
remedy_of(const struct mr_queue_item *i)
{
	return i->state == MR_HELD ? NULL : remedy_find(str_from(i->reply));
}

static json_t *
item_json(const struct mr_queue_item *i)
{
	const struct remedy *r = remedy_of(i);

	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:I, s:I,"
		" s:I, s:s, s:s, s:s?, s:s?, s:s?}",
		"id", (json_int_t)i->id, "message", i->trace,
		"state", state_name(i->state), "sender", i->sender,
		"recipient", i->rcpt, "next_hop", i->next_hop,
		"size", (json_int_t)i->length, "attempts", (int)i->attempts,
		"created_ms", (json_int_t)i->created_ms,
		"next_ms", (json_int_t)i->next_ms,
		"expire_ms", (json_int_t)i->expire_ms,
		"reply", i->reply ? i->reply : "",
		"arguments", i->dsn ? i->dsn : "",
		"known_as", r ? r->name : NULL, "cause", r ? r->cause : NULL,
		"advice", r ? r->admin : NULL);
}

/* --------------------------------------------------------------- looking */

/* Why an entry waits though it is due: "UNTIL_MS REASON" of its destination,
 * or "". */
struct down {
	int64_t until_ms;
	char reason[300];
};

static void
note_down(void *arg, struct mr_str value)
{
	struct down *d = arg;
	struct str text = str_of(value.at, value.len);
	uint64_t until = 0;

	if (!str_u64(str_cut(&text, ' '), INT64_MAX, &until))
		return;
	d->until_ms = (int64_t)until;
	snprintf(d->reason, sizeof d->reason, "%.*s", STR_ARGS(text));
}

static bool
find_down(const struct cli *c, const struct mr_queue_item *i, struct down *out)
{
	struct str domain = str_from(i->next_hop);
	const struct nexthop *hop = nexthop_find(&c->config->routes, domain,
		str_from(i->sender));
	char key[sizeof QUEUE_DOWN + NEXTHOP_KEY], name[NEXTHOP_KEY];
	struct mr_error me;

	*out = (struct down){0};
	nexthop_key(hop, *c->config->queue.smarthost, domain, name);
	snprintf(key, sizeof key, QUEUE_DOWN "%s", name);
	c->store.op->state_get(c->store.self, QUEUE_SPACE, key, clock_wall(),
		note_down, out, &me);
	return out->until_ms > clock_wall();
}

static void
print_item(const struct cli *c, const struct mr_queue_item *i)
{
	char size[32], next[32];
	struct down down;
	bool is_due = i->state == MR_QUEUED && i->next_ms <= clock_wall();

	cli_size(i->length, size);
	cli_when(i->next_ms, next);
	printf("%6lld  %-14s %9s  <%s> -> <%s>\n        %s, %u attempt%s%s%s\n",
		(long long)i->id, i->trace, size, i->sender, i->rcpt,
		state_name(i->state), i->attempts,
		i->attempts == 1 ? "" : "s",
		i->state == MR_HELD ? "" : is_due ? ", due now" : ", next ",
		i->state == MR_HELD || is_due ? "" : next);
	if (i->reply && *i->reply)
		printf("        %s\n", i->reply);
	if (i->state != MR_QUEUED || !find_down(c, i, &down))
		return;
	cli_when(down.until_ms, next);
	printf("        its destination does not answer (%s), tried again "
		"%s\n", down.reason, next);
}

static int
print_items(struct cli *c, const struct pick *p,
	int (*more)(struct cli *c, const struct mr_queue_item *i))
{
	json_t *list = json_array();
	int code = 0;
	size_t i;

	for (i = 0; i < p->n && code == 0; i++) {
		if (c->json) {
			json_array_append_new(list, item_json(&p->item[i]));
			continue;
		}
		print_item(c, &p->item[i]);
		if (more)
			code = more(c, &p->item[i]);
	}
	if (c->json)
		return cli_print_json(list);
	json_decref(list);
	return code;
}

static int
queue_list(struct cli *c, int argc, char **argv)
{
	struct pick p;
	int code = pick_args(c, argc, argv, &p);

	if (code == 0)
		code = pick_items(c, &p);
	if (code == 0)
		code = print_items(c, &p, NULL);
	if (code == 0 && !c->json && !p.n)
		puts(pick_is_empty(&p) ? "the queue is empty" :
			"nothing in the queue fits");
	pick_free(&p);
	return code;
}

/* The header section, as far as one block goes. */
static int
show_headers(struct cli *c, const struct mr_queue_item *i)
{
	struct mr_error me = {{0}};
	struct header_field f;
	char block[HEADERS_SHOWN];
	struct str in;
	uint64_t length;
	int64_t n;
	void *body;
	int code = c->store.op->body_open(c->store.self, i->message_id, &body,
		&length, &me);

	if (code)
		return cli_fail_store("reading the message", code, &me);
	n = c->store.op->body_read(body, 0, block, sizeof block, &me);
	c->store.op->body_close(body);
	if (n < 0)
		return cli_fail_store("reading the message", MR_STORE_FAILED,
			&me);
	in = str_of(block, (size_t)n);
	puts("");
	while (header_next(&in, &f))
		printf("        %.*s:%.*s\n", STR_ARGS(f.name),
			STR_ARGS(f.value));
	return 0;
}

/* What the other side's words mean, and what they were about. */
static int
explain_item(struct cli *c, const struct mr_queue_item *i)
{
	const struct remedy *r = remedy_of(i);

	if (r)
		printf("        means: %s\n", r->cause);
	if (r && r->admin)
		printf("        helps: %s\n", r->admin);
	return show_headers(c, i);
}

static int
queue_show(struct cli *c, int argc, char **argv)
{
	struct pick p;
	int code = pick_args(c, argc, argv, &p);

	if (code == 0 && pick_is_empty(&p))
		code = cli_usage(c, "which entry?");
	if (code == 0)
		code = pick_items(c, &p);
	if (code == 0)
		code = print_items(c, &p, explain_item);
	pick_free(&p);
	return code;
}

/* ---------------------------------------------------------------- acting */

#define BATCH 1000	/* entries in one transaction */

static int
say_count(struct cli *c, const char *done, unsigned n)
{
	if (c->json)
		return cli_print_json(json_pack("{s:i}", done, (int)n));
	printf("%u %s\n", n, done);
	return 0;
}

/* Numbers of the next batch. */
static size_t
list_ids(const struct pick *p, size_t from, int64_t *id)
{
	size_t n;

	for (n = 0; n < BATCH && from + n < p->n; n++)
		id[n] = p->item[from + n].id;
	return n;
}

static size_t
count_claimed(const struct pick *p)
{
	size_t i, n = 0;

	for (i = 0; i < p->n; i++)
		n += p->item[i].state == MR_CLAIMED;
	return n;
}

static int
change_items(struct cli *c, const struct pick *p,
	const struct mr_queue_change *how, uint32_t *n)
{
	struct mr_queue_change some_of = *how;
	struct mr_error me = {{0}};
	int64_t id[BATCH];
	uint32_t some;
	size_t at;
	int code;

	some_of.size = sizeof some_of;
	some_of.id = id;
	for (at = 0, *n = 0; at < p->n; at += some_of.n) {
		some_of.n = list_ids(p, at, id);
		code = store_queue_change(&c->store, &some_of, &some, &me);
		if (code)
			return cli_fail_store(c->verb->verb, code, &me);
		*n += some;
	}
	if (*n == 0 && p->n && count_claimed(p) == p->n) {
		fprintf(stderr, "mailroom: %s: being delivered now\n",
			c->verb->verb);
		return 1;
	}
	return 0;
}

/* The runner tries destinations at once that it had left alone. */
static void
kick_runner(struct cli *c)
{
	struct mr_error me;
	char text[32];
	int n = snprintf(text, sizeof text, "%lld", (long long)clock_wall());

	c->store.op->state_set(c->store.self, QUEUE_SPACE, QUEUE_KICK,
		(struct mr_str){text, (size_t)n}, clock_wall() + KICK_KEPT_MS,
		&me);
}

/* Picks what the arguments say and changes it. */
static int
act(struct cli *c, int argc, char **argv, struct mr_queue_change *how,
	const char *done)
{
	struct pick p;
	uint32_t n = 0;
	int code = pick_args(c, argc, argv, &p);

	if (code == 0 && pick_is_empty(&p) && how->op != MR_QUEUE_RETRY)
		code = cli_usage(c, "which entries? \"all\" means all");
	if (code == 0)
		code = pick_items(c, &p);
	if (code == 0 && how->op == MR_QUEUE_RETRY)
		kick_runner(c);
	if (code == 0)
		code = change_items(c, &p, how, &n);
	pick_free(&p);
	return code ? code : say_count(c, done, n);
}

static int
queue_retry(struct cli *c, int argc, char **argv)
{
	struct mr_queue_change how = {.op = MR_QUEUE_RETRY,
		.next_ms = clock_wall()};

	return act(c, argc, argv, &how, "due now");
}

static int
queue_hold(struct cli *c, int argc, char **argv)
{
	struct mr_queue_change how = {.op = MR_QUEUE_HOLD};

	return act(c, argc, argv, &how, "held");
}

static int
queue_release(struct cli *c, int argc, char **argv)
{
	struct mr_queue_change how = {.op = MR_QUEUE_RELEASE,
		.next_ms = clock_wall()};

	return act(c, argc, argv, &how, "released");
}

static int
queue_requeue(struct cli *c, int argc, char **argv)
{
	struct mr_queue_change how = {.op = MR_QUEUE_REQUEUE,
		.next_ms = clock_wall()};

	if (cli_need_config(c))
		return 1;
	how.expire_ms = how.next_ms + c->config->queue.lifetime;
	return act(c, argc, argv, &how, "queued anew");
}

static int
drop_items(struct cli *c, const struct pick *p, unsigned *n)
{
	static struct mr_fate fate[BATCH];
	struct mr_error me = {{0}};
	int64_t id[BATCH];
	size_t at, some, i;
	int code;

	for (at = 0; at < p->n; at += some) {
		some = list_ids(p, at, id);
		for (i = 0; i < some; i++)
			fate[i] = (struct mr_fate){.id = id[i],
				.kind = MR_FATE_DROPPED,
				.reply = "dropped by the administrator"};
		code = c->store.op->queue_settle(c->store.self, fate, some,
			NULL, &me);
		if (code && code != MR_STORE_MISSING)	/* gone meanwhile */
			return cli_fail_store("queue drop", code, &me);
		*n += (unsigned)some;
	}
	return 0;
}

static int
queue_drop(struct cli *c, int argc, char **argv)
{
	struct pick p;
	unsigned n = 0;
	int code = pick_args(c, argc, argv, &p);

	if (code == 0 && pick_is_empty(&p))
		code = cli_usage(c, "which entries? \"all\" means all");
	if (code == 0)
		code = pick_items(c, &p);
	if (code == 0)
		code = drop_items(c, &p, &n);
	pick_free(&p);
	return code ? code : say_count(c, "dropped", n);
}

#define MANY PICK_ARGS_MOST

const struct cli_verb cli_queue_verbs[] = {
	{"queue", "list", 0, MANY, queue_list, PICK_ARGS,
		"what waits to go out"},
	{"queue", "show", 1, MANY, queue_show, "NUMBER ...",
		"entries and their messages' headers"},
	{"queue", "retry", 0, MANY, queue_retry, "[all | as list]",
		"attempt again now"},
	{"queue", "flush", 0, MANY, queue_retry, "[as list]",
		"the same"},
	{"queue", "hold", 1, MANY, queue_hold, "all | as list",
		"keep entries until they are released"},
	{"queue", "release", 1, MANY, queue_release, "all | as list",
		"let held entries go"},
	{"queue", "requeue", 1, MANY, queue_requeue, "all | as list",
		"forget their attempts and age"},
	{"queue", "drop", 1, MANY, queue_drop, "all | as list",
		"remove entries; nobody is told"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
