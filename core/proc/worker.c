/*
 * worker.c - the life of a worker process. Start-up and the control channel
 * are on the main thread; sessions run on the park's threads, deliveries on
 * the queue's.
 *
 * The master ends a worker in one of two ways. "retire", after a reload:
 * nobody new is taken, sessions go on as long as they like within
 * drain_timeout. "drain", for the end of the server: sessions are told to
 * leave at their next command.
 */
#include "proc/worker.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/limit.h"
#include "plug/observe.h"
#include "plug/remote.h"
#include "plug/watchdog.h"
#include "proc/chains.h"
#include "proc/crash.h"
#include "proc/daily.h"
#include "proc/indexer.h"
#include "proc/priv.h"
#include "proc/spawn.h"
#include "queue/queue.h"
#include "serve/guard.h"
#include "serve/learn.h"
#include "serve/pickup.h"
#include "serve/row_cache.h"
#include "serve/session.h"
#include "serve/watch.h"

#define CONFIG_MAX (4 << 20)
#define EXIT_CONFIG 78
#define LAST_MS 3000	/* for those who stayed until they were told to go */
#define LOOK_MS 200

struct worker_life {
	struct spawn_args args;
	struct config *config;
	struct plugins plugins;
	struct house house;
	struct queue_house queue_house;
	struct report_house report_house;
	struct daily *daily;		/* of the runner */
	struct indexer *indexer;
	struct queue *queue;
	struct pickup *pickup;	/* SMTP worker only */
	char owner[80];
};

static int
read_config(struct worker_life *w, struct err *e)
{
	struct conf_report report;
	char *text = mem_alloc(CONFIG_MAX);
	ssize_t n = pread(w->args.config_fd, text, CONFIG_MAX, 0);

	if (n < 0) {
		free(text);
		return err_sys(e, "configuration from the master");
	}
	conf_report_init(&report);
	w->config = config_parse(str_of(text, (size_t)n),
		w->args.config_file, &report);
	free(text);
	if (report.errors)
		err_set(e, ERR_CONFIG, "configuration: %u errors",
			report.errors);
	n = report.errors ? -1 : 0;
	conf_report_free(&report);
	return (int)n;
}

/* What happens to the processes of isolated plugins, for the master's
 * account. Set once before any of them runs. */
static int watched_control;

static void
tell_master(const char *plugin, const char *what)
{
	char text[96];
	int n = snprintf(text, sizeof text, "%s %s", what, plugin);

	if (send(watched_control, text, (size_t)n, MSG_NOSIGNAL |
		MSG_DONTWAIT) < 0)
		log_debug("worker.tell", LOG_S("error", strerror(errno)));
}

/* Plugins, and the chains of an SMTP worker. Their errors go to standard
 * error in full, as the command line shows them. */
static int
load_plugins(struct worker_life *w, struct err *e)
{
	enum direction only = w->args.role == ROLE_RUNNER ? CHAIN_LOCAL :
		CHAIN_LEARN;
	struct config *c = w->config;
	struct conf_report report;
	bool ok;

	conf_report_init(&report);
	plugins_init(&w->plugins);
	w->plugins.isolates = true;
	w->plugins.moved = w->args.moved;
	w->plugins.n_moved = w->args.n_moved;
	w->plugins.copies = w->args.copies;
	w->plugins.n_copies = w->args.n_copies;
	w->plugins.rewrites_senders = c->queue.srs;
	watched_control = w->args.control_fd;
	remote_watch(tell_master);
	ok = config_load_plugins(c, w->args.role, &w->plugins, &report);
	if (ok && w->args.role == ROLE_SMTP)
		ok = chains_make(c, &w->plugins, w->house.chain, &report);
	else if (ok)
		ok = chains_make_one(c, &w->plugins, only,
			&w->house.chain[only], &report);
	if (report.text.len)
		fputs(buf_c(&report.text), stderr);
	conf_report_free(&report);
	if (!ok)
		return err_set(e, ERR_CONFIG, "%s: plugins do not load",
			w->args.config_file);
	if (plugins_open(&w->plugins, role_name(w->args.role), c->server.data,
		c->server.hostname, e) < 0)
		return -1;
	if (store_find(&w->plugins, &w->house.store, e) < 0)
		return -1;
	return expire_retain(&c->expire, &w->house.store, e);
}

