/*
 * maildir_out.c - an account becomes a Maildir++ that Dovecot reads: with
 * dovecot-uidlist, so that UIDs stay, and dovecot-keywords.
 *
 * A message's file is named by its UID and date, so a second run finds what
 * is there: it writes what is missing, renames where flags changed, and takes
 * away files of ours whose messages are gone. A file has its name only once
 * it is whole.
 */
#include "move/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "move/folder_name.h"
#include "move/outlet.h"
#include "move/uid_list.h"

#define OURS ".mailroom"		/* the host part of our file names */

struct old_file {
	const char *name;
	struct str base;
	bool is_used;
};

struct target {
	struct move *m;
	const struct outlet_box *box;
	const char *path;
	struct arena arena;
	struct outlet_rows rows;
	struct old_file *old;		/* sorted by base */
	size_t n_old, room_old;
	struct str *word;		/* keywords, the first 26 have letters */
	size_t n_word, room_word;
	struct buf uidlist, courier;
	int fd;				/* of the file being written */
};

/* -------------------------------------------------------------- keywords */

static size_t
word_number(struct target *t, struct str word)
{
	size_t i;

	for (i = 0; i < t->n_word; i++)
		if (str_eq(t->word[i], word))
			return i;
	if (t->n_word == t->room_word) {
		t->room_word = t->room_word ? t->room_word * 2 : 32;
		t->word = mem_grow(t->word, t->room_word * sizeof *t->word);
	}
	t->word[t->n_word++] = arena_str(&t->arena, word);
	return t->n_word - 1;
}

