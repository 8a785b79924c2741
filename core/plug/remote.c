/*
 * remote.c - a plugin that is elsewhere: its hooks as the chain calls them,
 * and what happens when its process is lost.
 *
 * remote->lock guards which process works, its idle lines and how many use
 * it; nothing is sent to a plugin under it but the descriptor of a new line.
 * A lost process is marked dead by the first who notices; it is freed by the
 * last who used it.
 *
 * What a session told the plugin is kept with the session (the hooks before
 * the message hook), so that a new process can be told it again. Such a
 * replay repeats what those hooks did outside, such as counting in the state
 * of the store; their verdicts, replies and results count for nothing.
 */
#include "plug/remote_parts.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"

#define YOUNG 10000		/* ms */
#define PAUSE_FIRST 100
#define PAUSE_MOST 30000
#define WAIT_MOST 5000		/* for a process that starts again */
#define TRIALS 4		/* sandboxes of one plugin at once */
#define TRIES 3			/* with processes that were gone already */
#define FRESH 5000		/* messages, where a plugin wants to be fresh */

static void (*watcher)(const char *plugin, const char *what);

void
remote_watch(void (*tell)(const char *plugin, const char *what))
{
	watcher = tell;
}

static void
tell_watcher(const struct remote *r, const char *what)
{
	if (watcher)
		watcher(r->plan->name, what);
}

/* ------------------------------------------------------ the process in use */

static void
wait_until(struct remote *r, int64_t mono)
{
	struct timespec t = {mono / 1000, mono % 1000 * 1000000};

	pthread_cond_timedwait(&r->changed, &r->lock, &t);
}

/* Loads and opens. NULL: logged. No lock is held. */
static struct remote_process *
start_process(struct remote *r, bool sandbox)
{
	struct remote_manifest m;
	struct remote_process *p;
	struct err e = {0};
	struct buf why;

	buf_init(&why, 1000);
	p = remote_process_start(r, sandbox, &m, &why);
	if (p && remote_process_open(r, p, &e) < 0) {
		buf_adds(&why, e.text);
		remote_process_kill(p);
		remote_process_free(p);
		p = NULL;
	}
	if (!p)
		log_error("plugin.start", LOG_S("plugin", r->plan->name),
			LOG_STR("error", buf_str(&why)));
	else
		log_info("plugin.start", LOG_S("plugin", r->plan->name),
			LOG_N("process", p->pid),
			LOG_S("isolate", sandbox ? "sandbox" : "process"));
	buf_free(&why);
	return p;
}

/* How long to wait before the next start: the first loss is free. */
static int64_t
pause_of(unsigned losses)
{
	if (losses < 2)
		return 0;
	return losses > 10 ? PAUSE_MOST : PAUSE_FIRST << (losses - 2);
}

/* Under the lock, which is given up meanwhile. */
static void
start_again(struct remote *r)
{
	struct remote_process *p;

	r->is_starting = true;
	pthread_mutex_unlock(&r->lock);
	p = start_process(r, r->plan->isolation.isolate == ISOLATE_SANDBOX);
	if (p)
		tell_watcher(r, "restart");
	pthread_mutex_lock(&r->lock);
	r->is_starting = false;
	r->current = p;
	if (!p)
		r->start_at = clock_mono() + pause_of(++r->losses + 1);
	pthread_cond_broadcast(&r->changed);
}

/* A process that works, counted as used, and a line to it. NULL: there is
 * none in time. */
static struct remote_process *
enter(struct remote *r, int64_t until, struct remote_line **line)
{
	struct remote_process *p = NULL;
	struct err e = {0};
	int64_t now;

	pthread_mutex_lock(&r->lock);
	while (!r->current && !r->is_closing && (now = clock_mono()) < until) {
		if (r->is_starting)
			wait_until(r, until);
		else if (r->start_at > now)
			wait_until(r, r->start_at < until ? r->start_at :
				until);
		else
			start_again(r);
	}
	if ((p = r->current)) {
		p->users++;
		*line = p->idle;
		if (*line)
			p->idle = (*line)->next;
		else
			*line = remote_line_new(p, &e);
	}
	pthread_mutex_unlock(&r->lock);
	return p;
}

