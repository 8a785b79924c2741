/*
 * reader.c - a filter that looks at every header field. For the bench.
 */
#include <mailroom/plugin.h>

static enum mr_verdict
on_message(struct mr_call *call)
{
	struct mr_header f;
	size_t i, bytes = 0;

	for (i = 0; call->host->header(call, i, &f) == 0; i++)
		bytes += f.value.len;
	return bytes ? MR_PASS : MR_TEMPFAIL;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .needs = MR_NEEDS_HEADERS,
	.message = on_message,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "reader", .version = "1.0",
	.summary = "reads header fields (tests only)", .filter = &filter,
};
