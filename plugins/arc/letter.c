/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * letter.c - the message of a hook, as the other parts read it.
 */
#include "letter.h"

#include <stdlib.h>

static int64_t
read_body(void *arg, uint64_t offset, void *out, size_t len)
{
	struct mr_call *call = arg;

	return call->host->body_read(call, offset, out, len);
}

static void
ask_host(void *arg, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	struct mr_call *call = arg;

	call->host->dns(call, name, type, out);
}

bool
letter_open(struct mr_call *call, struct letter *out,
	struct resolver *resolver)
{
	struct mr_header h, *field;
	size_t n = 0, i;

	while (call->host->header(call, n, &h) == 0)
		n++;
	field = calloc(n + 1, sizeof *field);
	for (i = 0; field && i < n; i++)
		call->host->header(call, i, &field[i]);
	*out = (struct letter){.field = field, .n = n, .read = read_body,
		.arg = call};
	*resolver = (struct resolver){.dns = ask_host, .arg = call};
	return field != NULL;
}

void
letter_close(struct letter *l)
{
	free((void *)(uintptr_t)l->field);
}
