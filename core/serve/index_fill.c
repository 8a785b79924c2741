/*
 * index_fill.c - reads messages as SEARCH does and hands their texts to the
 * store. What cannot be read, or is very long, is put as a message without
 * a text: each search then looks into the message itself.
 */
#include "serve/index_fill.h"

#define TEXT_MOST (1 << 20)	/* of one message */
#define BATCH_BYTES (8 << 20)

bool
index_is_there(const struct store *s)
{
	return MR_HAS(s->op, index_close) && s->op->index_todo &&
		s->op->index_put && s->op->index_open;
}

struct index_fill *
index_fill_new(const struct store *s)
{
	struct index_fill *f = mem_alloc(sizeof *f);

	f->store = s;
	imap_body_init(&f->body, s);
	legible_init(&f->legible, &f->body);
	buf_init(&f->texts, BUF_NO_CAP);
	return f;
}

void
index_fill_free(struct index_fill *f)
{
	if (f == NULL)
		return;
	legible_free(&f->legible);
	imap_body_free(&f->body);
	buf_free(&f->texts);
	free(f);
}

static int
note(void *arg, int64_t message, int gone)
{
	struct index_fill *f = arg;

	f->text[f->n] = (struct mr_index_text){.size = sizeof *f->text,
		.message = message};
	f->gone[f->n++] = gone;
	return 0;
}

/* What was appended becomes this text, or, if it is too long, none. */
static bool
end_text(struct index_fill *f, struct mr_str *text, size_t before)
{
	bool good = f->body.code == MR_STORE_OK &&
		f->texts.len - before <= TEXT_MOST;

	if (good)
		*text = (struct mr_str){"", f->texts.len - before};
	else
		f->texts.len = before;
	return good;
}

/* The envelope and the message's own fields are its head. */
static void
read_text(struct index_fill *f, struct mr_index_text *t)
{
	struct mr_row row = {.message_id = t->message};
	size_t before = f->texts.len;

	imap_body_turn(&f->body, &row);
	legible_begin(&f->legible);
	legible_envelope(&f->legible, &f->texts);
	legible_next(&f->legible, &f->texts);
	if (end_text(f, &t->text[MR_INDEX_HEAD], before)) {
		before = f->texts.len;
		while (f->texts.len - before <= TEXT_MOST &&
		    legible_next(&f->legible, &f->texts))
			;
		end_text(f, &t->text[MR_INDEX_REST], before);
	}
	imap_body_turn(&f->body, NULL);
}

/* The texts do not move any more: now the views can point at them. */
static void
set_views(struct index_fill *f)
{
	const char *at = buf_c(&f->texts);
	size_t i;

	for (i = 0; i < f->n * MR_INDEX_SPACES; i++) {
		struct mr_str *text = &f->text[i / MR_INDEX_SPACES].text[
			i % MR_INDEX_SPACES];

		if (text->at == NULL)
			continue;
		text->at = at;
		at += text->len;
	}
}

/* Reads up to a batch's bytes; the rest is for the next. */
static void
read_texts(struct index_fill *f, struct mr_index_todo *t)
{
	size_t i;

	buf_reset(&f->texts);
	for (i = 0; i < f->n && f->texts.len < BATCH_BYTES; i++)
		if (!f->gone[i])
			read_text(f, &f->text[i]);
	if (i < f->n)
		t->last = f->text[i - 1].message;
	f->n = i;
	set_views(f);
}

int
index_fill_some(struct index_fill *f, struct err *e)
{
	const struct mr_store *op = f->store->op;
	struct mr_index_todo t = {.size = sizeof t, .max = INDEX_BATCH,
		.version = LEGIBLE_VERSION, .each = note, .arg = f};
	struct mr_error me = {{0}};
	int code;

	f->n = 0;
	code = op->index_todo(f->store->self, &t, &me);
	if (code != MR_STORE_OK)
		return store_result(code, &me, e);
	if (t.last < t.first)
		return 0;
	read_texts(f, &t);
	code = op->index_put(f->store->self, &t, f->text, f->n, &me);
	if (code == MR_STORE_BUSY)
		return INDEX_BATCH;
	if (store_result(code, &me, e) < 0)
		return -1;
	return f->n > 0 ? (int)f->n : INDEX_BATCH;
}
