/*
 * imap_admin.c - Held, Queue and Rejected: the queue as mailboxes of those
 * accounts that [imap] admins names.
 *
 * They are known by their use (enum mr_special), not by their names: a
 * mailbox that happens to be called Held is nobody's but its owner's. The
 * session's thread; blocks in the store.
 */
#include "serve/imap_admin.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/imap.h"
#include "serve/imap_place.h"

#define SHOWN_MOST 1000
#define QUEUE_AGE 5000			/* ms; younger mail is on its way */
#define REJECTED_AGE (7 * 86400000LL)

enum { NOTHING, RELEASE, HOLD, DROP };

static const struct {
	uint32_t special;
	const char *name;
} mailboxes[] = {
	{MR_SPECIAL_HELD, "Held"}, {MR_SPECIAL_QUEUE, "Queue"},
	{MR_SPECIAL_REJECTED, "Rejected"},
};
#define MAILBOXES (sizeof mailboxes / sizeof *mailboxes)

static bool
is_admin(const struct imap *k)
{
	const struct mr_list *l = &k->house->imap->admins;
	const struct mr_store *op = k->house->store.op;
	size_t i;

	if (!MR_HAS(op, queue_mirror) || !op->queue_mirror)
		return false;
	for (i = 0; i < l->n; i++)
		if (str_iis(str_from(l->item[i]), k->account))
			return true;
	return false;
}

bool
imap_admin_owns(const struct imap *k, uint32_t special)
{
	return special >= MR_SPECIAL_HELD && special <= MR_SPECIAL_REJECTED &&
		is_admin(k);
}

/* ------------------------------------------------------------ making them */

static int
note_special(void *arg, const struct mr_mailbox *m)
{
	unsigned *there = arg;
	size_t i;

	for (i = 0; i < MAILBOXES; i++)
		if (m->special == mailboxes[i].special)
			*there |= 1u << i;
	return 0;
}

void
imap_admin_begin(struct imap *k)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	unsigned there = 0;
	size_t i;

	if (!is_admin(k) || s->op->mailbox_list(s->self, k->account,
		note_special, &there, &me) != MR_STORE_OK)
		return;
	for (i = 0; i < MAILBOXES; i++) {
		if (there & 1u << i)
			continue;
		if (s->op->mailbox_create(s->self, k->account,
			mailboxes[i].name, mailboxes[i].special, &me) ==
			MR_STORE_OK)
			s->op->subscribe(s->self, k->account,
				mailboxes[i].name, 1, &me);
		else
			log_warn("imap.admin", LOG_S("account", k->account),
				LOG_S("mailbox", mailboxes[i].name),
				LOG_S("error", me.text));
	}
}

/* --------------------------------------------------------------- looking */

struct trim {
	int64_t before_ms;
	uint32_t last;		/* UID; 0: none */
};

static int
stop_at_young(void *arg, const struct mr_row *row)
{
	struct trim *t = arg;

	if (row->received_ms >= t->before_ms)
		return 1;
	t->last = row->uid;
	return 0;
}

void
imap_admin_trim(const struct store *s, int64_t mailbox)
{
	struct trim t = {.before_ms = clock_wall() - REJECTED_AGE};
	struct mr_error me = {{0}};
	struct mr_range old;
	struct mr_mailbox m;
	int code = s->op->scan(s->self, mailbox, NULL, 0, 0, MR_ROW_MESSAGE,
		stop_at_young, &t, &me);

	if ((code != MR_STORE_OK && code != MR_STORE_STOPPED) ||
		s->op->mailbox_get(s->self, mailbox, &m, &me) != MR_STORE_OK)
		return;
	if (m.uidnext > ADMIN_REJECTED_MOST &&
		m.uidnext - 1 - ADMIN_REJECTED_MOST > t.last)
		t.last = m.uidnext - 1 - ADMIN_REJECTED_MOST;
	old = (struct mr_range){1, t.last};
	if (t.last)
		s->op->expunge(s->self, mailbox, &old, 1, 1, &me);
}

void
imap_admin_look(struct imap *k, int64_t mailbox, uint32_t special)
{
	const struct store *s = &k->house->store;
	struct mr_mirror m = {.size = sizeof m, .mailbox = mailbox,
		.held = special == MR_SPECIAL_HELD, .most = SHOWN_MOST,
		.until_ms = clock_wall()};
	struct mr_error me = {{0}};
	int code;

	if (!imap_admin_owns(k, special))
		return;
	if (special == MR_SPECIAL_REJECTED) {
		imap_admin_trim(s, mailbox);
		return;
	}
	if (special == MR_SPECIAL_QUEUE)
		m.until_ms -= QUEUE_AGE;
	code = s->op->queue_mirror(s->self, &m, &me);
	if (code != MR_STORE_OK && code != MR_STORE_MISSING)
		imap_store_failed(k, code, &me);
}

/* -------------------------------------------------------------- the queue */

struct picking {
	const struct imap_admin_step *step;
	struct buf ids;		/* int64_t, of entries */
	bool held;		/* those that are held; else all others */
};

