/*
 * hooks.c - running a chain over one step. Session threads; hooks of one
 * session never overlap because a session is on one thread at a time.
 */
#include "plug/hooks.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"
#include "plug/scene.h"

static __thread struct breadcrumb crumb;

const struct breadcrumb *
hooks_breadcrumb(void)
{
	return crumb.plugin ? &crumb : NULL;
}

static __thread struct last_words words;

const struct last_words *
hooks_last_words(void)
{
	return words.text ? &words : NULL;
}

void
hooks_set_last_words(int fd, const char *text)
{
	words.text = NULL;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	words.fd = fd;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	words.text = text;
}

void
hooks_leave_breadcrumb(const char *plugin, const char *hook,
	const char *session)
{
	/* The handler runs on this thread: order is all that matters. */
	crumb.plugin = NULL;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	crumb.hook = hook;
	crumb.session = session;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	crumb.plugin = plugin;
}

/* Is the filter asked about sessions of this listener? */
static bool
is_for(const struct plugin *p, const char *listener)
{
	size_t i;

	for (i = 0; i < p->listeners.n; i++)
		if (!strcmp(p->listeners.item[i], listener))
			return true;
	return p->listeners.n == 0;
}

struct hooks *
hooks_new(const struct chain *c, struct facts *f)
{
	struct hooks *h = arena_alloc(f->session_arena, sizeof *h);
	size_t i;

	h->chain = c;
	h->facts = f;
	if (!c->n)
		return h;
	sock_host(&f->peer, h->peer_host);
	sock_host(&f->local, h->local_host);
	snprintf(h->peer_port, sizeof h->peer_port, "%u",
		sock_port(&f->peer));
	snprintf(h->local_port, sizeof h->local_port, "%u",
		sock_port(&f->local));
	if (f->peer.sa.ss_family == AF_UNIX)
		h->peer_host[0] = '\0';
	h->seat = arena_alloc(f->session_arena, c->n * sizeof *h->seat);
	for (i = 0; i < c->n; i++) {
		struct plugin *p = c->item[i];

		h->seat[i].plugin = p;
		h->seat[i].filter = p->desc->filter;
		h->seat[i].done_session = !is_for(p, f->listener);
		h->seat[i].session = arena_alloc(f->session_arena,
			p->desc->session_size);
	}
	return h;
}

void
hooks_on_give_up(struct hooks *h, void (*give_up)(void *arg), void *arg)
{
	h->give_up = give_up;
	h->give_up_arg = arg;
}

/* ------------------------------------------------------------- one call */

void
scene_mark(struct scene *s)
{
	struct facts *f = s->hooks->facts;
	struct envelope *e = f->envelope;

	s->results_end = f->results_end;
	if (!s->is_message)
		return;
	s->mark = message_mark(f->message);
	s->envelope = *e;
	s->envelope.rcpt = arena_copy(&s->scratch, e->rcpt,
		e->n_rcpt * sizeof *e->rcpt);
}

void
scene_undo(struct scene *s)
{
	struct facts *f = s->hooks->facts;
	struct envelope *e = f->envelope;

	if (s->results_end) {
		*s->results_end = NULL;
		f->results_end = s->results_end;
	}
	if (!s->is_message)
		return;
	message_undo(f->message, s->mark);
	e->sender = s->envelope.sender;
	e->sender_args = s->envelope.sender_args;
	e->n_rcpt = s->envelope.n_rcpt;
	if (e->n_rcpt)
		memcpy(e->rcpt, s->envelope.rcpt,
			e->n_rcpt * sizeof *e->rcpt);
}

static void
open_scene(struct scene *s, struct hooks *h, struct seat *seat,
	const char *hook)
{
	*s = (struct scene){.hooks = h, .seat = seat, .hook = hook,
		.is_message = h->facts->message != NULL,
		.deadline = clock_mono_rough() + h->chain->timeout_ms};
	s->call = (struct mr_call){.size = sizeof s->call,
		.host = &plug_host, .config = seat->plugin->config,
		.session = seat->session, .message = seat->message,
		.core = s};
	arena_init(&s->scratch);
	scene_mark(s);
	if (h->chain->onlooker)
		h->chain->onlooker->before(h->chain->onlooker->arg, h->facts);
	hooks_leave_breadcrumb(seat->plugin->name, hook, h->facts->session);
	if (!seat->plugin->watched)
		return;
	s->watched = (struct watchdog_call){.plugin = seat->plugin->name,
		.hook = hook, .session = h->facts->session,
		.deadline = s->deadline, .give_up = h->give_up,
		.arg = h->give_up_arg};
	watchdog_begin(&s->watched);
}

