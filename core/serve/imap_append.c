/*
 * imap_append.c - APPEND (RFC 9051 6.3.12) of one message or several
 * (MULTIAPPEND, RFC 3502), also of such that are made here of parts (CATENATE,
 * RFC 4469), with APPENDUID (RFC 4315); and REPLACE (RFC 8508), which is an
 * APPEND that removes a message in the same step.
 *
 * Messages go from the stream into one spool, byte for byte as they come:
 * IMAP stores what it is given. What can be refused is refused before the
 * bytes are asked for; a literal that is left waiting, the loop passes over,
 * and one that is begun is read to its end whatever happens, so the session
 * stays in step. Nothing is stored until the command is read to its end, and
 * then all of it or nothing.
 */
#include "serve/imap.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "mail/spool.h"
#include "queue/submit.h"
#include "serve/imap_limit.h"
#include "serve/imap_out.h"
#include "serve/imap_place.h"
#include "serve/imap_url.h"

#define CATENATE "CATENATE ("
#define TRACE_LENGTH 14
#define MESSAGES_MOST 1000	/* in one command, ... */
#define URLS_MOST 4000		/* in one command */
#define TOTAL_MOST 4		/* ... and all together so many of the
				   largest that are taken */

struct message {
	uint64_t at, length;	/* in the spool */
	uint32_t flags;
	const char *keywords;
	int64_t received_ms;
};

struct append {
	struct imap *k;
	struct imap_command *c;
	uint32_t replaces;	/* UID in the selected mailbox; 0: none */
	struct str name;
	struct imap_place place;	/* of that name */
	struct message *message;
	size_t n, room, urls;
	struct spool spool;
	struct imap_answer no;	/* why a step said false */
};

static bool
refuse(struct append *a, const char *code, const char *text)
{
	a->no = IMAP_ANSWER(IMAP_NO, code, text);
	return false;
}

static bool
bad(struct append *a)
{
	a->no = imap_bad(a->k, &a->c->in);
	return false;
}

static bool
empty(struct append *a)
{
	return refuse(a, "CANNOT", "A message of no bytes is not stored");
}

static bool
spool_failed(struct append *a, const struct err *e)
{
	log_error("imap.append", LOG_S("session", a->k->session->id),
		LOG_S("error", e->text));
	return refuse(a, "UNAVAILABLE", "The message cannot be taken now");
}

/* ------------------------------------------------------------- arguments */

/* Flags and date may be left out; the message stands behind a blank. */
static bool
read_options(struct append *a, struct message *m)
{
	struct imap_in *in = &a->c->in;

	if (imap_is_char(in, '(') && (!imap_flag_list(in, false, &m->flags,
	    &m->keywords) || !imap_blank(in)))
		return bad(a);
	if (imap_is_char(in, '"') && (!imap_date_time(in, &m->received_ms) ||
	    !imap_blank(in)))
		return bad(a);
	return true;
}

static bool
find_mailbox(struct append *a)
{
	struct mr_error me = {{0}};
	int code = imap_place_find(a->k, a->name, MR_RIGHT_INSERT, &a->place,
		&me);

	if (code == MR_STORE_MISSING)
		return refuse(a, "TRYCREATE", "There is no such mailbox");
	if (code == MR_STORE_OK)
		return true;
	a->no = imap_store_failed(a->k, code, &me);
	return false;
}

/* ------------------------------------------------------------ the message */

static bool
too_big(struct append *a)
{
	return refuse(a, "TOOBIG",
		"The message is larger than what is taken here");
}

/* length: what the message from `at` on is to become longer by. */
static bool
has_room(struct append *a, uint64_t at, uint64_t length)
{
	uint64_t most = (uint64_t)a->k->house->limits->message_size;

	if (length > most || a->spool.length - at > most - length)
		return too_big(a);
	if (a->spool.length + length > TOTAL_MOST * most)
		return refuse(a, "TOOBIG",
			"The messages are larger than what is taken at once");
	return true;
}

/* To the end of the literal, though the disk may fail before. */
static int
receive(struct append *a, uint64_t length, struct err *e)
{
	struct stream *stream = &a->k->session->stream;
	struct str some;
	int code = 0;

	while (length > 0 && (some = stream_peek(stream)).len > 0) {
		if (some.len > length)
			some.len = (size_t)length;
		if (code == 0)
			code = spool_write(&a->spool, some.at, some.len, e);
		stream_consume(stream, some.len);
		length -= some.len;
	}
	if (length > 0)
		stream_fail(stream, ERR_CLOSED, "connection closed");
	return code;
}

