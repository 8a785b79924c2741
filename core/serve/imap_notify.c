/*
 * imap_notify.c - NOTIFY (RFC 5465): the command, and how a session that has
 * given it waits.
 *
 * Such a session parks as one in IDLE does, but a command may come at any
 * time; a wake is answered by telling what changed in the selected mailbox
 * and in the others (imap_noted.c). What commands tell of the selected
 * mailbox, they tell as ever.
 */
#include "serve/imap_notify.h"

#include <inttypes.h>

#include "base/clock.h"
#include "serve/imap.h"
#include "serve/imap_fetch.h"
#include "serve/imap_place.h"

#define BADEVENT "BADEVENT (MessageNew MessageExpunge FlagChange " \
	"MailboxName SubscriptionChange MailboxMetadataChange " \
	"ServerMetadataChange)"
#define GROUPS_MOST 64
#define NAMES_MOST 256		/* of one group */

bool
imap_has_notify(const struct imap *k)
{
	const struct mr_store *op = k->house->store.op;

	return k->house->watch && MR_HAS(op, metadata_changed) &&
		op->account_number && op->metadata_changed;
}

void
imap_notify_end(struct imap *k)
{
	struct imap_notify *n = k->notify;

	if (!n)
		return;
	if (!k->idle_tag)
		watch_remove(k->house->watch, &k->watch);
	watch_remove(k->house->watch, &n->watch);
	imap_noted_free(k, &n->list);
	arena_free(&n->arena);
	free(n);
	k->notify = NULL;
}

/* ------------------------------------------------------------- arguments */

struct parsing {
	struct imap *k;
	struct imap_in *in;
	struct imap_notify *n;
	bool bad_event;		/* one that is not offered */
};

static bool
complain(struct parsing *p, const char *what)
{
	if (!p->in->wrong)
		p->in->wrong = what;
	return false;
}

/* " (UID BODY.PEEK[HEADER.FIELDS (FROM)])" behind MessageNew. */
static bool
take_attributes(struct parsing *p, const struct notify_group *g)
{
	struct fetch_plan plan = {.n = 0};
	struct str text;

	if (!str_starts(p->in->rest, " ("))
		return true;
	if (g->filter > NOTIFY_DELAYED)
		return complain(p, "Only of the selected mailbox messages are "
			"fetched");
	imap_blank(p->in);
	text = p->in->rest;
	if (!fetch_plan_read(&plan, p->in, true))
		return false;
	text.len -= p->in->rest.len;
	p->n->attributes = arena_cstr(&p->n->arena, text);
	return true;
}

static bool
take_event(struct parsing *p, struct notify_group *g)
{
	static const struct {
		const char *name;
		unsigned event;
	} known[] = {
		{"MessageNew", NOTIFY_NEW}, {"MessageExpunge", NOTIFY_EXPUNGE},
		{"FlagChange", NOTIFY_FLAGS}, {"MailboxName", NOTIFY_NAME},
		{"SubscriptionChange", NOTIFY_SUBSCRIPTION},
		{"MailboxMetadataChange", NOTIFY_METADATA},
		{"ServerMetadataChange", NOTIFY_SERVER},
	};
	size_t i, n = sizeof known / sizeof *known;
	struct str word;

	if (!imap_atom(p->in, &word))
		return false;
	for (i = 0; i < n && !str_iis(word, known[i].name); i++)
		;
	if (i == n) {
		p->bad_event = true;
		return true;
	}
	g->events |= known[i].event;
	return known[i].event != NOTIFY_NEW || take_attributes(p, g);
}

/* What the events of a group have to be together (section 5). */
static bool
check_events(struct parsing *p, const struct notify_group *g)
{
	unsigned both = g->events & (NOTIFY_NEW | NOTIFY_EXPUNGE);

	if (p->bad_event)
		return true;
	if ((both && both != (NOTIFY_NEW | NOTIFY_EXPUNGE)) ||
		(g->events & NOTIFY_FLAGS && !both))
		return complain(p, "MessageNew and MessageExpunge go "
			"together, and with FlagChange");
	if (g->filter <= NOTIFY_DELAYED && g->events & ~NOTIFY_MESSAGES)
		return complain(p, "That event is not one of the selected "
			"mailbox");
	return true;
}

