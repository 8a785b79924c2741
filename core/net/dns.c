/*
 * dns.c - the resolver interface on libunbound.
 *
 * One asynchronous context; a thread of ours waits for its descriptor and
 * runs the callbacks. A query blocks its caller on a ticket until the answer
 * or the deadline. The resolver's lock guards tickets and every call of
 * libunbound, which must not be entered by two threads while results are
 * processed.
 *
 * Servers that pass no signatures would make every answer bogus. When that is
 * seen before anything was ever proven, the root's key itself is asked for; if
 * even that is bogus, the log says so and it is done without it.
 */
#include "net/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unbound.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/sock.h"

#define ROOT_KEY "/usr/share/dns/root.key"

struct resolver {
	struct ub_ctx *ub;
	pthread_mutex_t lock;
	pthread_condattr_t mono;
	pthread_t thread;
	int bell;
	bool stopping;
};

struct dns {
	struct dns_settings settings;
	_Atomic(struct resolver *) now;
	struct resolver *first;		/* with the root's key, or now */
	pthread_mutex_t deciding;
	atomic_bool is_decided;		/* the root's key stays, or is gone */
};

/* A query that somebody waits for; each is woken for its own alone. */
struct ticket {
	struct resolver *resolver;
	pthread_cond_t answered;
	struct ub_result *result;
	int code;
	bool done;
};

/* ---------------------------------------------------------------- set-up */

static int
set(struct ub_ctx *ub, const char *option, const char *value, struct err *e)
{
	int code = ub_ctx_set_option(ub, option, value);

	return code ? err_set(e, ERR_DNS, "resolver option %s %s: %s", option,
		value, ub_strerror(code)) : 0;
}

/* Our form "address:port" becomes unbound's "address@port". */
static int
add_server(struct ub_ctx *ub, const char *text, struct err *e)
{
	struct sock_addr a;
	char host[SOCK_TEXT], own[SOCK_TEXT + 8];
	int code;

	if (sock_parse(str_from(text), &a, e) < 0)
		return err_wrap(e, "servers");
	sock_host(&a, host);
	snprintf(own, sizeof own, "%s@%u", host, sock_port(&a));
	code = ub_ctx_set_fwd(ub, own);
	return code ? err_set(e, ERR_DNS, "server %s: %s", text,
		ub_strerror(code)) : 0;
}

/* Zones that unbound answers by itself although a private network's own
 * servers may know them. */
static void
open_private_zones(struct ub_ctx *ub)
{
	static const char *const zones[] = {"test.", "localhost.", "invalid.",
		"onion.", "home.arpa.", "127.in-addr.arpa.", "10.in-addr.arpa.",
		"168.192.in-addr.arpa.", "2.0.192.in-addr.arpa.",
		"100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.",
		"8.b.d.0.1.0.0.2.ip6.arpa."};
	char name[32];
	size_t i;
	int n;

	for (i = 0; i < sizeof zones / sizeof *zones; i++)
		ub_ctx_zone_add(ub, zones[i], "nodefault");
	for (n = 16; n < 32; n++) {
		snprintf(name, sizeof name, "%d.172.in-addr.arpa.", n);
		ub_ctx_zone_add(ub, name, "nodefault");
	}
}

/* Without the root's key nothing can be proved: answers are then simply not
 * secure. */
static int
add_anchors(struct ub_ctx *ub, const struct dns_settings *s, bool with_root,
	struct err *e)
{
	const char *files[] = {with_root ? ROOT_KEY : "", s->anchors ? s->anchors : ""};
	int code, i;

	for (i = 0; i < 2; i++) {
		if (!*files[i] || (i == 0 && access(files[i], R_OK) < 0))
			continue;
		if (access(files[i], R_OK) < 0)
			return err_sys(e, "trust_anchors: %s", files[i]);
		code = ub_ctx_add_ta_file(ub, files[i]);
		if (code)
			return err_set(e, ERR_DNS, "trust anchors %s: %s",
				files[i], ub_strerror(code));
	}
	return 0;
}

