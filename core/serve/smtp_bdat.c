/*
 * smtp_bdat.c - BDAT (RFC 3030): a message by length, in chunks.
 *
 * The bytes of a chunk are read whatever comes of it, so that the session
 * stays in step; after a refusal the transaction is over and the chunks that
 * were sent along are read and answered 503.
 */
#include "serve/smtp.h"

/* Chunks that are read only to be thrown away. */
#define USELESS_MOST (4ull << 20)

static bool
read_size(struct str args, uint64_t *size, bool *last)
{
	struct str word = str_word(&args);

	if (!str_u64(word, INT64_MAX, size))
		return false;
	word = str_word(&args);
	*last = str_iis(word, "LAST");
	return (*last || !word.len) && !str_trim_blank(args).len;
}

/* Reads the chunk to no end. */
static struct reply
throw_away(struct smtp *k, uint64_t size, struct reply r)
{
	struct smtp_chunks none = {.m = NULL};

	if (size > USELESS_MOST && size >
		2 * (uint64_t)k->house->limits->message_size) {
		k->quit = true;
		return REPLY(421, "4.7.0", "That much cannot be passed over");
	}
	if (!smtp_chunks_read(&none, &k->session->stream, size))
		k->quit = true;
	return k->quit ? (struct reply){0} : r;
}

static struct reply
begin(struct smtp *k)
{
	struct reply r = smtp_may_send(k);

	if (r.code)
		return r;
	k->chunks = arena_alloc(&k->message, sizeof *k->chunks);
	smtp_chunks_init(k->chunks, smtp_new_message(k),
		(uint64_t)k->house->limits->message_size, k->is_binary);
	return r;
}

static struct reply
take_chunk(struct smtp *k, uint64_t size, bool last)
{
	struct smtp_chunks *c = k->chunks;
	enum smtp_body got = SMTP_BODY_LOST;
	struct reply r;

	if (smtp_chunks_read(c, &k->session->stream, size))
		got = last ? smtp_chunks_end(c) : c->fault;
	if (got == SMTP_BODY_OK && !last)
		return reply_printf(&k->session->command, 250, "2.0.0",
			"Ok: %llu octets", (unsigned long long)size);
	if (got == SMTP_BODY_OK && message_seal(c->m, &c->e) < 0)
		got = SMTP_BODY_SPOOL;
	r = smtp_body_refusal(k, got, &c->e);
	k->chunks = NULL;
	return smtp_end_message(k, c->m, r);
}

struct reply
smtp_bdat(struct smtp *k, struct str args)
{
	const struct limits_settings *l = k->house->limits;
	struct reply r = {0};
	uint64_t size;
	bool last;

	if (!read_size(args, &size, &last)) {
		/* How much follows cannot be known. */
		k->quit = true;
		return REPLY(421, "4.5.2", "Syntax: BDAT size [LAST]");
	}
	/* The client may wait for earlier answers before it sends the rest. */
	stream_flush(&k->session->stream);
	stream_limit(&k->session->stream, l->data_timeout,
		(uint32_t)l->min_rate);
	if (!k->in_mail)
		r = REPLY(503, "5.5.1", "Say MAIL first");
	else if (!k->chunks)
		r = begin(k);
	if (r.code) {
		r.text = arena_str(&k->session->command, r.text);
		smtp_reset(k);
		r = throw_away(k, size, r);
	} else {
		r = take_chunk(k, size, last);
	}
	stream_limit(&k->session->stream, l->command_timeout, 0);
	return r;
}
