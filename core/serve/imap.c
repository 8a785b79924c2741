/*
 * imap.c - IMAP4rev2 (RFC 9051), and IMAP4rev1 (RFC 3501) until a client
 * enables the other: the verbs, the turn and the life of a session.
 *
 * A turn is: read a command, look it up, run it, tell what changed in the
 * selected mailbox, answer. The table says what holds for a verb before it
 * runs and whether message numbers may change under it. Runs on the park's
 * threads.
 */
#include "serve/imap.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/imap_admin.h"
#include "serve/imap_place.h"

enum verb_flag {
	NO_ARGS = 1,
	HAS_UID = 2,		/* may follow "UID " */
	NEEDS_UID = 4,		/* not known without */
	KEEPS_NUMBERS = 8,	/* its arguments or answers are message
				   numbers: no EXPUNGE (RFC 9051 7.5.1) */
	QUIET = 16,		/* tells no changes of the mailbox */
	SAYS_MODSEQ = 32,	/* its OK says HIGHESTMODSEQ, RFC 7162 3.2.9 */
};

struct verb {
	const char *name;
	unsigned states, flags;
	imap_verb run;
	uint32_t needs;		/* MR_RIGHT_* in the selected mailbox */
};

#define ANY (IMAP_FRESH | IMAP_IN | IMAP_SELECTED)
#define LOGGED_IN (IMAP_IN | IMAP_SELECTED)

static struct imap_answer
verb_noop(struct imap *k, struct imap_in *in, bool uid)
{
	(void)k;
	(void)in;
	(void)uid;
	return IMAP_ANSWER(IMAP_OK, NULL, "Done");
}

static struct imap_answer
verb_logout(struct imap *k, struct imap_in *in, bool uid)
{
	(void)in;
	(void)uid;
	stream_puts(&k->session->stream, "* BYE Logging out\r\n");
	k->state = IMAP_OUT;
	return IMAP_ANSWER(IMAP_OK, NULL, "Bye");
}

