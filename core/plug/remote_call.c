/*
 * remote_call.c - one hook over a line, from the worker's side.
 *
 * All that a filter usually asks for goes with the call: facts, results, and
 * in the message hook recipients, fields and a short body. What the plugin
 * does meanwhile comes back as frames in the order in which it did it, and is
 * done here to the real message through the host table, as if the plugin had
 * called it. Session threads.
 */
#include "plug/remote_parts.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define BODY_INLINE (16u << 10)	/* shorter bodies stand in the frame */
#define GRACE_MS 250		/* for a hook that uses all of its time */

const char *const remote_hook_names[HOOKS] = {"connect", "helo", "mail",
	"rcpt", "data", "message", "unknown", "reset", "disconnect", "learn"};

static struct facts *
facts_of(struct mr_call *call)
{
	return scene_of(call)->hooks->facts;
}

/* -------------------------------------------------------- what it is told */

static struct str
view(struct mr_str s)
{
	return str_of(s.at, s.len);
}

static void
tell_results(struct buf *b, struct mr_call *call)
{
	const struct result *r;
	uint32_t n = 0;

	for (r = facts_of(call)->results; r; r = r->next)
		n++;
	wire_u32(b, n);
	for (r = facts_of(call)->results; r; r = r->next) {
		wire_text(b, r->method);
		wire_text(b, r->value);
		wire_text(b, r->reason);
		wire_text(b, r->props);
	}
}

static void
tell_rcpts(struct buf *b, struct mr_call *call)
{
	uint32_t n = (uint32_t)envelope_count(facts_of(call)->envelope), i;
	struct mr_rcpt r;

	wire_u32(b, n);
	for (i = 0; i < n && call->host->rcpt(call, i, &r) == 0; i++) {
		wire_str(b, view(r.address));
		wire_str(b, view(r.args));
		wire_str(b, view(call->host->rcpt_account(call, i)));
	}
}

static void
tell_fields(struct buf *b, struct message *m)
{
	size_t n = message_field_count(m), i;
	struct message_field f;

	wire_u32(b, (uint32_t)n);
	wire_u32(b, (uint32_t)message_count_above(m));
	wire_u64(b, message_last_id(m));
	for (i = 0; i < n && message_field(m, i, &f); i++) {
		wire_u64(b, f.id);
		wire_str(b, f.name);
		wire_str(b, f.value);
	}
}

/* The bytes as a text; 0 if they cannot be read. */
static int
tell_body(struct buf *b, struct message *m, size_t len)
{
	struct err e = {0};
	char *at;

	wire_u32(b, (uint32_t)len);
	at = buf_reserve(b, len + 1);
	if (!at || message_body_read(m, 0, at, len, &e) != (int64_t)len)
		return -1;
	at[len] = '\0';
	buf_grew(b, len + 1);
	return 0;
}

static int
tell_message(struct buf *b, struct mr_call *call, bool wants_body)
{
	struct message *m = facts_of(call)->message;
	uint64_t size = message_body_length(m);

	tell_rcpts(b, call);
	tell_fields(b, m);
	wire_u64(b, size);
	wire_u32(b, wants_body && size <= BODY_INLINE);
	return wants_body && size <= BODY_INLINE ?
		tell_body(b, m, (size_t)size) : 0;
}

int
remote_call_tell(struct remote_call *c, bool wants_body)
{
	struct buf b;
	int i, code = 0;

	buf_init(&b, WIRE_TO_PLUGIN - 64);
	for (i = 1; i <= FACT_LAST; i++)
		wire_str(&b, view(c->call->host->fact(c->call,
			(enum mr_fact)i)));
	wire_text(&b, c->one);
	wire_text(&b, c->two);
	tell_results(&b, c->call);
	if (remote_has_message(c->hook))
		code = tell_message(&b, c->call, wants_body);
	if (code == 0 && !b.full)
		c->told = arena_str(&scene_of(c->call)->scratch, buf_str(&b));
	else
		code = -1;
	buf_free(&b);
	return code;
}

/* ------------------------------------------------------- what it did to us */

/* A call that is under way. */
struct talk {
	struct mr_call *call;
	struct remote_line *line;
	bool is_replay;		/* what it does counts for nothing */
	bool failed;		/* something it did could not be done here */
	struct wire_in *in;
	struct err *e;
};

static void
do_log(struct talk *t)
{
	uint32_t level = wire_get_u32(t->in);
	const char *text = wire_get_text(t->in);

	if (!t->in->bad)
		t->call->host->log(t->call, (enum mr_log_level)level, text);
}

