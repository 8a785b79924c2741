/*
 * message.c - one message on its way in: immutable bytes plus a list of
 * edits.
 *
 * The fields stand in one list of items, from the top. An item is either a
 * range of the received bytes or text made here; a change replaces the item
 * and the edit remembers both, so undo puts the old one back. Our own fields
 * are items too, but without an id: no filter sees them. The first one made
 * (Received) fills the anchor, which stands on top of the received fields
 * from the beginning, filled or not, and which insertion counts as one
 * (MILTER.md 1.6: position 0 is above it, 1 right below); later ones go on
 * top of all and are not counted.
 *
 * A header section counts up to 1 MiB and 10,000 fields; what is beyond is
 * body to us.
 *
 * Leaves to others: the bytes (spool.c), what leaves the house
 * (message_pieces.c). The session's thread; body calls may block on disk.
 */
#include "mail/message_parts.h"

#include <assert.h>

#include "mail/header.h"

#define HEADER_MAX (1024 * 1024)
#define FIELDS_MAX 10000
#define EDITS_MAX 65536

struct message *
message_new(struct arena *a, const char *spool_dir, size_t memory_limit)
{
	struct message *m = arena_alloc(a, sizeof *m);

	m->arena = a;
	m->dir = spool_dir;
	m->memory_limit = memory_limit;
	spool_init(&m->raw, spool_dir, memory_limit);
	m->anchor = arena_alloc(a, sizeof *m->anchor);
	m->room = 32;
	m->item = arena_alloc(a, m->room * sizeof *m->item);
	m->item[m->n_item++] = m->anchor;
	return m;
}

void
message_free(struct message *m)
{
	struct body *b;

	if (m == NULL)
		return;
	spool_free(&m->raw);
	for (b = m->bodies; b != NULL; b = b->next)
		spool_free(&b->spool);
	m->bodies = NULL;
}

int
message_write(struct message *m, struct str bytes, struct err *e)
{
	assert(!m->sealed);
	return spool_write(&m->raw, bytes.at, bytes.len, e);
}

static bool
is_visible(const struct item *it)
{
	return it->id != 0;
}

static void
item_insert(struct message *m, size_t slot, struct item *it)
{
	struct item **old = m->item;

	if (m->n_item == m->room) {
		m->room *= 2;
		m->item = arena_alloc(m->arena, m->room * sizeof *m->item);
		memcpy(m->item, old, m->n_item * sizeof *m->item);
	}
	memmove(m->item + slot + 1, m->item + slot,
		(m->n_item - slot) * sizeof *m->item);
	m->item[slot] = it;
	m->n_item++;
	m->n_visible += is_visible(it);
	m->cursor = m->cursor_slot = 0;
}

static void
item_remove(struct message *m, size_t slot)
{
	m->n_visible -= is_visible(m->item[slot]);
	m->n_item--;
	memmove(m->item + slot, m->item + slot + 1,
		(m->n_item - slot) * sizeof *m->item);
	m->cursor = m->cursor_slot = 0;
}

/* ------------------------------------------------------------ sealing */

static void
add_received_field(struct message *m, const struct header_field *f,
	uint64_t at)
{
	struct item *it = arena_alloc(m->arena, sizeof *it);

	it->id = ++m->last_id;
	it->name = f->name;
	it->value = f->value;
	it->at = at;
	it->text = f->raw;
	it->is_received = true;
	item_insert(m, m->n_item, it);
}

/* Finds the fields in view, the first bytes of the message. false: the end
 * of the section lies beyond it (never with `last`: then what goes beyond is
 * left out). */
static bool
find_fields(struct message *m, struct str view, bool last)
{
	bool all = view.len == m->raw.length;
	struct str in = view, before = view;
	struct header_field f;
	bool more;

	while ((more = header_next(&in, &f))) {
		if (m->n_visible == FIELDS_MAX || (!all && in.len == 0))
			break;
		add_received_field(m, &f, (uint64_t)(f.raw.at - view.at));
		before = in;
	}
	m->had_fields = more || m->n_visible > 0;
	m->header_end = view.len - before.len;
	m->body_at = more ? m->header_end : view.len - in.len;
	if (all || last || m->body_at > m->header_end)
		return true;
	return more ? m->n_visible == FIELDS_MAX : str_has_byte(in, '\n');
}