static const struct verb verbs[] = {
	{"CAPABILITY", ANY, NO_ARGS, imap_capability},
	{"NOOP", ANY, NO_ARGS, verb_noop},
	{"LOGOUT", ANY, NO_ARGS | QUIET, verb_logout},
	{"ID", ANY, 0, imap_id},
	{"STARTTLS", IMAP_FRESH, NO_ARGS, imap_starttls},
	{"COMPRESS", LOGGED_IN, QUIET, imap_compress},
	{"AUTHENTICATE", IMAP_FRESH, 0, imap_authenticate},
	{"LOGIN", IMAP_FRESH, 0, imap_login},
	{"UNAUTHENTICATE", LOGGED_IN, NO_ARGS | QUIET, imap_unauthenticate},
	{"ENABLE", LOGGED_IN, 0, imap_enable},
	{"NAMESPACE", LOGGED_IN, NO_ARGS, imap_namespace},
	{"LIST", LOGGED_IN, 0, imap_list},
	{"LSUB", LOGGED_IN, 0, imap_lsub},
	{"STATUS", LOGGED_IN, 0, imap_status},
	{"CREATE", LOGGED_IN, 0, imap_create},
	{"GETQUOTA", LOGGED_IN, 0, imap_getquota},
	{"GETQUOTAROOT", LOGGED_IN, 0, imap_getquotaroot},
	{"SETQUOTA", LOGGED_IN, 0, imap_setquota},
	{"DELETE", LOGGED_IN, 0, imap_delete},
	{"RENAME", LOGGED_IN, 0, imap_rename},
	{"SUBSCRIBE", LOGGED_IN, 0, imap_subscribe},
	{"UNSUBSCRIBE", LOGGED_IN, 0, imap_unsubscribe},
	{"SELECT", LOGGED_IN, QUIET, imap_select},
	{"EXAMINE", LOGGED_IN, QUIET, imap_examine},
	{"GETACL", LOGGED_IN, 0, imap_getacl},
	{"SETACL", LOGGED_IN, 0, imap_setacl},
	{"DELETEACL", LOGGED_IN, 0, imap_deleteacl},
	{"LISTRIGHTS", LOGGED_IN, 0, imap_listrights},
	{"MYRIGHTS", LOGGED_IN, 0, imap_myrights},
	{"GETMETADATA", LOGGED_IN, 0, imap_getmetadata},
	{"SETMETADATA", LOGGED_IN, 0, imap_setmetadata},
	{"APPEND", LOGGED_IN, 0, imap_append},
	{"NOTIFY", LOGGED_IN, 0, imap_notify},
	{"IDLE", LOGGED_IN, NO_ARGS | QUIET, imap_idle},
	{"CHECK", IMAP_SELECTED, NO_ARGS, verb_noop},
	{"CLOSE", IMAP_SELECTED, NO_ARGS, imap_close},
	{"UNSELECT", IMAP_SELECTED, NO_ARGS, imap_unselect},
	{"FETCH", IMAP_SELECTED, HAS_UID | KEEPS_NUMBERS, imap_fetch},
	{"SEARCH", IMAP_SELECTED, HAS_UID | KEEPS_NUMBERS, imap_search},
	{"ESEARCH", LOGGED_IN, KEEPS_NUMBERS, imap_esearch},
	{"SORT", IMAP_SELECTED, HAS_UID | KEEPS_NUMBERS, imap_sort},
	{"THREAD", IMAP_SELECTED, HAS_UID | KEEPS_NUMBERS, imap_thread},
	{"CANCELUPDATE", IMAP_SELECTED, 0, imap_cancelupdate},
	{"STORE", IMAP_SELECTED, HAS_UID | KEEPS_NUMBERS, imap_store},
	{"COPY", IMAP_SELECTED, HAS_UID, imap_copy},
	{"MOVE", IMAP_SELECTED, HAS_UID | SAYS_MODSEQ, imap_move,
		MR_RIGHT_TRASH | MR_RIGHT_EXPUNGE},
	{"REPLACE", IMAP_SELECTED, HAS_UID | SAYS_MODSEQ, imap_replace,
		MR_RIGHT_TRASH | MR_RIGHT_EXPUNGE},
	{"EXPUNGE", IMAP_SELECTED, NO_ARGS | SAYS_MODSEQ, imap_expunge,
		MR_RIGHT_EXPUNGE},
	{"EXPUNGE", IMAP_SELECTED, HAS_UID | NEEDS_UID | SAYS_MODSEQ,
		imap_expunge, MR_RIGHT_EXPUNGE},
};

/* -------------------------------------------------------------- answers */

const char imap_uid_required[] = "Messages are named by UIDs only";

struct imap_answer
imap_bad(struct imap *k, const struct imap_in *in)
{
	(void)k;
	return IMAP_ANSWER(IMAP_BAD, in->wrong == imap_uid_required ?
		"UIDREQUIRED" : NULL, in->wrong ? in->wrong : "Syntax error");
}

struct imap_answer
imap_store_failed(struct imap *k, int code, const struct mr_error *me)
{
	static const struct {
		int code;
		const char *name, *text;
	} known[] = {
		{MR_STORE_MISSING, "NONEXISTENT", "No such mailbox"},
		{MR_STORE_EXISTS, "ALREADYEXISTS", "It exists already"},
		{MR_STORE_INVALID, "CANNOT", "That is not possible"},
		{MR_STORE_OVER_QUOTA, "OVERQUOTA", "No room: over quota"},
		{MR_STORE_BUSY, "INUSE", "Busy, try again"},
		{MR_STORE_FULL, "UNAVAILABLE", "The disk is full"},
		{MR_STORE_RETAINED, "CANNOT", "There are messages that must "
			"be kept here"},
		{IMAP_NO_RIGHT, "NOPERM", "That is not allowed to you"},
	};
	size_t i;

	if (code >= MR_STORE_FULL && code != MR_STORE_RETAINED &&
		code != IMAP_NO_RIGHT)
		log_error("imap.store", LOG_S("session", k->session->id),
			LOG_S("account", k->account), LOG_N("code", code),
			LOG_S("error", me->text));
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].code == code)
			return IMAP_ANSWER(IMAP_NO, known[i].name,
				known[i].text);
	return IMAP_ANSWER(IMAP_NO, "SERVERBUG", "The mail store failed");
}

