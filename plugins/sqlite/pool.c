/*
 * pool.c - reading connections, made when needed and kept for the next.
 *
 * p->lock guards the list and the count. The list is a stack: those at its
 * bottom have been idle longest and are closed after a while, but for two.
 */
#include "engine.h"

#include <stdlib.h>

#define MOST 32
#define KEEP 2
#define IDLE_MS 5000

struct sq_pool {
	pthread_mutex_t lock;
	pthread_cond_t given;
	struct sq_db *idle;
	unsigned n_open, n_idle;
};

struct sq_pool *
sq_pool_new(void)
{
	struct sq_pool *p = sq_alloc(sizeof *p);

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->given, NULL);
	return p;
}

void
sq_pool_free(struct sq_pool *p)
{
	struct sq_db *db;

	if (!p)
		return;
	while ((db = p->idle)) {
		p->idle = db->next;
		sq_db_close(db);
	}
	pthread_cond_destroy(&p->given);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* An idle connection, or NULL when one may be opened (and is counted). */
static struct sq_db *
take(struct sq_pool *p)
{
	struct sq_db *db;

	pthread_mutex_lock(&p->lock);
	while (!p->idle && p->n_open == MOST)
		pthread_cond_wait(&p->given, &p->lock);
	db = p->idle;
	if (db) {
		p->idle = db->next;
		p->n_idle--;
	} else {
		p->n_open++;
	}
	pthread_mutex_unlock(&p->lock);
	return db;
}

static void
drop(struct sq_pool *p, struct sq_db *db)
{
	sq_db_close(db);
	pthread_mutex_lock(&p->lock);
	p->n_open--;
	pthread_cond_signal(&p->given);
	pthread_mutex_unlock(&p->lock);
}

struct sq_db *
sq_read_one(struct sq *s, struct mr_error *err)
{
	struct sq_db *db = take(s->pool);

	if (!db)
		db = sq_db_open(s->path, SQ_READS, err);
	if (!db)
		drop(s->pool, db);
	return db;
}

struct sq_db *
sq_read(struct sq *s, struct mr_error *err)
{
	struct sq_db *db = sq_read_one(s, err);

	if (!db || sq_run(db, err, "BEGIN", "") == MR_STORE_OK)
		return db;
	drop(s->pool, db);
	return NULL;
}

void
sq_read_end(struct sq *s, struct sq_db *db)
{
	struct sq_pool *p = s->pool;
	bool many;

	sq_db_rest(db);
	if (!sqlite3_get_autocommit(db->handle) &&
		sq_run(db, NULL, "COMMIT", "") != MR_STORE_OK) {
		drop(p, db);
		return;
	}
	db->idle_since = sq_clock_mono();
	pthread_mutex_lock(&p->lock);
	db->next = p->idle;
	p->idle = db;
	many = ++p->n_idle > KEEP;
	pthread_cond_signal(&p->given);
	pthread_mutex_unlock(&p->lock);
	if (many)
		sq_pool_trim(p);
}

/* Cuts off the stack where connections have been idle for long. */
static struct sq_db *
cut(struct sq_pool *p)
{
	int64_t old = sq_clock_mono() - IDLE_MS;
	struct sq_db **at = &p->idle, *rest, *db;
	unsigned n = 0;

	while (*at && (n < KEEP || (*at)->idle_since > old)) {
		at = &(*at)->next;
		n++;
	}
	rest = *at;
	*at = NULL;
	for (db = rest; db; db = db->next) {
		p->n_idle--;
		p->n_open--;
	}
	return rest;
}

void
sq_pool_trim(struct sq_pool *p)
{
	struct sq_db *rest, *db;

	pthread_mutex_lock(&p->lock);
	rest = cut(p);
	pthread_mutex_unlock(&p->lock);
	while ((db = rest)) {
		rest = db->next;
		sq_db_close(db);
	}
}
