/*
 * fakestore.c - the store of a test, and a session that talks to it.
 */
#include "fakestore.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/clock.h"
#include "mail/mime.h"

#define BOX_ID 7
#define OTHER_ID 8		/* "other", which is always empty */

static const struct limits_settings limits = {.message_size = 100000,
	.memory_message = 1000, .errors = 1000, .idle_timeout = 60000,
	.imap_timeout = 60000, .command_timeout = 10000,
	.data_timeout = 10000};

static const struct imap_settings no_admins = {.admins = {.n = 0}};

static const struct listener listener = {.name = "imap",
	.protocol = SERVE_IMAP};

/* ----------------------------------------------------------- the mailbox */

void
fake_add(struct fake_store *f, uint32_t flags, const char *keywords,
	int64_t received_ms, struct str body)
{
	struct fake_message *m = &f->message[f->n++];
	struct mime *parse = mime_new();

	*m = (struct fake_message){.uid = f->uidnext++, .flags = flags,
		.modseq = ++f->modseq, .keywords = mem_cstr(keywords),
		.received_ms = received_ms, .body = body};
	buf_init(&m->cache, BUF_NO_CAP);
	mime_feed(parse, body.at, body.len);
	mime_end(parse, &m->cache);
}

void
fake_remove(struct fake_store *f, uint32_t uid)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (f->message[i].uid == uid && !f->message[i].removed) {
			f->message[i].removed = true;
			f->message[i].removed_at = ++f->modseq;
		}
}

static bool
is_meant(const struct fake_message *m, const struct mr_range *range, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (m->uid >= range[i].first && m->uid <= range[i].last)
			return !m->removed;
	return n == 0 && !m->removed;
}

static void
fill(const struct fake_store *f, struct mr_mailbox *out)
{
	*out = (struct mr_mailbox){.id = BOX_ID, .uidvalidity = 1,
		.uidnext = f->uidnext, .modseq = f->modseq,
		.recent_uid = f->uidnext > 2 ? f->uidnext - 1 : 1};
}

static int
mailbox_get(void *self, int64_t id, struct mr_mailbox *out,
	struct mr_error *err)
{
	(void)id;
	(void)err;
	fill(self, out);
	return MR_STORE_OK;
}

static int
mailbox_find(void *self, const char *account, const char *name,
	struct mr_mailbox *out, struct mr_error *err)
{
	(void)account;
	(void)err;
	fill(self, out);
	if (strcmp(name, "other") == 0)
		out->id = OTHER_ID;
	else if (strcmp(name, "INBOX") != 0)
		return MR_STORE_MISSING;
	return MR_STORE_OK;
}

static int
uids(void *self, int64_t id, int (*each)(void *arg, struct mr_range run),
	void *arg, struct mr_error *err)
{
	struct fake_store *f = self;
	size_t i;

	(void)id;
	(void)err;
	for (i = 0; i < f->n; i++)
		if (!f->message[i].removed && each(arg, (struct mr_range){
			f->message[i].uid, f->message[i].uid}))
			return MR_STORE_STOPPED;
	return MR_STORE_OK;
}

static int
scan(void *self, int64_t id, const struct mr_range *range, size_t n,
	uint64_t since, uint32_t want,
	int (*each)(void *arg, const struct mr_row *row), void *arg,
	struct mr_error *err)
{
	struct fake_store *f = self;
	struct mime_view v;
	size_t i;

	(void)id;
	(void)err;
	f->scans++;
	for (i = 0; i < f->n; i++) {
		const struct fake_message *m = &f->message[i];
		struct mr_row row = {.uid = m->uid, .flags = m->flags,
			.modseq = m->modseq};

		if (!is_meant(m, range, n) || m->modseq <= since)
			continue;
		if (want & MR_ROW_KEYWORDS)
			row.keywords = (struct mr_str){m->keywords,
				strlen(m->keywords)};
		if (want & MR_ROW_MESSAGE) {
			row.received_ms = m->received_ms;
			row.message_id = (int64_t)i + 1;
			row.length = m->body.len;
		}
		if (want & MR_ROW_SENT && mime_open(buf_str(&m->cache), &v))
			row.sent = (struct mr_sent){v.sent_ms, v.sent_zone};
		if (want & MR_ROW_CACHE)
			row.cache = (struct mr_str){m->cache.at,
				m->cache.len};
		if (each(arg, &row))
			return MR_STORE_STOPPED;
	}
	return MR_STORE_OK;
}

static int
vanished(void *self, int64_t id, uint64_t since,
	int (*each)(void *arg, struct mr_range run), void *arg,
	struct mr_error *err)
{
	struct fake_store *f = self;
	size_t i;

