/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * maildir - delivers into Maildir folders, durably.
 *
 * The file is written in tmp, flushed, linked into new, the folder is
 * flushed, and only then is it said to be delivered. The name is made of the
 * message's id and the recipient, so that it is the same when an attempt is
 * repeated after a crash: a name that is in tmp with a second link, or in
 * new, was delivered before and is not delivered again, whatever a mail
 * program has done with it meanwhile.
 */
#include <mailroom/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 16384
#define PATH_MOST 4096

struct config {
	const char *path;
	bool create;
	int64_t line_ends;	/* 0: lf, 1: crlf */
	char host[128];		/* for the names of files */
};

#define AT(field) offsetof(struct config, field)

static const struct mr_setting settings[] = {
	{"path", MR_PATH, MR_REQUIRED, AT(path), NULL, 0, 0, NULL,
		"The Maildir of a recipient: %u is the address, %n what "
		"stands before its @, %d its domain, all in lower case; %% is "
		"a percent sign."},
	{"create", MR_BOOL, 0, AT(create), "true", 0, 0, NULL,
		"Make a Maildir that does not exist. With false its recipient "
		"is unknown."},
	{"line_ends", MR_CHOICE, 0, AT(line_ends), "\"lf\"", 0, 0, "lf|crlf",
		"Line ends of the files."},
	MR_SETTINGS_END,
};

struct job {			/* one recipient */
	const struct config *config;
	struct mr_delivery *delivery;
	size_t index;
	const char *rcpt;
	char folder[PATH_MOST];
	char tmp[PATH_MOST + 512], new[PATH_MOST + 512];
	char why[300];
	int error;		/* errno of it */
};

static int
fail(struct job *k, const char *what)
{
	k->error = errno;
	snprintf(k->why, sizeof k->why, "%.200s: %s", what,
		strerror(k->error));
	return -1;
}

/* ----------------------------------------------------------------- paths */

/* Nothing a stranger writes may lead elsewhere. */
static bool
is_safe(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (strchr("/\"\\", word[i]) || (unsigned char)word[i] < ' ')
			return false;
	return len > 0 && len < 256 && word[0] != '.';
}

static bool
add_word(char *out, size_t *n, const char *word, size_t len)
{
	size_t i;

	if (*n + len >= PATH_MOST || !is_safe(word, len))
		return false;
	for (i = 0; i < len; i++)
		out[(*n)++] = word[i] >= 'A' && word[i] <= 'Z' ?
			(char)(word[i] + 32) : word[i];
	return true;
}

/* false: this address cannot be a folder's name. */
static bool
expand(const struct config *c, const char *rcpt, char out[PATH_MOST])
{
	const char *sign = strrchr(rcpt, '@'), *p;
	size_t n = 0;
	bool good = sign != NULL;

	for (p = c->path; *p && good; p++) {
		if (*p != '%' || p[1] == '%') {
			p += *p == '%';
			out[n++] = *p;
			good = n < PATH_MOST - 1;
			continue;
		}
		p++;
		if (*p == 'u')
			good = add_word(out, &n, rcpt, strlen(rcpt));
		else if (*p == 'n')
			good = add_word(out, &n, rcpt, (size_t)(sign - rcpt));
		else
			good = add_word(out, &n, sign + 1, strlen(sign + 1));
	}
	out[n] = '\0';
	return good;
}

static int
flush_folder(struct job *k, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code;

	if (fd < 0)
		return fail(k, path);
	code = fsync(fd);
	if (code < 0)
		fail(k, path);
	close(fd);
	return code;
}

/* One folder, and its name in its parent made durable. */
static int
make_folder(struct job *k, char *path)
{
	char *slash = strrchr(path, '/');
	int code;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : fail(k, path);
	if (!slash || slash == path)
		return 0;
	*slash = '\0';
	code = flush_folder(k, path);
	*slash = '/';
	return code;
}

static int
make_parents(struct job *k, char *path)
{
	char *slash;
	int code = 0;

	for (slash = strchr(path + 1, '/'); slash && code == 0;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (access(path, F_OK) < 0)
			code = make_folder(k, path);
		*slash = '/';
	}
	return code;
}

static int
make_maildir(struct job *k)
{
	static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
	char path[PATH_MOST + 8];
	size_t i;

	snprintf(path, sizeof path, "%s", k->folder);
	if (make_parents(k, path) < 0)
		return -1;
	for (i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(path, sizeof path, "%s%s", k->folder, parts[i]);
		if (make_folder(k, path) < 0)
			return -1;
	}
	return 0;
}

/* Time first, so that names sort; then what makes it this message for this
 * recipient (FNV-1a, 64 bits, of the address). */
