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
imap_list_free(struct imap_list *l)
{
	free(l->at);
	*l = (struct imap_list){0};
}

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

/* The part of a range that lies in a run, as a count. */
static uint32_t
overlap(const struct mr_range *r, const struct imap_run *run)
{
	uint32_t first = r->first > run->first ? r->first : run->first;
	uint32_t last = r->last < run->last ? r->last : run->last;

	return first <= last ? last - first + 1 : 0;
}

uint32_t
imap_count_known(const struct imap_box *b, const struct mr_range *r, size_t n)
{
	size_t i = 0, j = 0;
	uint32_t count = 0;

	while (i < n && j < b->n_run) {
		count += overlap(&r[i], &b->run[j]);
		if (r[i].last < b->run[j].last)
			i++;
		else
			j++;
	}
	return count;
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
