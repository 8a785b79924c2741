/*
 * sched.c - back-off and concurrency by destination.
 */
#include "queue/sched.h"

#include <assert.h>

int64_t
sched_pause(int64_t first, int64_t most, uint32_t attempts, uint32_t random)
{
	int64_t pause = first, spread;
	uint32_t i;

	for (i = 1; i < attempts && pause < most; i++)
		pause *= 2;
	if (pause > most)
		pause = most;
	spread = pause / 4;
	return spread ? pause - spread / 2 + random % spread : pause;
}

int64_t
sched_next(int64_t now, int64_t pause, int64_t expire)
{
	if (now + pause <= expire)
		return now + pause;
	return expire > now ? expire : now;
}

void
sched_load_init(struct sched_load *l, unsigned most)
{
	map_init(&l->busy);
	l->most = most;
}

void
sched_load_free(struct sched_load *l)
{
	map_free(&l->busy);
}

/* The count itself stands in the map's value. */
bool
sched_load_take(struct sched_load *l, struct str destination)
{
	uintptr_t n = (uintptr_t)map_get(&l->busy, destination);

	if (n >= l->most)
		return false;
	map_put(&l->busy, destination, (void *)(n + 1));
	return true;
}

void
sched_load_give(struct sched_load *l, struct str destination)
{
	uintptr_t n = (uintptr_t)map_get(&l->busy, destination);

	assert(n > 0);
	if (n == 1)
		map_remove(&l->busy, destination);
	else
		map_put(&l->busy, destination, (void *)(n - 1));
}
