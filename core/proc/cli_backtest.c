/*
 * cli_backtest.c - mailroom filter backtest: what a filter would have done
 * with mail that is in mailboxes, against where it ended up.
 *
 * Each message goes through a session with this filter alone. The envelope is
 * what the message's trace says: Return-Path, and our Received field with the
 * client's name and address; both are taken off, for they were not there when
 * it came. A message that has them not gets guesses, and is counted.
 */
#include "proc/cli.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/addr.h"
#include "mail/header.h"
#include "proc/chains.h"
#include "proc/cli_dry.h"
#include "proc/explain.h"

#define ACCOUNTS_MOST 1000
#define SHOWN_MOST 20
#define DAY_MS 86400000

/* What the filter would have done. */
enum outcome { LET_PASS, EDITED, HELD, DROPPED, PUT_OFF, REFUSED, OUTCOMES };

static const struct {
	const char *name, *verdict;
} outcomes[OUTCOMES] = {
	[LET_PASS] = {"passed", "pass"}, [EDITED] = {"edited", NULL},
	[HELD] = {"held", "quarantine"}, [DROPPED] = {"dropped", "discard"},
	[PUT_OFF] = {"put off", "tempfail"}, [REFUSED] = {"refused", "reject"},
};

struct one {			/* a stored message */
	uint32_t uid;
	int64_t id, received_ms;
};

struct envelope_of {
	const char *sender, *helo, *ip;
	bool guessed;
	struct str text;	/* without our trace */
};

struct backtest {
	struct cli *cli;
	struct house house;
	const char *name;
	const char *mailbox[64];
	size_t n_mailbox;
	int64_t since;		/* wall clock */
	const char *account;	/* of the messages at hand */
	unsigned count[64][OUTCOMES];
	unsigned n, guessed, odd;
	int64_t took_ms;
	json_t *list;		/* of those that look wrong */
};

/* ---------------------------------------------------------------- arguments */

/* "60d", "12h" */
static bool
read_since(const char *text, int64_t *out)
{
	char *end;
	int64_t n = strtoll(text, &end, 10);

	if (n < 1 || (strcmp(end, "d") && strcmp(end, "h")))
		return false;
	*out = clock_wall() - n * (*end == 'd' ? DAY_MS : DAY_MS / 24);
	return true;
}

static bool
read_mailboxes(struct backtest *b, const char *text)
{
	struct str rest = str_from(text);

	b->n_mailbox = 0;
	while (rest.len && b->n_mailbox < 64)
		b->mailbox[b->n_mailbox++] = arena_cstr(
			&b->cli->config->arena,
			str_trim(str_cut(&rest, ',')));
	return !rest.len && b->n_mailbox;
}

static int
take_options(struct backtest *b, int argc, char **argv)
{
	int i;

	b->name = argv[0];
	read_mailboxes(b, "INBOX,Junk");
	for (i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			return cli_usage(b->cli, "an option without its "
				"value");
		if (!strcmp(argv[i], "--account"))
			b->account = argv[i + 1];
		else if (strcmp(argv[i], "--mailbox") == 0 ?
			!read_mailboxes(b, argv[i + 1]) :
			strcmp(argv[i], "--since") ||
			!read_since(argv[i + 1], &b->since))
			return cli_usage(b->cli, "--mailbox takes names "
				"divided by commas, --since 60d or 12h");
	}
	return 0;
}

/* Only the filter in question, in every direction. */
static int
choose_filter(struct backtest *b)
{
	struct plugin *p = plugins_find(&b->cli->plugins, b->name);
	struct plugin **only = arena_alloc(&b->cli->config->arena,
		sizeof *only);
	struct err e = {0};
	int d;

	if (!p || !PLUG_ROLE(p->desc, filter)) {
		err_set(&e, ERR_MISSING, "no filter `%s` stands in a [chain]; "
			"with mode = \"observe\" it does no harm there",
			b->name);
		return cli_fail("filter backtest", &e);
	}
	*only = p;
	for (d = 0; d < CHAINS; d++) {
		b->house.chain[d].item = only;
		b->house.chain[d].n = 1;
	}
	return 0;
}

/* ------------------------------------------------------------- the envelope */

