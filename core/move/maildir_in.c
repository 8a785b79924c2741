/*
 * maildir_in.c - a Maildir with all its folders goes into an account.
 *
 * First the folders are found and the messages counted, then one mailbox
 * after the other is read, in the order of its UIDs. Memory holds the names
 * of one mailbox at a time. A file that the other server moves or removes
 * meanwhile is passed over; the next run brings what is missing.
 */
#include "move/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "move/folder_name.h"
#include "move/uid_list.h"

#define LIST_MOST (512u << 20)		/* bytes of a uidlist */
#define BLOCK (64 << 10)
#define DEPTH_MOST 20

struct box {
	char *path;
	const char *name;	/* in the store */
};

struct file {
	struct str name, base;
	uint32_t uid;
	bool is_new;
	bool is_there;
};

/* Everything that is known of the mailbox being read. */
struct source {
	struct move *m;
	struct intake *in;
	const struct box *box;
	struct arena arena;
	struct uid_list uids;
	struct keyword_letters letters;
	struct keyword_file keywords;
	struct file *file;
	size_t n, room;
};

struct walk {
	struct move *m;
	struct arena arena;
	struct box *box;
	size_t n, room;
	bool has_dots;		/* Maildir++ */
};

/* --------------------------------------------------------------- folders */

static bool
has_cur(const char *path, struct arena *a)
{
	struct stat st;

	return stat(arena_printf(a, "%s/cur", path), &st) == 0 &&
		S_ISDIR(st.st_mode);
}

static void
add_box(struct walk *w, const char *path, const char *name)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (!strcmp(w->box[i].name, name))
			name = arena_printf(&w->arena, "%s_%zu", name, w->n);
	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 16;
		w->box = mem_grow(w->box, w->room * sizeof *w->box);
	}
	w->box[w->n++] = (struct box){arena_cstr(&w->arena, str_from(path)),
		name};
}

static bool
is_ours(const char *name)
{
	static const char *const not[] = {"cur", "new", "tmp", ".", "..",
		"courierimapkeywords", "sieve", "dbox-Mails"};
	size_t i;

	for (i = 0; i < sizeof not / sizeof *not; i++)
		if (!strcmp(name, not[i]))
			return false;
	return true;
}

static int walk_folder(struct walk *w, const char *path, const char *name,
	int depth, struct err *e);

