/*
 * tls_policy.c - the order of policies for one host. Runner threads.
 */
#include "queue/tls_policy.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/esmtp_args.h"
#include "queue/dane.h"
#include "queue/tls_known.h"

#define TALLY_MS (10 * 24 * 3600000LL)

/* ------------------------------------------------------------------ counts */

/* What a report of RFC 8460 is made of. */
static void
count(struct tls_asker *q, const struct host *host, const char *kind,
	const char *result)
{
	const struct store *s = q->all->store;
	int64_t now = clock_wall(), sum;
	struct mr_error me;
	char day[32], key[700];

	if (!MR_HAS(s->op, state_add) || !s->op->state_add)
		return;
	clock_iso(now, day);
	snprintf(key, sizeof key, "%.10s %.*s %s %s %s", day,
		STR_ARGS(q->domain), kind, result, host->name);
	s->op->state_add(s->self, TLS_TALLY_SPACE, key, 1, now, now + TALLY_MS,
		&sum, &me);
}

/* ---------------------------------------------------------------- policies */

static bool
wants_tls(const struct tls_asker *q)
{
	return esmtp_arg(q->args, "REQUIRETLS", NULL);
}

/* true: DANE decides. */
static bool
by_dane(struct tls_asker *q, const struct host *host, struct tls_policy *p,
	struct reply *refused)
{
	struct dane dane;

	switch (dane_look_up(q->all->dns, host, q->all->port, q->deadline,
		q->arena, &dane)) {
	case DANE_FAILED:
		count(q, host, "tlsa", "dnssec-invalid");
		*refused = reply_printf(q->arena, 451, "4.7.5", "the TLSA "
			"records of %s cannot be looked up now (DANE)",
			host->name);
		return true;
	case DANE_USABLE:
		p->ctx = q->all->dane;
		p->want = (struct tls_want){.name = dane.base,
			.other_name = arena_cstr(q->arena, q->domain),
			.tlsa = dane.record, .n_tlsa = dane.n};
		break;
	case DANE_UNUSABLE:
		p->ctx = q->all->any;
		break;
	default:
		return false;
	}
	p->tls = CLIENT_TLS_MUST;
	p->kind = "tlsa";
	p->why = " (DANE)";
	return true;
}

static const struct sts_policy *
sts_of(struct tls_asker *q)
{
	if (!q->has_sts)
		sts_find(&q->all->sts, q->domain, q->deadline, q->arena,
			&q->sts);
	q->has_sts = true;
	return &q->sts;
}

/* true: MTA-STS decides. In testing mode it is only counted. */
static bool
by_sts(struct tls_asker *q, const struct host *host, struct tls_policy *p,
	struct reply *refused)
{
	const struct sts_policy *sts = sts_of(q);

	if (sts->fault)
		count(q, host, "sts", sts->fault);
	if (sts->mode == STS_NONE)
		return false;
	p->kind = "sts";
	if (!sts_allows(sts, host->name)) {
		count(q, host, "sts", "validation-failure");
		*refused = reply_printf(q->arena, 451, "4.7.5", "%s is not "
			"among the servers that %.*s names (MTA-STS)",
			host->name, STR_ARGS(q->domain));
		if (sts->mode == STS_ENFORCE)
			return true;
		refused->code = 0;
	}
	if (sts->mode != STS_ENFORCE)
		return false;
	p->tls = CLIENT_TLS_MUST;
	p->ctx = q->all->name;
	p->why = " (MTA-STS)";
	return true;
}

static void
by_memory(struct tls_asker *q, struct tls_policy *p)
{
	if (!q->all->memory_ms || tls_known(q->all->store, q->domain) ==
		TLS_LEVEL_NONE)
		return;
	p->tls = CLIENT_TLS_MUST;
	p->why = " (it had TLS before, and mail is not sent in the clear for "
		"that; the administrator can forget it: mailroom tls forget)";
}

/* RFC 8689 4.2.1: who the servers are must be proven, and that it is one of
 * them. */
static struct reply
by_message(struct tls_asker *q, const struct host *host, struct tls_policy *p)
{
	const struct sts_policy *sts = sts_of(q);

	if (!host->is_secure && (sts->mode == STS_NONE ||
		!sts_allows(sts, host->name)))
		return reply_printf(q->arena, 550, "5.7.30", "the sender "
			"requires TLS, and neither DNSSEC nor MTA-STS tells "
			"that %s takes the mail of %.*s", host->name,
			STR_ARGS(q->domain));
	if (p->ctx != q->all->dane)
		p->ctx = q->all->name;
	p->tls = CLIENT_TLS_MUST;
	p->why = " (the sender requires TLS)";
	return (struct reply){0};
}

struct reply
tls_policy_for(struct tls_asker *q, const struct host *host,
	struct tls_policy *out)
{
	struct reply refused = {0};

	*out = (struct tls_policy){.tls = CLIENT_TLS_MAY, .ctx = q->all->any,
		.want.name = host->name, .why = "", .kind = "no-policy-found"};
	if (esmtp_arg(q->args, TLS_NOT_REQUIRED, NULL))
		return refused;
	if (!by_dane(q, host, out, &refused) &&
		!by_sts(q, host, out, &refused))
		by_memory(q, out);
	if (!refused.code && wants_tls(q))
		refused = by_message(q, host, out);
	return refused;
}

/* ------------------------------------------------------------------ result */

void
tls_policy_heed(struct tls_asker *q, const struct host *host,
	const struct tls_policy *p, const struct client_result *r)
{
	bool failed = r->tls_fault && !r->is_secure;

	if (!r->connected || (!r->is_secure && !r->tls_fault))
		return;
	/* A certificate that does not count is a failure in testing mode. */
	if (r->is_secure && r->tls_fault && q->has_sts &&
		q->sts.mode == STS_TESTING)
		failed = true;
	count(q, host, p->kind, failed ? r->tls_fault : "success");
	if (r->is_secure)
		tls_note(q->all->store, q->domain, r->tls_fault ?
			TLS_LEVEL_ENCRYPTED : TLS_LEVEL_VERIFIED,
			q->all->memory_ms);
	if (failed)
		log_warn("deliver.tls", LOG_STR("domain", q->domain),
			LOG_S("host", host->name), LOG_S("policy", p->kind),
			LOG_S("result", r->tls_fault));
}