static void
answer(struct imap *k, struct str tag, struct imap_answer a)
{
	static const char *const names[] = {"OK", "NO", "BAD"};
	struct stream *to = &k->session->stream;

	if (a.status == IMAP_SAID)
		return;
	stream_write_str(to, tag.len ? tag : STR("*"));
	stream_printf(to, " %s %s%s%s%s\r\n", names[a.status],
		a.code ? "[" : "", a.code ? a.code : "", a.code ? "] " : "",
		a.text);
}

/* -------------------------------------------------------------- the turn */

static const struct verb *
find_verb(const struct imap_command *c)
{
	size_t i;

	for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_iis(c->verb, verbs[i].name) && (c->uid ?
			verbs[i].flags & HAS_UID :
			!(verbs[i].flags & NEEDS_UID)))
			return &verbs[i];
	return NULL;
}

/* What stands against running the verb now, or NULL. */
static const char *
check_verb(const struct imap *k, const struct verb *v,
	const struct imap_command *c)
{
	if (!v)
		return "Command is not known";
	if (!(v->states & k->state))
		return k->state == IMAP_FRESH ? "Log in first" :
			v->states == IMAP_SELECTED ?
			"Select a mailbox first" : "You are logged in already";
	if (v->flags & NO_ARGS && c->in.rest.len)
		return "No arguments are allowed";
	/* RFC 9586 3.2: what has a UID form takes, or answers in, numbers. */
	if (k->enabled & IMAP_UIDONLY && v->flags & HAS_UID && !c->uid)
		return imap_uid_required;
	return NULL;
}

bool
imap_tell_changes(struct imap *k, bool may_expunge, bool with_uid)
{
	struct mr_error me = {{0}};
	int code;

	if (k->state != IMAP_SELECTED)
		return true;
	imap_admin_look(k, k->box->id, k->box->special);
	code = imap_box_sync(k, may_expunge, with_uid, &me);
	if (code == MR_STORE_MISSING) {
		stream_puts(&k->session->stream, "* BYE The selected mailbox "
			"was deleted, have to disconnect\r\n");
		k->state = IMAP_OUT;
		return false;
	}
	if (code != MR_STORE_OK)
		imap_store_failed(k, code, &me);
	return true;
}

/* In another's mailbox, rights may have changed since the last command. */
static bool
check_rights(struct imap *k, const struct verb *v, struct imap_answer *no)
{
	if (!imap_place_refresh(k)) {
		stream_puts(&k->session->stream, IMAP_BYE_RIGHTS);
		k->state = IMAP_OUT;
	}
	*no = imap_store_failed(k, IMAP_NO_RIGHT, NULL);
	return k->state != IMAP_OUT &&
		(!k->box || !(v->needs & ~k->box->rights));
}

/* A response code about the state that the client knows, or NULL. */
static const char *
modseq_code(struct imap *k, const struct verb *v)
{
	const struct imap_box *b = k->box;
	uint64_t modseq = b->modseq;

	/* MODSEQs were told beyond removals that have to wait: who hangs up
	 * now must not come back as if it knew of these. */
	if (v->flags & KEEPS_NUMBERS && k->enabled & IMAP_QRESYNC &&
		b->vanished_modseq < modseq)
		modseq = b->vanished_modseq;
	else if (!(v->flags & SAYS_MODSEQ && k->enabled & IMAP_CONDSTORE))
		return NULL;
	return arena_printf(&k->session->command, "HIGHESTMODSEQ %" PRIu64,
		modseq);
}

static struct imap_answer
run(struct imap *k, struct imap_command *c)
{
	const struct verb *v = find_verb(c);
	const char *against = check_verb(k, v, c);
	struct imap_answer a;

	if (against)
		return IMAP_ANSWER(IMAP_BAD, against == imap_uid_required ?
			"UIDREQUIRED" : NULL, against);
	if (!check_rights(k, v, &a))
		return a;
	a = v->run(k, &c->in, c->uid);
	if (!(v->flags & QUIET))
		imap_tell_changes(k, c->uid || !(v->flags & KEEPS_NUMBERS),
			c->uid);
	if (k->state == IMAP_SELECTED && a.status == IMAP_OK && !a.code)
		a.code = modseq_code(k, v);
	return a;
}