/* "from HELO (name [IP])": what stands in brackets. */
static const char *
bracketed(struct str value, struct arena *a)
{
	size_t from = str_find(value, '['), to;

	if (from == value.len)
		return NULL;
	value = str_sub(value, from + 1, value.len);
	to = str_find(value, ']');
	if (to == value.len)
		return NULL;
	value = str_sub(value, 0, to);
	return arena_cstr(a, str_istarts(value, "IPv6:") ?
		str_sub(value, 5, value.len) : value);
}

static const char *
word_after(struct str value, const char *word, struct arena *a)
{
	value = str_trim(value);
	if (!str_istarts(value, word))
		return NULL;
	value = str_sub(value, strlen(word), value.len);
	return arena_cstr(a, str_cut(&value, ' '));
}

static void
take_trace(struct envelope_of *v, const struct header_field *f,
	struct arena *a)
{
	struct str value = header_unfold(a, f->value);

	if (str_iis(f->name, "Return-Path")) {
		if (value.len > 1 && *value.at == '<' &&
			value.at[value.len - 1] == '>')
			v->sender = arena_cstr(a, str_sub(value, 1,
				value.len - 2));
		return;
	}
	v->ip = bracketed(value, a);
	v->helo = word_after(value, "from ", a);
}

/* Our trace stands on top: up to and with the first Received. */
static void
read_envelope(struct envelope_of *v, struct str all, struct arena *a)
{
	struct str rest = all;
	struct header_field f;

	*v = (struct envelope_of){.text = all};
	while (header_next(&rest, &f)) {
		bool received = str_iis(f.name, "Received");

		if (received || str_iis(f.name, "Return-Path"))
			take_trace(v, &f, a);
		else if (!str_iis(f.name, "Authentication-Results") &&
			!str_iis(f.name, "Delivered-To"))
			break;
		v->text = rest;
		if (received)
			break;
	}
	v->guessed = !v->sender || !v->ip || !v->helo;
	v->sender = v->sender ? v->sender : "sender@example.net";
	v->helo = v->helo ? v->helo : "client.example.net";
	v->ip = v->ip ? v->ip : "192.0.2.1";
}

/* ------------------------------------------------------------- one message */

static int
read_body(struct backtest *b, int64_t id, struct arena *a, struct str *out)
{
	const struct mr_store *op = b->cli->store.op;
	struct mr_error me = {{0}};
	uint64_t length, at = 0;
	int64_t n = 1;
	void *body;
	char *text;

	if (op->body_open(b->cli->store.self, id, &body, &length, &me) !=
		MR_STORE_OK)
		return cli_fail_store("reading a message", MR_STORE_FAILED,
			&me);
	text = arena_alloc(a, length + 1);
	while (at < length && n > 0) {
		n = op->body_read(body, at, text + at, length - at, &me);
		at += n > 0 ? (uint64_t)n : 0;
	}
	op->body_close(body);
	*out = str_of(text, at);
	return n < 0 ? cli_fail_store("reading a message", MR_STORE_FAILED,
		&me) : 0;
}

static enum outcome
outcome_named(const char *verdict)
{
	int i;

	for (i = HELD; i < OUTCOMES; i++)
		if (!strcmp(verdict, outcomes[i].verdict))
			return (enum outcome)i;
	return strcmp(verdict, "hangup") ? LET_PASS : PUT_OFF;
}

/* The strongest of what it said, and its words. */
static enum outcome
read_outcome(const json_t *run, const char **text)
{
	enum outcome worst = LET_PASS, o;
	const json_t *step, *f;
	size_t i, k;

	*text = "";
	json_array_foreach(json_object_get(run, "steps"), i, step)
		json_array_foreach(json_object_get(step, "filters"), k, f) {
			o = outcome_named(json_string_value(
				json_object_get(f, "verdict")));
			if (o == LET_PASS && json_array_size(
				json_object_get(f, "edits")))
				o = EDITED;
			if (o <= worst)
				continue;
			worst = o;
			*text = json_string_value(json_object_get(f, "text"));
		}
	return worst;
}

/* Kept from people though they have it among their mail, or let through
 * though it lies in Junk. */