static void
forget_fields(struct message *m)
{
	while (m->n_visible > 0)
		item_remove(m, m->n_item - 1);
}

int
message_seal(struct message *m, struct err *e)
{
	size_t len = m->raw.memory.len < HEADER_MAX ? m->raw.memory.len :
		HEADER_MAX;
	char *at;

	m->sealed = true;
	if (spool_flush(&m->raw, e) < 0)
		return -1;
	if (find_fields(m, str_of(buf_c(&m->raw.memory), len),
	    len == HEADER_MAX))
		return 0;
	forget_fields(m);
	len = m->raw.length < HEADER_MAX ? (size_t)m->raw.length : HEADER_MAX;
	at = arena_alloc(m->arena, len);
	if (spool_read(&m->raw, 0, at, len, e) < 0)
		return -1;
	find_fields(m, str_of(at, len), true);
	return 0;
}

uint64_t
message_raw_length(const struct message *m)
{
	return m->raw.length;
}

/* ----------------------------------------------------------- looking */

/* The slot of a visible field, or n_item. Walking up one by one costs a step
 * each. */
static size_t
slot_of_index(struct message *m, size_t index)
{
	size_t slot, i;

	if (index >= m->n_visible)
		return m->n_item;
	if (index < m->cursor)
		m->cursor = m->cursor_slot = 0;
	slot = m->cursor_slot;
	for (i = m->cursor;; slot++) {
		if (!is_visible(m->item[slot]))
			continue;
		if (i++ == index)
			break;
	}
	m->cursor = index;
	m->cursor_slot = slot;
	return slot;
}

static size_t
slot_of_id(const struct message *m, uint64_t id)
{
	size_t slot = 0;

	while (slot < m->n_item && m->item[slot]->id != id)
		slot++;
	return id == 0 ? m->n_item : slot;
}

static void
show(const struct item *it, struct message_field *out)
{
	out->id = it->id;
	out->name = it->name;
	out->value = it->value;
}

bool
message_field(struct message *m, size_t index, struct message_field *out)
{
	size_t slot = slot_of_index(m, index);

	if (slot == m->n_item)
		return false;
	show(m->item[slot], out);
	return true;
}

size_t
message_field_count(struct message *m)
{
	return m->n_visible;
}

bool
message_find(struct message *m, struct str name, size_t nth,
	struct message_field *out)
{
	size_t slot;

	for (slot = 0; slot < m->n_item; slot++) {
		if (!is_visible(m->item[slot]) ||
		    !str_ieq(m->item[slot]->name, name) || nth-- > 0)
			continue;
		show(m->item[slot], out);
		return true;
	}
	return false;
}

/* ----------------------------------------------------------- editing */

static void
item_write(struct message *m, struct item *it, struct str name,
	struct str value, bool leading)
{
	struct buf text;

	it->name = arena_str(m->arena, name);
	it->value = header_normalise(m->arena, value, leading);
	buf_init(&text, BUF_NO_CAP);
	buf_addstr(&text, it->name);
	buf_addc(&text, ':');
	buf_addstr(&text, it->value);
	buf_adds(&text, "\r\n");
	it->text = arena_str(m->arena, buf_str(&text));
	buf_free(&text);
}

/* Not an edit: undo leaves it, so the places that edits remember move. */
void
message_own(struct message *m, const char *name, struct str value)
{
	struct item *it = m->anchor;
	size_t i;

	if (it->text.len > 0) {
		it = arena_alloc(m->arena, sizeof *it);
		item_insert(m, 0, it);
		for (i = 0; i < m->n_edit; i++)
			m->edit[i].slot++;
	}
	item_write(m, it, str_from(name), value, true);
}

