/*
 * imap_box.c - the run map against a plain array of UIDs.
 */
#include "unit.h"

#include "base/buf.h"
#include "serve/imap_box.h"

#define MOST 600

struct plain {
	uint32_t uid[MOST];
	uint32_t n, next;
};

static uint32_t seed = 1;

static uint32_t
random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void
plain_remove(struct plain *p, const struct mr_range *r, size_t n)
{
	uint32_t i, kept = 0;
	size_t j;

	for (i = 0; i < p->n; i++) {
		for (j = 0; j < n; j++)
			if (p->uid[i] >= r[j].first && p->uid[i] <= r[j].last)
				break;
		if (j == n)
			p->uid[kept++] = p->uid[i];
	}
	p->n = kept;
}

static uint32_t
plain_seq(const struct plain *p, uint32_t uid)
{
	uint32_t i;

	for (i = 0; i < p->n; i++)
		if (p->uid[i] == uid)
			return i + 1;
	return 0;
}

static void
compare(struct imap_box *b, const struct plain *p)
{
	uint32_t i, recent = 0;

	assert_int_equal(imap_box_exists(b), p->n);
	assert_int_equal(imap_box_last_uid(b), p->n ? p->uid[p->n - 1] : 0);
	for (i = 0; i <= p->n + 1; i++)
		assert_int_equal(imap_box_uid(b, i), i && i <= p->n ?
			p->uid[i - 1] : 0);
	for (i = 0; i < p->next + 2; i++)
		assert_int_equal(imap_box_seq(b, i), plain_seq(p, i));
	assert_int_equal(imap_box_seq(b, UINT32_MAX), 0);
	b->recent_from = random_below(p->next + 2);
	for (i = 0; i < p->n; i++)
		recent += p->uid[i] >= b->recent_from;
	assert_int_equal(imap_box_recent(b), recent);
}

static void
grow(struct imap_box *b, struct plain *p)
{
	uint32_t first = p->next + random_below(3), n = 1 + random_below(8);
	uint32_t i;

	if (p->n + n > MOST)
		return;
	for (i = 0; i < n; i++)
		p->uid[p->n++] = first + i;
	p->next = first + n;
	imap_box_add(b, (struct mr_range){first, first + n - 1});
}

static void
shrink(struct imap_box *b, struct plain *p)
{
	struct mr_range r[5];
	size_t n = random_below(COUNT(r) + 1), i;

	for (i = 0; i < n; i++) {
		r[i].first = 1 + random_below(p->next);
		r[i].last = r[i].first + random_below(6);
	}
	plain_remove(p, r, n);
	imap_box_remove(b, r, imap_ranges_join(r, n));
}

static void
test_random(void **state)
{
	struct mr_mailbox m = {.id = 1};
	struct imap_box *b;
	struct plain p;
	int round, i;

	(void)state;
	for (round = 0; round < 60; round++) {
		b = imap_box_new(&m, false);
		p = (struct plain){.next = 1};
		for (i = 0; i < 60; i++) {
			if (random_below(3))
				grow(b, &p);
			else
				shrink(b, &p);
			compare(b, &p);
		}
		imap_box_free(b);
	}
}

/* The ends of the number space. */
static void
test_ends(void **state)
{
	const struct mr_range all = {1, UINT32_MAX};
	struct mr_mailbox m = {.id = 1};
	struct imap_box *b = imap_box_new(&m, false);

	(void)state;
	imap_box_add(b, (struct mr_range){UINT32_MAX - 1, UINT32_MAX});
	assert_int_equal(imap_box_seq(b, UINT32_MAX), 2);
	imap_box_remove(b, &(struct mr_range){UINT32_MAX, UINT32_MAX}, 1);
	assert_int_equal(imap_box_last_uid(b), UINT32_MAX - 1);
	imap_box_remove(b, &all, 1);
	assert_int_equal(imap_box_exists(b), 0);
	assert_int_equal(b->n_run, 0);
	imap_box_free(b);
}

/* Messages 1..4 are UIDs 2, 3, 7, 9. */
static const struct {
	struct mr_range set[3];
	size_t n;
	bool uid;
	const char *want;	/* NULL: out of range */
} rows[] = {
	{{{1, 1}}, 1, false, "2-2"},
	{{{1, 4}}, 1, false, "2-9"},
	{{{2, 3}, {1, 1}}, 2, false, "2-7"},
	{{{4, 4}, {2, 2}}, 2, false, "3-3 9-9"},
	{{{UINT32_MAX, UINT32_MAX}}, 1, false, "9-9"},
	{{{3, UINT32_MAX}}, 1, false, "7-9"},
	{{{5, UINT32_MAX}}, 1, false, NULL},
	{{{1, 5}}, 1, false, NULL},
	{{{5, 5}}, 1, false, NULL},
	{{{1, 8}}, 1, true, "1-8"},
	{{{8, 800}}, 1, true, "8-9"},
	{{{10, 800}}, 1, true, ""},
	{{{100, UINT32_MAX}}, 1, true, "9-9"},
	{{{UINT32_MAX, UINT32_MAX}}, 1, true, "9-9"},
	{{{7, 7}, {1, 2}, {3, 4}}, 3, true, "1-4 7-7"},
};

static void
write_ranges(struct buf *out, const struct mr_range *r, size_t n)
{
	size_t i;

	buf_reset(out);
	for (i = 0; i < n; i++)
		buf_addf(out, "%s%u-%u", i ? " " : "", r[i].first, r[i].last);
}

static void
test_ranges(void **state)
{
	struct mr_mailbox m = {.id = 1};
	struct imap_box *b = imap_box_new(&m, false);
	struct mr_range *out;
	struct buf text;
	struct arena a;
	size_t i, n;
	bool good;

	(void)state;
	arena_init(&a);
	buf_init(&text, BUF_NO_CAP);
	assert_false(imap_box_ranges(b, rows[0].set, 1, false, &a, &out, &n));
	assert_true(imap_box_ranges(b, rows[12].set, 1, true, &a, &out, &n));
	assert_int_equal(n, 0);
	imap_box_add(b, (struct mr_range){2, 3});
	imap_box_add(b, (struct mr_range){7, 7});
	imap_box_add(b, (struct mr_range){9, 9});
	for (i = 0; i < COUNT(rows); i++) {
		print_message("# row %zu\n", i);
		good = imap_box_ranges(b, rows[i].set, rows[i].n, rows[i].uid,
			&a, &out, &n);
		assert_int_equal(good, rows[i].want != NULL);
		if (!good)
			continue;
		write_ranges(&text, out, n);
		assert_string_equal(buf_c(&text), rows[i].want);
	}
	buf_free(&text);
	arena_free(&a);
	imap_box_free(b);
}

/* Own changes are known only if nobody else's came between. */
static void
test_own_change(void **state)
{
	struct mr_mailbox m = {.id = 1, .modseq = 10};
	struct imap_box *b = imap_box_new(&m, false);

	(void)state;
	imap_box_own_change(b, 11);
	assert_int_equal(b->modseq, 11);
	assert_int_equal(b->vanished_modseq, 11);
	imap_box_own_change(b, 0);
	imap_box_own_change(b, 13);
	assert_int_equal(b->modseq, 11);
	b->vanished_modseq = 9;
	imap_box_own_change(b, 12);
	assert_int_equal(b->modseq, 12);
	assert_int_equal(b->vanished_modseq, 9);
	imap_box_free(b);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_random),
	cmocka_unit_test(test_ends),
	cmocka_unit_test(test_ranges),
	cmocka_unit_test(test_own_change),
};
UNIT_MAIN(tests)