static bool
is_odd(const char *mailbox, enum outcome o)
{
	bool is_junk = !strcasecmp(mailbox, "Junk") ||
		!strcasecmp(mailbox, "Spam");

	return is_junk ? o <= EDITED : o >= HELD;
}

static void
note(struct backtest *b, const struct one *m, const char *mailbox,
	enum outcome o, const char *text, struct str message)
{
	struct header_field f;
	struct str subject = STR("");
	struct arena a;
	json_t *shown;

	if (!is_odd(mailbox, o))
		return;
	b->odd++;
	if (json_array_size(b->list) >= SHOWN_MOST)
		return;
	arena_init(&a);
	if (header_find(message, "Subject", &f))
		subject = str_sub(header_unfold(&a, f.value), 0, 60);
	shown = json_stringn(subject.at, subject.len);
	json_array_append_new(b->list, json_pack(
		"{ss ss sI sI ss ss s:o}", "account", b->account, "mailbox",
		mailbox, "uid", (json_int_t)m->uid, "received_ms",
		(json_int_t)m->received_ms, "outcome", outcomes[o].name,
		"text", text, "subject", shown ? shown :
		json_string("(not UTF-8)")));
	arena_free(&a);
}

static int
try_message(struct backtest *b, const struct one *m, size_t mailbox)
{
	struct smtp_dry d = {.house = &b->house, .login = "", .listener =
		cli_dry_listener(b->cli->config, false)};
	struct envelope_of v;
	struct err e = {0};
	struct arena a;
	struct str all;
	const char *text;
	json_t *run = NULL;
	int64_t start;
	int code;

	arena_init(&a);
	code = read_body(b, m->id, &a, &all);
	if (code)
		goto out;
	read_envelope(&v, all, &a);
	d.message = v.text;
	d.sender = v.sender;
	d.helo = v.helo;
	d.rcpt = &b->account;
	d.n_rcpt = 1;
	start = clock_mono();
	if (cli_dry_peer(v.ip, &d.peer, &e) < 0 || !(run = explain_run(&d,
		&e))) {
		code = cli_fail("filter backtest", &e);
		goto out;
	}
	b->took_ms += clock_mono() - start;
	b->n++;
	b->guessed += v.guessed;
	code = (int)read_outcome(run, &text);
	b->count[mailbox][code]++;
	note(b, m, b->mailbox[mailbox], (enum outcome)code, text, v.text);
	code = 0;
out:
	json_decref(run);
	arena_free(&a);
	return code;
}

/* --------------------------------------------------------------- mailboxes */

struct gathering {
	struct one *item;
	size_t n, room;
	int64_t since;
};

static int
gather(void *arg, const struct mr_row *row)
{
	struct gathering *g = arg;

	if (row->received_ms < g->since)
		return 0;
	if (g->n == g->room) {
		g->room = g->room ? g->room * 2 : 256;
		g->item = mem_grow(g->item, g->room * sizeof *g->item);
	}
	g->item[g->n++] = (struct one){row->uid, row->message_id,
		row->received_ms};
	return 0;
}

static int
try_mailbox(struct backtest *b, size_t mailbox)
{
	const struct mr_store *op = b->cli->store.op;
	struct gathering g = {.since = b->since};
	struct mr_mailbox box = {0};
	struct mr_error me = {{0}};
	int code = op->mailbox_find(b->cli->store.self, b->account,
		b->mailbox[mailbox], &box, &me);
	size_t i;

	if (code == MR_STORE_MISSING)
		return 0;
	if (code == MR_STORE_OK)
		code = op->scan(b->cli->store.self, box.id, NULL, 0, 0,
			MR_ROW_MESSAGE, gather, &g, &me);
	if (code != MR_STORE_OK)
		code = cli_fail_store(b->mailbox[mailbox], code, &me);
	for (i = 0; i < g.n && !code; i++)
		code = try_message(b, &g.item[i], mailbox);
	free(g.item);
	return code;
}

struct accounts {
	const char *name[ACCOUNTS_MOST];
	size_t n;
	struct arena *a;
};

