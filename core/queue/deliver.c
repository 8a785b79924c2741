/*
 * deliver.c - one attempt: over a connection that is open still, or find the
 * hosts and talk to them in turn until one has given its word for every
 * recipient. Runner's delivery threads.
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

/* The attempt that runs. */
struct attempt {
	const struct queue_house *h;
	const struct deliver_tools *tools;
	struct group *g;
	struct body body;
	const struct host *done;	/* was talked to by an open connection */
	enum outcome outcome;
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

/* --------------------------------------------------------------- the terms */

/* The route that names a host: the group's own, or the smarthost. NULL: the
 * domain's own hosts. */
static const struct nexthop *
way_of(const struct attempt *t)
{
	if (t->g->hop && *t->g->hop->host)
		return t->g->hop;
	return *t->tools->smarthost.host ? &t->tools->smarthost : NULL;
}

static struct reply
find_hosts(const struct attempt *t, struct host **out)
{
	const struct queue_house *h = t->h;
	const struct nexthop *way = way_of(t);
	struct hosts_asker q = {.dns = h->dns, .hostname = h->hostname,
		.families = t->tools->families, .own = h->own,
		.n_own = h->n_own, .port = (unsigned)h->settings->port,
		.deadline = clock_mono() + DNS_MS};

	if (way)
		return hosts_of_name(&q, str_from(way->host), &t->g->arena,
			out);
	return hosts_of_domain(&q, t->g->next_hop, &t->g->arena, out);
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

static const struct tls_ctx *
context_for(const struct attempt *t, const struct nexthop *way)
{
	const struct tls_ctx *own = NULL;

	if (!way || way->tls != CLIENT_TLS_MUST)
		return t->tools->opportunistic;
	if (way != &t->tools->smarthost)
		own = t->tools->route_tls[way - t->h->routes->item];
	return own ? own : t->tools->verified;
}

/* What does not depend on the host. */
static struct client_talk
make_talk(const struct attempt *t, struct str *rcpt)
{
	const struct nexthop *way = way_of(t);
	const struct group *g = t->g;

	return (struct client_talk){.hostname = t->h->hostname,
		.tls = way ? (enum client_tls)way->tls : CLIENT_TLS_MAY,
		.tls_ctx = context_for(t, way),
		.login = way ? way->login : "",
		.password = way ? way->password : "",
		.timeout = patience(t->h->settings), .sender = g->sender,
		.rcpt = rcpt, .length = g->length, .deadline = g->deadline,
		.read = read_body, .arg = (void *)&t->body};
}

/* Our address of the host's family; false: none is set. */
static bool
source_for(const struct attempt *t, const struct host *host,
	struct sock_addr *out)
{
	const struct mr_list *l = t->g->hop && t->g->hop->source.n ?
		&t->g->hop->source : &t->h->settings->source;
	struct err e;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (nexthop_source(l->item[i], out, &e) == 0 &&
			out->sa.ss_family == host->address.sa.ss_family)
			return true;
	return false;
}

/* ------------------------------------------------------------- the talks */

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
	const struct client_result *r, const char *host)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct delivery *d = &g->item[which[i]];

		d->reply = r->whole.code ? r->whole : r->rcpt[i];
		d->remote = r->connected ? host : NULL;
	}
}

/* One that serves nobody now speaks for the destination; what is said of a
 * message does not. */
static void
judge(struct attempt *t, const struct client_result *r, bool opened)
{
	if (opened && !(r->lost && !r->began) && r->whole.code != 421)
		t->outcome = OUTCOME_GOOD;
	else if (t->outcome == OUTCOME_NONE && r->whole.code / 100 != 5)
		t->outcome = OUTCOME_BAD;
}

static void
keep_conn(struct group *g, struct conn *conn)
{
	conn->next = g->conns;
	g->conns = conn;
}

/* Over a connection that is open still. One that the other side closes
 * before the message began says nothing: false, as if there were none. */
static bool
try_open(struct attempt *t)
{
	struct group *g = t->g;
	struct str *rcpt = arena_alloc(&g->arena, g->n * sizeof *rcpt);
	size_t *which = arena_alloc(&g->arena, g->n * sizeof *which);
	struct client_talk talk = make_talk(t, rcpt);
	struct client_result r;
	struct conn *conn;
	struct host *host;

	while ((conn = conns_take(t->tools->conns, g->to->key, &talk))) {
		host = arena_copy(&g->arena, client_host(conn->client),
			sizeof *host);
		host->name = arena_cstr(&g->arena, str_from(host->name));
		talk.host = host;
		talk.n_rcpt = pick_open(g, rcpt, which);
		client_send(conn->client, &talk, &g->arena, &r);
		if (!r.began && (r.lost || r.whole.code / 100 == 4)) {
			conn_close(conn, 0);
			continue;
		}
		judge(t, &r, true);
		keep_results(g, which, talk.n_rcpt, &r, host->name);
		keep_conn(g, conn);
		t->done = host;
		return true;
	}
	return false;
}

/* `asked` are the terms under which it is kept: after a failed handshake it
 * was not made on them. */
