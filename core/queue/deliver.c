/*
 * deliver.c - one attempt: over a connection that is open still, or find the
 * hosts and talk to them in turn until one has given its word for every
 * recipient. Runner's delivery threads.
 */
#include "queue/deliver.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/addr.h"
#include "mail/esmtp_args.h"
#include "mail/narrow.h"
#include "plug/route.h"
#include "plug/transport.h"
#include "queue/client.h"
#include "queue/hosts.h"
#include "queue/place.h"
#include "queue/tls_policy.h"

#define DNS_MS 30000
#define TLS_MS 120000	/* policies are known by then */
#define HOSTS_MOST 10	/* addresses tried in one attempt */

struct body {
	const struct store *store;
	void *handle;
	const char *data;	/* our folder, for what is converted */
	int64_t message_id;
	uint64_t length;
	int narrow_fd;		/* in 7 bits, once that was needed; -1 */
	uint64_t narrow_length;
	bool is_narrow;		/* that is what is read now */
};

/* The attempt that runs. */
struct attempt {
	const struct queue_house *h;
	const struct deliver_tools *tools;
	struct group *g;
	struct body body;
	const struct host *done;	/* was talked to by an open connection */
	struct tls_asker tls;
	enum outcome outcome;
};

static int64_t
read_body(void *arg, uint64_t offset, void *out, size_t len)
{
	struct body *b = arg;
	struct mr_error me;
	ssize_t n;

	if (b->is_narrow) {
		n = pread(b->narrow_fd, out, len, (off_t)offset);
		return n;
	}
	return b->store->op->body_read(b->handle, offset, out, len, &me);
}

/* Makes the 7-bit form. Rare: the message is copied out of the store, and
 * mapped, so that its size costs no memory. */
