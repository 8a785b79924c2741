/*
 * plain.c - addresses that are known to be a plain account: its own name, a
 * domain of ours, enabled, without quota. That is nearly all mail, and asking
 * the database costs each recipient the pages that the last commit changed.
 *
 * What is known holds for as long as a count stands still that all processes
 * share, in a mapped file: who changes the directory moves it before and after
 * the change. Only a process that dies between its commit and the second move
 * leaves the others with what was true before; hence nothing is believed for
 * longer than TRUST_MS.
 *
 * p->lock guards the slots.
 */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 512
#define TRUST_MS 1000

struct slot {
	char *name;
	uint64_t count;		/* of the directory, before it was asked */
	int64_t until;
};

struct sq_plain {
	pthread_mutex_t lock;
	_Atomic uint64_t *count;
	struct slot slot[SLOTS];
};

static void *
map_count(const char *folder, struct mr_error *err)
{
	char *path = sq_printf("%s/directory.count", folder);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(uint64_t)) == 0)
		at = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		sq_fail(err, MR_STORE_FAILED, "cannot map %s: %s", path,
			strerror(errno));
	if (fd >= 0)
		close(fd);
	free(path);
	return at;
}

struct sq_plain *
sq_plain_new(const char *folder, struct mr_error *err)
{
	void *count = map_count(folder, err);
	struct sq_plain *p;

	if (count == MAP_FAILED)
		return NULL;
	p = sq_alloc(sizeof *p);
	pthread_mutex_init(&p->lock, NULL);
	p->count = count;
	return p;
}

void
sq_plain_free(struct sq_plain *p)
{
	size_t i;

	if (!p)
		return;
	for (i = 0; i < SLOTS; i++)
		free(p->slot[i].name);
	munmap((void *)p->count, sizeof *p->count);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
sq_plain_forget(struct sq_plain *p)
{
	atomic_fetch_add(p->count, 1);
}

uint64_t
sq_plain_count(const struct sq_plain *p)
{
	return atomic_load(p->count);
}

static struct slot *
find_slot(struct sq_plain *p, const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return &p->slot[hash % SLOTS];
}

bool
sq_plain_has(struct sq_plain *p, const char *name)
{
	struct slot *s = find_slot(p, name);
	bool has;

	pthread_mutex_lock(&p->lock);
	has = s->name && s->count == sq_plain_count(p) &&
		s->until > sq_clock_mono() && !strcmp(s->name, name);
	pthread_mutex_unlock(&p->lock);
	return has;
}

void
sq_plain_note(struct sq_plain *p, const char *name, uint64_t count)
{
	struct slot *s = find_slot(p, name);
	char *copy = sq_printf("%s", name);

	pthread_mutex_lock(&p->lock);
	free(s->name);
	s->name = copy;
	s->count = count;
	s->until = sq_clock_mono() + TRUST_MS;
	pthread_mutex_unlock(&p->lock);
}
