/*
 * row_cache.c - the rows of mailboxes that are in use, kept in memory.
 *
 * A mailbox is refreshed before each answer: one look-up when nothing changed,
 * else what vanished and what changed since. The store counts its messages;
 * when that is not what is kept, something slipped in between two look-ups,
 * and all is read again. What cannot be made to agree is read from the store.
 *
 * c->lock guards the list and the counts of users; a mailbox's own lock its
 * rows: for reading while they are given out, for writing while they are made
 * new. The store is called with the latter held, never with the former.
 */
#include "serve/row_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"

#define SMALL 256		/* messages; fewer are not worth keeping */
#define TRIES 3
#define WORDS_MOST 65535	/* different sets of keywords */
#define WORD_BYTES_MOST (4 << 20)
#define NOT_KEPT (-1)

struct kept_row {
	uint64_t modseq, length;
	int64_t message_id, received_ms, saved_ms, sent_ms;
	uint32_t uid;
	int32_t sent_zone;
	uint16_t flags;
	uint16_t keywords;	/* in words; 0: none */
};

struct kept {
	struct kept *next, *prev;	/* newest use first */
	int64_t mailbox;
	int users;
	size_t bytes;			/* as counted in the cache */
	pthread_rwlock_t lock;
	bool loaded;
	uint32_t uidvalidity;
	uint64_t modseq;		/* up to which it is true */
	uint64_t refused;		/* at this modseq it could not be kept */
	struct kept_row *row;
	size_t n, room;
	pthread_mutex_t run_lock;	/* of these, while they are made */
	struct mr_range *run;		/* UIDs that are there */
	size_t n_run;
	bool has_runs;
	struct map numbers;		/* keywords -> index in words */
	char **words;
	size_t n_words, word_bytes;
};

struct row_cache {
	pthread_mutex_t lock;
	struct map kept;		/* by mailbox */
	struct kept *newest, *oldest;
	size_t bytes, most;
};

/* ------------------------------------------------------------ the mailbox */

static struct kept *
kept_new(int64_t mailbox)
{
	struct kept *k = mem_alloc(sizeof *k);
	pthread_rwlockattr_t a;

	k->mailbox = mailbox;
	pthread_rwlockattr_init(&a);
	/* Readers come without end; what changed must not wait for them. */
	pthread_rwlockattr_setkind_np(&a,
		PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&k->lock, &a);
	pthread_rwlockattr_destroy(&a);
	pthread_mutex_init(&k->run_lock, NULL);
	map_init(&k->numbers);
	return k;
}

static void
forget_rows(struct kept *k)
{
	size_t i;

	free(k->row);
	free(k->run);
	for (i = 0; i < k->n_words; i++)
		free(k->words[i]);
	free(k->words);
	map_free(&k->numbers);
	map_init(&k->numbers);
	k->row = NULL;
	k->run = NULL;
	k->words = NULL;
	k->n = k->room = k->n_words = k->n_run = 0;
	k->word_bytes = 0;
	k->loaded = k->has_runs = false;
	k->modseq = 0;
}

static void
kept_free(struct kept *k)
{
	forget_rows(k);
	map_free(&k->numbers);
	pthread_mutex_destroy(&k->run_lock);
	pthread_rwlock_destroy(&k->lock);
	free(k);
}