	(void)id;
	(void)err;
	for (i = 0; i < f->n; i++)
		if (f->message[i].removed && f->message[i].removed_at > since &&
			each(arg, (struct mr_range){f->message[i].uid,
			f->message[i].uid}))
			return MR_STORE_STOPPED;
	return MR_STORE_OK;
}

/* Keywords here are one word: enough for a test. */
static void
change_message(struct fake_message *m, const struct mr_flag_change *c)
{
	bool has = c->keywords != NULL && *c->keywords;

	if (c->op == MR_FLAGS_ADD)
		m->flags |= c->flags;
	else if (c->op == MR_FLAGS_REMOVE)
		m->flags &= ~c->flags;
	else
		m->flags = c->flags;
	if (!has && c->op != MR_FLAGS_SET)
		return;
	free(m->keywords);
	m->keywords = mem_cstr(has && c->op != MR_FLAGS_REMOVE ?
		c->keywords : "");
}

static int
store_flags(void *self, int64_t id, const struct mr_range *range, size_t n,
	const struct mr_flag_change *change,
	int (*failed)(void *arg, uint32_t uid), void *arg, uint64_t *modseq,
	struct mr_error *err)
{
	struct fake_store *f = self;
	size_t i;

	(void)id;
	(void)err;
	f->changes++;
	f->modseq++;
	for (i = 0; i < f->n; i++) {
		struct fake_message *m = &f->message[i];

		if (!is_meant(m, range, n))
			continue;
		if (change->unchanged_since &&
			m->modseq > change->unchanged_since) {
			failed(arg, m->uid);
			continue;
		}
		change_message(m, change);
		m->modseq = f->modseq;
	}
	*modseq = f->modseq;
	return MR_STORE_OK;
}

static int
expunge(void *self, int64_t id, const struct mr_range *range, size_t n,
	int any, struct mr_error *err)
{
	struct fake_store *f = self;
	size_t i;

	(void)id;
	(void)err;
	for (i = 0; i < f->n; i++)
		if (is_meant(&f->message[i], range, n) &&
			(any || f->message[i].flags & MR_FLAG_DELETED))
			fake_remove(f, f->message[i].uid);
	return MR_STORE_OK;
}

static int
copy(void *self, int64_t from, const struct mr_range *range, size_t n,
	int64_t to, int move, uint32_t *uidvalidity,
	int (*pair)(void *arg, struct mr_uid_pair p), void *arg,
	struct mr_error *err)
{
	struct fake_store *f = self;
	uint32_t next = 100;
	size_t i;

	(void)from;
	(void)err;
	if (to != OTHER_ID)
		return MR_STORE_INVALID;
	*uidvalidity = 99;
	for (i = 0; i < f->n; i++) {
		if (!is_meant(&f->message[i], range, n))
			continue;
		pair(arg, (struct mr_uid_pair){f->message[i].uid, next++});
		if (move)
			fake_remove(f, f->message[i].uid);
	}
	return MR_STORE_OK;
}

/* ---------------------------------------------------------------- bodies */

struct fake_body {
	struct fake_store *f;
	struct str bytes;
};

static int
body_open(void *self, int64_t id, void **body, uint64_t *length,
	struct mr_error *err)
{
	struct fake_store *f = self;
	struct fake_body *b;

	(void)err;
	f->opened++;
	if (f->message[id - 1].removed)
		return MR_STORE_MISSING;
	b = mem_alloc(sizeof *b);
	b->f = f;
	b->bytes = f->message[id - 1].body;
	*length = b->bytes.len;
	*body = b;
	return MR_STORE_OK;
}

/* A few bytes at a time, so that borders are met. */
static int64_t
body_read(void *body, uint64_t offset, void *out, size_t len,
	struct mr_error *err)
{
	struct fake_body *b = body;
	struct str some = str_sub(b->bytes, (size_t)offset,
		len < 7 ? len : 7);

	(void)err;
	if (b->f->fails)
		return -1;
	memcpy(out, some.at, some.len);
	return (int64_t)some.len;
}

static void
body_close(void *body)
{
	free(body);
}

static int
commit(void *self, struct mr_commit *c, struct mr_error *err)
{
	struct fake_store *f = self;
	size_t i, n;

	(void)err;
	buf_reset(&f->committed);
	for (i = 0; i < c->n_piece; i++) {
		const struct mr_piece *p = &c->piece[i];
		char *at;

		if (p->fd < 0) {
			buf_add(&f->committed, p->mem, (size_t)p->length);
			continue;
		}
		at = buf_reserve(&f->committed, (size_t)p->length);
		n = (size_t)pread(p->fd, at, (size_t)p->length,
			(off_t)p->offset);
		buf_grew(&f->committed, n);
	}
	f->last = *c;
	f->place = c->place[0];
	if (f->place.keywords != NULL)
		f->place.keywords = *f->place.keywords ? "some" : "";
	c->place[0].out_uid = 41;
	c->place[0].out_uidvalidity = 99;
	return f->commit_code;
}

