/*
 * report_make.c - who is told, the text, and where it goes: the sender's
 * mailbox here, or back through the queue with the null sender, so that it
 * never causes another. Runner's delivery threads.
 */
#include "queue/report_make.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/envelope.h"
#include "mail/header.h"
#include "plug/route.h"
#include "queue/local.h"
#include "queue/place.h"
#include "queue/submit.h"

#define HEADER_MOST (256 << 10)	/* of the message, in a report */

/* ---------------------------------------------------------------- message */

/* As far as it is whole; without the message, nothing. */
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

/* -------------------------------------------------------------------- who */

static bool
is_any_action(const struct group *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		if (g->item[i].action != REPORT_NONE)
			return true;
	return false;
}

static void
log_silence(const struct group *g, const struct delivery *d)
{
	if (d->action == REPORT_FAILED)
		log_info("queue.silent", LOG_S("message", g->trace),
			LOG_STR("rcpt", d->rcpt), LOG_S("reason",
			"the sender is automatic, or wants no report"));
}

/* Those whose sender is to be told. */
static size_t
choose(struct group *g, struct report *r, struct report_rcpt *list)
{
	bool automatic = report_is_automatic(g->sender, r->header);
	struct buf line;
	size_t i, n = 0;

	buf_init(&line, 2000);
	for (i = 0; i < g->n; i++) {
		struct delivery *d = &g->item[i];

		if (!report_is_due(d->args, d->action, automatic)) {
			log_silence(g, d);
			continue;
		}
		buf_reset(&line);
		reply_line(&line, &d->reply);
		list[n++] = (struct report_rcpt){.address = d->rcpt,
			.args = d->args, .action = d->action,
			.reply = arena_str(&g->arena, buf_str(&line)),
			.remote = str_from(d->remote)};
	}
	buf_free(&line);
	return n;
}

/* ------------------------------------------------------------------ where */

/* 0 placements: nobody is there to be told. */
static int
find_place(const struct queue_house *h, struct group *g,
	const struct report *r, struct mr_commit *c, struct err *e)
{
	struct route_target *targets = NULL, remote = {0};
	struct place p = {.plugins = h->plugins, .store = &h->store,
		.arena = &g->arena,
		.sender = "", .rcpt = g->sender,
		.args = str_from(report_args(r)), .now_ms = clock_wall(),
		.lifetime_ms = h->settings->lifetime};
	enum route_answer answer = route_resolve(h->plugins, &g->arena,
		g->sender, 0, &targets);

	if (answer == ROUTE_TEMPFAIL)
		return err_set(e, ERR_STORE, "the sender cannot be looked up");
	if (answer == ROUTE_REMOTE) {
		remote.address = arena_cstr(&g->arena, g->sender);
		targets = &remote;
	} else if (answer != ROUTE_LOCAL) {
		return 0;
	}
	c->place = place_targets(&p, targets, &c->n_place);
	return 0;
}

/* ----------------------------------------------------------------- filter */

/* Held: it waits in the queue, for whomever it was. */
static void
hold_report(const struct queue_house *h, struct group *g,
	struct report_made *r, const struct local_mail *m)
{
	struct mr_placement *p = r->commit.place;
	int64_t now = clock_wall();

	*p = (struct mr_placement){.kind = MR_PLACE_QUEUE, .sender = "",
		.rcpt = m->rcpt, .held = 1,
		.next_hop = place_next_hop(&g->arena, m->rcpt),
		.reason = arena_printf(&g->arena, "%s: %.*s", m->by,
			STR_ARGS(m->reason)),
		.next_ms = now, .expire_ms = now + h->settings->lifetime};
	r->commit.n_place = 1;
}

/* All pieces as one text; the report's own size is bounded by what
 * report_wants_whole lets in. */
static int
join_pieces(struct group *g, const struct report_made *r, size_t n,
	struct str *out, struct err *e)
{
	uint64_t length = 0;
	char *at, *start;
	size_t i;

