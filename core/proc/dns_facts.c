/*
 * dns_facts.c - gathers, and decides nothing that zone/plan.c can decide.
 */
#include "proc/dns_facts.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/enc.h"
#include "net/sock.h"
#include "proc/dkim_key.h"
#include "zone/spf.h"

#define ADDRESSES_MOST 16
#define TEXTS_MOST 16
#define SERVICES 6

struct gathering {
	const struct dns_house *h;
	struct arena *a;
	struct zone_facts f;
	const char *trouble;	/* with the certificate, or NULL */
	const char *address[ADDRESSES_MOST];
	struct zone_service service[SERVICES];
	struct str spf[TEXTS_MOST], dmarc[TEXTS_MOST];
};

struct zone_ask_settings
dns_ask_settings(const struct config *c, struct dns *dns)
{
	return (struct zone_ask_settings){.dns = dns,
		.port = (unsigned)c->zone.port,
		.server = c->zone.servers.item, .n_server = c->zone.servers.n,
		.timeout_ms = c->dns.timeout};
}

/* -------------------------------------------------------------- addresses */

const char *
dns_clean_address(const char *text, struct arena *a)
{
	char out[INET6_ADDRSTRLEN];
	uint8_t raw[16];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, raw) != 1)
		return NULL;
	inet_ntop(family, raw, out, sizeof out);
	return arena_cstr(a, str_from(out));
}

static void
add_address(struct gathering *g, const char *text)
{
	const char *clean = dns_clean_address(text, g->a);
	size_t i;

	for (i = 0; clean && i < g->f.n_address; i++)
		if (!strcmp(g->address[i], clean))
			return;
	if (clean && g->f.n_address < ADDRESSES_MOST)
		g->address[g->f.n_address++] = clean;
}

/* What others cannot reach is not for DNS. */
static bool
is_public(const struct sock_addr *one)
{
	static const char *const closed[] = {"0.0.0.0/8", "10.0.0.0/8",
		"100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.168.0.0/16", "::/8", "fc00::/7",
		"fe80::/10"};
	struct sock_net net;
	size_t i;

	for (i = 0; i < sizeof closed / sizeof *closed; i++)
		if (sock_parse_net(str_from(closed[i]), &net, NULL) == 0 &&
			sock_in_net(one, &net))
			return false;
	return one->sa.ss_family != AF_UNIX;
}

static void
add_listener(struct gathering *g, const struct listener *l)
{
	struct sock_addr one;
	char host[SOCK_TEXT];
	size_t i;

	for (i = 0; i < l->address.n; i++) {
		if (sock_parse(str_from(l->address.item[i]), &one, NULL) < 0 ||
			!is_public(&one))
			continue;
		sock_host(&one, host);
		add_address(g, host);
	}
}

static void
add_live_addresses(struct gathering *g, enum zone_type type)
{
	struct zone_answer got;
	size_t i;

	zone_ask_any(g->h->asker, g->f.hostname, type, g->a, &got);
	for (i = 0; i < got.n; i++)
		add_address(g, got.value[i]);
}

/* The first source that knows any. */
static void
gather_addresses(struct gathering *g)
{
	const struct config *c = g->h->config;
	size_t i;

	g->f.address = g->address;
	for (i = 0; i < g->h->n_address; i++)
		add_address(g, g->h->address[i]);
	for (i = 0; !g->h->n_address && i < c->zone.addresses.n; i++)
		add_address(g, c->zone.addresses.item[i]);
	for (i = 0; !g->f.n_address && i < c->n_listener; i++)
		if (c->listener[i].protocol == SERVE_SMTP)
			add_listener(g, &c->listener[i]);
	if (g->f.n_address)
		return;
	add_live_addresses(g, ZONE_A);
	add_live_addresses(g, ZONE_AAAA);
}

/* --------------------------------------------------------------- services */

static unsigned
port_of(const struct config *c, int64_t protocol, int64_t tls)
{
	struct sock_addr one;
	size_t i, k;

	for (i = 0; i < c->n_listener; i++) {
		const struct listener *l = &c->listener[i];

		if (l->protocol != protocol || l->tls != tls)
			continue;
		for (k = 0; k < l->address.n; k++)
			if (sock_parse(str_from(l->address.item[k]), &one,
				NULL) == 0 && one.sa.ss_family != AF_UNIX)
				return sock_port(&one);
	}
	return 0;
}

static void
gather_services(struct gathering *g)
{
	static const struct {
		const char *name;
		int64_t protocol, tls;
	} kind[SERVICES] = {
		{"_submissions", SERVE_SUBMISSION, SERVE_TLS_IMPLICIT},
		{"_imaps", SERVE_IMAP, SERVE_TLS_IMPLICIT},
		{"_pop3s", SERVE_POP3, SERVE_TLS_IMPLICIT},
		{"_submission", SERVE_SUBMISSION, SERVE_TLS_STARTTLS},
		{"_imap", SERVE_IMAP, SERVE_TLS_STARTTLS},
		{"_pop3", SERVE_POP3, SERVE_TLS_STARTTLS},
	};
	size_t i;

	for (i = 0; i < SERVICES; i++)
		g->service[i] = (struct zone_service){kind[i].name,
			port_of(g->h->config, kind[i].protocol, kind[i].tls)};
	g->f.service = g->service;
	g->f.n_service = SERVICES;
}

/* ------------------------------------------------------ keys, certificate */

