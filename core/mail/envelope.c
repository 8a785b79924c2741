/*
 * envelope.c - sender and recipients of the message that is being taken.
 *
 * Leaves to others: whether an address may be there at all (smtp, route) and
 * which edits are allowed (hooks). One session's thread at a time.
 */
#include "mail/envelope.h"

#include "base/clock.h"
#include "base/enc.h"

#define FIRST_ROOM 4

void
envelope_init(struct envelope *e, struct arena *a)
{
	*e = (struct envelope){.arena = a};
}

static void
make_room(struct envelope *e)
{
	struct envelope_rcpt *old = e->rcpt;

	if (e->n_rcpt < e->room)
		return;
	e->room = e->room ? e->room * 2 : FIRST_ROOM;
	e->rcpt = arena_alloc(e->arena, e->room * sizeof *e->rcpt);
	if (e->n_rcpt > 0)
		memcpy(e->rcpt, old, e->n_rcpt * sizeof *e->rcpt);
}

size_t
envelope_add(struct envelope *e, struct str address, struct str args)
{
	make_room(e);
	e->rcpt[e->n_rcpt] = (struct envelope_rcpt){
		.address = arena_str(e->arena, address),
		.args = arena_str(e->arena, args),
		.account = STR(""), .mailbox = STR(""),
	};
	return e->n_rcpt++;
}

static size_t
find_with(const struct envelope *e, struct str address,
	bool (*same_local)(struct str, struct str))
{
	size_t at = str_rfind(address, '@'), i, rcpt_at;
	struct str local = str_sub(address, 0, at);
	struct str domain = str_sub(address, at, address.len);
	struct str other;

	for (i = 0; i < e->n_rcpt; i++) {
		if (e->rcpt[i].removed)
			continue;
		other = e->rcpt[i].address;
		rcpt_at = str_rfind(other, '@');
		if (same_local(local, str_sub(other, 0, rcpt_at)) &&
		    str_ieq(domain, str_sub(other, rcpt_at, other.len)))
			return i;
	}
	return SIZE_MAX;
}

size_t
envelope_find(const struct envelope *e, struct str address)
{
	size_t i = find_with(e, address, str_eq);

	return i != SIZE_MAX ? i : find_with(e, address, str_ieq);
}

size_t
envelope_count(const struct envelope *e)
{
	size_t i, n = 0;

	for (i = 0; i < e->n_rcpt; i++)
		n += !e->rcpt[i].removed;
	return n;
}

int
envelope_file(struct envelope *e, size_t which, struct str mailbox)
{
	int n = 0;
	size_t i;

	mailbox = arena_str(e->arena, mailbox);
	for (i = 0; i < e->n_rcpt; i++) {
		if (e->rcpt[i].removed || !e->rcpt[i].account.len ||
			(which != SIZE_MAX && which != i))
			continue;
		e->rcpt[i].mailbox = mailbox;
		n++;
	}
	return n;
}

/* ------------------------------------------------------------------- ids */

#define TIME_DIGITS 9
#define ID_LENGTH 14

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* A time and randomness, so that ids sort and never repeat. */
void
envelope_id(char out[20])
{
	uint64_t t = (uint64_t)clock_wall();
	char random[6];
	int i;

	enc_random_word(random, 5);
	for (i = TIME_DIGITS - 1; i >= 0; i--) {
		out[i] = digits[t & 31];
		t >>= 5;
	}
	for (i = 0; i < 5; i++)
		out[TIME_DIGITS + i] = to_upper(random[i]);
	out[ID_LENGTH] = '\0';
}

int64_t
envelope_id_time(struct str id)
{
	uint64_t t = 0;
	size_t i;

	if (id.len != ID_LENGTH)
		return -1;
	for (i = 0; i < TIME_DIGITS; i++) {
		const char *at = memchr(digits, to_upper(id.at[i]), 32);

		if (!at)
			return -1;
		t = t << 5 | (uint64_t)(at - digits);
	}
	return (int64_t)t;
}
