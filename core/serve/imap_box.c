/*
 * imap_box.c - the map between message numbers and UIDs.
 *
 * Runs of consecutive UIDs in ascending order; each knows the number of its
 * first message, so both directions are a binary search. Only imap_sync.c
 * and the SELECT change it, on the thread that runs the session.
 */
#include "serve/imap_box.h"

#include "base/arena.h"
#include "serve/imap_context.h"
#include "serve/row_cache.h"
#include "serve/serve.h"

struct imap_box *
imap_box_new(const struct mr_mailbox *m, bool read_only)
{
	struct imap_box *b = mem_alloc(sizeof *b);

	b->id = m->id;
	b->read_only = read_only;
	b->rights = MR_RIGHTS_ALL;
	b->uidvalidity = m->uidvalidity;
	b->uidnext = m->uidnext;
	b->unseen = m->unseen;
	b->modseq = b->vanished_modseq = m->modseq;
	b->recent_from = m->recent_uid;
	return b;
}

void
imap_box_free(struct imap_box *b)
{
	if (!b)
		return;
	imap_list_free(&b->saved);
	imap_contexts_free(b);
	free(b->owner);
	free(b->run);
	free(b);
}

/* ------------------------------------------------------------- changing */

static void
resize(struct imap_box *b, size_t room)
{
	b->run = mem_grow(b->run, room * sizeof *b->run);
	b->room = room;
}

void
imap_box_add(struct imap_box *b, struct mr_range uids)
{
	struct imap_run *end = b->n_run ? &b->run[b->n_run - 1] : NULL;

	if (end && end->last + 1 == uids.first) {
		end->last = uids.last;
	} else {
		if (b->n_run == b->room)
			resize(b, b->room + b->room / 2 + 1);
		b->run[b->n_run++] = (struct imap_run){uids.first, uids.last,
			b->exists + 1};
	}
	b->exists += uids.last - uids.first + 1;
}

/* Adds what `gone` leaves of a run. *at: the first range that may matter. */
static void
add_rest(struct imap_box *b, const struct imap_run *run,
	const struct mr_range *gone, size_t n, size_t *at)
{
	uint64_t first = run->first;

	while (*at < n && gone[*at].last < first)
		++*at;
	for (; *at < n && gone[*at].first <= run->last; ++*at) {
		if (gone[*at].first > first)
			imap_box_add(b, (struct mr_range){(uint32_t)first,
				gone[*at].first - 1});
		first = (uint64_t)gone[*at].last + 1;
		if (first > run->last)
			return;
	}
	imap_box_add(b, (struct mr_range){(uint32_t)first, run->last});
}

void
imap_box_remove(struct imap_box *b, const struct mr_range *gone, size_t n)
{
	struct imap_run *old = b->run;
	size_t n_old = b->n_run, at = 0, i;

	b->run = NULL;
	b->n_run = b->room = 0;
	b->exists = 0;
	for (i = 0; i < n_old; i++)
		add_rest(b, &old[i], gone, n, &at);
	free(old);
	resize(b, b->n_run);
}

static int
load_run(void *arg, struct mr_range run)
{
	struct imap_box *b = arg;

	/* What came after the look at the mailbox is told as new, later. */
	if (run.first >= b->uidnext)
		return 0;
	if (run.last >= b->uidnext)
		run.last = b->uidnext - 1;
	imap_box_add(b, run);
	return 0;
}

int
imap_box_load(const struct house *h, struct imap_box *b, struct mr_error *me)
{
	int code = row_cache_uids(h->rows, &h->store, b->id, load_run, b, me);

	resize(b, b->n_run);
	return code;
}

void
imap_box_own_change(struct imap_box *b, uint64_t modseq)
{
	if (modseq != b->modseq + 1)
		return;
	if (b->vanished_modseq == b->modseq)
		b->vanished_modseq = modseq;
	b->modseq = modseq;
}

/* -------------------------------------------------------------- looking */

uint32_t
imap_box_exists(const struct imap_box *b)
{
	return b->exists;
}

uint32_t
imap_box_last_uid(const struct imap_box *b)
{
	return b->n_run ? b->run[b->n_run - 1].last : 0;
}

/* The last run that does not begin behind the UID or number; NULL: none. */
static const struct imap_run *
run_at(const struct imap_box *b, uint32_t value, bool uid)
{
	size_t low = 0, high = b->n_run, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if ((uid ? b->run[middle].first : b->run[middle].seq) > value)
			high = middle;
		else
			low = middle + 1;
	}
	return low ? &b->run[low - 1] : NULL;
}

uint32_t
imap_box_uid(const struct imap_box *b, uint32_t seq)
{
	const struct imap_run *run;

	if (seq == 0 || seq > b->exists)
		return 0;
	run = run_at(b, seq, false);
	return run->first + (seq - run->seq);
}

uint32_t
imap_box_seq(const struct imap_box *b, uint32_t uid)
{
	const struct imap_run *run = run_at(b, uid, true);

	return run && uid <= run->last ? run->seq + (uid - run->first) : 0;
}

/* How many messages have lower UIDs. */
static uint32_t
count_below(const struct imap_box *b, uint32_t uid)
{
	const struct imap_run *run = uid ? run_at(b, uid - 1, true) : NULL;

	if (!run)
		return 0;
	return run->seq + (uid <= run->last ? uid - 1 : run->last) -
		run->first;
}

uint32_t
imap_box_recent(const struct imap_box *b)
{
	return b->exists - count_below(b, b->recent_from);
}

/* --------------------------------------------------------------- ranges */

static int
by_first(const void *a, const void *b)
{
	const struct mr_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

size_t
imap_ranges_join(struct mr_range *r, size_t n)
{
	size_t i, kept = 0;

	if (n)
		qsort(r, n, sizeof *r, by_first);
	for (i = 1; i < n; i++) {
		if (r[i].first > (uint64_t)r[kept].last + 1)
			r[++kept] = r[i];
		else if (r[i].last > r[kept].last)
			r[kept].last = r[i].last;
	}
	return n ? kept + 1 : 0;
}

/* '*' is the last message: it is named even if the other end is behind it. */
static struct mr_range
without_star(struct mr_range r, uint32_t last)
{
	if (r.last != UINT32_MAX)
		return r;
	return r.first < last ? (struct mr_range){r.first, last} :
		(struct mr_range){last, r.first == UINT32_MAX ? last :
			r.first};
}

bool
imap_box_ranges(const struct imap_box *b, const struct mr_range *set,
	size_t n, bool uid, struct arena *a, struct mr_range **out,
	size_t *n_out)
{
	uint32_t last = uid ? imap_box_last_uid(b) : b->exists;
	struct mr_range *r = arena_alloc(a, n * sizeof *r);
	size_t i, kept = 0;

	for (i = 0; i < n; i++) {
		struct mr_range one = without_star(set[i], last);

		if (!uid && (one.first == 0 || one.last > last))
			return false;
		/* Nothing is done to messages that were not told yet. */
		if (uid && one.last > last)
			one.last = last;
		if (one.first > one.last || last == 0)
			continue;
		r[kept++] = uid ? one : (struct mr_range){
			imap_box_uid(b, one.first), imap_box_uid(b, one.last)};
	}
	*out = r;
	*n_out = imap_ranges_join(r, kept);
	return true;
}

struct mr_range *
imap_box_saved(const struct imap_box *b, struct arena *a, size_t *n)
{
	*n = b->saved.n;
	return arena_copy(a, b->saved.at, b->saved.n * sizeof *b->saved.at);
}
