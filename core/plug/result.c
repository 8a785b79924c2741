/*
 * result.c - Authentication-Results from what filters have found.
 */
#include "plug/result.h"

void
result_write(struct buf *out, const char *authserv_id, const struct result *r)
{
	buf_adds(out, authserv_id);
	for (; r; r = r->next) {
		buf_addf(out, ";\r\n\t%s=%s", r->method, r->value);
		if (r->reason)
			buf_addf(out, " (%s)", r->reason);
		if (r->props)
			buf_addf(out, " %s", r->props);
	}
}