/* Asks for the literal where that is due. */
static void
begin_literal(struct append *a)
{
	const struct limits_settings *limits = a->k->house->limits;
	struct stream *stream = &a->k->session->stream;

	a->c->literal.waiting = false;
	if (a->c->literal.synchronising) {
		stream_puts(stream, "+ OK\r\n");
		stream_flush(stream);
	}
	stream_limit(stream, limits->data_timeout,
		(uint32_t)limits->min_rate);
}

/* And what of the command stands behind it. */
static bool
end_literal(struct append *a)
{
	struct session *s = a->k->session;
	enum imap_got got;

	stream_limit(&s->stream, a->k->house->limits->command_timeout, 0);
	got = imap_read_more(&s->stream, &s->command, a->c);
	return got == IMAP_GOT_COMMAND || got == IMAP_GOT_LITERAL || bad(a);
}

/* The literal in front of which reading has stopped, into the spool. */
static bool
take_literal(struct append *a, uint64_t at)
{
	struct err e = {0};
	int code;

	if (!has_room(a, at, a->c->literal.length))
		return false;
	begin_literal(a);
	code = receive(a, a->c->literal.length, &e);
	return end_literal(a) && (code == 0 || spool_failed(a, &e));
}

static bool
is_utf8(const struct append *a)
{
	return a->k->enabled & IMAP_UTF8 &&
		str_istarts(a->c->in.rest, "UTF8 (");
}

/* A literal, in "UTF8 (...)" or not (RFC 6855 section 4). */
static bool
take_whole(struct append *a, uint64_t at)
{
	struct imap_in *in = &a->c->in;
	bool utf8 = is_utf8(a);

	if (utf8)
		in->rest = str_sub(in->rest, 6, in->rest.len);
	if (!imap_end(in))
		return bad(a);
	if (!a->c->literal.waiting) {
		in->wrong = "a message is missing";
		return bad(a);
	}
	if (a->c->literal.length == 0)
		return empty(a);
	if (!take_literal(a, at))
		return false;
	return !utf8 || imap_char(in, ')') || bad(a);
}

/* ---------------------------------------------------------------- CATENATE */

/* RFC 4469 section 4: the answer shows which URL it was, where an answer may
 * show it. */
static bool
refuse_url(struct append *a, struct str url)
{
	size_t i;

	for (i = 0; i < url.len; i++)
		if (url.at[i] <= ' ' || url.at[i] >= 127 ||
			url.at[i] == ']' || url.at[i] == '\\')
			break;
	return refuse(a, i < url.len ? "BADURL" : arena_printf(
		&a->k->session->command, "BADURL %.*s", STR_ARGS(url)),
		"Nothing is there that could be taken");
}

static bool
add_url(struct append *a, struct str text, uint64_t at)
{
	uint64_t most = (uint64_t)a->k->house->limits->message_size;
	struct imap_url url;
	struct err e = {0};

	if (a->urls++ == URLS_MOST)
		return refuse(a, "LIMIT", "Too many URLs in one command");
	if (!imap_url_parse(text, &a->k->session->command, &url))
		return refuse_url(a, text);
	switch (imap_url_spool(a->k, &url, most - (a->spool.length - at),
		&a->spool, &e)) {
	case IMAP_URL_OK:
		return has_room(a, at, 0);
	case IMAP_URL_NONE:
		return refuse_url(a, text);
	case IMAP_URL_LARGE:
		return too_big(a);
	default:
		return spool_failed(a, &e);
	}
}

/* A URL that is a literal: reading has stopped in front of that one too. */
static bool
take_long_url(struct append *a, struct str *url)
{
	size_t n = (size_t)a->c->literal.length;
	char *text;

	if (a->c->literal.length > IMAP_URL_MOST)
		return refuse(a, "BADURL", "The URL is too long");
	text = arena_alloc(&a->k->session->command, n + 1);
	begin_literal(a);
	*url = str_of(text, n);
	if (!stream_read(&a->k->session->stream, text, n))
		return bad(a);
	return end_literal(a);
}

