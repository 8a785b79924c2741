/*
 * route.c - where an address leads, by the directory.
 *
 * In this order: the account of that name; aliases of that name; both again
 * without the tag (user+tag); postmaster, whom every domain has; the catch-all
 * of the domain. Aliases may lead to aliases; what is met a second time is
 * passed over, so loops end. More than DEPTH_MOST or NAMES_MOST is trouble of
 * ours, answered by TEMPFAIL: nobody is left out in silence.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MOST 10
#define NAMES_MOST 1000

struct names {
	char **item;
	size_t n, room;
};

struct search {
	struct sq *sq;
	struct sq_db *db;
	uint64_t size;
	bool any_size;		/* quotas do not matter */
	void (*add)(void *arg, const struct mr_target *t);
	void *arg;
	struct names met;	/* addresses that were looked at */
	struct names given;	/* accounts and addresses elsewhere */
	enum mr_route_answer refused;	/* why an account takes nothing */
	const char *owner;	/* of the list that is being followed */
};

/* 1: it is new; 0: it was there; -1: they are too many. */
static int
names_add(struct names *l, const char *name)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->item[i], name))
			return 0;
	if (l->n == NAMES_MOST)
		return -1;
	if (l->n == l->room) {
		l->room = l->room ? l->room * 4 : 4;
		l->item = realloc(l->item, l->room * sizeof *l->item);
		if (!l->item)
			abort();
	}
	l->item[l->n++] = sq_printf("%s", name);
	return 1;
}

static void
names_free(struct names *l)
{
	while (l->n)
		free(l->item[--l->n]);
	free(l->item);
}

/* 1, 0, or -1 when the database cannot tell. */
static int
exists(struct sq_db *db, const char *sql, const char *key)
{
	int64_t n;
	int code = sq_number(db, NULL, &n, sql, "s", key);

	return code == MR_STORE_OK ? 1 : code == MR_STORE_MISSING ? 0 : -1;
}

static int
has_domain(struct sq_db *db, const char *domain)
{
	return exists(db, "SELECT 1 FROM domain WHERE name = ?", domain);
}

/* Each target once. 1, or -1. */
static int
give(struct search *s, const char *account, const char *forward)
{
	struct mr_target t = {.size = sizeof t, .account = account,
		.mailbox = "INBOX", .forward = forward, .sender = s->owner};
	int is_new = names_add(&s->given, *account ? account : forward);

	if (is_new > 0)
		s->add(s->arg, &t);
	return is_new < 0 ? -1 : 1;
}

struct account {
	int64_t id;
	bool disabled, is_bounded;
};

static enum mr_route_answer
judge_account(struct search *s, const struct account *a)
{
	struct mr_quota q;

	if (a->disabled)
		return MR_ROUTE_DISABLED;
	if (!a->is_bounded || s->any_size)
		return MR_ROUTE_FOUND;
	if (sq_quota_of(s->db, a->id, &q, NULL) != MR_STORE_OK)
		return MR_ROUTE_TEMPFAIL;
	/* Who says no size may send one byte. */
	return sq_quota_allows(&q, s->size ? s->size : 1, 1) ?
		MR_ROUTE_FOUND : MR_ROUTE_OVER_QUOTA;
}

/* 1: there is such an account (and it was given, or refused); 0; -1. */
static int
try_account(struct search *s, const char *name)
{
	sqlite3_stmt *st = sq_sql(s->db, "SELECT id, disabled," SQ_IS_BOUNDED
		"FROM account a WHERE name = ?");
	enum mr_route_answer answer;
	struct account a;
	int step;

	sq_bind(st, "s", name);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		a = (struct account){sqlite3_column_int64(st, 0),
			sqlite3_column_int(st, 1),
			sqlite3_column_int(st, 2)};
	sqlite3_reset(st);
	if (step != SQLITE_ROW)
		return step == SQLITE_DONE ? 0 : -1;
	answer = judge_account(s, &a);
	if (answer == MR_ROUTE_FOUND)
		return give(s, name, "");
	s->refused = answer;
	return answer == MR_ROUTE_TEMPFAIL ? -1 : 1;
}

/* ---------------------------------------------------------------- aliases */

static int search_address(struct search *s, const char *address, int depth);

/* The targets of an alias, gathered before any of them is followed: the
 * statement is one for all depths. */
