/*
 * imap_append.c - APPEND (RFC 9051 6.3.12) with APPENDUID (RFC 4315).
 *
 * The message goes from the stream into a spool, byte for byte as it comes:
 * IMAP stores what it is given. What can be refused is refused before the
 * bytes are asked for; a literal that is left waiting, the loop passes over,
 * and one that is begun is read to its end whatever happens, so the session
 * stays in step. Nothing is stored until the command is read to its end.
 *
 * One message a command: MULTIAPPEND (RFC 3502) must store all or nothing,
 * and a commit of the store holds one message.
 */
#include "serve/imap.h"
#include "serve/imap_place.h"

#include "base/clock.h"
#include "base/enc.h"
#include "base/log.h"
#include "mail/spool.h"
#include "queue/submit.h"

#define TRACE_LENGTH 14

struct append {
	struct str name;
	struct imap_place place;	/* of that name */
	uint32_t flags;
	const char *keywords;
	int64_t received_ms;
	bool utf8;		/* "UTF8 (~{n} ...)", RFC 6855 section 4 */
	struct spool spool;
};

/* ------------------------------------------------------------- arguments */

/* Flags and date may be left out; the literal stands behind a blank. */
static bool
read_request(struct append *a, struct imap *k, struct imap_in *in)
{
	if (!imap_astring(in, &a->name) || !imap_blank(in))
		return false;
	if (imap_is_char(in, '(') && (!imap_flag_list(in, false, &a->flags,
	    &a->keywords) || !imap_blank(in)))
		return false;
	if (imap_is_char(in, '"') && (!imap_date_time(in, &a->received_ms) ||
	    !imap_blank(in)))
		return false;
	a->utf8 = k->enabled & IMAP_UTF8 && str_istarts(in->rest, "UTF8 (");
	if (a->utf8)
		in->rest = str_sub(in->rest, 6, in->rest.len);
	return imap_end(in);
}

static struct imap_answer
no_mailbox(void)
{
	return IMAP_ANSWER(IMAP_NO, "TRYCREATE", "There is no such mailbox");
}

/* IMAP_OK: the message may come. */
static struct imap_answer
check(struct imap *k, struct append *a, const struct imap_literal *l)
{
	struct mr_error me = {{0}};
	int code = imap_place_find(k, a->name, MR_RIGHT_INSERT, &a->place,
		&me);

	if (code == MR_STORE_MISSING)
		return no_mailbox();
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	imap_place_limit(a->place.rights, &a->flags, &a->keywords);
	if (l->length > (uint64_t)k->house->limits->message_size)
		return IMAP_ANSWER(IMAP_NO, "TOOBIG",
			"The message is larger than what is taken here");
	if (l->length == 0)
		return IMAP_ANSWER(IMAP_NO, "CANNOT",
			"A message of no bytes is not stored");
	return IMAP_ANSWER(IMAP_OK, NULL, NULL);
}

/* ------------------------------------------------------------ the message */

/* To the end of the literal, though the disk may fail before. */
static int
receive(struct imap *k, struct append *a, uint64_t length, struct err *e)
{
	struct stream *stream = &k->session->stream;
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

static int
take_message(struct imap *k, struct append *a, struct imap_command *c,
	struct err *e)
{
	const struct limits_settings *limits = k->house->limits;
	struct stream *stream = &k->session->stream;
	int code;

	c->literal.waiting = false;
	if (c->literal.synchronising) {
		stream_puts(stream, "+ OK\r\n");
		stream_flush(stream);
	}
	stream_limit(stream, limits->data_timeout,
		(uint32_t)limits->min_rate);
	code = receive(k, a, c->literal.length, e);
	stream_limit(stream, limits->command_timeout, 0);
	return code;
}

static struct imap_answer
spool_failed(struct imap *k, const struct err *e)
{
	log_error("imap.append", LOG_S("session", k->session->id),
		LOG_S("error", e->text));
	return IMAP_ANSWER(IMAP_NO, "UNAVAILABLE",
		"The message cannot be taken now");
}

/* ----------------------------------------------------------------- commit */

static struct imap_answer
commit(struct imap *k, struct append *a)
{
	const struct store *s = &k->house->store;
	struct arena *arena = &k->session->command;
	struct mr_placement place = {.kind = MR_PLACE_MAILBOX,
		.mailbox_id = a->place.m.id, .account = a->place.account,
		.mailbox = a->place.name, .flags = a->flags,
		.keywords = a->keywords, .received_ms = a->received_ms};
	char trace[TRACE_LENGTH + 1];
	struct mr_commit c = {.size = sizeof c, .trace = trace,
		.origin = arena_printf(arena, "imap %s", k->account),
		.place = &place, .n_place = 1};
	struct mr_piece piece[2];
	struct mr_error me = {{0}};
	struct err e = {0};
	int code;

	enc_random_word(trace, TRACE_LENGTH);
	if (spool_flush(&a->spool, &e) < 0 || submit_describe(&c, piece,
	    spool_pieces(&a->spool, 0, a->spool.length, piece), arena, &e) < 0)
		return spool_failed(k, &e);
	code = s->op->commit(s->self, &c, &me);
	if (code == MR_STORE_MISSING)
		return no_mailbox();
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	imap_learn_appended(k, place.out_mailbox_id, place.out_uid,
		a->keywords);
	return IMAP_ANSWER(IMAP_OK, arena_printf(arena, "APPENDUID %u %u",
		place.out_uidvalidity, place.out_uid), "APPEND done");
}

static struct imap_answer
append(struct imap *k, struct append *a, struct imap_command *c)
{
	struct err e = {0};
	int code = take_message(k, a, c, &e);

	if (imap_read_more(&k->session->stream, &k->session->command, c) !=
	    IMAP_GOT_COMMAND || (a->utf8 && !imap_char(&c->in, ')')) ||
	    !imap_end(&c->in))
		return imap_bad(k, &c->in);
	return code < 0 ? spool_failed(k, &e) : commit(k, a);
}

struct imap_answer
imap_append(struct imap *k, struct imap_in *in, bool uid)
{
	struct imap_command *c = imap_command_of(in);
	struct append a = {.keywords = "", .received_ms = clock_wall()};
	struct imap_answer said;

	(void)uid;
	if (!read_request(&a, k, in))
		return imap_bad(k, in);
	if (!c->literal.waiting) {
		in->wrong = "a message is missing";
		return imap_bad(k, in);
	}
	said = check(k, &a, &c->literal);
	if (said.status != IMAP_OK)
		return said;
	spool_init(&a.spool, arena_printf(&k->session->command, "%s/tmp",
		k->house->data), (size_t)k->house->limits->memory_message);
	said = append(k, &a, c);
	spool_free(&a.spool);
	return said;
}
