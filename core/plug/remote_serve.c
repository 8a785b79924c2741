/*
 * remote_serve.c - the process of an isolated plugin: it loads the plugin as
 * a worker would, opens it, and calls its hooks as it is told.
 *
 * The main thread reads the worker's control socket; each line that comes
 * over it gets a thread, which makes one call after another. A session's
 * memory is known to the worker as a handle and comes back with the session's
 * next call, on whatever line: hooks of one session never overlap, so it
 * needs no lock, only `turns`. The process ends when the control socket does.
 */
#include "plug/remote_served.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "plug/plugin.h"

#define LINE_STACK (512u << 10)
#define CLOSE_SECONDS 5

struct remote_host {
	struct arena arena;
	struct wire control;
	struct conf *conf;
	struct conf_report report;
	struct plugins plugins;
	struct plugin *plugin;
	struct isolation isolation;
	struct chain chain;		/* of it alone */
};

/* ------------------------------------------------------------- load, open */

static void
tell(struct remote_host *h, struct buf *b, size_t begin)
{
	struct err e = {0};

	wire_end(b, begin);
	if (wire_send(&h->control, b, NULL, 0, &e) < 0)
		_exit(0);	/* nobody is left to tell */
}

static uint32_t
hook_bits(const struct mr_filter *f)
{
	const bool has[HOOKS] = {
		[HOOK_CONNECT] = PLUG_HOOK(f, connect),
		[HOOK_HELO] = PLUG_HOOK(f, helo),
		[HOOK_MAIL] = PLUG_HOOK(f, mail),
		[HOOK_RCPT] = PLUG_HOOK(f, rcpt),
		[HOOK_DATA] = PLUG_HOOK(f, data),
		[HOOK_MESSAGE] = PLUG_HOOK(f, message),
		[HOOK_UNKNOWN] = PLUG_HOOK(f, unknown),
		[HOOK_RESET] = PLUG_HOOK(f, reset),
		[HOOK_DISCONNECT] = PLUG_HOOK(f, disconnect),
		[HOOK_LEARN] = PLUG_HOOK(f, learn),
	};
	uint32_t bits = 0;
	int i;

	for (i = 0; i < HOOKS; i++)
		bits |= (uint32_t)has[i] << i;
	return bits;
}

static void
tell_loaded(struct remote_host *h, struct str trouble)
{
	const struct mr_plugin *d = h->plugin ? h->plugin->desc : NULL;
	struct buf b;
	size_t begin;

	buf_init(&b, WIRE_TO_WORKER);
	begin = wire_begin(&b, WIRE_LOADED);
	wire_str(&b, str_sub(trouble, 0, 65536));
	if (!trouble.len) {
		wire_u32(&b, hook_bits(d->filter));
		wire_u32(&b, d->filter->needs);
		wire_u32(&b, d->filter->may);
		wire_u32(&b, d->filter->wants);
		wire_u32(&b, h->plugin->is_open_ended);
		wire_text(&b, d->name);
		wire_text(&b, d->version);
	}
	tell(h, &b, begin);
	buf_free(&b);
}

/* What is wrong with the plugin as one that is alone, or "". */
static struct str
find_trouble(struct remote_host *h)
{
	const struct mr_plugin *d;

	if (!h->plugins.n)
		return h->report.text.len ? buf_str(&h->report.text) :
			STR("it cannot be loaded");
	h->plugin = h->plugins.item[0];
	d = h->plugin->desc;
	if (!PLUG_ROLE(d, filter))
		return STR("only filters can run in a process of their own");
	if (PLUG_ROLE(d, auth) || PLUG_ROLE(d, route) ||
		PLUG_ROLE(d, store) || PLUG_ROLE(d, transport) ||
		PLUG_ROLE(d, observer) || PLUG_ROLE(d, fetcher))
		return STR("it is more than a filter and cannot run in a "
			"process of its own");
	return STR("");
}

