/*
 * cli_queue.c - mailroom queue: what waits to go out, and why.
 *
 * Changes are made in the store; the runner hears of them from it.
 */
#include "proc/cli.h"

#include "mail/header.h"
#include "queue/remedy.h"

#define HEADERS_SHOWN 16384

static const char *
state_name(uint32_t state)
{
	return state == MR_HELD ? "held" :
		state == MR_CLAIMED ? "being delivered" : "queued";
}

static int
read_id(struct cli *c, const char *text, int64_t *id)
{
	uint64_t n;

	if (!strcmp(text, "all")) {
		*id = 0;
		return 0;
	}
	if (!str_u64(str_from(text), INT64_MAX, &n) || n == 0)
		return cli_usage(c, "a queue entry is named by its number");
	*id = (int64_t)n;
	return 0;
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
		" s:I, s:s, s:s?, s:s?, s:s?}",
		"id", (json_int_t)i->id, "message", i->trace,
		"state", state_name(i->state), "sender", i->sender,
		"recipient", i->rcpt, "next_hop", i->next_hop,
		"size", (json_int_t)i->length, "attempts", (int)i->attempts,
		"created_ms", (json_int_t)i->created_ms,
		"next_ms", (json_int_t)i->next_ms,
		"expire_ms", (json_int_t)i->expire_ms,
		"reply", i->reply ? i->reply : "",
		"known_as", r ? r->name : NULL, "cause", r ? r->cause : NULL,
		"advice", r ? r->admin : NULL);
}

struct listing {
	struct cli *cli;
	json_t *list;
	unsigned n;
	int64_t message_id;
};

static int
list_item(void *arg, const struct mr_queue_item *i)
{
	struct listing *l = arg;
	char size[32], next[32];

	l->n++;
	l->message_id = i->message_id;
	if (l->list) {
		json_array_append_new(l->list, item_json(i));
		return 0;
	}
	cli_size(i->length, size);
	cli_when(i->next_ms, next);
	printf("%6lld  %-14s %9s  <%s> -> <%s>\n        %s, %u attempt%s%s%s\n",
		(long long)i->id, i->trace, size, i->sender, i->rcpt,
		state_name(i->state), i->attempts,
		i->attempts == 1 ? "" : "s",
		i->state == MR_HELD ? "" : ", next ",
		i->state == MR_HELD ? "" : next);
	if (i->reply && *i->reply)
		printf("        %s\n", i->reply);
	return 0;
}

/* What the other side's words mean. */
static int
explain_item(void *arg, const struct mr_queue_item *i)
{
	struct listing *l = arg;
	const struct remedy *r = l->list ? NULL : remedy_of(i);

	list_item(arg, i);
	if (r)
		printf("        means: %s\n", r->cause);
	if (r && r->admin)
		printf("        helps: %s\n", r->admin);
	return 0;
}

static int
queue_list(struct cli *c, int argc, char **argv)
{
	struct listing l = {.cli = c, .list = c->json ? json_array() : NULL};
	struct mr_error me = {{0}};
	int code;

	(void)argc;
	(void)argv;
	if (cli_need_store(c))
		return 1;
	code = c->store.op->queue_list(c->store.self, 0, list_item, &l, &me);
	if (code)
		return cli_fail_store("queue list", code, &me);
	if (!l.list && !l.n)
		puts("the queue is empty");
	return l.list ? cli_print_json(l.list) : 0;
}

/* The header section, as far as one block goes. */
static int
show_headers(struct cli *c, int64_t message_id)
{
	struct mr_error me = {{0}};
	struct header_field f;
	char block[HEADERS_SHOWN];
	struct str in;
	uint64_t length;
	int64_t n;
	void *body;
	int code = c->store.op->body_open(c->store.self, message_id, &body,
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

static int
queue_show(struct cli *c, int argc, char **argv)
{
	struct listing l = {.cli = c, .list = c->json ? json_array() : NULL};
	struct mr_error me = {{0}};
	int64_t id;
	int code = read_id(c, argv[0], &id);

	(void)argc;
	if (code || (code = cli_need_store(c)))
		return code;
	code = c->store.op->queue_list(c->store.self, id, explain_item, &l, &me);
	if (!code && !l.n)
		code = MR_STORE_MISSING;
	if (code)
		return cli_fail_store("queue show", code, &me);
	return l.list ? cli_print_json(l.list) : show_headers(c, l.message_id);
}

static int
say_count(struct cli *c, const char *done, unsigned n)
{
	if (c->json)
		return cli_print_json(json_pack("{s:i}", done, (int)n));
	printf("%u %s\n", n, done);
	return 0;
}

static int
queue_retry(struct cli *c, int argc, char **argv)
{
	struct mr_error me = {{0}};
	int64_t id = 0;
	uint32_t n = 0;
	int code = argc ? read_id(c, argv[0], &id) : 0;

	if (code || (code = cli_need_store(c)))
		return code;
	code = c->store.op->queue_retry(c->store.self, id, &n, &me);
	if (!code && id && !n)
		code = MR_STORE_MISSING;
	return code ? cli_fail_store("queue retry", code, &me) :
		say_count(c, "due now", n);
}

static int
queue_drop(struct cli *c, int argc, char **argv)
{
	struct mr_fate fate = {.kind = MR_FATE_DROPPED,
		.reply = "dropped by the administrator"};
	struct mr_error me = {{0}};
	int code = read_id(c, argv[0], &fate.id);

	(void)argc;
	if (!code && !fate.id)
		return cli_usage(c, "entries are dropped one by one");
	if (code || (code = cli_need_store(c)))
		return code;
	code = c->store.op->queue_settle(c->store.self, &fate, 1, NULL, &me);
	return code ? cli_fail_store("queue drop", code, &me) :
		say_count(c, "dropped", 1);
}

static int
set_hold(struct cli *c, char **argv, int hold, const char *done)
{
	struct mr_error me = {{0}};
	int64_t id;
	int code = read_id(c, argv[0], &id);

	if (!code && !id)
		return cli_usage(c, "entries are named one by one");
	if (code || (code = cli_need_store(c)))
		return code;
	code = c->store.op->queue_hold(c->store.self, id, hold, &me);
	return code ? cli_fail_store(done, code, &me) : say_count(c, done, 1);
}

static int
queue_hold(struct cli *c, int argc, char **argv)
{
	(void)argc;
	return set_hold(c, argv, 1, "held");
}

static int
queue_release(struct cli *c, int argc, char **argv)
{
	(void)argc;
	return set_hold(c, argv, 0, "released");
}

const struct cli_verb cli_queue_verbs[] = {
	{"queue", "list", 0, 0, queue_list, "", "what waits to go out"},
	{"queue", "show", 1, 1, queue_show, "NUMBER",
		"one entry and its message's header"},
	{"queue", "retry", 0, 1, queue_retry, "[NUMBER|all]",
		"attempt again now"},
	{"queue", "hold", 1, 1, queue_hold, "NUMBER",
		"keep an entry until it is released"},
	{"queue", "release", 1, 1, queue_release, "NUMBER",
		"let a held entry go"},
	{"queue", "drop", 1, 1, queue_drop, "NUMBER",
		"remove an entry; nobody is told"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
