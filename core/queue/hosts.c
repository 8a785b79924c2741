/*
 * hosts.c - MX and address look-ups for delivery. Runner threads.
 *
 * CNAMEs are followed by the resolver, for the domain (RFC 5321 5.1) and,
 * though RFC 2181 10.3 forbids them there, for the names that MX records give.
 * We are met by our name, by the name behind a CNAME, or by an address and
 * port at which we listen; what is not better than ourselves is cut off, else
 * two servers would play ball.
 */
#include "queue/hosts.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdint.h>

#include "base/enc.h"
#include "mail/addr.h"
#include "queue/families.h"

#define MX_MOST 20	/* hosts looked at; more is somebody's mistake */

static struct reply
dns_refusal(const struct dns_answer *a, struct arena *arena,
	struct str name, const char *what)
{
	if (a->status == DNS_NXDOMAIN || a->status == DNS_NODATA)
		return reply_printf(arena, 550, "5.1.2",
			"%.*s has no %s record", STR_ARGS(name), what);
	return reply_printf(arena, 451, "4.4.3",
		"the %s record of %.*s cannot be looked up now%s", what,
		STR_ARGS(name), a->status == DNS_BOGUS ?
		" (DNSSEC: bogus)" : "");
}

/* ------------------------------------------------------------- ourselves */

static bool
same_address(const struct sock_addr *a, const struct sockaddr *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->sa;

	if (a->sa.ss_family != b->sa_family)
		return false;
	if (b->sa_family == AF_INET)
		return !memcmp(&a4->sin_addr,
			&((const struct sockaddr_in *)b)->sin_addr,
			sizeof a4->sin_addr);
	return b->sa_family == AF_INET6 && !memcmp(&a6->sin6_addr,
		&((const struct sockaddr_in6 *)b)->sin6_addr,
		sizeof a6->sin6_addr);
}

static bool
is_wildcard(const struct sock_addr *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;

	return a->sa.ss_family == AF_INET ?
		v4->sin_addr.s_addr == INADDR_ANY :
		IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static bool
is_of_this_machine(const struct sock_addr *a)
{
	struct ifaddrs *all, *one;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (one = all; one && !found; one = one->ifa_next)
		found = one->ifa_addr && same_address(a, one->ifa_addr);
	freeifaddrs(all);
	return found;
}

/* "[::]" takes IPv4 too. */
static bool
is_us(const struct hosts_asker *q, const struct sock_addr *a)
{
	size_t i;

	for (i = 0; i < q->n_own; i++) {
		const struct sock_addr *own = &q->own[i];

		if (sock_port(own) != sock_port(a))
			continue;
		if (same_address(a, (const struct sockaddr *)&own->sa))
			return true;
		if (is_wildcard(own) && (own->sa.ss_family == AF_INET6 ||
			a->sa.ss_family == AF_INET) && is_of_this_machine(a))
			return true;
	}
	return false;
}

static struct reply
loops(struct arena *a, struct str domain)
{
	return reply_printf(a, 554, "5.4.6", "mail for %.*s leads back to "
		"this server, which does not serve that domain",
		STR_ARGS(domain));
}

/* ------------------------------------------------------------- addresses */

struct listing {
	const struct hosts_asker *q;
	struct arena *a;
	struct host *first, **end;
	struct dns_answer worst;	/* why there may be nothing */
	unsigned port;
	unsigned preference;
	bool is_secure;			/* what led to the name */
	bool met_us;
};

static void
list_init(struct listing *l, const struct hosts_asker *q, struct arena *a)
{
	*l = (struct listing){.q = q, .a = a, .end = &l->first,
		.port = q->port, .is_secure = true};
}

static bool
set_address(struct host *h, struct str bytes, unsigned port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&h->address.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&h->address.sa;

	if (bytes.len == 4) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, bytes.at, 4);
		h->address.len = sizeof *v4;
	} else if (bytes.len == 16) {
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, bytes.at, 16);
		h->address.len = sizeof *v6;
	} else {
		return false;
	}
	sock_set_port(&h->address, port);
	return true;
}

