/*
 * imap_progress.c - INPROGRESS, RFC 9585. The session's thread; a step costs
 * next to nothing.
 */
#include "serve/imap_progress.h"

#include <inttypes.h>

#include "base/clock.h"
#include "mail/mime.h"
#include "serve/imap.h"

#define LOOK_EVERY 16		/* messages, at the clock */

void
imap_progress_begin(struct imap *k, struct str tag)
{
	const int64_t every = k->house->limits->progress_interval;

	k->progress = (struct imap_progress){.tag = tag,
		.next = every ? clock_mono_rough() + every : CLOCK_NEVER};
}

void
imap_progress_expect(struct imap *k, uint32_t messages)
{
	if (!k->progress.is_open)
		k->progress.goal = messages;
}

/* RFC 9585 4: no tag that would end the code, and no goal that is reached. */
static void
say(struct imap *k)
{
	const struct imap_progress *p = &k->progress;
	struct buf out;

	buf_init(&out, BUF_NO_CAP);
	buf_adds(&out, "* OK [INPROGRESS (");
	if (str_has_byte(p->tag, ']'))
		buf_adds(&out, "NIL");
	else
		mime_imap_string(&out, p->tag);
	buf_addf(&out, " %" PRIu32 " ", p->done);
	if (p->goal > p->done)
		buf_addf(&out, "%" PRIu32, p->goal);
	else
		buf_adds(&out, "NIL");
	buf_adds(&out, ")] Still looking\r\n");
	stream_write_str(&k->session->stream, buf_str(&out));
	stream_flush(&k->session->stream);
	buf_free(&out);
}

/* The last step is told by the answer itself. */
void
imap_progress_step(struct imap *k)
{
	int64_t now;

	k->progress.done++;
	if (k->progress.done % LOOK_EVERY != 0 ||
	    k->progress.next == CLOCK_NEVER ||
	    k->progress.done == k->progress.goal)
		return;
	now = clock_mono_rough();
	if (now < k->progress.next)
		return;
	say(k);
	k->progress.next = now + k->house->limits->progress_interval;
}
