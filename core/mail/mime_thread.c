/*
 * mime_thread.c - which conversation a message belongs to (RFC 8474 5.2).
 *
 * The first id of References names the message that began it; clients that cut
 * the field leave that one (RFC 5322 3.6.4). Without it In-Reply-To is taken,
 * and the message itself where it answers nothing. So the answer follows from
 * the message alone and never changes, in whatever order mail comes in, and
 * it is the same in all mailboxes. Pure; any thread.
 */
#include "mail/mime_parts.h"

#include "mail/header.h"

enum { REFERENCES, IN_REPLY_TO, MESSAGE_ID, N_SOURCES };

static const char *const sources[N_SOURCES] = {
	[REFERENCES] = "references", [IN_REPLY_TO] = "in-reply-to",
	[MESSAGE_ID] = "message-id",
};

/* FNV-1a. Whoever makes two ids meet could as well have answered. */
static uint64_t
hash(struct str id)
{
	uint64_t h = 0xcbf29ce484222325u;
	size_t i;

	for (i = 0; i < id.len; i++)
		h = (h ^ (unsigned char)id.at[i]) * 0x100000001b3u;
	return h != 0 ? h : 1;
}

uint64_t
mime_thread(struct str section)
{
	struct str id[N_SOURCES] = {{NULL, 0}};
	struct header_field f;
	size_t i;

	while (header_next(&section, &f))
		for (i = 0; i < N_SOURCES; i++)
			if (id[i].at == NULL && str_iis(f.name, sources[i]))
				id[i] = header_next_id(&f.value);
	for (i = 0; i < N_SOURCES; i++)
		if (id[i].at != NULL)
			return hash(id[i]);
	return 0;
}