static void
do_say(struct talk *t)
{
	int code = (int)wire_get_u32(t->in);
	const char *enhanced = wire_get_text(t->in);
	const char *text = wire_get_text(t->in);

	if (!t->in->bad)
		t->call->host->say(t->call, code, enhanced, text);
}

static void
do_insert(struct talk *t)
{
	uint64_t index = wire_get_u64(t->in);
	const char *name = wire_get_text(t->in);
	const char *value = wire_get_text(t->in);

	if (!t->in->bad && t->call->host->header_insert(t->call,
		(size_t)index, name, value))
		t->failed = true;
}

static void
do_change(struct talk *t)
{
	uint64_t id = wire_get_u64(t->in);
	const char *name = wire_get_text(t->in);
	const char *value = wire_get_text(t->in);

	if (!t->in->bad && t->call->host->header_change(t->call, id, name,
		value))
		t->failed = true;
}

static void
do_remove(struct talk *t)
{
	uint64_t id = wire_get_u64(t->in);

	if (!t->in->bad && t->call->host->header_remove(t->call, id))
		t->failed = true;
}

static void
do_exact(struct talk *t)
{
	t->call->host->header_exact(t->call, (int)wire_get_u32(t->in));
}

static void
do_undo(struct talk *t)
{
	t->call->host->edits_undo(t->call);
	t->failed = false;
}

static void
do_body(struct talk *t)
{
	struct str bytes = wire_get_str(t->in);

	if (!t->in->bad && t->call->host->body_replace(t->call, bytes.at,
		bytes.len))
		t->failed = true;
}

static void
do_sender(struct talk *t)
{
	const char *address = wire_get_text(t->in);
	const char *args = wire_get_text(t->in);

	if (!t->in->bad && t->call->host->sender_change(t->call, address,
		args))
		t->failed = true;
}

static void
do_rcpt_add(struct talk *t)
{
	const char *address = wire_get_text(t->in);
	const char *args = wire_get_text(t->in);

	if (!t->in->bad && t->call->host->rcpt_add(t->call, address, args))
		t->failed = true;
}

static void
do_rcpt_remove(struct talk *t)
{
	const char *address = wire_get_text(t->in);

	if (!t->in->bad && t->call->host->rcpt_remove(t->call, address))
		t->failed = true;
}

static void
do_result(struct talk *t)
{
	struct mr_result r = {.size = sizeof r};

	r.method = wire_get_text(t->in);
	r.value = wire_get_text(t->in);
	r.reason = wire_get_text(t->in);
	r.props = wire_get_text(t->in);
	if (!t->in->bad && t->call->host->result_add(t->call, &r))
		t->failed = true;
}

static void
do_file(struct talk *t)
{
	const char *rcpt = wire_get_text(t->in);
	const char *mailbox = wire_get_text(t->in);

	if (!t->in->bad && t->call->host->file_into(t->call, rcpt,
		mailbox) < 0)
		t->failed = true;
}

/* -------------------------------------------------------- what it asks for */

/* The question's values are read by now: `out` may be sent. */
static int
answer(struct talk *t, size_t begin, const int *fds, size_t n)
{
	wire_end(&t->line->out, begin);
	return wire_send(&t->line->wire, &t->line->out, fds, n, t->e);
}

static size_t
begin_answer(struct talk *t)
{
	buf_reset(&t->line->out);
	return wire_begin(&t->line->out, WIRE_ANSWER);
}

static int
ask_rcpt(struct talk *t)
{
	uint64_t index = wire_get_u64(t->in);
	struct buf *out = &t->line->out;
	size_t begin = begin_answer(t);
	struct mr_rcpt r;
	int code = t->call->host->rcpt(t->call, (size_t)index, &r);

	wire_u32(out, code == 0);
	if (code == 0) {
		wire_str(out, view(r.address));
		wire_str(out, view(r.args));
	}
	return answer(t, begin, NULL, 0);
}

/* A sealed memory file with the first len bytes of the body. */
static int
body_in_memory(struct message *m, uint64_t len, struct err *e)
{
	uint64_t at = 0;
	int64_t n = 0;
	char *map;
	int fd = memfd_create("mailroom-body", MFD_CLOEXEC |
		MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, "memfd_create");
	if (ftruncate(fd, (off_t)len) < 0)
		goto failed;
	map = len ? mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) :
		NULL;
	if (map == MAP_FAILED)
		goto failed;
	while (at < len && (n = message_body_read(m, at, map + at, len - at,
		e)) > 0)
		at += (uint64_t)n;
	if (map)
		munmap(map, len);
	if (n < 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
		F_SEAL_SEAL);
	return fd;
failed:
	err_sys(e, "a memory file for the body");
	close(fd);
	return -1;
}