static int
read_targets(struct search *s, const char *address, struct names *out)
{
	sqlite3_stmt *st = sq_sql(s->db, "SELECT target FROM alias"
		" WHERE address = ? ORDER BY target");
	int step;

	sq_bind(st, "s", address);
	while ((step = st ? sqlite3_step(st) : SQLITE_ERROR) == SQLITE_ROW)
		if (names_add(out, sq_text(st, 0)) < 0)
			break;
	sqlite3_reset(st);
	return step == SQLITE_DONE ? 0 : -1;
}

/* A target in one of our domains is followed, any other is sent on to. */
static int
follow(struct search *s, const char *target, int depth)
{
	char name[SQ_ADDRESS_MOST + 1];
	int local;

	if (!sq_lower((struct mr_str){target, strlen(target)}, name) ||
		!strchr(name, '@'))
		return 0;
	local = has_domain(s->db, strrchr(name, '@') + 1);
	if (local < 0)
		return -1;
	return local ? search_address(s, name, depth + 1) :
		give(s, "", target);
}

/* Of the list of that name; *out is the caller's. -1: cannot tell. */
static int
read_owner(struct search *s, const char *address, char **out)
{
	sqlite3_stmt *st = sq_sql(s->db, "SELECT owner FROM list"
		" WHERE address = ?");
	int step;

	sq_bind(st, "s", address);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		*out = sq_printf("%s", sq_text(st, 0));
	sqlite3_reset(st);
	return step == SQLITE_ROW || step == SQLITE_DONE ? 0 : -1;
}

/* A list within a list keeps its own owner. */
static int
try_alias(struct search *s, const char *address, int depth)
{
	struct names target = {.n = 0};
	const char *outer = s->owner;
	char *owner = NULL;
	int result = read_targets(s, address, &target);
	size_t i;

	if (result == 0)
		result = target.n > 0;
	if (result > 0 && read_owner(s, address, &owner) < 0)
		result = -1;
	if (owner)
		s->owner = owner;
	for (i = 0; i < target.n && result > 0; i++)
		if (follow(s, target.item[i], depth) < 0)
			result = -1;
	s->owner = outer;
	free(owner);
	names_free(&target);
	return result;
}

/* ------------------------------------------------------------ an address */

static int
try_name(struct search *s, const char *address, int depth)
{
	int got = try_account(s, address);

	return got ? got : try_alias(s, address, depth);
}

/* "user+tag@domain" -> "user@domain"; false: it has no tag. */
static bool
without_tag(const struct sq *sq, const char *address, char *out)
{
	const char *at = strrchr(address, '@');
	size_t n = strcspn(address, *sq->tag ? sq->tag : "@");

	if (n == 0 || address + n >= at)
		return false;
	memcpy(out, address, n);
	strcpy(out + n, at);
	return true;
}

/* RFC 5321 4.5.1: mail to postmaster is read by somebody, over quota or
 * not. */
static int
try_postmaster(struct search *s, const char *address)
{
	const char *at = strrchr(address, '@');
	char name[SQ_ADDRESS_MOST + 1] = "";
	sqlite3_stmt *st;
	int step;

	if (at - address != 10 || strncmp(address, "postmaster", 10))
		return 0;
	st = sq_sql(s->db, "SELECT name FROM account WHERE NOT disabled"
		" ORDER BY substr(name, -length(?1)) <> ?1, id LIMIT 1");
	sq_bind(st, "s", at);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		snprintf(name, sizeof name, "%s", sq_text(st, 0));
	sqlite3_reset(st);
	if (step == SQLITE_ROW)
		return give(s, name, "");
	return step == SQLITE_DONE ? 0 : -1;
}

/* 1: it leads somewhere, or to a refusal; 0: nobody has it; -1: we cannot
 * tell. */
static int
search_address(struct search *s, const char *address, int depth)
{
	char plain[SQ_ADDRESS_MOST + 1];
	int got = names_add(&s->met, address), somebody = 0;

	if (got < 0 || depth > DEPTH_MOST)
		return -1;
	if (got == 0)
		return 1;
	got = try_name(s, address, depth);
	if (!got && without_tag(s->sq, address, plain))
		got = try_name(s, plain, depth);
	if (got >= 0 && s->given.n == 0)
		somebody = try_postmaster(s, address);
	if (somebody)
		return somebody;
	if (!got)
		got = try_alias(s, strrchr(address, '@'), depth);
	return got;
}