static bool
is_known(enum mr_verdict v)
{
	return (int)v >= MR_PASS && v <= MR_HANGUP;
}

/* The reply that goes with a refusal: the filter's own if its class fits the
 * verdict, else the wording that Postfix made known. */
static struct reply
reply_of(const struct scene *s, enum mr_verdict v)
{
	int class = s->code / 100;
	struct reply r = {.code = s->code, .text = s->text};
	struct str enhanced = str_from(s->enhanced);

	if (reply_enhanced(enhanced, s->code) == enhanced.len)
		memcpy(r.enhanced, s->enhanced, sizeof r.enhanced);
	if (v == MR_REJECT && class != 5)
		return REPLY(550, "5.7.1", "Command rejected");
	if (v == MR_HANGUP && s->code != 421)
		return REPLY(421, "4.7.1", "Closing connection");
	if (v == MR_TEMPFAIL && class != 4)
		return REPLY(451, "4.7.1",
			"Service unavailable - try again later");
	if (v == MR_TEMPFAIL && s->code == 421)
		r.code = 451;
	if (!r.text.len)
		r.text = STR("Command rejected");
	return r;
}

static const char *const verdict_names[] = {"pass", "done", "tempfail",
	"reject", "discard", "quarantine", "hangup"};

static void
log_verdict(const struct scene *s, const struct verdict *v, const char *event)
{
	const struct facts *f = s->hooks->facts;

	log_info(event, LOG_S("filter", v->by),
		LOG_S("verdict", verdict_names[v->kind]),
		LOG_S("hook", s->hook),
		LOG_S("session", f->session), LOG_S("message", f->queue_id),
		LOG_STR("text", v->reply.code ? v->reply.text : v->reason));
}

/* For the rest of the message, or of the session. */
static void
leave_out(const struct hooks *h, struct seat *seat)
{
	if (h->in_message)
		seat->done_message = true;
	else
		seat->done_session = true;
}

static void
show(const struct scene *s, const struct verdict *v)
{
	const struct onlooker *o = s->hooks->chain->onlooker;

	if (o)
		o->after(o->arg, s->hooks->facts, s->hook, v);
}

/* The end of a call of a filter that observes: what it would have done is
 * noted and undone. Who has refused or dropped the message expects no more of
 * it; a refused recipient is only one. */
static struct verdict
observe(struct scene *s, const struct verdict *said)
{
	bool is_rcpt = !strcmp(s->hook, "rcpt");
	size_t edits = s->is_message ?
		message_mark(s->hooks->facts->message) - s->mark : 0;

	if (said->kind > MR_DONE || edits || s->is_message) {
		log_verdict(s, said, "filter.observed");
		scene_count(s, verdict_names[said->kind]);
	}
	if (edits) {
		log_info("filter.observed", LOG_S("filter", said->by),
			LOG_S("message", s->hooks->facts->queue_id),
			LOG_N("edits", edits));
		scene_count(s, "edited");
	}
	scene_undo(s);
	if (said->kind > MR_DONE && said->kind != MR_QUARANTINE &&
		!(is_rcpt && said->reply.code && said->reply.code != 421))
		leave_out(s->hooks, s->seat);
	return (struct verdict){.kind = MR_PASS, .by = said->by};
}

/* A message counts once, and fails once. A client that is sent away before
 * its first one counts as one. */
static void
count(const struct scene *s, bool failed)
{
	struct seat *seat = s->seat;
	bool in_message = s->hooks->in_message;

	if (in_message ? !seat->is_counted : failed)
		atomic_fetch_add_explicit(&seat->plugin->messages, 1,
			memory_order_relaxed);
	if (failed && !(in_message && seat->has_failed))
		atomic_fetch_add_explicit(&seat->plugin->failures, 1,
			memory_order_relaxed);
	seat->is_counted = in_message;
	seat->has_failed = in_message && (seat->has_failed || failed);
}