static void
add_address(struct listing *l, const char *name, const struct dns_answer *from,
	const struct dns_record *r)
{
	struct host *h = arena_alloc(l->a, sizeof *h);

	if (!set_address(h, r->text, l->port))
		return;
	h->name = name;
	h->canonical = from->canonical.len ?
		arena_cstr(l->a, from->canonical) : name;
	h->preference = l->preference;
	h->is_secure = l->is_secure && from->secure;
	if (is_us(l->q, &h->address) || !strcasecmp(h->canonical,
		l->q->hostname))
		l->met_us = true;
	*l->end = h;
	l->end = &h->next;
}

/* Both families of one host, IPv6 first. */
static void
add_host(struct listing *l, struct str name)
{
	static const enum dns_type types[] = {DNS_AAAA, DNS_A};
	const char *cname = arena_cstr(l->a, name);
	struct dns_answer answer;
	size_t t, i;

	for (t = 0; t < 2; t++) {
		dns_query(l->q->dns, name, types[t], l->q->deadline, l->a,
			&answer);
		for (i = 0; answer.status == DNS_OK && i < answer.n; i++)
			add_address(l, cname, &answer, &answer.record[i]);
		if (answer.status == DNS_TEMPFAIL ||
			answer.status == DNS_BOGUS ||
			l->worst.status == DNS_OK)
			l->worst = answer;
	}
}

/* Where a host has two families the better one goes first. */
static void
rank_families(struct listing *l)
{
	struct host *h, **at, *one, *rest;
	bool v4 = false, v6 = false;

	for (h = l->first; h; h = h->next)
		*(h->address.sa.ss_family == AF_INET ? &v4 : &v6) = true;
	if (!v4 || !v6)
		return;
	for (h = l->first; h; h = h->next)
		h->rank = families_rank(l->q->families, l->q->dns,
			&h->address, l->q->deadline);
	rest = l->first;
	l->first = NULL;
	while ((one = rest)) {
		rest = one->next;
		for (at = &l->first; *at &&
			((*at)->preference < one->preference ||
			((*at)->preference == one->preference &&
			(*at)->rank <= one->rank)); at = &(*at)->next)
			;
		one->next = *at;
		*at = one;
	}
}

/* ------------------------------------------------------------------- MX */

static void
shuffle_and_sort(struct dns_record *r, size_t n)
{
	uint32_t random;
	size_t i, j;

	for (i = n; i > 1; i--) {
		struct dns_record keep = r[i - 1];

		enc_random(&random, sizeof random);
		j = random % i;
		r[i - 1] = r[j];
		r[j] = keep;
	}
	/* Insertion keeps the shuffled order of equals; n is small. */
	for (i = 1; i < n; i++) {
		struct dns_record keep = r[i];

		for (j = i; j && r[j - 1].preference > keep.preference; j--)
			r[j] = r[j - 1];
		r[j] = keep;
	}
}

static struct reply
hosts_of_literal(const struct hosts_asker *q, struct str domain,
	struct arena *a, struct host **out)
{
	struct host *h = arena_alloc(a, sizeof *h);
	struct str inner = str_sub(domain, 1, domain.len - 2);
	bool is_v6 = str_istarts(inner, "IPv6:");
	const char *text;

	if (is_v6)
		inner = str_sub(inner, 5, inner.len);
	text = arena_printf(a, is_v6 ? "[%.*s]:%u" : "%.*s:%u",
		STR_ARGS(inner), q->port);
	if (sock_parse(str_from(text), &h->address, NULL) < 0)
		return reply_printf(a, 550, "5.1.2",
			"%.*s is no address", STR_ARGS(domain));
	if (is_us(q, &h->address))
		return loops(a, domain);
	h->name = h->canonical = arena_cstr(a, inner);
	*out = h;
	return (struct reply){0};
}