struct edit *
message_edit_new(struct message *m, const char *who)
{
	struct edit *old = m->edit, *e;

	if (m->n_edit == m->edit_room) {
		m->edit_room = m->edit_room ? m->edit_room * 2 : 16;
		m->edit = arena_alloc(m->arena, m->edit_room * sizeof *m->edit);
		if (m->n_edit > 0)
			memcpy(m->edit, old, m->n_edit * sizeof *m->edit);
	}
	e = &m->edit[m->n_edit++];
	*e = (struct edit){.who = arena_cstr(m->arena, str_from(who))};
	return e;
}

size_t
message_mark(struct message *m)
{
	m->mark = m->n_edit;
	return m->mark;
}

static void
edit_undo(struct message *m, const struct edit *e)
{
	if (e->new_body != NULL) {
		m->body = e->old_body;
		spool_free(&e->new_body->spool);
		return;
	}
	if (e->after != NULL)
		item_remove(m, e->slot);
	if (e->before != NULL)
		item_insert(m, e->slot, e->before);
}

void
message_undo(struct message *m, size_t mark)
{
	while (m->n_edit > mark)
		edit_undo(m, &m->edit[--m->n_edit]);
	m->mark = mark;
}

/* Counts visible fields and the anchor; see the head of this file. */
static size_t
slot_of_position(const struct message *m, size_t position)
{
	size_t slot;

	for (slot = 0; slot < m->n_item && position > 0; slot++)
		if (is_visible(m->item[slot]) || m->item[slot] == m->anchor)
			position--;
	return slot;
}

int
message_insert(struct message *m, const char *who, size_t position,
	struct str name, struct str value, bool leading)
{
	struct edit *e;
	struct item *it;

	if (!header_is_name(name) || m->n_edit >= EDITS_MAX)
		return -1;
	it = arena_alloc(m->arena, sizeof *it);
	it->id = ++m->last_id;
	item_write(m, it, name, value, leading);
	e = message_edit_new(m, who);
	e->after = it;
	e->slot = slot_of_position(m, position);
	item_insert(m, e->slot, it);
	return 0;
}

int
message_change(struct message *m, const char *who, uint64_t id,
	struct str name, struct str value, bool leading)
{
	size_t slot = slot_of_id(m, id);
	struct edit *e;
	struct item *it;

	if (slot == m->n_item || m->n_edit >= EDITS_MAX)
		return -1;
	if (name.len == 0)
		name = m->item[slot]->name;
	if (!header_is_name(name))
		return -1;
	it = arena_alloc(m->arena, sizeof *it);
	it->id = id;
	item_write(m, it, name, value, leading);
	e = message_edit_new(m, who);
	e->before = m->item[slot];
	e->after = it;
	e->slot = slot;
	m->item[slot] = it;
	return 0;
}

int
message_remove(struct message *m, const char *who, uint64_t id)
{
	size_t slot = slot_of_id(m, id);
	struct edit *e;

	if (slot == m->n_item || m->n_edit >= EDITS_MAX)
		return -1;
	e = message_edit_new(m, who);
	e->before = m->item[slot];
	e->slot = slot;
	item_remove(m, slot);
	return 0;
}

bool
message_is_edited(const struct message *m)
{
	return m->n_edit > 0;
}

bool
message_edit(const struct message *m, size_t index, struct message_edit *out)
{
	const struct edit *e = &m->edit[index];
	const struct item *any;

	if (index >= m->n_edit)
		return false;
	any = e->after ? e->after : e->before;
	*out = (struct message_edit){.who = e->who, .what = "body",
		.name = STR(""), .before = STR(""), .after = STR("")};
	if (!any)
		return true;
	out->what = !e->before ? "added" : !e->after ? "removed" : "changed";
	out->name = any->name;
	if (e->before)
		out->before = str_trim(e->before->value);
	if (e->after)
		out->after = str_trim(e->after->value);
	return true;
}

size_t
message_count_above(const struct message *m)
{
	size_t slot, n = 0;

	for (slot = 0; m->item[slot] != m->anchor; slot++)
		n += is_visible(m->item[slot]);
	return n;
}

bool
message_has_new_body(const struct message *m)
{
	return m->body != NULL;
}

uint64_t
message_last_id(const struct message *m)
{
	return m->last_id;
}