static bool
open_and_send(struct attempt *t, const struct client_talk *talk,
	const struct client_talk *asked, struct client_result *r)
{
	struct client *client = client_open(talk, &t->g->arena, r);

	if (!client)
		return false;
	client_send(client, talk, &t->g->arena, r);
	keep_conn(t->g, conn_new(t->g->to->key, asked, client));
	return true;
}

/* One host; a failed handshake of opportunistic TLS is followed by one talk
 * in the clear (RFC 7435). */
static void
try_host(struct attempt *t, const struct host *host)
{
	struct group *g = t->g;
	struct str *rcpt = arena_alloc(&g->arena, g->n * sizeof *rcpt);
	size_t *which = arena_alloc(&g->arena, g->n * sizeof *which);
	struct client_talk talk = make_talk(t, rcpt), asked = talk;
	struct client_result r;
	struct sock_addr source;
	bool opened;

	talk.host = host;
	talk.n_rcpt = pick_open(g, rcpt, which);
	if (talk.n_rcpt == 0)
		return;
	if (source_for(t, host, &source))
		talk.source = &source;
	opened = open_and_send(t, &talk, &asked, &r);
	if (r.tls_failed) {
		log_info("deliver.tls", LOG_S("message", g->trace),
			LOG_S("host", host->name),
			LOG_STR("error", r.whole.text));
		talk.tls = CLIENT_TLS_NONE;
		opened = open_and_send(t, &talk, &asked, &r);
	}
	judge(t, &r, opened);
	keep_results(g, which, talk.n_rcpt, &r, host->name);
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

static bool
is_done(const struct attempt *t, const struct host *host)
{
	return t->done && t->done->address.len == host->address.len &&
		!memcmp(&t->done->address.sa, &host->address.sa,
			host->address.len);
}

/* Those in turn that take the mail of this domain. */
static void
try_hosts(struct attempt *t)
{
	struct host *host = NULL;
	struct reply refused = find_hosts(t, &host);
	int tried = 0;

	if (refused.code) {
		if (!t->done)
			set_all(t->g, refused, NULL);
		if (!t->done && refused.code / 100 == 4)
			t->outcome = OUTCOME_BAD;
		return;
	}
	for (; host && tried < HOSTS_MOST && !is_settled(t->g) &&
		clock_mono() < t->g->deadline; host = host->next) {
		if (is_done(t, host))
			continue;
		try_host(t, host);
		tried++;
	}
}

/* A plugin says by 421 or 4.4.x that nobody can be reached. */
static enum outcome
outcome_of(const struct reply *r)
{
	if (r->code / 100 != 4)
		return OUTCOME_GOOD;
	return r->code == 421 || str_starts(str_from(r->enhanced), "4.4.") ?
		OUTCOME_BAD : OUTCOME_GOOD;
}

static void
try_transport(struct attempt *t)
{
	struct group *g = t->g;
	const struct plugin *p = plugins_find(t->h->plugins,
		g->hop->transport);
	struct str *rcpt = arena_alloc(&g->arena, g->n * sizeof *rcpt);
	size_t *which = arena_alloc(&g->arena, g->n * sizeof *which), i;
	struct reply *reply = arena_alloc(&g->arena, g->n * sizeof *reply);
	struct transport_job job = {.message = g->trace,
		.route = g->hop->name, .sender = g->sender, .rcpt = rcpt,
		.length = g->length, .arrived_ms = g->created_ms,
		.deadline = g->deadline, .read = read_body, .arg = &t->body};

	assert(p);	/* config_check_transports */
	job.n_rcpt = pick_open(g, rcpt, which);
	transport_run(p, &job, &g->arena, reply);
	t->outcome = OUTCOME_BAD;
	for (i = 0; i < job.n_rcpt; i++) {
		g->item[which[i]].reply = reply[i];
		g->item[which[i]].remote = g->hop->transport;
		if (outcome_of(&reply[i]) == OUTCOME_GOOD)
			t->outcome = OUTCOME_GOOD;
	}
}

enum outcome
deliver_group(const struct queue_house *h, const struct deliver_tools *tools,
	struct group *g)
{
	struct mr_error me = {{0}};
	struct attempt t = {.h = h, .tools = tools, .g = g,
		.body.store = &h->store};
	uint64_t length;

	g->deadline = clock_mono() + DELIVER_MOST_MS;
	set_all(g, REPLY(451, "4.4.1", "no host could be reached"), NULL);
	mark_local(h, g);
	if (is_settled(g))
		return OUTCOME_NONE;
	if (h->store.op->body_open(h->store.self, g->message_id,
		&t.body.handle, &length, &me) != MR_STORE_OK) {
		set_all(g, reply_printf(&g->arena, 451, "4.3.0",
			"the message cannot be read: %s", me.text), NULL);
		return OUTCOME_NONE;
	}
	if (g->hop && *g->hop->transport)
		try_transport(&t);
	else if (!try_open(&t) || !is_settled(g))
		try_hosts(&t);
	h->store.op->body_close(t.body.handle);
	return t.outcome;
}