static int
configure(struct ub_ctx *ub, const struct dns_settings *s, bool with_root,
	struct err *e)
{
	size_t i;

	if (set(ub, "do-not-query-localhost:", "no", e) < 0)
		return -1;
	if (s->no_cache && (set(ub, "cache-max-ttl:", "0", e) < 0 ||
		set(ub, "cache-max-negative-ttl:", "0", e) < 0))
		return -1;
	if (s->n_server == 0 && ub_ctx_resolvconf(ub, NULL) != 0)
		return err_set(e, ERR_DNS, "/etc/resolv.conf cannot be read; "
			"set [dns] servers");
	for (i = 0; i < s->n_server; i++)
		if (add_server(ub, s->server[i], e) < 0)
			return -1;
	if (s->dnssec && add_anchors(ub, s, with_root, e) < 0)
		return -1;
	/* From here on its settings are fixed. */
	if (s->n_server)
		open_private_zones(ub);
	ub_ctx_hosts(ub, NULL);
	return 0;
}

static void *
run_resolver(void *arg)
{
	struct resolver *d = arg;
	struct pollfd p[2] = {{ub_fd(d->ub), POLLIN, 0},
		{d->bell, POLLIN, 0}};

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return NULL;
		pthread_mutex_lock(&d->lock);
		if (d->stopping) {
			pthread_mutex_unlock(&d->lock);
			return NULL;
		}
		if (p[0].revents)
			ub_process(d->ub);
		pthread_mutex_unlock(&d->lock);
	}
}

static struct resolver *
resolver_new(const struct dns_settings *s, bool with_root, struct err *e)
{
	struct resolver *d = mem_alloc(sizeof *d);

	d->ub = ub_ctx_create();
	d->bell = eventfd(0, EFD_CLOEXEC);
	if (!d->ub || d->bell < 0) {
		err_set(e, ERR_DNS, "the resolver cannot be made");
		goto bad;
	}
	/* A thread, not a process, does the work; before the first query. */
	ub_ctx_async(d->ub, 1);
	if (configure(d->ub, s, with_root, e) < 0)
		goto bad;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&d->mono);
	pthread_condattr_setclock(&d->mono, CLOCK_MONOTONIC);
	if (pthread_create(&d->thread, NULL, run_resolver, d) == 0)
		return d;
	err_set(e, ERR_SYS, "the resolver's thread cannot be started");
bad:
	if (d->ub)
		ub_ctx_delete(d->ub);
	if (d->bell >= 0)
		close(d->bell);
	free(d);
	return NULL;
}

static void
resolver_free(struct resolver *d)
{
	uint64_t one = 1;

	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_mutex_unlock(&d->lock);
	if (write(d->bell, &one, sizeof one) < 0)
		return;		/* cannot happen; do not free under it */
	pthread_join(d->thread, NULL);
	pthread_condattr_destroy(&d->mono);
	ub_ctx_delete(d->ub);
	close(d->bell);
	free(d);
}

struct dns *
dns_new(const struct dns_settings *s, struct err *e)
{
	struct dns *d = mem_alloc(sizeof *d);

	d->settings = *s;
	d->is_decided = !s->dnssec || access(ROOT_KEY, R_OK) < 0;
	d->now = d->first = resolver_new(s, true, e);
	pthread_mutex_init(&d->deciding, NULL);
	if (d->first)
		return d;
	free(d);
	return NULL;
}

void
dns_free(struct dns *d)
{
	if (!d)
		return;
	if (d->now != d->first)
		resolver_free(d->now);
	resolver_free(d->first);
	free(d);
}

/* --------------------------------------------------------------- queries */

/* By the resolver thread, lock held. */
static void
on_answer(void *arg, int code, struct ub_result *result)
{
	struct ticket *t = arg;

	t->code = code;
	t->result = result;
	t->done = true;
	pthread_cond_signal(&t->answered);
}

static void
wait_for(struct ticket *t, int64_t deadline)
{
	struct timespec end = {.tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000};

	while (!t->done && pthread_cond_timedwait(&t->answered,
		&t->resolver->lock, &end) != ETIMEDOUT)
		;
}

