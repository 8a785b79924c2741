/*
 * imap_out.c - numbers and sets of numbers, in memory and on the wire. Pure;
 * any thread.
 */
#include "serve/imap_out.h"

#include "serve/imap_box.h"

void
imap_list_add(struct imap_list *l, uint32_t number)
{
	l->count++;
	if (l->n > 0 && l->at[l->n - 1].last + 1 == number) {
		l->at[l->n - 1].last = number;
		return;
	}
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 16;
		l->at = mem_grow(l->at, l->room * sizeof *l->at);
	}
	l->at[l->n++] = (struct mr_range){number, number};
}

bool
imap_list_has(const struct imap_list *l, uint32_t number)
{
	size_t low = 0, high = l->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (l->at[middle].last < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n && l->at[low].first <= number;
}

void
imap_list_copy(struct imap_list *l, const struct mr_range *r, size_t n)
{
	size_t i;

	if (n == 0)
		return;
	l->at = mem_grow(NULL, n * sizeof *r);
	memcpy(l->at, r, n * sizeof *r);
	l->n = l->room = n;
	for (i = 0; i < n; i++)
		l->count += r[i].last - r[i].first + 1;
}

void
imap_list_cut(const struct imap_list *l, struct mr_range at, struct buf *out)
{
	uint32_t before = 0, size, from, to;
	struct mr_range part;
	size_t i;

	for (i = 0; i < l->n && before < at.last; i++) {
		size = l->at[i].last - l->at[i].first + 1;
		if (before + size >= at.first) {
			from = at.first > before ? at.first - before : 1;
			to = at.last < before + size ? at.last - before : size;
			part = (struct mr_range){l->at[i].first + from - 1,
				l->at[i].first + to - 1};
			buf_add(out, &part, sizeof part);
		}
		before += size;
	}
}

void
imap_list_free(struct imap_list *l)
{
	free(l->at);
	*l = (struct imap_list){0};
}

/* --------------------------------------------------------------- windows */

static bool
read_end(struct str word, bool from_end, uint32_t *out)
{
	uint64_t n;

	if (from_end && !str_starts(word, "-"))
		return false;
	if (from_end)
		word = str_sub(word, 1, word.len);
	if (!str_u64(word, UINT32_MAX, &n) || n == 0)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* RFC 9394 4: both ends with a sign or none; 5:1 is 1:5. */
bool
imap_window_read(struct imap_window *w, struct str word)
{
	struct str rest = word, first = str_cut(&rest, ':');
	uint32_t a, b;

	w->text = word;
	w->from_end = str_starts(word, "-");
	if (!read_end(first, w->from_end, &a) ||
	    !read_end(rest, w->from_end, &b))
		return false;
	w->first = a < b ? a : b;
	w->last = a < b ? b : a;
	return true;
}

struct mr_range
imap_window_place(const struct imap_window *w, uint32_t count)
{
	uint32_t last = w->last < count ? w->last : count;

	if (w->first > count)
		return (struct mr_range){1, 0};
	if (!w->from_end)
		return (struct mr_range){w->first, last};
	return (struct mr_range){count - last + 1, count - w->first + 1};
}

/* ---------------------------------------------------------------- numbers */

void
imap_number_out(struct buf *out, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_add(out, digits + i, sizeof digits - i);
}

void
imap_ranges_out(struct buf *out, const struct mr_range *r, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		imap_number_out(out, r[i].first);
		if (r[i].last == r[i].first)
			continue;
		buf_addc(out, ':');
		imap_number_out(out, r[i].last);
	}
}

/* The part of a range that lies in a run; first > last: none. */
static struct mr_range
overlap(const struct mr_range *r, const struct imap_run *run)
{
	return (struct mr_range){r->first > run->first ? r->first : run->first,
		r->last < run->last ? r->last : run->last};
}

/* The parts of the ranges that are known here, each to `take`. */
static void
walk_known(const struct imap_box *b, const struct mr_range *r, size_t n,
	void (*take)(void *arg, struct mr_range part), void *arg)
{
	struct mr_range part;
	size_t i = 0, j = 0;

	while (i < n && j < b->n_run) {
		part = overlap(&r[i], &b->run[j]);
		if (part.first <= part.last)
			take(arg, part);
		if (r[i].last < b->run[j].last)
			i++;
		else
			j++;
	}
}

static void
count_part(void *arg, struct mr_range part)
{
	*(uint32_t *)arg += part.last - part.first + 1;
}

uint32_t
imap_count_known(const struct imap_box *b, const struct mr_range *r, size_t n)
{
	uint32_t count = 0;

	walk_known(b, r, n, count_part, &count);
	return count;
}

static void
add_part(void *arg, struct mr_range part)
{
	buf_add(arg, &part, sizeof part);
}

struct mr_range *
imap_ranges_place(const struct imap_box *b, const struct mr_range *r,
	size_t *n, const struct imap_window *w, struct arena *a)
{
	struct imap_list known = {0};
	struct buf parts, cut;
	struct mr_range *placed;

	buf_init(&parts, BUF_NO_CAP);
	buf_init(&cut, BUF_NO_CAP);
	walk_known(b, r, *n, add_part, &parts);
	imap_list_copy(&known, (const struct mr_range *)(void *)parts.at,
		parts.len / sizeof *r);
	imap_list_cut(&known, imap_window_place(w, known.count), &cut);
	*n = cut.len / sizeof *r;
	placed = arena_copy(a, cut.at, cut.len);
	imap_list_free(&known);
	buf_free(&parts);
	buf_free(&cut);
	return placed;
}

struct mr_range *
imap_ranges_without(const struct mr_range *in, size_t n,
	const struct imap_list *out, struct arena *a, size_t *n_out)
{
	/* Each range that is taken out cuts at most one in two. */
	struct mr_range *left = arena_alloc(a, (n + out->n) * sizeof *left);
	size_t i, j = 0;
	uint64_t from;

	*n_out = 0;
	for (i = 0; i < n; i++) {
		from = in[i].first;
		while (j < out->n && out->at[j].last < from)
			j++;
		while (j < out->n && out->at[j].first <= in[i].last) {
			if (out->at[j].first > from)
				left[(*n_out)++] = (struct mr_range){
					(uint32_t)from, out->at[j].first - 1};
			from = (uint64_t)out->at[j].last + 1;
			if (out->at[j].last > in[i].last)
				break;
			j++;
		}
		if (from <= in[i].last)
			left[(*n_out)++] = (struct mr_range){(uint32_t)from,
				in[i].last};
	}
	return left;
}
