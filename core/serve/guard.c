/*
 * guard.c - one table of peers, bounded; g->lock guards it. What outlives the
 * process is in the store.
 */
#include "serve/guard.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "net/limit.h"
#include "serve/serve.h"

#define PEERS_MOST 65536	/* known at once; then all are forgotten */
#define GUESSES_MOST 50
#define LOOK_MS 2000		/* bans of other processes are heeded by then */
#define MINUTE 60000
#define HOUR (60 * MINUTE)
#define DAY (24LL * HOUR)
#define PATIENT_MS (30 * DAY)
#define GOOD_MS (30 * DAY)
#define UNKNOWN_EACH 4		/* failures without a password count as one */

struct peer {
	int64_t minute;		/* clock_mono / MINUTE of `came` */
	uint32_t came;
	int64_t patient_until, good_until;	/* clock_mono */
	int64_t wrong_since;
	uint32_t unknown;
	uint32_t n_guess;
	uint64_t guess[GUESSES_MOST];
};

struct sender {			/* an account */
	int64_t hour, day;	/* since the start of the clock */
	int64_t in_hour, in_day;
	int64_t next_login;	/* clock_mono */
};

struct guard {
	const struct store *store;
	const struct limits_settings *limits;
	pthread_mutex_t lock;
	struct map peers;
	struct map banned;	/* peer: anything */
	struct map senders;
	int64_t looked;
	bool looking;
};

/* ------------------------------------------------------------------- peers */

static void
forget_all(struct map *m)
{
	struct str key;
	void *value;
	size_t at = 0;

	while (map_next(m, &at, &key, &value))
		free(value);
	map_free(m);
	map_init(m);
}

/* Lock held. */
static struct peer *
find_peer(struct guard *g, const struct sock_addr *peer)
{
	char text[SOCK_TEXT];
	struct str key = limit_peer_key(peer, text);
	struct peer *p = map_get(&g->peers, key);

	if (p)
		return p;
	if (g->peers.count >= PEERS_MOST)
		forget_all(&g->peers);
	p = mem_alloc(sizeof *p);
	map_put(&g->peers, key, p);
	return p;
}

bool
guard_may_come(struct guard *g, const struct sock_addr *peer)
{
	int64_t most = g ? g->limits->connection_rate : 0;
	int64_t now = clock_mono() / MINUTE;
	struct peer *p;
	bool may;

	if (!most)
		return true;
	pthread_mutex_lock(&g->lock);
	p = find_peer(g, peer);
	if (p->minute != now)
		p->came = 0;
	p->minute = now;
	may = ++p->came <= most;
	pthread_mutex_unlock(&g->lock);
	return may;
}

bool
guard_is_patient(struct guard *g, const struct sock_addr *peer)
{
	bool is;

	pthread_mutex_lock(&g->lock);
	is = find_peer(g, peer)->patient_until > clock_mono();
	pthread_mutex_unlock(&g->lock);
	return is;
}

void
guard_note_patient(struct guard *g, const struct sock_addr *peer)
{
	pthread_mutex_lock(&g->lock);
	find_peer(g, peer)->patient_until = clock_mono() + PATIENT_MS;
	pthread_mutex_unlock(&g->lock);
}

/* -------------------------------------------------------------------- bans */

static int
take_ban(void *arg, const char *peer, struct mr_str value)
{
	struct map *m = arg;

	(void)value;
	map_put(m, str_from(peer), m);
	return 0;
}

/* Lock held, and given back meanwhile. */
static void
look(struct guard *g)
{
	const struct store *s = g->store;
	struct map fresh, old;
	struct mr_error me;
	int code;

	g->looking = true;
	pthread_mutex_unlock(&g->lock);
	map_init(&fresh);
	code = s->op->state_list(s->self, GUARD_BANS, "", clock_wall(),
		take_ban, &fresh, &me);
	pthread_mutex_lock(&g->lock);
	g->looking = false;
	g->looked = clock_mono();
	old = fresh;
	if (code == MR_STORE_OK) {
		old = g->banned;
		g->banned = fresh;
	}
	map_free(&old);
}

static bool
can_ban(const struct guard *g)
{
	return g->limits->ban_after && MR_HAS(g->store->op, state_list) &&
		g->store->op->state_list && g->store->op->state_set;
}

bool
guard_is_banned(struct guard *g, const struct sock_addr *peer)
{
	char text[SOCK_TEXT];
	struct str key = limit_peer_key(peer, text);
	bool is;

	if (!g || !can_ban(g))
		return false;
	pthread_mutex_lock(&g->lock);
	if (!g->looking && clock_mono() - g->looked >= LOOK_MS)
		look(g);
	is = map_get(&g->banned, key) != NULL;
	pthread_mutex_unlock(&g->lock);
	return is;
}

static void
ban(struct guard *g, const char *peer, unsigned guesses)
{
	const struct store *s = g->store;
	int64_t now = clock_wall();
	struct mr_error me = {{0}};
	char value[120];
	int n = snprintf(value, sizeof value, "%lld %u wrong passwords",
		(long long)now, guesses);

	if (s->op->state_set(s->self, GUARD_BANS, peer, (struct mr_str){value,
		(size_t)n}, now + g->limits->ban_time, &me) != MR_STORE_OK)
		log_error("guard.ban", LOG_S("error", me.text));
	log_warn("guard.ban", LOG_S("peer", peer), LOG_N("guesses", guesses),
		LOG_N("ms", g->limits->ban_time));
}

/* ------------------------------------------------------------------ logins */

