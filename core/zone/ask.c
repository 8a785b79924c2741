/*
 * ask.c - libldns asks; the project's resolver finds whom. Answers of servers
 * elsewhere are parsed by libldns and become text here.
 */
#include "zone/ask.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>

#include "base/clock.h"
#include "net/sock.h"

#define SERVERS_MOST 16
#define VALUES_MOST 64
#define HOMES_MOST 64
#define EDNS_SIZE 1232		/* passes every path unfragmented */

struct zone_asker {
	const struct zone_ask_settings *settings;
	struct arena a;
	struct {
		const char *name;
		struct zone_home *home;
	} known[HOMES_MOST];
	size_t n_known;
};

struct zone_asker *
zone_asker_new(const struct zone_ask_settings *s)
{
	struct zone_asker *k = mem_alloc(sizeof *k);

	k->settings = s;
	arena_init(&k->a);
	return k;
}

void
zone_asker_free(struct zone_asker *k)
{
	if (!k)
		return;
	arena_free(&k->a);
	free(k);
}

/* ------------------------------------------------------ finding the servers */

static void
add_server(struct zone_home *h, const char *name, const char *address,
	unsigned port)
{
	if (h->n < SERVERS_MOST)
		h->server[h->n++] = (struct zone_server){name, address, port,
			false};
}

/* IPv4 first: a machine without IPv6 is no rare thing. */
static void
add_addresses(struct zone_asker *k, struct zone_home *h, struct str name)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	const char *cname = arena_cstr(&k->a, name);
	struct dns_answer got;
	char text[INET6_ADDRSTRLEN];
	size_t i, t, before = h->n;

	for (t = 0; t < 2 && h->n == before; t++) {
		dns_query(k->settings->dns, name, types[t], clock_mono() +
			k->settings->timeout_ms, &k->a, &got);
		for (i = 0; i < got.n; i++) {
			inet_ntop(t ? AF_INET6 : AF_INET,
				got.record[i].text.at, text, sizeof text);
			add_server(h, cname, arena_cstr(&k->a,
				str_from(text)), k->settings->port);
		}
	}
}

static void
add_told_servers(struct zone_asker *k, struct zone_home *h)
{
	const struct zone_ask_settings *s = k->settings;
	struct sock_addr one;
	char text[SOCK_TEXT];
	size_t i;

	h->n = 0;
	for (i = 0; i < s->n_server; i++) {
		if (sock_parse(str_from(s->server[i]), &one, NULL) < 0)
			continue;
		sock_host(&one, text);
		add_server(h, s->server[i], arena_cstr(&k->a, str_from(text)),
			sock_port(&one));
	}
}

/* Upwards from the name until servers are named, but not to those of a top
 * level: a name that they would answer for is registered by nobody. What a
 * CNAME leads to has nothing to do with our zone. */
static void
find_zone(struct zone_asker *k, const char *name, struct zone_home *h)
{
	const struct zone_ask_settings *s = k->settings;
	struct str at = str_from(name);
	struct dns_answer got = {.n = 0};
	size_t i;

	for (; str_has_byte(at, '.'); str_cut(&at, '.')) {
		dns_query(s->dns, at, DNS_NS, clock_mono() + s->timeout_ms,
			&k->a, &got);
		if (got.n && str_ieq(got.canonical, at))
			break;
		got.n = 0;
	}
	if (!got.n)
		return;
	h->apex = arena_cstr(&k->a, at);
	if (!s->n_server)
		for (i = 0; i < got.n; i++)
			add_addresses(k, h, got.record[i].text);
	dns_query(s->dns, at, DNS_DNSKEY, clock_mono() + s->timeout_ms, &k->a,
		&got);
	h->is_signed = got.status == DNS_OK && got.secure;
}

struct zone_home *
zone_home_of(struct zone_asker *k, const char *name)
{
	struct zone_home *h;
	size_t i;

	for (i = 0; i < k->n_known; i++)
		if (!strcasecmp(k->known[i].name, name))
			return k->known[i].home;
	h = arena_alloc(&k->a, sizeof *h);
	h->server = arena_alloc(&k->a, SERVERS_MOST * sizeof *h->server);
	find_zone(k, name, h);
	if (k->settings->n_server)
		add_told_servers(k, h);
	for (i = 0; i < k->n_known && h->apex; i++)
		if (k->known[i].home->apex &&
			!strcasecmp(k->known[i].home->apex, h->apex))
			h = k->known[i].home;
	if (k->n_known < HOMES_MOST) {
		k->known[k->n_known].name = arena_cstr(&k->a, str_from(name));
		k->known[k->n_known++].home = h;
	}
	return h;
}

void
zone_asker_forgive(struct zone_asker *k)
{
	size_t i, s;

	for (i = 0; i < k->n_known; i++)
		for (s = 0; s < k->known[i].home->n; s++)
			k->known[i].home->server[s].is_silent = false;
	/* What had no zone may have one now. */
	for (i = 0; i < k->n_known; i++)
		if (!k->known[i].home->apex)
			k->known[i].name = "";
}

/* ----------------------------------------------------------------- answers */

static void
put_rdf(struct buf *out, const ldns_rdf *rdf)
{
	char *text = ldns_rdf2str(rdf);

	if (text)
		buf_adds(out, text);
	free(text);
}

