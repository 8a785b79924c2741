/*
 * watch.c - sessions that wait for a change of a mailbox, or of an account.
 *
 * w->lock guards the list of waiting entries and is held while guests are
 * woken, so that a session that has removed its entry is never woken after.
 * park_wake takes the park's lock inside ours; nothing does it the other way
 * round.
 */
#include "serve/watch.h"

#include <pthread.h>

#include "base/arena.h"

#define BUCKETS 1024

struct watch {
	pthread_mutex_t lock;
	struct park *park;
	struct watch_entry *bucket[BUCKETS];
	unsigned n_queue;	/* entries that the queue wakes */
};

static struct watch_entry **
bucket_of(struct watch *w, int64_t mailbox)
{
	return &w->bucket[(uint64_t)mailbox % BUCKETS];
}

/* Those few who watch the queue. */
static void
queue_changed(struct watch *w)
{
	struct watch_entry *e;
	size_t i;

	pthread_mutex_lock(&w->lock);
	for (i = 0; i < BUCKETS && w->n_queue; i++)
		for (e = w->bucket[i]; e; e = e->next)
			if (e->queue)
				park_wake(w->park, e->guest);
	pthread_mutex_unlock(&w->lock);
}

/* From the store's thread. Mailbox 0: any may have changed. */
static void
changed(void *arg, const struct mr_change *c)
{
	int64_t id = c->kind == MR_CHANGE_ACCOUNT ? watch_account(c->id) :
		c->id;
	struct watch *w = arg;
	struct watch_entry *e;
	size_t i;

	if (c->kind == MR_CHANGE_QUEUE)
		queue_changed(w);
	if (c->kind != MR_CHANGE_MAILBOX && c->kind != MR_CHANGE_ACCOUNT)
		return;
	pthread_mutex_lock(&w->lock);
	for (i = 0; i < BUCKETS; i++) {
		if (id && &w->bucket[i] != bucket_of(w, id))
			continue;
		for (e = w->bucket[i]; e; e = e->next)
			if (!id || e->mailbox == id)
				park_wake(w->park, e->guest);
	}
	pthread_mutex_unlock(&w->lock);
}

struct watch *
watch_new(const struct store *s, struct park *p, struct err *e)
{
	struct watch *w = mem_alloc(sizeof *w);
	struct mr_error me = {{0}};

	pthread_mutex_init(&w->lock, NULL);
	w->park = p;
	if (store_result(s->op->watch(s->self, changed, w, &me), &me, e) == 0)
		return w;
	free(w);
	return NULL;
}

void
watch_add(struct watch *w, struct watch_entry *e, struct guest *g,
	int64_t mailbox)
{
	struct watch_entry **at;

	pthread_mutex_lock(&w->lock);
	e->guest = g;
	e->mailbox = mailbox;
	at = bucket_of(w, mailbox);
	e->prev = NULL;
	e->next = *at;
	if (*at)
		(*at)->prev = e;
	*at = e;
	w->n_queue += e->queue;
	pthread_mutex_unlock(&w->lock);
}

void
watch_remove(struct watch *w, struct watch_entry *e)
{
	pthread_mutex_lock(&w->lock);
	if (e->guest) {
		if (e->prev)
			e->prev->next = e->next;
		else
			*bucket_of(w, e->mailbox) = e->next;
		if (e->next)
			e->next->prev = e->prev;
		e->guest = NULL;
		w->n_queue -= e->queue;
	}
	pthread_mutex_unlock(&w->lock);
}