/* ".Sent.2026" below the root, or "Sent" anywhere. */
static int
visit(struct walk *w, const char *path, const char *above, const char *entry,
	int depth, struct err *e)
{
	const char *below = arena_printf(&w->arena, "%s/%s", path, entry);
	struct stat st;
	const char *name;

	if (!is_ours(entry) || stat(below, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (entry[0] == '.') {
		if (depth || !has_cur(below, &w->arena))
			return 0;
		name = folder_name_in(&w->arena, str_from(entry + 1), '.');
		w->has_dots = true;
		if (*name)
			add_box(w, below, name);
		return 0;
	}
	name = folder_name_in(&w->arena, str_from(entry), '/');
	if (*above)
		name = arena_printf(&w->arena, "%s/%s", above, name);
	if (has_cur(below, &w->arena))
		add_box(w, below, name);
	return depth < DEPTH_MOST ? walk_folder(w, below, name, depth + 1, e) :
		0;
}

static int
walk_folder(struct walk *w, const char *path, const char *name, int depth,
	struct err *e)
{
	struct dirent *d;
	DIR *dir = opendir(path);
	int code = 0;

	if (!dir)
		return err_sys(e, "%s", path);
	while (code == 0 && (d = readdir(dir)))
		code = visit(w, path, name, d->d_name, depth, e);
	closedir(dir);
	return code;
}

static int
by_name(const void *a, const void *b)
{
	const struct box *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int
find_boxes(struct walk *w, struct err *e)
{
	const char *root = w->m->path;

	if (has_cur(root, &w->arena))
		add_box(w, root, "INBOX");
	if (walk_folder(w, root, "", 0, e) < 0)
		return -1;
	if (!w->n)
		return err_set(e, ERR_MISSING, "%s: there is no Maildir (a "
			"folder with cur, new and tmp) here or below", root);
	qsort(w->box, w->n, sizeof *w->box, by_name);
	return 0;
}

static uint64_t
count_files(const struct walk *w)
{
	static const char *const sub[] = {"cur", "new"};
	struct arena a;
	uint64_t n = 0;
	size_t i;

	arena_init(&a);
	for (i = 0; i < w->n * 2; i++) {
		DIR *dir = opendir(arena_printf(&a, "%s/%s",
			w->box[i / 2].path, sub[i % 2]));
		struct dirent *d;

		while (dir && (d = readdir(dir)))
			n += d->d_name[0] != '.';
		if (dir)
			closedir(dir);
	}
	arena_free(&a);
	return n;
}

/* ---------------------------------------------------- what stands beside */

/* Empty where the file is not there. */
static struct str
read_beside(struct source *s, const char *folder, const char *name)
{
	struct str text = {0};

	if (file_read(arena_printf(&s->arena, "%s/%s", folder, name),
		LIST_MOST, &s->arena, &text, NULL) < 0)
		return (struct str){"", 0};
	return text;
}

static void
read_lists(struct source *s)
{
	static const char *const uids[] = {"dovecot-uidlist",
		"courierimapuiddb"};
	size_t i;

	for (i = 0; i < 2 && !s->uids.uidvalidity; i++) {
		uid_list_free(&s->uids);
		uid_list_read(read_beside(s, s->box->path, uids[i]),
			&s->uids);
	}
	keyword_letters_read(read_beside(s, s->box->path, "dovecot-keywords"),
		&s->letters);
	keyword_file_read(read_beside(s, s->box->path,
		"courierimapkeywords/:list"), &s->keywords);
}

/* ----------------------------------------------------------------- files */

static int
by_uid(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->uid && y->uid)
		return x->uid < y->uid ? -1 : x->uid > y->uid;
	if (x->uid || y->uid)
		return x->uid ? -1 : 1;
	/* Names begin with the second of delivery. */
	return str_cmp(x->base, y->base);
}

static void
add_file(struct source *s, const char *name, bool is_new)
{
	struct file *f;

	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 1024;
		s->file = mem_grow(s->file, s->room * sizeof *s->file);
	}
	f = &s->file[s->n++];
	*f = (struct file){.is_new = is_new};
	f->name = str_from(arena_cstr(&s->arena, str_from(name)));
	f->base = uid_list_base(f->name);
	f->uid = uid_list_find(&s->uids, f->base);
}

static int
list_files(struct source *s, const char *sub, struct err *e)
{
	const char *path = arena_printf(&s->arena, "%s/%s", s->box->path, sub);
	struct dirent *d;
	DIR *dir = opendir(path);

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(e, "%s", path);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.')
			add_file(s, d->d_name, *sub == 'n');
	closedir(dir);
	return 0;
}

/* ----------------------------------------------------------------- flags */

struct words {
	struct buf text;
};

static void
add_word(void *arg, struct str word)
{
	struct words *w = arg;
	struct str rest = buf_str(&w->text), one;

	while ((one = str_word(&rest)).len)
		if (str_ieq(one, word))
			return;
	if (w->text.len)
		buf_addc(&w->text, ' ');
	buf_addstr(&w->text, word);
}

static uint32_t
read_flags(struct source *s, const struct file *f, struct words *words)
{
	static const struct {
		char letter;
		uint32_t flag;
	} known[] = {{'S', MR_FLAG_SEEN}, {'R', MR_FLAG_ANSWERED},
		{'F', MR_FLAG_FLAGGED}, {'T', MR_FLAG_DELETED},
		{'D', MR_FLAG_DRAFT}};
	size_t at = f->base.len + 3, i;
	uint32_t flags = 0;

	for (; at < f->name.len && f->name.at[at] != ','; at++) {
		char c = f->name.at[at];

		for (i = 0; i < sizeof known / sizeof *known; i++)
			if (c == known[i].letter)
				flags |= known[i].flag;
		if (c == 'P')
			add_word(words, STR("$Forwarded"));
		if (c >= 'a' && c <= 'z' && s->letters.name[c - 'a'].len)
			add_word(words, s->letters.name[c - 'a']);
	}
	keyword_file_each(&s->keywords, f->base, add_word, words);
	return flags;
}

/* -------------------------------------------------------------- messages */

/* Lines of a file that a program of Unix wrote end in LF; one whose first
 * line ends in CR LF is kept byte for byte. */
static int
copy_bytes(int fd, struct spool *spool, struct err *e)
{
	struct intake_lines lines = {false};
	bool is_first = true, is_wire = false;
	char *block = mem_alloc(BLOCK);
	int code = 0;
	ssize_t n;

	while (code == 0 && (n = read(fd, block, BLOCK)) != 0) {
		struct str some;
		size_t lf;

		if (n < 0) {
			code = errno == EINTR ? 0 : err_sys(e, "reading");
			continue;
		}
		some = str_of(block, (size_t)n);
		lf = str_find(some, '\n');
		if (is_first)
			is_wire = lf && lf < some.len &&
				some.at[lf - 1] == '\r';
		is_first = false;
		code = is_wire ? spool_write(spool, some.at, some.len, e) :
			intake_write_lines(&lines, spool, some, e);
	}
	free(block);
	return code;
}

static int
open_file(const struct source *s, const struct file *f, struct stat *st)
{
	struct arena a;
	int fd;

	arena_init(&a);
	fd = open(arena_printf(&a, "%s/%s/%.*s", s->box->path, f->is_new ?
		"new" : "cur", STR_ARGS(f->name)), O_RDONLY | O_CLOEXEC |
		O_NOFOLLOW | O_NONBLOCK);
	arena_free(&a);
	if (fd >= 0 && (fstat(fd, st) < 0 || !S_ISREG(st->st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

static int
leave_out(struct source *s, const struct file *f, const char *why)
{
	struct arena a;

	arena_init(&a);
	progress_warn(&s->m->progress, arena_printf(&a, "%s: %.*s",
		s->box->path, STR_ARGS(f->name)), why);
	arena_free(&a);
	s->m->progress.failed++;
	return 0;
}

static int
take_file(struct source *s, const struct file *f, struct err *e)
{
	struct intake_message m = {.uid = f->uid};
	struct words words;
	struct stat st;
	struct err why = {0};
	int code, fd = open_file(s, f, &st);

	if (fd < 0)
		return leave_out(s, f, strerror(errno));
	if (copy_bytes(fd, intake_spool(s->in), &why) < 0 || !st.st_size) {
		close(fd);
		intake_drop(s->in);
		return leave_out(s, f, st.st_size ? why.text :
			"the file is empty");
	}
	close(fd);
	buf_init(&words.text, 4000);
	m.flags = read_flags(s, f, &words);
	m.keywords = buf_str(&words.text);
	m.received_ms = (int64_t)st.st_mtim.tv_sec * 1000 +
		st.st_mtim.tv_nsec / 1000000;
	m.key = f->base;
	/* As the other server would have numbered it: lower numbers may have
	 * been of messages that are gone. */
	if (!m.uid && s->uids.uidnext)
		m.uid = s->uids.uidnext++;
	code = intake_add(s->in, &m, &s->m->progress, e);
	buf_free(&words.text);
	return code;
}

static int
take_some(struct source *s, const struct file *f, size_t n, struct err *e)
{
	struct str key[INTAKE_BATCH];
	uint8_t there[INTAKE_BATCH];
	size_t i;

	for (i = 0; i < n; i++)
		key[i] = f[i].base;
	if (intake_known(s->in, key, n, there, e) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		if (there[i])
			s->m->progress.passed++;
		else if (take_file(s, &f[i], e) < 0)
			return -1;
	}
	progress_tick(&s->m->progress);
	return 0;
}

static int
take_files(struct source *s, struct err *e)
{
	size_t at, n;

	qsort(s->file, s->n, s->n ? sizeof *s->file : 1, by_uid);
	for (at = 0; at < s->n; at += n) {
		n = s->n - at < INTAKE_BATCH ? s->n - at : INTAKE_BATCH;
		if (take_some(s, s->file + at, n, e) < 0)
			return -1;
	}
	return intake_flush(s->in, &s->m->progress, e);
}

static int
take_box(struct move *m, struct intake *in, const struct box *box,
	struct err *e)
{
	struct source s = {.m = m, .in = in, .box = box};
	int code;

	arena_init(&s.arena);
	read_lists(&s);
	code = intake_open(in, box->name, s.uids.uidvalidity, s.uids.uidnext,
		e);
	if (code == 0)
		code = list_files(&s, "cur", e);
	if (code == 0)
		code = list_files(&s, "new", e);
	if (code == 0)
		code = take_files(&s, e);
	uid_list_free(&s.uids);
	keyword_file_free(&s.keywords);
	free(s.file);
	arena_free(&s.arena);
	m->mailboxes++;
	return code;
}

/* --------------------------------------------------------- subscriptions */

static void
subscribe(struct move *m, const char *name)
{
	struct mr_error me;

	m->store->op->subscribe(m->store->self, m->account, name, 1, &me);
}

/* As the other server had it; without its list, all that came. */
static void
take_subscriptions(struct walk *w)
{
	static const char *const list[] = {"subscriptions",
		"courierimapsubscribed"};
	struct source s = {.m = w->m};
	struct subscription_file f;
	const char *name;
	struct str text = {0};
	size_t i;

	arena_init(&s.arena);
	for (i = 0; i < 2 && !text.len; i++)
		text = read_beside(&s, w->m->path, list[i]);
	subscription_file_open(text, i == 2, &f);
	while (*(name = subscription_file_next(&f, &s.arena,
		w->has_dots || i == 2 ? '.' : '/')))
		subscribe(w->m, name);
	for (i = 0; !text.len && i < w->n; i++)
		subscribe(w->m, w->box[i].name);
	arena_free(&s.arena);
}

static int
adopt(struct walk *w, struct err *e)
{
	const char **name = mem_alloc(w->n * sizeof *name);
	size_t i;
	int code;

	for (i = 0; i < w->n; i++)
		name[i] = w->box[i].name;
	code = folder_name_adopt(w->m->store, w->m->account, name, w->n, e);
	free(name);
	return code;
}

int
maildir_import(struct move *m, struct err *e)
{
	struct walk w = {.m = m};
	struct intake *in = intake_new(m->store, m->account, m->temp, m->again,
		e);
	int code;
	size_t i;

	if (!in)
		return -1;
	arena_init(&w.arena);
	code = find_boxes(&w, e);
	if (code == 0)
		code = adopt(&w, e);
	m->progress.total = count_files(&w);
	for (i = 0; i < w.n && code == 0; i++)
		code = take_box(m, in, &w.box[i], e);
	if (code == 0)
		take_subscriptions(&w);
	intake_free(in);
	free(w.box);
	arena_free(&w.arena);
	return code;
}
