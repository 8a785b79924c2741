/*
 * imap_idle.c - IDLE (RFC 2177): the session parks and is woken by a change
 * of its mailbox, by the client, or by the clock.
 *
 * No change is lost: the entry for watch.c is added before the mailbox is
 * looked at, and a wake that comes while we look makes the park turn again.
 * The clock is not wound up by changes: a client that is silent for
 * limits.imap_timeout is gone, as RFC 2177 lets us think.
 */
#include "base/clock.h"
#include "serve/imap.h"
#include "serve/imap_admin.h"
#include "serve/imap_place.h"

void
imap_idle_end(struct imap *k)
{
	if (k->house->watch)
		watch_remove(k->house->watch, &k->watch);
	free(k->idle_tag);
	k->idle_tag = NULL;
}

struct imap_answer
imap_idle(struct imap *k, struct imap_in *in, bool uid)
{
	struct session *s = k->session;

	(void)uid;
	k->idle_tag = mem_cstr(arena_cstr(&s->command,
		imap_command_of(in)->tag));
	s->guest.wake_at = clock_mono() + s->idle_limit;
	if (k->house->watch)		/* that of NOTIFY */
		watch_remove(k->house->watch, &k->watch);
	k->watch.queue = k->box && imap_admin_owns(k, k->box->special);
	if (k->box && k->house->watch)
		watch_add(k->house->watch, &k->watch, &s->guest, k->box->id);
	stream_puts(&s->stream, "+ idling\r\n");
	imap_tell_changes(k, true, false);
	return IMAP_ANSWER(IMAP_SAID, NULL, "");
}

/* The client spoke: DONE, or something that has no place here. */
static enum session_next
take_line(struct imap *k)
{
	struct session *s = k->session;
	enum stream_line how;
	struct str line;
	bool done;

	how = stream_line(&s->stream, 1000, &line);
	if (how == STREAM_LINE_FAILED)
		return SESSION_END;
	done = how == STREAM_LINE_OK && str_iis(line, "DONE");
	if (done && !imap_tell_changes(k, true, false))
		return SESSION_END;
	stream_printf(&s->stream, "%s %s\r\n", k->idle_tag, done ?
		"OK Idle ended" : "BAD DONE was expected");
	imap_idle_end(k);
	return SESSION_MORE;
}

enum session_next
imap_idle_wake(struct imap *k, unsigned why)
{
	struct session *s = k->session;

	if (stream_pending(&s->stream, true) || why & PARK_WHY_INPUT)
		return take_line(k);
	if (why & PARK_WHY_TIMER) {
		stream_puts(&s->stream, "* BYE Idle for too long\r\n");
		return SESSION_END;
	}
	if (!imap_place_refresh(k)) {
		stream_puts(&s->stream, IMAP_BYE_RIGHTS);
		return SESSION_END;
	}
	if (k->notify)
		return imap_notify_tell(k) ? SESSION_IDLE : SESSION_END;
	return imap_tell_changes(k, true, false) ? SESSION_IDLE : SESSION_END;
}
