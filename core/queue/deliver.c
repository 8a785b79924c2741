/*
 * deliver.c - one attempt: find the hosts, talk to them in turn until one
 * has given its word for every recipient. Runner's delivery threads.
 */
#include "queue/deliver.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/addr.h"
#include "plug/route.h"
#include "plug/transport.h"
#include "queue/client.h"
#include "queue/hosts.h"

#define DNS_MS 30000
#define HOSTS_MOST 10	/* addresses tried in one attempt */

struct body {
	const struct store *store;
	void *handle;
};

static int64_t
read_body(void *arg, uint64_t offset, void *out, size_t len)
{
	struct body *b = arg;
	struct mr_error me;

	return b->store->op->body_read(b->handle, offset, out, len, &me);
}

static void
set_all(struct group *g, struct reply r, const char *remote)
{
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (g->item[i].local || g->item[i].reply.code / 100 == 2)
			continue;
		g->item[i].reply = r;
		g->item[i].remote = remote;
	}
}

/* Domains are asked about at each attempt: the directory may have changed
 * since the message was taken. */
static void
mark_local(const struct queue_house *h, struct group *g)
{
	struct addr a;
	size_t i;

	for (i = 0; i < g->n; i++)
		if (addr_parse(g->item[i].rcpt, &a))
			g->item[i].local = route_is_local(h->plugins,
				a.domain) == 1;
}

static struct reply
find_hosts(const struct queue_house *h, struct group *g,
	const struct nexthop *hop, struct host **out)
{
	const struct queue_settings *s = h->settings;
	int64_t deadline = clock_mono() + DNS_MS;

	if (hop && *hop->host)
		return hosts_of_name(h->dns, str_from(hop->host),
			(unsigned)s->port, deadline, &g->arena, out);
	if (*s->smarthost)
		return hosts_of_name(h->dns, str_from(s->smarthost),
			(unsigned)s->port, deadline, &g->arena, out);
	return hosts_of_domain(h->dns, g->next_hop, h->hostname,
		(unsigned)s->port, deadline, &g->arena, out);
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* [queue] timeout bounds each of the finer ones. */
static struct client_timeouts
patience(const struct queue_settings *s)
{
	return (struct client_timeouts){
		.connect = s->connect_timeout,
		.greeting = least(s->greeting_timeout, s->timeout),
		.helo = least(s->helo_timeout, s->timeout),
		.mail = least(s->mail_timeout, s->timeout),
		.rcpt = least(s->rcpt_timeout, s->timeout),
		.data = least(s->data_timeout, s->timeout),
		.block = least(s->block_timeout, s->timeout),
		.dot = least(s->dot_timeout, s->timeout)};
}

static struct client_talk
make_talk(const struct queue_house *h, const struct deliver_tls *tls,
	const struct host *host, struct group *g, struct str *rcpt)
{
	const struct queue_settings *s = h->settings;
	bool smart = *s->smarthost && !(g->hop && *g->hop->host);
	struct client_talk t = {.host = host, .hostname = h->hostname,
		.tls = smart ? (enum client_tls)s->smarthost_tls :
			CLIENT_TLS_MAY,
		.login = smart ? s->smarthost_login : "",
		.password = smart ? s->smarthost_password : "",
		.timeout = patience(s),
		.sender = g->sender, .rcpt = rcpt, .length = g->length,
		.deadline = g->deadline, .read = read_body};

	t.tls_ctx = t.tls == CLIENT_TLS_MUST ? tls->verified :
		tls->opportunistic;
	return t;
}

/* The recipients that still lack a last word. */
static size_t
pick_open(struct group *g, struct str *rcpt, size_t *which)
{
	size_t i, n = 0;

	for (i = 0; i < g->n; i++) {
		int kind = g->item[i].reply.code / 100;

		if (g->item[i].local || kind == 2 || kind == 5)
			continue;
		rcpt[n] = g->item[i].rcpt;
		which[n++] = i;
	}
	return n;
}

static void
keep_results(struct group *g, const size_t *which, size_t n,
	const struct client_result *r, const struct host *host)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct delivery *d = &g->item[which[i]];

		d->reply = r->whole.code ? r->whole : r->rcpt[i];
		d->remote = r->connected ? host->name : NULL;
	}
}

