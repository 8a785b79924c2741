/*
 * rogue.c - a transport that does what the recipient's local part says, and
 * an observer that sleeps over a sender named slow. For rogue.t.
 */
#include <mailroom/plugin.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
act(struct mr_delivery *d, size_t i)
{
	const char *what = d->rcpt[i].address.at;
	char byte;

	if (!strncmp(what, "good", 4)) {
		d->result(d, i, 250, "2.0.0", "good");
	} else if (!strncmp(what, "nonsense@", 9)) {
		d->result(d, i, 99, "x", "nonsense");
	} else if (!strncmp(what, "outside@", 8)) {
		d->result(d, i + 1000, 550, "5.0.0", "outside");
	} else if (!strncmp(what, "twice@", 6)) {
		d->result(d, i, 550, "5.0.0", "no");
		d->result(d, i, 299, "5.9.9", "yes");
	} else if (!strncmp(what, "lines@", 6)) {
		d->result(d, i, 550, "5.7.1", "one\r\n250 two\x01\xff");
	} else if (!strncmp(what, "beyond@", 7)) {
		d->result(d, i, d->read(d, d->length + 1000, &byte, 1) == 0 ?
			250 : 450, NULL, NULL);
	} else if (!strncmp(what, "crash", 5)) {
		abort();
	}
}

static void
on_deliver(void *self, struct mr_delivery *d)
{
	size_t i;

	(void)self;
	for (i = 0; i < d->n_rcpt; i++)
		act(d, i);
}

static void
on_event(void *self, const struct mr_event *e)
{
	(void)self;
	if (!strncmp(e->sender, "slow@", 5))
		sleep(30);
}

static const struct mr_transport transport = {
	.size = sizeof transport, .deliver = on_deliver,
};

static const struct mr_observer observer = {
	.size = sizeof observer, .event = on_event,
	.wants = 1u << MR_EVENT_MESSAGE_ACCEPTED,
};

MR_PLUGIN = {
	MR_PLUGIN_HEAD, .name = "rogue", .version = "1.0",
	.transport = &transport, .observer = &observer,
};