/* Takes off what is no better than `preference`. */
static void
cut_from(struct listing *l, unsigned preference)
{
	l->end = &l->first;
	while (*l->end && (*l->end)->preference < preference)
		l->end = &(*l->end)->next;
	*l->end = NULL;
}

/* Only servers nearer than ourselves may be used (RFC 5321 5.1). */
static void
list_mx(struct listing *l, const struct dns_record *r, size_t n)
{
	size_t i;

	for (i = 0; i < n && i < MX_MOST && !l->met_us; i++) {
		l->preference = r[i].preference;
		if (str_iis(r[i].text, l->q->hostname))
			l->met_us = true;
		else if (r[i].text.len)
			add_host(l, r[i].text);
	}
	if (l->met_us)
		cut_from(l, l->preference);
}

static struct reply
hosts_of_mx(struct listing *l, struct dns_answer *mx, struct str domain)
{
	if (mx->n == 1 && mx->record[0].text.len == 0)
		return reply_printf(l->a, 556, "5.1.10",
			"%.*s takes no mail (null MX)", STR_ARGS(domain));
	l->is_secure = mx->secure;
	shuffle_and_sort(mx->record, mx->n);
	list_mx(l, mx->record, mx->n);
	if (l->first)
		return (struct reply){0};
	return l->met_us ? loops(l->a, domain) : dns_refusal(&l->worst, l->a,
		domain, "address of the MX");
}

static struct reply
hosts_of_implicit_mx(struct listing *l, struct str name, struct str domain)
{
	add_host(l, name);
	if (l->met_us)
		return loops(l->a, domain);
	return l->first ? (struct reply){0} : dns_refusal(&l->worst, l->a,
		domain, "MX or address");
}

struct reply
hosts_of_domain(const struct hosts_asker *q, struct str domain,
	struct arena *a, struct host **out)
{
	struct listing l;
	struct dns_answer mx;
	struct reply refused;
	struct str name;

	*out = NULL;
	list_init(&l, q, a);
	if (addr_is_literal(domain))
		return hosts_of_literal(q, domain, a, out);
	name = addr_domain_ascii(a, domain);
	if (!name.at)
		return reply_printf(a, 553, "5.1.2", "%.*s is no domain name",
			STR_ARGS(domain));
	dns_query(q->dns, name, DNS_MX, q->deadline, a, &mx);
	if (mx.status == DNS_OK)
		refused = hosts_of_mx(&l, &mx, domain);
	else if (mx.status == DNS_NODATA)
		refused = hosts_of_implicit_mx(&l, name, domain);
	else
		refused = dns_refusal(&mx, a, domain, "MX");
	if (!refused.code)
		rank_families(&l);
	*out = refused.code ? NULL : l.first;
	return refused;
}

/* The admin's word: it is not asked whether that is us. */
struct reply
hosts_of_name(const struct hosts_asker *q, struct str host_port,
	struct arena *a, struct host **out)
{
	struct host *h = arena_alloc(a, sizeof *h);
	size_t colon = str_rfind(host_port, ':');
	uint64_t n = q->port;
	struct str name = host_port;
	struct listing l;

	*out = NULL;
	if (sock_parse(host_port, &h->address, NULL) == 0) {
		h->name = h->canonical = arena_cstr(a, str_sub(host_port, 0,
			colon));
		*out = h;
		return (struct reply){0};
	}
	if (colon < host_port.len && str_u64(str_sub(host_port, colon + 1,
		host_port.len), 65535, &n))
		name = str_sub(host_port, 0, colon);
	list_init(&l, q, a);
	l.port = (unsigned)n;
	add_host(&l, name);
	rank_families(&l);
	*out = l.first;
	return *out ? (struct reply){0} : dns_refusal(&l.worst, a, name,
		"address");
}
