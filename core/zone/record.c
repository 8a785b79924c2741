/*
 * record.c - a list of records, what makes two of them the same, and the form
 * of a zone file (RFC 1035 5.1).
 */
#include "zone/record.h"

#include <assert.h>

#define PIECE 255

const char *
zone_type_name(enum zone_type t)
{
	static const struct {
		enum zone_type type;
		const char *name;
	} names[] = {{ZONE_A, "A"}, {ZONE_CNAME, "CNAME"}, {ZONE_MX, "MX"},
		{ZONE_TXT, "TXT"}, {ZONE_AAAA, "AAAA"}, {ZONE_SRV, "SRV"},
		{ZONE_TLSA, "TLSA"}, {ZONE_CAA, "CAA"}};
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].type == t)
			return names[i].name;
	assert(!"a type without a name");
	return "";
}

void
zone_add(struct zone_plan *p, enum zone_type type, enum zone_rule rule,
	const char *why, const char *name, const char *value)
{
	if (p->n < ZONE_MOST)
		p->record[p->n++] = (struct zone_record){name, type, rule,
			value, why};
}

void
zone_note(struct zone_plan *p, const char *note)
{
	if (p->n_note < sizeof p->note / sizeof *p->note)
		p->note[p->n_note++] = note;
}

/* The next "tag = value" of a list; empty at its end. */
static struct str
next_tag(struct str *rest, struct str *value)
{
	struct str tag = {0};

	*value = tag;
	while (rest->len && !tag.len) {
		*value = str_cut(rest, ';');
		tag = str_trim(str_cut(value, '='));
		*value = str_trim(*value);
	}
	return tag;
}

/* Blanks around ';' and '=', and a ';' at the end, mean nothing (RFC 6376
 * 3.2); a text without them is one value. */
static bool
is_same_text(struct str one, struct str other)
{
	struct str tag[2], value[2];

	do {
		tag[0] = next_tag(&one, &value[0]);
		tag[1] = next_tag(&other, &value[1]);
		if (!str_eq(tag[0], tag[1]) || !str_eq(value[0], value[1]))
			return false;
	} while (tag[0].len);
	return true;
}

bool
zone_same_value(enum zone_type type, const char *one, const char *other)
{
	if (type == ZONE_TXT)
		return is_same_text(str_from(one), str_from(other));
	return type == ZONE_CAA ? !strcmp(one, other) :
		!strcasecmp(one, other);
}

bool
zone_has(const struct zone_plan *p, const char *name, enum zone_type type,
	const char *value)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->record[i].type == type &&
			!strcasecmp(p->record[i].name, name) &&
			zone_same_value(type, p->record[i].value, value))
			return true;
	return false;
}

struct str
zone_tag(const char *text)
{
	return str_of(text, strcspn(text, " ;"));
}

static void
put_text(struct buf *out, const char *text)
{
	size_t i, in_piece = 0;

	buf_addc(out, '"');
	for (i = 0; text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		if (in_piece++ == PIECE) {
			buf_adds(out, "\" \"");
			in_piece = 1;
		}
		if (c < ' ' || c > '~')
			buf_addf(out, "\\%03u", c);
		else if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

void
zone_put_value(struct buf *out, enum zone_type type, const char *value)
{
	if (type == ZONE_TXT)
		put_text(out, value);
	else
		buf_adds(out, value);
}

void
zone_put_line(struct buf *out, const struct zone_record *r, int64_t ttl)
{
	bool is_long = r->type == ZONE_TXT && strlen(r->value) > PIECE;

	buf_addf(out, "%s. %lld IN %s ", r->name, (long long)ttl,
		zone_type_name(r->type));
	if (is_long)
		buf_adds(out, "( ");
	zone_put_value(out, r->type, r->value);
	buf_adds(out, is_long ? " )\n" : "\n");
}