static enum mr_route_answer
resolve_in(struct search *s, const char *name)
{
	const char *domain = strrchr(name, '@') + 1;
	int local = has_domain(s->db, domain), got;

	/* <postmaster> without a domain comes with our own name. */
	if (local == 0 && !strcasecmp(domain, s->sq->hostname))
		got = try_postmaster(s, name);
	else if (local > 0)	/* "@domain" would be the catch-all itself */
		got = *name == '@' ? 0 : search_address(s, name, 0);
	else
		return local < 0 ? MR_ROUTE_TEMPFAIL : MR_ROUTE_NOT_MINE;
	if (got < 0)
		return MR_ROUTE_TEMPFAIL;
	if (s->given.n)
		return MR_ROUTE_FOUND;
	return s->refused ? s->refused : MR_ROUTE_UNKNOWN_USER;
}

/* What most mail needs, an account of that name in a domain of ours, is one
 * statement: a snapshot around several costs three times that. */
static bool
resolve_plain(struct search *s, const char *name)
{
	uint64_t count = sq_plain_count(s->sq->plain);
	sqlite3_stmt *st = sq_sql(s->db, "SELECT 1 FROM account a"
		" WHERE name = ? AND NOT" SQ_IS_BOUNDED "AND NOT disabled"
		" AND EXISTS (SELECT 1 FROM domain WHERE domain.name = ?)");
	bool found;

	sq_bind(st, "ss", name, strrchr(name, '@') + 1);
	found = st && sqlite3_step(st) == SQLITE_ROW;
	sqlite3_reset(st);
	if (found)
		sq_plain_note(s->sq->plain, name, count);
	return found && give(s, name, "") > 0;
}

static enum mr_route_answer
resolve_asking(struct search *s, const char *name)
{
	enum mr_route_answer answer;

	s->db = sq_read_one(s->sq, NULL);
	if (!s->db)
		return MR_ROUTE_TEMPFAIL;
	if (resolve_plain(s, name))
		answer = MR_ROUTE_FOUND;
	else if (sq_run(s->db, NULL, "BEGIN", "") == MR_STORE_OK)
		answer = resolve_in(s, name);
	else
		answer = MR_ROUTE_TEMPFAIL;
	sq_read_end(s->sq, s->db);
	return answer;
}

static enum mr_route_answer
resolve_name(struct search *s, const char *name)
{
	enum mr_route_answer answer = MR_ROUTE_FOUND;

	if (sq_plain_has(s->sq->plain, name))
		give(s, name, "");
	else
		answer = resolve_asking(s, name);
	names_free(&s->met);
	names_free(&s->given);
	return answer;
}

static enum mr_route_answer
resolve(void *self, struct mr_str address, uint64_t message_size,
	void (*add)(void *arg, const struct mr_target *t), void *arg)
{
	struct search s = {.sq = self, .size = message_size, .add = add,
		.arg = arg, .refused = MR_ROUTE_NOT_MINE};
	char name[SQ_ADDRESS_MOST + 1];

	if (!sq_lower(address, name) || !strchr(name, '@'))
		return MR_ROUTE_NOT_MINE;
	return resolve_name(&s, name);
}

/* --------------------------------------------------------------- senders */

struct owner {
	const char *account;
	bool found;
};

static void
is_owner(void *arg, const struct mr_target *t)
{
	struct owner *o = arg;

	if (!strcmp(t->account, o->account))
		o->found = true;
}

/* An account may send as whatever leads to it: its name, its tags, aliases
 * and catch-alls. A full mailbox does not keep its owner from sending. */
static int
may_send(void *self, const char *account, struct mr_str address)
{
	struct owner o = {.account = account};
	struct search s = {.sq = self, .any_size = true, .add = is_owner,
		.arg = &o};
	char own[SQ_ADDRESS_MOST + 1], plain[SQ_ADDRESS_MOST + 1];

	if (!sq_lower(address, own) || !strchr(own, '@'))
		return 0;
	if (!strcmp(own, account) || (without_tag(self, own, plain) &&
		!strcmp(plain, account)))
		return 1;
	if (resolve_name(&s, own) == MR_ROUTE_TEMPFAIL && !o.found)
		return -1;
	return o.found;
}

static int
is_local(void *self, struct mr_str domain)
{
	char name[SQ_ADDRESS_MOST + 1];
	struct sq_db *db;
	int found;

	if (!sq_lower(domain, name))
		return 0;
	db = sq_read(self, NULL);
	if (!db)
		return -1;
	found = has_domain(db, name);
	sq_read_end(self, db);
	return found;
}

const struct mr_route sq_route = {
	.size = sizeof sq_route, .resolve = resolve, .may_send = may_send,
	.is_local = is_local,
};
