/*
 * verify.c - judges answers. A record is right when every server that answers
 * says so; a server that is silent is passed over as long as another speaks,
 * as resolvers do.
 */
#include "zone/verify.h"

const char *
zone_finding_name(enum zone_finding f)
{
	static const char *const names[] = {"right", "missing", "differs",
		"several", "alias", "partly", "unreached", "homeless"};

	return names[f];
}

/* ------------------------------------------------------------- one answer */

/* Does a live value stand where this record is to stand? */
static bool
takes_place(const struct zone_record *r, const char *live)
{
	struct str tag = zone_tag(r->value), other = zone_tag(live);

	return r->rule != ZONE_TAGGED || str_ieq(tag, other) ||
		/* "v=DKIM1" may be left out (RFC 6376 3.6.1). */
		(str_is(tag, "v=DKIM1") && !str_istarts(other, "v="));
}

static void
take_live(struct zone_found *out, const char *value, const char *exact)
{
	out->live[out->n_live] = value;
	out->exact[out->n_live++] = exact;
}

/* Addresses of the host where an alias of it is wanted do as well. */
static bool
is_host_itself(const struct zone_plan *p, const struct zone_answer *answer)
{
	size_t i;

	for (i = 0; i < answer->n; i++)
		if (!zone_has(p, p->hostname, strchr(answer->value[i], ':') ?
			ZONE_AAAA : ZONE_A, answer->value[i]))
			return false;
	return answer->n > 0;
}

/* Of the values that stand in the record's place, those that are not in the
 * plan go to out->live. Is the record itself among them all? */
static bool
sort_values(const struct zone_plan *p, const struct zone_record *r,
	const struct zone_answer *answer, struct zone_found *out,
	size_t *in_place)
{
	bool is_there = false;
	size_t i;

	*in_place = 0;
	for (i = 0; i < answer->n; i++) {
		const char *live = answer->value[i];

		if (!takes_place(r, live))
			continue;
		++*in_place;
		if (zone_same_value(r->type, r->value, live))
			is_there = true;
		else if (r->rule != ZONE_ALONE || !zone_has(p, r->name,
			r->type, live))
			take_live(out, live, answer->exact[i]);
	}
	return is_there;
}

static enum zone_finding
finding_of(const struct zone_record *r, bool is_there, size_t in_place,
	size_t others)
{
	if (r->rule == ZONE_TAGGED && in_place > 1)
		return ZONE_SEVERAL;
	if (is_there)
		return others && r->rule == ZONE_ALONE ? ZONE_DIFFERS :
			ZONE_RIGHT;
	if (others && r->rule != ZONE_BESIDE)
		return ZONE_DIFFERS;
	return ZONE_MISSING;
}

void
zone_judge(const struct zone_plan *p, const struct zone_record *r,
	const struct zone_answer *answer, struct arena *a,
	struct zone_found *out)
{
	size_t in_place;

	*out = (struct zone_found){.record = r, .say = "",
		.live_type = r->type};
	out->live = arena_alloc(a, (answer->n + 1) * sizeof *out->live);
	out->exact = arena_alloc(a, (answer->n + 1) * sizeof *out->exact);
	if (answer->status == ZONE_SILENT || answer->status == ZONE_REFUSED) {
		out->finding = ZONE_UNREACHED;
	} else if (answer->alias && r->type != ZONE_CNAME) {
		out->finding = ZONE_ALIAS;
		out->live_type = ZONE_CNAME;
		take_live(out, answer->alias, answer->alias);
	} else {
		out->is_there = sort_values(p, r, answer, out, &in_place);
		out->finding = finding_of(r, out->is_there, in_place,
			out->n_live);
	}
}

/* -------------------------------------------------------------- all servers */

struct asking {
	struct zone_asker *k;
	const struct zone_plan *p;
	struct arena *a;
};

/* Where a CNAME is wanted and none is: addresses may stand there. */
static void
judge_host(struct asking *g, struct zone_server *s, struct zone_found *out)
{
	static const enum zone_type types[] = {ZONE_A, ZONE_AAAA};
	struct zone_answer got;
	size_t i;

	for (i = 0; i < 2 && out->finding == ZONE_MISSING; i++) {
		zone_ask(g->k, s, out->record->name, types[i], g->a, &got);
		if (!got.n)
			continue;
		out->live_type = types[i];
		out->live = got.value;
		out->exact = got.exact;
		out->finding = is_host_itself(g->p, &got) ? ZONE_RIGHT :
			ZONE_DIFFERS;
		out->n_live = out->finding == ZONE_RIGHT ? 0 : got.n;
	}
}

static void
ask_server(struct asking *g, const struct zone_record *r,
	struct zone_server *s, struct zone_found *out)
{
	struct zone_answer got;

