/*
 * drop.c - the files of the drop folder. Any thread; blocks on disk.
 */
#include "queue/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/file.h"

#define HEAD_MOST (4 << 20)	/* of an envelope */
#define BLOCK 65536

/* ---------------------------------------------------------------- writing */

static void
add_line(struct buf *b, const char *key, struct str value)
{
	buf_addf(b, "%s ", key);
	buf_addstr(b, value);
	buf_addc(b, '\n');
}

static void
write_head(struct buf *b, const struct drop *d)
{
	size_t i;

	add_line(b, "sender", d->sender);
	for (i = 0; i < d->n_rcpt; i++)
		add_line(b, "rcpt", d->rcpt[i]);
	if (d->args.len)
		add_line(b, "args", d->args);
	if (d->notify.len)
		add_line(b, "notify", d->notify);
	buf_addc(b, '\n');
}

static int
sync_folder(const char *folder, struct err *e)
{
	/* A folder that we may only write to cannot be opened for this; its
	 * file is synced, and most file systems take the name along. */
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code;

	if (fd < 0)
		return errno == EACCES ? 0 : err_sys(e, "%s", folder);
	code = fsync(fd);
	close(fd);
	return code < 0 ? err_sys(e, "%s", folder) : 0;
}

static int
copy_body(const struct drop *from, int to, struct err *e)
{
	char block[BLOCK / 4];
	uint64_t at = 0;

	while (at < from->length) {
		size_t n = sizeof block;

		if (n > from->length - at)
			n = (size_t)(from->length - at);
		if (file_pread_all(from->fd, block, n, from->body_at + at,
			e) < 0 || file_write_all(to, block, n, e) < 0)
			return -1;
		at += n;
	}
	return 0;
}

/* The message is in memory, or in the file that d has open. */
static int
write_file(const char *folder, const char *name, const struct drop *d,
	const struct str *message, struct err *e)
{
	char hidden[4096], path[4096];
	struct buf head;
	int fd, code = -1;

	snprintf(hidden, sizeof hidden, "%s/.%s", folder, name);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		return err_sys(e, "%s", folder);
	buf_init(&head, HEAD_MOST);
	write_head(&head, d);
	/* The server reads it, whose user is not ours; nobody else can find
	 * it, since the folder does not tell its names. */
	if (head.full)
		err_set(e, ERR_FULL, "too many recipients");
	else if (fchmod(fd, 0644) < 0 ||
		file_write_all(fd, head.at, head.len, e) < 0 ||
		(message ? file_write_all(fd, message->at, message->len, e) :
			copy_body(d, fd, e)) < 0 ||
		fsync(fd) < 0 || rename(hidden, path) < 0)
		err_sys(e, "%s", folder);
	else
		code = sync_folder(folder, e);
	buf_free(&head);
	close(fd);
	if (code < 0)
		unlink(hidden);
	return code;
}

int
drop_write(const char *folder, const struct drop *d, struct str message,
	char name[40], struct err *e)
{
	char own[40], word[17];

	enc_random_word(word, 16);
	snprintf(own, sizeof own, "%013llx-%s",
		(unsigned long long)clock_wall(), word);
	if (name)
		memcpy(name, own, sizeof own);
	return write_file(folder, own, d, &message, e);
}

int
drop_replace(const char *folder, const char *name, const struct drop *d,
	struct err *e)
{
	return write_file(folder, name, d, NULL, e);
}

/* ---------------------------------------------------------------- reading */

static int
not_ours(struct err *e, const char *name, const char *why)
{
	return err_set(e, ERR_PROTOCOL, "%s: %s", name, why);
}

static void
take_line(struct drop *d, size_t room, struct str line)
{
	struct str key = str_cut(&line, ' ');

	if (str_is(key, "sender"))
		d->sender = line;
	else if (str_is(key, "rcpt") && d->n_rcpt < room)
		d->rcpt[d->n_rcpt++] = line;
	else if (str_is(key, "args"))
		d->args = line;
	else if (str_is(key, "notify"))
		d->notify = line;
}

/* Where the empty line ends that closes the envelope, or 0. */
static size_t
head_length(struct str text)
{
	size_t at = str_find_str(text, STR("\n\n"));

	return at < text.len ? at + 2 : 0;
}

static int
read_head(const char *name, struct arena *a, uint64_t size, struct drop *d,
	struct err *e)
{
	size_t most = size < HEAD_MOST ? (size_t)size : HEAD_MOST, n, i;
	size_t got = most < BLOCK ? most : BLOCK;
	char *text = arena_alloc(a, most + 1);
	struct str head;

	if (file_pread_all(d->fd, text, got, 0, e) < 0)
		return -1;
	if (!head_length(str_of(text, got)) && got < most) {
		if (file_pread_all(d->fd, text, most, 0, e) < 0)
			return -1;
		got = most;
	}
	n = head_length(str_of(text, got));
	if (!n)
		return not_ours(e, name, "no envelope");
	head = str_of(text, n - 1);
	for (i = 0; i < head.len; i++)
		if ((unsigned char)text[i] < 32 && text[i] != '\n')
			return not_ours(e, name, "a control character in the "
				"envelope");
	d->rcpt = arena_alloc(a, DROP_RCPT_MOST * sizeof *d->rcpt);
	while (head.len)
		take_line(d, DROP_RCPT_MOST, str_cut(&head, '\n'));
	if (!d->n_rcpt)
		return not_ours(e, name, "no recipient");
	d->body_at = n;
	d->length = size - n;
	return 0;
}

/* A link to a file of somebody else, a pipe, a device: whoever may write to
 * the folder may have put it there. */
static int
check_file(const char *name, const struct stat *st, struct err *e)
{
	if (!S_ISREG(st->st_mode))
		return not_ours(e, name, "not a file");
	if (st->st_nlink > 1)
		return not_ours(e, name, "has another name elsewhere");
	return 0;
}

int
drop_open(const char *folder, const char *name, struct arena *a,
	struct drop *out, struct err *e)
{
	char path[4096];
	struct stat st, now;
	int code = -1;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	*out = (struct drop){.fd = open(path, O_RDONLY | O_NOFOLLOW |
		O_NONBLOCK | O_CLOEXEC)};
	if (out->fd < 0 && errno == ENOENT)
		return 0;
	if (out->fd < 0 && errno == ELOOP)
		return not_ours(e, name, "a link");
	if (out->fd < 0)
		return err_sys(e, "%s", path);
	if (fstat(out->fd, &st) < 0)
		err_sys(e, "%s", path);
	else if (check_file(name, &st, e) == 0)
		code = flock(out->fd, LOCK_EX | LOCK_NB) < 0 ? 0 : 1;
	/* Whoever had the lock before may have replaced or removed it. */
	if (code == 1 && (stat(path, &now) < 0 || now.st_ino != st.st_ino))
		code = 0;
	out->uid = st.st_uid;
	if (code == 1 && read_head(name, a, (uint64_t)st.st_size, out, e) < 0)
		code = -1;
	if (code < 1)
		close(out->fd);
	return code;
}
