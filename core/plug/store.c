/*
 * store.c - finding the store plugin and translating its answers.
 */
#include "plug/store.h"

#include "base/clock.h"

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
		{MR_STORE_RETAINED, ERR_REFUSED, "must be kept"},
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

/* ---------------------------------------------------------- older stores */

static int
claim_by_time(const struct store *s, struct mr_claim *c, struct mr_error *err)
{
	int code;

	c->at[0] = '\0';
	c->next_ms = INT64_MAX;
	if (c->expired_of)
		return MR_STORE_OK;
	code = s->op->queue_claim(s->self, c->owner, c->now_ms, c->lease_ms,
		c->max, c->each, c->arg, err);
	return code == MR_STORE_OK ? s->op->queue_next(s->self, &c->next_ms,
		err) : code;
}

int
store_claim_turns(const struct store *s, struct mr_claim *c,
	struct mr_error *err)
{
	return MR_HAS(s->op, queue_claim_turns) ?
		s->op->queue_claim_turns(s->self, c, err) :
		claim_by_time(s, c, err);
}

static int
change_one(const struct store *s, const struct mr_queue_change *c, int64_t id,
	struct mr_error *err)
{
	struct mr_fate fate = {.id = id, .kind = MR_FATE_RETRY,
		.next_ms = c->next_ms, .reply = "451 4.4.1 not tried"};
	uint32_t n;

	switch (c->op) {
	case MR_QUEUE_RETRY:
		return s->op->queue_retry(s->self, id, &n, err);
	case MR_QUEUE_HOLD:
	case MR_QUEUE_RELEASE:
		return s->op->queue_hold(s->self, id, c->op == MR_QUEUE_HOLD,
			err);
	case MR_QUEUE_RETURN:
		return s->op->queue_settle(s->self, &fate, 1, NULL, err);
	default:
		return MR_STORE_INVALID;
	}
}

int
store_queue_change(const struct store *s, const struct mr_queue_change *c,
	uint32_t *n, struct mr_error *err)
{
	int code;
	size_t i;

	if (MR_HAS(s->op, queue_change))
		return s->op->queue_change(s->self, c, n, err);
	for (i = 0, *n = 0; i < c->n; i++) {
		code = change_one(s, c, c->id[i], err);
		if (code == MR_STORE_OK)
			++*n;
		else if (code != MR_STORE_MISSING && code != MR_STORE_BUSY)
			return code;
	}
	return MR_STORE_OK;
}

int
store_retained(const struct store *s, struct mr_retained *r,
	struct mr_error *err)
{
	r->messages = 0;
	return MR_HAS(s->op, retained) && s->op->retained ?
		s->op->retained(s->self, r, err) : MR_STORE_OK;
}

const char *
store_retained_text(const struct mr_retained *r, struct arena *a)
{
	char until[32];

	clock_iso(r->until_ms, until);
	return arena_printf(a, "%u message%s must be kept, the last until "
		"%.10s %.5s UTC", r->messages, r->messages == 1 ? "" : "s",
		until, until + 11);
}
