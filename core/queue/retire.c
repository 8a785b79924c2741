/*
 * retire.c - fates, reports, and local delivery out of the queue. Runner's
 * delivery threads.
 *
 * A recipient that is ours by now is delivered by the commit that goes with
 * the settling, so that it leaves the queue and enters the mailbox at once.
 * A transaction carries one message: local deliveries and the report are
 * settled one after the other.
 */
#include "queue/retire.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/addr.h"
#include "mail/header.h"
#include "plug/observe.h"
#include "plug/route.h"
#include "queue/bounce.h"
#include "queue/local.h"
#include "queue/sched.h"
#include "queue/submit.h"

#define HEADER_MOST (256 << 10)	/* of the failed message, in a report */

static const char *
reply_text(struct group *g, const struct reply *r)
{
	struct buf b;
	const char *text;

	buf_init(&b, 2000);
	reply_line(&b, r);
	text = arena_cstr(&g->arena, buf_str(&b));
	buf_free(&b);
	return text;
}

static struct mr_fate
fate_of(const struct queue_house *h, struct group *g, const struct delivery *d,
	int64_t now)
{
	const struct queue_settings *s = h->settings;
	struct mr_fate f = {.id = d->id, .kind = MR_FATE_RETRY,
		.reply = reply_text(g, &d->reply)};
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
	const struct mr_fate *f)
{
	static const enum mr_event_kind kinds[] = {
		[MR_FATE_DELIVERED] = MR_EVENT_DELIVERED,
		[MR_FATE_FAILED] = MR_EVENT_BOUNCED,
		[MR_FATE_RETRY] = MR_EVENT_DEFERRED};
	struct mr_event e = {.kind = kinds[f->kind], .message = g->trace,
		.host = d->remote, .text = f->reply, .length = g->length,
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
log_fate(const struct group *g, const struct delivery *d,
	const struct mr_fate *f)
{
	static const char *const names[] = {"", "delivered", "failed",
		"deferred", "dropped"};

	tell_fate(g, d, f);
	log_info("queue.attempt", LOG_S("message", g->trace),
		LOG_STR("rcpt", d->rcpt), LOG_S("fate", names[f->kind]),
		LOG_S("host", d->remote ? d->remote : ""),
		LOG_S("reply", f->reply));
}

/* ------------------------------------------------------- local delivery */

/* The message again as a file, since a commit takes pieces. */
static int
copy_body(const struct queue_house *h, const struct group *g, struct err *e)
{
	struct mr_error me = {{0}};
	char path[4096], block[16384];
	uint64_t length, at = 0;
	int64_t n = -1;
	void *body;
	int fd;

	snprintf(path, sizeof path, "%s/tmp", h->data);
	fd = file_temp(path, e);
	if (fd < 0)
		return -1;
	if (store_result(h->store.op->body_open(h->store.self, g->message_id,
		&body, &length, &me), &me, e) < 0)
		goto out;
	while ((n = h->store.op->body_read(body, at, block, sizeof block,
		&me)) > 0 && file_write_all(fd, block, (size_t)n, e) == 0)
		at += (uint64_t)n;
	h->store.op->body_close(body);
	if (n < 0)
		err_set(e, ERR_STORE, "%s", me.text);
out:
	if (n == 0 && at == length)
		return fd;
	close(fd);
	return -1;
}

static size_t
count_targets(const struct route_target *t)
{
	size_t n = 0;

	for (; t; t = t->next)
		n++;
	return n;
}

static void
place_target(struct mr_placement *p, const struct route_target *t,
	const struct queue_house *h, struct group *g, int64_t now)
{
	struct addr a;

	*p = (struct mr_placement){.kind = t->account ? MR_PLACE_MAILBOX :
		MR_PLACE_QUEUE, .received_ms = now, .next_ms = now,
		.expire_ms = now + h->settings->lifetime};
	p->account = t->account;
	p->mailbox = t->mailbox;
	p->create = 1;
	if (t->account)
		return;
	p->sender = arena_cstr(&g->arena, g->sender);
	p->rcpt = t->address;
	if (addr_parse(str_from(t->address), &a))
		p->next_hop = addr_domain_ascii(&g->arena, a.domain).at;
}

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

/* Delivers one recipient that is ours. Sets its reply when it cannot be;
 * returns 0 when it was settled here. */
static int
settle_local(const struct queue_house *h, struct group *g, struct delivery *d,
	struct err *e)
{
	struct mr_fate fate = {.id = d->id, .kind = MR_FATE_DELIVERED,
		.reply = "250 2.0.0 delivered here"};
	struct mr_commit c = {.size = sizeof c, .trace = g->trace,
		.origin = "queue"};
	struct mr_piece piece = {.length = g->length};
	struct mr_error me = {{0}};
	struct route_target *targets = NULL, *t;
	int64_t now = clock_wall();
	enum route_answer answer;
	int code = -1;

	answer = route_resolve(h->plugins, &g->arena, d->rcpt, g->length,
		&targets);
	if (answer != ROUTE_LOCAL) {
		d->reply = route_refusal(answer);
		d->local = false;
		return -1;
	}
	c.place = arena_alloc(&g->arena,
		count_targets(targets) * sizeof *c.place);
	for (t = targets; t; t = t->next)
		place_target(&c.place[c.n_place++], t, h, g, now);
	piece.fd = copy_body(h, g, e);
	if (piece.fd < 0)
		goto out;
	if (submit_describe(&c, &piece, 1, &g->arena, e) == 0)
		code = store_result(h->store.op->queue_settle(h->store.self,
			&fate, 1, &c, &me), &me, e);
	close(piece.fd);
	if (code == 0)
		log_fate(g, d, &fate);
out:
	d->local = false;
	if (code < 0)
		d->reply = reply_printf(&g->arena, 451, "4.3.0", "%s",
			e->text);
	return code;
}

/* -------------------------------------------------------------- reports */

static struct str
read_header(const struct queue_house *h, struct group *g)
{
	struct mr_error me = {{0}};
	struct header_field f;
	char *block = arena_alloc(&g->arena, HEADER_MOST);
	struct str whole, in;
	uint64_t length;
	int64_t n;
	void *body;

	if (h->store.op->body_open(h->store.self, g->message_id, &body,
		&length, &me) != MR_STORE_OK)
		return STR("");
	n = h->store.op->body_read(body, 0, block, HEADER_MOST, &me);
	h->store.op->body_close(body);
	if (n <= 0)
		return STR("");
	in = whole = str_of(block, (size_t)n);
	f.raw = str_of(block, 0);
	while (header_next(&in, &f))
		whole = str_of(block, (size_t)(f.raw.at - block) + f.raw.len);
	return f.raw.len ? whole : STR("");
}

static struct str
write_report(const struct queue_house *h, struct group *g,
	const struct mr_fate *fate, const size_t *of, size_t n)
{
	struct bounce b = {.hostname = h->hostname, .trace = g->trace,
		.sender = g->sender, .arrived_ms = g->created_ms};
	struct bounce_rcpt *list = arena_alloc(&g->arena,
		(n + 1) * sizeof *list);
	struct buf out;
	struct str text;
	size_t i;

	for (i = 0; i < n; i++) {
		if (fate[i].kind != MR_FATE_FAILED)
			continue;
		list[b.n_rcpt++] = (struct bounce_rcpt){
			g->item[of[i]].rcpt, str_from(fate[i].reply),
			str_from(g->item[of[i]].remote)};
	}
	b.rcpt = list;
	b.header = read_header(h, g);
	buf_init(&out, BUF_NO_CAP);
	bounce_write(&b, &out);
	text = arena_str(&g->arena, buf_str(&out));
	buf_free(&out);
	return text;
}

/* Where the report goes: the sender's mailbox here, or back through the
 * queue with the null sender, so that it never causes another. NULL targets
 * with ROUTE_LOCAL's refusals: nobody to tell. */
static int
place_report(const struct queue_house *h, struct group *g, struct mr_commit *c)
{
	struct route_target *targets = NULL, *t, remote = {0};
	int64_t now = clock_wall();
	enum route_answer answer;

	answer = route_resolve(h->plugins, &g->arena, g->sender, 0, &targets);
	if (answer == ROUTE_REMOTE) {
		remote.address = arena_cstr(&g->arena, g->sender);
		targets = &remote;
	} else if (answer != ROUTE_LOCAL) {
		return answer == ROUTE_TEMPFAIL ? -1 : 0;
	}
	c->place = arena_alloc(&g->arena,
		count_targets(targets) * sizeof *c->place);
	for (t = targets; t; t = t->next) {
		place_target(&c->place[c->n_place], t, h, g, now);
		c->place[c->n_place++].sender = "";
	}
	return (int)c->n_place;
}

/* Held: it waits in the queue, for whomever it was. */
static void
hold_report(const struct queue_house *h, struct group *g, struct mr_commit *c,
	const struct local_mail *m)
{
	struct mr_placement *p = c->place;
	int64_t now = clock_wall();
	struct addr to;

	*p = (struct mr_placement){.kind = MR_PLACE_QUEUE, .sender = "",
		.rcpt = m->rcpt, .next_hop = "", .held = 1,
		.reason = arena_printf(&g->arena, "%s: %.*s", m->by,
			STR_ARGS(m->reason)),
		.next_ms = now, .expire_ms = now + h->settings->lifetime};
	if (addr_parse(str_from(m->rcpt), &to))
		p->next_hop = addr_domain_ascii(&g->arena, to.domain).at;
	c->n_place = 1;
}

/* The report as the chain `local` leaves it. false: a filter dropped it. */
static bool
filter_report(const struct queue_house *h, struct group *g,
	struct mr_commit *c, struct str *text)
{
	struct local_mail m = {.hostname = h->hostname, .data = h->data,
		.trace = c->trace, .rcpt = arena_cstr(&g->arena, g->sender),
		.text = *text};
	enum local_answer answer = local_filter(h->local, &m, &g->arena);

	*text = m.text;
	if (answer == LOCAL_HOLD)
		hold_report(h, g, c, &m);
	if (answer != LOCAL_SEND)
		log_info("queue.report", LOG_S("message", g->trace),
			LOG_S("report", c->trace), LOG_S("result",
			answer == LOCAL_HOLD ? "held" : "dropped"),
			LOG_S("filter", m.by), LOG_STR("text", m.reason));
	return answer != LOCAL_DROP;
}

static int
settle_remote(const struct queue_house *h, struct group *g, struct err *e)
{
	struct mr_fate *fate = arena_alloc(&g->arena, g->n * sizeof *fate);
	size_t *of = arena_alloc(&g->arena, g->n * sizeof *of);
	struct mr_commit c = {.size = sizeof c, .origin = "bounce"};
	struct mr_piece piece = {.fd = -1};
	struct mr_error me = {{0}};
	int64_t now = clock_wall();
	size_t i, n = 0;
	bool failed = false;
	struct str text;
	int placed = 0;
	char id[16];

	g->deferred = false;
	for (i = 0; i < g->n; i++) {
		if (!g->item[i].reply.code)
			continue;	/* settled as local */
		of[n] = i;
		fate[n] = fate_of(h, g, &g->item[i], now);
		failed |= fate[n].kind == MR_FATE_FAILED;
		g->deferred |= fate[n++].kind == MR_FATE_RETRY;
	}
	if (failed && g->sender.len)
		placed = place_report(h, g, &c);
	if (placed < 0)
		return err_set(e, ERR_STORE, "the sender cannot be looked up");
	if (placed > 0) {
		enc_random_word(id, 14);
		c.trace = id;
		text = write_report(h, g, fate, of, n);
		if (!filter_report(h, g, &c, &text))
			placed = 0;
		piece.mem = text.at;
		piece.length = text.len;
		if (placed && submit_describe(&c, &piece, 1, &g->arena, e) < 0)
			return -1;
	}
	if (n && store_result(h->store.op->queue_settle(h->store.self, fate, n,
		placed ? &c : NULL, &me), &me, e) < 0)
		/* Entries that are gone need no fate; a report that cannot
		 * be placed does. */
		return e->kind == ERR_MISSING && !placed ? 0 : -1;
	for (i = 0; i < n; i++)
		log_fate(g, &g->item[of[i]], &fate[i]);
	return 0;
}

int
retire_group(const struct queue_house *h, struct group *g, struct err *e)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->item[i].local && settle_local(h, g, &g->item[i], e) == 0)
			g->item[i].reply.code = 0;
	return settle_remote(h, g, e);
}
