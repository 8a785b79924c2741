/*
 * message.c - a message under edits. Input: spool limit, four edits of two
 * bytes, then the message. Without edits it must leave as it came; after
 * undo too; with them the fields that a reader finds are the fields shown.
 */
#include <assert.h>
#include <stdint.h>

#include "mail/header.h"
#include "mail/message.h"

#define N_EDITS 4
#define HEAD (1 + 2 * N_EDITS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
collect(struct message *m, struct buf *out)
{
	struct mr_piece *piece;
	uint64_t length;
	size_t n, i;
	char *to;

	buf_reset(out);
	assert(message_pieces(m, &piece, &n, &length, NULL) == 0);
	for (i = 0; i < n; i++) {
		if (piece[i].fd < 0) {
			buf_add(out, piece[i].mem, (size_t)piece[i].length);
			continue;
		}
		to = buf_reserve(out, (size_t)piece[i].length);
		assert(pread(piece[i].fd, to, (size_t)piece[i].length,
			(off_t)piece[i].offset) == (ssize_t)piece[i].length);
		buf_grew(out, (size_t)piece[i].length);
	}
	assert(out->len == length);
}

static void
edit(struct message *m, uint8_t what, uint8_t where, struct str text)
{
	struct str value = str_sub(text, where, 40);
	struct message_field f;

	switch (what % 5) {
	case 0:
		message_insert(m, "fuzz", where % 8, STR("X-New"), value,
			what & 0x80);
		break;
	case 1:
		if (message_field(m, where % 8, &f))
			message_change(m, "fuzz", f.id, STR(""), value,
				what & 0x80);
		break;
	case 2:
		if (message_field(m, where % 8, &f))
			message_remove(m, "fuzz", f.id);
		break;
	case 3:
		assert(message_body_replace(m, "fuzz", value, NULL) == 0);
		break;
	case 4:
		message_own(m, "X-Own", STR("own"));
	}
}

/* A reader of what leaves finds our own fields and those that are shown. */
static void
check_shown(struct message *m, struct buf *out)
{
	struct message_field shown;
	struct header_field f;
	struct str rest;
	size_t i = 0;

	collect(m, out);
	rest = buf_str(out);
	while (header_next(&rest, &f)) {
		if (str_is(f.name, "X-Own"))
			continue;
		assert(message_field(m, i++, &shown));
		assert(str_eq(shown.name, f.name));
		assert(str_eq(shown.value, f.value));
	}
	assert(i == message_field_count(m));
	assert(rest.len == message_body_length(m));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text;
	struct arena a;
	struct message *m;
	struct buf out;
	size_t i, mark;

	if (size < HEAD)
		return 0;
	text = str_of(data + HEAD, size - HEAD);
	if (str_ifind_str(text, STR("X-Own")) < text.len)
		return 0;
	arena_init(&a);
	buf_init(&out, BUF_NO_CAP);
	m = message_new(&a, "/tmp", data[0]);
	assert(message_write(m, str_sub(text, 0, data[0]), NULL) == 0);
	assert(message_write(m, str_sub(text, data[0], text.len), NULL) == 0);
	assert(message_seal(m, NULL) == 0);
	collect(m, &out);
	assert(str_eq(buf_str(&out), text));
	mark = message_mark(m);
	for (i = 0; i < N_EDITS; i++) {
		edit(m, data[1 + 2 * i], data[2 + 2 * i], text);
		check_shown(m, &out);
	}
	message_undo(m, mark);
	assert(!message_is_edited(m));
	check_shown(m, &out);
	assert(str_ends(buf_str(&out), "") && out.len >= text.len);
	assert(str_eq(str_sub(buf_str(&out), out.len - text.len, text.len),
		text));
	message_free(m);
	buf_free(&out);
	arena_free(&a);
	return 0;
}
