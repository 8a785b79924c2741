/*
 * mbox_in.c - mbox files go into an account.
 *
 * A file is read once, from its first byte to its last, in one buffer; a
 * message goes into its spool line by line. The key of a message is the
 * digest of what it is, so a file that grew, or lost messages in its middle,
 * can be imported again.
 */
#include "move/mbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/enc.h"
#include "base/file.h"
#include "move/folder_name.h"
#include "move/uid_list.h"

#define BUFFER (256 << 10)
#define HEADER_MOST (4 << 20)
#define DEPTH_MOST 20

enum quoting { QUOTING_RD, QUOTING_O, QUOTING_NONE };

struct reader {
	struct move *m;
	struct intake *in;
	const char *path;
	enum quoting quoting;
	int fd;
	char *buffer;
	size_t at, len;
	uint64_t offset;		/* of buffer[len] in the file */
	bool is_end;
	uint64_t size;

	/* The message that is being read. */
	int64_t received_ms;
	struct str line;		/* the next one, or a part of it */
	bool starts, ends;		/* this part begins, ends a line */
	struct mbox_notes notes;
	struct spool *spool;
	struct enc_sha256 *digest;
	struct intake_lines lines;
	uint64_t room;			/* bytes that may still come */
};

/* ------------------------------------------------------------------ lines */

static int
fill(struct reader *r, struct err *e)
{
	ssize_t n;

	memmove(r->buffer, r->buffer + r->at, r->len - r->at);
	r->len -= r->at;
	r->at = 0;
	do
		n = read(r->fd, r->buffer + r->len, BUFFER - r->len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, "%s", r->path);
	r->is_end = n == 0;
	r->len += (size_t)n;
	r->offset += (uint64_t)n;
	return 0;
}

/* r->line is the next line with its end, or as much of one as the buffer
 * holds. 1: there is one, 0: the file is at its end, -1. */
static int
look(struct reader *r, struct err *e)
{
	struct str rest;
	size_t lf;

	for (;;) {
		rest = str_of(r->buffer + r->at, r->len - r->at);
		lf = str_find(rest, '\n');
		if (lf < rest.len || r->is_end || rest.len == BUFFER)
			break;
		if (fill(r, e) < 0)
			return -1;
	}
	r->line = str_sub(rest, 0, lf < rest.len ? lf + 1 : rest.len);
	r->ends = lf < rest.len;
	return r->line.len > 0;
}

static void
pass(struct reader *r)
{
	r->at += r->line.len;
	r->starts = r->ends;
}

static bool
is_empty(struct str line)
{
	return str_is(line, "\n") || str_is(line, "\r\n");
}

/* -------------------------------------------------------------- one message */

static int
put(struct reader *r, struct str bytes, struct err *e)
{
	enc_sha256_add(r->digest, bytes.at, bytes.len);
	if (r->notes.is_exact && r->spool->length + bytes.len > r->room)
		bytes.len = (size_t)(r->room - r->spool->length);
	return r->notes.is_raw ? spool_write(r->spool, bytes.at, bytes.len,
		e) : intake_write_lines(&r->lines, r->spool, bytes, e);
}

/* ">From " was "From ", ">>From " was ">From " (mboxrd). */
static struct str
unquote(const struct reader *r, struct str line)
{
	size_t n = 0;

	while (n < line.len && line.at[n] == '>')
		n++;
	if (n == 0 || r->quoting == QUOTING_NONE ||
		(r->quoting == QUOTING_O && n > 1) ||
		!str_starts(str_sub(line, n, line.len), "From "))
		return line;
	return str_sub(line, 1, line.len);
}

/* The header section, without the empty line behind it. */
static int
read_header(struct reader *r, struct buf *header, struct err *e)
{
	int more;

	while ((more = look(r, e)) > 0) {
		if (r->starts && is_empty(r->line))
			break;
		buf_addstr(header, r->line);
		pass(r);
		if (header->full)
			return err_set(e, ERR_FULL, "%s: a header of more "
				"than %d bytes", r->path, HEADER_MOST);
	}
	return more < 0 ? -1 : 0;
}

/* A body of this length, if that leads to the next message or the end. */
static bool
is_length_right(const struct reader *r, int64_t length)
{
	uint64_t at = r->offset - (r->len - r->at) + (uint64_t)length;
	char some[8] = "";
	ssize_t n = pread(r->fd, some, 7, (off_t)at);
	struct str s = str_of(some, n > 0 ? (size_t)n : 0);

	if (str_starts(s, "\r"))
		s = str_sub(s, 1, s.len);
	if (n == 0)
		return at == r->size;
	if (str_starts(s, "From "))
		return true;
	return str_starts(s, "\n") && (s.len == 1 ||
		str_starts(str_sub(s, 1, s.len), "From "));
}

static int
read_by_length(struct reader *r, int64_t length, struct err *e)
{
	int more = 1;

	while (length > 0 && (more = look(r, e)) > 0) {
		if ((int64_t)r->line.len > length) {
			r->line.len = (size_t)length;
			r->ends = true;
		}
		if (put(r, r->line, e) < 0)
			return -1;
		length -= (int64_t)r->line.len;
		pass(r);
	}
	if (more > 0 && look(r, e) > 0 && is_empty(r->line))
		pass(r);
	return more < 0 ? -1 : 0;
}

