/*
 * tls_known.c - one small row a domain: "LEVEL SINCE_MS". Runner threads.
 */
#include "queue/tls_known.h"

#include "base/clock.h"
#include "base/log.h"

#define DAY (24 * 3600000LL)

const char *const tls_level_names[] = {"none", "encrypted", "verified"};

struct known {
	uint64_t level, noted;
};

static void
read_known(void *arg, struct mr_str value)
{
	struct known *k = arg;
	struct str text = str_of(value.at, value.len);

	if (!str_u64(str_cut(&text, ' '), TLS_LEVEL_VERIFIED, &k->level) ||
		!str_u64(text, INT64_MAX, &k->noted))
		*k = (struct known){0};
}

static struct known
look_up(const struct store *s, struct str domain)
{
	struct known k = {0};
	struct mr_error me;
	char key[300];

	snprintf(key, sizeof key, "%.*s", STR_ARGS(domain));
	if (MR_HAS(s->op, state_get) && s->op->state_get)
		s->op->state_get(s->self, TLS_SPACE, key, clock_wall(),
			read_known, &k, &me);
	return k;
}

enum tls_level
tls_known(const struct store *s, struct str domain)
{
	return (enum tls_level)look_up(s, domain).level;
}

void
tls_note(const struct store *s, struct str domain, enum tls_level level,
	int64_t memory_ms)
{
	struct known k = look_up(s, domain);
	int64_t now = clock_wall();
	struct mr_error me;
	char key[300], value[40];
	int n;

	if (k.level == level && now - (int64_t)k.noted < DAY)
		return;
	if (level < k.level)
		log_warn("deliver.tls.weaker", LOG_STR("domain", domain),
			LOG_S("was", tls_level_names[k.level]),
			LOG_S("is", tls_level_names[level]));
	if (!memory_ms || !MR_HAS(s->op, state_set) || !s->op->state_set)
		return;
	snprintf(key, sizeof key, "%.*s", STR_ARGS(domain));
	n = snprintf(value, sizeof value, "%d %lld", (int)level,
		(long long)now);
	if (s->op->state_set(s->self, TLS_SPACE, key, (struct mr_str){value,
		(size_t)n}, now + memory_ms, &me) != MR_STORE_OK)
		log_error("deliver.tls.note", LOG_S("error", me.text));
}
