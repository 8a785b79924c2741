/*
 * dns_show.c - prints plans.
 */
#include "proc/dns_show.h"

static bool
is_shown(const struct zone_record *r, struct zone_plan *const *before,
	size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (zone_has(before[i], r->name, r->type, r->value))
			return true;
	return false;
}

/* "_dmarc" of _dmarc.example.org, "@" of the zone itself, as web forms have
 * it; the whole name where the zone is not known. */
static struct str
in_zone(const char *name, const char *apex)
{
	struct str own = str_from(name);
	size_t len = apex ? strlen(apex) : 0;

	if (!apex || own.len < len || strcasecmp(name + own.len - len, apex))
		return own;
	if (own.len == len)
		return STR("@");
	return own.at[own.len - len - 1] == '.' ? str_sub(own, 0,
		own.len - len - 1) : own;
}

static void
show_row(const struct zone_record *r, const struct zone_plan *p,
	struct zone_asker *k)
{
	struct str name = in_zone(r->name, zone_home_of(k, p->domain)->apex);

	printf("%.*s\t%s\t%s\n", STR_ARGS(name), zone_type_name(r->type),
		r->value);
}

static void
show_line(const struct zone_record *r, const struct zone_plan *p)
{
	struct buf line;

	buf_init(&line, BUF_NO_CAP);
	zone_put_line(&line, r, p->ttl);
	fputs(buf_c(&line), stdout);
	buf_free(&line);
}

static void
show_record(const struct zone_record *r, const struct zone_plan *p,
	enum dns_form form, struct zone_asker *k)
{
	if (form == DNS_ZONE)
		show_line(r, p);
	else if (form == DNS_ROWS)
		show_row(r, p, k);
	else
		printf("%-5s %s    (%s)\n      %s\n", zone_type_name(r->type),
			r->name, r->why, r->value);
}

void
dns_show_plan(const struct zone_plan *p, struct zone_plan *const *before,
	size_t n_before, enum dns_form form, struct zone_asker *k)
{
	const char *comment = form == DNS_ZONE ? "; " : form == DNS_ROWS ?
		"# " : "";
	size_t i;

	printf("%sWhat %s wants of DNS, for mail at %s:\n%s", comment,
		p->domain, p->hostname, form == DNS_TABLE ? "\n" : "");
	for (i = 0; i < p->n; i++)
		if (!is_shown(&p->record[i], before, n_before))
			show_record(&p->record[i], p, form, k);
	if (p->n_note && form == DNS_TABLE)
		puts("");
	for (i = 0; i < p->n_note; i++)
		printf("%s%s\n", comment, p->note[i]);
}

json_t *
dns_json_record(const struct zone_record *r)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "name", r->name, "type",
		zone_type_name(r->type), "value", r->value, "why", r->why);
}

void
dns_json_plan(const struct zone_plan *p, struct zone_plan *const *before,
	size_t n_before, json_t *list)
{
	json_t *records = json_array(), *notes = json_array();
	size_t i;

	for (i = 0; i < p->n; i++)
		if (!is_shown(&p->record[i], before, n_before))
			json_array_append_new(records,
				dns_json_record(&p->record[i]));
	for (i = 0; i < p->n_note; i++)
		json_array_append_new(notes, json_string(p->note[i]));
	json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o, s:o}",
		"domain", p->domain, "hostname", p->hostname, "ttl",
		(json_int_t)p->ttl, "records", records, "notes", notes));
}

/* -------------------------------------------------------------- findings */

static void
show_one(const struct zone_found *f)
{
	const struct zone_record *r = f->record;

	printf("%-9s %-5s %s%s%s\n", zone_finding_name(f->finding),
		zone_type_name(r->type), r->name, f->finding == ZONE_RIGHT &&
		*f->say ? "    " : "", f->finding == ZONE_RIGHT ? f->say : "");
	if (f->finding == ZONE_RIGHT)
		return;
	printf("          wanted: %s\n          %s\n", r->value, f->say);
}

void
dns_show_found(const struct zone_plan *p, const struct zone_found *f,
	size_t wrong)
{
	size_t i;

	printf("DNS of %s, as its name servers have it:\n\n", p->domain);
	for (i = 0; i < p->n; i++)
		show_one(&f[i]);
	if (wrong)
		printf("\n%zu of %zu records of %s are not right yet.\n", wrong,
			p->n, p->domain);
	else
		printf("\nAll %zu records of %s are right.\n", p->n,
			p->domain);
	for (i = 0; i < p->n_note; i++)
		puts(p->note[i]);
}

json_t *
dns_json_found(const struct zone_found *f)
{
	json_t *j = dns_json_record(f->record), *live = json_array();
	size_t i;

	for (i = 0; i < f->n_live; i++)
		json_array_append_new(live, json_string(f->live[i]));
	json_object_set_new(j, "finding", json_string(zone_finding_name(
		f->finding)));
	json_object_set_new(j, "live", live);
	json_object_set_new(j, "say", json_string(f->say));
	return j;
}
