/*
 * daily.c - one thread that sleeps most of the time. It looks more often than
 * it has to, so that a machine which slept at midnight is not late by a day.
 */
#include "proc/daily.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "proc/dns_watch.h"
#include "proc/expire.h"

#define LOOK_MS (10 * 60000)
#define DAY_MS 86400000ll
#define SPREAD_MS (3 * 3600000)		/* after midnight */
#define FIRST_MS (5 * 60000)
#define STACK (512 << 10)

struct daily {
	struct report_house *house;
	const struct config *config;
	pthread_t thread;
	int stop;		/* eventfd */
	atomic_bool stopping;
	int64_t after_ms;	/* midnight */
};

int
daily_send(const struct report_house *h, report_told told, void *arg,
	struct err *e)
{
	struct report_house house = *h;
	int sent, code = 0;

	/* The plugin writes its rows in any case: they must not pile up. */
	house.discards = !h->settings->dmarc;
	sent = report_send_dmarc(&house, told, arg, e);
	if (sent >= 0 && h->settings->tls &&
		MR_HAS(h->store->op, state_list) && h->store->op->state_list)
		code = report_send_tls(h, told, arg, e);
	return sent < 0 || code < 0 ? -1 : sent + code;
}

static bool
is_over(void *arg)
{
	const struct daily *d = arg;

	return atomic_load(&d->stopping);
}

static void
log_report(void *arg, json_t *report, struct str document)
{
	(void)arg;
	(void)document;
	log_info("report.sent", LOG_S("kind", json_string_value(
		json_object_get(report, "kind"))), LOG_S("domain",
		json_string_value(json_object_get(report, "domain"))),
		LOG_S("day", json_string_value(json_object_get(report,
		"day"))), LOG_S("to", json_string_value(json_object_get(
		report, "to"))), LOG_S("fate", json_string_value(
		json_object_get(report, "fate"))));
}

static void
send_all(struct daily *d)
{
	struct err e = {0};

	if (daily_send(d->house, log_report, NULL, &e) < 0)
		log_error("report.send", LOG_S("error", e.text));
}

static void
log_expired(void *arg, const char *account, const char *mailbox,
	uint32_t messages)
{
	(void)arg;
	log_info("mailbox.expire", LOG_S("account", account),
		LOG_S("mailbox", mailbox), LOG_N("messages", messages));
}

static void
expire_all(struct daily *d)
{
	const struct expire x = {.store = d->house->store,
		.rules = &d->config->expire, .is_over = is_over,
		.told = log_expired, .arg = d};
	struct err e = {0};

	if (expire_run(&x, &e) < 0)
		log_error("mailbox.expire", LOG_S("error", e.text));
}

static void
look_at_dns(struct daily *d)
{
	const struct report_house *h = d->house;

	if (d->config->zone.watch && MR_HAS(h->store->op, state_list) &&
		h->store->op->state_list)
		dns_watch_all(d->config, h);
}

/* false: it is time to stop. */
static bool
sleep_ms(struct daily *d, int64_t ms)
{
	struct pollfd p = {d->stop, POLLIN, 0};

	poll(&p, 1, (int)ms);
	return !atomic_load(&d->stopping);
}

static void *
run(void *arg)
{
	struct daily *d = arg;
	int64_t done = 0, day;

	if (!sleep_ms(d, FIRST_MS))
		return NULL;
	do {
		day = (clock_wall() - d->after_ms) / DAY_MS;
		if (day != done) {
			send_all(d);
			expire_all(d);
			look_at_dns(d);
		}
		done = day;
	} while (sleep_ms(d, LOOK_MS));
	return NULL;
}

struct daily *
daily_start(struct report_house *h, const struct config *c, struct err *e)
{
	struct daily *d = mem_alloc(sizeof *d);
	pthread_attr_t attr;
	uint32_t random;
	int code;

	enc_random(&random, sizeof random);
	*d = (struct daily){.house = h, .config = c,
		.after_ms = random % SPREAD_MS};
	d->stop = eventfd(0, EFD_CLOEXEC);
	h->is_over = is_over;
	h->arg = d;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = d->stop < 0 ? errno : pthread_create(&d->thread, &attr, run, d);
	pthread_attr_destroy(&attr);
	if (!code)
		return d;
	if (d->stop >= 0)
		close(d->stop);
	free(d);
	errno = code;
	err_sys(e, "starting the thread of daily reports");
	return NULL;
}

void
daily_stop(struct daily *d)
{
	uint64_t one = 1;

	if (!d)
		return;
	atomic_store(&d->stopping, true);
	if (write(d->stop, &one, sizeof one) < 0)
		return;		/* cannot happen */
	pthread_join(d->thread, NULL);
	close(d->stop);
	free(d);
}
