/*
 * forward.c - which sender forwarded mail leaves with. Any thread.
 *
 * The keys stand in DATA/srs.keys, one a line: the day it was made and 64 hex
 * digits, newest first. Whoever needs a key and finds the newest older than
 * ROTATE_DAYS puts a new one on top, under a lock on the file beside it, and
 * drops those that no address in the world is made with any more.
 *
 * What was read is kept for a minute; `lock` guards it.
 */
#include "plug/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/enc.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/addr.h"
#include "mail/srs.h"

#define ROTATE_DAYS 30
#define KEEP_MS 60000
#define DAY_MS 86400000LL
#define FILE_MOST 4096
#define KEYS (sizeof ((struct srs_keys *)0)->key / SRS_KEY)

struct keys {
	struct srs_keys srs;
	int64_t day[KEYS];		/* made on */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct keys kept;
static int64_t kept_until;		/* clock_mono */

/* ------------------------------------------------------------------- keys */

static bool
parse_key(struct str hex, uint8_t out[SRS_KEY])
{
	static const char digits[] = "0123456789abcdef";
	const char *high, *low;
	size_t i;

	if (hex.len != 2 * SRS_KEY)
		return false;
	for (i = 0; i < SRS_KEY; i++) {
		high = memchr(digits, to_lower(hex.at[2 * i]), 16);
		low = memchr(digits, to_lower(hex.at[2 * i + 1]), 16);
		if (!high || !low)
			return false;
		out[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return true;
}

/* A file that is not there has no keys. */
static int
read_keys(const char *path, struct keys *out, struct err *e)
{
	struct arena a;
	struct str text, line;
	uint64_t day;
	int code;

	*out = (struct keys){.srs = {.n = 0}};
	arena_init(&a);
	code = file_read(path, FILE_MOST, &a, &text, e);
	if (code < 0 && e->sys == ENOENT)
		code = 0;
	else if (code == 0)
		while (text.len && out->srs.n < KEYS) {
			line = str_cut(&text, '\n');
			if (str_u64(str_word(&line), INT64_MAX / DAY_MS,
				&day) && parse_key(str_trim(line),
				out->srs.key[out->srs.n]))
				out->day[out->srs.n++] = (int64_t)day;
		}
	arena_free(&a);
	return code;
}

static int
write_keys(const char *path, const struct keys *k, struct err *e)
{
	struct buf b;
	size_t i;
	int code;

	buf_init(&b, FILE_MOST);
	for (i = 0; i < k->srs.n; i++) {
		buf_addf(&b, "%lld ", (long long)k->day[i]);
		enc_hex(&b, k->srs.key[i], SRS_KEY);
		buf_addc(&b, '\n');
	}
	code = file_replace(path, buf_str(&b), 0600, e);
	explicit_bzero(b.at, b.len);
	buf_free(&b);
	return code;
}

static bool
is_stale(const struct keys *k, int64_t today)
{
	return !k->srs.n || today - k->day[0] >= ROTATE_DAYS;
}

static void
add_key(struct keys *k, int64_t today)
{
	size_t n = k->srs.n < KEYS ? k->srs.n : KEYS - 1;

	/* The last one that a key made is good for SRS_DAYS after the next
	 * key came. */
	while (n > 1 && today - k->day[n - 2] > SRS_DAYS + 1)
		n--;
	memmove(k->srs.key[1], k->srs.key[0], n * SRS_KEY);
	memmove(&k->day[1], &k->day[0], n * sizeof k->day[0]);
	enc_random(k->srs.key[0], SRS_KEY);
	k->day[0] = today;
	k->srs.n = n + 1;
}

static int
rotate(const char *path, struct keys *k, int64_t today, struct err *e)
{
	char name[4096];
	int fd, code;

	snprintf(name, sizeof name, "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		code = err_sys(e, "%s", name);
	} else if ((code = read_keys(path, k, e)) == 0 &&
		is_stale(k, today)) {	/* nobody was faster */
		add_key(k, today);
		code = write_keys(path, k, e);
	}
	if (fd >= 0)
		close(fd);
	return code;
}

static int
load_keys(const char *data, struct keys *out)
{
	int64_t today = clock_wall() / DAY_MS;
	char path[4000];
	struct err e = {0};
	int code;

	snprintf(path, sizeof path, "%s/srs.keys", data);
	code = read_keys(path, out, &e);
	if (code == 0 && is_stale(out, today))
		code = rotate(path, out, today, &e);
	if (code < 0)
		log_error("forward.keys", LOG_S("error", e.text));
	return code;
}

static int
get_keys(const char *data, struct srs_keys *out)
{
	int code = 0;

	pthread_mutex_lock(&lock);
	if (clock_mono() >= kept_until) {
		code = load_keys(data, &kept);
		kept_until = code < 0 ? 0 : clock_mono() + KEEP_MS;
	}
	*out = kept.srs;
	pthread_mutex_unlock(&lock);
	return code;
}

/* --------------------------------------------------------------- forward */

static bool
is_ours(const struct plugins *p, struct str domain)
{
	return route_is_local(p, domain) == 1;
}

const char *
forward_sender(const struct plugins *p, struct arena *a,
	const struct route_target *t, const char *sender)
{
	struct srs_keys keys;
	struct addr from;
	struct str out;

	if (t->account || !*sender)
		return sender;
	if (t->sender)
		return t->sender;
	if (!p->rewrites_senders || !t->via || !p->data ||
		!addr_parse(str_from(sender), &from) ||
		is_ours(p, from.domain) || !is_ours(p, str_from(t->via)))
		return sender;
	if (get_keys(p->data, &keys) < 0 || !srs_forward(&keys, a,
		str_from(sender), str_from(t->via), clock_wall(), &out))
		return sender;
	return arena_cstr(a, out);
}

enum route_answer
forward_back(const struct plugins *p, struct arena *a, struct str address,
	struct route_target **out)
{
	struct str domain = str_sub(address, str_rfind(address, '@') + 1,
		address.len), sender;
	struct srs_keys keys;
	struct addr to;
	int local;

	if (!str_istarts(address, "SRS") || !p->rewrites_senders || !p->data)
		return ROUTE_REMOTE;
	local = route_is_local(p, domain);
	if (local <= 0)
		return local < 0 ? ROUTE_TEMPFAIL : ROUTE_REMOTE;
	if (get_keys(p->data, &keys) < 0)
		return ROUTE_TEMPFAIL;
	switch (srs_reverse(&keys, a, address, clock_wall(), &sender)) {
	case SRS_OTHER:
		return ROUTE_REMOTE;
	case SRS_VALID:
		if (!addr_parse(sender, &to))
			return ROUTE_UNKNOWN_USER;
		*out = arena_alloc(a, sizeof **out);
		(*out)->address = arena_cstr(a, sender);
		(*out)->via = arena_cstr(a, domain);
		return ROUTE_LOCAL;
	default:
		return ROUTE_UNKNOWN_USER;
	}
}
