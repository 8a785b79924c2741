/*
 * change.c - which changes; how they are sent is in update.c.
 */
#include "zone/change.h"

static bool
is_listed(const struct zone_changes *l, const struct zone_change *c)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].adds == c->adds && l->at[i].type == c->type &&
			!strcasecmp(l->at[i].name, c->name) &&
			!strcmp(l->at[i].value, c->value))
			return true;
	return false;
}

static void
add_change(struct zone_changes *l, struct zone_change c)
{
	if (l->n < ZONE_CHANGES_MOST && !is_listed(l, &c))
		l->at[l->n++] = c;
}

static void
take_out(struct zone_changes *l, const struct zone_found *f)
{
	size_t i;

	for (i = 0; i < f->n_live; i++)
		add_change(l, (struct zone_change){false, f->record->name,
			f->live_type, f->live[i], f->exact[i], 0, f->home});
}

static void
put_in(struct zone_changes *l, const struct zone_found *f, int64_t ttl,
	struct arena *a)
{
	const struct zone_record *r = f->record;
	struct buf exact;

	buf_init(&exact, BUF_NO_CAP);
	zone_put_value(&exact, r->type, r->value);
	add_change(l, (struct zone_change){true, r->name, r->type, r->value,
		arena_cstr(a, buf_str(&exact)), ttl, f->home});
	buf_free(&exact);
}

/* Can we make it right, or only time, or somebody else? */
static bool
is_ours(const struct zone_found *f)
{
	return f->finding != ZONE_RIGHT && f->finding < ZONE_PARTLY &&
		f->home->apex;
}

void
zone_changes_of(const struct zone_plan *p, const struct zone_found *f,
	struct arena *a, struct zone_changes *out)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (!is_ours(&f[i]))
			out->n_left += f[i].finding != ZONE_RIGHT;
		else if (f[i].record->rule != ZONE_BESIDE)
			take_out(out, &f[i]);
	for (i = 0; i < p->n; i++)
		if (is_ours(&f[i]) && !f[i].is_there)
			put_in(out, &f[i], p->ttl, a);
}
