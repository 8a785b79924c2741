/*
 * plan.c - one function for each kind of record, in the order in which people
 * meet them: mail comes in, mail goes out, transport, clients.
 */
#include "zone/plan.h"

#include "base/enc.h"
#include "zone/spf.h"

#define STS_MAX_AGE 604800	/* a week: long enough to protect, short
				   enough to mend */

struct planning {
	struct zone_plan *p;
	const struct zone_facts *f;
	struct arena *a;
};

static const char *
under(struct planning *g, const char *label, const char *domain)
{
	return arena_printf(g->a, "%s.%s", label, domain);
}

static const char *
host_dot(struct planning *g)
{
	return arena_printf(g->a, "%s.", g->f->hostname);
}

/* ------------------------------------------------------------ mail comes in */

static void
add_mx(struct planning *g)
{
	zone_add(g->p, ZONE_MX, ZONE_AMONG, "mail for the domain comes here",
		g->f->domain, arena_printf(g->a, "10 %s.", g->f->hostname));
}

static void
add_addresses(struct planning *g)
{
	const struct zone_facts *f = g->f;
	size_t i;

	for (i = 0; i < f->n_address; i++)
		zone_add(g->p, strchr(f->address[i], ':') ? ZONE_AAAA :
			ZONE_A, ZONE_ALONE, "where this server is",
			f->hostname, f->address[i]);
	if (!f->n_address)
		zone_note(g->p, arena_printf(g->a, "The address of %s is not "
			"known: name it with --address ADDRESS, or in "
			"[dns.plan] addresses.", f->hostname));
}

/* ------------------------------------------------------------ mail goes out */

static void
add_spf(struct planning *g)
{
	const struct zone_facts *f = g->f;
	struct spf_server s = {f->domain, f->hostname, f->address,
		f->n_address};
	/* "mx" takes one look-up more, addresses none. */
	bool tight = f->spf_lookups >= SPF_LOOKUPS_MOST;
	const char *host_spf = "v=spf1 a -all";

	zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "SPF: who may send mail as the "
		"domain", f->domain, spf_merge(f->spf, f->n_spf, &s,
		tight, g->a));
	if (f->spf_lookups > SPF_LOOKUPS_MOST || (tight && !f->n_address))
		zone_note(g->p, arena_printf(g->a, "The SPF record of %s takes "
			"%u look-ups and may take %d: receivers will call it "
			"broken. Take out an include that is not needed.",
			f->domain, f->spf_lookups, SPF_LOOKUPS_MOST));
	/* Bounces have no sender: SPF looks at our own name (RFC 7208 2.3). */
	if (strcasecmp(f->hostname, f->domain))
		zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "SPF of the server's own "
			"name, for bounces", f->hostname, host_spf);
}

static void
add_dkim(struct planning *g)
{
	size_t i;

	for (i = 0; i < g->f->n_key; i++)
		zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "DKIM: the key that "
			"mail is signed with", g->f->key[i].name,
			g->f->key[i].record);
	if (!g->f->n_key)
		zone_note(g->p, arena_printf(g->a, "Mail of %s is not signed: "
			"`mailroom dkim new %s` makes its keys, and "
			"[plugin.dkim] in the chain signs.", g->f->domain,
			g->f->domain));
}

/* "p" of a record; false if it is no record at all. */
static bool
live_policy(struct str live, enum zone_dmarc *policy, bool *has_rua)
{
	struct str tag, value;
	bool is_first = true;
	int i;

	*policy = ZONE_DMARC_NONE;
	*has_rua = false;
	while (live.len) {
		value = str_cut(&live, ';');
		tag = str_trim(str_cut(&value, '='));
		value = str_trim(value);
		if (is_first && !(str_iis(tag, "v") &&
			str_is(value, "DMARC1")))
			return false;
		is_first = false;
		for (i = 0; str_iis(tag, "p") && i < 3; i++)
			if (str_iis(value, zone_dmarc_names[i]))
				*policy = (enum zone_dmarc)i;
		*has_rua |= str_iis(tag, "rua") && value.len;
	}
	return !is_first;
}

const char *
zone_merge_dmarc(struct str live, enum zone_dmarc policy,
	const char *report_to, struct arena *a)
{
	struct str one, value, tag;
	enum zone_dmarc before;
	const char *text;
	struct buf out;
	bool has_rua;

	if (!live_policy(live, &before, &has_rua))
		return arena_printf(a, "v=DMARC1; p=%s; rua=mailto:%s",
			zone_dmarc_names[policy], report_to);
	if (has_rua && before >= policy)
		return arena_cstr(a, live);
	buf_init(&out, 8192);
	buf_addf(&out, "v=DMARC1; p=%s", zone_dmarc_names[before > policy ?
		before : policy]);
	while (live.len) {
		one = value = str_trim(str_cut(&live, ';'));
		tag = str_trim(str_cut(&value, '='));
		if (one.len && !str_iis(tag, "v") && !str_iis(tag, "p") &&
			(!str_iis(tag, "rua") || has_rua))
			buf_addf(&out, "; %.*s", STR_ARGS(one));
	}
	if (!has_rua)
		buf_addf(&out, "; rua=mailto:%s", report_to);
	text = arena_cstr(a, buf_str(&out));
	buf_free(&out);
	return text;
}

