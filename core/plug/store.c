/*
 * store.c - finding the store plugin and translating its answers.
 */
#include "plug/store.h"

int
store_find(const struct plugins *p, struct store *out, struct err *e)
{
	struct plugin *one = plugins_store(p);

	if (!one)
		return err_set(e, ERR_CONFIG, "no plugin keeps mail: add a "
			"section [plugin.sqlite]");
	out->op = one->desc->store;
	out->self = one->config;
	if (!MR_HAS(out->op, figures))
		return err_set(e, ERR_CONFIG, "[%s] is too old to keep mail "
			"for this release", one->section);
	return 0;
}

int
store_result(int code, const struct mr_error *me, struct err *e)
{
	static const struct {
		int code;
		enum err_kind kind;
		const char *text;
	} known[] = {
		{MR_STORE_MISSING, ERR_MISSING, "not there"},
		{MR_STORE_EXISTS, ERR_EXISTS, "there already"},
		{MR_STORE_INVALID, ERR_REFUSED, "not possible"},
		{MR_STORE_OVER_QUOTA, ERR_REFUSED, "over quota"},
		{MR_STORE_BUSY, ERR_STORE, "busy"},
		{MR_STORE_FULL, ERR_FULL, "disk full"},
		{MR_STORE_FAILED, ERR_STORE, "store failure"},
		{MR_STORE_STOPPED, ERR_STORE, "stopped"},
	};
	size_t i;

	if (code == MR_STORE_OK)
		return 0;
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].code == code)
			return err_set(e, known[i].kind, "%s", me->text[0] ?
				me->text : known[i].text);
	return err_set(e, ERR_STORE, "unknown answer %d of the store", code);
}