/* For the ledger. */
static void
remember(const struct scene *s, const struct verdict *v)
{
	struct facts *f = s->hooks->facts;
	struct said *one;

	if (!s->hooks->in_message || !f->said_end ||
		(v->kind <= MR_DONE && !s->is_message))
		return;
	one = arena_alloc(f->message_arena, sizeof *one);
	*one = (struct said){.filter = v->by, .hook = s->hook,
		.verdict = s->seat->plugin->observes ? "observes" :
			verdict_names[v->kind],
		.text = arena_str(f->message_arena, v->reply.code ?
			v->reply.text : v->reason)};
	*f->said_end = one;
	f->said_end = &one->next;
}

/* After the hook returned: what it means, and whether its edits stay. */
static struct verdict
close_scene(struct scene *s, enum mr_verdict kind)
{
	struct seat *seat = s->seat;
	struct verdict v = {.kind = kind, .by = seat->plugin->name};
	int64_t late = clock_mono_rough() - s->deadline;

	hooks_leave_breadcrumb(NULL, NULL, NULL);
	if (seat->plugin->watched && watchdog_end())
		v.kind = kind = MR_TEMPFAIL;
	if (late > 0)
		log_warn("filter.slow", LOG_S("filter", v.by),
			LOG_S("hook", s->hook), LOG_N("late_ms", late));
	if (!is_known(kind)) {
		log_error("filter.nonsense", LOG_S("filter", v.by),
			LOG_S("hook", s->hook), LOG_N("verdict", kind));
		v.kind = MR_TEMPFAIL;
	}
	if (v.kind == MR_DONE)
		leave_out(s->hooks, seat);
	if (s->asked && !seat->plugin->observes)
		count(s, v.kind == MR_TEMPFAIL);
	if (v.kind == MR_TEMPFAIL || v.kind == MR_REJECT ||
		v.kind == MR_HANGUP) {
		v.reply = reply_of(s, v.kind);
		show(s, &v);
		scene_undo(s);
	} else {
		v.reason = s->text;
		show(s, &v);
	}
	if (seat->plugin->observes && s->asked)
		v = observe(s, &v);
	else if (v.kind > MR_DONE)
		log_verdict(s, &v, "filter.verdict");
	remember(s, &v);
	arena_free(&s->scratch);
	return v;
}

/* ------------------------------------------------------------- the chain */

/* Which hook, and what it is given. */
struct step {
	const char *name;
	const char *one, *two;
	size_t offset;		/* of the hook in struct mr_filter */
	int args;
};

#define STEP(hook, n, a, b) ((struct step){.name = #hook, .args = (n), \
	.one = (a), .two = (b), .offset = offsetof(struct mr_filter, hook)})

/* The function at the offset, NULL if the filter is older or has none. */
static void *
hook_at(const struct mr_filter *f, size_t offset)
{
	void *hook;

	if (f->size < offset + sizeof hook)
		return NULL;
	memcpy(&hook, (const char *)f + offset, sizeof hook);
	return hook;
}

static enum mr_verdict
invoke(void *hook, struct mr_call *call, const struct step *step)
{
	union {
		void *raw;
		enum mr_verdict (*none)(struct mr_call *);
		enum mr_verdict (*one)(struct mr_call *, const char *);
		enum mr_verdict (*two)(struct mr_call *, const char *,
			const char *);
	} f = {.raw = hook};

	if (step->args == 0)
		return f.none(call);
	return step->args == 1 ? f.one(call, step->one) :
		f.two(call, step->one, step->two);
}

static struct verdict
run(struct hooks *h, const struct step *step, uint32_t wants)
{
	struct verdict result = {.kind = MR_PASS}, v;
	struct scene scene;
	size_t i;

	for (i = 0; i < h->chain->n; i++) {
		struct seat *seat = &h->seat[i];
		void *hook = hook_at(seat->filter, step->offset);

		if (!hook || seat->done_session || (h->in_message &&
			seat->done_message) ||
			(seat->filter->wants & wants) != wants)
			continue;
		open_scene(&scene, h, seat, step->name);
		scene.asked = !(wants & MR_WANT_REFUSED);
		v = close_scene(&scene, invoke(hook, &scene.call, step));
		if (wants & MR_WANT_REFUSED)
			continue;	/* told, not asked */
		/* Who drops a message has no more to say about it. */
		if (v.kind == MR_DISCARD)
			leave_out(h, seat);
		if (v.kind == MR_QUARANTINE && result.kind == MR_PASS)
			result = v;
		else if (v.kind > MR_DONE && v.kind != MR_QUARANTINE)
			return v;
	}
	return result;
}