/* The spool's descriptor, for reading alone. -1: not in a file, or (e) it
 * cannot be had; then memory serves as well. */
static int
body_in_file(struct message *m, uint64_t *from, uint64_t *offset)
{
	char path[32];
	int fd = message_body_file(m, from, offset);

	if (fd < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* What of the body lies in memory goes in a memory file, the rest stays
 * where it is: in the spool's file. */
static int
ask_body(struct talk *t)
{
	struct message *m = scene_of(t->call)->is_message ?
		facts_of(t->call)->message : NULL;
	struct err e = {0};
	uint64_t len = m ? message_body_length(m) : 0, from = len, offset = 0;
	int fds[2] = {-1, -1}, code;
	size_t begin, n = 0;

	if (m)
		fds[1] = body_in_file(m, &from, &offset);
	if (fds[1] < 0)
		from = len;
	if (m)
		fds[0] = body_in_memory(m, from, &e);
	if (m && fds[0] < 0)
		log_error("spool.read", LOG_S("message",
			facts_of(t->call)->queue_id), LOG_S("error", e.text));
	else if (m)
		n = fds[1] >= 0 ? 2 : 1;
	begin = begin_answer(t);
	wire_u32(&t->line->out, (uint32_t)n);
	wire_u64(&t->line->out, from);
	wire_u64(&t->line->out, offset);
	code = answer(t, begin, fds, n);
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	return code;
}

static int
ask_dns(struct talk *t)
{
	uint32_t type = wire_get_u32(t->in);
	const char *name = wire_get_text(t->in);
	struct mr_dns_answer a = {.size = sizeof a};
	struct buf *out = &t->line->out;
	size_t begin;
	uint32_t i;

	t->call->host->dns(t->call, name, type, &a);
	begin = begin_answer(t);
	wire_u32(out, a.status);
	wire_u32(out, a.secure);
	wire_u32(out, a.n);
	for (i = 0; i < a.n; i++) {
		wire_u32(out, a.record[i].ttl);
		wire_u32(out, a.record[i].preference);
		wire_str(out, view(a.record[i].data));
	}
	return answer(t, begin, NULL, 0);
}

static int
ask_get(struct talk *t)
{
	struct mr_str value = {"", 0};
	int code = t->call->host->state_get(t->call, wire_get_text(t->in),
		&value);
	size_t begin = begin_answer(t);

	wire_u32(&t->line->out, (uint32_t)code);
	wire_str(&t->line->out, view(value));
	return answer(t, begin, NULL, 0);
}

static int
ask_set(struct talk *t)
{
	const char *key = wire_get_text(t->in);
	struct str value = wire_get_str(t->in);
	int64_t ttl = (int64_t)wire_get_u64(t->in);
	int code = t->in->bad ? -1 : t->call->host->state_set(t->call, key,
		(struct mr_str){value.at, value.len}, ttl);
	size_t begin = begin_answer(t);

	wire_u32(&t->line->out, (uint32_t)code);
	return answer(t, begin, NULL, 0);
}

static int
ask_add(struct talk *t)
{
	const char *key = wire_get_text(t->in);
	int64_t by = (int64_t)wire_get_u64(t->in);
	int64_t ttl = (int64_t)wire_get_u64(t->in), sum = 0;
	int code = t->in->bad ? -1 : t->call->host->state_add(t->call, key,
		by, ttl, &sum);
	size_t begin = begin_answer(t);

	wire_u32(&t->line->out, (uint32_t)code);
	wire_u64(&t->line->out, (uint64_t)sum);
	return answer(t, begin, NULL, 0);
}

/* -------------------------------------------------------------- the talk */

static const struct {
	void (*act)(struct talk *t);
	int (*ask)(struct talk *t);
	bool in_replay;
} frames[WIRE_TYPES] = {
	[WIRE_LOG] = {do_log, NULL, true},
	[WIRE_SAY] = {do_say, NULL, false},
	[WIRE_INSERT] = {do_insert, NULL, false},
	[WIRE_CHANGE] = {do_change, NULL, false},
	[WIRE_REMOVE] = {do_remove, NULL, false},
	[WIRE_EXACT] = {do_exact, NULL, false},
	[WIRE_UNDO] = {do_undo, NULL, false},
	[WIRE_BODY] = {do_body, NULL, false},
	[WIRE_SENDER] = {do_sender, NULL, false},
	[WIRE_RCPT_ADD] = {do_rcpt_add, NULL, false},
	[WIRE_RCPT_REMOVE] = {do_rcpt_remove, NULL, false},
	[WIRE_RESULT] = {do_result, NULL, false},
	[WIRE_FILE] = {do_file, NULL, false},
	[WIRE_ASK_RCPT] = {NULL, ask_rcpt, true},
	[WIRE_ASK_BODY] = {NULL, ask_body, true},
	[WIRE_ASK_DNS] = {NULL, ask_dns, true},
	[WIRE_ASK_GET] = {NULL, ask_get, true},
	[WIRE_ASK_SET] = {NULL, ask_set, true},
	[WIRE_ASK_ADD] = {NULL, ask_add, true},
};

static int
take_frame(struct talk *t, enum wire_type type)
{
	int code = 0;

	if (type >= WIRE_TYPES || (!frames[type].act && !frames[type].ask))
		return err_set(t->e, ERR_PROTOCOL, "a frame of type %d",
			(int)type);
	if (t->is_replay && !frames[type].in_replay)
		return 0;
	if (frames[type].act)
		frames[type].act(t);
	else
		code = frames[type].ask(t);
	return t->in->bad ? err_set(t->e, ERR_PROTOCOL,
		"a frame that is cut short") : code;
}

/* The verdict, and what the process keeps of the session from now on. */
static int
take_done(struct talk *t, struct remote_call *c)
{
	struct remote_session *s = c->call->session;
	enum mr_verdict verdict = (enum mr_verdict)wire_get_u32(t->in);

	s->handle = wire_get_u64(t->in);
	if (t->in->bad)
		return err_set(t->e, ERR_PROTOCOL, "a verdict cut short");
	if (t->is_replay)
		return 0;
	c->verdict = verdict;
	if (t->failed && verdict != MR_REJECT && verdict != MR_HANGUP) {
		log_error("filter.edit", LOG_S("filter",
			scene_of(c->call)->seat->plugin->name),
			LOG_S("message", facts_of(c->call)->queue_id),
			LOG_S("error", "an edit could not be made"));
		c->verdict = MR_TEMPFAIL;
	}
	return 0;
}

static int
send_call(struct remote_call *c, struct talk *t,
	const struct remote_record *replay, int64_t deadline)
{
	const struct remote_session *s = c->call->session;
	const struct remote_message *m = c->call->message;
	struct str told = replay ? replay->told : c->told;
	struct buf *b = &t->line->out;
	size_t begin;

	buf_reset(b);
	begin = wire_begin(b, WIRE_CALL);
	wire_u32(b, replay ? replay->hook : c->hook);
	wire_u64(b, s->handle);
	wire_u64(b, m && (!replay || replay->hook >= HOOK_MAIL) ? m->number :
		0);
	wire_u64(b, (uint64_t)deadline);
	buf_addstr(b, told);
	wire_end(b, begin);
	return wire_send(&t->line->wire, b, NULL, 0, t->e);
}

/* Undoes what the lost hook had done so far. */
static void
take_back(struct mr_call *call)
{
	scene_undo(scene_of(call));
	call->host->header_exact(call, 0);
	call->host->say(call, 0, NULL, NULL);
}

/* Until when the hook may run. Sets the line's time to a little more:
 * rounded, so that it is not set anew for each millisecond. */
static int64_t
set_time(const struct remote_call *c, struct remote_line *l)
{
	const struct remote *r = c->call->config;
	int64_t left = c->call->host->deadline(c->call), now = clock_mono();
	int64_t time = r->plan->isolation.time, wait;

	/* A second try has a moment left even if the first used all. */
	left = left < 1000 ? 1000 : left;
	wait = (left + GRACE_MS + 1023) & ~(int64_t)1023;
	if (time && time < left) {
		left = time;
		wait = time + GRACE_MS;
	}
	if (l->timeout != wait)
		wire_set_timeout(&l->wire, l->timeout = wait);
	return now + left;
}

int
remote_call_make(struct remote_call *c, struct remote_line *l,
	const struct remote_record *replay, struct err *e)
{
	struct wire_in in = {.at = NULL};
	struct talk t = {.call = c->call, .line = l, .is_replay = replay,
		.in = &in, .e = e};
	int64_t deadline = set_time(c, l);
	enum wire_type type;
	int code = send_call(c, &t, replay, deadline);

	while (code == 0) {
		code = wire_next(&l->wire, false, &type, &in, e);
		if (code == 0 && type == WIRE_DONE)
			return take_done(&t, c);
		if (code == 0)
			code = take_frame(&t, type);
		if (code == 0 && clock_mono() > deadline + GRACE_MS)
			code = err_set(e, ERR_TIMEOUT, "no answer in time");
		if (code < 0 && e->kind == ERR_CLOSED)
			e->kind = ERR_SYS;	/* the call had arrived */
	}
	if (!replay)
		take_back(c->call);
	return -1;
}
