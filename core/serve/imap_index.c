/*
 * imap_index.c - remembers what the index says, a range of messages at a
 * time, since a search asks for one message after the other. The session's
 * thread; blocks in the store. An index that fails is logged and done
 * without: it is the store's to mend.
 */
#include "serve/imap_index.h"

#include "base/arena.h"
#include "base/log.h"
#include "serve/imap_legible.h"
#include "serve/index_fill.h"

/* Messages of a range that may have the needle. */
struct index_range {
	int64_t first, last;
	int64_t *message;	/* NULL: any may */
	size_t n;
};

struct index_needle {
	enum mr_index_space space;
	struct index_range *range;	/* in order */
	size_t n, room;
	size_t last;			/* the one that was asked last */
};

void
imap_index_init(struct imap_index *x, const struct store *store)
{
	*x = (struct imap_index){.store = store};
}

static void
failed(struct imap_index *x, const struct mr_error *me)
{
	log_error("imap.index", LOG_S("error", me->text));
	x->has_failed = true;	/* texts that are in use stay valid */
}

bool
imap_index_is_there(struct imap_index *x)
{
	struct mr_error me = {{0}};
	int code;

	if (x->was_asked || !index_is_there(x->store))
		return x->handle != NULL && !x->has_failed;
	x->was_asked = true;
	code = x->store->op->index_open(x->store->self, LEGIBLE_VERSION,
		&x->handle, &me);
	if (code == MR_STORE_OK)
		return true;
	x->handle = NULL;
	if (code != MR_STORE_MISSING)
		failed(x, &me);
	return false;
}

void
imap_index_free(struct imap_index *x)
{
	size_t i, k;

	if (x->handle)
		x->store->op->index_close(x->handle);
	for (i = 0; i < x->n; i++) {
		for (k = 0; k < x->needle[i].n; k++)
			free(x->needle[i].range[k].message);
		free(x->needle[i].range);
	}
	free(x->needle);
}

/* ----------------------------------------------------------------- ranges */

static struct index_needle *
needle_of(struct imap_index *x, enum mr_index_space space, unsigned number)
{
	size_t before = x->n, at = (size_t)number * MR_INDEX_SPACES + space;

	if (at >= before) {
		x->n = at + 1;
		x->needle = mem_grow(x->needle, x->n * sizeof *x->needle);
		memset(x->needle + before, 0,
			(x->n - before) * sizeof *x->needle);
	}
	x->needle[at].space = space;
	return &x->needle[at];
}

/* Where the first range stands that does not end before the message. */
static size_t
find_place(const struct index_needle *a, int64_t message)
{
	size_t low = 0, high = a->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (a->range[middle].last < message)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
has_message(const struct index_range *r, int64_t message)
{
	return r->first <= message && message <= r->last;
}

static void
insert(struct index_needle *a, size_t at, const struct mr_index_maybe *maybe)
{
	struct index_range *r;

	if (a->n == a->room) {
		a->room = a->room ? a->room * 2 : 16;
		a->range = mem_grow(a->range, a->room * sizeof *a->range);
	}
	r = &a->range[at];
	memmove(r + 1, r, (a->n++ - at) * sizeof *r);
	*r = (struct index_range){.first = maybe->first, .last = maybe->last,
		.n = maybe->n};
	if (maybe->message == NULL)
		return;
	r->message = mem_alloc((maybe->n + 1) * sizeof *r->message);
	memcpy(r->message, maybe->message, maybe->n * sizeof *r->message);
}

/* NULL: the index failed. */
static const struct index_range *
range_of(struct imap_index *x, struct index_needle *a, struct str needle,
	int64_t message)
{
	struct mr_index_maybe maybe = {.size = sizeof maybe,
		.space = a->space};
	struct mr_error me = {{0}};

	if (a->last < a->n && has_message(&a->range[a->last], message))
		return &a->range[a->last];
	a->last = find_place(a, message);
	if (a->last < a->n && has_message(&a->range[a->last], message))
		return &a->range[a->last];
	if (x->store->op->index_look(x->handle, message, (struct mr_str){
	    needle.at, needle.len}, &maybe, &me) != MR_STORE_OK) {
		failed(x, &me);
		return NULL;
	}
	insert(a, a->last, &maybe);
	return &a->range[a->last];
}

bool
imap_index_excludes(struct imap_index *x, enum mr_index_space space,
	unsigned number, struct str needle, int64_t message)
{
	const struct index_range *r = NULL;
	size_t low = 0, high, middle;

	if (imap_index_is_there(x))
		r = range_of(x, needle_of(x, space, number), needle, message);
	if (r == NULL || r->message == NULL) {
		x->unknown++;
		return false;
	}
	high = r->n;
	while (low < high) {
		middle = low + (high - low) / 2;
		if (r->message[middle] < message)
			low = middle + 1;
		else
			high = middle;
	}
	return low == r->n || r->message[low] != message;
}

bool
imap_index_text(struct imap_index *x, enum mr_index_space space,
	int64_t message, struct str *text)
{
	struct mr_error me = {{0}};
	struct mr_str kept;
	int code;

	if (!imap_index_is_there(x))
		return false;
	code = x->store->op->index_text(x->handle, message, space, &kept,
		&me);
	if (code == MR_STORE_OK)
		*text = str_of(kept.at, kept.len);
	else if (code != MR_STORE_MISSING)
		failed(x, &me);
	return code == MR_STORE_OK;
}