	zone_ask(g->k, s, r->name, r->type, g->a, &got);
	zone_judge(g->p, r, &got, g->a, out);
	if (out->finding == ZONE_UNREACHED)
		out->say = arena_printf(g->a, "%s (%s) %s%s", s->name,
			s->address, got.reason ? "refuses: " :
			"does not answer", got.reason ? got.reason : "");
	else if (out->finding == ZONE_MISSING && r->type == ZONE_CNAME)
		judge_host(g, s, out);
}

/* ------------------------------------------------------------ what to do */

static const char *
say_several(struct asking *g, const struct zone_found *f)
{
	struct str tag = zone_tag(f->record->value);

	return arena_printf(g->a, "There are several records that begin with "
		"%.*s, which receivers take for none: leave one, as wanted.",
		STR_ARGS(tag));
}

static const char *
say_differs(struct asking *g, const struct zone_found *f)
{
	const struct zone_record *r = f->record;

	if (f->live_type != r->type)
		return arena_printf(g->a, "%s has %s records: take them out, "
			"then add the %s.", r->name, zone_type_name(
			f->live_type), zone_type_name(r->type));
	if (f->is_there)
		return arena_printf(g->a, "Beside it stands %s: take that "
			"out.", f->live[0]);
	if (r->type == ZONE_MX)
		return arena_printf(g->a, "Mail goes to %s now: put this "
			"record in its place when it is to come here.",
			f->live[0]);
	return arena_printf(g->a, "It is %s now: put the wanted one in its "
		"place.", f->live[0]);
}

static const char *
say_right(struct asking *g, const struct zone_found *f)
{
	if (!f->n_live || f->record->rule == ZONE_BESIDE)
		return "";
	return arena_printf(g->a, "Beside it stands %s%s.", f->live[0],
		f->n_live > 1 ? ", and more" : "");
}

static const char *
say(struct asking *g, const struct zone_found *f)
{
	const struct zone_record *r = f->record;

	switch (f->finding) {
	case ZONE_RIGHT:
		return say_right(g, f);
	case ZONE_MISSING:
		return "It is not there: add it.";
	case ZONE_DIFFERS:
		return say_differs(g, f);
	case ZONE_SEVERAL:
		return say_several(g, f);
	case ZONE_ALIAS:
		return arena_printf(g->a, "%s is a CNAME of %s, beside which "
			"nothing else can stand: take it out, then add this.",
			r->name, f->live[0]);
	default:
		return f->say;
	}
}

/* -------------------------------------------------------------- one record */

/* Two answers become one: servers that disagree are on their way. */
static void
join(struct asking *g, struct zone_found *all, const struct zone_found *one,
	const struct zone_server *s)
{
	if (one->finding == ZONE_UNREACHED || all->finding == ZONE_PARTLY)
		return;
	if (all->finding == ZONE_UNREACHED) {
		*all = *one;
		return;
	}
	if ((all->finding == ZONE_RIGHT) == (one->finding == ZONE_RIGHT))
		return;
	all->say = arena_printf(g->a, "Not all name servers have it: %s (%s) "
		"%s. They take it from each other; wait some minutes.",
		s->name, s->address, one->finding == ZONE_RIGHT ?
		"does, others do not" : "does not yet");
	all->finding = ZONE_PARTLY;
}

static void
verify_record(struct asking *g, const struct zone_record *r,
	struct zone_found *out)
{
	struct zone_home *h = zone_home_of(g->k, r->name);
	struct zone_found one;
	size_t i;

	*out = (struct zone_found){.record = r, .finding = ZONE_UNREACHED,
		.say = arena_printf(g->a, "No name server of %s has an "
		"address.", h->apex ? h->apex : r->name)};
	for (i = 0; i < h->n; i++) {
		ask_server(g, r, &h->server[i], &one);
		if (!i)
			*out = one;
		else
			join(g, out, &one, &h->server[i]);
	}
	out->home = h;
	if (!h->apex && !h->n) {
		out->finding = ZONE_HOMELESS;
		out->say = arena_printf(g->a, "No name servers are known for "
			"%s: is the domain registered, and does the resolver "
			"of this machine work?", r->name);
	} else if (out->finding == ZONE_UNREACHED && out->say[0]) {
		out->say = arena_printf(g->a, "What is live cannot be seen: "
			"%s.", out->say);
	} else {
		out->say = say(g, out);
	}
}

struct zone_found *
zone_verify(struct zone_asker *k, const struct zone_plan *p, struct arena *a,
	size_t *wrong)
{
	struct zone_found *found = arena_alloc(a, (p->n + 1) * sizeof *found);
	struct asking g = {k, p, a};
	size_t i;

	*wrong = 0;
	for (i = 0; i < p->n; i++) {
		verify_record(&g, &p->record[i], &found[i]);
		*wrong += found[i].finding != ZONE_RIGHT;
	}
	return found;
}
