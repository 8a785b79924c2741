/*
 * intake.c - batches of messages on their way into the store.
 *
 * Two batches take turns: one is filled by the caller while the other is
 * committed by the thread. in->lock guards `given`, `is_ending` and what the
 * thread has to say (code, error, counts).
 */
#include "move/intake.h"

#include <pthread.h>

#include "base/enc.h"
#include "queue/submit.h"

#define BYTES_MOST (24 << 20)		/* of a batch */
#define IN_MEMORY (256 << 10)		/* of a message */
#define KEY_MOST 100

struct slot {
	struct spool spool;
	struct mr_piece piece[2];
};

struct batch {
	struct slot slot[INTAKE_BATCH];
	struct mr_import_item item[INTAKE_BATCH];
	size_t n;
	uint64_t bytes;
	struct arena arena;
	struct mr_import import;
};

struct intake {
	struct store store;
	const char *account, *temp;
	char again[24];			/* before each key */
	struct batch batch[2], *filling;
	int64_t mailbox;
	uint32_t uidvalidity, uidnext;

	pthread_mutex_t lock;
	pthread_cond_t news;
	pthread_t thread;
	struct batch *given;
	bool is_ending;
	int code;
	struct mr_error error;
	uint64_t done, passed;		/* not told to the caller yet */
};

/* ------------------------------------------------------------ the thread */

static void
clear(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		spool_free(&b->slot[i].spool);
	b->n = 0;
	b->bytes = 0;
	arena_free(&b->arena);
}

static void
count(struct intake *in, const struct batch *b)
{
	size_t i;

	for (i = 0; i < b->import.n; i++) {
		in->done += b->item[i].out_uid != 0;
		in->passed += b->item[i].out_uid == 0;
	}
}

