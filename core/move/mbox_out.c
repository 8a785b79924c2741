/*
 * mbox_out.c - an account becomes mbox files, one for each mailbox; a mailbox
 * with others below it has them in NAME.sbd, as Thunderbird does.
 *
 * Lines end in LF and those of a body that begin with From are quoted
 * (mboxrd). A message that would not come back so is written as it is. The
 * file .mailroom-export notes what is done: a mailbox that did not change
 * since is passed over, and one in the middle of which we were cut off is
 * gone on with behind its last whole message.
 */
#include "move/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "move/folder_name.h"
#include "move/outlet.h"

#define NOTE_EVERY 5000			/* messages */
#define OUT_MOST (1 << 20)
#define DONE UINT64_MAX			/* as an offset */

struct note {
	const char *name;
	uint32_t uidvalidity, uid;	/* written up to here */
	uint64_t modseq, offset;
};

struct target {
	struct move *m;
	struct arena arena;
	struct note *note;		/* of each mailbox */
	size_t n;
	/* The mailbox being written. */
	const struct outlet_box *box;
	struct note *now;
	int fd;
	uint64_t offset;		/* of what is in the file */
	struct buf out;
	/* The message. */
	bool is_raw, in_body, starts, after_cr;
	char last, before;
};

/* ----------------------------------------------------------------- notes */

static const char *
note_path(struct target *t)
{
	return arena_printf(&t->arena, "%s/.mailroom-export", t->m->path);
}

static struct note *
find_note(struct target *t, struct str name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (str_is(name, t->note[i].name))
			return &t->note[i];
	return NULL;
}

static void
read_notes(struct target *t)
{
	struct str text, line;

	if (file_read(note_path(t), 1 << 24, &t->arena, &text, NULL) < 0)
		return;
	while (text.len) {
		uint64_t n[4] = {0};
		struct note *note;
		bool good = true;
		size_t i;

		line = str_cut(&text, '\n');
		for (i = 0; i < 4; i++)
			good &= str_u64(str_cut(&line, ' '), UINT64_MAX,
				&n[i]);
		note = good ? find_note(t, line) : NULL;
		if (!note)
			continue;
		note->uidvalidity = (uint32_t)n[0];
		note->modseq = n[1];
		note->uid = (uint32_t)n[2];
		note->offset = n[3];
	}
}

static int
write_notes(struct target *t, struct err *e)
{
	struct buf text;
	size_t i;
	int code;

	buf_init(&text, BUF_NO_CAP);
	for (i = 0; i < t->n; i++)
		buf_addf(&text, "%u %llu %u %llu %s\n", t->note[i].uidvalidity,
			(unsigned long long)t->note[i].modseq, t->note[i].uid,
			(unsigned long long)t->note[i].offset,
			t->note[i].name);
	code = file_replace(note_path(t), buf_str(&text), 0600, e);
	buf_free(&text);
	return code;
}

/* ------------------------------------------------------------------ bytes */

static int
flush(struct target *t, struct err *e)
{
	if (file_write_all(t->fd, buf_c(&t->out), t->out.len, e) < 0)
		return -1;
	t->offset += t->out.len;
	buf_reset(&t->out);
	return 0;
}

static int
flush_some(struct target *t, struct err *e)
{
	return t->out.len < OUT_MOST / 2 ? 0 : flush(t, e);
}

/* Up to this message all is on disk, and that is noted. */
static int
checkpoint(struct target *t, uint32_t uid, uint64_t offset, struct err *e)
{
	if (flush(t, e) < 0)
		return -1;
	if (fdatasync(t->fd) < 0)
		return err_sys(e, "%s", t->box->name);
	t->now->uid = uid;
	t->now->offset = offset == DONE ? DONE : t->offset;
	return write_notes(t, e);
}

/* Line ends that LF alone would not bring back. */
static int
look(void *arg, struct str some, struct err *e)
{
	struct target *t = arg;
	size_t i;

	(void)e;
	for (i = 0; i < some.len; i++) {
		char c = some.at[i];

		if (c == '\n' && (t->last != '\r' || t->before == '\r'))
			t->is_raw = true;
		t->before = t->last;
		t->last = c;
	}
	return 0;
}

/* True if a line of a body begins here that would be taken for a From_ line,
 * or for one that was quoted. */