static void
add_dmarc(struct planning *g)
{
	const struct zone_facts *f = g->f;
	const char *at = strrchr(f->report_to, '@');

	zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "DMARC: what others do with "
		"mail that only pretends to be yours", under(g, "_dmarc",
		f->domain), zone_merge_dmarc(f->n_dmarc == 1 ? f->dmarc[0] :
		STR(""), (enum zone_dmarc)f->settings->dmarc, f->report_to,
		g->a));
	/* Another domain must agree to have the reports (RFC 9990 4). */
	if (at && strcasecmp(at + 1, f->domain))
		zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "lets DMARC reports go "
			"to another domain", arena_printf(g->a,
			"%s._report._dmarc.%s", f->domain, at + 1),
			"v=DMARC1");
}

/* ------------------------------------------------------------- transport */

const char *
zone_sts_policy(const char *hostname, enum zone_sts mode, struct arena *a)
{
	return arena_printf(a, "version: STSv1\r\nmode: %s\r\nmx: %s\r\n"
		"max_age: %d\r\n", mode == ZONE_STS_OFF ? "none" :
		zone_sts_names[mode], hostname, STS_MAX_AGE);
}

const char *
zone_sts_id(const char *policy, struct arena *a)
{
	struct enc_sha256 *h = enc_sha256_new();
	uint8_t digest[32];
	struct buf hex;
	const char *id;

	enc_sha256_add(h, policy, strlen(policy));
	enc_sha256_end(h, digest);
	buf_init(&hex, 64);
	enc_hex(&hex, digest, 10);
	id = arena_cstr(a, buf_str(&hex));
	buf_free(&hex);
	return id;
}

static void
add_sts(struct planning *g)
{
	const struct zone_facts *f = g->f;
	enum zone_sts mode = (enum zone_sts)f->settings->mta_sts;

	if (mode == ZONE_STS_OFF)
		return;
	zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "MTA-STS: tells others to "
		"insist on TLS", under(g, "_mta-sts", f->domain),
		arena_printf(g->a, "v=STSv1; id=%s", zone_sts_id(
		zone_sts_policy(f->hostname, mode, g->a), g->a)));
	zone_add(g->p, ZONE_CNAME, ZONE_ALONE, "where the MTA-STS policy is "
		"fetched", under(g, "mta-sts", f->domain), host_dot(g));
}

static void
add_transport(struct planning *g)
{
	const struct zone_facts *f = g->f;

	add_sts(g);
	zone_add(g->p, ZONE_TXT, ZONE_TAGGED, "TLS-RPT: where others report "
		"trouble with TLS", under(g, "_smtp._tls", f->domain),
		arena_printf(g->a, "v=TLSRPTv1; rua=mailto:%s",
		f->report_to));
	/* Without DNSSEC nobody may believe a TLSA record (RFC 7672 2.2). */
	if (f->is_signed && f->tlsa)
		zone_add(g->p, ZONE_TLSA, ZONE_AMONG, "DANE: which "
			"certificate is yours", under(g, "_25._tcp",
			f->hostname), f->tlsa);
	if (f->authority)
		zone_add(g->p, ZONE_CAA, ZONE_BESIDE, "who may issue "
			"certificates for the domain", f->domain,
			arena_printf(g->a, "0 issue \"%s\"", f->authority));
}

/* --------------------------------------------------------------- clients */

static void
add_services(struct planning *g)
{
	const struct zone_facts *f = g->f;
	size_t i;

	for (i = 0; i < f->n_service; i++) {
		const struct zone_service *s = &f->service[i];
		const char *name = arena_printf(g->a, "%s._tcp.%s", s->name,
			f->domain);

		/* RFC 6186 3.4: a target of "." is a plain no. */
		if (s->port)
			zone_add(g->p, ZONE_SRV, ZONE_ALONE, "tells mail "
				"programs where to connect", name,
				arena_printf(g->a, "0 1 %u %s.", s->port,
				f->hostname));
		else
			zone_add(g->p, ZONE_SRV, ZONE_ALONE, "tells mail "
				"programs that there is none", name,
				"0 0 0 .");
	}
}

static void
add_clients(struct planning *g)
{
	add_services(g);
	zone_add(g->p, ZONE_CNAME, ZONE_ALONE, "Thunderbird and others set "
		"themselves up", under(g, "autoconfig", g->f->domain),
		host_dot(g));
	zone_add(g->p, ZONE_CNAME, ZONE_ALONE, "Outlook and phones set "
		"themselves up", under(g, "autodiscover", g->f->domain),
		host_dot(g));
}

void
zone_plan_make(struct zone_plan *p, const struct zone_facts *f)
{
	struct planning g = {p, f, p->a};

	p->domain = f->domain;
	p->hostname = f->hostname;
	p->ttl = f->settings->ttl;
	add_mx(&g);
	add_addresses(&g);
	add_spf(&g);
	add_dkim(&g);
	add_dmarc(&g);
	add_transport(&g);
	add_clients(&g);
}

enum zone_dmarc
zone_policy_of(const struct zone_plan *p)
{
	enum zone_dmarc policy;
	bool has_rua;
	size_t i;

	for (i = 0; i < p->n; i++)
		if (str_istarts(str_from(p->record[i].name), "_dmarc.") &&
			live_policy(str_from(p->record[i].value), &policy,
			&has_rua))
			return policy;
	return ZONE_DMARC_NONE;
}