static bool
take_events(struct parsing *p, struct notify_group *g)
{
	struct str word;
	int n;

	if (!imap_is_char(p->in, '(')) {
		if (!imap_atom(p->in, &word))
			return false;
		return str_iis(word, "NONE") ? true :
			complain(p, "A list of events or NONE is missing");
	}
	imap_char(p->in, '(');
	for (n = 0; n == 0 || !imap_is_char(p->in, ')'); n++)
		if ((n && !imap_blank(p->in)) || !take_event(p, g))
			return false;
	return imap_char(p->in, ')') && check_events(p, g);
}

static bool
take_name(struct parsing *p, struct notify_group *g)
{
	struct imap_place place;
	struct str word;

	if (!imap_astring(p->in, &word))
		return false;
	/* One above the mailboxes of others is a name, too. */
	imap_place_name(p->k, word, &place);
	if (!place.shown || g->n == NAMES_MOST)
		return complain(p, "Not a name, or too many");
	g->name[g->n++] = arena_cstr(&p->n->arena, str_from(place.shown));
	p->n->others |= str_starts(str_from(place.shown), IMAP_OTHERS);
	return true;
}

/* At least as many as there are: a bracket may stand in a name. */
static size_t
most_names(struct str s)
{
	size_t i, n = 1;

	for (i = 0; i < s.len; i++)
		n += s.at[i] == ' ';
	return n < NAMES_MOST ? n : NAMES_MOST;
}

static bool
take_names(struct parsing *p, struct notify_group *g)
{
	bool many = str_starts(p->in->rest, " (");

	if (!imap_blank(p->in))
		return false;
	g->name = arena_alloc(&p->n->arena, sizeof *g->name *
		(many ? most_names(p->in->rest) : 1));
	if (!many)
		return take_name(p, g);
	imap_char(p->in, '(');
	do {
		if ((g->n && !imap_blank(p->in)) || !take_name(p, g))
			return false;
	} while (!imap_is_char(p->in, ')'));
	return imap_char(p->in, ')');
}

static bool
take_filter(struct parsing *p, struct notify_group *g)
{
	static const struct {
		const char *name;
		enum notify_filter filter;
	} known[] = {
		{"SELECTED", NOTIFY_SELECTED},
		{"SELECTED-DELAYED", NOTIFY_DELAYED},
		{"INBOXES", NOTIFY_INBOXES}, {"PERSONAL", NOTIFY_PERSONAL},
		{"SUBSCRIBED", NOTIFY_SUBSCRIBED},
		{"SUBTREE", NOTIFY_SUBTREE}, {"MAILBOXES", NOTIFY_LISTED},
	};
	struct str word;
	size_t i;

	if (!imap_atom(p->in, &word))
		return false;
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (str_iis(word, known[i].name))
			g->filter = known[i].filter;
	if (!g->filter)
		return complain(p, "Those mailboxes are not known");
	if (g->filter == NOTIFY_SUBSCRIBED)
		p->n->others = true;
	return g->filter < NOTIFY_SUBTREE || take_names(p, g);
}

/* "(subtree Lists (MessageNew MessageExpunge))" */
static bool
take_group(struct parsing *p, struct notify_group *g)
{
	struct imap_notify *n = p->n;

	if (!imap_char(p->in, '(') || !take_filter(p, g) ||
		!imap_blank(p->in) || !take_events(p, g) ||
		!imap_char(p->in, ')'))
		return false;
	n->all |= g->events;
	if (g->filter > NOTIFY_DELAYED)
		return true;
	if (n->tells_selected)
		return complain(p, "The selected mailbox is named twice");
	n->tells_selected = true;
	n->delays = g->filter == NOTIFY_DELAYED;
	n->selected = g->events;
	return true;
}

static bool
take_set(struct parsing *p)
{
	struct notify_group **end = &p->n->group;
	struct str word;
	int groups = 0;

	if (imap_blank(p->in) && !imap_is_char(p->in, '(')) {
		if (!imap_atom(p->in, &word) || !imap_blank(p->in))
			return false;
		p->n->status = str_iis(word, "STATUS");
		if (!p->n->status)
			return complain(p, "STATUS or a list is missing");
	}
	do {
		if (groups++ == GROUPS_MOST)
			return complain(p, "Too many lists");
		if (groups > 1 && !imap_blank(p->in))
			return false;
		*end = arena_alloc(&p->n->arena, sizeof **end);
		if (!take_group(p, *end))
			return false;
		end = &(*end)->next;
	} while (p->in->rest.len);
	return true;
}