static bool
is_quoted(struct str line)
{
	while (line.len && line.at[0] == '>')
		line = str_sub(line, 1, line.len);
	return str_starts(line, "From ");
}

static void
put_char(struct target *t, char c)
{
	if (t->after_cr && (c != '\n' || t->is_raw))
		buf_addc(&t->out, '\r');
	t->after_cr = c == '\r';
	if (!t->after_cr)
		buf_addc(&t->out, c);
	t->starts = c == '\n';
}

static int
put_line(struct target *t, struct str line, struct err *e)
{
	size_t i;

	if (t->starts && t->in_body && is_quoted(line))
		buf_addc(&t->out, '>');
	if (t->starts && (str_is(line, "\r\n") || str_is(line, "\n")))
		t->in_body = true;
	for (i = 0; i < line.len; i++)
		put_char(t, line.at[i]);
	return flush_some(t, e);
}

/* A line may be cut by the block: one that begins with > or F is looked at
 * whole, for which the rest of it is kept until it is there. */
struct lines {
	struct target *t;
	struct buf rest;
};

static int
put_block(void *arg, struct str some, struct err *e)
{
	struct lines *l = arg;
	int code = 0;

	buf_addstr(&l->rest, some);
	some = buf_str(&l->rest);
	while (code == 0 && some.len) {
		size_t lf = str_find(some, '\n');

		if (lf == some.len)
			break;
		code = put_line(l->t, str_sub(some, 0, lf + 1), e);
		some = str_sub(some, lf + 1, some.len);
	}
	buf_shift(&l->rest, l->rest.len - some.len);
	return code;
}

/* --------------------------------------------------------------- a message */

static void
add_letters(struct buf *out, const char *field, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		char letter;
	} known[] = {{MR_FLAG_ANSWERED, 'A'}, {MR_FLAG_FLAGGED, 'F'},
		{MR_FLAG_DRAFT, 'T'}, {MR_FLAG_DELETED, 'D'}};
	size_t i;

	buf_adds(out, field);
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (flags & known[i].flag)
			buf_addc(out, known[i].letter);
	buf_addc(out, '\n');
}

/* RFC 4155: the date is UTC. */
static void
add_from_line(struct buf *out, int64_t received_ms)
{
	time_t when = (time_t)(received_ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&when, &tm);
	asctime_r(&tm, text);		/* ends in LF */
	buf_addf(out, "From MAILER-DAEMON %s", text);
}

static void
add_head(struct target *t, const struct outlet_row *row, bool is_first)
{
	struct buf *out = &t->out;

	add_from_line(out, row->received_ms);
	if (is_first)
		buf_addf(out, "X-IMAPbase: %u %010u\n", t->box->uidvalidity,
			t->box->uidnext - 1);
	buf_addf(out, "X-UID: %u\nStatus: %sO\n", row->uid,
		row->flags & MR_FLAG_SEEN ? "R" : "");
	add_letters(out, "X-Status: ", row->flags);
	if (*row->keywords)
		buf_addf(out, "X-Keywords: %s\n", row->keywords);
	buf_addf(out, "X-Mailroom: length=%llu received=%lld%s\n",
		(unsigned long long)row->length, (long long)row->received_ms,
		t->is_raw ? " raw" : "");
}

static int
put_body(struct target *t, const struct outlet_row *row, struct err *e)
{
	struct lines l = {.t = t};
	int code;

	buf_init(&l.rest, BUF_NO_CAP);
	code = outlet_body(t->m->store, row->message_id, put_block, &l, e);
	if (code == 0)
		code = put_line(t, buf_str(&l.rest), e);
	if (t->after_cr)
		buf_addc(&t->out, '\r');
	if (code == 0)
		buf_adds(&t->out, t->starts ? "\n" : "\n\n");
	buf_free(&l.rest);
	return code;
}

/* 1: it is gone. */
static int
put_message(struct target *t, const struct outlet_row *row, struct err *e)
{
	uint64_t start = t->offset + t->out.len;
	int code;

	t->is_raw = t->in_body = t->after_cr = false;
	t->starts = true;
	t->last = t->before = 0;
	code = outlet_body(t->m->store, row->message_id, look, t, e);
	if (code != 0)
		return code;
	add_head(t, row, start == 0);
	code = put_body(t, row, e);
	if (code < 0)
		return code;
	t->m->progress.done += code == 0;
	t->m->progress.bytes += row->length;
	if (code == 0)
		return 0;
	/* Gone since we looked: back to where it began. */
	if (flush(t, e) < 0 || ftruncate(t->fd, (off_t)start) < 0 ||
		lseek(t->fd, (off_t)start, SEEK_SET) < 0)
		return err_sys(e, "%s", t->box->name);
	t->offset = start;
	return 1;
}