/* All that was appended, with a bar between. */
static int
append(void *self, const struct mr_append *a, struct mr_error *err)
{
	struct fake_store *f = self;
	struct buf all;
	size_t i;
	int code = MR_STORE_OK;

	buf_init(&all, BUF_NO_CAP);
	for (i = 0; i < a->n && code == MR_STORE_OK; i++) {
		code = commit(self, a->commit[i], err);
		a->commit[i]->place[0].out_uid = 41 + (uint32_t)i;
		buf_addf(&all, "%s%s", i ? "|" : "", buf_c(&f->committed));
	}
	if (a->mailbox && code == MR_STORE_OK)
		fake_remove(f, a->uid);
	buf_reset(&f->committed);
	buf_addstr(&f->committed, buf_str(&all));
	buf_free(&all);
	return code;
}

static const struct mr_store op = {.size = sizeof op, .commit = commit,
	.body_open = body_open, .body_read = body_read,
	.body_close = body_close, .mailbox_get = mailbox_get,
	.mailbox_find = mailbox_find, .uids = uids, .scan = scan,
	.vanished = vanished, .store_flags = store_flags,
	.expunge = expunge, .copy = copy,
	.append = append};

/* ------------------------------------------------------------- a session */

static void
hear(struct fake_talk *t)
{
	char room[4096];
	ssize_t n;

	while ((n = read(t->peer, room, sizeof room)) > 0)
		buf_add(&t->heard, room, (size_t)n);
}

void
fake_begin(struct fake_talk *t)
{
	static const struct plugins none;
	int fd[2];

	*t = (struct fake_talk){.peer = -1};
	t->store.uidnext = 1;
	buf_init(&t->store.committed, BUF_NO_CAP);
	buf_init(&t->heard, BUF_NO_CAP);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
		abort();
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	t->peer = fd[1];
	t->house = (struct house){.hostname = "mail.example.test",
		.plugins = &none,
		.data = "/tmp", .limits = &limits,
		.store = {&op, &t->store}, .imap = &no_admins};
	t->session.house = &t->house;
	t->session.listener = &listener;
	t->session.protocol = &imap_protocol;
	t->session.tls = true;
	stream_init(&t->session.stream, fd[0]);
	stream_limit(&t->session.stream, limits.command_timeout, 0);
	arena_init(&t->session.arena);
	arena_init(&t->session.command);
	imap_protocol.open(&t->session);
	stream_flush(&t->session.stream);
	hear(t);
	t->imap = imap_of(&t->session);
	t->imap->account = "bob@example.test";
	t->imap->state = IMAP_IN;
}

void
fake_select(struct fake_talk *t)
{
	struct mr_mailbox m;
	struct mr_error me;

	imap_deselect(t->imap);
	fill(&t->store, &m);
	t->imap->box = imap_box_new(&m, false);
	imap_box_load(&t->house, t->imap->box, &me);
	t->imap->state = IMAP_SELECTED;
}

void
fake_end(struct fake_talk *t)
{
	size_t i;

	imap_protocol.close(&t->session);
	stream_close(&t->session.stream);
	close(t->peer);
	arena_free(&t->session.arena);
	arena_free(&t->session.command);
	for (i = 0; i < t->store.n; i++) {
		free(t->store.message[i].keywords);
		buf_free(&t->store.message[i].cache);
	}
	buf_free(&t->store.committed);
	buf_free(&t->heard);
}

const char *
fake_say(struct fake_talk *t, struct str bytes)
{
	struct session *s = &t->session;

	buf_reset(&t->heard);
	if (write(t->peer, bytes.at, bytes.len) != (ssize_t)bytes.len)
		abort();
	/* What has come is seen by the first read. */
	stream_peek(&s->stream);
	while (!stream_failed(&s->stream) &&
		stream_pending(&s->stream, true)) {
		arena_reset(&s->command);
		if (imap_protocol.turn(s) == SESSION_END)
			break;
	}
	stream_flush(&s->stream);
	hear(t);
	return buf_c(&t->heard);
}

const char *
fake_ask(struct fake_talk *t, const char *command)
{
	struct buf line;
	const char *answer;

	buf_init(&line, BUF_NO_CAP);
	buf_addf(&line, "t %s\r\n", command);
	answer = fake_say(t, buf_str(&line));
	buf_free(&line);
	return answer;
}
