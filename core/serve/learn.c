/*
 * learn.c - the queue and the thread between IMAP sessions and the filters
 * that learn.
 *
 * Lock: `lock` guards the queue of a struct learn; the thread calls filters
 * and the store without it.
 */
#include "serve/learn.h"

#include <errno.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "plug/watchdog.h"

#define STACK (512 << 10)
#define PIECE 65536
#define THREADS 4	/* to the watchdog: one that hangs ends no worker */

struct lesson {
	char *account;
	int64_t mailbox;
	struct mr_range range[LEARN_RANGES];
	size_t n_range;
	bool is_junk;
	struct lesson *next;
};

struct learn {
	const struct house *house;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t there_is_work, is_over;
	struct lesson *first, **end;
	unsigned n_waiting;
	uint64_t n_dropped;
	bool stopping, over;
};

/* ------------------------------------------------------------ one message */

struct passing {
	struct arena arena;
	struct facts facts;
	struct envelope envelope;
	struct message *text;
};

static void
fill_facts(struct passing *p, const struct house *h, const char *account)
{
	struct str name = str_from(account);

	p->facts = (struct facts){.hostname = h->hostname,
		.authserv_id = h->hostname,
		.software = "Mailroom " PACKAGE_VERSION,
		.listener = "", .purpose = "", .chain = "learn",
		.peer.sa.ss_family = AF_UNIX,
		.local.sa.ss_family = AF_UNIX, .peer_name = STR(""),
		.helo = STR(""), .protocol = "LOCAL",
		.auth_login = STR(""), .auth_mechanism = "",
		.rcpt_refused = STR(""), .rcpt_mailer = "local",
		.session_arena = &p->arena, .message_arena = &p->arena,
		.envelope = &p->envelope};
	enc_random_word(p->facts.session, 10);
	envelope_init(&p->envelope, &p->arena);
	p->envelope.sender = p->envelope.sender_args = STR("");
	envelope_add(&p->envelope, name, STR(""));
	p->envelope.rcpt[0].account = arena_str(&p->arena, name);
}

static int
copy_body(struct message *m, const struct mr_store *op, void *body,
	struct arena *a, struct err *e)
{
	char *piece = arena_alloc(a, PIECE);
	struct mr_error me = {{0}};
	uint64_t at = 0;
	int64_t n = 0;