static int
gather_keys(struct gathering *g, struct err *e)
{
	struct dkim_key *key;
	struct zone_key *out;
	size_t n, i;

	if (dkim_keys(dkim_folder(g->h->config, g->a), g->f.domain, g->a,
		&key, &n, e) < 0)
		return err_wrap(e, "keys of %s", g->f.domain);
	out = arena_alloc(g->a, (n + 1) * sizeof *out);
	for (i = 0; i < n; i++)
		if (key[i].state != DKIM_PAST)
			out[g->f.n_key++] = (struct zone_key){key[i].name,
				key[i].record};
	g->f.key = out;
	return 0;
}

/* DANE-EE, the public key, SHA-256: outlives a renewal with the same key
 * (RFC 7671 5.1). */
static const char *
tlsa_of(X509 *cert, struct arena *a)
{
	struct enc_sha256 *h;
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	uint8_t digest[32];
	const char *text;
	struct buf hex;

	if (len < 0)
		return NULL;
	h = enc_sha256_new();
	enc_sha256_add(h, der, (size_t)len);
	enc_sha256_end(h, digest);
	OPENSSL_free(der);
	buf_init(&hex, 80);
	enc_hex(&hex, digest, sizeof digest);
	text = arena_printf(a, "3 1 1 %s", buf_c(&hex));
	buf_free(&hex);
	return text;
}

/* As their own documents name themselves in CAA records. */
static const char *
authority_of(X509 *cert)
{
	static const char *const known[][2] = {
		{"Let's Encrypt", "letsencrypt.org"},
		{"ZeroSSL", "sectigo.com"}, {"Sectigo", "sectigo.com"},
		{"Google Trust Services", "pki.goog"},
		{"Buypass", "buypass.com"}, {"SSL Corp", "ssl.com"},
		{"DigiCert", "digicert.com"}, {"Actalis", "actalis.it"}};
	char name[128] = "";
	size_t i;

	X509_NAME_get_text_by_NID(X509_get_issuer_name(cert),
		NID_organizationName, name, sizeof name);
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (!strncmp(name, known[i][0], strlen(known[i][0])))
			return known[i][1];
	return NULL;
}

/* The master reads it as root; we may be less. */
static void
gather_certificate(struct gathering *g)
{
	const struct config *c = g->h->config;
	const char *told = c->zone.authority;
	FILE *f;
	X509 *cert;

	g->f.authority = *told && strcmp(told, "none") ? told : NULL;
	if (!*c->tls.certificate)
		return;
	f = fopen(c->tls.certificate, "re");
	cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (!cert)
		g->trouble = arena_printf(g->a, "The certificate %s cannot be "
			"read by user %s: records about it are left out.",
			c->tls.certificate, c->server.user);
	if (f)
		fclose(f);
	if (!cert)
		return;
	g->f.tlsa = tlsa_of(cert, g->a);
	if (!*told)
		g->f.authority = authority_of(cert);
	X509_free(cert);
}

/* ------------------------------------------------------------- what is live */

static size_t
gather_texts(struct gathering *g, const char *name, const char *tag,
	struct str out[TEXTS_MOST])
{
	struct zone_answer got;
	size_t i, n = 0;

	zone_ask_any(g->h->asker, name, ZONE_TXT, g->a, &got);
	for (i = 0; i < got.n && n < TEXTS_MOST; i++)
		if (str_iis(zone_tag(got.value[i]), tag))
			out[n++] = str_from(got.value[i]);
	return n;
}

static void
gather_live(struct gathering *g)
{
	struct zone_facts *f = &g->f;

	f->spf = g->spf;
	f->n_spf = gather_texts(g, f->domain, "v=spf1", g->spf);
	f->dmarc = g->dmarc;
	f->n_dmarc = gather_texts(g, arena_printf(g->a, "_dmarc.%s",
		f->domain), "v=DMARC1", g->dmarc);
	if (f->n_spf)
		f->spf_lookups = spf_count_lookups(g->h->dns, f->spf[0],
			clock_mono() + g->h->config->dns.timeout, g->a);
	f->is_signed = zone_home_of(g->h->asker, f->hostname)->is_signed;
}

int
dns_make_plan(const struct dns_house *h, const char *domain, struct arena *a,
	struct zone_plan **out, struct err *e)
{
	const struct config *c = h->config;
	struct gathering *g = arena_alloc(a, sizeof *g);

	*g = (struct gathering){.h = h, .a = a, .f = {.domain = domain,
		.hostname = c->server.hostname, .settings = &c->zone}};
	g->f.report_to = *c->zone.report_to ? c->zone.report_to :
		arena_printf(a, "postmaster@%s", domain);
	if (gather_keys(g, e) < 0)
		return -1;
	gather_certificate(g);
	gather_addresses(g);
	gather_services(g);
	gather_live(g);
	*out = arena_alloc(a, sizeof **out);
	(*out)->a = a;
	zone_plan_make(*out, &g->f);
	if (g->trouble)
		zone_note(*out, g->trouble);
	return 0;
}

static int
take_domain(void *arg, const char *domain)
{
	buf_add(arg, domain, strlen(domain) + 1);
	return 0;
}

int
dns_domains(const struct store *s, struct buf *out, struct err *e)
{
	struct mr_error me = {{0}};

	return store_result(s->op->domain_list(s->self, take_domain, out, &me),
		&me, e);
}
