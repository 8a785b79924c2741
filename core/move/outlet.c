/*
 * outlet.c - see outlet.h. Rows are gathered before a body is read, since
 * the store calls back inside its own transaction.
 */
#include "move/outlet.h"

#define BLOCK (128 << 10)

/* -------------------------------------------------------------- mailboxes */

struct boxes {
	struct arena *arena;
	struct outlet_box *box;
	size_t n, room;
};

static int
add_box(void *arg, const struct mr_mailbox *m)
{
	struct boxes *b = arg;

	if (b->n == b->room) {
		struct outlet_box *old = b->box;

		b->room = b->room ? b->room * 2 : 32;
		b->box = arena_alloc(b->arena, b->room * sizeof *b->box);
		if (old)
			memcpy(b->box, old, b->n * sizeof *old);
	}
	b->box[b->n++] = (struct outlet_box){.id = m->id,
		.name = arena_cstr(b->arena, str_from(m->name)),
		.special = m->special, .uidvalidity = m->uidvalidity,
		.uidnext = m->uidnext, .messages = m->messages,
		.modseq = m->modseq, .subscribed = m->subscribed != 0};
	return 0;
}

int
outlet_boxes(const struct store *s, const char *account, struct arena *a,
	struct outlet_box **out, size_t *n, struct err *e)
{
	struct boxes b = {.arena = a};
	struct mr_error me = {{0}};
	int code = s->op->mailbox_list(s->self, account, add_box, &b, &me);

	*out = b.box;
	*n = b.n;
	return store_result(code, &me, e);
}

/* -------------------------------------------------------------- messages */

static int
add_row(void *arg, const struct mr_row *row)
{
	struct outlet_rows *r = arg;

	if (r->n == r->room) {
		r->room = r->room ? r->room * 2 : 256;
		r->row = mem_grow(r->row, r->room * sizeof *r->row);
	}
	r->row[r->n++] = (struct outlet_row){.uid = row->uid,
		.flags = row->flags, .received_ms = row->received_ms,
		.message_id = row->message_id, .length = row->length,
		.keywords = row->keywords.len ? arena_cstr(&r->arena,
			str_of(row->keywords.at, row->keywords.len)) : ""};
	return 0;
}

int
outlet_rows(const struct store *s, int64_t mailbox, uint32_t after_uid,
	struct outlet_rows *out, struct err *e)
{
	struct mr_range range = {after_uid + 1, UINT32_MAX};
	struct mr_error me = {{0}};
	int code;

	*out = (struct outlet_rows){NULL, 0, 0, {0}};
	arena_init(&out->arena);
	if (after_uid == UINT32_MAX)
		return 0;
	code = s->op->scan(s->self, mailbox, &range, 1, 0, MR_ROW_KEYWORDS |
		MR_ROW_MESSAGE, add_row, out, &me);
	return store_result(code, &me, e);
}

void
outlet_rows_free(struct outlet_rows *r)
{
	free(r->row);
	arena_free(&r->arena);
}

/* ---------------------------------------------------------------- bodies */

int
outlet_body(const struct store *s, int64_t message_id,
	int (*each)(void *arg, struct str some, struct err *e), void *arg,
	struct err *e)
{
	struct mr_error me = {{0}};
	uint64_t length, at = 0;
	char *block;
	void *body;
	int64_t n = 0;
	int code = s->op->body_open(s->self, message_id, &body, &length, &me);

	if (code == MR_STORE_MISSING)
		return 1;
	if (store_result(code, &me, e) < 0)
		return -1;
	block = mem_alloc(BLOCK);
	while (code == 0 && at < length && (n = s->op->body_read(body, at,
		block, BLOCK, &me)) > 0) {
		code = each(arg, str_of(block, (size_t)n), e);
		at += (uint64_t)n;
	}
	if (n < 0)
		code = store_result(MR_STORE_FAILED, &me, e);
	free(block);
	s->op->body_close(body);
	return code;
}
