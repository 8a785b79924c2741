/*
 * srs.c - the rewriting itself. Pure; any thread.
 *
 * The hash is an HMAC-SHA256 cut to 30 bits, in letters and digits without
 * case, over the rest of the local part in lower case: servers on the way may
 * change the case of an address. 30 bits are enough against guessing one
 * RCPT at a time, and leave room in a local part. The time is the day modulo
 * 1024 in two characters.
 */
#include "mail/srs.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/buf.h"

#define HASH 6
#define DAY_MS 86400000LL
#define DAYS 1024

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

static void
make_hash(const uint8_t *key, char kind, struct str text, char out[HASH + 1])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	uint64_t bits = 0;
	struct buf b;
	unsigned n;
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	buf_addc(&b, kind);
	for (i = 0; i < text.len; i++)
		buf_addc(&b, to_lower(text.at[i]));
	HMAC(EVP_sha256(), key, SRS_KEY, (const uint8_t *)b.at, b.len, digest,
		&n);
	buf_free(&b);
	for (i = 0; i < 8; i++)
		bits = bits << 8 | digest[i];
	for (i = 0; i < HASH; i++, bits >>= 5)
		out[i] = digits[bits & 31];
	out[HASH] = '\0';
}

/* Each key is tried, so that a new one does not make old addresses void. */
static bool
is_made_by_us(const struct srs_keys *k, char kind, struct str hash,
	struct str text)
{
	char right[HASH + 1];
	size_t i;

	for (i = 0; i < k->n; i++) {
		make_hash(k->key[i], kind, text, right);
		if (str_iis(hash, right))
			return true;
	}
	return false;
}

static void
write_day(int64_t now_ms, char out[3])
{
	unsigned day = (unsigned)(now_ms / DAY_MS % DAYS);

	out[0] = digits[day >> 5];
	out[1] = digits[day & 31];
	out[2] = '\0';
}

static bool
is_recent(struct str day, int64_t now_ms)
{
	const char *high, *low;
	int64_t age;

	if (day.len != 2)
		return false;
	high = memchr(digits, to_lower(day.at[0]), 32);
	low = memchr(digits, to_lower(day.at[1]), 32);
	if (!high || !low)
		return false;
	age = now_ms / DAY_MS - ((high - digits) << 5 | (low - digits));
	age = ((age % DAYS) + DAYS) % DAYS;
	/* A day ahead: the clock of another machine. */
	return age <= SRS_DAYS || age == DAYS - 1;
}

/* "SRS0" or "SRS1" and a separator: 0, 1, or -1. */
static int
kind_of(struct str local)
{
	if (local.len < 6 || !str_istarts(local, "SRS") ||
		!strchr("=+-", local.at[4]))
		return -1;
	return local.at[3] == '0' ? 0 : local.at[3] == '1' ? 1 : -1;
}

static void
split(struct str address, struct str *local, struct str *domain)
{
	size_t at = str_rfind(address, '@');

	*local = str_sub(address, 0, at);
	*domain = str_sub(address, at + 1, address.len);
}

/* --------------------------------------------------------------- forward */

static struct str
join(struct arena *a, const struct srs_keys *k, char kind, struct str text,
	struct str domain)
{
	char hash[HASH + 1];

	make_hash(k->key[0], kind, text, hash);
	return str_from(arena_printf(a, "SRS%c=%s=%.*s@%.*s", kind, hash,
		STR_ARGS(text), STR_ARGS(domain)));
}

bool
srs_forward(const struct srs_keys *k, struct arena *a, struct str sender,
	struct str domain, int64_t now_ms, struct str *out)
{
	struct str local, from, text;
	char day[3];
	int kind;

	split(sender, &local, &from);
	if (!k->n || !local.len || !from.len || local.at[0] == '"')
		return false;
	kind = kind_of(local);
	if (kind == 1) {	/* its first hop stays, ours replaces the last */
		text = str_sub(local, 5, local.len);
		str_cut(&text, '=');
	} else if (kind == 0) {
		text = str_from(arena_printf(a, "%.*s=%.*s", STR_ARGS(from),
			STR_ARGS(str_sub(local, 4, local.len))));
	} else {
		write_day(now_ms, day);
		text = str_from(arena_printf(a, "%s=%.*s=%.*s", day,
			STR_ARGS(from), STR_ARGS(local)));
	}
	if (!text.len)
		return false;
	*out = join(a, k, kind < 0 ? '0' : '1', text, domain);
	return true;
}

/* --------------------------------------------------------------- reverse */

static enum srs_answer
reverse_first(struct arena *a, struct str text, int64_t now_ms,
	struct str *out)
{
	struct str day = str_cut(&text, '='), domain = str_cut(&text, '=');

	if (!is_recent(day, now_ms))
		return SRS_EXPIRED;
	if (!domain.len || !text.len)
		return SRS_FORGED;
	*out = str_from(arena_printf(a, "%.*s@%.*s", STR_ARGS(text),
		STR_ARGS(domain)));
	return SRS_VALID;
}

/* To the first hop, which knows its own kind of address; the time is its
 * business too. */
static enum srs_answer
reverse_second(struct arena *a, struct str text, struct str *out)
{
	struct str hop = str_cut(&text, '=');

	if (!hop.len || text.len < 2 || !strchr("=+-", text.at[0]))
		return SRS_FORGED;
	*out = str_from(arena_printf(a, "SRS0%.*s@%.*s", STR_ARGS(text),
		STR_ARGS(hop)));
	return SRS_VALID;
}

enum srs_answer
srs_reverse(const struct srs_keys *k, struct arena *a, struct str address,
	int64_t now_ms, struct str *out)
{
	struct str local, domain, text, hash;
	int kind;

	split(address, &local, &domain);
	kind = kind_of(local);
	if (kind < 0)
		return SRS_OTHER;
	text = str_sub(local, 5, local.len);
	hash = str_cut(&text, '=');
	if (!is_made_by_us(k, (char)('0' + kind), hash, text))
		return SRS_FORGED;
	return kind == 0 ? reverse_first(a, text, now_ms, out) :
		reverse_second(a, text, out);
}
