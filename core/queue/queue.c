/*
 * queue.c - the runner's threads: one claims what is due, the others each
 * take a group through deliver and retire.
 *
 * The queue has two levels. The store holds all of it; here is the table of
 * destinations (destination.h) with a few groups for each that takes mail. The
 * claimer asks the store only for what has room here, so that a destination
 * which is slow or down costs others nothing, however much waits for it, and
 * memory is bounded whatever the length of the queue.
 *
 * What waits for a destination that is down is given back untried, and stays
 * due: when a single delivery finds it again, all goes out at once. What
 * expires meanwhile is returned with the reason why it is down.
 *
 * An attempt is begun only while the lease outlasts the longest attempt, so
 * that nobody else claims what is being delivered. A message whose transport
 * crashed the last runner is put off as if it had been refused for now: else
 * all would crash again at once, and the others with it. Locks: q->lock guards
 * the destinations, the suspects, the threads and the flags.
 */
#include "queue/queue_parts.h"
#include "queue/tls_policy.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/tls.h"

#define AT(field) offsetof(struct queue_settings, field)
/* RFC 5321 4.5.3.2 */
#define WAIT(name_, field_, most_, what_) \
	{name_, MR_DURATION, 0, AT(field_), "\"" most_ "\"", 100, 3600000, \
		NULL, "Longest wait for " what_ "."}

const struct mr_setting queue_settings_table[] = {
	{"lifetime", MR_DURATION, 0, AT(lifetime), "\"5d\"", 1000,
		30 * 86400000LL, NULL, "How long delivery is tried before the "
		"sender is told."},
	{"delay_warning", MR_DURATION, 0, AT(delay_warning), "\"4h\"", 0,
		30 * 86400000LL, NULL, "After that time without success the "
		"sender is told, once, that the mail is late. 0: never."},
	{"srs", MR_BOOL, 0, AT(srs), "true", 0, 0, NULL, "Mail that an alias "
		"leads elsewhere gets a sender of the alias' domain (SRS), so "
		"that SPF of the sender's own domain does not refuse it. "
		"Bounces are led back."},
	{"retry_first", MR_DURATION, 0, AT(retry_first), "\"5m\"", 100,
		86400000, NULL, "Pause before the second attempt; it doubles "
		"after each."},
	{"retry_most", MR_DURATION, 0, AT(retry_most), "\"4h\"", 100,
		7 * 86400000LL, NULL, "Longest pause between attempts."},
	{"probe_most", MR_DURATION, 0, AT(probe_most), "\"30m\"", 100,
		86400000, NULL, "Longest pause before a destination that is "
		"down is tried again; the first is retry_first."},
	{"concurrency", MR_INT, 0, AT(concurrency), "100", 1, 500, NULL,
		"Deliveries under way at once."},
	{"per_destination", MR_INT, 0, AT(per_destination), "20", 1, 500, NULL,
		"Of these, to one domain at most: it begins with 5, grows "
		"while they succeed and shrinks when they fail."},
	{"rate", MR_INT, 0, AT(rate), "0", 0, 1000000, NULL,
		"Deliveries a minute to one domain. 0: no limit."},
	{"connection_idle", MR_DURATION, 0, AT(connection_idle), "\"2s\"", 0,
		300000, NULL, "How long a connection is kept open for the "
		"next message. 0: not at all."},
	{"connection_uses", MR_INT, 0, AT(connection_uses), "100", 1, 100000,
		NULL, "Messages over one connection."},
	{"source", MR_LIST, 0, AT(source), "[]", 0, 0, NULL,
		"Our addresses that mail leaves from, one a family. None: "
		"the system chooses."},
	{"prefer", MR_CHOICE, 0, AT(prefer), "\"auto\"", 0, 0,
		"auto|ipv4|ipv6", "Which family is tried first where a host "
		"has both: auto takes the one whose address of ours has a "
		"name in DNS."},
	{"port", MR_INT, 0, AT(port), "25", 1, 65535, NULL,
		"Port of other servers (another one is for test networks)."},
	{"smarthost", MR_TEXT, 0, AT(smarthost), "\"\"", 0, 0, NULL,
		"\"host:port\" that all outgoing mail goes to. Empty: each "
		"domain's own servers."},
	{"smarthost_login", MR_TEXT, 0, AT(smarthost_login), "\"\"", 0, 0,
		NULL, "Login there. Empty: none."},
	{"smarthost_password", MR_SECRET, 0, AT(smarthost_password), "\"\"",
		0, 0, NULL, "Password there."},
	{"smarthost_tls", MR_CHOICE, 0, AT(smarthost_tls), "\"required\"", 0,
		0, "none|opportunistic|required", "TLS with the smarthost: "
		"required verifies its certificate."},
	{"https", MR_TEXT, 0, AT(https), "\"https\"", 0, 0, NULL, "NAME of the "
		"[plugin.NAME] that fetches MTA-STS policies. Without that "
		"section there is no MTA-STS."},
	{"sts_port", MR_INT, 0, AT(sts_port), "443", 1, 65535, NULL, "Port of "
		"policy servers (another one is for test networks)."},
	{"tls_memory", MR_DURATION, 0, AT(tls_memory), "\"7d\"", 0,
		366 * 86400000LL, NULL, "A domain that took mail by TLS is "
		"sent none in the clear for so long. 0: TLS that fails or is "
		"not offered is done without."},
	{"ca_file", MR_PATH, 0, AT(ca_file), "\"\"", 0, 0, NULL,
		"Certificates to verify a smarthost with. Empty: the "
		"system's."},
	{"timeout", MR_DURATION, 0, AT(timeout), "\"10m\"", 100, 3600000, NULL,
		"Longest wait for any one answer of another server: none of "
		"the following is longer."},
	{"connect_timeout", MR_DURATION, 0, AT(connect_timeout), "\"30s\"",
		100, 600000, NULL, "Longest wait for a connection."},
	WAIT("greeting_timeout", greeting_timeout, "5m", "its greeting"),
	WAIT("helo_timeout", helo_timeout, "5m", "the answer to EHLO, "
		"STARTTLS, AUTH and RSET"),
	WAIT("mail_timeout", mail_timeout, "5m", "the answer to MAIL"),
	WAIT("rcpt_timeout", rcpt_timeout, "5m", "the answer to RCPT"),
	WAIT("data_timeout", data_timeout, "2m", "the answer to DATA"),
	WAIT("block_timeout", block_timeout, "3m", "a piece of the message to "
		"be taken"),
	WAIT("dot_timeout", dot_timeout, "10m", "the answer to the whole "
		"message"),
	MR_SETTINGS_END,
};

