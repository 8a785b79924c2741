/*
 * expire.c - removes what has been in a mailbox for longer than it may. What
 * counts is when a message came into this mailbox (SAVEDATE): mail of last
 * year that was moved to Trash today stays as long as mail of today.
 *
 * UIDs are given in the order in which messages are saved, so a walk ends at
 * the first that may stay, and a round in which nothing is due reads one row
 * a mailbox. The runner's daily thread, or `mailroom expire`.
 */
#include "proc/expire.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"

#define BATCH 500	/* messages of one transaction */

const struct mr_setting expire_settings_table[] = {
	{"expire", MR_DURATION, 0, offsetof(struct expire_rule, after), NULL,
		0, 0, NULL, "Messages are removed when they have been in the "
		"mailbox of this name, of any account, for so long. 0: "
		"they stay."},
	{"retain", MR_DURATION, 0, offsetof(struct expire_rule, retain), NULL,
		0, 36500 * 86400000LL, NULL, "Messages that came into the "
		"mailbox of this name, of any account, stay for so long: its "
		"user can neither remove nor move them, nor delete or rename "
		"the mailbox meanwhile. Flags and copies are free. `mailroom "
		"account remove` removes all. 0: they may go."},
	MR_SETTINGS_END,
};

struct name {
	struct name *next;
	const char *account;
};

struct accounts {
	struct arena arena;
	struct name *first, **end;
};

static int
add_account(void *arg, const struct mr_account *a)
{
	struct accounts *all = arg;
	struct name *n = arena_alloc(&all->arena, sizeof *n);

	n->account = arena_cstr(&all->arena, str_from(a->name));
	*all->end = n;
	all->end = &n->next;
	return 0;
}

struct batch {
	int64_t before_ms;
	uint32_t held, most;	/* messages: in it; that it may have */
	struct mr_range range[BATCH];
	size_t n;
};

/* A store that does not know when a message was saved says 0. */
static int
add_old(void *arg, const struct mr_row *row)
{
	struct batch *b = arg;

	if (row->saved_ms == 0 || row->saved_ms >= b->before_ms ||
	    b->held == b->most)
		return 1;
	if (b->n > 0 && b->range[b->n - 1].last + 1 == row->uid)
		b->range[b->n - 1].last = row->uid;
	else
		b->range[b->n++] = (struct mr_range){row->uid, row->uid};
	b->held++;
	return 0;
}

static int
add_count(void *arg, const struct mr_row *row)
{
	struct batch *b = arg;

	if (row->saved_ms == 0 || row->saved_ms >= b->before_ms)
		return 1;
	b->held++;
	return 0;
}

static int
remove_batch(const struct expire *x, int64_t mailbox, struct batch *b,
	struct mr_error *me)
{
	const struct store *s = x->store;
	int code;

	b->n = 0;
	b->held = 0;
	b->most = BATCH;
	code = s->op->scan(s->self, mailbox, NULL, 0, 0, MR_ROW_SAVED,
		x->dry ? add_count : add_old, b, me);
	if (code == MR_STORE_STOPPED)
		code = MR_STORE_OK;
	if (code != MR_STORE_OK || b->n == 0)
		return code;
	return s->op->expunge(s->self, mailbox, b->range, b->n, true, me);
}

static bool
is_over(const struct expire *x)
{
	return x->is_over && x->is_over(x->arg);
}

static int
empty_mailbox(const struct expire *x, const char *account,
	const struct expire_rule *rule, struct mr_error *me)
{
	struct batch b = {.before_ms = clock_wall() - rule->after};
	const struct store *s = x->store;
	uint32_t removed = 0;
	struct mr_mailbox m;
	int code = s->op->mailbox_find(s->self, account, rule->mailbox, &m,
		me);

	if (code != MR_STORE_OK)
		return code == MR_STORE_MISSING ? MR_STORE_OK : code;
	do {
		code = remove_batch(x, m.id, &b, me);
		removed += b.held;
	} while (code == MR_STORE_OK && b.held == b.most && !x->dry &&
		!is_over(x));
	if (removed > 0 && code == MR_STORE_OK && x->told)
		x->told(x->arg, account, rule->mailbox, removed);
	/* It went meanwhile, with all that was in it. */
	return code == MR_STORE_MISSING ? MR_STORE_OK : code;
}

static int
run_rules(const struct expire *x, const struct name *n, struct mr_error *me)
{
	int code = MR_STORE_OK;
	size_t i;

	for (; n && code == MR_STORE_OK; n = n->next)
		for (i = 0; i < x->rules->n && code == MR_STORE_OK &&
		    !is_over(x); i++)
			if (x->rules->item[i].after > 0)
				code = empty_mailbox(x, n->account,
					&x->rules->item[i], me);
	return code;
}

static bool
is_same_mailbox(const char *a, const char *b)
{
	return !strcmp(a, b) || (str_iis(str_from(a), "INBOX") &&
		str_iis(str_from(b), "INBOX"));
}

const struct expire_rule *
expire_conflict(const struct expire_rules *r)
{
	size_t i, j;

	for (i = 0; i < r->n; i++)
		for (j = 0; j < r->n && r->item[i].after > 0; j++)
			if (r->item[i].after < r->item[j].retain &&
			    is_same_mailbox(r->item[i].mailbox,
				r->item[j].mailbox))
				return &r->item[i];
	return NULL;
}

int
expire_retain(const struct expire_rules *r, const struct store *s,
	struct err *e)
{
	struct mr_retain_rule one;
	struct mr_error me = {{0}};
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < r->n && code == MR_STORE_OK; i++) {
		if (r->item[i].retain == 0)
			continue;
		if (!MR_HAS(s->op, retain) || !s->op->retain)
			return err_set(e, ERR_CONFIG, "[mailbox.%s]: the "
				"store plugin cannot `retain`",
				r->item[i].mailbox);
		one = (struct mr_retain_rule){r->item[i].mailbox,
			r->item[i].retain};
		code = s->op->retain(s->self, &one, 1, &me);
	}
	return store_result(code, &me, e);
}

int64_t
expire_after(const struct expire_rules *r, const char *mailbox)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (str_iis(str_from(mailbox), r->item[i].mailbox))
			return r->item[i].after;
	return 0;
}

int
expire_run(const struct expire *x, struct err *e)
{
	struct accounts all = {.first = NULL};
	struct mr_error me = {{0}};
	int code;

	if (x->rules->n == 0)
		return 0;
	arena_init(&all.arena);
	all.end = &all.first;
	code = x->store->op->account_list(x->store->self, add_account, &all,
		&me);
	if (code == MR_STORE_OK)
		code = run_rules(x, all.first, &me);
	arena_free(&all.arena);
	return store_result(code, &me, e);
}
