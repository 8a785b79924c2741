/*
 * imap_limit.c - MESSAGELIMIT, RFC 9738. The session's thread.
 */
#include "serve/imap_limit.h"

#include <inttypes.h>

#include "serve/imap_out.h"

uint32_t
imap_limit(const struct imap *k)
{
	return (uint32_t)k->house->limits->messages_per_command;
}

bool
imap_limit_exceeded(const struct imap *k, const struct mr_range *r, size_t n)
{
	uint32_t most = imap_limit(k);

	return most > 0 && imap_count_known(k->box, r, n) > most;
}

uint32_t
imap_limit_cut(struct imap *k, struct mr_range **r, size_t *n)
{
	const struct imap_window window = {.first = 1, .last = imap_limit(k),
		.from_end = true};

	if (!imap_limit_exceeded(k, *r, *n))
		return 0;
	*r = imap_ranges_place(k->box, *r, n, &window, &k->session->command);
	return (*r)->first;
}

struct imap_answer
imap_limit_say(struct imap *k, uint32_t lowest, bool has_code,
	struct imap_answer said)
{
	const char *code;

	if (lowest == 0 || said.status != IMAP_OK)
		return said;
	code = arena_printf(&k->session->command,
		"MESSAGELIMIT %" PRIu32 " %" PRIu32, imap_limit(k), lowest);
	if (!has_code && !said.code) {
		said.code = code;
		return said;
	}
	stream_printf(&k->session->stream,
		"* NO [%s] Lower UIDs are left as they are\r\n", code);
	return said;
}

struct imap_answer
imap_limit_refuse(struct imap *k)
{
	return IMAP_ANSWER(IMAP_NO, arena_printf(&k->session->command,
		"MESSAGELIMIT %" PRIu32, imap_limit(k)),
		"Too many messages for one command");
}
