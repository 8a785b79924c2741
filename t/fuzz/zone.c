/*
 * zone.c - SPF and DMARC records that others wrote, merged with ours: what was
 * merged once is left alone the second time.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "zone/plan.h"
#include "zone/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
merge_spf(struct str live, struct arena *a)
{
	static const char *const addresses[] = {"192.0.2.1", "2001:db8::1"};
	const struct spf_server s = {"example.org", "mx.example.org",
		addresses, 2};
	struct str one;
	const char *again;
	int i;

	for (i = 0; i < 2; i++) {
		one = str_from(spf_merge(&live, 1, &s, i, a));
		assert(spf_names(live, &s) || str_starts(one, "v=spf1"));
		if (one.len > 8000)
			continue;
		again = spf_merge(&one, 1, &s, i, a);
		assert(str_is(one, again));
	}
}

static void
merge_dmarc(struct str live, struct arena *a)
{
	const char *once = zone_merge_dmarc(live, ZONE_DMARC_QUARANTINE,
		"r@example.org", a);

	if (strlen(once) < 8000)
		assert(!strcmp(once, zone_merge_dmarc(str_from(once),
			ZONE_DMARC_QUARANTINE, "r@example.org", a)));
}

static void
put_text(const char *text)
{
	struct zone_record r = {"x", ZONE_TXT, ZONE_ALONE, text, ""};
	struct buf line;

	buf_init(&line, BUF_NO_CAP);
	zone_put_line(&line, &r, 60);
	assert(!memchr(line.at, '\n', line.len - 1));
	buf_free(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct str live;

	arena_init(&a);
	/* DNS gives texts without NUL to those that take C strings. */
	live = str_from(arena_cstr(&a, str_of(data, size)));
	merge_spf(live, &a);
	merge_dmarc(live, &a);
	assert(zone_same_value(ZONE_TXT, live.at, live.at));
	put_text(live.at);
	arena_free(&a);
	return 0;
}
