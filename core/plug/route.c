/*
 * route.c - asking the route plugins, in the order of the configuration.
 */
#include "plug/route.h"

#include "mail/addr.h"
#include "plug/forward.h"
#include "plug/hooks.h"

struct gather {
	struct arena *arena;
	const char *via;
	struct route_target **end;
};

static void
add_target(void *arg, const struct mr_target *t)
{
	struct gather *g = arg;
	struct route_target *one = arena_alloc(g->arena, sizeof *one);

	if (t->forward && *t->forward) {
		one->address = arena_cstr(g->arena, str_from(t->forward));
		one->via = g->via;
		if (MR_HAS(t, sender) && t->sender && *t->sender)
			one->sender = arena_cstr(g->arena,
				str_from(t->sender));
	} else {
		one->account = arena_cstr(g->arena, str_from(t->account));
		one->mailbox = arena_cstr(g->arena, str_from(t->mailbox &&
			*t->mailbox ? t->mailbox : "INBOX"));
	}
	*g->end = one;
	g->end = &one->next;
}

static enum route_answer
translate(enum mr_route_answer a)
{
	switch (a) {
	case MR_ROUTE_NOT_MINE:
		return ROUTE_REMOTE;
	case MR_ROUTE_FOUND:
		return ROUTE_LOCAL;
	case MR_ROUTE_UNKNOWN_USER:
		return ROUTE_UNKNOWN_USER;
	case MR_ROUTE_OVER_QUOTA:
		return ROUTE_OVER_QUOTA;
	case MR_ROUTE_DISABLED:
		return ROUTE_DISABLED;
	default:
		return ROUTE_TEMPFAIL;
	}
}

enum route_answer
route_resolve(const struct plugins *p, struct arena *a, struct str address,
	uint64_t size, struct route_target **out)
{
	struct str unquoted = addr_canonical(a, address);
	struct mr_str plain = {unquoted.at, unquoted.len};
	const char *via = arena_cstr(a, str_sub(unquoted,
		str_rfind(unquoted, '@') + 1, unquoted.len));
	enum route_answer answer;
	size_t i;

	*out = NULL;
	answer = forward_back(p, a, unquoted, out);
	if (answer != ROUTE_REMOTE)
		return answer;
	for (i = 0; i < p->n; i++) {
		const struct mr_route *r = PLUG_ROLE(p->item[i]->desc, route);
		struct gather g = {a, via, out};

		if (!r || !PLUG_HOOK(r, resolve))
			continue;
		*out = NULL;
		hooks_leave_breadcrumb(p->item[i]->name, "resolve", NULL);
		answer = translate(r->resolve(p->item[i]->config, plain, size,
			add_target, &g));
		hooks_leave_breadcrumb(NULL, NULL, NULL);
		if (answer == ROUTE_LOCAL && !*out)
			answer = ROUTE_UNKNOWN_USER;
		if (answer != ROUTE_REMOTE)
			return answer;
	}
	*out = NULL;
	return ROUTE_REMOTE;
}

int
route_may_send(const struct plugins *p, const char *account,
	struct str address)
{
	struct arena scratch;
	struct mr_str plain;
	struct str named;
	int answer = 0, worst = 0;
	size_t i;

	arena_init(&scratch);
	named = addr_canonical(&scratch, address);
	plain = (struct mr_str){named.at, named.len};
	for (i = 0; i < p->n && answer != 1; i++) {
		const struct mr_route *r = PLUG_ROLE(p->item[i]->desc, route);

		if (!r || !PLUG_HOOK(r, may_send))
			continue;
		answer = r->may_send(p->item[i]->config, account, plain);
		if (answer < 0)
			worst = -1;
	}
	arena_free(&scratch);
	return answer == 1 ? 1 : worst;
}

int
route_is_local(const struct plugins *p, struct str domain)
{
	struct mr_str plain = {domain.at, domain.len};
	int answer, worst = 0;
	size_t i;

	for (i = 0; i < p->n; i++) {
		const struct mr_route *r = PLUG_ROLE(p->item[i]->desc, route);

		if (!r || !PLUG_HOOK(r, is_local))
			continue;
		answer = r->is_local(p->item[i]->config, plain);
		if (answer == 1)
			return 1;
		if (answer < 0)
			worst = -1;
	}
	return worst;
}