static void
load(struct remote_host *h, struct wire_in *in)
{
	const char *name = arena_cstr(&h->arena, wire_get_str(in));
	const char *file = arena_cstr(&h->arena, wire_get_str(in));
	const char *plugin_dir = arena_cstr(&h->arena, wire_get_str(in));
	struct str text = wire_get_str(in);
	const struct conf_node *section;
	struct rlimit data;

	conf_report_init(&h->report);
	h->conf = conf_parse(text, file, &h->report);
	section = conf_find(conf_root(h->conf), "plugin");
	section = section ? conf_find(section, name) : NULL;
	if (!section)
		return;
	plugin_isolation(h->conf, section, &h->arena, &h->isolation);
	h->isolation.isolate = (int64_t)wire_get_u32(in);
	data.rlim_cur = data.rlim_max = (rlim_t)h->isolation.memory;
	if (h->isolation.memory)
		setrlimit(RLIMIT_DATA, &data);
	plugins_init(&h->plugins);
	plugins_add(&h->plugins, name, plugin_dir, NULL, h->conf, section,
		&h->report);
}

struct remote_host *
remote_host_load(int fd)
{
	struct remote_host *h = mem_alloc(sizeof *h);
	enum wire_type type;
	struct wire_in in;
	struct err e = {0};
	struct str trouble;

	arena_init(&h->arena);
	wire_open(&h->control, fd, WIRE_TO_PLUGIN);
	if (wire_next(&h->control, true, &type, &in, &e) < 0 ||
		type != WIRE_LOAD)
		return NULL;
	load(h, &in);
	trouble = find_trouble(h);
	tell_loaded(h, trouble);
	return trouble.len ? NULL : h;
}

int
remote_host_open(struct remote_host *h)
{
	const char *role, *data, *hostname;
	enum wire_type type;
	struct wire_in in;
	struct err e = {0};
	size_t at;

	if (wire_next(&h->control, true, &type, &in, &e) < 0 ||
		type != WIRE_OPEN)
		return -1;
	role = arena_cstr(&h->arena, wire_get_str(&in));
	data = arena_cstr(&h->arena, wire_get_str(&in));
	hostname = arena_cstr(&h->arena, wire_get_str(&in));
	if (plugin_open(h->plugin, role, data, hostname, &e) == 0)
		return 0;
	/* Without "[plugin.NAME]: ", which the worker adds. */
	at = strlen(h->plugin->section) + 4;
	memmove(e.text, e.text + at, strlen(e.text + at) + 1);
	remote_host_ready(h, &e);
	return -1;
}

const struct isolation *
remote_host_isolation(const struct remote_host *h)
{
	return &h->isolation;
}

void
remote_host_ready(struct remote_host *h, const struct err *e)
{
	struct buf b;
	size_t begin;

	buf_init(&b, 4096);
	begin = wire_begin(&b, WIRE_OPENED);
	wire_text(&b, e ? e->text : "");
	tell(h, &b, begin);
	buf_free(&b);
}

/* --------------------------------------------------------------- one call */

/* A thread and its line. */
struct server {
	struct remote_host *host;
	struct wire line, answers;
	timer_t timer;		/* with has_timer: its CPU time */
	bool has_timer;
};

/* Counted before a call and behind it: what one thread wrote for a session is
 * there for the next, although only the worker tells it so. */
static _Atomic uint64_t turns;

static void
read_results(struct served *s, struct wire_in *in)
{
	uint32_t n = wire_get_u32(in), i;

	s->result = arena_alloc(&s->arena, (n + 1) * sizeof *s->result);
	for (i = 0; i < n; i++) {
		s->result[i].method = wire_get_text(in);
		s->result[i].value = wire_get_text(in);
		s->result[i].reason = wire_get_text(in);
		s->result[i].props = wire_get_text(in);
	}
	s->n_result = s->n_result_before = n;
}

