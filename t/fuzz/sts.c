/*
 * sts.c - MTA-STS records and policies as strangers write them: what is taken
 * is what RFC 8461 allows, and nothing of it leads out of the input.
 */
#include <assert.h>
#include <stdint.h>

#include "queue/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size), id;
	struct sts_policy p;
	struct arena a;
	size_t i;

	arena_init(&a);
	if (sts_read_record(in, &id))
		assert(id.len >= 1 && id.len <= 32);
	if (sts_read_policy(in, &a, &p)) {
		assert(p.n_mx || p.mode == STS_NONE);
		assert(p.max_age_ms >= 0 && p.max_age_ms <= 31557600000);
		for (i = 0; i < p.n_mx; i++) {
			assert(p.mx[i].at >= in.at && p.mx[i].at +
				p.mx[i].len <= in.at + in.len);
			assert(!str_has_byte(p.mx[i], '\n'));
		}
		sts_allows(&p, "mx.example.org");
		sts_allows(&p, "org");
	}
	arena_free(&a);
	return 0;
}
