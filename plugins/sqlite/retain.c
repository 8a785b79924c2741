/*
 * retain.c - mailboxes whose messages must stay for a time: which those are,
 * and what is asked of each change that would take messages out of one.
 *
 * A message's time begins when it came into this mailbox. The rules are set
 * before there are changes; then all threads read them.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rows.h"

struct sq_retain {
	struct sq_retain *next;
	char *mailbox;
	int64_t ms;
};

int
sq_retain(void *self, const struct mr_retain_rule *rule, size_t n,
	struct mr_error *err)
{
	struct sq *s = self;
	size_t i;

	(void)err;
	for (i = 0; i < n; i++) {
		struct sq_retain *one = sq_alloc(sizeof *one);

		*one = (struct sq_retain){s->retain, sq_printf("%s",
			rule[i].mailbox), rule[i].ms};
		s->retain = one;
	}
	return MR_STORE_OK;
}

void
sq_retain_free(struct sq_retain *r)
{
	struct sq_retain *next;

	for (; r; r = next) {
		next = r->next;
		free(r->mailbox);
		free(r);
	}
}

static bool
is_same_name(const char *a, const char *b)
{
	return !strcmp(a, b) || (!strcasecmp(a, "INBOX") &&
		!strcasecmp(b, "INBOX"));
}

/* How long messages of the mailbox must stay; 0: they may go. */
static int
time_of(const struct sq *s, struct sq_db *db, int64_t mailbox, int64_t *ms,
	struct mr_error *err)
{
	const struct sq_retain *r;
	sqlite3_stmt *st;
	int step;

	*ms = 0;
	if (!s->retain)
		return MR_STORE_OK;
	st = sq_sql(db, "SELECT name FROM mailbox WHERE id = ?");
	sq_bind(st, "i", mailbox);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	for (r = s->retain; r && step == SQLITE_ROW; r = r->next)
		if (is_same_name(sq_text(st, 0), r->mailbox) && r->ms > *ms)
			*ms = r->ms;
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		step = sq_fail_db(err, db, "reading a mailbox");
	else
		step = MR_STORE_OK;
	sqlite3_reset(st);
	return step;
}

/* --------------------------------------------------------------- messages */

int
rows_spare(struct sq_tx *tx, int64_t mailbox, struct rows *r,
	struct mr_error *err)
{
	size_t i, n = 0;
	int64_t ms;
	int code = time_of(tx->sq, tx->db, mailbox, &ms, err);

	if (code != MR_STORE_OK || ms == 0)
		return code;
	for (i = 0; i < r->n; i++) {
		if (r->item[i].saved_ms > tx->now_ms - ms)
			free(r->item[i].keywords);
		else
			r->item[n++] = r->item[i];
	}
	r->n = n;
	return MR_STORE_OK;
}

static int
must_stay(struct mr_error *err)
{
	return sq_fail(err, MR_STORE_RETAINED,
		"there are messages that must be kept");
}

int
rows_may_go(struct sq_tx *tx, int64_t mailbox, const struct rows *r,
	struct mr_error *err)
{
	int64_t ms;
	size_t i;
	int code = time_of(tx->sq, tx->db, mailbox, &ms, err);

	for (i = 0; i < r->n && code == MR_STORE_OK && ms > 0; i++)
		if (r->item[i].saved_ms > tx->now_ms - ms)
			code = must_stay(err);
	return code;
}

/* -------------------------------------------------------------- mailboxes */

static bool
is_below(const char *name, const char *parent)
{
	size_t len = strlen(parent);

	return !strncmp(name, parent, len) && name[len] == '/';
}

static int
check_mailbox(struct sq_tx *tx, int64_t account, const struct sq_retain *r,
	struct mr_error *err)
{
	int64_t id, n;
	int code = sq_mailbox_id(tx->db, account, r->mailbox, &id, err);

	if (code != MR_STORE_OK)
		return code == MR_STORE_MISSING ? MR_STORE_OK : code;
	code = sq_number(tx->db, err, &n, "SELECT EXISTS (SELECT 1 FROM entry"
		" WHERE mailbox = ? AND saved_ms > ?)", "ii", id,
		tx->now_ms - r->ms);
	return code == MR_STORE_OK && n ? must_stay(err) : code;
}

int
sq_retain_tree(struct sq_tx *tx, int64_t account, const char *name,
	struct mr_error *err)
{
	const struct sq_retain *r;
	int code = MR_STORE_OK;

	for (r = tx->sq->retain; r && code == MR_STORE_OK; r = r->next)
		if (is_same_name(r->mailbox, name) ||
			is_below(r->mailbox, name))
			code = check_mailbox(tx, account, r, err);
	return code;
}

/* ------------------------------------------------------------- what stays */

static int
count_range(struct sq_db *db, const struct mr_range *range, int64_t since,
	struct mr_retained *r, struct mr_error *err)
{
	sqlite3_stmt *st = sq_sql(db, "SELECT count(*), max(saved_ms)"
		" FROM entry WHERE mailbox = ? AND uid BETWEEN ? AND ?"
		" AND flags & ?4 = ?4 AND saved_ms > ?5");
	int step;

	sq_bind(st, "iiiii", r->mailbox, (int64_t)range->first,
		(int64_t)range->last, r->any ? (int64_t)0 :
		(int64_t)MR_FLAG_DELETED, since);
	step = st ? sqlite3_step(st) : SQLITE_ERROR;
	if (step == SQLITE_ROW) {
		r->messages += (uint32_t)sqlite3_column_int64(st, 0);
		if (sqlite3_column_int64(st, 1) > r->until_ms)
			r->until_ms = sqlite3_column_int64(st, 1);
	}
	step = step == SQLITE_ROW ? MR_STORE_OK :
		sq_fail_db(err, db, "counting messages");
	sqlite3_reset(st);
	return step;
}

static int
count_retained(const struct sq *s, struct sq_db *db, struct mr_retained *r,
	struct mr_error *err)
{
	struct mr_range *ordered;
	size_t i, n;
	int64_t ms;
	int code = time_of(s, db, r->mailbox, &ms, err);

	if (code != MR_STORE_OK || ms == 0)
		return code;
	n = rows_ranges(r->range, r->n, &ordered);
	for (i = 0; i < n && code == MR_STORE_OK; i++)
		code = count_range(db, &ordered[i], sq_clock_wall() - ms, r,
			err);
	free(ordered);
	if (r->messages)
		r->until_ms += ms;
	return code;
}

int
sq_retained(void *self, struct mr_retained *r, struct mr_error *err)
{
	struct sq *s = self;
	struct sq_db *db;
	int code;

	r->messages = 0;
	r->until_ms = 0;
	if (!s->retain)
		return MR_STORE_OK;
	db = sq_read(s, err);
	if (!db)
		return MR_STORE_FAILED;
	code = count_retained(s, db, r, err);
	sq_read_end(s, db);
	return code;
}