/* To the next From_ line behind an empty one, or the end; that empty line is
 * not the message's. */
static int
read_by_lines(struct reader *r, struct err *e)
{
	struct str empty = {0};
	int64_t when;
	int more;

	while ((more = look(r, e)) > 0) {
		if (r->starts && empty.len && mbox_from_line(r->line, &when))
			break;
		if (empty.len && put(r, empty, e) < 0)
			return -1;
		empty = (struct str){0};
		if (r->starts && is_empty(r->line))
			empty = r->line.len == 1 ? STR("\n") : STR("\r\n");
		else if (put(r, r->starts ? unquote(r, r->line) : r->line,
			e) < 0)
			return -1;
		pass(r);
	}
	return more < 0 ? -1 : 0;
}

static int
read_body(struct reader *r, struct err *e)
{
	int more = look(r, e);

	if (more <= 0)
		return more;
	if (put(r, r->line, e) < 0)	/* the empty line */
		return -1;
	pass(r);
	if (r->notes.length >= 0 && is_length_right(r, r->notes.length))
		return read_by_length(r, r->notes.length, e);
	/* An empty body: From_ follows at once. */
	if (look(r, e) > 0) {
		int64_t when;

		if (mbox_from_line(r->line, &when))
			return 0;
	}
	return read_by_lines(r, e);
}

static int
add(struct reader *r, struct err *e)
{
	struct intake_message msg = {.uid = r->notes.uid,
		.flags = r->notes.flags,
		.keywords = str_from(r->notes.keywords),
		.received_ms = r->notes.received_ms ? r->notes.received_ms :
			r->received_ms};
	char text[48];
	uint8_t digest[32], there = 0;

	enc_sha256_add(r->digest, &msg.received_ms, sizeof msg.received_ms);
	enc_sha256_add(r->digest, &msg.uid, sizeof msg.uid);
	enc_sha256_end(r->digest, digest);
	r->digest = NULL;
	snprintf(text, sizeof text, "mbox");
	memcpy(text + 4, digest, sizeof digest);
	msg.key = str_of(text, 4 + sizeof digest);
	if (intake_known(r->in, &msg.key, 1, &there, e) < 0)
		return -1;
	if (!there && !r->notes.is_internal && !r->notes.is_expunged)
		return intake_add(r->in, &msg, &r->m->progress, e);
	intake_drop(r->in);
	r->m->progress.passed += there;
	progress_tick(&r->m->progress);
	return 0;
}

static int
read_message(struct reader *r, struct err *e)
{
	struct buf header, kept;
	int code;

	buf_init(&header, HEADER_MOST);
	buf_init(&kept, HEADER_MOST);
	pass(r);			/* the From_ line */
	code = read_header(r, &header, e);
	mbox_read_header(buf_str(&header), &kept, &r->notes);
	r->room = r->notes.exact_length;
	r->spool = intake_spool(r->in);
	r->digest = enc_sha256_new();
	r->lines = (struct intake_lines){false};
	if (code == 0)
		code = put(r, buf_str(&kept), e);
	if (code == 0)
		code = read_body(r, e);
	buf_free(&header);
	buf_free(&kept);
	if (code == 0)
		return add(r, e);
	intake_drop(r->in);
	enc_sha256_end(r->digest, (uint8_t[32]){0});
	return code;
}

/* ----------------------------------------------------------------- a file */

static int
read_messages(struct reader *r, struct err *e)
{
	uint64_t before = r->m->progress.at;
	int more;

	while ((more = look(r, e)) > 0) {
		if (is_empty(r->line)) {
			pass(r);
			continue;
		}
		if (!mbox_from_line(r->line, &r->received_ms))
			return err_set(e, ERR_PROTOCOL, "%s: at byte %llu "
				"there should be a line From ... with a date",
				r->path, (unsigned long long)(r->offset -
				(r->len - r->at)));
		if (read_message(r, e) < 0)
			return -1;
		r->m->progress.at = before + r->offset;
	}
	return more < 0 ? -1 : intake_flush(r->in, &r->m->progress, e);
}

/* UIDVALIDITY and the last UID stand in the first message. */
static void
read_first(struct reader *r, struct mbox_notes *n)
{
	struct buf kept;
	struct str rest;
	size_t end;

	*n = (struct mbox_notes){0};
	if (look(r, NULL) <= 0)
		return;
	rest = str_of(r->buffer, r->len);
	str_cut(&rest, '\n');
	end = str_find_str(rest, STR("\n\n"));
	if (end == rest.len)
		end = str_find_str(rest, STR("\n\r\n"));
	buf_init(&kept, BUF_NO_CAP);
	mbox_read_header(str_sub(rest, 0, end < rest.len ? end + 1 : end),
		&kept, n);
	buf_free(&kept);
}

