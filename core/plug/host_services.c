/*
 * host_services.c - what plugins ask of the rest of the house: DNS, and small
 * facts kept in the store. The session's thread; blocks.
 */
#include "base/clock.h"
#include "base/log.h"
#include "net/dns.h"
#include "plug/scene.h"
#include "plug/store.h"

#define KEY_MOST 255
#define VALUE_MOST 4096
#define COUNT_LIFE (90ll * 86400 * 1000)

static const struct services *
services_of(struct mr_call *call)
{
	static const struct services none;
	const struct services *s = scene_of(call)->hooks->chain->services;

	return s ? s : &none;
}

/* ------------------------------------------------------------------- DNS */

static const struct mr_dns_record *
copy_records(struct arena *a, const struct dns_answer *from)
{
	struct mr_dns_record *out = arena_alloc(a,
		(from->n + 1) * sizeof *out);
	size_t i;

	for (i = 0; i < from->n; i++) {
		struct str data = arena_str(a, from->record[i].text);

		out[i] = (struct mr_dns_record){.ttl = from->record[i].ttl,
			.preference = from->record[i].preference,
			.data = {data.at, data.len}};
	}
	return out;
}

void
host_dns(struct mr_call *call, const char *name, uint32_t type,
	struct mr_dns_answer *out)
{
	static const enum mr_dns_status status[] = {
		[DNS_OK] = MR_DNS_OK, [DNS_NODATA] = MR_DNS_NODATA,
		[DNS_NXDOMAIN] = MR_DNS_NXDOMAIN,
		[DNS_TEMPFAIL] = MR_DNS_TEMPFAIL, [DNS_BOGUS] = MR_DNS_BOGUS,
	};
	struct scene *s = scene_of(call);
	const struct onlooker *watcher = s->hooks->chain->onlooker;
	struct dns *dns = services_of(call)->dns;
	struct dns_answer got;

	out->status = MR_DNS_TEMPFAIL;
	out->secure = out->n = 0;
	out->record = NULL;
	if (!dns || !name || type > UINT16_MAX)
		return;
	dns_query(dns, str_from(name), (enum dns_type)type, s->deadline,
		&s->scratch, &got);
	if (watcher)
		watcher->asked(watcher->arg, name, type, &got);
	out->status = status[got.status];
	out->secure = got.secure;
	out->n = (uint32_t)got.n;
	out->record = copy_records(&s->scratch, &got);
}

/* ----------------------------------------------------------------- state */

/* The store if it can keep such facts and the key is one, else NULL. */
static const struct store *
state_store(struct mr_call *call, const char *key)
{
	const struct store *s = services_of(call)->store;
	size_t len = key ? strlen(key) : 0;

	if (!s || !MR_HAS(s->op, state_add) || !s->op->state_add ||
		!len || len > KEY_MOST)
		return NULL;
	return s;
}

static int
failed(struct mr_call *call, const char *what, const struct mr_error *me)
{
	log_error("plugin.state", LOG_S("plugin",
		scene_of(call)->seat->plugin->name), LOG_S("doing", what),
		LOG_S("error", me->text));
	return -1;
}

struct found {
	struct arena *arena;
	struct str value;	/* at NULL: nothing came */
};

static void
take_value(void *arg, struct mr_str value)
{
	struct found *f = arg;

	f->value = arena_str(f->arena, str_of(value.at, value.len));
}

int
host_state_get(struct mr_call *call, const char *key, struct mr_str *value)
{
	const struct store *s = state_store(call, key);
	struct found f = {.arena = &scene_of(call)->scratch};
	struct mr_error me = {{0}};

	*value = (struct mr_str){"", 0};
	if (!s)
		return -1;
	if (s->op->state_get(s->self, scene_of(call)->seat->plugin->name, key,
		clock_wall(), take_value, &f, &me) != MR_STORE_OK)
		return failed(call, "get", &me);
	if (!f.value.at)
		return 0;
	*value = (struct mr_str){f.value.at, f.value.len};
	return 1;
}

int
host_state_set(struct mr_call *call, const char *key, struct mr_str value,
	int64_t ttl_ms)
{
	const struct store *s = state_store(call, key);
	struct mr_error me = {{0}};

	if (!s || value.len > VALUE_MOST || ttl_ms < 0)
		return -1;
	if (s->op->state_set(s->self, scene_of(call)->seat->plugin->name, key,
		value, clock_wall() + ttl_ms, &me) != MR_STORE_OK)
		return failed(call, "set", &me);
	return 0;
}

int
host_state_add(struct mr_call *call, const char *key, int64_t by,
	int64_t ttl_ms, int64_t *sum)
{
	const struct store *s = state_store(call, key);
	struct mr_error me = {{0}};
	int64_t now = clock_wall();

	*sum = 0;
	if (!s || ttl_ms < 0)
		return -1;
	if (s->op->state_add(s->self, scene_of(call)->seat->plugin->name, key,
		by, now, now + ttl_ms, sum, &me) != MR_STORE_OK)
		return failed(call, "add", &me);
	return 0;
}

void
scene_count(const struct scene *s, const char *verdict)
{
	const struct services *all = s->hooks->chain->services;
	const struct store *store = all ? all->store : NULL;
	struct mr_error me = {{0}};
	int64_t now = clock_wall(), sum;
	char key[KEY_MOST];

	if (!store || !store->op || !MR_HAS(store->op, state_add) ||
		!store->op->state_add)
		return;
	snprintf(key, sizeof key, "%s %s", s->seat->plugin->name, verdict);
	if (store->op->state_add(store->self, HOOKS_OBSERVED, key, 1, now,
		now + COUNT_LIFE, &sum, &me) != MR_STORE_OK)
		log_error("filter.count", LOG_S("filter",
			s->seat->plugin->name), LOG_S("error", me.text));
}
