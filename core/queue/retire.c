/*
 * retire.c - what the answers mean: fates, local delivery out of the queue,
 * and what the sender is told. Runner's delivery threads.
 *
 * A recipient that is ours by now is delivered by the commit that goes with
 * the settling, so that it leaves the queue and enters the mailbox at once.
 * A transaction carries one message: local deliveries and the report are
 * settled one after the other, the report with the last of them.
 */
#include "queue/retire.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "mail/esmtp_args.h"
#include "plug/observe.h"
#include "plug/route.h"
#include "queue/place.h"
#include "queue/report_make.h"
#include "queue/sched.h"
#include "queue/submit.h"

/* Where the store keeps which delays were told: no plugin has this name. */
#define TOLD "(reports)"

/* What was said; for the ledger, with who said it. */
static const char *
reply_text(struct group *g, const struct delivery *d, bool with_host)
{
	struct buf b;
	const char *text;

	buf_init(&b, 2400);
	reply_line(&b, &d->reply);
	if (d->remote && with_host)
		buf_addf(&b, " [by %s]", d->remote);
	text = arena_cstr(&g->arena, buf_str(&b));
	buf_free(&b);
	return text;
}

/* ------------------------------------------------------------------ fates */

static struct mr_fate
fate_of(const struct queue_house *h, struct group *g, const struct delivery *d,
	int64_t now)
{
	const struct queue_settings *s = h->settings;
	struct mr_fate f = {.id = d->id, .kind = MR_FATE_RETRY,
		.reply = reply_text(g, d, true)};
	uint32_t random;
	int kind = d->reply.code / 100;

	if (kind == 2)
		f.kind = MR_FATE_DELIVERED;
	else if (kind == 5 || now >= g->expire_ms)
		f.kind = MR_FATE_FAILED;
	if (f.kind != MR_FATE_RETRY)
		return f;
	if (g->retry_ms) {	/* its destination is down: all wait alike */
		f.next_ms = sched_next(now, g->retry_ms - now, g->expire_ms);
		return f;
	}
	enc_random(&random, sizeof random);
	f.next_ms = sched_next(now, sched_pause(s->retry_first, s->retry_most,
		d->attempts + 1, random), g->expire_ms);
	return f;
}

static void
tell_fate(const struct group *g, const struct delivery *d,
	const struct mr_fate *f, const char *said)
{
	static const enum mr_event_kind kinds[] = {
		[MR_FATE_DELIVERED] = MR_EVENT_DELIVERED,
		[MR_FATE_FAILED] = MR_EVENT_BOUNCED,
		[MR_FATE_RETRY] = MR_EVENT_DEFERRED};
	struct mr_event e = {.kind = kinds[f->kind], .message = g->trace,
		.host = d->remote, .text = said, .length = g->length,
		.n_rcpt = 1};
	struct arena scratch;

	if (!observe_wanted((enum mr_event_kind)e.kind))
		return;
	arena_init(&scratch);
	e.sender = arena_cstr(&scratch, g->sender);
	e.rcpt = arena_cstr(&scratch, d->rcpt);
	observe_post(&e);
	arena_free(&scratch);
}

static void
log_fate(struct group *g, const struct delivery *d, const struct mr_fate *f)
{
	static const char *const names[] = {"", "delivered", "failed",
		"deferred", "dropped"};
	const char *said = reply_text(g, d, false);

	tell_fate(g, d, f, said);
	log_info("queue.attempt", LOG_S("message", g->trace),
		LOG_STR("rcpt", d->rcpt), LOG_S("fate", names[f->kind]),
		LOG_S("host", d->remote ? d->remote : ""),
		LOG_S("reply", said));
}

/* ---------------------------------------------------------------- actions */

/* From when on a delay counts: mail that was to be held until later was not
 * late before. */
static int64_t
due_since(const struct group *g, const struct delivery *d)
{
	struct str until;
	uint64_t ms;

	if (esmtp_arg(d->args, "HOLDUNTIL", &until) &&
		str_u64(until, INT64_MAX, &ms) && (int64_t)ms > g->created_ms)
		return (int64_t)ms;
	return g->created_ms;
}

static void
was_told(void *arg, struct mr_str value)
{
	(void)value;
	*(bool *)arg = true;
}

/* Late, and not told before. It is written down first: a crash costs a
 * warning and never doubles one. */
static bool
is_news_late(const struct queue_house *h, const struct group *g,
	const struct delivery *d, int64_t now)
{
	const struct store *s = &h->store;
	struct mr_error me = {{0}};
	bool told = false;
	char key[40];

	if (!h->settings->delay_warning || !g->sender.len ||
		now - due_since(g, d) < h->settings->delay_warning ||
		!MR_HAS(s->op, state_set) || !s->op->state_set)
		return false;
	snprintf(key, sizeof key, "delayed %lld", (long long)d->id);
	if (s->op->state_get(s->self, TOLD, key, now, was_told, &told, &me) !=
		MR_STORE_OK || told)
		return false;
	return s->op->state_set(s->self, TOLD, key, (struct mr_str){"1", 1},
		g->expire_ms, &me) == MR_STORE_OK;
}