static struct imap_answer
read_and_run(struct imap *k, struct imap_command *c)
{
	struct session *s = k->session;
	struct imap_answer a;

	switch (imap_read(&s->stream, &s->command, c)) {
	case IMAP_GOT_COMMAND:
	case IMAP_GOT_LITERAL:
		imap_progress_begin(k, c->tag);
		a = run(k, c);
		imap_pass_over(&s->stream, &s->command, c);
		return a;
	case IMAP_GOT_BAD:
		return imap_bad(k, &c->in);
	case IMAP_GOT_LONG:
		return IMAP_ANSWER(IMAP_BAD, "TOOBIG", "Command is too long");
	default:
		k->state = IMAP_OUT;
		return IMAP_ANSWER(IMAP_SAID, NULL, "");
	}
}

static void
count_error(struct imap *k, const struct imap_answer *a)
{
	if (a->status != IMAP_BAD || k->state == IMAP_OUT ||
		++k->errors < k->house->limits->errors)
		return;
	log_info("imap.limit", LOG_S("session", k->session->id),
		LOG_N("errors", k->errors));
	stream_puts(&k->session->stream, "* BYE Too many errors\r\n");
	k->state = IMAP_OUT;
}

static enum session_next
turn(struct session *s)
{
	struct imap *k = imap_of(s);
	struct imap_command c;
	struct imap_answer a = read_and_run(k, &c);

	answer(k, c.tag, a);
	count_error(k, &a);
	if (k->state == IMAP_OUT)
		return SESSION_END;
	if (k->idle_tag)
		return SESSION_IDLE;
	if (k->notify)
		return imap_notify_park(k);
	if (!k->delay)
		return SESSION_MORE;
	k->delay = false;
	return session_pause(s, k->house->limits->auth_delay);
}

static void
bye(struct session *s, bool drain)
{
	stream_puts(&s->stream, drain ?
		"* BYE Server is going down, try again later\r\n" :
		"* BYE Idle for too long\r\n");
}

static enum session_next
wake(struct session *s, unsigned why)
{
	struct imap *k = imap_of(s);
	enum session_next next;

	if (k->idle_tag) {
		next = imap_idle_wake(k, why);
		return next == SESSION_MORE && k->notify ?
			imap_notify_park(k) : next;
	}
	if (!k->notify)
		return SESSION_MORE;
	if (stream_pending(&s->stream, true) || why & PARK_WHY_INPUT)
		return turn(s);
	if (why & PARK_WHY_TIMER) {
		bye(s, false);
		return SESSION_END;
	}
	return imap_notify_tell(k) ? SESSION_IDLE : SESSION_END;
}

/* ------------------------------------------------------------------ life */

void
imap_deselect(struct imap *k)
{
	imap_box_free(k->box);
	k->box = NULL;
	if (k->state == IMAP_SELECTED)
		k->state = IMAP_IN;
}

static enum session_next
open_imap(struct session *s)
{
	struct imap *k = arena_alloc(&s->arena, sizeof *k);

	s->state = k;
	/* A stranger may not stay as long as a user who reads. */
	s->idle_limit = s->house->limits->idle_timeout;
	k->session = s;
	k->house = s->house;
	k->state = IMAP_FRESH;
	k->account = "";
	stream_printf(&s->stream, "* OK [%s] %s ready\r\n",
		imap_capabilities(k), k->house->hostname);
	return SESSION_MORE;
}

static void
close_imap(struct session *s)
{
	struct imap *k = imap_of(s);

	imap_idle_end(k);
	imap_notify_end(k);
	imap_deselect(k);
}

const struct protocol imap_protocol = {
	.name = "imap",
	.open = open_imap,
	.turn = turn,
	.wake = wake,
	.bye = bye,
	.close = close_imap,
};
