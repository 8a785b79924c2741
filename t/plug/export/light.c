/*
 * light.c - the least filter: one hook at the end, nothing read. Over the
 * wire it must be asked at the end only.
 */
#include <mailroom/plugin.h>

static enum mr_verdict
on_message(struct mr_call *c)
{
	mr_header_add(c, "X-Light", mr_fact(c, MR_FACT_SENDER));
	return MR_PASS;
}

static const struct mr_filter filter = {
	.size = sizeof filter, .may = MR_MAY_HEADERS, .message = on_message,
};

#ifdef WITH_AUTH
static const struct mr_auth auth = {.size = sizeof auth};
#endif

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "light", .version = "1.0", .filter = &filter,
#ifdef WITH_AUTH
	.auth = &auth,
#endif
};
