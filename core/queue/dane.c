/*
 * dane.c - which TLSA records count. Runner threads.
 *
 * Only what DNSSEC proves is looked at: MX, address and TLSA (RFC 7672 2.1).
 * Usages 0 and 1 are of no use to SMTP (3.1.3).
 */
#include "queue/dane.h"

enum { USAGE_TA = 2, USAGE_EE = 3, SELECTOR_MOST = 1 };

static bool
is_usable(const struct tls_tlsa *t)
{
	static const size_t length[] = {0, 32, 64};	/* by matching type */

	if (t->usage != USAGE_TA && t->usage != USAGE_EE)
		return false;
	return t->selector <= SELECTOR_MOST && t->matching <= 2 &&
		(t->matching ? t->data.len == length[t->matching] :
		t->data.len > 0);
}

static void
take_record(struct dane *out, struct str rdata)
{
	struct tls_tlsa t = {.usage = UINT8_MAX};

	if (rdata.len < 4)
		return;
	t.usage = (uint8_t)rdata.at[0];
	t.selector = (uint8_t)rdata.at[1];
	t.matching = (uint8_t)rdata.at[2];
	t.data = str_sub(rdata, 3, rdata.len);
	if (is_usable(&t))
		out->record[out->n++] = t;
}

static enum dane_answer
look_up_at(struct dns *d, const char *base, unsigned port, int64_t deadline,
	struct arena *a, struct dane *out)
{
	const char *name = arena_printf(a, "_%u._tcp.%s", port, base);
	struct dns_answer answer;
	size_t i;

	dns_query(d, str_from(name), DNS_TLSA, deadline, a, &answer);
	if (answer.status == DNS_TEMPFAIL || answer.status == DNS_BOGUS)
		return DANE_FAILED;
	if (answer.status != DNS_OK || !answer.secure)
		return DANE_NONE;
	*out = (struct dane){.base = base, .record = arena_alloc(a,
		answer.n * sizeof *out->record)};
	for (i = 0; i < answer.n; i++)
		take_record(out, answer.record[i].text);
	return out->n ? DANE_USABLE : DANE_UNUSABLE;
}

enum dane_answer
dane_look_up(struct dns *d, const struct host *host, unsigned port,
	int64_t deadline, struct arena *a, struct dane *out)
{
	enum dane_answer answer = DANE_NONE;

	*out = (struct dane){.base = host->name};
	if (!host->is_secure)
		return DANE_NONE;
	if (strcasecmp(host->canonical, host->name))
		answer = look_up_at(d, host->canonical, port, deadline, a,
			out);
	return answer != DANE_NONE ? answer : look_up_at(d, host->name, port,
		deadline, a, out);
}
