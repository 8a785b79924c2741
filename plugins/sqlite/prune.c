/*
 * prune.c - older states of a backup go: first their maps, and once that is
 * on disk the pages and segments that no map names any more. Where a map
 * that stays cannot be read, nothing else goes.
 */
#include "backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct used {
	char **name;
	size_t n;
};

static void
use(struct used *u, const char *name, const char *suffix)
{
	if ((u->n & (u->n + 1)) == 0) {
		u->name = realloc(u->name, (u->n * 2 + 2) * sizeof *u->name);
		if (!u->name)
			abort();
	}
	u->name[u->n++] = sq_printf("%s%s", name, suffix);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
free_used(struct used *u)
{
	size_t i;

	for (i = 0; i < u->n; i++)
		free(u->name[i]);
	free(u->name);
}

static int
use_state(int folder, const char *state, struct used *pages,
	struct used *segments, struct mr_error *err)
{
	struct sq_map m;
	int code = sq_map_read(folder, state, &m, err);
	uint32_t i;

	for (i = 0; i < m.n_pack && code == MR_STORE_OK; i++)
		use(pages, m.pack[i], ".pages");
	for (i = 0; i < m.n_segment && code == MR_STORE_OK; i++)
		use(segments, m.segment[i], "");
	sq_map_free(&m);
	return code;
}

/* Files of the folder with this suffix that are not in use. */
static void
remove_others(const char *folder, const char *suffix, struct used *u)
{
	DIR *dir = opendir(folder);
	struct dirent *d;
	size_t end = strlen(suffix);

	if (u->n)
		qsort(u->name, u->n, sizeof *u->name, by_name);
	while (dir && (d = readdir(dir))) {
		const char *name = d->d_name;
		size_t len = strlen(name);

		if (name[0] == '.' || len < end ||
			strcmp(name + len - end, suffix) || (u->n &&
			bsearch(&name, u->name, u->n, sizeof *u->name,
			by_name)))
			continue;
		unlinkat(dirfd(dir), name, 0);
	}
	if (dir)
		closedir(dir);
}

static void
remove_maps(int folder, char **name, size_t n)
{
	char file[SQ_STATE_NAME + 8];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(file, sizeof file, "%s.map", name[i]);
		unlinkat(folder, file, 0);
	}
	fsync(folder);
}

int
sq_map_prune(int folder, const char *path, uint32_t keep,
	struct mr_error *err)
{
	struct used pages = {NULL, 0}, segments = {NULL, 0};
	char *states = sq_printf("%s/states", path);
	char *bodies = sq_printf("%s/segments", path), **name;
	size_t n = sq_map_list(folder, &name), old = n > keep ? n - keep : 0;
	size_t i;
	int code = MR_STORE_OK;

	remove_maps(folder, name, old);
	for (i = old; i < n && code == MR_STORE_OK; i++)
		code = use_state(folder, name[i], &pages, &segments, err);
	if (code == MR_STORE_OK && n) {
		remove_others(states, ".pages", &pages);
		remove_others(bodies, "", &segments);
	}
	for (i = 0; i < n; i++)
		free(name[i]);
	free(name);
	free_used(&pages);
	free_used(&segments);
	free(states);
	free(bodies);
	return code;
}