static void
read_message(struct served *s, struct wire_in *in)
{
	struct str text;
	size_t i;

	s->is_message = true;
	s->n_rcpt = wire_get_u32(in);
	s->rcpt = arena_alloc(&s->arena, (s->n_rcpt + 1) * sizeof *s->rcpt);
	s->rcpt_account = arena_alloc(&s->arena,
		(s->n_rcpt + 1) * sizeof *s->rcpt_account);
	for (i = 0; i < s->n_rcpt; i++) {
		text = wire_get_str(in);
		s->rcpt[i].address = (struct mr_str){text.at, text.len};
		text = wire_get_str(in);
		s->rcpt[i].args = (struct mr_str){text.at, text.len};
		s->rcpt_account[i] = wire_get_str(in);
	}
	s->n_field = wire_get_u32(in);
	s->n_above = wire_get_u32(in);
	s->last_id = wire_get_u64(in);
	s->field = arena_alloc(&s->arena, (s->n_field + 1) * sizeof *s->field);
	for (i = 0; i < s->n_field; i++) {
		s->field[i].id = wire_get_u64(in);
		s->field[i].name = wire_get_str(in);
		s->field[i].value = wire_get_str(in);
	}
	s->body_size = wire_get_u64(in);
	s->has_body = wire_get_u32(in);
	if (s->has_body)
		s->body = wire_get_str(in);
}

/* The session's memory, and the message's for this number. */
static void *
message_memory(struct kept *k, uint64_t number, size_t size)
{
	if (k->message_number != number) {
		arena_free(&k->message_arena);
		k->message_number = number;
		k->message = number ? arena_alloc(&k->message_arena, size) :
			NULL;
	}
	return k->message;
}

static struct kept *
find_kept(const struct plugin *p, uint64_t handle)
{
	struct kept *k = (struct kept *)(uintptr_t)handle;

	if (k)
		return k;
	k = mem_alloc(sizeof *k);
	arena_init(&k->session_arena);
	arena_init(&k->message_arena);
	k->session = arena_alloc(&k->session_arena, p->desc->session_size);
	return k;
}

static void
free_kept(struct kept *k)
{
	arena_free(&k->session_arena);
	arena_free(&k->message_arena);
	free(k);
}

/* Whether the plugin can have left anything in it. */
static bool
is_in_use(const struct kept *k, const struct mr_plugin *d)
{
	return d->session_size || d->message_size ||
		k->session_arena.used || k->message_arena.used;
}

static void
set_scene(struct served *s, struct server *v, enum hook hook)
{
	struct remote_host *h = v->host;

	s->facts.message_arena = s->facts.session_arena = &s->arena;
	s->facts.envelope = NULL;
	s->seat.plugin = h->plugin;
	s->hooks = (struct hooks){.chain = &h->chain, .facts = &s->facts,
		.seat = &s->seat, .in_message = s->kept->message_number != 0};
	s->scene.hooks = &s->hooks;
	s->scene.seat = &s->seat;
	s->scene.hook = remote_hook_names[hook];
	arena_init(&s->scene.scratch);
	s->scene.call = (struct mr_call){.size = sizeof s->scene.call,
		.host = &remote_table, .config = h->plugin->config,
		.session = s->kept->session, .message = s->kept->message,
		.core = s};
}

static enum mr_verdict
run_hook(struct served *s, enum hook hook)
{
	const struct mr_filter *f = s->seat.plugin->desc->filter;
	struct mr_call *call = &s->scene.call;

	switch (hook) {
	case HOOK_CONNECT:
		return f->connect(call);
	case HOOK_HELO:
		return f->helo(call, s->one.at);
	case HOOK_MAIL:
		return f->mail(call, s->one.at);
	case HOOK_RCPT:
		return f->rcpt(call, s->one.at, s->two.at);
	case HOOK_DATA:
		return f->data(call);
	case HOOK_MESSAGE:
		return f->message(call);
	case HOOK_UNKNOWN:
		return f->unknown(call, s->one.at);
	case HOOK_RESET:
		f->reset(call);
		return MR_PASS;
	case HOOK_LEARN:
		f->learn(call, s->one.at, str_is(s->two, REMOTE_JUNK));
		return MR_PASS;
	default:
		f->disconnect(call);
		return MR_PASS;
	}
}

/* SIGXCPU when the hook has used the CPU time it may; it ends us. */
static void
set_timer(struct server *v, int64_t ms)
{
	struct itimerspec t = {.it_value = {ms / 1000, ms % 1000 * 1000000}};

	if (v->has_timer)
		timer_settime(v->timer, 0, &t, NULL);
}