struct verdict
hooks_connect(struct hooks *h)
{
	size_t i;

	for (i = 0; i < h->chain->n; i++)
		h->seat[i].called = !h->seat[i].done_session;
	return run(h, &STEP(connect, 0, NULL, NULL), 0);
}

struct verdict
hooks_helo(struct hooks *h)
{
	const char *name = h->facts->helo.at;

	return run(h, &STEP(helo, 1, name ? name : "", NULL), 0);
}

static void
begin_message(struct hooks *h)
{
	struct facts *f = h->facts;
	size_t i;

	h->in_message = true;
	f->results = NULL;
	f->results_end = &f->results;
	f->said = NULL;
	f->said_end = &f->said;
	for (i = 0; i < h->chain->n; i++) {
		h->seat[i].done_message = false;
		h->seat[i].is_counted = h->seat[i].has_failed = false;
		h->seat[i].message = arena_alloc(f->message_arena,
			h->seat[i].plugin->desc->message_size);
	}
}

struct verdict
hooks_mail(struct hooks *h)
{
	begin_message(h);
	return run(h, &STEP(mail, 1, h->facts->envelope->sender.at, NULL), 0);
}

struct verdict
hooks_rcpt(struct hooks *h, size_t index, const struct reply *refused)
{
	const struct envelope_rcpt *r = &h->facts->envelope->rcpt[index];
	struct verdict v;
	struct buf line;

	if (!h->chain->n)
		return (struct verdict){.kind = MR_PASS};
	if (!refused)
		return run(h, &STEP(rcpt, 2, r->address.at, r->args.at), 0);
	buf_init(&line, 512);
	reply_line(&line, refused);
	h->facts->rcpt_refused = buf_str(&line);
	run(h, &STEP(rcpt, 2, r->address.at, r->args.at), MR_WANT_REFUSED);
	h->facts->rcpt_refused = STR("");
	buf_free(&line);
	v = (struct verdict){.kind = MR_PASS};
	return v;
}

struct verdict
hooks_data(struct hooks *h)
{
	return run(h, &STEP(data, 0, NULL, NULL), 0);
}

struct verdict
hooks_message(struct hooks *h)
{
	return run(h, &STEP(message, 0, NULL, NULL), 0);
}

struct verdict
hooks_unknown(struct hooks *h, struct str line)
{
	struct verdict v;
	char *copy;

	if (!h->chain->n)
		return (struct verdict){.kind = MR_PASS};
	copy = mem_alloc(line.len + 1);
	if (line.len)
		memcpy(copy, line.at, line.len);
	v = run(h, &STEP(unknown, 1, copy, NULL), 0);
	free(copy);
	return v;
}

/* The hooks that have no verdict: everybody who is owed one is called. */
static void
tell(struct hooks *h, const char *name, size_t offset)
{
	struct scene scene;
	size_t i;

	for (i = 0; i < h->chain->n; i++) {
		struct seat *seat = &h->seat[i];
		union {
			void *raw;
			void (*call)(struct mr_call *);
		} f = {.raw = hook_at(seat->filter, offset)};

		if (!f.raw || !seat->called)
			continue;
		open_scene(&scene, h, seat, name);
		f.call(&scene.call);
		close_scene(&scene, MR_PASS);
	}
}

void
hooks_learn(struct hooks *h, const char *account, bool is_junk)
{
	struct scene scene;
	size_t i;

	begin_message(h);
	for (i = 0; i < h->chain->n; i++) {
		struct seat *seat = &h->seat[i];

		if (!PLUG_HOOK(seat->filter, learn))
			continue;
		seat->called = true;
		open_scene(&scene, h, seat, "learn");
		seat->filter->learn(&scene.call, account, is_junk);
		scene_undo(&scene);
		close_scene(&scene, MR_PASS);
	}
}

void
hooks_reset(struct hooks *h)
{
	size_t i;

	if (!h->in_message)
		return;
	/* Nobody reads or edits the message any more. */
	h->facts->message = NULL;
	tell(h, "reset", offsetof(struct mr_filter, reset));
	h->in_message = false;
	for (i = 0; i < h->chain->n; i++)
		h->seat[i].message = NULL;
	h->facts->results = NULL;
	h->facts->results_end = NULL;
	h->facts->said = NULL;
	h->facts->said_end = NULL;
}

void
hooks_end(struct hooks *h)
{
	hooks_reset(h);
	tell(h, "disconnect", offsetof(struct mr_filter, disconnect));
}
