/*
 * inspect.c - modules of anybody's, read without running them: whatever the
 * file holds, what comes out is text that a terminal can be shown.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/enc.h"
#include "plug/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *s)
{
	if (!s)
		return;
	assert(enc_is_utf8(str_from(s)));
	for (; *s; s++)
		assert((unsigned char)*s >= ' ' && *s != 127);
}

static void
check(const struct inspect *i)
{
	size_t n;

	if (i->kind == INSPECT_PLUGIN)
		assert(i->name && *i->name && i->version);
	check_text(i->name);
	check_text(i->version);
	check_text(i->summary);
	check_text(i->roles);
	check_text(i->hooks);
	for (n = 0; n < i->n_setting; n++) {
		assert(i->setting[n].name && i->setting[n].type);
		check_text(i->setting[n].name);
		check_text(i->setting[n].fallback);
		check_text(i->setting[n].choices);
		check_text(i->setting[n].help);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	struct inspect i;
	struct arena a;

	arena_init(&a);
	if (inspect_module(&i, "module", str_of(data, size), &a, &e) == 0)
		check(&i);
	else
		assert(!strncmp(e.text, "module", 6));
	arena_free(&a);
	return 0;
}