static int
open_tls(struct worker_life *w, struct err *e)
{
	const struct tls_settings *t = &w->config->tls;

	if (!*t->certificate || !*t->key || w->args.role == ROLE_RUNNER)
		return 0;
	w->house.tls = tls_server_new(t->certificate, t->key,
		*t->client_ca ? t->client_ca : NULL, e);
	return w->house.tls ? 0 : err_wrap(e, "[tls]");
}

static int
open_dns(struct worker_life *w, struct err *e)
{
	struct dns_settings s = config_dns(w->config);

	if (w->args.role == ROLE_MAILBOX)
		return 0;
	w->house.dns = dns_new(&s, e);
	return w->house.dns ? 0 : err_wrap(e, "[dns]");
}

static int
parse_networks(struct worker_life *w, const char *setting,
	const struct mr_list *l, struct sock_nets *out, struct err *e)
{
	size_t i;

	out->item = arena_alloc(&w->config->arena,
		(l->n + 1) * sizeof *out->item);
	for (i = 0; i < l->n; i++)
		if (sock_parse_net(str_from(l->item[i]), &out->item[out->n++],
			e) < 0)
			return err_wrap(e, "%s", setting);
	return 0;
}

static int
parse_all_networks(struct worker_life *w, struct err *e)
{
	struct config *c = w->config;
	struct house *h = &w->house;
	size_t i;

	for (i = 0; i < c->n_listener; i++) {
		struct listener *l = &c->listener[i];

		if (parse_networks(w, arena_printf(&c->arena,
			"[listen.%s] proxy_networks", l->name),
			&l->proxy_networks, &l->proxy, e) < 0)
			return -1;
	}
	if (parse_networks(w, "[smtp] relay_networks",
		&c->smtp.relay_networks, &h->relay, e) < 0)
		return -1;
	return parse_networks(w, "[smtp] xclient_networks",
		&c->smtp.xclient_networks, &h->xclient, e);
}

static struct listener *
find_listener(struct worker_life *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->config->n_listener; i++)
		if (!strcmp(w->config->listener[i].name, name))
			return &w->config->listener[i];
	return NULL;
}

static int
open_park(struct worker_life *w, struct err *e)
{
	const struct workers_settings *ws = &w->config->workers;
	struct house *h = &w->house;
	int64_t threads = w->args.role == ROLE_SMTP ? ws->threads :
		ws->mailbox_threads;

	h->peers = limit_new();
	h->logins = limit_new();
	h->guard = guard_new(&h->store, h->limits);
	h->park = park_new((unsigned)threads, (size_t)ws->stack,
		(unsigned)w->config->limits.connections, e);
	if (!h->park)
		return -1;
	if (w->args.role == ROLE_SMTP)
		watchdog_start((unsigned)threads);
	if (w->args.role == ROLE_MAILBOX) {
		h->rows = row_cache_new((size_t)ws->row_cache);
		h->watch = watch_new(&h->store, h->park, e);
		if (!h->watch || learn_start(h, &h->learn, e) < 0)
			return -1;
	}
	return 0;
}

static int
open_listeners(struct worker_life *w, struct err *e)
{
	size_t i;

	for (i = 0; i < w->args.n_listen; i++) {
		struct listener *l = find_listener(w,
			w->args.listen[i].name);

		assert(l);
		l->house = &w->house;
		if (park_listen(w->house.park, w->args.listen[i].fd,
			session_accept, l, e) < 0)
			return err_wrap(e, "[listen.%s]", l->name);
	}
	return 0;
}

static void
poke_queue(void *arg, const struct mr_change *c)
{
	struct worker_life *w = arg;

	if (c->kind == MR_CHANGE_QUEUE && w->queue)
		queue_poke(w->queue);
	if (c->kind == MR_CHANGE_MAILBOX)
		indexer_poke(w->indexer);
}

/* Where we listen for mail of other servers: an MX that leads there is
 * ourselves. */
static void
find_own(struct worker_life *w)
{
	struct config *c = w->config;
	struct queue_house *q = &w->queue_house;
	struct sock_addr *own;
	size_t i, k, n = 0;

	for (i = 0; i < c->n_listener; i++)
		n += c->listener[i].address.n;
	q->own = own = arena_alloc(&c->arena, (n + 1) * sizeof *own);
	for (i = 0; i < c->n_listener; i++)
		for (k = 0; k < c->listener[i].address.n &&
			c->listener[i].protocol == SERVE_SMTP; k++)
			if (sock_parse(str_from(c->listener[i].address.item[k]),
				&own[q->n_own], NULL) == 0)
				q->n_own++;
}