void
queue_wait(struct queue *q, pthread_cond_t *cond, int64_t ms)
{
	struct timespec at;

	if (ms <= 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(cond, &q->lock, &at);
}

static int
start_claimer(struct queue *q, struct err *e)
{
	pthread_attr_t attr;
	int code;

	q->worker = mem_alloc(q->to.most_busy * sizeof *q->worker);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, QUEUE_STACK);
	code = pthread_create(&q->claimer, &attr, queue_run_claimer, q);
	pthread_attr_destroy(&attr);
	errno = code;
	return code ? err_sys(e, "starting the queue's thread") : 0;
}

static int
return_orphans(const struct queue_house *h, struct err *e)
{
	struct str all = str_from(h->orphans), one;
	struct mr_error me = {{0}};
	char prefix[80];

	while ((one = str_word(&all)).len) {
		snprintf(prefix, sizeof prefix, "%.*s", STR_ARGS(one));
		if (store_result(h->store.op->queue_unclaim(h->store.self,
			prefix, &me), &me, e) < 0)
			return -1;
	}
	return 0;
}

/* The plugin that fetches policies, if there is one. */
static const struct plugin *
find_fetcher(const struct queue_house *h)
{
	const struct plugin *p = plugins_find(h->plugins, h->settings->https);

	return p && PLUG_ROLE(p->desc, fetcher) &&
		MR_HAS(h->store.op, state_get) && h->store.op->state_get ? p :
		NULL;
}

