/*
 * flags.c - changing flags and keywords, and EXPUNGE. Rows are gathered, then
 * changed, on the writing thread; the caller's callbacks run afterwards on
 * the caller's.
 */
#include "engine.h"
#include "rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct flags_change {
	int64_t mailbox;
	const struct mr_range *range;
	size_t n;
	const struct mr_flag_change *what;
	uint64_t modseq;		/* out: of this change; 0: none */
	uint32_t *failed;
	size_t n_failed;
};

/* -------------------------------------------------------------- keywords */

/* The next word of a list divided by blanks; its length, 0 at the end. */
static size_t
next_word(const char **at)
{
	*at += strspn(*at, " ");
	return strcspn(*at, " ");
}

static bool
has_word(const char *list, const char *word, size_t len)
{
	size_t n;

	for (; (n = next_word(&list)) != 0; list += n)
		if (n == len && !strncasecmp(list, word, len))
			return true;
	return false;
}

static void
append_word(char *out, const char *word, size_t len)
{
	size_t at = strlen(out);

	if (at)
		out[at++] = ' ';
	memcpy(out + at, word, len);
	out[at + len] = '\0';
}

/* Words of both lists, each once (join), or those of the first that are not
 * in the second. malloc. */
static char *
combine(const char *a, const char *b, bool join)
{
	char *out = sq_alloc(strlen(a) + strlen(b) + 2);
	size_t n;

	for (; (n = next_word(&a)) != 0; a += n)
		if (!has_word(out, a, n) && (join || !has_word(b, a, n)))
			append_word(out, a, n);
	for (; join && (n = next_word(&b)) != 0; b += n)
		if (!has_word(out, b, n))
			append_word(out, b, n);
	return out;
}

/* Order and case do not matter. */
static bool
is_same_set(const char *a, const char *b)
{
	char *left = combine(a, b, false), *right = combine(b, a, false);
	bool same = !*left && !*right;

	free(left);
	free(right);
	return same;
}

static char *
new_keywords(const struct mr_flag_change *c, const char *old)
{
	const char *given = c->keywords ? c->keywords : "";

	if (c->op == MR_FLAGS_SET)
		return combine(given, "", true);
	return combine(old, given, c->op == MR_FLAGS_ADD);
}

static uint32_t
new_flags(const struct mr_flag_change *c, uint32_t old)
{
	if (c->op == MR_FLAGS_SET)
		return c->flags;
	return c->op == MR_FLAGS_ADD ? old | c->flags : old & ~c->flags;
}

/* ----------------------------------------------------------------- flags */

static int
change_one(struct sq_tx *tx, struct flags_change *c, const struct entry *e,
	int64_t modseq, int64_t *unseen, struct mr_error *err)
{
	const char *old = e->keywords ? e->keywords : "";
	uint32_t flags = new_flags(c->what, e->flags);
	char *keywords = new_keywords(c->what, old);
	int code = MR_STORE_OK;

	if (flags != e->flags || (strcmp(keywords, old) &&
		!is_same_set(keywords, old))) {
		code = sq_run(tx->db, err, "UPDATE entry SET flags = ?,"
			" keywords = ?, modseq = ? WHERE mailbox = ?"
			" AND uid = ?", "isiii", (int64_t)flags,
			*keywords ? keywords : NULL, modseq, c->mailbox,
			(int64_t)e->uid);
		*unseen += (e->flags & MR_FLAG_SEEN ? 1 : 0) -
			(flags & MR_FLAG_SEEN ? 1 : 0);
		c->modseq = (uint64_t)modseq;
	}
	free(keywords);
	return code;
}

static int
run_flags(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	struct flags_change *c = arg;
	uint64_t limit = c->what->unchanged_since;
	int64_t modseq = 1, unseen = 0;
	struct rows r = {NULL, 0, 0};
	size_t i;
	int code = rows_next_modseq(tx->db, c->mailbox, &modseq, err);

	if (code == MR_STORE_OK)
		code = rows_gather(tx->db, c->mailbox, c->range, c->n, 0, &r,
			err);
	c->modseq = 0;
	c->failed = limit ? sq_alloc(r.n * sizeof *c->failed) : NULL;
	for (i = 0; i < r.n && code == MR_STORE_OK; i++) {
		if (limit && r.item[i].modseq > limit)
			c->failed[c->n_failed++] = r.item[i].uid;
		else
			code = change_one(tx, c, &r.item[i], modseq, &unseen,
				err);
	}
	rows_free(&r);
	if (code != MR_STORE_OK || !c->modseq)
		return code;
	sq_changed(tx, MR_CHANGE_MAILBOX, c->mailbox, c->modseq);
	return sq_run(tx->db, err, "UPDATE mailbox SET modseq = ?,"
		" unseen = unseen + ? WHERE id = ?", "iii", modseq, unseen,
		c->mailbox);
}

int
sq_store_flags(void *self, int64_t mailbox, const struct mr_range *range,
	size_t n, const struct mr_flag_change *change,
	int (*failed)(void *arg, uint32_t uid), void *arg, uint64_t *modseq,
	struct mr_error *err)
{
	struct flags_change c = {.mailbox = mailbox, .range = range, .n = n,
		.what = change};
	int code = sq_write(self, run_flags, &c, err);
	size_t i;

	if (modseq)
		*modseq = c.modseq;
	for (i = 0; failed && code == MR_STORE_OK && i < c.n_failed; i++)
		if (failed(arg, c.failed[i]))
			break;		/* it has seen enough; all is done */
	free(c.failed);
	return code;
}

/* --------------------------------------------------------------- expunge */

struct expunge {
	int64_t mailbox;
	const struct mr_range *range;
	size_t n;
	uint32_t mask;
};

static int
run_expunge(struct sq_tx *tx, void *arg, struct mr_error *err)
{
	const struct expunge *x = arg;
	struct rows r = {NULL, 0, 0};
	int code = sq_mailbox_check(tx->db, x->mailbox, err);

	if (code == MR_STORE_OK)
		code = rows_gather(tx->db, x->mailbox, x->range, x->n,
			x->mask, &r, err);
	if (code == MR_STORE_OK)
		code = rows_spare(tx, x->mailbox, &r, err);
	if (code == MR_STORE_OK)
		code = rows_remove(tx, x->mailbox, &r, ROWS_EXPUNGED, err);
	rows_free(&r);
	return code;
}

int
sq_expunge(void *self, int64_t mailbox, const struct mr_range *range,
	size_t n, int any, struct mr_error *err)
{
	struct expunge x = {.mailbox = mailbox, .range = range, .n = n,
		.mask = any ? 0 : MR_FLAG_DELETED};

	return sq_write(self, run_expunge, &x, err);
}