/* What the sender may want to know of it. */
static enum report_action
action_of(const struct queue_house *h, const struct group *g,
	const struct delivery *d, const struct mr_fate *f, int64_t now)
{
	if (f->kind == MR_FATE_FAILED)
		return REPORT_FAILED;
	if (f->kind == MR_FATE_RETRY)
		return is_news_late(h, g, d, now) ? REPORT_DELAYED :
			REPORT_NONE;
	/* The other server reports by itself. */
	if (d->dsn_taken)
		return REPORT_NONE;
	return g->hop && *g->hop->transport ? REPORT_DELIVERED :
		REPORT_RELAYED;
}

/* ------------------------------------------------------- local delivery */

static struct reply
route_refusal(enum route_answer answer)
{
	switch (answer) {
	case ROUTE_UNKNOWN_USER:
		return REPLY(550, "5.1.1", "there is no such user here");
	case ROUTE_DISABLED:
		return REPLY(550, "5.2.1", "the account is disabled");
	case ROUTE_OVER_QUOTA:
		return REPLY(452, "4.2.2", "the mailbox is full");
	default:
		return REPLY(451, "4.3.0", "the directory cannot be read");
	}
}

/* One mailbox: delivered. One address elsewhere: it is told of when it is
 * there. More: expanded (RFC 3461 5.2.7). */
static enum report_action
local_action(const struct route_target *t)
{
	if (t->next || t->sender)
		return REPORT_EXPANDED;
	return t->account ? REPORT_DELIVERED : REPORT_NONE;
}

static int
commit_local(const struct queue_house *h, struct group *g, struct delivery *d,
	const struct route_target *targets, struct err *e)
{
	struct mr_fate fate = {.id = d->id, .kind = MR_FATE_DELIVERED,
		.reply = "250 2.0.0 delivered here"};
	struct mr_commit c = {.size = sizeof c, .trace = g->trace,
		.origin = "queue"};
	struct place p = {.plugins = h->plugins, .store = &h->store,
		.arena = &g->arena,
		.sender = arena_cstr(&g->arena, g->sender), .rcpt = d->rcpt,
		.args = d->args, .now_ms = clock_wall(),
		.lifetime_ms = h->settings->lifetime};
	struct mr_piece piece = {.length = g->length};
	struct mr_error me = {{0}};
	int code = -1;

	c.place = place_targets(&p, targets, &c.n_place);
	piece.fd = place_copy_body(&h->store, h->data, g->message_id, e);
	if (piece.fd < 0)
		return -1;
	if (submit_describe(&c, &piece, 1, &g->arena, e) == 0)
		code = store_result(h->store.op->queue_settle(h->store.self,
			&fate, 1, &c, &me), &me, e);
	close(piece.fd);
	d->reply = REPLY(250, "2.0.0", "delivered here");
	if (code == 0)
		log_fate(g, d, &fate);
	return code;
}

/* Delivers one recipient that is ours, which settles it. What cannot be
 * delivered has a reply like any other. */
static void
settle_local(const struct queue_house *h, struct group *g, struct delivery *d)
{
	struct route_target *targets = NULL;
	enum route_answer answer;
	struct err e = {0};

	d->local = false;
	answer = route_resolve(h->plugins, &g->arena, d->rcpt, g->length,
		&targets);
	if (answer != ROUTE_LOCAL) {
		d->reply = route_refusal(answer);
		return;
	}
	if (commit_local(h, g, d, targets, &e) < 0) {
		d->reply = reply_printf(&g->arena, 451, "4.3.0", "%s", e.text);
		return;
	}
	d->action = local_action(targets);
	d->settled = true;
}

/* ----------------------------------------------------------------- settle */

static int
settle_rest(const struct queue_house *h, struct group *g, struct err *e)
{
	struct mr_fate *fate = arena_alloc(&g->arena, g->n * sizeof *fate);
	size_t *of = arena_alloc(&g->arena, g->n * sizeof *of), i, n = 0;
	struct mr_error me = {{0}};
	struct report_made report;
	int64_t now = clock_wall();
	int code = 0;

	g->deferred = false;
	for (i = 0; i < g->n; i++) {
		struct delivery *d = &g->item[i];

		if (d->settled)
			continue;
		of[n] = i;
		fate[n] = fate_of(h, g, d, now);
		if (d->action == REPORT_NONE)	/* else: asked before */
			d->action = action_of(h, g, d, &fate[n], now);
		g->deferred |= fate[n++].kind == MR_FATE_RETRY;
	}
	if (report_make(h, g, &report, e) < 0)
		code = -1;
	else if (n || report.is_due)
		code = store_result(h->store.op->queue_settle(h->store.self,
			fate, n, report.is_due ? &report.commit : NULL, &me),
			&me, e);
	report_made_free(&report);
	if (code < 0)
		/* Entries that are gone need no fate; a report that cannot
		 * be placed does. */
		return e->kind == ERR_MISSING && !report.is_due ? 0 : -1;
	for (i = 0; i < n; i++)
		log_fate(g, &g->item[of[i]], &fate[i]);
	return 0;
}

int
retire_group(const struct queue_house *h, struct group *g, struct err *e)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->item[i].local)
			settle_local(h, g, &g->item[i]);
	return settle_rest(h, g, e);
}
