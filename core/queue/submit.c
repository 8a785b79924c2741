/*
 * submit.c - from routed recipients to one commit. The session's thread;
 * blocks on disk until the message is safe.
 */
#include "queue/submit.h"

#include "base/enc.h"
#include "base/file.h"
#include "mail/esmtp_args.h"
#include "mail/mime.h"
#include "queue/place.h"
#include "queue/report.h"

#define BLOCK 65536

/* --------------------------------------------------- digest and structure */

static int
describe_file(const struct mr_piece *p, struct enc_sha256 *h, struct mime *m,
	char *block, struct err *e)
{
	uint64_t at = 0;

	while (at < p->length) {
		uint64_t left = p->length - at;
		size_t n = left > BLOCK ? BLOCK : (size_t)left;

		if (file_pread_all(p->fd, block, n, p->offset + at, e) < 0)
			return err_wrap(e, "spool");
		enc_sha256_add(h, block, n);
		mime_feed(m, block, n);
		at += n;
	}
	return 0;
}

int
submit_describe(struct mr_commit *c, const struct mr_piece *piece, size_t n,
	struct arena *a, struct err *e)
{
	struct enc_sha256 *h = enc_sha256_new();
	struct mime *m = mime_new();
	char *block = NULL;
	struct buf cache;
	int code = 0;
	size_t i;

	c->piece = piece;
	c->n_piece = n;
	c->length = 0;
	for (i = 0; i < n && code == 0; i++) {
		c->length += piece[i].length;
		if (piece[i].fd < 0) {
			enc_sha256_add(h, piece[i].mem, piece[i].length);
			mime_feed(m, piece[i].mem, piece[i].length);
			continue;
		}
		if (!block)
			block = mem_alloc(BLOCK);
		code = describe_file(&piece[i], h, m, block, e);
	}
	enc_sha256_end(h, c->sha256);
	buf_init(&cache, BUF_NO_CAP);
	mime_end(m, &cache);
	if (code == 0) {
		struct str kept = arena_str(a, buf_str(&cache));
		struct mime_view v;

		c->cache = (struct mr_str){kept.at, kept.len};
		if (mime_open(kept, &v))
			c->sent = (struct mr_sent){v.sent_ms, v.sent_zone};
	}
	buf_free(&cache);
	free(block);
	return code;
}

/* ------------------------------------------------------------ placements */

struct placing {
	const struct submit *s;
	const struct store *store;
	struct arena *a;
	struct mr_placement *place;
	size_t n;
	const char *sender;
};

static bool
is_same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static void
add_mailbox(struct placing *p, const struct place *to,
	const struct route_target *t)
{
	const char *mailbox = place_mailbox(to, t);
	size_t i;

	for (i = 0; i < p->n; i++)	/* one copy each */
		if (p->place[i].kind == MR_PLACE_MAILBOX &&
			is_same(p->place[i].account, t->account) &&
			is_same(p->place[i].mailbox, mailbox))
			return;
	p->place[p->n++] = (struct mr_placement){.kind = MR_PLACE_MAILBOX,
		.account = t->account, .mailbox = mailbox, .create = 1,
		.received_ms = p->s->now_ms, .sender = p->sender};
}

static void
add_queue(struct placing *p, struct mr_placement one)
{
	const struct submit *s = p->s;
	size_t i;

	for (i = 0; i < p->n; i++)
		if (p->place[i].kind == MR_PLACE_QUEUE &&
			is_same(p->place[i].rcpt, one.rcpt))
			return;
	one.held = s->held_by != NULL;
	one.reason = s->held_by ? arena_printf(p->a, "%s: %.*s", s->held_by,
		STR_ARGS(s->held_reason)) : NULL;
	p->place[p->n++] = one;
}

/* What is held, or sent for later, is routed when its time comes. Where the
 * sender wants to know of the delivery the runner makes it, and the report
 * with it. */
static bool
is_for_runner(const struct placing *p, const struct submit_rcpt *r)
{
	return !r->targets || p->s->held_by ||
		esmtp_arg(r->dsn, "HOLDUNTIL", NULL) ||
		report_is_due(r->dsn, REPORT_DELIVERED, false);
}

static void
place_rcpt(struct placing *p, const struct submit_rcpt *r)
{
	const struct submit *s = p->s;
	struct place to = {.plugins = s->plugins, .store = p->store,
		.arena = p->a,
		.sender = p->sender, .rcpt = r->address, .args = r->dsn,
		.now_ms = s->now_ms, .lifetime_ms = s->lifetime_ms};
	struct route_target self = {.address = NULL};
	const struct route_target *t;

	if (is_for_runner(p, r)) {
		self.address = arena_cstr(p->a, r->address);
		add_queue(p, place_target(&to, &self));
		return;
	}
	for (t = r->targets; t; t = t->next)
		if (t->account)
			add_mailbox(p, &to, t);
		else
			add_queue(p, place_target(&to, t));
}

static size_t
count_placements(const struct submit *s)
{
	const struct route_target *t;
	size_t n = 0, i;

	for (i = 0; i < s->n_rcpt; i++) {
		n++;
		for (t = s->rcpt[i].targets; t; t = t->next)
			n++;
	}
	return n;
}

int
submit_message(const struct submit *s, struct message *m,
	const struct store *store, struct arena *a, struct err *e)
{
	struct mr_commit c = {.size = sizeof c, .trace = s->trace,
		.origin = s->origin, .discarded_by = s->discarded_by,
		.life = s->life};
	struct placing p = {.s = s, .store = store, .a = a};
	struct mr_error me = {{0}};
	struct mr_piece *piece;
	uint64_t length;
	size_t n, i;

	if (message_pieces(m, &piece, &n, &length, e) < 0 ||
		submit_describe(&c, piece, n, a, e) < 0)
		return -1;
	p.sender = arena_cstr(a, s->sender);
	p.place = arena_alloc(a, (count_placements(s) + 1) * sizeof *p.place);
	for (i = 0; i < s->n_rcpt && !s->discarded_by; i++)
		place_rcpt(&p, &s->rcpt[i]);
	c.place = p.place;
	c.n_place = p.n;
	return store_result(store->op->commit(store->self, &c, &me), &me, e);
}
