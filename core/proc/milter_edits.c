/*
 * milter_edits.c - what a plugin made of a message, as the edits of
 * libmilter.
 *
 * The plugin worked on a message of ours; here the difference is told. Which
 * index a field has differs between servers once there are edits before it,
 * so first values are changed in place, then fields are removed from the
 * highest index down, then new ones are put in from the top. That gives the
 * same under Postfix and Sendmail, but that Sendmail also counts fields of
 * its own when it puts one further down.
 */
#include "proc/milter_export.h"

#include "plug/milter_form.h"
#include "plug/result.h"

static unsigned
count_before(const struct export_session *s, struct str name)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < s->n_field; i++)
		n += str_ieq(s->field[i].name, name);
	return n;
}

void
export_note_fields(struct export_session *s)
{
	size_t n = message_field_count(s->message), i;
	struct message_field f;

	s->field = arena_alloc(&s->message_arena, (n + 1) * sizeof *s->field);
	s->n_field = 0;
	for (i = 0; i < n && message_field(s->message, i, &f); i++) {
		s->field[i] = (struct export_field){.id = f.id,
			.name = f.name, .nth = count_before(s, f.name) + 1};
		s->n_field++;
	}
}

static const struct export_field *
find_noted(const struct export_session *s, uint64_t id)
{
	size_t i;

	for (i = 0; i < s->n_field; i++)
		if (s->field[i].id == id)
			return &s->field[i];
	return NULL;
}

static bool
find_now(struct export_session *s, uint64_t id, struct message_field *out)
{
	size_t i;

	for (i = 0; message_field(s->message, i, out); i++)
		if (out->id == id)
			return true;
	return false;
}

/* Name and value as libmilter wants them, one behind the other. */
static char *
form(struct export_session *s, const struct message_field *f, char **value)
{
	struct mr_header h = {f->id, {f->name.at, f->name.len},
		{f->value.at, f->value.len}};
	struct buf b;
	char *text;

	buf_init(&b, BUF_NO_CAP);
	milter_add_field(&b, &h, s->steps & SMFIP_HDR_LEADSPC);
	text = arena_copy(&s->message_arena, b.at, b.len);
	buf_free(&b);
	*value = text + strlen(text) + 1;
	return text;
}

static int
change_fields(struct export_session *s)
{
	struct message_field f;
	char *name, *value;
	int bad = 0;
	size_t i;

	for (i = 0; i < s->n_field; i++) {
		if (!find_now(s, s->field[i].id, &f) ||
			f.name.at == s->field[i].name.at)
			continue;	/* gone, or not a byte of it new */
		name = form(s, &f, &value);
		bad |= smfi_chgheader(s->ctx, name, (int)s->field[i].nth,
			value);
	}
	return bad;
}

static int
remove_fields(struct export_session *s)
{
	struct message_field f;
	size_t i = s->n_field;
	int bad = 0;

	while (i--)
		if (!find_now(s, s->field[i].id, &f))
			bad |= smfi_chgheader(s->ctx,
				arena_cstr(&s->message_arena,
				s->field[i].name), (int)s->field[i].nth, NULL);
	return bad;
}

/* New fields above our Received go to place 0, the lowest of them first. */
static int
insert_above(struct export_session *s, size_t above)
{
	struct message_field f;
	char *name, *value;
	int bad = 0;

	while (above--)
		if (message_field(s->message, above, &f) &&
			!find_noted(s, f.id)) {
			name = form(s, &f, &value);
			bad |= smfi_insheader(s->ctx, 0, name, value);
		}
	return bad;
}

/* Index behind the last field that was there before. */
static size_t
find_tail(struct export_session *s)
{
	size_t n = message_field_count(s->message);
	struct message_field f;

	while (n && message_field(s->message, n - 1, &f) &&
		!find_noted(s, f.id))
		n--;
	return n;
}

static int
insert_fields(struct export_session *s)
{
	size_t above = message_count_above(s->message);
	size_t tail = find_tail(s), i;
	int bad = insert_above(s, above);
	struct message_field f;
	char *name, *value;

	for (i = above; message_field(s->message, i, &f); i++) {
		if (find_noted(s, f.id))
			continue;
		name = form(s, &f, &value);
		bad |= i < tail ?
			smfi_insheader(s->ctx, (int)i + 1, name, value) :
			smfi_addheader(s->ctx, name, value);
	}
	return bad;
}

static int
replace_body(struct export_session *s)
{
	uint64_t at = 0;
	struct err e = {0};
	char block[16384];
	int64_t n;
	int bad = 0;

	if (!message_has_new_body(s->message))
		return 0;
	do {
		n = message_body_read(s->message, at, block, sizeof block, &e);
		if (n < 0)
			return -1;
		if (n > 0 || at == 0)
			bad |= smfi_replacebody(s->ctx,
				(unsigned char *)block, (int)n);
		at += (uint64_t)n;
	} while (n > 0);
	return bad;
}

static char *
path_of(struct export_session *s, struct str address)
{
	return arena_printf(&s->message_arena, "<%.*s>", STR_ARGS(address));
}

static int
change_envelope(struct export_session *s)
{
	const struct envelope *e = &s->envelope;
	int bad = 0;
	size_t i;

	if (!str_eq(e->sender, s->before.sender) ||
		!str_eq(e->sender_args, s->before.sender_args))
		bad |= smfi_chgfrom(s->ctx, path_of(s, e->sender),
			str_eq(e->sender_args, s->before.sender_args) ? NULL :
			arena_cstr(&s->message_arena, e->sender_args));
	for (i = 0; i < e->n_rcpt; i++) {
		const struct envelope_rcpt *r = &e->rcpt[i];
		char *path = path_of(s, r->address);

		if (r->removed && !r->added)
			bad |= smfi_delrcpt(s->ctx, path);
		else if (r->added && !r->removed)
			bad |= r->args.len ? smfi_addrcpt_par(s->ctx, path,
				arena_cstr(&s->message_arena, r->args)) :
				smfi_addrcpt(s->ctx, path);
	}
	return bad;
}

/* The server's own stamp, had it been ours: on top of all. */
static int
insert_results(struct export_session *s)
{
	struct message_field f = {.name = STR("Authentication-Results")};
	char *name, *value;
	struct buf b;
	int bad;

	if (!s->facts.results)
		return 0;
	buf_init(&b, 65536);
	buf_addc(&b, ' ');
	result_write(&b, s->facts.authserv_id, s->facts.results);
	f.value = buf_str(&b);
	name = form(s, &f, &value);
	bad = smfi_insheader(s->ctx, 0, name, value);
	buf_free(&b);
	return bad;
}

int
export_edits(struct export_session *s)
{
	int bad = change_fields(s) | remove_fields(s) | insert_fields(s) |
		replace_body(s) | change_envelope(s) | insert_results(s);

	return bad ? -1 : 0;
}