	while (at < LEARN_BYTES && (n = op->body_read(body, at, piece, PIECE,
		&me)) > 0) {
		if (message_write(m, str_of(piece, (size_t)n), e) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return n < 0 ? err_set(e, ERR_STORE, "%s", me.text) :
		message_seal(m, e);
}

static int
read_message(struct passing *p, const struct house *h, int64_t id,
	struct err *e)
{
	const struct mr_store *op = h->store.op;
	struct mr_error me = {{0}};
	uint64_t length;
	void *body;
	int code;

	if (store_result(op->body_open(h->store.self, id, &body, &length,
		&me), &me, e) < 0)
		return -1;
	p->text = message_new(&p->arena, arena_printf(&p->arena, "%s/tmp",
		h->data), LEARN_BYTES + PIECE);
	code = copy_body(p->text, op, body, &p->arena, e);
	op->body_close(body);
	return code;
}

static void
teach(const struct house *h, const struct lesson *l, int64_t id)
{
	struct passing p = {.text = NULL};
	struct hooks *hooks;
	struct err e = {0};

	arena_init(&p.arena);
	fill_facts(&p, h, l->account);
	if (read_message(&p, h, id, &e) == 0) {
		hooks = hooks_new(&h->chain[CHAIN_LEARN], &p.facts);
		p.facts.message = p.text;
		hooks_learn(hooks, l->account, l->is_junk);
		hooks_end(hooks);
	} else {
		log_warn("learn.read", LOG_S("account", l->account),
			LOG_S("error", e.text));
	}
	message_free(p.text);
	arena_free(&p.arena);
}

/* ------------------------------------------------------------- one lesson */

struct found {
	int64_t id[LEARN_MESSAGES];
	size_t n;
};

static int
take_row(void *arg, const struct mr_row *row)
{
	struct found *f = arg;

	f->id[f->n++] = row->message_id;
	return f->n == LEARN_MESSAGES;
}

static bool
is_stopping(struct learn *l)
{
	bool stopping;

	pthread_mutex_lock(&l->lock);
	stopping = l->stopping;
	pthread_mutex_unlock(&l->lock);
	return stopping;
}

static void
give(struct learn *l, const struct lesson *one)
{
	const struct store *s = &l->house->store;
	struct found *f = mem_alloc(sizeof *f);
	struct mr_error me = {{0}};
	size_t i;
	int code;

	f->n = 0;
	code = s->op->scan(s->self, one->mailbox, one->range, one->n_range, 0,
		MR_ROW_MESSAGE, take_row, f, &me);
	if (code != MR_STORE_OK && code != MR_STORE_STOPPED)
		log_warn("learn.read", LOG_S("account", one->account),
			LOG_S("error", me.text));
	for (i = 0; i < f->n && !is_stopping(l); i++)
		teach(l->house, one, f->id[i]);
	log_info("learn.given", LOG_S("account", one->account),
		LOG_S("as", one->is_junk ? "junk" : "good"),
		LOG_N("messages", i));
	free(f);
}

/* -------------------------------------------------------------- the queue */

static void
free_lesson(struct lesson *one)
{
	free(one->account);
	free(one);
}

void
learn_post(struct learn *l, const char *account, int64_t mailbox,
	const struct mr_range *range, size_t n, bool is_junk)
{
	struct lesson *one = mem_alloc(sizeof *one);
	bool has_room;

	*one = (struct lesson){.account = mem_cstr(account),
		.mailbox = mailbox, .is_junk = is_junk,
		.n_range = n < LEARN_RANGES ? n : LEARN_RANGES};
	memcpy(one->range, range, one->n_range * sizeof *range);
	pthread_mutex_lock(&l->lock);
	has_room = l->n_waiting < LEARN_QUEUE && !l->stopping && n;
	if (has_room) {
		*l->end = one;
		l->end = &one->next;
		l->n_waiting++;
		pthread_cond_signal(&l->there_is_work);
	} else {
		l->n_dropped += n != 0;
	}
	pthread_mutex_unlock(&l->lock);
	if (!has_room)
		free_lesson(one);
}

static struct lesson *
take_lesson(struct learn *l)
{
	struct lesson *one = l->first;

	l->first = one->next;
	if (!l->first)
		l->end = &l->first;
	l->n_waiting--;
	if (l->n_dropped)
		log_warn("learn.dropped", LOG_N("changes", l->n_dropped));
	l->n_dropped = 0;
	return one;
}

static void *
run(void *arg)
{
	struct learn *l = arg;
	struct lesson *one;

	pthread_mutex_lock(&l->lock);
	while (!l->stopping) {
		if (!l->first) {
			pthread_cond_wait(&l->there_is_work, &l->lock);
			continue;
		}
		one = take_lesson(l);
		pthread_mutex_unlock(&l->lock);
		give(l, one);
		free_lesson(one);
		pthread_mutex_lock(&l->lock);
	}
	l->over = true;
	pthread_cond_signal(&l->is_over);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ------------------------------------------------------------------- life */

static struct learn *
make(const struct house *h)
{
	struct learn *l = mem_alloc(sizeof *l);
	pthread_condattr_t clock;

	*l = (struct learn){.house = h};
	l->end = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&l->there_is_work, &clock);
	pthread_cond_init(&l->is_over, &clock);
	pthread_condattr_destroy(&clock);
	return l;
}

int
learn_start(const struct house *h, struct learn **out, struct err *e)
{
	struct learn *l;
	pthread_attr_t attr;
	int code;

	*out = NULL;
	if (!h->chain[CHAIN_LEARN].n)
		return 0;
	l = make(h);
	watchdog_start(THREADS);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	code = pthread_create(&l->thread, &attr, run, l);
	pthread_attr_destroy(&attr);
	if (code) {
		free(l);
		errno = code;
		return err_sys(e, "starting the thread of those who learn");
	}
	*out = l;
	return 0;
}

bool
learn_stop(struct learn *l, int64_t ms)
{
	int64_t until = clock_mono() + ms;
	struct timespec at = {until / 1000, until % 1000 * 1000000};
	struct lesson *one;
	bool ended;

	if (!l)
		return true;
	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	pthread_cond_signal(&l->there_is_work);
	while (!l->over && clock_mono() < until)
		pthread_cond_timedwait(&l->is_over, &l->lock, &at);
	ended = l->over;
	pthread_mutex_unlock(&l->lock);
	if (!ended)
		return false;
	pthread_join(l->thread, NULL);
	while ((one = l->first)) {
		l->first = one->next;
		free_lesson(one);
	}
	free(l);
	return true;
}
