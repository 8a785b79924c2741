/*
 * dmarc.c - From fields and policy records of strangers.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/dmarc/author.c"
#include "../../plugins/dmarc/record.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char domain[NAME_MOST + 1], again[NAME_MOST + 1];
	char *copy = malloc(size + 1);
	struct mr_str s = {copy, size};
	struct record r;

	assert(copy);
	memcpy(copy, data, size);
	copy[size] = '\0';
	memset(domain, 'x', sizeof domain);
	if (author_domain(s, domain) == AUTHOR_ONE) {
		assert(strlen(domain) <= NAME_MOST && *domain);
		assert(author_ascii(domain, again) && !strcmp(domain, again));
	}
	if (record_read(s, &r))
		assert(r.p >= POLICY_NONE && r.p <= POLICY_REJECT);
	free(copy);
	return 0;
}
