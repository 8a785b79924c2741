/*
 * address.c - envelope paths, domains and address lists must stand whatever
 * a stranger sends, and what they give must be part of the input.
 */
#include <assert.h>
#include <stdint.h>

#include "base/enc.h"
#include "mail/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(struct str part, struct str whole)
{
	if (part.len > 0)
		assert(part.at >= whole.at &&
			part.at + part.len <= whole.at + whole.len);
}

static void
try_path(struct str in, bool null, bool postmaster)
{
	struct addr a, again;
	struct str rest;

	if (!addr_parse_path(in, null, postmaster, &a, &rest))
		return;
	check_inside(a.full, in);
	check_inside(rest, in);
	assert(a.full.len <= ADDR_MAX && enc_is_utf8(a.full));
	if (a.domain.len == 0)
		return;
	/* What was taken is an address by itself. */
	assert(addr_parse(a.full, &again));
	assert(str_eq(again.local, a.local) && str_eq(again.domain, a.domain));
	assert(addr_is_domain(a.domain, true));
}

static void
try_domain(struct str in)
{
	struct arena a;
	struct str ascii;

	arena_init(&a);
	ascii = addr_domain_ascii(&a, in);
	if (ascii.at != NULL) {
		assert(addr_is_domain(ascii, false));
		assert(str_eq(addr_domain_ascii(&a, ascii), ascii));
	}
	arena_free(&a);
}

static void
try_list(struct str in)
{
	struct str rest = in;
	struct addr_item item;
	struct arena a;
	size_t left = in.len;

	arena_init(&a);
	while (addr_list_next(&rest, &a, &item)) {
		assert(rest.len < left);
		left = rest.len;
		assert(!item.group_start || item.domain.len == 0);
		assert(item.name.len + item.local.len + item.domain.len <=
			2 * in.len);
	}
	assert(rest.len == 0);
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size);

	try_path(in, true, true);
	try_path(in, false, false);
	try_domain(in);
	try_list(in);
	return 0;
}
