/*
 * tally.c - counting what workers say of plugins, and comparing it.
 */
#include "proc/tally.h"

#define PAST_LEAST 5	/* messages, to know how a plugin did before */
#define SHARE 5		/* one message in so many fails: that is much */
#define TIMES 4		/* and so many times as many as before */

static struct tally_plugin *
find(struct tally *t, struct str name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (str_is(name, t->plugin[i].name))
			return &t->plugin[i];
	if (t->n == TALLY_NAMES || !name.len ||
		name.len >= sizeof t->plugin[0].name)
		return NULL;
	memcpy(t->plugin[t->n].name, name.at, name.len);
	return &t->plugin[t->n++];
}

const struct tally_plugin *
tally_find(const struct tally *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!strcmp(t->plugin[i].name, name))
			return &t->plugin[i];
	return NULL;
}

static void
heard_rate(struct tally_plugin *p, struct str numbers)
{
	struct str messages = str_cut(&numbers, ' ');
	uint64_t n, failed;

	if (!str_u64(messages, UINT32_MAX, &n) ||
		!str_u64(numbers, UINT32_MAX, &failed))
		return;
	p->messages += n;
	p->failures += failed;
}

void
tally_heard(struct tally *t, struct str words)
{
	struct str what = str_cut(&words, ' '), name = str_cut(&words, ' ');
	bool died = str_is(what, "died"), rate = str_is(what, "rate");
	struct tally_plugin *p;

	if (!died && !rate && !str_is(what, "crash"))
		return;
	t->score += died;
	p = find(t, name);
	if (p && rate)
		heard_rate(p, words);
	else if (p)
		p->crashes++;
}

void
tally_worker_ended(struct tally *t)
{
	t->crashes++;
	t->score += 2;
}

void
tally_carry(struct tally *t, const struct tally_plugin *past)
{
	struct tally_plugin *p = find(t, str_from(past->name));

	if (!p)
		return;
	p->past_messages = past->messages + past->past_messages;
	p->past_failures = past->failures + past->past_failures;
}

bool
tally_crashes(const struct tally *before, const struct tally *now,
	const struct tally_limits *limits)
{
	return now->score >= before->score + limits->score;
}

bool
tally_fails(const struct tally *before, const struct tally_plugin *p,
	const struct tally_limits *limits)
{
	const struct tally_plugin *old = tally_find(before, p->name);
	uint64_t messages, failures;

	if (!old || p->failures < limits->failures ||
		p->failures * SHARE < p->messages)
		return false;
	messages = old->messages + old->past_messages;
	failures = old->failures + old->past_failures;
	return messages >= PAST_LEAST && (double)p->failures *
		(double)messages >= TIMES * (double)failures *
		(double)p->messages;
}
