/*
 * milter_text.c - transcripts: a line of strangers is read or refused, and
 * any frame comes back from its line as it was.
 */
#include <assert.h>
#include <stdint.h>

#include "proc/milter_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_frame(struct milter_frame f)
{
	struct milter_frame again;
	struct buf line, bytes;
	struct err e = {0};

	buf_init(&line, BUF_NO_CAP);
	buf_init(&bytes, BUF_NO_CAP);
	milter_text_write(&line, &f);
	assert(!str_has_byte(buf_str(&line), '\n'));
	assert(milter_text_read(buf_str(&line), &again, &bytes, &e) == 0);
	assert(again.way == f.way && again.command == f.command);
	assert(str_eq(again.data, f.data));
	buf_free(&line);
	buf_free(&bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_of(data, size);
	struct milter_frame f;
	struct buf bytes;

	buf_init(&bytes, BUF_NO_CAP);
	if (milter_text_read(str_sub(all, 0, str_find(all, '\n')), &f, &bytes,
		NULL) == 0)
		check_frame(f);
	buf_free(&bytes);
	if (size > 1)
		check_frame((struct milter_frame){data[0] & 1 ? '>' : '<',
			(char)data[1], str_sub(all, 2, all.len)});
	return 0;
}