static bool
take_part(struct append *a, uint64_t at)
{
	struct imap_in *in = &a->c->in;
	bool is_text = str_istarts(in->rest, "TEXT ");
	struct str url;

	if (is_utf8(a))
		return take_whole(a, at);
	if (!is_text && !str_istarts(in->rest, "URL "))
		return bad(a);
	in->rest = str_sub(in->rest, is_text ? 5 : 4, in->rest.len);
	if (is_text)
		return in->rest.len || !a->c->literal.waiting ? bad(a) :
			take_literal(a, at);
	if (!in->rest.len && a->c->literal.waiting)
		return take_long_url(a, &url) && add_url(a, url, at);
	return imap_astring(in, &url) ? add_url(a, url, at) : bad(a);
}

/* RFC 4469 section 3: a message made of what comes and what is here. */
static bool
take_parts(struct append *a)
{
	struct imap_in *in = &a->c->in;
	uint64_t at = a->spool.length;

	in->rest = str_sub(in->rest, sizeof CATENATE - 1, in->rest.len);
	if (!take_part(a, at))
		return false;
	while (imap_is_char(in, ' ')) {
		imap_blank(in);
		if (!take_part(a, at))
			return false;
	}
	if (!imap_char(in, ')'))
		return bad(a);
	return a->spool.length > at || empty(a);
}

/* ------------------------------------------------------------ all messages */

static void
keep_message(struct append *a, const struct message *m)
{
	if (a->n == a->room) {
		a->room = a->room ? a->room * 2 : 4;
		a->message = mem_grow(a->message, a->room * sizeof *m);
	}
	a->message[a->n] = *m;
	a->message[a->n].length = a->spool.length - m->at;
	a->n++;
}

static bool
take_message(struct append *a)
{
	struct message m = {.at = a->spool.length, .keywords = "",
		.received_ms = clock_wall()};

	if (!read_options(a, &m) || (a->n == 0 && !find_mailbox(a)))
		return false;
	if (!(str_istarts(a->c->in.rest, CATENATE) ? take_parts(a) :
		take_whole(a, m.at)))
		return false;
	imap_place_limit(a->place.rights, &m.flags, &m.keywords);
	keep_message(a, &m);
	return true;
}

static bool
take_messages(struct append *a)
{
	struct imap_in *in = &a->c->in;

	if (!take_message(a))
		return false;
	/* RFC 8508 section 3.4: one message stands for one. */
	while (imap_is_char(in, ' ') && !a->replaces &&
		imap_may_append_many(a->k)) {
		if (imap_limit(a->k) > 0 && a->n >= imap_limit(a->k))
			return refuse(a, imap_limit_refuse(a->k).code,
				"Too many messages in one command");
		if (a->n == MESSAGES_MOST)
			return refuse(a, "LIMIT",
				"Too many messages in one command");
		imap_blank(in);
		if (!take_message(a))
			return false;
	}
	/* A literal that is not behind a blank waits yet. */
	return (imap_end(in) && !a->c->unfinished) || bad(a);
}

/* ----------------------------------------------------------------- commit */

struct stored {
	struct mr_commit commit;
	struct mr_placement place;
	struct mr_piece piece[2];
	char trace[TRACE_LENGTH + 1];
};

static int
describe(struct append *a, const struct message *m, struct stored *s,
	struct err *e)
{
	struct arena *arena = &a->k->session->command;

	enc_random_word(s->trace, TRACE_LENGTH);
	s->place = (struct mr_placement){.kind = MR_PLACE_MAILBOX,
		.mailbox_id = a->place.m.id, .account = a->place.account,
		.mailbox = a->place.name, .flags = m->flags,
		.keywords = m->keywords, .received_ms = m->received_ms};
	s->commit = (struct mr_commit){.size = sizeof s->commit,
		.trace = s->trace, .place = &s->place, .n_place = 1,
		.origin = arena_printf(arena, "imap %s", a->k->account)};
	return submit_describe(&s->commit, s->piece, spool_pieces(&a->spool,
		m->at, m->length, s->piece), arena, e);
}

static int
store_all(struct append *a, struct stored *all, struct mr_error *me)
{
	const struct store *s = &a->k->house->store;
	struct mr_commit **list = arena_alloc(&a->k->session->command,
		a->n * sizeof *list);
	struct mr_append what = {.size = sizeof what, .commit = list,
		.n = a->n, .uid = a->replaces};
	size_t i;

	if (a->n == 1 && !a->replaces)
		return s->op->commit(s->self, &all->commit, me);
	for (i = 0; i < a->n; i++)
		list[i] = &all[i].commit;
	what.mailbox = a->replaces ? a->k->box->id : 0;
	return s->op->append(s->self, &what, me);
}

