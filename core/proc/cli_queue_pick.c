/*
 * cli_queue_pick.c - filters over the queue. The whole queue is read once and
 * what fits is copied: the store is not held open while it is acted upon.
 */
#include "proc/cli_queue_pick.h"

#include "base/clock.h"
#include "base/conf_tree.h"

/* --------------------------------------------------------------- arguments */

static bool
is_name(struct str s)
{
	uint64_t n;
	size_t i;

	if (str_u64(s, INT64_MAX, &n))
		return n > 0;
	for (i = 0; i < s.len && is_alnum(s.at[i]); i++)
		;
	return i == s.len && s.len == 14;
}

static bool
take_state(struct pick *p, const char *value)
{
	static const char *const names[] = {[MR_QUEUED] = "queued",
		[MR_CLAIMED] = "delivering", [MR_HELD] = "held"};
	uint32_t i;

	for (i = MR_QUEUED; i <= MR_HELD; i++)
		if (!strcmp(names[i], value))
			p->state = i;
	return p->state != 0;
}

static bool
take_option(struct pick *p, const char *name, const char *value)
{
	const struct {
		const char *name;
		struct str *into;
	} rows[] = {{"--to", &p->to}, {"--from", &p->from},
		{"--domain", &p->domain}};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!strcmp(rows[i].name, name)) {
			*rows[i].into = str_from(value);
			return true;
		}
	if (!strcmp(name, "--older"))
		return conf_parse_duration(str_from(value), &p->older_ms);
	return !strcmp(name, "--state") && take_state(p, value);
}

int
pick_args(struct cli *c, int argc, char **argv, struct pick *p)
{
	int i;

	memset(p, 0, sizeof *p);
	arena_init(&p->arena);
	p->now_ms = clock_wall();
	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "all"))
			p->all = true;
		else if (is_name(str_from(argv[i])))
			p->name[p->n_name++] = str_from(argv[i]);
		else if (strncmp(argv[i], "--", 2))
			return cli_usage(c, "a queue entry is named by its "
				"number, a message by its id");
		else if (i + 1 == argc || !take_option(p, argv[i],
			argv[i + 1]))
			return cli_usage(c, "unknown option, or a value that "
				"it cannot have");
		else
			i++;
	}
	return 0;
}

bool
pick_is_empty(const struct pick *p)
{
	return !p->all && !p->n_name && !p->to.at && !p->from.at &&
		!p->domain.at && !p->older_ms && !p->state;
}

/* ---------------------------------------------------------------- fitting */

/* WHO is an address, a domain, "@domain", or "<>". */
static bool
is_who(struct str who, const char *address)
{
	struct str a = str_from(address);
	size_t at = str_rfind(a, '@');

	if (!who.at)
		return true;
	if (str_is(who, "<>"))
		return a.len == 0;
	if (str_starts(who, "@"))
		who = str_sub(who, 1, who.len);
	return str_ieq(who, a) || (at < a.len &&
		str_ieq(who, str_sub(a, at + 1, a.len)));
}

static bool
is_named(const struct pick *p, const struct mr_queue_item *i)
{
	uint64_t number;
	size_t k;

	for (k = 0; k < p->n_name; k++)
		if (str_is(p->name[k], i->trace) ||
			(str_u64(p->name[k], INT64_MAX, &number) &&
			(int64_t)number == i->id))
			return true;
	return p->n_name == 0;
}

/* A lease that ran out counts as queued, as in the store. */
static uint32_t
state_of(const struct pick *p, const struct mr_queue_item *i)
{
	return i->state == MR_CLAIMED && i->next_ms <= p->now_ms ? MR_QUEUED :
		i->state;
}

static bool
fits(const struct pick *p, const struct mr_queue_item *i)
{
	return is_named(p, i) && is_who(p->to, i->rcpt) &&
		is_who(p->from, i->sender) &&
		(!p->domain.at || str_iis(p->domain, i->next_hop)) &&
		(!p->older_ms || i->created_ms <= p->now_ms - p->older_ms) &&
		(!p->state || state_of(p, i) == p->state);
}

static const char *
keep(struct pick *p, const char *text)
{
	return text ? arena_cstr(&p->arena, str_from(text)) : NULL;
}

static int
take_item(void *arg, const struct mr_queue_item *i)
{
	struct pick *p = arg;
	struct mr_queue_item *kept;

	if (!fits(p, i))
		return 0;
	if (p->n == p->room) {
		p->room = p->room ? p->room * 2 : 64;
		p->item = mem_grow(p->item, p->room * sizeof *p->item);
	}
	kept = &p->item[p->n++];
	*kept = *i;
	kept->trace = keep(p, i->trace);
	kept->sender = keep(p, i->sender);
	kept->rcpt = keep(p, i->rcpt);
	kept->next_hop = keep(p, i->next_hop);
	kept->dsn = keep(p, i->dsn);
	kept->reply = keep(p, i->reply);
	return 0;
}

/* One entry by its number is asked for alone. */
static int64_t
only_id(const struct pick *p)
{
	uint64_t n = 0;

	if (p->n_name != 1 || !str_u64(p->name[0], INT64_MAX, &n))
		return 0;
	return (int64_t)n;
}

int
pick_items(struct cli *c, struct pick *p)
{
	const char *what = c->verb->verb;
	struct mr_error me = {{0}};
	int code;

	if (cli_need_store(c))
		return 1;
	code = c->store.op->queue_list(c->store.self, only_id(p), take_item, p,
		&me);
	if (!code && p->n_name && !p->n)
		code = MR_STORE_MISSING;
	return code ? cli_fail_store(what, code, &me) : 0;
}

void
pick_free(struct pick *p)
{
	free(p->item);
	arena_free(&p->arena);
}
