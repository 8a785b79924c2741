/*
 * conns.c - the cache of open connections, and the thread that says good-bye.
 *
 * A peer may close at any time: what is taken is looked at, and a talk that
 * ends before its message began is repeated on a new connection (deliver.c).
 * c->lock guards the list and the flags; a connection that was taken out
 * belongs to whoever took it. The thread starts with the first connection.
 */
#include "queue/conns.h"

#include <pthread.h>

#include "base/clock.h"

#define AGE_MS 300000		/* after that the hosts are looked up again */
#define LOOK_MS 500
#define STACK (256 << 10)

struct conns {
	struct conns_settings settings;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct conn *first;	/* the one used last */
	struct conn *done;	/* to be closed by the thread */
	unsigned n;
	bool has_thread, is_stopping;
	pthread_t closer;
};

void
conn_close(struct conn *conn, int64_t quit_ms)
{
	client_close(conn->client, quit_ms);
	free(conn->key);
	free(conn);
}

struct conn *
conn_new(const char *key, const struct client_talk *t, struct client *take)
{
	struct conn *conn = mem_alloc(sizeof *conn);

	*conn = (struct conn){.client = take, .key = mem_cstr(key),
		.tls = t->tls, .tls_ctx = t->tls_ctx,
		.opened = clock_mono()};
	return conn;
}

/* --------------------------------------------------------------- closing */

/* Those that have waited too long, or all; lock held. */
static struct conn *
cut_old(struct conns *c, bool all)
{
	int64_t before = clock_mono() - c->settings.idle;
	struct conn **at = &c->first, *old;

	while (!all && *at && (*at)->idle_since > before)
		at = &(*at)->next;
	old = *at;
	*at = NULL;
	for (c->n = 0, at = &c->first; *at; at = &(*at)->next)
		c->n++;
	return old;
}

/* When the runner ends nobody is waited for. */
static int64_t
patience(struct conns *c)
{
	bool is_stopping;

	pthread_mutex_lock(&c->lock);
	is_stopping = c->is_stopping;
	pthread_mutex_unlock(&c->lock);
	return is_stopping ? 0 : CLIENT_QUIT_MS;
}

static void
close_list(struct conns *c, struct conn *list)
{
	struct conn *next;

	for (; list; list = next) {
		next = list->next;
		conn_close(list, patience(c));
	}
}

static void
wait_a_while(struct conns *c)
{
	struct timespec at;

	if (c->done)
		return;
	if (!c->first) {
		pthread_cond_wait(&c->wake, &c->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += LOOK_MS * 1000000LL;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&c->wake, &c->lock, &at);
}

static void *
run_closer(void *arg)
{
	struct conns *c = arg;
	struct conn *old, *done;

	pthread_mutex_lock(&c->lock);
	while (!c->is_stopping) {
		wait_a_while(c);
		old = cut_old(c, c->is_stopping);
		done = c->done;
		c->done = NULL;
		pthread_mutex_unlock(&c->lock);
		close_list(c, done);
		close_list(c, old);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Lock held. Without a thread nothing is kept. */
static void
start_closer(struct conns *c)
{
	pthread_attr_t attr;

	if (c->has_thread)
		return;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	c->has_thread = pthread_create(&c->closer, &attr, run_closer, c) == 0;
	pthread_attr_destroy(&attr);
}

/* ----------------------------------------------------------- take and give */

static bool
is_for(const struct conn *conn, const char *key, const struct client_talk *t)
{
	return conn->tls == t->tls && conn->tls_ctx == t->tls_ctx &&
		!strcmp(conn->key, key);
}

static struct conn *
cut_first(struct conns *c, const char *key, const struct client_talk *t)
{
	struct conn **at, *found;

	pthread_mutex_lock(&c->lock);
	for (at = &c->first; *at && !is_for(*at, key, t); at = &(*at)->next)
		;
	found = *at;
	if (found) {
		*at = found->next;
		c->n--;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

struct conn *
conns_take(struct conns *c, const char *key, const struct client_talk *t)
{
	struct conn *conn;

	while ((conn = cut_first(c, key, t)) && !client_is_good(conn->client))
		conn_close(conn, 0);
	return conn;
}

static bool
is_worn(const struct conns *c, const struct conn *conn)
{
	return !c->settings.idle || conn->uses >= c->settings.uses ||
		conn->idle_since - conn->opened > AGE_MS ||
		c->n >= c->settings.most;
}

/* What is good but worn is closed by the thread too: a good-bye may take a
 * while, and the message that went is not settled yet. */
void
conns_give(struct conns *c, struct conn *conn)
{
	struct conn **list = NULL;

	conn->uses++;
	conn->idle_since = clock_mono();
	if (client_is_good(conn->client)) {
		pthread_mutex_lock(&c->lock);
		start_closer(c);
		if (c->has_thread && !c->is_stopping) {
			list = is_worn(c, conn) ? &c->done : &c->first;
			conn->next = *list;
			*list = conn;
			c->n += list == &c->first;
			if (c->n <= 1 || list == &c->done)
				pthread_cond_signal(&c->wake);
		}
		pthread_mutex_unlock(&c->lock);
	}
	if (!list)
		conn_close(conn, 0);
}

/* ------------------------------------------------------------------ life */

struct conns *
conns_new(const struct conns_settings *s)
{
	struct conns *c = mem_alloc(sizeof *c);
	pthread_condattr_t clock;

	c->settings = *s;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &clock);
	pthread_condattr_destroy(&clock);
	return c;
}

void
conns_free(struct conns *c)
{
	pthread_mutex_lock(&c->lock);
	c->is_stopping = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (c->has_thread)
		pthread_join(c->closer, NULL);
	close_list(c, c->first);
	close_list(c, c->done);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->wake);
	free(c);
}
