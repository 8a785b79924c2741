/*
 * imap_noted.c - what changed in the mailboxes that a NOTIFY names.
 *
 * A wake says only that something happened. All mailboxes of the account are
 * listed then, and held against what the client was told last. No change is
 * lost: where the set of mailboxes differs the new ones are watched first, and
 * then everything is looked at again.
 */
#include "base/buf.h"
#include "serve/imap.h"
#include "serve/imap_metadata.h"
#include "serve/imap_notify.h"
#include "serve/imap_place.h"

#define MAILBOXES_MOST 2000

/* --------------------------------------------------------------- listing */

struct listing {
	struct imap *k;
	struct noted_list *list;
};

static bool
fits(const struct notify_group *g, const struct noted *b)
{
	struct str name = str_from(b->m.name);
	size_t i;

	switch (g->filter) {
	case NOTIFY_INBOXES:	/* filters may deliver to any mailbox */
	case NOTIFY_PERSONAL:
		return b->own;
	case NOTIFY_SUBSCRIBED:
		return b->m.subscribed;
	case NOTIFY_SUBTREE:
	case NOTIFY_LISTED:
		for (i = 0; i < g->n; i++)
			if (str_is(name, g->name[i]) || (g->filter ==
				NOTIFY_SUBTREE && str_starts(name,
				g->name[i]) && name.at[str_from(
				g->name[i]).len] == '/'))
				return true;
		return false;
	default:
		return false;
	}
}

static unsigned
events_of(const struct imap_notify *n, const struct noted *b)
{
	const struct notify_group *g;

	for (g = n->group; g; g = g->next)
		if (fits(g, b))
			return g->events;
	return 0;
}

static struct noted *
add(struct listing *l, const struct mr_mailbox *m, const char *name)
{
	struct noted_list *list = l->list;
	struct noted *b;

	if (list->n == list->room) {
		list->room += list->room / 2 + 8;
		list->at = mem_grow(list->at, list->room * sizeof *list->at);
	}
	b = &list->at[list->n++];
	*b = (struct noted){.m = *m};
	b->m.name = arena_cstr(&list->names, str_from(name));
	return b;
}

static int
add_own(void *arg, const struct mr_mailbox *m)
{
	struct listing *l = arg;

	add(l, m, m->name)->own = true;
	return l->list->n > MAILBOXES_MOST;
}

static int
add_shared(void *arg, const char *owner, const struct mr_mailbox *m,
	uint32_t rights)
{
	struct listing *l = arg;

	if (rights & MR_RIGHT_LOOKUP && rights & MR_RIGHT_READ)
		add(l, m, imap_place_shown(l->k, owner, m->name));
	return l->list->n > MAILBOXES_MOST;
}

static int
mark_subscribed(void *arg, const char *name)
{
	struct listing *l = arg;
	size_t i;

	for (i = 0; i < l->list->n; i++)
		if (!l->list->at[i].own && str_is(str_from(name),
			l->list->at[i].m.name))
			l->list->at[i].m.subscribed = 1;
	return 0;
}

static int
by_id(const void *a, const void *b)
{
	const struct noted *x = a, *y = b;

	return x->m.id < y->m.id ? -1 : x->m.id > y->m.id;
}

static int
list_all(struct imap *k, struct noted_list *out, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct listing l = {k, out};
	size_t i;
	int code;

	*out = (struct noted_list){.n = 0};
	arena_init(&out->names);
	code = s->op->mailbox_list(s->self, k->account, add_own, &l, me);
	if (code == MR_STORE_OK && k->notify->others && imap_has_acl(k))
		code = s->op->acl_shared(s->self, k->account, add_shared, &l,
			me);
	if (code == MR_STORE_OK && k->notify->others)
		code = s->op->subscriptions(s->self, k->account,
			mark_subscribed, &l, me);
	for (i = 0; i < out->n; i++)
		out->at[i].events = events_of(k->notify, &out->at[i]);
	if (out->n)
		qsort(out->at, out->n, sizeof *out->at, by_id);
	return code;
}

/* -------------------------------------------------------------- watching */

static void
watch_all(struct imap *k, struct noted_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->at[i].events & (NOTIFY_MESSAGES | NOTIFY_METADATA))
			watch_add(k->house->watch, &l->at[i].watch,
				&k->session->guest, l->at[i].m.id);
}