static int
by_char(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

/* ":2,FSab", letters in order. More than 26 keywords go into Courier's file
 * as well, which Dovecot does not read and we do. */
static void
add_flags(struct target *t, const struct outlet_row *row, struct buf *out)
{
	static const struct {
		uint32_t flag;
		char letter;
	} known[] = {{MR_FLAG_DRAFT, 'D'}, {MR_FLAG_FLAGGED, 'F'},
		{MR_FLAG_ANSWERED, 'R'}, {MR_FLAG_SEEN, 'S'},
		{MR_FLAG_DELETED, 'T'}};
	struct str words = str_from(row->keywords), word;
	char letters[UID_LIST_LETTERS];
	size_t i, n = 0;

	buf_adds(out, ":2,");
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (row->flags & known[i].flag)
			buf_addc(out, known[i].letter);
	while ((word = str_word(&words)).len) {
		i = word_number(t, word);
		if (i < UID_LIST_LETTERS && n < UID_LIST_LETTERS)
			letters[n++] = (char)('a' + i);
	}
	qsort(letters, n, 1, by_char);
	buf_add(out, letters, n);
}

static void
note_courier(struct target *t, const struct outlet_row *row, struct str base)
{
	struct str words = str_from(row->keywords), word;
	bool is_needed = false;
	size_t start = t->courier.len;

	buf_addf(&t->courier, "%.*s:", STR_ARGS(base));
	while ((word = str_word(&words)).len) {
		size_t i = word_number(t, word);

		is_needed |= i >= UID_LIST_LETTERS;
		buf_addf(&t->courier, "%zu ", i);
	}
	buf_addc(&t->courier, '\n');
	if (!is_needed)
		t->courier.len = start;
}

/* ------------------------------------------------------------- old files */

static int
by_base(const void *a, const void *b)
{
	const struct old_file *x = a, *y = b;

	return str_cmp(x->base, y->base);
}

static int
list_old(struct target *t, struct err *e)
{
	const char *path = arena_printf(&t->arena, "%s/cur", t->path);
	DIR *dir = opendir(path);
	struct dirent *d;

	if (!dir)
		return err_sys(e, "%s", path);
	while ((d = readdir(dir))) {
		struct str name = str_from(d->d_name);

		if (str_find_str(name, STR(OURS)) == name.len)
			continue;
		if (t->n_old == t->room_old) {
			t->room_old = t->room_old ? t->room_old * 2 : 256;
			t->old = mem_grow(t->old, t->room_old *
				sizeof *t->old);
		}
		name.at = arena_cstr(&t->arena, name);
		t->old[t->n_old++] = (struct old_file){name.at,
			uid_list_base(name), false};
	}
	closedir(dir);
	if (t->n_old)
		qsort(t->old, t->n_old, sizeof *t->old, by_base);
	return 0;
}

static struct old_file *
find_old(struct target *t, struct str base)
{
	struct old_file wanted = {.base = base};

	return t->n_old ? bsearch(&wanted, t->old, t->n_old, sizeof wanted,
		by_base) : NULL;
}

static void
remove_unused(struct target *t)
{
	struct arena a;
	size_t i;

	arena_init(&a);
	for (i = 0; i < t->n_old; i++)
		if (!t->old[i].is_used)
			unlink(arena_printf(&a, "%s/cur/%s", t->path,
				t->old[i].name));
	arena_free(&a);
}

/* ----------------------------------------------------------------- files */

static int
put(void *arg, struct str some, struct err *e)
{
	struct target *t = arg;

	return file_write_all(t->fd, some.at, some.len, e);
}

/* 1: the message is gone. */
static int
fill(struct target *t, const struct outlet_row *row, const char *path,
	struct err *e)
{
	struct timespec when = {row->received_ms / 1000,
		row->received_ms % 1000 * 1000000};
	struct timespec both[2] = {when, when};
	int code;

	t->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return err_sys(e, "%s", path);
	code = outlet_body(t->m->store, row->message_id, put, t, e);
	if (code == 0 && futimens(t->fd, both) < 0)
		code = err_sys(e, "%s", path);
	if (close(t->fd) < 0 && code == 0)
		code = err_sys(e, "%s", path);
	return code;
}

static int
write_file(struct target *t, const struct outlet_row *row, const char *name,
	struct arena *a, struct err *e)
{
	const char *temp = arena_printf(a, "%s/tmp/export", t->path);
	const char *path = arena_printf(a, "%s/cur/%s", t->path, name);
	int code = fill(t, row, temp, e);

	if (code == 0 && rename(temp, path) < 0)
		code = err_sys(e, "%s", path);
	if (code != 0)
		unlink(temp);
	if (code == 0) {
		t->m->progress.done++;
		t->m->progress.bytes += row->length;
	}
	return code;
}

static int
keep_file(struct target *t, struct old_file *old, const char *name,
	struct arena *a, struct err *e)
{
	const char *from = arena_printf(a, "%s/cur/%s", t->path, old->name);
	const char *to = arena_printf(a, "%s/cur/%s", t->path, name);

	old->is_used = true;
	t->m->progress.passed++;
	if (strcmp(from, to) && rename(from, to) < 0)
		return err_sys(e, "%s", to);
	return 0;
}

static int
put_row(struct target *t, const struct outlet_row *row, struct arena *a,
	struct err *e)
{
	struct old_file *old;
	struct str base;
	struct buf name;
	int code;

	buf_init(&name, BUF_NO_CAP);
	buf_addf(&name, "%lld.M%03uV%uU%u" OURS ",S=%llu",
		(long long)(row->received_ms / 1000),
		(unsigned)(row->received_ms % 1000), t->box->uidvalidity,
		row->uid, (unsigned long long)row->length);
	base = str_from(arena_cstr(a, buf_str(&name)));
	add_flags(t, row, &name);
	old = find_old(t, base);
	code = old ? keep_file(t, old, buf_c(&name), a, e) :
		write_file(t, row, buf_c(&name), a, e);
	if (code == 0) {
		buf_addf(&t->uidlist, "%u :%.*s\n", row->uid, STR_ARGS(base));
		note_courier(t, row, base);
	}
	buf_free(&name);
	progress_tick(&t->m->progress);
	return code < 0 ? -1 : 0;
}

static int
put_rows(struct target *t, struct err *e)
{
	struct arena a;
	size_t i;
	int code = 0;

	for (i = 0; i < t->rows.n && code == 0; i++) {
		arena_init(&a);
		code = put_row(t, &t->rows.row[i], &a, e);
		arena_free(&a);
	}
	return code;
}

/* ---------------------------------------------------- what stands beside */

static int
replace_beside(struct target *t, const char *name, const struct buf *text,
	struct err *e)
{
	return file_replace(arena_printf(&t->arena, "%s/%s", t->path, name),
		buf_str(text), 0600, e);
}

static int
write_keywords(struct target *t, struct err *e)
{
	struct buf text;
	size_t i;
	int code;

	buf_init(&text, BUF_NO_CAP);
	for (i = 0; i < t->n_word && i < UID_LIST_LETTERS; i++)
		buf_addf(&text, "%zu %.*s\n", i, STR_ARGS(t->word[i]));
	code = replace_beside(t, "dovecot-keywords", &text, e);
	buf_reset(&text);
	for (i = 0; i < t->n_word; i++)
		buf_addf(&text, "%.*s\n", STR_ARGS(t->word[i]));
	buf_addc(&text, '\n');
	buf_addstr(&text, buf_str(&t->courier));
	if (code == 0 && t->courier.len)
		code = file_mkdirs(arena_printf(&t->arena,
			"%s/courierimapkeywords", t->path), 0700, e);
	if (code == 0 && t->courier.len)
		code = replace_beside(t, "courierimapkeywords/:list", &text,
			e);
	buf_free(&text);
	return code;
}

/* The list says that the files are there: they are on disk before. */
static int
write_lists(struct target *t, struct err *e)
{
	struct buf head;
	int fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code;

	if (fd < 0 || syncfs(fd) < 0) {
		code = err_sys(e, "%s", t->path);
	} else {
		buf_init(&head, BUF_NO_CAP);
		buf_addf(&head, "3 V%u N%u\n", t->box->uidvalidity,
			t->box->uidnext);
		buf_addstr(&head, buf_str(&t->uidlist));
		code = replace_beside(t, "dovecot-uidlist", &head, e);
		buf_free(&head);
	}
	if (fd >= 0)
		close(fd);
	return code == 0 ? write_keywords(t, e) : code;
}

/* ------------------------------------------------------------- a mailbox */

static int
make_folders(struct target *t, struct err *e)
{
	static const char *const sub[] = {"cur", "new", "tmp"};
	struct buf none;
	size_t i;
	int code = 0;

	for (i = 0; i < 3 && code == 0; i++)
		code = file_mkdirs(arena_printf(&t->arena, "%s/%s", t->path,
			sub[i]), 0700, e);
	if (code == 0 && strcmp(t->path, t->m->path)) {
		buf_init(&none, 1);
		code = replace_beside(t, "maildirfolder", &none, e);
	}
	return code;
}

static const char *
box_path(struct target *t)
{
	struct str name = str_from(t->box->name);
	const char *path;
	struct buf b;

	if (str_is(name, "INBOX"))
		return t->m->path;
	buf_init(&b, BUF_NO_CAP);
	folder_name_out(&b, name, '.');
	path = arena_printf(&t->arena, "%s/.%s", t->m->path, buf_c(&b));
	buf_free(&b);
	return path;
}

static int
put_box(struct move *m, const struct outlet_box *box, struct err *e)
{
	struct target t = {.m = m, .box = box};
	int code;

	arena_init(&t.arena);
	buf_init(&t.uidlist, BUF_NO_CAP);
	buf_init(&t.courier, BUF_NO_CAP);
	t.path = box_path(&t);
	code = make_folders(&t, e);
	if (code == 0)
		code = list_old(&t, e);
	if (code == 0)
		code = outlet_rows(m->store, box->id, 0, &t.rows, e);
	if (code == 0)
		code = put_rows(&t, e);
	if (code == 0)
		remove_unused(&t);
	if (code == 0)
		code = write_lists(&t, e);
	outlet_rows_free(&t.rows);
	free(t.old);
	free(t.word);
	buf_free(&t.uidlist);
	buf_free(&t.courier);
	arena_free(&t.arena);
	m->mailboxes++;
	return code;
}

static int
put_subscriptions(struct move *m, const struct outlet_box *box, size_t n,
	struct err *e)
{
	struct buf text, path;
	size_t i;
	int code;

	buf_init(&text, BUF_NO_CAP);
	buf_init(&path, BUF_NO_CAP);
	for (i = 0; i < n; i++) {
		if (!box[i].subscribed)
			continue;
		folder_name_out(&text, str_from(box[i].name), '.');
		buf_addc(&text, '\n');
	}
	buf_addf(&path, "%s/subscriptions", m->path);
	code = file_replace(buf_c(&path), buf_str(&text), 0600, e);
	buf_free(&text);
	buf_free(&path);
	return code;
}

int
maildir_export(struct move *m, struct err *e)
{
	struct outlet_box *box;
	struct arena a;
	size_t n, i;
	int code;

	arena_init(&a);
	code = outlet_boxes(m->store, m->account, &a, &box, &n, e);
	for (i = 0; i < n && code == 0; i++)
		m->progress.total += box[i].messages;
	for (i = 0; i < n && code == 0; i++)
		code = put_box(m, &box[i], e);
	if (code == 0)
		code = put_subscriptions(m, box, n, e);
	arena_free(&a);
	return code;
}
