/*
 * results.c - whose results an Authentication-Results field says it has: it
 * decides which fields of strangers are removed.
 */
#include <assert.h>
#include <string.h>

#include "plug/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct str id;
	size_t i;

	arena_init(&a);
	id = result_authserv_id(&a, str_of(data, size));
	assert(id.len <= size);
	for (i = 0; i < id.len; i++)
		assert(id.at[i] != '\r' && id.at[i] != '\n');
	arena_free(&a);
	return 0;
}
