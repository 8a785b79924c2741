/*
 * route.c - where an address leads, by the directory.
 *
 * In this order: the account of that name; aliases of that name; both again
 * without the tag (user+tag); the catch-all of the domain; postmaster, whom
 * every domain has. Aliases may lead to aliases, DEPTH_MOST deep; what is met
 * a second time is passed over, so loops end.
 */
#include "sq.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ADDRESS_MOST 320
#define DEPTH_MOST 10
#define TARGETS_MOST 1000

struct search {
	struct sq *sq;
	struct sq_db *db;
	uint64_t size;
	void (*add)(void *arg, const struct mr_target *t);
	void *arg;
	char **met;		/* addresses that were looked at */
	size_t n_met;
	size_t found;
	enum mr_route_answer refused;	/* why an account takes nothing */
};

static bool
lower(const char *in, size_t len, char out[ADDRESS_MOST + 1])
{
	size_t i;

	if (!len || len > ADDRESS_MOST)
		return false;
	for (i = 0; i < len; i++)
		out[i] = in[i] >= 'A' && in[i] <= 'Z' ?
			(char)(in[i] + 32) : in[i];
	out[i] = '\0';
	return strlen(out) == len;
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

static bool
meet(struct search *s, const char *address)
{
	size_t i;
	char **more;

	for (i = 0; i < s->n_met; i++)
		if (!strcmp(s->met[i], address))
			return false;
	more = realloc(s->met, (s->n_met + 1) * sizeof *more);
	if (!more || s->n_met == TARGETS_MOST)
		return false;
	s->met = more;
	s->met[s->n_met] = strdup(address);
	return s->met[s->n_met++] != NULL;
}

static void
give(struct search *s, const char *account, const char *forward)
{
	struct mr_target t = {.size = sizeof t, .account = account,
		.mailbox = "INBOX", .forward = forward};

	s->add(s->arg, &t);
	s->found++;
}

struct account {
	int64_t id, quota;
	bool disabled;
};

static enum mr_route_answer
judge_account(struct search *s, const struct account *a)
{
	struct mr_error err;
	uint64_t used;

	if (a->disabled)
		return MR_ROUTE_DISABLED;
	if (a->quota <= 0)
		return MR_ROUTE_FOUND;
	if (sq_account_bytes(s->db, a->id, &used, &err) != MR_STORE_OK)
		return MR_ROUTE_TEMPFAIL;
	return used + s->size > (uint64_t)a->quota || used >=
		(uint64_t)a->quota ? MR_ROUTE_OVER_QUOTA : MR_ROUTE_FOUND;
}

/* 1: there is such an account (and it was given, or refused); 0; -1. */
static int
try_account(struct search *s, const char *name)
{
	sqlite3_stmt *st = sq_sql(s->db, "SELECT id, quota, disabled"
		" FROM account WHERE name = ?");
	enum mr_route_answer answer;
	struct account a;
	int step;

	sq_bind(st, "s", name);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		a = (struct account){sqlite3_column_int64(st, 0),
			sqlite3_column_int64(st, 1),
			sqlite3_column_int(st, 2)};
	sqlite3_reset(st);
	if (step != SQLITE_ROW)
		return step == SQLITE_DONE ? 0 : -1;
	answer = judge_account(s, &a);
	if (answer == MR_ROUTE_FOUND)
		give(s, name, "");
	else
		s->refused = answer;
	return 1;
}

/* ---------------------------------------------------------------- aliases */

static int search_address(struct search *s, const char *address, int depth);

/* The targets of an alias, gathered before any of them is followed: the
 * statement is one for all depths. */
static int
read_targets(struct search *s, const char *address, char ***out, size_t *n)
{
	sqlite3_stmt *st = sq_sql(s->db, "SELECT target FROM alias"
		" WHERE address = ? ORDER BY target");
	char **all = NULL, **more;
	int step;

	*n = 0;
	sq_bind(st, "s", address);
	while ((step = st ? sqlite3_step(st) : SQLITE_ERROR) == SQLITE_ROW) {
		more = realloc(all, (*n + 1) * sizeof *more);
		if (!more)
			break;
		all = more;
		all[*n] = strdup(sq_text(st, 0));
		if (!all[*n])
			break;
		++*n;
	}
	sqlite3_reset(st);
	*out = all;
	return step == SQLITE_DONE ? 0 : -1;
}

/* A target in one of our domains is followed, any other is sent on to. */
static int
follow(struct search *s, const char *target, int depth)
{
	char name[ADDRESS_MOST + 1];
	const char *at = strrchr(target, '@');
	int local;

	if (!at || !lower(target, strlen(target), name))
		return 0;
	local = has_domain(s->db, strrchr(name, '@') + 1);
	if (local < 0)
		return -1;
	if (local)
		return search_address(s, name, depth + 1);
	if (meet(s, name))
		give(s, "", target);
	return 1;
}

static int
try_alias(struct search *s, const char *address, int depth)
{
	char **target;
	size_t n, i;
	int result = read_targets(s, address, &target, &n);

	if (result == 0)
		result = n > 0;
	for (i = 0; i < n; i++) {
		if (result > 0 && follow(s, target[i], depth) < 0)
			result = -1;
		free(target[i]);
	}
	free(target);
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

/* RFC 5321 4.5.1: mail to postmaster is read by somebody. */
static int
try_postmaster(struct search *s, const char *address)
{
	const char *at = strrchr(address, '@');
	char name[ADDRESS_MOST + 1] = "";
	sqlite3_stmt *st;

	if (at - address != 10 || strncmp(address, "postmaster", 10))
		return 0;
	st = sq_sql(s->db, "SELECT name FROM account WHERE NOT disabled"
		" ORDER BY substr(name, -length(?1)) <> ?1, id LIMIT 1");
	sq_bind(st, "s", at);
	if (st && sqlite3_step(st) == SQLITE_ROW)
		snprintf(name, sizeof name, "%s", sq_text(st, 0));
	sqlite3_reset(st);
	if (!*name)
		return 0;
	/* Over its quota or not: this mail is taken. */
	give(s, name, "");
	return 1;
}

/* 1: it leads somewhere, or to a refusal; 0: nobody has it; -1. */
static int
search_address(struct search *s, const char *address, int depth)
{
	char plain[ADDRESS_MOST + 1];
	int got;

	if (depth > DEPTH_MOST || !meet(s, address))
		return 1;
	got = try_name(s, address, depth);
	if (!got && without_tag(s->sq, address, plain))
		got = try_name(s, plain, depth);
	if (!got)
		got = try_postmaster(s, address);
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
	else if (local > 0)
		got = search_address(s, name, 0);
	else
		return local < 0 ? MR_ROUTE_TEMPFAIL : MR_ROUTE_NOT_MINE;
	if (got < 0)
		return MR_ROUTE_TEMPFAIL;
	if (s->found)
		return MR_ROUTE_FOUND;
	return s->refused ? s->refused : MR_ROUTE_UNKNOWN_USER;
}

static enum mr_route_answer
resolve(void *self, struct mr_str address, uint64_t message_size,
	void (*add)(void *arg, const struct mr_target *t), void *arg)
{
	struct search s = {.sq = self, .size = message_size, .add = add,
		.arg = arg, .refused = MR_ROUTE_NOT_MINE};
	char name[ADDRESS_MOST + 1];
	enum mr_route_answer answer;
	struct mr_error err;

	if (!lower(address.at, address.len, name) || !strchr(name, '@'))
		return MR_ROUTE_NOT_MINE;
	s.db = sq_read(self, &err);
	if (!s.db)
		return MR_ROUTE_TEMPFAIL;
	answer = resolve_in(&s, name);
	sq_read_end(self, s.db);
	while (s.n_met)
		free(s.met[--s.n_met]);
	free(s.met);
	return answer;
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
	char own[ADDRESS_MOST + 1], plain[ADDRESS_MOST + 1];
	enum mr_route_answer answer;

	if (!lower(address.at, address.len, own) || !strchr(own, '@'))
		return 0;
	if (!strcmp(own, account) || (without_tag(self, own, plain) &&
		!strcmp(plain, account)))
		return 1;
	answer = resolve(self, address, 0, is_owner, &o);
	if (answer == MR_ROUTE_TEMPFAIL)
		return -1;
	return o.found;
}

static int
is_local(void *self, struct mr_str domain)
{
	char name[ADDRESS_MOST + 1];
	struct mr_error err;
	struct sq_db *db;
	int found;

	if (!lower(domain.at, domain.len, name))
		return 0;
	db = sq_read(self, &err);
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