	for (i = 0; i < n; i++)
		length += r->piece[i].length;
	at = start = arena_alloc(&g->arena, length + 1);
	for (i = 0; i < n; i++) {
		size_t part = r->piece[i].length;

		if (r->piece[i].fd < 0)
			memcpy(at, r->piece[i].mem, part);
		else if (pread(r->piece[i].fd, at, part, 0) != (ssize_t)part)
			return err_sys(e, "reading the message back");
		at += part;
	}
	*out = str_of(start, (size_t)length);
	return 0;
}

/* The report as the chain `local` leaves it, in one piece. A filter may drop
 * it: then none is due. */
static int
filter_report(const struct queue_house *h, struct group *g,
	struct report_made *r, size_t *n, struct err *e)
{
	struct local_mail m = {.hostname = h->hostname, .data = h->data,
		.trace = r->trace, .rcpt = arena_cstr(&g->arena, g->sender)};
	enum local_answer answer;

	if (join_pieces(g, r, *n, &m.text, e) < 0)
		return -1;
	answer = local_filter(h->local, &m, &g->arena);
	report_made_free(r);
	r->piece[0] = (struct mr_piece){.mem = m.text.at, .fd = -1,
		.length = m.text.len};
	r->piece[1].fd = r->piece[2].fd = -1;
	*n = 1;
	r->is_due = answer != LOCAL_DROP;
	if (answer == LOCAL_HOLD)
		hold_report(h, g, r, &m);
	if (answer != LOCAL_SEND)
		log_info("queue.report", LOG_S("message", g->trace),
			LOG_S("report", r->trace), LOG_S("result",
			answer == LOCAL_HOLD ? "held" : "dropped"),
			LOG_S("filter", m.by), LOG_STR("text", m.reason));
	return 0;
}

/* ------------------------------------------------------------------- make */

static int
write_text(const struct queue_house *h, struct group *g,
	const struct report *r, struct report_made *m, struct err *e)
{
	struct buf before, behind;
	size_t n = 0;

	buf_init(&before, BUF_NO_CAP);
	buf_init(&behind, BUF_NO_CAP);
	report_write(r, &before, &behind);
	m->before = arena_str(&g->arena, buf_str(&before));
	m->behind = arena_str(&g->arena, buf_str(&behind));
	buf_free(&before);
	buf_free(&behind);
	m->piece[n++] = (struct mr_piece){.mem = m->before.at, .fd = -1,
		.length = m->before.len};
	if (r->is_whole) {
		m->piece[n] = (struct mr_piece){.length = g->length};
		m->piece[n].fd = place_copy_body(&h->store, h->data,
			g->message_id, e);
		if (m->piece[n++].fd < 0)
			return -1;
	}
	m->piece[n++] = (struct mr_piece){.mem = m->behind.at, .fd = -1,
		.length = m->behind.len};
	if (h->local && h->local->n && filter_report(h, g, m, &n, e) < 0)
		return -1;
	return m->is_due ? submit_describe(&m->commit, m->piece, n, &g->arena,
		e) : 0;
}

int
report_make(const struct queue_house *h, struct group *g,
	struct report_made *m, struct err *e)
{
	struct report r = {.hostname = h->hostname, .trace = g->trace,
		.sender = g->sender, .arrived_ms = g->created_ms,
		.expire_ms = g->expire_ms};
	struct report_rcpt *list;

	*m = (struct report_made){.commit.size = sizeof m->commit,
		.piece = {{.fd = -1}, {.fd = -1}, {.fd = -1}}};
	if (!g->sender.len || !is_any_action(g))
		return 0;
	r.header = read_header(h, g);
	list = arena_alloc(&g->arena, g->n * sizeof *list);
	r.rcpt = list;
	r.n_rcpt = choose(g, &r, list);
	if (!r.n_rcpt)
		return 0;
	r.is_whole = report_wants_whole(&r, g->length);
	if (find_place(h, g, &r, &m->commit, e) < 0)
		return -1;
	if (!m->commit.n_place)
		return 0;
	envelope_id(m->trace);
	m->commit.trace = m->trace;
	m->commit.origin = arena_printf(&g->arena, "report %s", g->trace);
	m->is_due = true;
	return write_text(h, g, &r, m, e);
}

void
report_made_free(struct report_made *m)
{
	size_t i;

	for (i = 0; i < 3; i++)
		if (m->piece[i].fd >= 0)
			close(m->piece[i].fd);
}
