/*
 * narrowdump.c - the message in FILE in 7 bits, on standard output; what it
 * needed (0, 1, 2) is the exit status.
 */
#include <stdio.h>

#include "base/file.h"
#include "mail/narrow.h"

int
main(int argc, char **argv)
{
	struct arena a;
	struct str text;
	struct err e = {0};
	uint64_t length;
	int need;

	arena_init(&a);
	if (argc != 2 || file_read(argv[1], 256u << 20, &a, &text, &e) < 0) {
		fprintf(stderr, "narrowdump: %s\n", argc == 2 ? e.text :
			"which file?");
		return 9;
	}
	need = narrow_need(text);
	if (narrow_write(text, 1, &length, &e) < 0) {
		fprintf(stderr, "narrowdump: %s\n", e.text);
		return 9;
	}
	arena_free(&a);
	return need;
}
