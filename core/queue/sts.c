/*
 * sts.c - record, policy, cache. Runner threads; blocks on DNS, HTTPS and the
 * store. The lock guards only the list of failures.
 */
#include "queue/sts.h"

#include <netinet/in.h>
#include <arpa/inet.h>

#include "base/clock.h"
#include "base/log.h"
#include "mail/addr.h"
#include "plug/hooks.h"

#define TEXT_MOST (64 << 10)	/* RFC 8461 3.3 */
#define FETCH_MS 60000		/* the same */
#define AGE_MOST 31557600	/* 3.2: about a year, seconds */
#define REFRESH_MS (24 * 3600000LL)
#define AGAIN_MS 300000		/* 5.1: not more often after a failure */
#define MX_MOST 100

/* ----------------------------------------------------------------- record */

static bool
is_id(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (!is_alnum(s.at[i]))
			return false;
	return s.len >= 1 && s.len <= 32;
}

bool
sts_read_record(struct str txt, struct str *id)
{
	struct str field, name;

	if (!str_is(str_trim_blank(str_cut(&txt, ';')), "v=STSv1"))
		return false;
	*id = STR("");
	while (txt.len) {
		field = str_trim_blank(str_cut(&txt, ';'));
		name = str_cut(&field, '=');
		if (str_is(name, "id") && !id->len)
			*id = field;
	}
	return is_id(*id);
}

/* ----------------------------------------------------------------- policy */

static bool
is_pattern(struct str s)
{
	if (str_starts(s, "*."))
		s = str_sub(s, 2, s.len);
	return addr_is_domain(s, false) && s.at[0] != '[';
}

static bool
take_mode(struct str value, enum sts_mode *out)
{
	static const char *const names[] = {"none", "testing", "enforce"};
	int i;

	for (i = 0; i < 3; i++)
		if (str_is(value, names[i])) {
			*out = (enum sts_mode)i;
			return true;
		}
	return false;
}

struct seen {
	bool version, mode, age;
};

static bool
take_field(struct sts_policy *p, struct seen *seen, struct str key,
	struct str value)
{
	uint64_t n;

	if (str_is(key, "version") && !seen->version)
		return seen->version = str_is(value, "STSv1");
	if (str_is(key, "mode") && !seen->mode)
		return seen->mode = take_mode(value, &p->mode);
	if (str_is(key, "max_age") && !seen->age) {
		seen->age = str_u64(value, INT32_MAX, &n);
		p->max_age_ms = (n > AGE_MOST ? AGE_MOST : (int64_t)n) * 1000;
		return seen->age;
	}
	if (!str_is(key, "mx"))
		return true;	/* 3.2: unknown fields are passed over */
	if (!is_pattern(value) || p->n_mx == MX_MOST)
		return false;
	p->mx[p->n_mx++] = value;
	return true;
}

bool
sts_read_policy(struct str text, struct arena *a, struct sts_policy *out)
{
	struct seen seen = {false, false, false};
	struct str rest = text, line, key;

	*out = (struct sts_policy){.text = text,
		.mx = arena_alloc(a, MX_MOST * sizeof *out->mx)};
	while (rest.len) {
		line = str_trim(str_cut(&rest, '\n'));
		key = str_trim_blank(str_cut(&line, ':'));
		if (key.len && !take_field(out, &seen, key,
			str_trim_blank(line)))
			return false;
	}
	return seen.version && seen.mode && seen.age &&
		(out->n_mx || out->mode == STS_NONE);
}

bool
sts_allows(const struct sts_policy *p, const char *mx)
{
	struct str name = str_from(mx), rest = name;
	size_t i;

	str_cut(&rest, '.');
	for (i = 0; i < p->n_mx; i++)
		if (str_starts(p->mx[i], "*.") ? str_ieq(rest,
			str_sub(p->mx[i], 2, p->mx[i].len)) :
			str_ieq(name, p->mx[i]))
			return true;
	return false;
}

/* ------------------------------------------------------------------ cache */

struct kept {
	struct arena *arena;
	struct str text;
};

static void
take_kept(void *arg, struct mr_str value)
{
	struct kept *k = arg;

	k->text = arena_str(k->arena, str_of(value.at, value.len));
}

/* "ID FETCHED_MS\n" and the policy. */
static bool
read_kept(struct sts *s, const char *domain, struct arena *a,
	struct sts_policy *out)
{
	struct kept k = {.arena = a};
	struct str head, id;
	struct mr_error me;
	uint64_t when;

	s->store->op->state_get(s->store->self, STS_SPACE, domain,
		clock_wall(), take_kept, &k, &me);
	head = str_cut(&k.text, '\n');
	id = str_cut(&head, ' ');
	if (!str_u64(head, INT64_MAX, &when) ||
		!sts_read_policy(k.text, a, out))
		return false;
	out->id = id;
	out->fetched_ms = (int64_t)when;
	return true;
}

static void
keep(struct sts *s, const char *domain, struct arena *a,
	const struct sts_policy *p)
{
	const char *text = arena_printf(a, "%.*s %lld\n%.*s", STR_ARGS(p->id),
		(long long)p->fetched_ms, STR_ARGS(p->text));
	struct mr_error me;

	if (s->store->op->state_set(s->store->self, STS_SPACE, domain,
		(struct mr_str){text, strlen(text)}, p->fetched_ms +
		p->max_age_ms, &me) != MR_STORE_OK)
		log_error("sts.keep", LOG_S("error", me.text));
}

/* ------------------------------------------------------------------ fetch */

struct fetched {
	struct arena *arena;
	struct str text;
	bool is_text;
};

static void
take_document(void *arg, struct mr_str body, const char *type)
{
	struct fetched *f = arg;

	f->is_text = str_istarts(str_from(type), "text/plain");
	f->text = arena_str(f->arena, str_of(body.at, body.len));
}