/* Where the first row with this UID or a higher one stands. */
static size_t
place_of(const struct kept *k, uint32_t uid)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (k->row[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ------------------------------------------------------------- refreshing */

/* The number of this set of keywords; -1: there are too many. */
static int
number_of(struct kept *k, struct mr_str keywords)
{
	struct str key = str_of(keywords.at, keywords.len);
	uintptr_t number;

	if (key.len == 0)
		return 0;
	number = (uintptr_t)map_get(&k->numbers, key);
	if (number > 0)
		return (int)number;
	if (k->n_words == WORDS_MOST || k->word_bytes > WORD_BYTES_MOST)
		return -1;
	k->words = mem_grow(k->words, (k->n_words + 1) * sizeof *k->words);
	k->words[k->n_words] = mem_grow(NULL, key.len + 1);
	memcpy(k->words[k->n_words], key.at, key.len);
	k->words[k->n_words][key.len] = '\0';
	/* The map has the key, too. */
	k->word_bytes += 2 * (key.len + sizeof *k->words);
	number = ++k->n_words;
	map_put(&k->numbers, key, (void *)number);
	return (int)number;
}

/* Rows come in the order of their UIDs; those that are new, behind all. */
static int
take_row(void *arg, const struct mr_row *row)
{
	struct kept *k = arg;
	size_t at = k->n > 0 && row->uid > k->row[k->n - 1].uid ? k->n :
		place_of(k, row->uid);
	int keywords = number_of(k, row->keywords);

	if (keywords < 0 || row->flags > UINT16_MAX ||
		(at < k->n && k->row[at].uid != row->uid))
		return 1;
	if (at == k->room) {
		k->room = k->room ? k->room + k->room / 2 : SMALL;
		k->row = mem_grow(k->row, k->room * sizeof *k->row);
	}
	if (at == k->n) {
		k->n++;
		k->has_runs = false;
	}
	k->row[at] = (struct kept_row){.uid = row->uid,
		.flags = (uint16_t)row->flags, .modseq = row->modseq,
		.keywords = (uint16_t)keywords, .length = row->length,
		.message_id = row->message_id,
		.received_ms = row->received_ms, .saved_ms = row->saved_ms,
		.sent_ms = row->sent.ms, .sent_zone = row->sent.zone};
	return 0;
}

struct gone {
	struct kept *k;
	size_t from, to;	/* rows are moved down, behind `to` */
};

static void
keep_until(struct gone *g, size_t at)
{
	if (at <= g->from)
		return;
	memmove(g->k->row + g->to, g->k->row + g->from,
		(at - g->from) * sizeof *g->k->row);
	g->to += at - g->from;
	g->from = at;
}

static int
take_gone(void *arg, struct mr_range run)
{
	struct gone *g = arg;
	size_t end = run.last == UINT32_MAX ? g->k->n :
		place_of(g->k, run.last + 1);

	keep_until(g, place_of(g->k, run.first));
	if (end > g->from)
		g->from = end;
	return 0;
}

/* The array stays in order while it is worked on: what was moved down has
 * left lower UIDs behind it, never higher ones. */
static int
take_all_gone(struct kept *k, const struct store *s, struct mr_error *me)
{
	struct gone g = {.k = k};
	int code = s->op->vanished(s->self, k->mailbox, k->modseq, take_gone,
		&g, me);

	keep_until(&g, k->n);
	k->has_runs &= k->n == g.to;
	k->n = g.to;
	return code;
}

/* One go at making it what the store says it is. */
static int
catch_up(struct kept *k, const struct store *s, const struct mr_mailbox *m,
	struct mr_error *me)
{
	int code = MR_STORE_OK;

	if (k->loaded && k->uidvalidity != m->uidvalidity)
		forget_rows(k);
	if (k->loaded && k->modseq == m->modseq)
		return MR_STORE_OK;
	if (k->loaded)
		code = take_all_gone(k, s, me);
	if (code == MR_STORE_OK)
		code = s->op->scan(s->self, k->mailbox, NULL, 0, k->modseq,
			MR_ROW_KEYWORDS | MR_ROW_MESSAGE | MR_ROW_SAVED |
			MR_ROW_SENT, take_row, k, me);
	if (code == MR_STORE_OK && k->n == m->messages) {
		k->loaded = true;
		k->uidvalidity = m->uidvalidity;
		k->modseq = m->modseq;
	} else {
		forget_rows(k);
	}
	return code == MR_STORE_STOPPED ? MR_STORE_OK : code;
}

static bool
is_true(const struct kept *k, const struct mr_mailbox *m)
{
	return k->loaded && k->modseq == m->modseq &&
		k->uidvalidity == m->uidvalidity;
}

/* With the lock held for writing. OK with k->loaded not set: it cannot be
 * kept now. */
static int
make_true(struct kept *k, const struct store *s, size_t most,
	struct mr_error *me)
{
	struct mr_mailbox m = {.id = 0};
	int tries, code = MR_STORE_OK;

	for (tries = 0; tries < TRIES; tries++) {
		code = s->op->mailbox_get(s->self, k->mailbox, &m, me);
		if (code != MR_STORE_OK || k->refused == m.modseq ||
			m.messages < SMALL ||
			m.messages > most / sizeof *k->row) {
			forget_rows(k);
			return code;
		}
		code = catch_up(k, s, &m, me);
		if (code != MR_STORE_OK || k->loaded)
			return code;
	}
	k->refused = m.modseq;
	return code;
}

/* Leaves it locked for reading and true, or says why not. */
static int
open_kept(struct kept *k, const struct store *s, size_t most,
	struct mr_error *me)
{
	struct mr_mailbox m;
	int code = s->op->mailbox_get(s->self, k->mailbox, &m, me);

	if (code != MR_STORE_OK)
		return code;
	pthread_rwlock_rdlock(&k->lock);
	if (is_true(k, &m))
		return MR_STORE_OK;
	pthread_rwlock_unlock(&k->lock);
	pthread_rwlock_wrlock(&k->lock);
	code = make_true(k, s, most, me);
	pthread_rwlock_unlock(&k->lock);
	if (code != MR_STORE_OK)
		return code;
	pthread_rwlock_rdlock(&k->lock);
	if (k->loaded)
		return MR_STORE_OK;
	pthread_rwlock_unlock(&k->lock);
	return NOT_KEPT;
}

/* Ends the use of what open_kept answered `code` for. Returns what it holds;
 * nothing: it need not be remembered. */
static size_t
close_kept(struct kept *k, int code)
{
	size_t bytes;

	if (code == NOT_KEPT)
		return k->refused ? sizeof *k : 0;
	if (code != MR_STORE_OK)
		return 0;
	bytes = sizeof *k + k->room * sizeof *k->row + k->word_bytes;
	pthread_rwlock_unlock(&k->lock);
	return bytes;
}

/* --------------------------------------------------------------- the list */

static struct str
key_of(const int64_t *mailbox)
{
	return str_of((const char *)mailbox, sizeof *mailbox);
}

static void
unlist(struct row_cache *c, struct kept *k)
{
	*(k->prev ? &k->prev->next : &c->newest) = k->next;
	*(k->next ? &k->next->prev : &c->oldest) = k->prev;
	k->next = k->prev = NULL;
	c->bytes -= k->bytes;
	map_remove(&c->kept, key_of(&k->mailbox));
}

static void
list(struct row_cache *c, struct kept *k)
{
	k->next = c->newest;
	k->prev = NULL;
	*(c->newest ? &c->newest->prev : &c->oldest) = k;
	c->newest = k;
	c->bytes += k->bytes;
	map_put(&c->kept, key_of(&k->mailbox), k);
}

static struct kept *
take(struct row_cache *c, int64_t mailbox)
{
	struct kept *k;

	pthread_mutex_lock(&c->lock);
	k = map_get(&c->kept, key_of(&mailbox));
	if (k)
		unlist(c, k);
	else
		k = kept_new(mailbox);
	list(c, k);
	k->users++;
	pthread_mutex_unlock(&c->lock);
	return k;
}

/* What nobody uses and was not used for longest. */
static struct kept *
superfluous(struct row_cache *c)
{
	struct kept *k;

	if (c->bytes <= c->most)
		return NULL;
	for (k = c->oldest; k && k->users > 0; k = k->prev)
		;
	return k;
}

/* bytes: what it holds now; one that holds nothing is not listed. */
static void
give_back(struct row_cache *c, struct kept *k, size_t bytes)
{
	struct kept *old;

	pthread_mutex_lock(&c->lock);
	c->bytes += bytes - k->bytes;
	k->bytes = bytes;
	k->users--;
	if (k->users == 0 && bytes == 0) {
		unlist(c, k);
		kept_free(k);
	}
	while ((old = superfluous(c))) {
		unlist(c, old);
		kept_free(old);
	}
	pthread_mutex_unlock(&c->lock);
}

struct row_cache *
row_cache_new(size_t bytes)
{
	struct row_cache *c = mem_alloc(sizeof *c);

	map_init(&c->kept);
	c->most = bytes;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void
row_cache_free(struct row_cache *c)
{
	struct kept *k;

	if (!c)
		return;
	while ((k = c->newest)) {
		unlist(c, k);
		kept_free(k);
	}
	map_free(&c->kept);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* --------------------------------------------------------------- answers */

static void
show(const struct kept *k, const struct kept_row *from, uint32_t want,
	struct mr_row *row)
{
	*row = (struct mr_row){.uid = from->uid, .flags = from->flags,
		.modseq = from->modseq};
	if (want & MR_ROW_KEYWORDS && from->keywords) {
		row->keywords.at = k->words[from->keywords - 1];
		row->keywords.len = strlen(row->keywords.at);
	}
	if (want & MR_ROW_MESSAGE) {
		row->received_ms = from->received_ms;
		row->message_id = from->message_id;
		row->length = from->length;
	}
	if (want & MR_ROW_SAVED)
		row->saved_ms = from->saved_ms;
	if (want & MR_ROW_SENT)
		row->sent = (struct mr_sent){from->sent_ms, from->sent_zone};
}

static bool
has_flags(const struct row_query *q, uint32_t flags)
{
	return (flags & q->with) == q->with && !(flags & q->without);
}

static int
give_range(const struct kept *k, const struct row_query *q,
	struct mr_range range)
{
	struct mr_row row;
	size_t i;

	for (i = place_of(k, range.first); i < k->n &&
		k->row[i].uid <= range.last; i++) {
		if (k->row[i].modseq <= q->since ||
			!has_flags(q, k->row[i].flags))
			continue;
		show(k, &k->row[i], q->want, &row);
		if (q->each(q->arg, &row))
			return MR_STORE_STOPPED;
	}
	return MR_STORE_OK;
}

static int
give(const struct kept *k, const struct row_query *q)
{
	static const struct mr_range all = {1, UINT32_MAX};
	int code = MR_STORE_OK;
	size_t i;

	if (q->n == 0)
		return give_range(k, q, all);
	for (i = 0; i < q->n && code == MR_STORE_OK; i++)
		code = give_range(k, q, q->range[i]);
	return code;
}

static int
pass_on(void *arg, const struct mr_row *row)
{
	const struct row_query *q = arg;

	return has_flags(q, row->flags) ? q->each(q->arg, row) : 0;
}

static int
read_store(const struct store *s, const struct row_query *q,
	struct mr_error *me)
{
	struct row_query asked = *q;

	return s->op->scan(s->self, q->mailbox, q->range, q->n, q->since,
		q->want, pass_on, &asked, me);
}

int
row_cache_scan(struct row_cache *c, const struct store *s,
	const struct row_query *q, struct mr_error *me)
{
	struct kept *k;
	int opened, code;

	if (!c || q->want & MR_ROW_CACHE)
		return read_store(s, q, me);
	k = take(c, q->mailbox);
	opened = open_kept(k, s, c->most, me);
	code = opened == MR_STORE_OK ? give(k, q) : opened;
	give_back(c, k, close_kept(k, opened));
	return code == NOT_KEPT ? read_store(s, q, me) : code;
}

static void
make_runs(struct kept *k)
{
	size_t i, room = 0;

	k->n_run = 0;
	for (i = 0; i < k->n; i++) {
		uint32_t uid = k->row[i].uid;

		if (k->n_run > 0 && k->run[k->n_run - 1].last + 1 == uid) {
			k->run[k->n_run - 1].last = uid;
			continue;
		}
		if (k->n_run == room) {
			room = room ? room * 2 : 16;
			k->run = mem_grow(k->run, room * sizeof *k->run);
		}
		k->run[k->n_run++] = (struct mr_range){uid, uid};
	}
	k->has_runs = true;
}

static int
give_runs(struct kept *k, int (*each)(void *arg, struct mr_range run),
	void *arg)
{
	size_t i;

	pthread_mutex_lock(&k->run_lock);
	if (!k->has_runs)
		make_runs(k);
	pthread_mutex_unlock(&k->run_lock);
	for (i = 0; i < k->n_run; i++)
		if (each(arg, k->run[i]))
			return MR_STORE_STOPPED;
	return MR_STORE_OK;
}

int
row_cache_uids(struct row_cache *c, const struct store *s, int64_t mailbox,
	int (*each)(void *arg, struct mr_range run), void *arg,
	struct mr_error *me)
{
	struct kept *k;
	int opened, code;

	if (!c)
		return s->op->uids(s->self, mailbox, each, arg, me);
	k = take(c, mailbox);
	opened = open_kept(k, s, c->most, me);
	code = opened == MR_STORE_OK ? give_runs(k, each, arg) : opened;
	give_back(c, k, close_kept(k, opened));
	return code == NOT_KEPT ? s->op->uids(s->self, mailbox, each, arg,
		me) : code;
}