/* A string of the wire: its length and its bytes. */
static void
put_string(struct buf *out, const ldns_rdf *rdf)
{
	size_t size = ldns_rdf_size(rdf);

	if (size > 1)
		buf_add(out, ldns_rdf_data(rdf) + 1, size - 1);
}

static const char *
data_of(const ldns_rr *rr, bool is_text, struct arena *a)
{
	const char *value;
	struct buf out;
	size_t i;

	buf_init(&out, 65536);
	for (i = 0; i < ldns_rr_rd_count(rr); i++) {
		if (i && !is_text)
			buf_addc(&out, ' ');
		if (is_text)
			put_string(&out, ldns_rr_rdf(rr, i));
		else
			put_rdf(&out, ldns_rr_rdf(rr, i));
	}
	value = arena_cstr(a, buf_str(&out));
	buf_free(&out);
	return value;
}

static void
take_record(const ldns_rr *rr, struct arena *a, struct zone_answer *out)
{
	bool is_text = ldns_rr_get_type(rr) == LDNS_RR_TYPE_TXT;

	out->exact[out->n] = data_of(rr, false, a);
	out->value[out->n] = is_text ? data_of(rr, true, a) :
		out->exact[out->n];
	out->n++;
}

static bool
is_of(const ldns_rr *rr, const ldns_rdf *name)
{
	return ldns_dname_compare(ldns_rr_owner(rr), name) == 0;
}

static void
read_records(const ldns_pkt *p, const ldns_rdf *name, enum zone_type type,
	struct arena *a, struct zone_answer *out)
{
	const ldns_rr_list *list = ldns_pkt_answer(p);
	size_t i;

	out->value = arena_alloc(a, VALUES_MOST * sizeof *out->value);
	out->exact = arena_alloc(a, VALUES_MOST * sizeof *out->exact);
	for (i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		bool is_alias = ldns_rr_get_type(rr) == LDNS_RR_TYPE_CNAME;

		if (!is_of(rr, name))
			continue;
		if ((unsigned)ldns_rr_get_type(rr) == (unsigned)type &&
			out->n < VALUES_MOST)
			take_record(rr, a, out);
		else if (is_alias)
			out->alias = data_of(rr, false, a);
	}
	out->status = out->n || out->alias ? ZONE_HAS : ZONE_NONE;
}

/* A server that does not have the zone must not be believed that nothing is
 * there. */
static const char *
refusal_of(const ldns_pkt *p, struct arena *a)
{
	ldns_pkt_rcode code = ldns_pkt_get_rcode(p);
	const char *copy;
	char *name;

	if (code == LDNS_RCODE_NXDOMAIN || code == LDNS_RCODE_NOERROR)
		return ldns_pkt_aa(p) ? NULL : "it is not its zone";
	name = ldns_pkt_rcode2str(code);
	copy = arena_cstr(a, str_from(name));
	free(name);
	return copy;
}

/* ------------------------------------------------------------------ asking */

static ldns_resolver *
resolver_for(const struct zone_asker *k, const struct zone_server *s)
{
	ldns_resolver *r = ldns_resolver_new();
	ldns_rdf *address = ldns_rdf_new_frm_str(strchr(s->address, ':') ?
		LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, s->address);
	int64_t half = k->settings->timeout_ms / 2;	/* two tries */

	if (!r || !address) {
		ldns_resolver_deep_free(r);
		ldns_rdf_deep_free(address);
		return NULL;
	}
	ldns_resolver_push_nameserver(r, address);
	ldns_rdf_deep_free(address);
	ldns_resolver_set_port(r, (uint16_t)s->port);
	ldns_resolver_set_recursive(r, false);
	ldns_resolver_set_random(r, false);
	ldns_resolver_set_edns_udp_size(r, EDNS_SIZE);
	ldns_resolver_set_retry(r, 2);
	ldns_resolver_set_timeout(r, (struct timeval){half / 1000,
		half % 1000 * 1000});
	return r;
}

void
zone_ask(struct zone_asker *k, struct zone_server *s, const char *name,
	enum zone_type type, struct arena *a, struct zone_answer *out)
{
	ldns_rdf *dname = ldns_dname_new_frm_str(name);
	ldns_resolver *r = resolver_for(k, s);
	ldns_pkt *p = NULL;

	*out = (struct zone_answer){.status = ZONE_SILENT};
	if (dname && r && !s->is_silent && ldns_resolver_send(&p, r, dname,
		(ldns_rr_type)type, LDNS_RR_CLASS_IN, 0) == LDNS_STATUS_OK &&
		p) {
		out->reason = refusal_of(p, a);
		if (out->reason)
			out->status = ZONE_REFUSED;
		else
			read_records(p, dname, type, a, out);
	} else {
		s->is_silent = true;
	}
	ldns_pkt_free(p);
	ldns_resolver_deep_free(r);
	ldns_rdf_deep_free(dname);
}

void
zone_ask_any(struct zone_asker *k, const char *name, enum zone_type type,
	struct arena *a, struct zone_answer *out)
{
	struct zone_home *h = zone_home_of(k, name);
	size_t i;

	*out = (struct zone_answer){.status = ZONE_SILENT};
	for (i = 0; i < h->n; i++) {
		zone_ask(k, &h->server[i], name, type, a, out);
		if (out->status == ZONE_HAS || out->status == ZONE_NONE)
			return;
	}
}
