/*
 * modules.c - copies of modules in sealed memory files.
 */
#include "proc/modules.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "plug/inspect.h"
#include "proc/spawn.h"

void
modules_init(struct modules *m)
{
	*m = (struct modules){.n = 0};
	arena_init(&m->arena);
}

void
modules_free(struct modules *m)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		close(m->item[i].fd);
	free(m->item);
	arena_free(&m->arena);
	*m = (struct modules){.n = 0};
}

static const struct module *
find(const struct modules *m, const char *path)
{
	size_t i;

	for (i = 0; m && i < m->n; i++)
		if (!strcmp(m->item[i].path, path))
			return &m->item[i];
	return NULL;
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Its inode's time of change too: that of writing can be set back. */
static bool
is_as_it_was(const struct module *m, const struct stat *now)
{
	return m->device == now->st_dev && m->inode == now->st_ino &&
		is_same_time(&m->written, &now->st_mtim) &&
		is_same_time(&m->changed, &now->st_ctim);
}

static void
keep(struct modules *m, const struct module *one)
{
	m->item = mem_grow(m->item, (m->n + 1) * sizeof *m->item);
	m->item[m->n] = *one;
	m->item[m->n++].path = arena_cstr(&m->arena, str_from(one->path));
}

static void
share(struct modules *m, const struct module *from)
{
	struct module one = *from;

	one.fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3);
	if (one.fd >= 0)
		keep(m, &one);
}

/* Looked at before it is read: if it is overwritten meanwhile it will not be
 * as it was. */
static int
copy(const char *path, const struct stat *st, struct module *out,
	struct err *e)
{
	struct arena scratch;
	struct str bytes;

	*out = (struct module){.path = path, .fd = -1,
		.device = st->st_dev, .inode = st->st_ino,
		.written = st->st_mtim, .changed = st->st_ctim};
	arena_init(&scratch);
	if (file_read(path, INSPECT_MODULE_MOST, &scratch, &bytes, e) == 0)
		out->fd = spawn_sealed_fd("mailroom-module", bytes, e);
	arena_free(&scratch);
	return out->fd < 0 ? -1 : 0;
}

static void
take(struct modules *m, const char *path, const struct modules *before)
{
	const struct module *known = find(before, path);
	struct err e = {0};
	struct module one;
	struct stat st;

	/* Anything else than a file could keep us waiting. */
	if (find(m, path) || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (known && is_as_it_was(known, &st))
		share(m, known);
	else if (copy(path, &st, &one, &e) == 0)
		keep(m, &one);
	else
		log_warn("master.module", LOG_S("module", path),
			LOG_S("error", e.text));
}

void
modules_take(struct modules *m, const struct config *c,
	const struct modules *before)
{
	const struct conf_node *all = conf_find(conf_root(c->doc), "plugin");
	const struct conf_node *n;
	struct arena a;
	struct str key;
	size_t at = 0;

	arena_init(&a);
	while (all && (n = conf_next(all, &at, &key)))
		if (conf_type_of(n) == CONF_TABLE)
			take(m, plugin_path(&a, arena_cstr(&a, key),
				c->server.plugin_dir, c->doc, n), before);
	arena_free(&a);
}

void
modules_share(struct modules *m, const struct modules *from)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		share(m, &from->item[i]);
}

static bool
has_same_bytes(int a, int b)
{
	char of_a[16384], of_b[sizeof of_a];
	off_t at = 0;
	ssize_t n;

	do {
		n = pread(a, of_a, sizeof of_a, at);
		if (n < 0 || pread(b, of_b, sizeof of_b, at) != n ||
			memcmp(of_a, of_b, (size_t)n))
			return false;
		at += n;
	} while (n > 0);
	return true;
}

bool
modules_are_same(const struct modules *a, const char *path_a,
	const struct modules *b, const char *path_b)
{
	const struct module *of_a = find(a, path_a), *of_b = find(b, path_b);

	if (!of_a || !of_b)
		return of_a == of_b;
	return has_same_bytes(of_a->fd, of_b->fd);
}

size_t
modules_lost(const struct modules *m, struct module_copy *out, size_t room)
{
	struct stat st;
	size_t i, n = 0;

	for (i = 0; i < m->n && n < room; i++)
		if (stat(m->item[i].path, &st) < 0 ||
			!is_as_it_was(&m->item[i], &st))
			out[n++] = (struct module_copy){m->item[i].path,
				m->item[i].fd};
	return n;
}