/* How many messages a process may see; 0: any number. */
static uint64_t
life_of(const struct remote *r)
{
	if (r->plan->isolation.recycle)
		return (uint64_t)r->plan->isolation.recycle;
	return r->manifest.wants & MR_WANT_FRESH ? FRESH : 0;
}

/* Under the lock: the process has seen one more message. */
static void
count_message(struct remote *r, struct remote_process *p)
{
	if (++p->messages != life_of(r) || r->current != p)
		return;
	p->is_retired = true;
	r->current = NULL;
}

/* Nobody uses it any more, nor will. */
static void
end_process(const struct remote *r, struct remote_process *p)
{
	if (!p->is_dead) {
		log_info("plugin.recycle", LOG_S("plugin", r->plan->name),
			LOG_N("process", p->pid),
			LOG_N("messages", p->messages));
		remote_process_end(p);
	}
	remote_process_free(p);
}

static void
leave(struct remote *r, struct remote_process *p, struct remote_line *line)
{
	bool is_last;

	pthread_mutex_lock(&r->lock);
	is_last = --p->users == 0 && (p->is_dead || p->is_retired);
	if (line && !p->is_dead) {
		line->next = p->idle;
		p->idle = line;
		line = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	if (line)
		remote_line_free(line);
	if (is_last)
		end_process(r, p);
}

static void
leave_after(struct remote *r, enum hook hook, struct remote_process *p,
	struct remote_line *line)
{
	if (hook == HOOK_MESSAGE) {
		pthread_mutex_lock(&r->lock);
		count_message(r, p);
		pthread_mutex_unlock(&r->lock);
	}
	leave(r, p, line);
}

/* How a process ended, for the log. */
static const char *
ending(const struct remote_process *p, char out[40])
{
	if (WIFSIGNALED(p->status))
		snprintf(out, 40, "%s", strsignal(WTERMSIG(p->status)));
	else
		snprintf(out, 40, "exit %d", WEXITSTATUS(p->status));
	return out;
}

/* The user of a process found it lost. */
static void
bury(struct remote *r, struct remote_process *p)
{
	bool is_first;
	int64_t now = clock_mono(), restart = 0;
	char how[40];

	pthread_mutex_lock(&r->lock);
	is_first = !p->is_dead;
	if (is_first) {
		remote_process_kill(p);
		if (now - p->started > YOUNG)
			r->losses = 0;
		r->start_at = now + pause_of(++r->losses);
		restart = r->start_at - now;
		if (r->current == p)
			r->current = NULL;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	if (!is_first)
		return;
	log_error("plugin.died", LOG_S("plugin", r->plan->name),
		LOG_N("process", p->pid), LOG_S("signal", ending(p, how)),
		LOG_N("restart_ms", restart));
	tell_watcher(r, "died");
}

/* ------------------------------------------------------------ one attempt */

/* Tells the process what it missed of the session. */
static int
replay(struct remote_call *c, struct remote_line *line, struct err *e)
{
	struct remote_session *s = c->call->session;
	struct remote_message *m = c->call->message;
	const struct remote_record *one;
	int code = 0;

	s->handle = 0;
	if (s->connect)
		code = remote_call_make(c, line, s->connect, e);
	if (code == 0 && s->helo && c->hook > HOOK_HELO)
		code = remote_call_make(c, line, s->helo, e);
	for (one = m ? m->first : NULL; one && code == 0; one = one->next)
		code = remote_call_make(c, line, one, e);
	return code;
}

static int
attempt(struct remote_call *c, struct remote_process *p,
	struct remote_line *line, struct err *e)
{
	struct remote_session *s = c->call->session;

	c->in_replay = s->process != p->number;
	if (c->in_replay) {
		s->process = p->number;
		if (replay(c, line, e) < 0)
			return -1;
		c->in_replay = false;
	}
	return remote_call_make(c, line, NULL, e);
}

static void
log_crash(const struct remote_call *c, const struct remote_process *p,
	const struct err *e, bool is_trial)
{
	const struct facts *f = scene_of(c->call)->hooks->facts;
	const struct remote *r = c->call->config;
	char how[40];

	ending(p, how);
	if (e->kind == ERR_TIMEOUT)
		snprintf(how, sizeof how, "killed: not back in time");
	else if (e->kind == ERR_PROTOCOL)
		snprintf(how, sizeof how, "killed: spoke nonsense");
	log_error("plugin.crash", LOG_S("plugin", r->plan->name),
		LOG_S("hook", remote_hook_names[c->hook]),
		LOG_S("session", f->session), LOG_S("message", f->queue_id),
		LOG_S("signal", how), LOG_N("process", p->pid),
		LOG_S("where", is_trial ? "sandbox, second try" :
			r->plan->isolation.isolate == ISOLATE_SANDBOX ?
			"sandbox" : "process"));
}

enum outcome { ANSWERED, LOST, NOBODY };

/* In the process that all sessions share. */
static enum outcome
ask_shared(struct remote *r, struct remote_call *c)
{
	int64_t until = clock_mono() + WAIT_MOST;
	struct remote_process *p;
	struct remote_line *line;
	struct err e = {0};
	int tries, code;

	for (tries = 0; tries < TRIES; tries++) {
		line = NULL;
		p = enter(r, until, &line);
		if (!p)
			return NOBODY;
		e.kind = ERR_CLOSED;
		code = line ? attempt(c, p, line, &e) : -1;
		if (code == 0) {
			leave_after(r, c->hook, p, line);
			return ANSWERED;
		}
		bury(r, p);
		if (line)
			remote_line_free(line);
		if (e.kind != ERR_CLOSED)
			log_crash(c, p, &e, false);
		leave(r, p, NULL);
		/* It had ended before: nothing speaks against the message. */
		if (e.kind != ERR_CLOSED)
			return LOST;
	}
	return NOBODY;
}

static bool
begin_trial(struct remote *r)
{
	int64_t until = clock_mono() + WAIT_MOST, now = 0;
	bool may;

	pthread_mutex_lock(&r->lock);
	while (r->trials >= TRIALS && !r->is_closing &&
		(now = clock_mono()) < until)
		wait_until(r, until);
	may = r->trials < TRIALS && !r->is_closing;
	r->trials += may;
	pthread_mutex_unlock(&r->lock);
	return may;
}

static void
end_trial(struct remote *r)
{
	pthread_mutex_lock(&r->lock);
	r->trials--;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* Once more, in a fresh process in the sandbox that is this session's alone
 * and ends with the call. */
static enum outcome
ask_alone(struct remote *r, struct remote_call *c)
{
	struct remote_session *s = c->call->session;
	struct remote_process *p;
	struct remote_line *line;
	struct err e = {0};
	int code = -1;

	if (!begin_trial(r))
		return NOBODY;
	p = start_process(r, true);
	line = p ? remote_line_new(p, &e) : NULL;
	if (line) {
		code = attempt(c, p, line, &e);
		remote_line_free(line);
	}
	/* With such a past no process will live. */
	s->is_lost = code < 0 && c->in_replay;
	if (p) {
		remote_process_kill(p);
		if (code < 0)
			log_crash(c, p, &e, true);
		remote_process_free(p);
	}
	s->process = s->handle = 0;
	end_trial(r);
	return code == 0 ? ANSWERED : LOST;
}

/* ------------------------------------------------------------ what follows */

static void
record(struct remote_call *c)
{
	struct facts *f = scene_of(c->call)->hooks->facts;
	struct remote_session *s = c->call->session;
	struct remote_message *m = c->call->message;
	struct arena *a = m ? f->message_arena : f->session_arena;
	struct remote_record *one;

	if (c->hook >= HOOK_MESSAGE || (!m && c->hook > HOOK_HELO))
		return;
	one = arena_alloc(a, sizeof *one);
	one->hook = c->hook;
	one->told = arena_str(a, c->told);
	if (c->hook == HOOK_CONNECT) {
		s->connect = one;
	} else if (c->hook == HOOK_HELO) {
		s->helo = one;
	} else {
		if (!m->first)
			m->last = &m->first;
		*m->last = one;
		m->last = &one->next;
	}
}

/* The admin's rule for what a plugin could not judge. */
static enum mr_verdict
apply_rule(struct remote *r, struct mr_call *call)
{
	struct remote_message *m = call->message;
	bool again = m && m->is_lost;
	enum on_crash rule = (enum on_crash)r->plan->isolation.on_crash;

	if (m)
		m->is_lost = true;
	if (rule == ON_CRASH_SKIP)
		return MR_DONE;
	if (rule == ON_CRASH_HOLD && m) {
		call->host->say(call, 0, NULL, "the filter crashed on it");
		return again ? MR_PASS : MR_QUARANTINE;
	}
	call->host->say(call, 451, "4.3.0",
		"A filter is out of order, try again later");
	return MR_TEMPFAIL;
}

static enum mr_verdict
ask(struct mr_call *call, enum hook hook, const char *one, const char *two)
{
	struct remote *r = call->config;
	struct remote_session *s = call->session;
	struct remote_message *m = call->message;
	struct remote_call c = {.call = call, .hook = hook, .one = one,
		.two = two};
	enum outcome o;

	if (m && !m->number)
		m->number = ++s->messages;
	if (s->is_lost || (m && m->is_lost))
		return apply_rule(r, call);
	if (remote_call_tell(&c, r->manifest.needs & MR_NEEDS_BODY) < 0) {
		log_error("plugin.call", LOG_S("plugin", r->plan->name),
			LOG_S("hook", remote_hook_names[hook]), LOG_S("error",
			"too much, or the spool cannot be read"));
		return MR_TEMPFAIL;
	}
	o = ask_shared(r, &c);
	if (o == LOST)
		o = ask_alone(r, &c);
	if (o != ANSWERED)
		return apply_rule(r, call);
	record(&c);
	return c.verdict;
}

/* -------------------------------------------------------------- the hooks */

static enum mr_verdict
on_connect(struct mr_call *call)
{
	return ask(call, HOOK_CONNECT, NULL, NULL);
}

static enum mr_verdict
on_helo(struct mr_call *call, const char *name)
{
	return ask(call, HOOK_HELO, name, NULL);
}

static enum mr_verdict
on_mail(struct mr_call *call, const char *sender)
{
	return ask(call, HOOK_MAIL, sender, NULL);
}

static enum mr_verdict
on_rcpt(struct mr_call *call, const char *rcpt, const char *args)
{
	return ask(call, HOOK_RCPT, rcpt, args);
}

static enum mr_verdict
on_data(struct mr_call *call)
{
	return ask(call, HOOK_DATA, NULL, NULL);
}

static enum mr_verdict
on_message(struct mr_call *call)
{
	return ask(call, HOOK_MESSAGE, NULL, NULL);
}

static enum mr_verdict
on_unknown(struct mr_call *call, const char *line)
{
	return ask(call, HOOK_UNKNOWN, line, NULL);
}

static void
on_learn(struct mr_call *call, const char *account, int is_junk)
{
	ask(call, HOOK_LEARN, account, is_junk ? REMOTE_JUNK : "");
}

/* True if the process that knows the session is there. */
static bool
is_known(struct remote *r, const struct remote_session *s)
{
	bool known;

	pthread_mutex_lock(&r->lock);
	known = s->process && r->current && r->current->number == s->process;
	pthread_mutex_unlock(&r->lock);
	return known;
}

/* A hook without a verdict: nobody tries twice for it. */
static void
tell(struct mr_call *call, enum hook hook)
{
	struct remote *r = call->config;
	struct remote_call c = {.call = call, .hook = hook};

	/* Without a number it was told of no message. */
	if (is_known(r, call->session) && remote_call_tell(&c, false) == 0)
		ask_shared(r, &c);
}

static void
on_reset(struct mr_call *call)
{
	tell(call, HOOK_RESET);
}

static void
on_disconnect(struct mr_call *call)
{
	tell(call, HOOK_DISCONNECT);
}

/* In place of a disconnect that the plugin does not have. */
static void
forget(struct mr_call *call)
{
	struct remote *r = call->config;
	struct remote_session *s = call->session;
	struct remote_process *p;
	struct remote_line *line = NULL;
	struct err e = {0};
	size_t begin;

	if (!s->handle || !is_known(r, s))
		return;
	p = enter(r, 0, &line);
	if (!p)
		return;
	if (line && p->number == s->process) {
		buf_reset(&line->out);
		begin = wire_begin(&line->out, WIRE_FORGET);
		wire_u64(&line->out, s->handle);
		wire_end(&line->out, begin);
		if (wire_send(&line->wire, &line->out, NULL, 0, &e) < 0)
			bury(r, p);
	}
	leave(r, p, line);
	s->handle = 0;
}

/* ------------------------------------------------------------------- life */

static int
open_remote(void *config, struct mr_open *o)
{
	struct remote *r = config;
	struct err e = {0};

	r->role = mem_cstr(o->role);
	r->data = mem_cstr(o->data);
	r->hostname = mem_cstr(o->hostname);
	if (remote_process_open(r, r->first, &e) < 0) {
		snprintf(o->error, o->error_size, "%s", e.text);
		remote_process_kill(r->first);
		remote_process_free(r->first);
		r->first = NULL;
		return -1;
	}
	log_info("plugin.start", LOG_S("plugin", r->plan->name),
		LOG_N("process", r->first->pid), LOG_S("isolate",
		r->plan->isolation.isolate == ISOLATE_SANDBOX ? "sandbox" :
		"process"));
	r->current = r->first;
	r->first = NULL;
	return 0;
}

static void
close_remote(void *config)
{
	struct remote *r = config;
	struct remote_process *p;
	bool is_free;

	pthread_mutex_lock(&r->lock);
	r->is_closing = true;
	p = r->current;
	r->current = NULL;
	pthread_cond_broadcast(&r->changed);
	is_free = p && !p->users;
	if (p && !is_free)
		remote_process_kill(p);
	pthread_mutex_unlock(&r->lock);
	if (!is_free)
		return;
	remote_process_end(p);
	remote_process_free(p);
}

static bool
has(const struct remote *r, enum hook hook)
{
	return r->manifest.hooks & (1u << hook);
}

static void
describe(struct remote *r)
{
	const struct remote_manifest *m = &r->manifest;

	r->filter = (struct mr_filter){.size = sizeof r->filter,
		.needs = m->needs, .may = m->may, .wants = m->wants};
	r->filter.connect = has(r, HOOK_CONNECT) ? on_connect : NULL;
	r->filter.helo = has(r, HOOK_HELO) ? on_helo : NULL;
	r->filter.mail = has(r, HOOK_MAIL) ? on_mail : NULL;
	r->filter.rcpt = has(r, HOOK_RCPT) ? on_rcpt : NULL;
	r->filter.data = has(r, HOOK_DATA) ? on_data : NULL;
	r->filter.message = has(r, HOOK_MESSAGE) ? on_message : NULL;
	r->filter.unknown = has(r, HOOK_UNKNOWN) ? on_unknown : NULL;
	r->filter.reset = has(r, HOOK_RESET) ? on_reset : NULL;
	r->filter.learn = has(r, HOOK_LEARN) ? on_learn : NULL;
	r->filter.disconnect = has(r, HOOK_DISCONNECT) ? on_disconnect :
		forget;
	r->desc = (struct mr_plugin){MR_PLUGIN_HEAD, .name = m->name,
		.version = m->version, .summary = "in its own process",
		.session_size = sizeof(struct remote_session),
		.message_size = sizeof(struct remote_message),
		.open = open_remote, .close = close_remote,
		.filter = &r->filter};
}

struct remote *
remote_new(struct arena *a, const struct remote_plan *plan, struct buf *why)
{
	struct remote *r = arena_alloc(a, sizeof *r);
	pthread_condattr_t attr;

	r->plan = plan;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	r->first = remote_process_start(r,
		plan->isolation.isolate == ISOLATE_SANDBOX, &r->manifest, why);
	if (!r->first)
		return NULL;
	describe(r);
	return r;
}

bool
remote_is_open_ended(const struct remote *r)
{
	return r->manifest.is_open_ended;
}

const struct mr_plugin *
remote_desc(const struct remote *r)
{
	return &r->desc;
}