/* The host by our resolver, so that there is only one. */
static const char *
find_address(struct sts *s, const char *host, int64_t deadline,
	struct arena *a)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	struct dns_answer answer;
	char *text = arena_alloc(a, INET6_ADDRSTRLEN);
	size_t i;

	for (i = 0; i < 2; i++) {
		dns_query(s->dns, str_from(host), types[i], deadline, a,
			&answer);
		if (answer.status == DNS_OK && inet_ntop(i ? AF_INET6 :
			AF_INET, answer.record[0].text.at, text,
			INET6_ADDRSTRLEN))
			return text;
	}
	return NULL;
}

/* NULL, or what was wrong (RFC 8460 4.3.1.4). */
static const char *
fetch(struct sts *s, const char *domain, int64_t deadline, struct arena *a,
	struct sts_policy *out, char *why, size_t size)
{
	const struct mr_fetcher *f = PLUG_ROLE(s->fetcher->desc, fetcher);
	const char *host = arena_printf(a, "mta-sts.%s", domain);
	const char *address = find_address(s, host, deadline, a);
	struct fetched got = {.arena = a};
	struct mr_fetch what = {.size = sizeof what, .address = address,
		.url = arena_printf(a, "https://%s:%u/.well-known/mta-sts.txt",
			host, s->port), .timeout_ms = FETCH_MS,
		.most = TEXT_MOST, .found = take_document, .arg = &got,
		.error = why, .error_size = size};
	int status = -1;

	snprintf(why, size, "%s has no address", host);
	if (address) {
		hooks_leave_breadcrumb(s->fetcher->name, "fetch", NULL);
		status = f->fetch(s->fetcher->config, &what);
		hooks_leave_breadcrumb(NULL, NULL, NULL);
	}
	if (status != 200) {
		if (status > 0)
			snprintf(why, size, "HTTP status %d", status);
		return strstr(why, "certificate") ? "sts-webpki-invalid" :
			"sts-policy-fetch-error";
	}
	snprintf(why, size, "%s", got.is_text ? "not a policy" :
		"not text/plain");
	return got.is_text && sts_read_policy(got.text, a, out) ? NULL :
		"sts-policy-invalid";
}

/* After a failure a domain is left alone for a while. */
static bool
may_fetch(struct sts *s, const char *domain)
{
	int64_t *until;
	bool may;

	pthread_mutex_lock(&s->lock);
	until = map_get(&s->failed, str_from(domain));
	may = !until || *until <= clock_mono();
	pthread_mutex_unlock(&s->lock);
	return may;
}

static void
set_wait(struct sts *s, const char *domain, int64_t ms)
{
	int64_t *until;

	pthread_mutex_lock(&s->lock);
	until = map_remove(&s->failed, str_from(domain));
	if (ms) {
		if (!until)
			until = mem_alloc(sizeof *until);
		*until = clock_mono() + ms;
		map_put(&s->failed, str_from(domain), until);
	} else {
		free(until);
	}
	pthread_mutex_unlock(&s->lock);
}

static void
fetch_new(struct sts *s, const char *domain, struct str id, int64_t deadline,
	struct arena *a, struct sts_policy *out)
{
	struct sts_policy got;
	char why[200];
	const char *fault;

	if (!may_fetch(s, domain))
		return;
	set_wait(s, domain, FETCH_MS);	/* one at a time */
	fault = fetch(s, domain, deadline, a, &got, why, sizeof why);
	set_wait(s, domain, fault ? AGAIN_MS : 0);
	if (fault) {
		log_warn("sts.fetch", LOG_S("domain", domain),
			LOG_S("result", fault), LOG_S("error", why));
		out->fault = fault;
		return;		/* what was kept goes on to hold (5.1) */
	}
	got.id = id;
	got.fetched_ms = clock_wall();
	keep(s, domain, a, &got);
	*out = got;
}

/* The id that DNS gives; "" if it cannot be told now, or there is none. */
static struct str
find_id(struct sts *s, const char *domain, int64_t deadline, struct arena *a)
{
	struct str name = str_from(arena_printf(a, "_mta-sts.%s", domain));
	struct dns_answer answer;
	struct str id, found = STR("");
	size_t i, n = 0;

	dns_query(s->dns, name, DNS_TXT, deadline, a, &answer);
	for (i = 0; answer.status == DNS_OK && i < answer.n; i++) {
		struct str txt = answer.record[i].text;

		if (!str_starts(txt, "v=STSv1"))
			continue;
		n++;
		if (sts_read_record(txt, &id))
			found = id;
	}
	return n == 1 ? found : STR("");
}

void
sts_find(struct sts *s, struct str domain, int64_t deadline, struct arena *a,
	struct sts_policy *out)
{
	const char *name = arena_cstr(a, domain);
	bool is_kept;
	struct str id;

	*out = (struct sts_policy){.mode = STS_NONE};
	if (!s->fetcher || str_starts(domain, "["))
		return;
	id = find_id(s, name, deadline, a);
	is_kept = read_kept(s, name, a, out);
	if (!is_kept)
		*out = (struct sts_policy){.mode = STS_NONE};
	if (id.len && (!is_kept || !str_eq(id, out->id) ||
		clock_wall() - out->fetched_ms > REFRESH_MS))
		fetch_new(s, name, id, deadline, a, out);
}

void
sts_init(struct sts *s, struct dns *dns, const struct store *store,
	const struct plugin *fetcher, unsigned port)
{
	*s = (struct sts){.dns = dns, .store = store, .fetcher = fetcher,
		.port = port};
	pthread_mutex_init(&s->lock, NULL);
	map_init(&s->failed);
}