static void
found(void *arg, struct mr_str value)
{
	(void)value;
	*(bool *)arg = true;
}

static bool
is_good_in_store(struct guard *g, const char *peer)
{
	const struct store *s = g->store;
	struct mr_error me;
	bool is = false;

	s->op->state_get(s->self, GUARD_GOOD, peer, clock_wall(), found, &is,
		&me);
	return is;
}

/* Written once a day for each address. */
static void
heed_good(struct guard *g, const struct sock_addr *peer, const char *key)
{
	const struct store *s = g->store;
	struct mr_error me;
	struct peer *p;
	bool is_news;

	pthread_mutex_lock(&g->lock);
	p = find_peer(g, peer);
	is_news = p->good_until < clock_mono() + GOOD_MS - DAY;
	if (is_news)
		p->good_until = clock_mono() + GOOD_MS;
	p->n_guess = p->unknown = 0;
	pthread_mutex_unlock(&g->lock);
	if (is_news)
		s->op->state_set(s->self, GUARD_GOOD, key,
			(struct mr_str){"1", 1}, clock_wall() + GOOD_MS, &me);
}

/* Lock held. true: it is a new one. */
static bool
add_guess(struct peer *p, uint64_t guess)
{
	uint32_t i;

	for (i = 0; i < p->n_guess; i++)
		if (p->guess[i] == guess)
			return false;
	if (p->n_guess < GUESSES_MOST)
		p->guess[p->n_guess++] = guess;
	return true;
}

static void
heed_wrong(struct guard *g, const struct sock_addr *peer, const char *key,
	uint64_t guess)
{
	int64_t now = clock_mono();
	unsigned n = 0;
	struct peer *p;

	pthread_mutex_lock(&g->lock);
	p = find_peer(g, peer);
	if (now - p->wrong_since > HOUR) {
		p->wrong_since = now;
		p->n_guess = p->unknown = 0;
	}
	if (!guess)
		guess = 1 + p->unknown++ / UNKNOWN_EACH;
	if (p->good_until <= now && add_guess(p, guess) &&
		p->n_guess >= g->limits->ban_after)
		n = p->n_guess;
	pthread_mutex_unlock(&g->lock);
	if (!n)
		return;
	if (is_good_in_store(g, key)) {
		pthread_mutex_lock(&g->lock);
		find_peer(g, peer)->good_until = now + DAY;
		pthread_mutex_unlock(&g->lock);
		return;
	}
	ban(g, key, n);
	pthread_mutex_lock(&g->lock);
	g->looked = 0;		/* it counts at once here */
	pthread_mutex_unlock(&g->lock);
}

void
guard_heed_login(struct guard *g, const struct sock_addr *peer, bool is_good,
	uint64_t guess)
{
	char key[SOCK_TEXT];

	if (!g || !can_ban(g) || sock_is_loopback(peer))
		return;
	limit_peer_key(peer, key);
	if (is_good)
		heed_good(g, peer, key);
	else
		heed_wrong(g, peer, key, guess);
}

/* ----------------------------------------------------------------- sending */

/* Lock held. */
static struct sender *
find_sender(struct guard *g, const char *account)
{
	int64_t now = clock_mono();
	struct sender *s = map_get(&g->senders, str_from(account));

	if (!s) {
		s = mem_alloc(sizeof *s);
		map_put(&g->senders, str_from(account), s);
	}
	if (s->hour != now / HOUR)
		s->in_hour = 0;
	if (s->day != now / DAY)
		s->in_day = 0;
	s->hour = now / HOUR;
	s->day = now / DAY;
	return s;
}

bool
guard_may_send(struct guard *g, const char *account, size_t n_rcpt)
{
	const struct limits_settings *l = g->limits;
	const struct sender *s;
	bool may;

	pthread_mutex_lock(&g->lock);
	s = find_sender(g, account);
	may = (!l->recipients_per_hour || s->in_hour + (int64_t)n_rcpt <=
		l->recipients_per_hour) && (!l->recipients_per_day ||
		s->in_day + (int64_t)n_rcpt <= l->recipients_per_day);
	pthread_mutex_unlock(&g->lock);
	return may;
}

void
guard_note_sent(struct guard *g, const char *account, size_t n_rcpt)
{
	struct sender *s;

	pthread_mutex_lock(&g->lock);
	s = find_sender(g, account);
	s->in_hour += (int64_t)n_rcpt;
	s->in_day += (int64_t)n_rcpt;
	pthread_mutex_unlock(&g->lock);
}

bool
guard_may_log_in(struct guard *g, const char *account)
{
	int64_t now = clock_mono();
	struct sender *s;
	bool may;

	if (!g || !g->limits->pop3_login_delay)
		return true;
	pthread_mutex_lock(&g->lock);
	s = find_sender(g, account);
	may = now >= s->next_login;
	if (may)
		s->next_login = now + g->limits->pop3_login_delay;
	pthread_mutex_unlock(&g->lock);
	return may;
}

/* -------------------------------------------------------------------- life */

struct guard *
guard_new(const struct store *s, const struct limits_settings *limits)
{
	struct guard *g = mem_alloc(sizeof *g);

	*g = (struct guard){.store = s, .limits = limits, .looked = -LOOK_MS};
	pthread_mutex_init(&g->lock, NULL);
	map_init(&g->peers);
	map_init(&g->banned);
	map_init(&g->senders);
	return g;
}

void
guard_free(struct guard *g)
{
	if (!g)
		return;
	forget_all(&g->peers);
	forget_all(&g->senders);
	map_free(&g->peers);
	map_free(&g->senders);
	map_free(&g->banned);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