void
imap_noted_free(struct imap *k, struct noted_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		watch_remove(k->house->watch, &l->at[i].watch);
	free(l->at);
	arena_free(&l->names);
	*l = (struct noted_list){.n = 0};
}

/* --------------------------------------------------------------- telling */

/* UIDVALIDITY along, that a client may trust the rest (RFC 5465 section 4).
 * HIGHESTMODSEQ in it enables nothing that the client did not ask for. */
static int
say_status(struct imap *k, const struct noted *b, struct mr_error *me)
{
	bool flags = b->events & NOTIFY_FLAGS || k->enabled & IMAP_CONDSTORE;
	struct imap_in in = {flags ?
		STR("(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)") :
		STR("(MESSAGES UIDNEXT UIDVALIDITY)"),
		&k->session->command, NULL};
	unsigned items, enabled = k->enabled;
	int code = MR_STORE_OK;

	if (imap_status_items(&in, &items))
		code = imap_status_line(k, &b->m, b->m.name, items, me);
	k->enabled = enabled;
	return code;
}

/* RFC 5465 section 5.4, 5.5; `old`: the name it had, or NULL. */
static void
say_list(struct imap *k, const struct noted *b, bool gone, const char *old)
{
	struct buf out;

	buf_init(&out, BUF_NO_CAP);
	buf_addf(&out, "* LIST (%s) \"/\" ", gone ? "\\NonExistent" :
		b->m.subscribed ? "\\Subscribed" : "");
	imap_name_out(k, &out, b->m.name);
	if (old) {
		buf_adds(&out, " (\"OLDNAME\" (");
		imap_name_out(k, &out, old);
		buf_adds(&out, "))");
	}
	buf_adds(&out, "\r\n");
	stream_write_str(&k->session->stream, buf_str(&out));
	buf_free(&out);
}

static bool
has_message_news(const struct noted *was, const struct noted *is)
{
	if (!(was->events & NOTIFY_MESSAGES))
		return false;	/* not watched: what is known of it is old */
	if (was->m.uidnext != is->m.uidnext || was->m.messages !=
		is->m.messages || was->m.uidvalidity != is->m.uidvalidity)
		return is->events & (NOTIFY_NEW | NOTIFY_EXPUNGE);
	return was->m.modseq != is->m.modseq && is->events & NOTIFY_FLAGS;
}

static int
tell_one(struct imap *k, const struct noted *was, const struct noted *is,
	struct mr_error *me)
{
	bool renamed = !str_is(str_from(was->m.name), is->m.name);

	if (renamed && is->events & NOTIFY_NAME)
		say_list(k, is, false, was->m.name);
	else if (was->m.subscribed != is->m.subscribed &&
		(was->events | is->events) & NOTIFY_SUBSCRIPTION)
		say_list(k, is, false, NULL);
	/* The selected one is told of in another way. */
	if (!has_message_news(was, is) || (k->box && k->box->id == is->m.id))
		return MR_STORE_OK;
	return say_status(k, is, me);
}

static void
tell_gone(struct imap *k, const struct noted *was)
{
	if (was->events & NOTIFY_NAME)
		say_list(k, was, true, NULL);
}

static int
tell_made(struct imap *k, const struct noted *is, struct mr_error *me)
{
	if (is->events & NOTIFY_NAME)
		say_list(k, is, false, NULL);
	return is->events & NOTIFY_MESSAGES && is->m.messages ?
		say_status(k, is, me) : MR_STORE_OK;
}

/* Walks both lists, which are in the order of ids. */
static int
tell_all(struct imap *k, const struct noted_list *was,
	const struct noted_list *is, struct mr_error *me)
{
	size_t i = 0, j = 0;
	int code = MR_STORE_OK;

	while ((i < was->n || j < is->n) && code == MR_STORE_OK) {
		if (j == is->n || (i < was->n &&
			was->at[i].m.id < is->at[j].m.id))
			tell_gone(k, &was->at[i++]);
		else if (i == was->n || is->at[j].m.id < was->at[i].m.id)
			code = tell_made(k, &is->at[j++], me);
		else
			code = tell_one(k, &was->at[i++], &is->at[j++], me);
	}
	return code;
}