static int
open_queue(struct worker_life *w, struct err *e)
{
	struct queue_house *q = &w->queue_house;
	struct mr_error me;

	snprintf(w->owner, sizeof w->owner, "%.50s/%d:",
		w->config->server.hostname, (int)getpid());
	*q = (struct queue_house){.settings = &w->config->queue,
		.hostname = w->config->server.hostname,
		.plugins = &w->plugins, .store = w->house.store,
		.dns = w->house.dns, .routes = &w->config->routes,
		.data = w->config->server.data,
		.local = &w->house.chain[CHAIN_LOCAL],
		.owner = w->owner, .orphans = w->args.orphans,
		.suspects = w->args.suspects};
	find_own(w);
	if (q->local->n)
		watchdog_start((unsigned)q->settings->concurrency);
	/* Before the watch, which pokes it. */
	w->indexer = indexer_start(&w->house.store, e);
	if (!w->indexer && e->kind != ERR_NONE)
		return -1;
	w->queue = queue_start(q, e);
	if (!w->queue)
		return -1;
	if (store_result(q->store.op->watch(q->store.self, poke_queue, w,
		&me), &me, e) < 0)
		return -1;
	/* For what changed between its first look and the watch. */
	queue_poke(w->queue);
	w->report_house = (struct report_house){
		.settings = &w->config->reports,
		.hostname = w->config->server.hostname,
		.data = w->config->server.data,
		.drop = w->config->server.drop, .dns = w->house.dns,
		.store = &w->house.store};
	w->daily = daily_start(&w->report_house, w->config, e);
	return w->daily ? 0 : -1;
}

static int
confine(struct worker_life *w, struct err *e)
{
	const struct mr_list *more = &w->config->workers.writable;
	const char **writable;
	size_t i;
	int applied;

	if (!w->config->workers.confine)
		return 0;
	writable = arena_alloc(&w->config->arena,
		(more->n + 2) * sizeof *writable);
	writable[0] = w->config->server.data;
	writable[1] = w->config->server.drop;
	for (i = 0; i < more->n; i++)
		writable[i + 2] = more->item[i];
	if (priv_confine(writable, more->n + 2, &applied, e) < 0)
		return err_wrap(e, "confine");
	log_debug("worker.confine", LOG_N("landlock", applied));
	return 0;
}

static int
start_up(struct worker_life *w, struct err *e)
{
	struct config *c;
	size_t d;

	if (read_config(w, e) < 0)
		return -1;
	c = w->config;
	log_open(2, (enum log_level)c->log.level, c->log.format == 1,
		role_name(w->args.role));
	w->house.hostname = c->server.hostname;
	w->house.data = c->server.data;
	w->house.limits = &c->limits;
	w->house.smtp = &c->smtp;
	w->house.imap = &c->imap;
	w->house.routes = &c->routes;
	w->house.queue_lifetime = c->queue.lifetime;
	w->house.inbox_expires = expire_after(&c->expire, "INBOX");
	w->house.plugins = &w->plugins;
	/* The key may be readable by root alone: it is read before. */
	if (open_tls(w, e) < 0 || priv_drop(c->server.user, e) < 0 ||
		confine(w, e) < 0 || load_plugins(w, e) < 0 ||
		open_dns(w, e) < 0 || parse_all_networks(w, e) < 0)
		return -1;
	if (observe_start(&w->plugins, role_name(w->args.role), e) < 0)
		return -1;
	w->house.services = (struct services){.dns = w->house.dns,
		.store = &w->house.store};
	for (d = 0; d < CHAINS; d++)
		w->house.chain[d].services = &w->house.services;
	if (w->args.role == ROLE_RUNNER)
		return open_queue(w, e);
	if (open_park(w, e) < 0 || open_listeners(w, e) < 0)
		return -1;
	if (w->args.role == ROLE_SMTP)
		w->pickup = pickup_start(&w->house, c->server.drop, e);
	return w->args.role != ROLE_SMTP || w->pickup ? 0 : -1;
}