static int
convert(struct body *b, struct err *e)
{
	char folder[4096];
	struct str text;
	void *map;
	int fd = place_copy_body(b->store, b->data, b->message_id, e), code;

	if (fd < 0)
		return -1;
	map = mmap(NULL, (size_t)b->length + 1, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return err_sys(e, "mmap");
	text = str_of(map, (size_t)b->length);
	snprintf(folder, sizeof folder, "%s/tmp", b->data);
	b->narrow_length = b->length;
	code = narrow_need(text) == NARROW_NOTHING ? 0 : 1;
	if (code && (b->narrow_fd = file_temp(folder, e)) < 0)
		code = -1;
	if (code > 0)
		code = narrow_write(text, b->narrow_fd, &b->narrow_length, e);
	munmap(map, (size_t)b->length + 1);
	return code;
}

static int
narrow_body(void *arg, bool is_narrow, uint64_t *length)
{
	struct body *b = arg;
	struct err e = {0};

	b->is_narrow = false;
	*length = b->length;
	if (!is_narrow)
		return 0;
	if (!b->narrow_length && convert(b, &e) < 0) {
		log_error("deliver.convert", LOG_S("error", e.text));
		b->narrow_length = 0;
		if (b->narrow_fd >= 0)
			close(b->narrow_fd);
		b->narrow_fd = -1;
		return -1;
	}
	/* It was in 7 bits already: there is no other form. */
	b->is_narrow = b->narrow_fd >= 0;
	*length = b->narrow_length;
	return 0;
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
		return t->tools->tls->any;
	if (way != &t->tools->smarthost)
		own = t->tools->route_tls[way - t->h->routes->item];
	return own ? own : t->tools->tls->name;
}

/* The recipients that still lack a last word. */
struct recipients {
	struct str *rcpt, *args;
	size_t *which;		/* in the group */
	size_t n;
};

static struct recipients
make_recipients(struct group *g)
{
	return (struct recipients){
		.rcpt = arena_alloc(&g->arena, g->n * sizeof(struct str)),
		.args = arena_alloc(&g->arena, g->n * sizeof(struct str)),
		.which = arena_alloc(&g->arena, g->n * sizeof(size_t))};
}

/* What does not depend on the host. */
static struct client_talk
make_talk(const struct attempt *t, struct recipients *r)
{
	const struct nexthop *way = way_of(t);
	const struct group *g = t->g;

	return (struct client_talk){.hostname = t->h->hostname,
		.tls = way ? (enum client_tls)way->tls : CLIENT_TLS_MAY,
		.tls_ctx = context_for(t, way),
		.login = way ? way->login : "",
		.password = way ? way->password : "",
		.timeout = patience(t->h->settings), .sender = g->sender,
		.args = g->item[0].args, .created_ms = g->created_ms,
		.rcpt = r->rcpt, .rcpt_args = r->args, .length = g->length, .deadline = g->deadline,
		.read = read_body, .narrow = narrow_body,
		.arg = (void *)&t->body};
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

static void
pick_open(struct group *g, struct recipients *r)
{
	size_t i;

	for (i = r->n = 0; i < g->n; i++) {
		int kind = g->item[i].reply.code / 100;

		if (g->item[i].local || kind == 2 || kind == 5)
			continue;
		r->rcpt[r->n] = g->item[i].rcpt;
		r->args[r->n] = g->item[i].args;
		r->which[r->n++] = i;
	}
}

static void
keep_results(struct group *g, const struct recipients *to,
	const struct client_result *r, const char *host)
{
	size_t i;

	for (i = 0; i < to->n; i++) {
		struct delivery *d = &g->item[to->which[i]];

		d->reply = r->whole.code ? r->whole : r->rcpt[i];
		d->remote = r->connected ? host : NULL;
		d->dsn_taken = r->dsn_taken;
	}
}

/* RFC 5321 4.5.3.1.10: too many at once, and some were taken: the others go
 * in another transaction now. */
static bool
wants_another(const struct recipients *to, const struct client_result *r)
{
	size_t i, taken = 0, left = 0;

	for (i = 0; i < to->n && !r->whole.code; i++) {
		taken += r->rcpt[i].code == 250;
		left += r->rcpt[i].code == 452;
	}
	return taken && left && !r->lost;
}

static void
send_over(struct attempt *t, struct client *client, struct client_talk *talk,
	struct recipients *to, struct client_result *r)
{
	do {
		pick_open(t->g, to);
		talk->n_rcpt = to->n;
		client_send(client, talk, &t->g->arena, r);
		if (!r->began && (r->lost || r->whole.code / 100 == 4))
			return;		/* the caller's matter */
		keep_results(t->g, to, r, talk->host->name);
	} while (wants_another(to, r));
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
	struct recipients to = make_recipients(g);
	struct client_talk talk = make_talk(t, &to);
	struct client_result r;
	struct conn *conn;
	struct host *host;

	while ((conn = conns_take(t->tools->conns, g->to->key, &talk))) {
		host = arena_copy(&g->arena, client_host(conn->client),
			sizeof *host);
		host->name = arena_cstr(&g->arena, str_from(host->name));
		talk.host = host;
		send_over(t, conn->client, &talk, &to, &r);
		if (!r.began && (r.lost || r.whole.code / 100 == 4)) {
			conn_close(conn, 0);
			continue;
		}
		judge(t, &r, true);
		keep_conn(g, conn);
		t->done = host;
		return true;
	}
	return false;
}

/* One that was opened for mail that wants no TLS is nobody else's. */
static bool
is_lax(const struct attempt *t)
{
	return esmtp_arg(t->tls.args, TLS_NOT_REQUIRED, NULL);
}

/* `asked` are the terms under which it is kept: after a failed handshake it
 * was not made on them. */
static bool
open_and_send(struct attempt *t, struct client_talk *talk,
	const struct client_talk *asked, struct recipients *to,
	struct client_result *r)
{
	struct client *client = client_open(talk, &t->g->arena, r);

	if (!client)
		return false;
	send_over(t, client, talk, to, r);
	if (is_lax(t))
		client_close(client, CLIENT_QUIT_MS);
	else
		keep_conn(t->g, conn_new(t->g->to->key, asked, client));
	return true;
}

/* What the domain's policies demand; false: this host gets nothing now. */
static bool
apply_policy(struct attempt *t, const struct host *host,
	struct client_talk *talk, struct tls_policy *p, struct client_result *r)
{
	*p = (struct tls_policy){.kind = NULL};
	if (way_of(t))
		return true;
	r->whole = tls_policy_for(&t->tls, host, p);
	talk->tls = p->tls;
	talk->tls_ctx = p->ctx;
	talk->want = &p->want;
	talk->tls_why = p->why;
	return !r->whole.code;
}

/* A failed handshake of opportunistic TLS is followed by one talk in the
 * clear (RFC 7435). */
static bool
talk_with(struct attempt *t, struct client_talk *talk,
	const struct client_talk *asked, struct recipients *to,
	struct client_result *r)
{
	bool opened = open_and_send(t, talk, asked, to, r);

	if (!r->tls_failed)
		return opened;
	log_info("deliver.tls", LOG_S("message", t->g->trace),
		LOG_S("host", talk->host->name),
		LOG_STR("error", r->whole.text));
	talk->tls = CLIENT_TLS_NONE;
	return open_and_send(t, talk, asked, to, r);
}

static void
try_host(struct attempt *t, const struct host *host)
{
	struct group *g = t->g;
	struct recipients to = make_recipients(g);
	struct client_talk talk = make_talk(t, &to), asked = talk;
	struct client_result r = {.connected = true};
	struct tls_policy policy;
	struct sock_addr source;
	bool opened = false;

	talk.host = host;
	pick_open(g, &to);
	talk.n_rcpt = to.n;
	if (to.n == 0)
		return;
	if (source_for(t, host, &source))
		talk.source = &source;
	if (apply_policy(t, host, &talk, &policy, &r))
		opened = talk_with(t, &talk, &asked, &to, &r);
	if (policy.kind)
		tls_policy_heed(&t->tls, host, &policy, &r);
	judge(t, &r, opened);
	if (!r.began)
		keep_results(g, &to, &r, host->name);
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
	struct recipients to = make_recipients(g);
	size_t i;
	struct reply *reply = arena_alloc(&g->arena, g->n * sizeof *reply);
	struct transport_job job = {.message = g->trace,
		.route = g->hop->name, .sender = g->sender, .rcpt = to.rcpt,
		.length = g->length, .arrived_ms = g->created_ms,
		.deadline = g->deadline, .read = read_body, .arg = &t->body};

	assert(p);	/* config_check_transports */
	pick_open(g, &to);
	job.n_rcpt = to.n;
	transport_run(p, &job, &g->arena, reply);
	t->outcome = OUTCOME_BAD;
	for (i = 0; i < job.n_rcpt; i++) {
		g->item[to.which[i]].reply = reply[i];
		g->item[to.which[i]].remote = g->hop->transport;
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
		.body = {.store = &h->store, .data = h->data,
			.message_id = g->message_id, .narrow_fd = -1},
		.tls = {.all = tools->tls, .domain = g->next_hop,
			.args = g->item[0].args, .arena = &g->arena}};

	g->deadline = clock_mono() + DELIVER_MOST_MS;
	t.tls.deadline = clock_mono() + TLS_MS;
	set_all(g, REPLY(451, "4.4.1", "no host could be reached"), NULL);
	mark_local(h, g);
	if (is_settled(g))
		return OUTCOME_NONE;
	if (h->store.op->body_open(h->store.self, g->message_id,
		&t.body.handle, &t.body.length, &me) != MR_STORE_OK) {
		set_all(g, reply_printf(&g->arena, 451, "4.3.0",
			"the message cannot be read: %s", me.text), NULL);
		return OUTCOME_NONE;
	}
	if (g->hop && *g->hop->transport)
		try_transport(&t);
	else if (esmtp_arg(t.tls.args, "REQUIRETLS", NULL) || !try_open(&t) ||
		!is_settled(g))
		try_hosts(&t);
	h->store.op->body_close(t.body.handle);
	if (t.body.narrow_fd >= 0)
		close(t.body.narrow_fd);
	return t.outcome;
}