static enum quoting
quoting_of(const struct move *m)
{
	if (!m->quoting || !strcmp(m->quoting, "mboxrd"))
		return QUOTING_RD;
	return !strcmp(m->quoting, "mboxo") ? QUOTING_O : QUOTING_NONE;
}

static int
take_mbox(struct move *m, struct intake *in, const char *path,
	const char *mailbox, struct err *e)
{
	struct reader r = {.m = m, .in = in, .path = path, .starts = true,
		.quoting = quoting_of(m)};
	struct mbox_notes first;
	struct stat st;
	int code;

	r.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r.fd < 0)
		return err_sys(e, "%s", path);
	r.buffer = mem_alloc(BUFFER);
	r.size = fstat(r.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	read_first(&r, &first);
	code = intake_open(in, mailbox, first.uidvalidity, first.uidvalidity ?
		first.uid_last + 1 : 0, e);
	if (code == 0)
		code = read_messages(&r, e);
	free(r.buffer);
	close(r.fd);
	m->mailboxes++;
	return code;
}

/* -------------------------------------------------------------- a folder */

struct mbox_file {
	const char *path, *name;
};

struct walk {
	struct arena arena;
	struct mbox_file *file;
	size_t n;
	uint64_t size;
};

static bool
is_mbox(const char *path, off_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char some[5] = "";
	bool is_one;

	if (fd < 0)
		return false;
	is_one = size == 0 || (read(fd, some, 5) == 5 &&
		!memcmp(some, "From ", 5));
	close(fd);
	return is_one;
}

static void
add_mbox(struct walk *w, const char *path, const char *name, off_t size)
{
	if ((w->n & (w->n + 1)) == 0)
		w->file = mem_grow(w->file, (w->n * 2 + 2) *
			sizeof *w->file);
	if (str_iis(str_from(name), "inbox"))
		name = "INBOX";
	w->file[w->n++] = (struct mbox_file){path, name};
	w->size += (uint64_t)size;
}

/* Index files, and what begins with a dot, are no mailboxes. */
static bool
is_passed_over(struct str name)
{
	return str_starts(name, ".") || str_ends(name, ".msf") ||
		str_ends(name, ".lock") || str_ends(name, ".dat");
}

static void
walk_mboxes(struct walk *w, const char *path, const char *above, int depth)
{
	DIR *dir = depth < DEPTH_MOST ? opendir(path) : NULL;
	struct dirent *d;
	struct stat st;

	while (dir && (d = readdir(dir))) {
		struct str entry = str_from(d->d_name);
		const char *below, *name;

		if (is_passed_over(entry))
			continue;
		below = arena_printf(&w->arena, "%s/%s", path, d->d_name);
		if (stat(below, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && str_ends(entry, ".sbd"))
			entry.len -= 4;		/* Thunderbird */
		name = arena_printf(&w->arena, "%s%s%s", above,
			*above ? "/" : "", folder_name_in(&w->arena, entry,
			'/'));
		if (S_ISDIR(st.st_mode))
			walk_mboxes(w, below, name, depth + 1);
		else if (S_ISREG(st.st_mode) && is_mbox(below, st.st_size))
			add_mbox(w, below, name, st.st_size);
	}
	if (dir)
		closedir(dir);
}

static int
find_mboxes(struct move *m, struct walk *w, struct err *e)
{
	struct stat st;

	if (stat(m->path, &st) < 0)
		return err_sys(e, "%s", m->path);
	if (S_ISDIR(st.st_mode)) {
		if (m->mailbox)
			return err_set(e, ERR_CONFIG, "%s is a folder: its "
				"files go to mailboxes of their names",
				m->path);
		walk_mboxes(w, m->path, "", 0);
	} else if (is_mbox(m->path, st.st_size)) {
		add_mbox(w, m->path, m->mailbox ? m->mailbox : "INBOX",
			st.st_size);
	}
	m->progress.size = w->size;
	return w->n ? 0 : err_set(e, ERR_MISSING, "%s: no mbox (a file that "
		"begins with a line From) is here", m->path);
}

static int
adopt(struct move *m, const struct walk *w, struct err *e)
{
	const char **name = mem_alloc(w->n * sizeof *name);
	size_t i;
	int code;

	for (i = 0; i < w->n; i++)
		name[i] = w->file[i].name;
	code = folder_name_adopt(m->store, m->account, name, w->n, e);
	free(name);
	return code;
}

int
mbox_import(struct move *m, struct err *e)
{
	struct walk w = {.n = 0};
	struct mr_error me;
	struct intake *in = intake_new(m->store, m->account, m->temp, m->again,
		e);
	int code;
	size_t i;

	if (!in)
		return -1;
	arena_init(&w.arena);
	code = find_mboxes(m, &w, e);
	if (code == 0 && !m->mailbox)
		code = adopt(m, &w, e);
	for (i = 0; i < w.n && code == 0; i++) {
		code = take_mbox(m, in, w.file[i].path, w.file[i].name, e);
		if (code == 0)
			m->store->op->subscribe(m->store->self, m->account,
				w.file[i].name, 1, &me);
	}
	intake_free(in);
	free(w.file);
	arena_free(&w.arena);
	return code;
}