static void *
run(void *arg)
{
	struct intake *in = arg;
	struct mr_error error = {{0}};
	int code;

	pthread_mutex_lock(&in->lock);
	while (in->given || !in->is_ending) {
		struct batch *b = in->given;

		if (!b) {
			pthread_cond_wait(&in->news, &in->lock);
			continue;
		}
		pthread_mutex_unlock(&in->lock);
		code = in->store.op->import(in->store.self, &b->import,
			&error);
		pthread_mutex_lock(&in->lock);
		if (code == MR_STORE_OK) {
			count(in, b);
		} else if (in->code == MR_STORE_OK) {
			in->code = code;
			in->error = error;
		}
		clear(b);
		in->given = NULL;
		pthread_cond_broadcast(&in->news);
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

/* in->lock is held. */
static int
wait_idle(struct intake *in, struct progress *p, struct err *e)
{
	while (in->given)
		pthread_cond_wait(&in->news, &in->lock);
	if (p) {
		p->done += in->done;
		p->passed += in->passed;
		in->done = in->passed = 0;
	}
	return store_result(in->code, &in->error, e);
}

/* What was filled goes to the thread; the other batch is filled next. */
static int
hand_over(struct intake *in, uint32_t uidnext, struct progress *p,
	struct err *e)
{
	struct batch *b = in->filling;
	int code;

	b->import = (struct mr_import){.size = sizeof b->import,
		.mailbox = in->mailbox, .uidvalidity = in->uidvalidity,
		.uidnext = uidnext, .item = b->item, .n = b->n};
	pthread_mutex_lock(&in->lock);
	code = wait_idle(in, p, e);
	if (code == 0) {
		in->given = b;
		in->filling = &in->batch[b == &in->batch[0]];
		pthread_cond_broadcast(&in->news);
	}
	pthread_mutex_unlock(&in->lock);
	return code;
}

/* ---------------------------------------------------------------- filling */

struct intake *
intake_new(const struct store *s, const char *account, const char *temp,
	bool again, struct err *e)
{
	struct intake *in;

	if (!MR_HAS(s->op, imported) || !s->op->imported) {
		err_set(e, ERR_STORE, "the store plugin cannot import mail");
		return NULL;
	}
	in = mem_alloc(sizeof *in);
	in->store = *s;
	in->account = account;
	in->temp = temp;
	in->filling = &in->batch[0];
	arena_init(&in->batch[0].arena);
	arena_init(&in->batch[1].arena);
	if (again)
		enc_random_word(in->again, 12);
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->news, NULL);
	if (pthread_create(&in->thread, NULL, run, in) == 0)
		return in;
	err_set(e, ERR_SYS, "cannot start a thread");
	free(in);
	return NULL;
}

int
intake_open(struct intake *in, const char *name, uint32_t uidvalidity,
	uint32_t uidnext, struct err *e)
{
	struct mr_error me = {{0}};
	struct mr_mailbox m;
	int code = in->store.op->import_begin(in->store.self, in->account,
		name, uidvalidity, &m, &me);

	if (store_result(code, &me, e) < 0)
		return err_wrap(e, "mailbox %s", name);
	in->mailbox = m.id;
	in->uidvalidity = uidvalidity;
	in->uidnext = uidnext;
	return 0;
}

/* As it is given to the store: short, and of this run only with `again`. */
static struct mr_str
make_key(struct intake *in, struct arena *a, struct str key)
{
	size_t before = strlen(in->again);
	struct enc_sha256 *h;
	uint8_t digest[32];
	char *text;

	if (before + key.len <= KEY_MOST) {
		text = arena_alloc(a, before + key.len);
		memcpy(text, in->again, before);
		memcpy(text + before, key.at, key.len);
		return (struct mr_str){text, before + key.len};
	}
	h = enc_sha256_new();
	enc_sha256_add(h, in->again, strlen(in->again));
	enc_sha256_add(h, key.at, key.len);
	enc_sha256_end(h, digest);
	return (struct mr_str){arena_copy(a, digest, sizeof digest),
		sizeof digest};
}

int
intake_known(struct intake *in, const struct str *key, size_t n,
	uint8_t *there, struct err *e)
{
	struct mr_str own[INTAKE_BATCH];
	struct mr_error me = {{0}};
	struct arena a;
	size_t i;
	int code;

	arena_init(&a);
	for (i = 0; i < n; i++)
		own[i] = make_key(in, &a, key[i]);
	code = in->store.op->imported(in->store.self, in->mailbox, own, n,
		there, &me);
	arena_free(&a);
	return store_result(code, &me, e);
}

struct spool *
intake_spool(struct intake *in)
{
	struct batch *b = in->filling;
	struct spool *s = &b->slot[b->n].spool;

	spool_init(s, in->temp, IN_MEMORY);
	return s;
}

void
intake_drop(struct intake *in)
{
	spool_free(&in->filling->slot[in->filling->n].spool);
}

static int
describe(struct intake *in, const struct intake_message *m,
	struct mr_import_item *item, struct err *e)
{
	struct batch *b = in->filling;
	struct slot *s = &b->slot[b->n];
	struct mr_commit c = {.size = sizeof c};

	if (spool_flush(&s->spool, e) < 0 || submit_describe(&c, s->piece,
		spool_pieces(&s->spool, 0, s->spool.length, s->piece),
		&b->arena, e) < 0)
		return -1;
	*item = (struct mr_import_item){
		.key = make_key(in, &b->arena, m->key), .piece = c.piece,
		.n_piece = c.n_piece, .length = c.length, .cache = c.cache,
		.sent = c.sent,
		.flags = m->flags, .received_ms = m->received_ms,
		.keywords = arena_cstr(&b->arena, m->keywords),
		.uid = m->uid};
	memcpy(item->sha256, c.sha256, sizeof item->sha256);
	return 0;
}

int
intake_add(struct intake *in, const struct intake_message *m,
	struct progress *p, struct err *e)
{
	struct batch *b = in->filling;
	uint64_t length = b->slot[b->n].spool.length;

	if (length == 0) {
		intake_drop(in);
		return 0;
	}
	if (describe(in, m, &b->item[b->n], e) < 0) {
		intake_drop(in);
		return -1;
	}
	b->n++;
	b->bytes += length;
	p->bytes += length;
	progress_tick(p);
	return b->n < INTAKE_BATCH && b->bytes < BYTES_MOST ? 0 :
		hand_over(in, 0, p, e);
}

int
intake_flush(struct intake *in, struct progress *p, struct err *e)
{
	int code = hand_over(in, in->uidnext, p, e);

	if (code < 0)
		return code;
	pthread_mutex_lock(&in->lock);
	code = wait_idle(in, p, e);
	pthread_mutex_unlock(&in->lock);
	return code;
}

void
intake_free(struct intake *in)
{
	if (!in)
		return;
	pthread_mutex_lock(&in->lock);
	in->is_ending = true;
	pthread_cond_broadcast(&in->news);
	pthread_mutex_unlock(&in->lock);
	pthread_join(in->thread, NULL);
	clear(in->filling);
	pthread_cond_destroy(&in->news);
	pthread_mutex_destroy(&in->lock);
	free(in);
}

/* ------------------------------------------------------------- line ends */

int
intake_write_lines(struct intake_lines *l, struct spool *s, struct str bytes,
	struct err *e)
{
	size_t at = 0, lf;

	while (at < bytes.len) {
		struct str rest = str_sub(bytes, at, bytes.len);
		bool bare;

		lf = str_find(rest, '\n');
		bare = lf < rest.len && !(lf ? rest.at[lf - 1] == '\r' :
			l->after_cr);
		if (spool_write(s, rest.at, lf, e) < 0 || (bare &&
			spool_write(s, "\r", 1, e) < 0) || (lf < rest.len &&
			spool_write(s, "\n", 1, e) < 0))
			return -1;
		at += lf < rest.len ? lf + 1 : lf;
		l->after_cr = lf == rest.len && rest.len &&
			rest.at[rest.len - 1] == '\r';
	}
	return 0;
}
