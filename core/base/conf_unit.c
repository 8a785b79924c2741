/*
 * conf_unit.c - sizes and durations with their units.
 */
#include "base/conf_tree.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit sizes[] = {
	{"B", 1}, {"kB", 1000}, {"KB", 1000}, {"MB", 1000000},
	{"GB", 1000000000}, {"TB", 1000000000000}, {"KiB", 1 << 10},
	{"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1LL << 40},
	{NULL, 0},
};

static const struct unit durations[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000},
	{"d", 86400000}, {"w", 604800000}, {"y", 31536000000},
	{NULL, 0},
};

static int64_t
factor_of(const struct unit *u, struct str name)
{
	for (; u->name; u++)
		if (str_is(name, u->name))
			return u->factor;
	return 0;
}

/* One number and its unit off the front of *s. */
static bool
take_amount(struct str *s, const struct unit *units, int64_t *out)
{
	size_t n = 0, start;
	uint64_t number;
	int64_t factor;

	while (n < s->len && is_digit(s->at[n]))
		n++;
	if (!str_u64(str_sub(*s, 0, n), INT64_MAX, &number))
		return false;
	while (n < s->len && s->at[n] == ' ')
		n++;
	start = n;
	while (n < s->len && is_alpha(s->at[n]))
		n++;
	factor = factor_of(units, str_sub(*s, start, n - start));
	if (!factor || number > (uint64_t)(INT64_MAX / factor))
		return false;
	*out = (int64_t)number * factor;
	*s = str_trim_blank(str_sub(*s, n, s->len));
	return true;
}

bool
conf_parse_size(struct str s, int64_t *bytes)
{
	return take_amount(&s, sizes, bytes) && s.len == 0;
}

/* "1h30m" adds up. */
bool
conf_parse_duration(struct str s, int64_t *ms)
{
	int64_t part;

	*ms = 0;
	do {
		if (!take_amount(&s, durations, &part) ||
			part > INT64_MAX - *ms)
			return false;
		*ms += part;
	} while (s.len);
	return true;
}

/* The largest unit that divides the amount. */
static void
print_amount(struct buf *out, const struct unit *units, int64_t amount)
{
	const struct unit *u, *best = units;

	for (u = units; u->name; u++)
		if (amount && amount % u->factor == 0 &&
			u->factor > best->factor)
			best = u;
	buf_addf(out, "\"%lld%s%s\"", (long long)(amount / best->factor),
		units == sizes ? " " : "", best->name);
}

void
conf_print_size(struct buf *out, int64_t bytes)
{
	print_amount(out, sizes, bytes);
}

void
conf_print_duration(struct buf *out, int64_t ms)
{
	print_amount(out, durations, ms);
}