/* ------------------------------------------------------------- a mailbox */

static int
put_messages(struct target *t, struct err *e)
{
	struct outlet_rows rows;
	size_t i;
	int code = outlet_rows(t->m->store, t->box->id, t->now->uid, &rows, e);

	for (i = 0; i < rows.n && code >= 0; i++) {
		code = put_message(t, &rows.row[i], e);
		if (code >= 0 && (i + 1) % NOTE_EVERY == 0)
			code = checkpoint(t, rows.row[i].uid, 0, e);
		progress_tick(&t->m->progress);
	}
	if (code >= 0)
		code = checkpoint(t, t->now->uid, DONE, e);
	outlet_rows_free(&rows);
	return code < 0 ? -1 : 0;
}

/* "Work/2026" is the file Work.sbd/2026. */
static const char *
box_path(struct target *t, const char *suffix, struct err *e)
{
	struct str name = str_from(t->box->name), level;
	struct buf b;
	const char *path;

	buf_init(&b, BUF_NO_CAP);
	buf_addf(&b, "%s/", t->m->path);
	while ((level = str_cut(&name, '/')).len) {
		folder_name_out(&b, level, '.');
		if (!name.len)
			break;
		buf_adds(&b, ".sbd");
		if (file_mkdirs(buf_c(&b), 0700, e) < 0) {
			buf_free(&b);
			return NULL;
		}
		buf_addc(&b, '/');
	}
	path = arena_printf(&t->arena, "%s%s", buf_c(&b), suffix);
	buf_free(&b);
	return path;
}

/* As far as it was written, if nothing has changed in the mailbox since. */
static int
open_part(struct target *t, const char *path, struct err *e)
{
	struct stat st;
	bool goes_on;

	t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return err_sys(e, "%s", path);
	goes_on = t->now->offset != DONE && t->now->modseq == t->box->modseq &&
		t->now->uidvalidity == t->box->uidvalidity &&
		t->now->offset <= (uint64_t)st.st_size;
	if (!goes_on)
		*t->now = (struct note){.name = t->box->name,
			.uidvalidity = t->box->uidvalidity,
			.modseq = t->box->modseq};
	t->offset = t->now->offset;
	if (ftruncate(t->fd, (off_t)t->offset) < 0 ||
		lseek(t->fd, (off_t)t->offset, SEEK_SET) < 0)
		return err_sys(e, "%s", path);
	return 0;
}

static int
put_box(struct target *t, struct err *e)
{
	const char *path = box_path(t, "", e), *part;
	int code;

	if (!path)
		return -1;
	if (t->now->offset == DONE && t->now->modseq == t->box->modseq &&
		t->now->uidvalidity == t->box->uidvalidity &&
		access(path, F_OK) == 0) {
		t->m->progress.passed += t->box->messages;
		return 0;
	}
	part = arena_printf(&t->arena, "%s.lock", path);
	code = open_part(t, part, e);
	if (code == 0)
		code = put_messages(t, e);
	if (t->fd >= 0)
		close(t->fd);
	if (code == 0 && rename(part, path) < 0)
		code = err_sys(e, "%s", path);
	return code;
}

int
mbox_export(struct move *m, struct err *e)
{
	struct target t = {.m = m};
	struct outlet_box *box;
	size_t i;
	int code;

	arena_init(&t.arena);
	buf_init(&t.out, BUF_NO_CAP);
	code = outlet_boxes(m->store, m->account, &t.arena, &box, &t.n, e);
	t.note = mem_alloc((t.n + 1) * sizeof *t.note);
	for (i = 0; i < t.n && code == 0; i++) {
		t.note[i].name = box[i].name;
		m->progress.total += box[i].messages;
	}
	read_notes(&t);
	for (i = 0; i < t.n && code == 0; i++) {
		t.box = &box[i];
		t.now = &t.note[i];
		buf_reset(&t.out);
		code = put_box(&t, e);
		m->mailboxes++;
	}
	free(t.note);
	buf_free(&t.out);
	arena_free(&t.arena);
	return code;
}