static int
tell_first(struct imap *k, const struct noted_list *is, struct mr_error *me)
{
	int code = MR_STORE_OK;
	size_t i;

	for (i = 0; i < is->n && k->notify->status && code == MR_STORE_OK; i++)
		if (is->at[i].events & NOTIFY_MESSAGES &&
			!(k->box && k->box->id == is->at[i].m.id))
			code = say_status(k, &is->at[i], me);
	return code;
}

/* ----------------------------------------------------------- annotations */

struct annotation {
	struct annotation *next;
	int64_t mailbox;
	const char *name;
};

struct annotations {
	struct arena *arena;
	struct annotation *first, **end;
};

static int
add_annotation(void *arg, int64_t mailbox, const char *name)
{
	struct annotations *l = arg;
	struct annotation *a = arena_alloc(l->arena, sizeof *a);

	*a = (struct annotation){.mailbox = mailbox,
		.name = arena_cstr(l->arena, str_from(name))};
	*l->end = a;
	l->end = &a->next;
	return 0;
}

/* Names alone (RFC 5464 section 4.4.2). */
static void
say_annotation(struct imap *k, const struct annotation *a)
{
	const struct noted_list *list = &k->notify->list;
	const struct noted key = {.m.id = a->mailbox}, *b = NULL;
	const char *name = "";
	struct buf out;

	if (a->mailbox && list->n)
		b = bsearch(&key, list->at, list->n, sizeof key, by_id);
	if (b)
		name = b->m.name;
	if (a->mailbox ? !b || !(b->events & NOTIFY_METADATA) :
		!(k->notify->all & NOTIFY_SERVER))
		return;
	buf_init(&out, BUF_NO_CAP);
	buf_adds(&out, "* METADATA ");
	imap_name_out(k, &out, name);
	buf_addc(&out, ' ');
	imap_metadata_name(&out, a->name);
	buf_adds(&out, "\r\n");
	stream_write_str(&k->session->stream, buf_str(&out));
	buf_free(&out);
}

/* At first only the point from which on changes are told is taken. */
static int
tell_annotations(struct imap *k, bool first, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct annotations l = {.arena = &k->session->command};
	const struct annotation *a;
	int64_t since = first ? INT64_MAX : k->notify->annotations;
	int code;

	l.end = &l.first;
	if (!(k->notify->all & (NOTIFY_METADATA | NOTIFY_SERVER)))
		return MR_STORE_OK;
	code = s->op->metadata_changed(s->self, k->account, since,
		add_annotation, &l, &k->notify->annotations, me);
	for (a = l.first; a && code == MR_STORE_OK; a = a->next)
		say_annotation(k, a);
	return code;
}

/* -------------------------------------------------------------- together */

/* The same mailboxes under the same names and watched alike: the old list may
 * stay, with new figures. */
static bool
is_alike(const struct noted_list *a, const struct noted_list *b)
{
	size_t i;

	if (a->n != b->n || !a->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (a->at[i].m.id != b->at[i].m.id ||
			a->at[i].events != b->at[i].events ||
			!str_is(str_from(a->at[i].m.name), b->at[i].m.name))
			return false;
	return true;
}

static void
take_figures(struct noted_list *to, const struct noted_list *from)
{
	const char *name;
	size_t i;

	for (i = 0; i < to->n; i++) {
		name = to->at[i].m.name;
		to->at[i].m = from->at[i].m;
		to->at[i].m.name = name;
	}
}

bool
imap_noted_tell(struct imap *k)
{
	struct noted_list *was = &k->notify->list, is;
	struct mr_error me = {{0}};
	bool alike = false;
	int code = was->n ? MR_STORE_OK : tell_annotations(k, true, &me);

	while (!alike && code == MR_STORE_OK) {
		code = list_all(k, &is, &me);
		if (code == MR_STORE_OK)
			code = was->n ? tell_all(k, was, &is, &me) :
				tell_first(k, &is, &me);
		alike = is_alike(was, &is);
		if (code != MR_STORE_OK || alike) {
			if (alike)
				take_figures(was, &is);
			imap_noted_free(k, &is);
			continue;
		}
		watch_all(k, &is);
		imap_noted_free(k, was);
		*was = is;
	}
	if (code == MR_STORE_OK)
		code = tell_annotations(k, false, &me);
	if (code != MR_STORE_OK && code != MR_STORE_STOPPED)
		imap_store_failed(k, code, &me);
	return code == MR_STORE_OK;
}
