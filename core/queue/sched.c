/*
 * sched.c - back-off, priorities and concurrency. Pure; any thread.
 */
#include "queue/sched.h"

#include "mail/esmtp_args.h"

#define DAY_MS 86400000LL

int64_t
sched_pause(int64_t first, int64_t most, uint32_t attempts, uint32_t random)
{
	int64_t pause = first, spread;
	uint32_t i;

	for (i = 1; i < attempts && pause < most; i++)
		pause *= 2;
	if (pause > most)
		pause = most;
	spread = pause / 4;
	return spread ? pause - spread / 2 + random % spread : pause;
}

int64_t
sched_next(int64_t now, int64_t pause, int64_t expire)
{
	if (now + pause <= expire)
		return now + pause;
	return expire > now ? expire : now;
}

/* ----------------------------------------------------------------- terms */

/* The leading number of "120;R" or "-3". */
static bool
read_number(struct str s, int64_t *out)
{
	bool is_minus = str_starts(s, "-");
	struct str digits = str_sub(s, is_minus, s.len);
	uint64_t n;

	if (!str_u64(str_cut(&digits, ';'), INT64_MAX, &n))
		return false;
	*out = is_minus ? -(int64_t)n : (int64_t)n;
	return true;
}

int
sched_priority(struct str args)
{
	struct str value;
	int64_t n;

	if (!esmtp_arg(args, "MT-PRIORITY", &value) ||
		!read_number(value, &n) || n < -9 || n > 9)
		return 0;
	return (int)n;
}

/* RFC 2852: returned when it is not delivered by then. With mode N it is only
 * told of, and goes on being tried. */
static int64_t
deliver_by(struct str args, int64_t now, int64_t expire)
{
	struct str value, mode;
	int64_t seconds;

	if (!esmtp_arg(args, "BY", &value) || !read_number(value, &seconds))
		return expire;
	mode = str_sub(value, str_find(value, ';') + 1, 1);
	if (!str_iis(mode, "R") || seconds <= 0 ||
		seconds >= (expire - now) / 1000)
		return expire;
	return now + seconds * 1000;
}

struct sched_terms
sched_terms(struct str args, int64_t now, int64_t lifetime)
{
	struct sched_terms t = {.next_ms = now,
		.priority = sched_priority(args)};
	struct str value;
	int64_t hold;

	if (esmtp_arg(args, "HOLDUNTIL", &value) &&
		read_number(value, &hold) && hold > now)
		t.next_ms = hold;
	t.expire_ms = deliver_by(args, now, t.next_ms + lifetime);
	/* Of what is due the earliest is taken first: a day for each step puts
	 * it before all mail of lower priority. Nothing is put behind its
	 * time: a low priority must not make mail wait for nothing. */
	if (t.priority > 0 && t.next_ms == now)
		t.next_ms -= t.priority * DAY_MS;
	return t;
}

/* ------------------------------------------------------------------ pace */

static double
first_window(unsigned most)
{
	return most < SCHED_WINDOW_FIRST ? most : SCHED_WINDOW_FIRST;
}

void
sched_pace_init(struct sched_pace *p, unsigned most)
{
	*p = (struct sched_pace){.window = first_window(most)};
}

bool
sched_pace_good(struct sched_pace *p, unsigned most)
{
	bool was_down = p->pauses > 0;

	p->failed = 0;
	p->pauses = 0;
	p->until = 0;
	p->window = was_down ? first_window(most) :
		p->window + 1 / p->window;
	if (p->window > most)
		p->window = most;
	return was_down;
}

bool
sched_pace_bad(struct sched_pace *p, int64_t now)
{
	if (p->until > now)
		return false;
	p->failed += 1 / p->window;
	p->window -= 1;
	if (p->window >= 1 && p->failed < 1 && p->pauses == 0)
		return false;
	p->window = 1;
	p->failed = 0;
	p->pauses++;
	return true;
}