static int
add_account(void *arg, const struct mr_account *account)
{
	struct accounts *all = arg;

	if (all->n == ACCOUNTS_MOST)
		return 1;
	all->name[all->n++] = arena_cstr(all->a, str_from(account->name));
	return 0;
}

static int
try_account(struct backtest *b)
{
	int code = 0;
	size_t i;

	for (i = 0; i < b->n_mailbox && !code; i++)
		code = try_mailbox(b, i);
	return code;
}

static int
try_all(struct backtest *b)
{
	struct accounts all = {.a = &b->cli->config->arena};
	struct mr_error me = {{0}};
	int code;
	size_t i;

	if (b->account)
		return try_account(b);
	code = b->cli->store.op->account_list(b->cli->store.self, add_account,
		&all, &me);
	if (code != MR_STORE_OK && code != MR_STORE_STOPPED)
		return cli_fail_store("accounts", code, &me);
	code = 0;
	for (i = 0; i < all.n && !code; i++) {
		b->account = all.name[i];
		code = try_account(b);
	}
	return code;
}

/* ------------------------------------------------------------------ output */

static json_t *
table_json(const struct backtest *b)
{
	json_t *table = json_object(), *row;
	size_t i;
	int o;

	for (i = 0; i < b->n_mailbox; i++) {
		row = json_object();
		for (o = 0; o < OUTCOMES; o++)
			json_object_set_new(row, outcomes[o].name,
				json_integer(b->count[i][o]));
		json_object_set_new(table, b->mailbox[i], row);
	}
	return table;
}

static void
print_list(const struct backtest *b)
{
	const json_t *m;
	size_t i;

	if (b->odd)
		printf("\n%u look wrong%s:\n", b->odd, b->odd > SHOWN_MOST ?
			", the first of them" : "");
	json_array_foreach(b->list, i, m)
		printf("  %s %s %lld: %s%s%s \"%s\"\n",
			json_string_value(json_object_get(m, "account")),
			json_string_value(json_object_get(m, "mailbox")),
			(long long)json_integer_value(
				json_object_get(m, "uid")),
			json_string_value(json_object_get(m, "outcome")),
			*json_string_value(json_object_get(m, "text")) ?
			", " : "",
			json_string_value(json_object_get(m, "text")),
			json_string_value(json_object_get(m, "subject")));
}

static int
print_all(struct backtest *b)
{
	size_t i;
	int o;

	if (b->cli->json)
		return cli_print_json(json_pack("{si si si sI so sO}",
			"messages", (int)b->n, "guessed", (int)b->guessed,
			"odd", (int)b->odd, "took_ms",
			(json_int_t)b->took_ms, "mailboxes", table_json(b),
			"list", b->list));
	printf("%-20s", "it lies in");
	for (o = 0; o < OUTCOMES; o++)
		printf(" %8s", outcomes[o].name);
	for (i = 0; i < b->n_mailbox; i++) {
		printf("\n%-20s", b->mailbox[i]);
		for (o = 0; o < OUTCOMES; o++)
			printf(" %8u", b->count[i][o]);
	}
	printf("\n\n%u messages, %.1f ms each; of %u the envelope was "
		"guessed\n", b->n, b->n ? (double)b->took_ms / b->n : 0.0,
		b->guessed);
	print_list(b);
	return 0;
}

static int
filter_backtest(struct cli *c, int argc, char **argv)
{
	struct backtest b = {.cli = c, .house = {.hostname = NULL}};
	int code;

	log_open(2, LOG_ERROR, false, role_name(ROLE_CLI));
	if (!cli_dry_open(c, &b.house))
		return 1;
	c->store = b.house.store;
	b.list = json_array();
	code = take_options(&b, argc, argv);
	if (!code)
		code = choose_filter(&b);
	if (!code)
		code = try_all(&b);
	if (!code)
		code = print_all(&b);
	json_decref(b.list);
	dns_free(b.house.dns);
	return code;
}

const struct cli_verb cli_backtest_verbs[] = {
	{"filter", "backtest", 1, 7, filter_backtest,
		"NAME [--mailbox INBOX,Junk] [--since 60d] [--account A]",
		"what it would have done with mail that is here"},
	{NULL, NULL, 0, 0, NULL, NULL, NULL},
};
