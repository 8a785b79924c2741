/*
 * restore.c - a state of a backup as a store to read from: its database is
 * put together in a temporary folder, its large bodies are read where they
 * are.
 */
#include "backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
open_states(const char *path, struct mr_error *err)
{
	char *states = sq_printf("%s/states", path);
	int fd = open(states, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		sq_fail(err, MR_STORE_MISSING, "%s: %s", states,
			strerror(errno));
	free(states);
	return fd;
}

int
sq_backup_list(void *self, const char *path, int (*each)(void *arg,
	const char *state), void *arg, struct mr_error *err)
{
	int folder = open_states(path, err), code = MR_STORE_OK;
	char **name;
	size_t n, i;

	(void)self;
	if (folder < 0)
		return MR_STORE_MISSING;
	n = sq_map_list(folder, &name);
	for (i = 0; i < n; i++) {
		if (code == MR_STORE_OK && each(arg, name[i]))
			code = MR_STORE_STOPPED;
		free(name[i]);
	}
	free(name);
	close(folder);
	return code;
}

static void
remove_temp(const char *folder)
{
	static const char *const names[] = {"segments", SQ_FILE, SQ_FILE
		"-wal", SQ_FILE "-shm", SQ_FILE "-journal"};
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		char *one = sq_printf("%s/%s", folder, names[i]);

		unlink(one);
		free(one);
	}
	rmdir(folder);
}

/* What an older release made gets today's tables; it is a copy. */
int
sq_state_database(const char *path, const char *state, const char *folder,
	struct mr_error *err)
{
	char *file = sq_printf("%s/" SQ_FILE, folder);
	int states = open_states(path, err);
	struct sq_map m = {.n_pack = 0};
	struct sq_db *db = NULL;
	int code = states < 0 ? MR_STORE_MISSING :
		sq_map_read(states, state, &m, err);

	if (code == MR_STORE_OK)
		code = sq_map_assemble(states, &m, file, err);
	if (code == MR_STORE_OK) {
		db = sq_db_open(folder, SQ_WRITES, err);
		code = db ? sq_schema(db->handle, err) : MR_STORE_FAILED;
	}
	sq_db_close(db);
	sq_map_free(&m);
	if (states >= 0)
		close(states);
	free(file);
	return code;
}

void
sq_backup_close(void *other)
{
	struct sq *s = other;

	if (!s)
		return;
	sq_segments_free(s->segments);
	sq_pool_free(s->pool);
	remove_temp(s->path);
	free(s->path);
	free(s);
}

int
sq_backup_open(void *self, const char *path, const char *state,
	const char *temp, void **other, struct mr_error *err)
{
	const struct sq *like = self;
	struct sq *s = sq_alloc(sizeof *s);
	char *bodies = NULL, *link = NULL;
	int code = MR_STORE_OK;

	s->path = sq_printf("%s/restore.XXXXXX", temp);
	s->body_in_row = like->body_in_row;
	s->segment_size = like->segment_size;
	if (!mkdtemp(s->path))
		code = sq_fail(err, MR_STORE_FAILED, "%s: %s", s->path,
			strerror(errno));
	bodies = *path == '/' ? sq_printf("%s/segments", path) : NULL;
	link = sq_printf("%s/segments", s->path);
	if (code == MR_STORE_OK && (!bodies || symlink(bodies, link) < 0))
		code = sq_fail(err, MR_STORE_FAILED, "%s: %s", link, bodies ?
			strerror(errno) : "the path must begin with /");
	if (code == MR_STORE_OK)
		code = sq_state_database(path, state, s->path, err);
	s->pool = sq_pool_new();
	if (code == MR_STORE_OK) {
		s->segments = sq_segments_new(s, err);
		code = s->segments ? MR_STORE_OK : MR_STORE_FAILED;
	}
	free(bodies);
	free(link);
	if (code != MR_STORE_OK)
		sq_backup_close(s);
	else
		*other = s;
	return code;
}