/* A domain name in wire form without compression; "" is the root. */
static struct str
read_name(const unsigned char *p, size_t len, struct arena *a)
{
	char text[512];
	size_t n = 0, at = 0, label;

	while (at < len && p[at]) {
		label = p[at++];
		if (label > 63 || label > len - at || n + label + 1 >
			sizeof text)
			return STR("");
		if (n)
			text[n++] = '.';
		memcpy(text + n, p + at, label);
		n += label;
		at += label;
	}
	return arena_str(a, str_of(text, n));
}

static struct str
read_txt(const unsigned char *p, size_t len, struct arena *a)
{
	char *out = arena_alloc(a, len + 1);
	size_t n = 0, at = 0, part;

	while (at < len) {
		part = p[at++];
		if (part > len - at)
			break;
		memcpy(out + n, p + at, part);
		n += part;
		at += part;
	}
	return str_of(out, n);
}

static bool
read_record(enum dns_type type, const char *data, int length,
	struct dns_record *r, struct arena *a)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t len = (size_t)length;

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (len != (type == DNS_A ? 4u : 16u))
			return false;
		break;
	case DNS_MX:
		if (len < 3)
			return false;
		r->preference = (uint16_t)(p[0] << 8 | p[1]);
		r->text = read_name(p + 2, len - 2, a);
		return true;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
		r->text = read_name(p, len, a);
		return true;
	case DNS_TXT:
		r->text = read_txt(p, len, a);
		return true;
	default:
		break;
	}
	r->text = arena_str(a, str_of(data, len));
	return true;
}

static void
read_result(const struct ub_result *u, enum dns_type type, struct arena *a,
	struct dns_answer *out)
{
	struct str canonical;
	size_t i, n = 0;

	out->secure = u->secure;
	if (u->bogus) {
		out->status = DNS_BOGUS;
		return;
	}
	if (u->nxdomain || u->rcode == 3) {
		out->status = DNS_NXDOMAIN;
		return;
	}
	if (u->rcode != 0)
		return;		/* SERVFAIL, REFUSED: temporary */
	canonical = str_from(u->canonname ? u->canonname : u->qname);
	if (str_ends(canonical, "."))
		canonical.len--;
	out->canonical = arena_str(a, canonical);
	for (i = 0; u->data && u->data[i]; i++)
		n++;
	out->record = arena_alloc(a, (n + 1) * sizeof *out->record);
	for (i = 0; i < n; i++) {
		struct dns_record *r = &out->record[out->n];

		r->ttl = (uint32_t)u->ttl;
		out->n += read_record(type, u->data[i], u->len[i], r, a);
	}
	out->status = out->n ? DNS_OK : DNS_NODATA;
}

static void
ask(struct resolver *r, const char *name, enum dns_type type,
	int64_t deadline, struct arena *a, struct dns_answer *out)
{
	struct ticket t = {.resolver = r};
	int id;

	*out = (struct dns_answer){.status = DNS_TEMPFAIL,
		.canonical = str_from(name)};
	pthread_cond_init(&t.answered, &r->mono);
	pthread_mutex_lock(&r->lock);
	if (ub_resolve_async(r->ub, name, type, 1, &t, on_answer, &id) == 0) {
		wait_for(&t, deadline);
		if (!t.done)
			ub_cancel(r->ub, id);
	}
	pthread_mutex_unlock(&r->lock);
	pthread_cond_destroy(&t.answered);
	if (t.done && t.code == 0)
		read_result(t.result, type, a, out);
	if (t.result)
		ub_resolve_free(t.result);
}

/* Is it the servers that make everything bogus? Asked once. */
static void
decide(struct dns *d, int64_t deadline, struct arena *a)
{
	struct dns_answer root;
	struct resolver *other;
	struct err e = {0};

	pthread_mutex_lock(&d->deciding);
	if (!d->is_decided) {
		ask(d->first, ".", DNS_DNSKEY, deadline, a, &root);
		other = root.status == DNS_BOGUS ? resolver_new(&d->settings,
			false, &e) : NULL;
		if (other) {
			log_warn("dns.unsigned", LOG_S("reason", "the name "
				"servers pass no signatures of the root: "
				"nothing can be proven by DNSSEC"));
			d->now = other;
		}
		d->is_decided = root.status != DNS_TEMPFAIL;
	}
	pthread_mutex_unlock(&d->deciding);
}