static void
name_files(struct job *k)
{
	struct mr_delivery *d = k->delivery;
	uint64_t h = 14695981039346656037ULL;
	const char *p;
	char name[512];

	for (p = k->rcpt; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ULL;
	snprintf(name, sizeof name, "%lld.%.64s_%016llx.%s",
		(long long)(d->arrived_ms / 1000), d->message,
		(unsigned long long)h, k->config->host);
	snprintf(k->tmp, sizeof k->tmp, "%s/tmp/%s", k->folder, name);
	snprintf(k->new, sizeof k->new, "%s/new/%s", k->folder, name);
}

/* ----------------------------------------------------------------- writing */

static int
write_all(int fd, const char *at, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* As much as fits, so that a short read never splits a CR LF for good. */
static int64_t
fill(struct mr_delivery *d, uint64_t at, char *block)
{
	size_t n = 0;
	int64_t got = 0;

	while (n < BLOCK && (got = d->read(d, at + n, block + n,
		BLOCK - n)) > 0)
		n += (size_t)got;
	return got < 0 ? -1 : (int64_t)n;
}

/* Takes the CR out of CR LF. A CR at the end of a block stays for the next:
 * returns how much of the block was used. */
static size_t
to_lf(char *block, size_t len, bool is_last, size_t *out)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (block[i] == '\r' && i + 1 == len && !is_last)
			break;
		if (block[i] != '\r' || i + 1 == len || block[i + 1] != '\n')
			block[n++] = block[i];
	}
	*out = n;
	return i;
}

static int
write_fields(struct job *k, int fd)
{
	const char *end = k->config->line_ends ? "\r\n" : "\n";
	char head[2400];
	int n = snprintf(head, sizeof head,
		"Return-Path: <%.1000s>%sDelivered-To: %.1000s%s",
		k->delivery->sender, end, k->rcpt, end);

	return write_all(fd, head, (size_t)n);
}

static int
write_message(struct job *k, int fd)
{
	struct mr_delivery *d = k->delivery;
	char block[BLOCK];
	uint64_t at = 0;
	size_t used, n;
	int64_t got;

	if (write_fields(k, fd) < 0)
		return fail(k, k->tmp);
	while ((got = fill(d, at, block)) > 0) {
		n = used = (size_t)got;
		if (k->config->line_ends == 0)
			used = to_lf(block, used, at + used >= d->length, &n);
		if (write_all(fd, block, n) < 0)
			return fail(k, k->tmp);
		at += used;
	}
	if (got < 0)
		snprintf(k->why, sizeof k->why, "the message cannot be read");
	else if (fsync(fd) < 0)
		return fail(k, k->tmp);
	return got < 0 ? -1 : 0;
}

/* ---------------------------------------------------------------- delivery */

/* Did an attempt that was cut short get as far as new? */
static bool
was_delivered(const struct job *k)
{
	struct stat tmp;

	return access(k->new, F_OK) == 0 ||
		(lstat(k->tmp, &tmp) == 0 && tmp.st_nlink > 1);
}

static int
write_tmp(struct job *k)
{
	int fd, code;

	unlink(k->tmp);		/* half of an attempt that was cut short */
	fd = open(k->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(k, k->tmp);
	code = write_message(k, fd);
	if (close(fd) < 0 && code == 0)
		code = fail(k, k->tmp);
	if (code < 0)
		unlink(k->tmp);
	return code;
}

static int
flush_new(struct job *k)
{
	char path[PATH_MOST + 8];

	snprintf(path, sizeof path, "%s/new", k->folder);
	return flush_folder(k, path);
}

static int
deliver(struct job *k)
{
	if (!was_delivered(k)) {
		if (write_tmp(k) < 0)
			return -1;
		if (link(k->tmp, k->new) < 0 && errno != EEXIST) {
			fail(k, k->new);
			unlink(k->tmp);
			return -1;
		}
	}
	if (flush_new(k) < 0)
		return -1;
	unlink(k->tmp);
	return 0;
}

static void
settle(struct job *k, int code, const char *enhanced, const char *text)
{
	k->delivery->result(k->delivery, k->index, code, enhanced, text);
}

static void
deliver_one(struct job *k)
{
	struct stat st;

	if (!expand(k->config, k->rcpt, k->folder)) {
		settle(k, 550, "5.1.3", "this address cannot name a folder");
		return;
	}
	if (!k->config->create && stat(k->folder, &st) < 0 &&
		errno == ENOENT) {
		settle(k, 550, "5.1.1", "there is no such mailbox");
		return;
	}
	name_files(k);
	if (make_maildir(k) == 0 && deliver(k) == 0)
		settle(k, 250, "2.0.0", "delivered into its folder");
	else if (k->error == ENOSPC || k->error == EDQUOT)
		settle(k, 452, "4.2.2", k->why);
	else
		settle(k, 451, "4.3.0", k->why);
}

static void
on_deliver(void *self, struct mr_delivery *d)
{
	struct job *k = calloc(1, sizeof *k);
	size_t i;

	for (i = 0; k && i < d->n_rcpt; i++) {
		k->config = self;
		k->delivery = d;
		k->index = i;
		k->error = 0;
		k->rcpt = d->rcpt[i].address.at;
		deliver_one(k);
	}
	free(k);
}

static int
on_open(void *self, struct mr_open *open)
{
	struct config *c = self;
	const char *p;
	char *h;

	snprintf(c->host, sizeof c->host, "%s", open->hostname);
	for (h = c->host; *h; h++)
		if (*h == '/' || *h == ':' || *h == ',')
			*h = '_';
	for (p = strchr(c->path, '%'); p; p = strchr(p + 2, '%')) {
		if (p[1] && strchr("und%", p[1]))
			continue;
		snprintf(open->error, open->error_size, "path: behind %% "
			"stands one of u, n, d, %%");
		return -1;
	}
	return 0;
}

static const struct mr_transport transport = {
	.size = sizeof transport, .deliver = on_deliver,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "maildir", .version = "1.0",
	.summary = "delivers into Maildir folders",
	.settings = settings, .config_size = sizeof(struct config),
	.open = on_open, .transport = &transport,
};