static void
run_talk(const struct client_talk *t, struct group *g,
	struct client_result *r)
{
	struct client *k = client_open(t, &g->arena, r);

	if (!k)
		return;
	client_send(k, t, &g->arena, r);
	client_close(k, CLIENT_QUIT_MS);
}

/* One host; a failed handshake of opportunistic TLS is followed by one talk
 * in the clear (RFC 7435). */
static void
try_host(const struct queue_house *h, const struct deliver_tls *tls,
	struct group *g, const struct host *host, struct body *b)
{
	struct str *rcpt = arena_alloc(&g->arena, g->n * sizeof *rcpt);
	size_t *which = arena_alloc(&g->arena, g->n * sizeof *which);
	struct client_result r;
	struct client_talk t = make_talk(h, tls, host, g, rcpt);

	t.n_rcpt = pick_open(g, rcpt, which);
	if (t.n_rcpt == 0)
		return;
	t.arg = b;
	run_talk(&t, g, &r);
	if (r.tls_failed) {
		log_info("deliver.tls", LOG_S("message", g->trace),
			LOG_S("host", host->name),
			LOG_STR("error", r.whole.text));
		t.tls = CLIENT_TLS_NONE;
		run_talk(&t, g, &r);
	}
	keep_results(g, which, t.n_rcpt, &r, host);
}

static bool
is_settled(const struct group *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (!g->item[i].local && g->item[i].reply.code / 100 == 4)
			return false;
	return true;
}

/* Those in turn that take the mail of this domain. */
static void
try_hosts(const struct queue_house *h, const struct deliver_tls *tls,
	struct group *g, struct host *host, struct body *b)
{
	int tried = 0;

	for (; host && tried < HOSTS_MOST && !is_settled(g) &&
		clock_mono() < g->deadline; host = host->next) {
		try_host(h, tls, g, host, b);
		tried++;
	}
}

static void
try_transport(const struct queue_house *h, struct group *g, struct body *b)
{
	const struct plugin *p = plugins_find(h->plugins, g->hop->transport);
	struct str *rcpt = arena_alloc(&g->arena, g->n * sizeof *rcpt);
	size_t *which = arena_alloc(&g->arena, g->n * sizeof *which), i;
	struct reply *reply = arena_alloc(&g->arena, g->n * sizeof *reply);
	struct transport_job job = {.message = g->trace,
		.route = g->hop->name, .sender = g->sender, .rcpt = rcpt,
		.length = g->length, .arrived_ms = g->created_ms,
		.deadline = g->deadline, .read = read_body, .arg = b};

	assert(p);	/* config_check_transports */
	job.n_rcpt = pick_open(g, rcpt, which);
	transport_run(p, &job, &g->arena, reply);
	for (i = 0; i < job.n_rcpt; i++) {
		g->item[which[i]].reply = reply[i];
		g->item[which[i]].remote = g->hop->transport;
	}
}

void
deliver_group(const struct queue_house *h, const struct deliver_tls *tls,
	struct group *g)
{
	struct mr_error me = {{0}};
	struct body b = {.store = &h->store};
	struct host *host = NULL;
	struct reply refused = {0};
	uint64_t length;
	bool handed;

	g->deadline = clock_mono() + DELIVER_MOST_MS;
	set_all(g, REPLY(451, "4.4.1", "no host could be reached"), NULL);
	mark_local(h, g);
	if (is_settled(g))
		return;
	g->hop = nexthop_find(h->routes, g->next_hop);
	handed = g->hop && *g->hop->transport;
	if (!handed)
		refused = find_hosts(h, g, g->hop, &host);
	if (refused.code) {
		set_all(g, refused, NULL);
		return;
	}
	if (h->store.op->body_open(h->store.self, g->message_id, &b.handle,
		&length, &me) != MR_STORE_OK) {
		set_all(g, reply_printf(&g->arena, 451, "4.3.0",
			"the message cannot be read: %s", me.text), NULL);
		return;
	}
	if (handed)
		try_transport(h, g, &b);
	else
		try_hosts(h, tls, g, host, &b);
	h->store.op->body_close(b.handle);
}