static int
make_tls(struct queue *q, struct err *e)
{
	const struct queue_house *h = &q->house;
	const char *ca = *h->settings->ca_file ? h->settings->ca_file : NULL;
	struct tls_policies *p = mem_alloc(sizeof *p);
	size_t i, n = h->routes ? h->routes->n : 0;

	q->tools.tls = p;
	*p = (struct tls_policies){.dns = h->dns, .store = &q->house.store,
		.memory_ms = h->settings->tls_memory,
		.port = (unsigned)h->settings->port,
		.any = tls_client_new(TLS_TAKE_ANY, ca, e),
		.name = tls_client_new(TLS_CHECK_NAME, ca, e),
		.dane = tls_client_new(TLS_CHECK_DANE, NULL, e)};
	if (!p->any || !p->name || !p->dane)
		return -1;
	sts_init(&p->sts, h->dns, p->store, find_fetcher(h),
		(unsigned)h->settings->sts_port);
	q->tools.route_tls = mem_alloc((n + 1) * sizeof *q->tools.route_tls);
	for (i = 0; i < n; i++) {
		const struct nexthop *hop = &h->routes->item[i];

		if (hop->tls != CLIENT_TLS_MUST || !*hop->ca_file)
			continue;
		q->tools.route_tls[i] = tls_client_new(TLS_CHECK_NAME,
			hop->ca_file, e);
		if (!q->tools.route_tls[i])
			return err_wrap(e, "[route.%s] ca_file", hop->name);
	}
	return 0;
}

/* [queue] smarthost is a route for what no other is for. */
static void
make_tools(struct queue *q)
{
	const struct queue_settings *s = q->house.settings;
	struct conns_settings keep = {.idle = s->connection_idle,
		.uses = s->connection_uses,
		.most = 4 * (unsigned)s->concurrency};

	q->tools.smarthost = (struct nexthop){.name = "smarthost",
		.transport = "", .host = s->smarthost,
		.login = s->smarthost_login,
		.password = s->smarthost_password, .tls = s->smarthost_tls};
	q->tools.conns = conns_new(&keep);
	q->tools.families = families_new((enum families_prefer)s->prefer);
	q->asks_sender = nexthop_asks_sender(q->house.routes);
}

static void
make_conditions(struct queue *q)
{
	pthread_condattr_t clock;

	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&q->claim_now, &clock);
	pthread_cond_init(&q->work_now, &clock);
	pthread_cond_init(&q->all_idle, &clock);
	pthread_condattr_destroy(&clock);
}

struct queue *
queue_start(const struct queue_house *h, struct err *e)
{
	struct queue *q = mem_alloc(sizeof *q);

	q->house = *h;
	if (h->suspects)
		q->suspects = strdup(h->suspects);
	destinations_init(&q->to, (unsigned)h->settings->concurrency,
		QUEUE_WAITING_MOST);
	make_conditions(q);
	make_tools(q);
	if (make_tls(q, e) < 0)
		return NULL;
	q->kick = queue_read_kick(q);
	if (return_orphans(h, e) < 0 || start_claimer(q, e) < 0)
		return NULL;	/* the runner ends with this */
	return q;
}

void
queue_poke(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->poked = q->hinted = true;
	pthread_cond_signal(&q->claim_now);
	pthread_mutex_unlock(&q->lock);
}

bool
queue_drain(struct queue *q, int64_t ms)
{
	int64_t end = clock_mono() + ms;
	bool idle;

	pthread_mutex_lock(&q->lock);
	q->draining = true;
	pthread_cond_broadcast(&q->claim_now);
	pthread_cond_broadcast(&q->work_now);
	while (q->to.n_busy && clock_mono() < end)
		queue_wait(q, &q->all_idle, end - clock_mono());
	idle = q->to.n_busy == 0;
	pthread_mutex_unlock(&q->lock);
	return idle;
}

bool
queue_stop(struct queue *q)
{
	struct mr_error me = {{0}};
	unsigned i;

	if (!queue_drain(q, 0))
		return false;
	pthread_join(q->claimer, NULL);
	for (i = 0; i < q->n_worker; i++)
		pthread_join(q->worker[i], NULL);
	conns_free(q->tools.conns);
	if (q->house.store.op->queue_unclaim(q->house.store.self,
		q->house.owner, &me) != MR_STORE_OK)
		log_error("queue.unclaim", LOG_S("error", me.text));
	return true;
}