/* "APPENDUID 38505 3955:3957" */
static const char *
appenduid(struct append *a, const struct stored *all)
{
	struct imap_list uids = {.n = 0};
	struct buf out;
	const char *code;
	size_t i;

	for (i = 0; i < a->n; i++)
		imap_list_add(&uids, all[i].place.out_uid);
	buf_init(&out, BUF_NO_CAP);
	buf_addf(&out, "APPENDUID %u ", all->place.out_uidvalidity);
	imap_ranges_out(&out, uids.at, uids.n);
	code = arena_cstr(&a->k->session->command, buf_str(&out));
	buf_free(&out);
	imap_list_free(&uids);
	return code;
}

static struct imap_answer
not_stored(struct append *a, int code, const struct mr_error *me)
{
	if (code != MR_STORE_MISSING)
		return imap_store_failed(a->k, code, me);
	return a->replaces ? IMAP_ANSWER(IMAP_NO, "EXPUNGEISSUED",
		"The message or the mailbox is not there any more") :
		IMAP_ANSWER(IMAP_NO, "TRYCREATE", "There is no such mailbox");
}

/* The new UID is told before the removal, which the loop tells (RFC 8508
 * section 3.2). */
static struct imap_answer
stored(struct append *a, const struct stored *all)
{
	const char *code = appenduid(a, all);

	if (!a->replaces)
		return IMAP_ANSWER(IMAP_OK, code, "APPEND done");
	stream_printf(&a->k->session->stream, "* OK [%s] Replacement is "
		"stored\r\n", code);
	return IMAP_ANSWER(IMAP_OK, NULL, "REPLACE done");
}

static struct imap_answer
commit(struct append *a)
{
	struct stored *all = arena_alloc(&a->k->session->command,
		a->n * sizeof *all);
	struct mr_error me = {{0}};
	struct err e = {0};
	int code = spool_flush(&a->spool, &e);
	size_t i;

	for (i = 0; i < a->n && code == 0; i++)
		code = describe(a, &a->message[i], &all[i], &e);
	if (code < 0) {
		spool_failed(a, &e);
		return a->no;
	}
	code = store_all(a, all, &me);
	if (code != MR_STORE_OK)
		return not_stored(a, code, &me);
	for (i = 0; i < a->n; i++)
		imap_learn_appended(a->k, all[i].place.out_mailbox_id,
			all[i].place.out_uid, a->message[i].keywords);
	return stored(a, all);
}

/* -------------------------------------------------------------- the verbs */

bool
imap_may_append_many(const struct imap *k)
{
	const struct mr_store *op = k->house->store.op;

	return MR_HAS(op, append) && op->append;
}

/* From the mailbox's name on. */
static struct imap_answer
run(struct append *a)
{
	struct imap *k = a->k;
	struct imap_answer said;

	if (!imap_astring(&a->c->in, &a->name) || !imap_blank(&a->c->in))
		return imap_bad(k, &a->c->in);
	spool_init(&a->spool, arena_printf(&k->session->command, "%s/tmp",
		k->house->data), (size_t)k->house->limits->memory_message);
	said = take_messages(a) ? commit(a) : a->no;
	spool_free(&a->spool);
	free(a->message);
	return said;
}

struct imap_answer
imap_append(struct imap *k, struct imap_in *in, bool uid)
{
	struct append a = {.k = k, .c = imap_command_of(in)};

	(void)uid;
	return run(&a);
}

/* RFC 8508: a draft is saved again in one step, which leaves neither two of
 * them nor none. */
struct imap_answer
imap_replace(struct imap *k, struct imap_in *in, bool uid)
{
	struct append a = {.k = k, .c = imap_command_of(in)};
	struct mr_range *set;
	size_t n;
	bool saved;

	if (!imap_set(in, &set, &n, &saved) || !imap_blank(in))
		return imap_bad(k, in);
	if (saved || n != 1 || set->first != set->last ||
		!imap_box_ranges(k->box, set, n, uid, in->arena, &set, &n)) {
		in->wrong = "one message is to be named";
		return imap_bad(k, in);
	}
	if (!imap_may_append_many(k))
		return IMAP_ANSWER(IMAP_NO, "CANNOT",
			"The store cannot do that");
	if (k->box->read_only)
		return IMAP_ANSWER(IMAP_NO, NULL,
			"The mailbox was opened for reading only");
	if (!n || !imap_box_seq(k->box, set->first))
		return IMAP_ANSWER(IMAP_NO, NULL, "There is no such message");
	a.replaces = set->first;
	return run(&a);
}
