/*
 * narrow.c - any bytes as a message in 7 bits: what comes out needs nothing
 * any more where the parts could be read, and a second pass changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "mail/narrow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str
pass(struct str in, struct arena *a)
{
	int fd = memfd_create("narrow", MFD_CLOEXEC);
	struct err e = {0};
	uint64_t length;
	char *out;

	assert(fd >= 0 && narrow_write(in, fd, &length, &e) == 0);
	out = arena_alloc(a, length + 1);
	assert(pread(fd, out, length, 0) == (ssize_t)length);
	close(fd);
	return str_of(out, length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size), out;
	struct arena a;

	if (size > 20000)
		return 0;
	arena_init(&a);
	out = pass(in, &a);
	if (narrow_need(in) == NARROW_NOTHING)
		assert(out.len >= in.len || out.len > 0 || !in.len);
	/* Encodings may grow it, by no more than their factor and the headers
	 * that were added to each part. */
	assert(out.len <= 4 * in.len + 200 * (1 + in.len));
	pass(out, &a);
	arena_free(&a);
	return 0;
}