void
dns_query(struct dns *d, struct str name, enum dns_type type,
	int64_t deadline, struct arena *a, struct dns_answer *out)
{
	int64_t most = clock_mono() + d->settings.timeout_ms;
	const char *cname = arena_cstr(a, name);
	struct resolver *r = d->now;

	if (most > deadline)
		most = deadline;
	ask(r, cname, type, most, a, out);
	if (out->secure)
		d->is_decided = true;	/* signatures do come through */
	if (out->status != DNS_BOGUS)
		return;
	if (!d->is_decided)
		decide(d, most, a);
	if (d->now != r)	/* by us, or meanwhile by another thread */
		ask(d->now, cname, type, most, a, out);
}

/* ------------------------------------------------------------ peer names */

/* "1.2.0.192.in-addr.arpa"; false for a peer without an IP address. */
static bool
reverse_name(const struct sock_addr *peer, char out[80], uint8_t *raw,
	size_t *raw_len)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer->sa;
	size_t n = 0;
	int i;

	if (peer->sa.ss_family == AF_INET) {
		memcpy(raw, &((const struct sockaddr_in *)&peer->sa)->sin_addr,
			4);
		*raw_len = 4;
	} else if (peer->sa.ss_family != AF_INET6) {
		return false;
	} else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		memcpy(raw, v6->sin6_addr.s6_addr + 12, 4);
		*raw_len = 4;
	} else {
		memcpy(raw, v6->sin6_addr.s6_addr, 16);
		*raw_len = 16;
	}
	if (*raw_len == 4) {
		snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", raw[3], raw[2],
			raw[1], raw[0]);
		return true;
	}
	for (i = 15; i >= 0; i--)
		n += (size_t)snprintf(out + n, 80 - n, "%x.%x.", raw[i] & 15,
			raw[i] >> 4);
	snprintf(out + n, 80 - n, "ip6.arpa");
	return true;
}

/* The address is one of those that the name has. */
static enum dns_peer
leads_back(struct dns *d, struct str name, struct str raw, int64_t deadline,
	struct arena *a)
{
	struct dns_answer back;
	size_t i;

	dns_query(d, name, raw.len == 4 ? DNS_A : DNS_AAAA, deadline, a,
		&back);
	for (i = 0; i < back.n; i++)
		if (str_eq(back.record[i].text, raw))
			return DNS_PEER_PASS;
	return back.status == DNS_TEMPFAIL ? DNS_PEER_TEMPFAIL : DNS_PEER_FAIL;
}

enum dns_peer
dns_peer_name(struct dns *d, const struct sock_addr *peer, int64_t deadline,
	char *out, size_t size)
{
	enum dns_peer found = DNS_PEER_NAMELESS, one;
	struct dns_answer names;
	uint8_t raw[16];
	struct arena a;
	char reverse[80];
	size_t raw_len, i;

	out[0] = '\0';
	if (!reverse_name(peer, reverse, raw, &raw_len))
		return DNS_PEER_NAMELESS;
	arena_init(&a);
	dns_query(d, str_from(reverse), DNS_PTR, deadline, &a, &names);
	if (names.status == DNS_TEMPFAIL)
		found = DNS_PEER_TEMPFAIL;
	/* The first names only, each must lead back. */
	for (i = 0; i < names.n && i < 10 && found != DNS_PEER_PASS; i++) {
		struct str name = names.record[i].text;

		if (name.len >= size)
			continue;
		one = leads_back(d, name, str_of(raw, raw_len), deadline, &a);
		if (one == DNS_PEER_PASS)
			snprintf(out, size, "%.*s", STR_ARGS(name));
		if (one != DNS_PEER_FAIL || found == DNS_PEER_NAMELESS)
			found = one;
	}
	arena_free(&a);
	return found;
}
