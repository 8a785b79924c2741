/*
 * reports.c - reports of strangers: packing, XML, JSON and fields, in messages.
 */
#include <assert.h>
#include <string.h>

#include "report/find.h"
#include "report/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(void *arg, json_t *report)
{
	unsigned *n = arg;

	assert(json_is_string(json_object_get(report, "kind")));
	++*n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_of(data, size);
	struct err e = {0};
	unsigned seen = 0;
	struct buf b;

	assert(report_find(s, look, &seen) <= seen);
	buf_init(&b, BUF_NO_CAP);
	if (unpack(s, &b, &e) == 0)
		assert(b.len <= UNPACK_MOST || b.len == size);
	buf_free(&b);
	return 0;
}