static void
finish_call(struct served *s, struct server *v, enum mr_verdict verdict,
	bool is_over)
{
	struct kept *k = s->kept;
	size_t begin;

	turns++;
	if (is_over || !is_in_use(k, v->host->plugin->desc)) {
		free_kept(k);
		k = NULL;
	}
	begin = wire_begin(&s->out, WIRE_DONE);
	wire_u32(&s->out, (uint32_t)verdict);
	wire_u64(&s->out, (uint64_t)(uintptr_t)k);
	wire_end(&s->out, begin);
	remote_table_flush(s);
}

static void
serve_call(struct server *v, struct wire_in *in)
{
	struct served s = {.line = &v->line, .answers = &v->answers,
		.body_fd = -1};
	enum hook hook = (enum hook)wire_get_u32(in);
	uint64_t handle = wire_get_u64(in), number = wire_get_u64(in);
	enum mr_verdict verdict;
	int i;

	arena_init(&s.arena);
	buf_init(&s.out, BUF_NO_CAP);
	turns++;
	s.deadline = (int64_t)wire_get_u64(in);
	s.kept = find_kept(v->host->plugin, handle);
	message_memory(s.kept, number, v->host->plugin->desc->message_size);
	for (i = 1; i <= FACT_LAST; i++)
		s.fact[i] = wire_get_str(in);
	s.one = wire_get_str(in);
	s.two = wire_get_str(in);
	read_results(&s, in);
	if (remote_has_message(hook))
		read_message(&s, in);
	set_scene(&s, v, hook);
	hooks_leave_breadcrumb(v->host->plugin->name, s.scene.hook,
		s.fact[MR_FACT_SESSION].at);
	set_timer(v, v->host->isolation.cpu);
	verdict = run_hook(&s, hook);
	set_timer(v, 0);
	hooks_leave_breadcrumb(NULL, NULL, NULL);
	finish_call(&s, v, verdict, hook == HOOK_DISCONNECT);
	remote_table_end(&s);
	buf_free(&s.out);
}

/* ---------------------------------------------------------------- threads */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static void
make_timer(struct server *v)
{
	struct sigevent how = {.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGXCPU};

	if (!v->host->isolation.cpu)
		return;
	how.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	v->has_timer = timer_create(CLOCK_THREAD_CPUTIME_ID, &how,
		&v->timer) == 0;
}

static void *
serve_line(void *arg)
{
	struct server *v = arg;
	enum wire_type type;
	struct wire_in in;
	struct err e = {0};

	make_timer(v);
	while (wire_next(&v->line, true, &type, &in, &e) == 0) {
		if (type == WIRE_CALL)
			serve_call(v, &in);
		else if (type == WIRE_FORGET && ++turns)
			free_kept((struct kept *)(uintptr_t)wire_get_u64(&in));
	}
	if (v->has_timer)
		timer_delete(v->timer);
	buf_free(&v->answers.in);
	wire_close(&v->line);
	free(v);
	return NULL;
}

static void
start_line(struct remote_host *h)
{
	struct server *v = mem_alloc(sizeof *v);
	pthread_attr_t attr;
	pthread_t t;
	int fd;

	wire_take_fds(&h->control, &fd, 1);
	v->host = h;
	wire_open(&v->line, fd, WIRE_TO_PLUGIN);
	wire_open(&v->answers, fd, WIRE_TO_PLUGIN);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, LINE_STACK);
	if (pthread_create(&t, &attr, serve_line, v)) {
		wire_close(&v->line);
		free(v);
	}
	pthread_attr_destroy(&attr);
}

void
remote_host_run(struct remote_host *h)
{
	enum wire_type type;
	struct wire_in in;
	struct err e = {0};

	h->chain = (struct chain){.name = "", .item = &h->plugin, .n = 1};
	while (wire_next(&h->control, true, &type, &in, &e) == 0)
		if (type == WIRE_LINE)
			start_line(h);
	/* A plugin that does not come back from close is ended all the same.
	 * Hooks may still run: nothing of it is freed. */
	signal(SIGALRM, SIG_DFL);
	alarm(CLOSE_SECONDS);
	plugins_close(&h->plugins);
}
