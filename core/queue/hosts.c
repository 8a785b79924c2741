/*
 * hosts.c - MX and address look-ups for delivery. Runner threads.
 */
#include "queue/hosts.h"

#include <netinet/in.h>
#include <stdint.h>

#include "base/enc.h"
#include "mail/addr.h"

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

static struct host **
add_address(struct host **end, const char *name, const struct dns_record *r,
	unsigned port, struct arena *a)
{
	struct host *h = arena_alloc(a, sizeof *h);
	struct sockaddr_in *v4 = (struct sockaddr_in *)&h->address.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&h->address.sa;

	h->name = name;
	if (r->text.len == 4) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, r->text.at, 4);
		h->address.len = sizeof *v4;
	} else if (r->text.len == 16) {
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, r->text.at, 16);
		h->address.len = sizeof *v6;
	} else {
		return end;
	}
	sock_set_port(&h->address, port);
	*end = h;
	return &h->next;
}

/* Both families of one host, IPv6 first. *worst keeps an answer that says
 * why there may be nothing. */
static struct host **
add_host(struct dns *d, struct str name, unsigned port, int64_t deadline,
	struct arena *a, struct host **end, struct dns_answer *worst)
{
	static const enum dns_type types[] = {DNS_AAAA, DNS_A};
	const char *cname = arena_cstr(a, name);
	struct dns_answer answer;
	size_t t, i;

	for (t = 0; t < 2; t++) {
		dns_query(d, name, types[t], deadline, a, &answer);
		for (i = 0; answer.status == DNS_OK && i < answer.n; i++)
			end = add_address(end, cname, &answer.record[i], port,
				a);
		if (answer.status == DNS_TEMPFAIL ||
			answer.status == DNS_BOGUS || worst->status == DNS_OK)
			*worst = answer;
	}
	return end;
}

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

/* Only servers nearer than ourselves may be used (RFC 5321 5.1). Returns how
 * many remain; *met if we stand in the list. */
static size_t
cut_at_self(const struct dns_record *r, size_t n, const char *hostname,
	bool *met)
{
	size_t i, j;

	*met = false;
	for (i = 0; i < n; i++) {
		if (!str_iis(r[i].text, hostname))
			continue;
		*met = true;
		for (j = 0; j < n && r[j].preference < r[i].preference; j++)
			;
		return j;
	}
	return n;
}

static struct reply
hosts_of_literal(struct str domain, unsigned port, struct arena *a,
	struct host **out)
{
	struct host *h = arena_alloc(a, sizeof *h);
	struct str inner = str_sub(domain, 1, domain.len - 2);
	bool is_v6 = str_istarts(inner, "IPv6:");
	const char *text;

	if (is_v6)
		inner = str_sub(inner, 5, inner.len);
	text = arena_printf(a, is_v6 ? "[%.*s]:%u" : "%.*s:%u",
		STR_ARGS(inner), port);
	if (sock_parse(str_from(text), &h->address, NULL) < 0)
		return reply_printf(a, 550, "5.1.2",
			"%.*s is no address", STR_ARGS(domain));
	h->name = arena_cstr(a, inner);
	*out = h;
	return (struct reply){0};
}

static struct reply
hosts_of_mx(struct dns *d, struct dns_answer *mx, struct str domain,
	const char *hostname, unsigned port, int64_t deadline, struct arena *a,
	struct host **out)
{
	struct dns_answer worst = {.status = DNS_OK};
	struct host **end = out;
	bool met_self;
	size_t i, n;

	if (mx->n == 1 && mx->record[0].text.len == 0)
		return reply_printf(a, 556, "5.1.10",
			"%.*s takes no mail (null MX)", STR_ARGS(domain));
	shuffle_and_sort(mx->record, mx->n);
	n = cut_at_self(mx->record, mx->n, hostname, &met_self);
	if (met_self && n == 0)
		return reply_printf(a, 554, "5.4.6",
			"the MX of %.*s is this server, which does not serve "
			"that domain", STR_ARGS(domain));
	for (i = 0; i < n && i < MX_MOST; i++)
		end = add_host(d, mx->record[i].text, port, deadline, a, end,
			&worst);
	return *out ? (struct reply){0} : dns_refusal(&worst, a, domain,
		"address of the MX");
}

struct reply
hosts_of_domain(struct dns *d, struct str domain, const char *hostname,
	unsigned port, int64_t deadline, struct arena *a, struct host **out)
{
	struct dns_answer mx, worst = {.status = DNS_OK};
	struct str name;

	*out = NULL;
	if (addr_is_literal(domain))
		return hosts_of_literal(domain, port, a, out);
	name = addr_domain_ascii(a, domain);
	if (!name.at)
		return reply_printf(a, 553, "5.1.2", "%.*s is no domain name",
			STR_ARGS(domain));
	dns_query(d, name, DNS_MX, deadline, a, &mx);
	if (mx.status == DNS_OK)
		return hosts_of_mx(d, &mx, domain, hostname, port, deadline,
			a, out);
	if (mx.status != DNS_NODATA)
		return dns_refusal(&mx, a, domain, "MX");
	add_host(d, name, port, deadline, a, out, &worst);
	return *out ? (struct reply){0} : dns_refusal(&worst, a, domain,
		"MX or address");
}

struct reply
hosts_of_name(struct dns *d, struct str host_port, unsigned port,
	int64_t deadline, struct arena *a, struct host **out)
{
	struct dns_answer worst = {.status = DNS_OK};
	struct host *h = arena_alloc(a, sizeof *h);
	size_t colon = str_rfind(host_port, ':');
	uint64_t n = port;
	struct str name = host_port;

	*out = NULL;
	if (sock_parse(host_port, &h->address, NULL) == 0) {
		h->name = arena_cstr(a, str_sub(host_port, 0, colon));
		*out = h;
		return (struct reply){0};
	}
	if (colon < host_port.len && str_u64(str_sub(host_port, colon + 1,
		host_port.len), 65535, &n))
		name = str_sub(host_port, 0, colon);
	add_host(d, name, (unsigned)n, deadline, a, out, &worst);
	return *out ? (struct reply){0} : dns_refusal(&worst, a, name,
		"address");
}