/* --------------------------------------------------------------- the verb */

/* The client is told that nothing more comes by itself (section 5.8). */
static void
overflow(struct imap *k)
{
	stream_puts(&k->session->stream, "* OK [NOTIFICATIONOVERFLOW] Changes "
		"are not told any more\r\n");
	imap_notify_end(k);
}

static struct imap_answer
begin(struct imap *k, struct imap_notify *n)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	int code;

	k->notify = n;
	code = s->op->account_number(s->self, k->account, &n->account, &me);
	if (code != MR_STORE_OK) {
		imap_notify_end(k);
		return imap_store_failed(k, code, &me);
	}
	watch_add(k->house->watch, &n->watch, &k->session->guest,
		watch_account(n->account));
	if (!imap_noted_tell(k))
		overflow(k);
	return IMAP_ANSWER(IMAP_OK, NULL, "NOTIFY done");
}

static struct imap_answer
set(struct imap *k, struct imap_in *in)
{
	struct parsing p = {.k = k, .in = in, .n = mem_alloc(sizeof *p.n)};
	bool good;

	arena_init(&p.n->arena);
	good = take_set(&p);
	if (good && !p.bad_event) {
		imap_notify_end(k);
		return begin(k, p.n);
	}
	arena_free(&p.n->arena);
	free(p.n);
	return good ? IMAP_ANSWER(IMAP_NO, BADEVENT, "That is not told") :
		imap_bad(k, in);
}

struct imap_answer
imap_notify(struct imap *k, struct imap_in *in, bool uid)
{
	struct str word;

	(void)uid;
	if (!imap_has_notify(k))
		return IMAP_ANSWER(IMAP_NO, "CANNOT", "Not offered here");
	if (!imap_atom(in, &word))
		return imap_bad(k, in);
	if (str_iis(word, "SET"))
		return set(k, in);
	if (!str_iis(word, "NONE"))
		in->wrong = "SET or NONE was expected";
	if (in->wrong || !imap_end(in))
		return imap_bad(k, in);
	imap_notify_end(k);
	return IMAP_ANSWER(IMAP_OK, NULL, "NOTIFY done");
}

/* --------------------------------------------------------------- waiting */

/* The messages behind `last`, as MessageNew asks for them. */
static void
fetch_new(struct imap *k, uint32_t last)
{
	struct imap_in in = {.arena = &k->session->command};

	in.rest = str_from(arena_printf(in.arena, "%" PRIu32 ":* %s", last + 1,
		k->notify->attributes));
	imap_fetch(k, &in, true);
}

/* false: nothing of the selected mailbox is to be told by itself. */
static bool
wants_selected(const struct imap *k)
{
	return k->box && (k->idle_tag || (k->notify->tells_selected &&
		k->notify->selected));
}

static bool
tell_selected(struct imap *k)
{
	const struct imap_notify *n = k->notify;
	uint32_t last;

	if (!wants_selected(k))
		return true;
	if (!imap_place_refresh(k)) {
		stream_puts(&k->session->stream, IMAP_BYE_RIGHTS);
		return false;
	}
	last = imap_box_last_uid(k->box);
	if (!imap_tell_changes(k, k->idle_tag || !n->delays, true))
		return false;
	if (n->attributes && imap_box_last_uid(k->box) > last)
		fetch_new(k, last);
	return true;
}

bool
imap_notify_tell(struct imap *k)
{
	if (!imap_noted_tell(k))
		overflow(k);
	return k->notify ? tell_selected(k) : imap_tell_changes(k, true,
		false);
}

enum session_next
imap_notify_park(struct imap *k)
{
	struct session *s = k->session;

	s->guest.wake_at = clock_mono() + s->idle_limit;
	if (k->watch.guest && (!k->box || k->watch.mailbox != k->box->id))
		watch_remove(k->house->watch, &k->watch);
	if (k->watch.guest || !wants_selected(k))
		return SESSION_IDLE;
	/* What happened since the last command has told its changes. */
	watch_add(k->house->watch, &k->watch, &s->guest, k->box->id);
	return tell_selected(k) ? SESSION_IDLE : SESSION_END;
}