/* How the filters do, for the master, which watches over new generations. */
static void
tell_rates(struct worker_life *w)
{
	char text[128];
	size_t i;

	for (i = 0; i < w->plugins.n; i++) {
		struct plugin *p = w->plugins.item[i];
		uint64_t messages = atomic_exchange(&p->messages, 0);
		uint64_t failures = atomic_exchange(&p->failures, 0);

		if (!messages && !failures)
			continue;
		snprintf(text, sizeof text, "rate %.64s %llu %llu", p->name,
			(unsigned long long)messages,
			(unsigned long long)failures);
		if (send(w->args.control_fd, text, strlen(text),
			MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			continue;
		p->messages += messages;	/* next time, then */
		p->failures += failures;
		return;
	}
}

enum word { WORD_NONE, WORD_RATES, WORD_RETIRE, WORD_DRAIN, WORD_GONE };

/* The master's next word, waiting at most ms (-1: for ever). */
static enum word
hear_master(const struct worker_life *w, int ms)
{
	struct pollfd p = {w->args.control_fd, POLLIN, 0};
	char text[64];
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return WORD_NONE;
	n = recv(w->args.control_fd, text, sizeof text - 1, 0);
	if (n <= 0)
		return n < 0 && errno == EINTR ? WORD_NONE : WORD_GONE;
	text[n] = '\0';
	if (!strcmp(text, "rates"))
		return WORD_RATES;
	return strcmp(text, "retire") ? WORD_DRAIN : WORD_RETIRE;
}

/* The next generation has taken over: sessions end by themselves. Returns how
 * long those may take that are still here when they are told to go. */
static int64_t
retire(struct worker_life *w)
{
	int64_t patience = w->config->workers.drain_timeout;
	int64_t end = clock_mono() + patience;
	enum word word;

	park_close(w->house.park);
	while (clock_mono() < end && !park_wait_empty(w->house.park, LOOK_MS)) {
		word = hear_master(w, 0);
		if (word == WORD_DRAIN)
			return patience;
		if (word == WORD_GONE)
			break;
	}
	return LAST_MS;
}

static void
finish(struct worker_life *w, enum word word)
{
	int64_t patience = word == WORD_GONE ? LAST_MS :
		w->config->workers.drain_timeout;
	bool stopped = true;

	indexer_stop(w->indexer);
	daily_stop(w->daily);
	if (w->queue) {
		queue_drain(w->queue, patience);
		stopped = queue_stop(w->queue);
	}
	if (w->pickup)
		pickup_stop(w->pickup);
	if (w->house.park) {
		if (word == WORD_RETIRE)
			patience = retire(w);
		park_drain(w->house.park);
		if (!park_wait_empty(w->house.park, patience))
			_exit(0);	/* sessions would not end: the
					   kernel closes them */
		pickup_free(w->pickup);
		park_stop(w->house.park);
	}
	stopped = learn_stop(w->house.learn, LAST_MS) && stopped;
	if (!observe_stop(LAST_MS) || !stopped)
		_exit(0);
	plugins_close(&w->plugins);
	indexer_free(w->indexer);	/* the store poked it up to here */
}

static void
set_signals(void)
{
	/* Ctrl-C and a group-wide SIGTERM reach the master too, and it is
	 * the master who drains us. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
}

int
worker_main(int argc, char **argv)
{
	static struct worker_life w;
	struct err e = {0};
	enum word word;
	char name[16];

	set_signals();
	if (spawn_read_args(argc, argv, &w.args, &e) < 0) {
		fprintf(stderr, "mailroomd: %s\n", e.text);
		return 2;
	}
	snprintf(name, sizeof name, "mr-%s", role_name(w.args.role));
	prctl(PR_SET_NAME, name, 0, 0, 0);
	log_open(2, LOG_INFO, false, role_name(w.args.role));
	crash_install(role_name(w.args.role), w.args.control_fd);
	/* Few malloc arenas: many threads, little memory each. */
	mallopt(M_ARENA_MAX, 4);
	if (start_up(&w, &e) < 0) {
		log_error("worker.start", LOG_S("error", e.text));
		return EXIT_CONFIG;
	}
	if (send(w.args.control_fd, "ready", 5, MSG_NOSIGNAL) < 0)
		return 1;
	while ((word = hear_master(&w, -1)) <= WORD_RATES)
		if (word == WORD_RATES)
			tell_rates(&w);
	tell_rates(&w);
	finish(&w, word);
	return 0;
}