static int
by_id(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int
pick_entry(void *arg, const struct mr_queue_item *i)
{
	struct picking *p = arg;

	if ((i->state == MR_HELD) == p->held && bsearch(&i->message_id,
		p->step->message, p->step->n, sizeof *p->step->message, by_id))
		buf_add(&p->ids, &i->id, sizeof i->id);
	return 0;
}

static int
drop(const struct store *s, const int64_t *id, size_t n, struct mr_error *me)
{
	struct mr_fate *fate = mem_alloc(n * sizeof *fate);
	size_t i;
	int code;

	for (i = 0; i < n; i++)
		fate[i] = (struct mr_fate){.id = id[i],
			.kind = MR_FATE_DROPPED,
			.reply = "dropped by the administrator"};
	code = s->op->queue_settle(s->self, fate, n, NULL, me);
	free(fate);
	return code;
}

static int
change(struct imap *k, int what, const int64_t *id, size_t n,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_queue_change c = {.size = sizeof c, .id = id, .n = n,
		.op = what == RELEASE ? MR_QUEUE_RELEASE : MR_QUEUE_HOLD,
		.next_ms = clock_wall(), .owner = ""};
	uint32_t met;

	if (what == DROP)
		return drop(s, id, n, me);
	return store_queue_change(s, &c, &met, me);
}

void
imap_admin_finish(struct imap *k, const struct imap_admin_step *step)
{
	static const char *const words[] = {"", "released", "held", "dropped"};
	const struct store *s = &k->house->store;
	struct picking p = {.step = step, .held = step->what == RELEASE ||
		k->box->special == MR_SPECIAL_HELD};
	struct mr_error me = {{0}};
	size_t n;
	int code;

	if (!step->n)
		return;
	buf_init(&p.ids, BUF_NO_CAP);
	code = s->op->queue_list(s->self, 0, pick_entry, &p, &me);
	n = p.ids.len / sizeof(int64_t);
	if (code == MR_STORE_OK && n)
		code = change(k, step->what, (const int64_t *)(void *)p.ids.at,
			n, &me);
	buf_free(&p.ids);
	if (code != MR_STORE_OK && code != MR_STORE_MISSING)
		imap_store_failed(k, code, &me);
	log_info("imap.admin", LOG_S("account", k->account),
		LOG_S("did", words[step->what]), LOG_N("entries", n),
		LOG_N("code", code));
}

/* ------------------------------------------------------- what leaves them */

struct gathering {
	struct imap *k;
	struct imap_admin_step *step;
	uint32_t mask;		/* flags that a message must have */
};

static int
gather_row(void *arg, const struct mr_row *row)
{
	struct gathering *g = arg;
	struct imap_admin_step *s = g->step;
	int64_t *more;

	if ((row->flags & g->mask) != g->mask)
		return 0;
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 16;
		more = arena_alloc(&g->k->session->command,
			s->room * sizeof *more);
		if (s->n)
			memcpy(more, s->message, s->n * sizeof *more);
		s->message = more;
	}
	s->message[s->n++] = row->message_id;
	return 0;
}

static void
gather(struct imap *k, const struct mr_range *range, size_t n, uint32_t mask,
	struct imap_admin_step *step)
{
	const struct store *s = &k->house->store;
	struct gathering g = {k, step, mask};
	struct mr_error me = {{0}};

	if (s->op->scan(s->self, k->box->id, range, n, 0, MR_ROW_MESSAGE,
		gather_row, &g, &me) != MR_STORE_OK)
		step->n = 0;
	if (step->n)
		qsort(step->message, step->n, sizeof *step->message, by_id);
}

void
imap_admin_expunge(struct imap *k, const struct mr_range *range, size_t n,
	struct imap_admin_step *step)
{
	*step = (struct imap_admin_step){.what = DROP};
	if (k->box->special != MR_SPECIAL_REJECTED &&
		imap_admin_owns(k, k->box->special))
		gather(k, range, n, MR_FLAG_DELETED, step);
}

/* Where the target is a mailbox of the administrator too: nothing is moved,
 * the queue is changed, and both mailboxes follow. */
static void
turn(struct imap *k, const struct mr_range *range, size_t n, int what,
	struct imap_answer *said)
{
	struct imap_admin_step step = {.what = what};

	gather(k, range, n, 0, &step);
	imap_admin_finish(k, &step);
	*said = IMAP_ANSWER(IMAP_OK, NULL, "MOVE done");
}

bool
imap_admin_move(struct imap *k, const struct mr_range *range, size_t n,
	const struct imap_place *to, int code, struct imap_admin_step *step,
	struct imap_answer *said)
{
	uint32_t from = k->box->special, use = to->m.special;
	bool is_bin = use == MR_SPECIAL_TRASH || use == MR_SPECIAL_JUNK;

	*step = (struct imap_admin_step){.what = NOTHING};
	if (!n || from == MR_SPECIAL_REJECTED || !imap_admin_owns(k, from))
		return false;
	if (code == IMAP_NO_RIGHT && imap_admin_owns(k, use) &&
		use != from && use != MR_SPECIAL_REJECTED) {
		turn(k, range, n, from == MR_SPECIAL_HELD ? RELEASE : HOLD,
			said);
		return true;
	}
	if (code != MR_STORE_OK)
		return false;
	if (from == MR_SPECIAL_QUEUE && !is_bin) {
		*said = IMAP_ANSWER(IMAP_NO, "CANNOT", "What waits can be "
			"copied, deleted, or moved to where it is held");
		return true;
	}
	step->what = is_bin ? DROP : RELEASE;
	gather(k, range, n, 0, step);
	return false;
}
