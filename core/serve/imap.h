/*
 * imap.h - the state of an IMAP session. Private to imap*.c.
 *
 * A verb is given its arguments as a struct imap_in, answers with untagged
 * lines as it goes, and returns its tagged answer; the loop in imap.c alone
 * writes that. Strings that a client sent are views into the command arena.
 */
#ifndef SERVE_IMAP_H
#define SERVE_IMAP_H

#include <stdbool.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/buf.h"
#include "base/str.h"
#include "serve/imap_box.h"
#include "serve/imap_parse.h"
#include "serve/imap_progress.h"
#include "serve/session.h"
#include "serve/watch.h"

enum imap_state {		/* RFC 9051 section 3; bits, for the verb table */
	IMAP_FRESH = 1,		/* not authenticated */
	IMAP_IN = 2,		/* authenticated */
	IMAP_SELECTED = 4,
	IMAP_OUT = 8,		/* LOGOUT was answered */
};

enum imap_enabled {		/* ENABLE, RFC 5161; bits */
	IMAP_CONDSTORE = 1, IMAP_QRESYNC = 2, IMAP_UTF8 = 4, IMAP_REV2 = 8,
	IMAP_UIDONLY = 16,
};
#define IMAP_UTF8_NAMES (IMAP_UTF8 | IMAP_REV2)	/* not in UTF-7 */

struct imap {
	struct session *session;
	struct house *house;
	enum imap_state state;
	unsigned enabled;
	const char *account;		/* "" until logged in; session arena */
	struct imap_box *box;		/* while SELECTED; malloc'd */
	struct watch_entry watch;	/* of the mailbox, in IDLE or NOTIFY */
	struct imap_notify *notify;	/* malloc'd; NULL: nothing is told */
	char *idle_tag;			/* malloc'd; NULL: not in IDLE */
	struct imap_progress progress;	/* of the command that runs */
	bool delay;			/* answer, then pause (wrong password) */
	unsigned errors, auth_failures;
};

static inline struct imap *
imap_of(struct session *s)
{
	return s->state;
}

/* IMAP4rev2 knows no \Recent (RFC 9051 appendix E). */
static inline bool
imap_shows_recent(const struct imap *k, uint32_t uid)
{
	return uid >= k->box->recent_from && !(k->enabled & IMAP_REV2);
}

/* The command that runs, of which a verb is given the member `in`: for its
 * tag (ESEARCH) and for the literal that waits (APPEND). */
static inline struct imap_command *
imap_command_of(struct imap_in *in)
{
	return (struct imap_command *)((char *)in -
		offsetof(struct imap_command, in));
}

/* The tagged answer of a verb. */
enum imap_status { IMAP_OK, IMAP_NO, IMAP_BAD,
	IMAP_SAID };		/* nothing more to say (IDLE, STARTTLS) */
struct imap_answer {
	enum imap_status status;
	const char *code;	/* "TRYCREATE", without brackets, or NULL */
	const char *text;
};
#define IMAP_ANSWER(status_, code_, text_) \
	((struct imap_answer){(status_), (code_), (text_)})
/* What a failed call of the store is to the client: NO with [NONEXISTENT],
 * [ALREADYEXISTS], [OVERQUOTA], [CANNOT], [NOPERM], [SERVERBUG], [UNAVAILABLE] (RFC
 * 5530); the last two are logged. */
struct imap_answer imap_store_failed(struct imap *k, int code,
	const struct mr_error *me);
/* BAD with what the parser found wrong; with [UIDREQUIRED] if that is
 * imap_uid_required. */
extern const char imap_uid_required[];
struct imap_answer imap_bad(struct imap *k, const struct imap_in *in);
/* imap_box_sync of a session that has a mailbox selected; what fails is
 * logged. false: the mailbox is gone, BYE was said and the state is OUT. */
bool imap_tell_changes(struct imap *k, bool may_expunge, bool with_uid);
/* Leaves the selected mailbox, if there is one: the state is IN. */
void imap_deselect(struct imap *k);

/* Verbs. `uid`: the UID variant. Grouped by file. */
typedef struct imap_answer (*imap_verb)(struct imap *k, struct imap_in *in,
	bool uid);
/* imap_login.c: CAPABILITY ... NAMESPACE; imap_idle.c */
/* "CAPABILITY IMAP4rev1 ..." as it holds now; in the command arena. */
const char *imap_capabilities(struct imap *k);
struct imap_answer imap_capability(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_starttls(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_compress(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_authenticate(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_login(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_unauthenticate(struct imap *k, struct imap_in *in,
	bool);
struct imap_answer imap_enable(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_id(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_namespace(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_idle(struct imap *k, struct imap_in *in, bool);
enum session_next imap_idle_wake(struct imap *k, unsigned why);
void imap_idle_end(struct imap *k);
/* imap_notify.c */
bool imap_has_notify(const struct imap *k);
struct imap_answer imap_notify(struct imap *k, struct imap_in *in, bool);
/* Says what changed anywhere; as imap_tell_changes. */
bool imap_notify_tell(struct imap *k);
/* Behind a command: how to wait. */
enum session_next imap_notify_park(struct imap *k);
void imap_notify_end(struct imap *k);
/* imap_list.c */
struct imap_answer imap_list(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_lsub(struct imap *k, struct imap_in *in, bool);
/* "* LIST () "/" name", with OLDNAME unless `asked` is the same or empty (RFC
 * 9051 6.3.9.7): how a name that the client used is spelt here. */
void imap_list_line(struct imap *k, const char *name, struct str asked);
/* "\Drafts" and so on as enum mr_special; UINT32_MAX: none of ours. */
uint32_t imap_special_find(struct str word);
/* "" for none. */
const char *imap_special_name(uint32_t special);
/* imap_mailbox.c: STATUS ... UNSUBSCRIBE */
/* "(MESSAGES UNSEEN)" as bits, and the answer to them. */
bool imap_status_items(struct imap_in *in, unsigned *items);
int imap_status_line(struct imap *k, const struct mr_mailbox *m,
	const char *name, unsigned items, struct mr_error *me);
/* "(F1f)", RFC 8474; in the command arena. */
const char *imap_mailbox_object(struct imap *k, int64_t id);
struct imap_answer imap_status(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_create(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_delete(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_rename(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_subscribe(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_unsubscribe(struct imap *k, struct imap_in *in, bool);
/* imap_acl.c */
void imap_myrights_line(struct imap *k, const char *shown, uint32_t rights);
struct imap_answer imap_setacl(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_deleteacl(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_getacl(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_listrights(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_myrights(struct imap *k, struct imap_in *in, bool);
/* imap_metadata.c */
struct imap_answer imap_getmetadata(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_setmetadata(struct imap *k, struct imap_in *in, bool);
/* imap_quota.c */
bool imap_has_quota(const struct imap *k);
/* Bytes in the units of the resource STORAGE. */
uint64_t imap_quota_units(uint64_t bytes);
struct imap_answer imap_getquota(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_getquotaroot(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_setquota(struct imap *k, struct imap_in *in, bool);
/* imap_select.c */
struct imap_answer imap_select(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_examine(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_close(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_unselect(struct imap *k, struct imap_in *in, bool);
/* imap_fetch.c, imap_search.c, imap_thread_subject.c, imap_store.c,
 * imap_copy.c, imap_append.c */
struct imap_answer imap_fetch(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_search(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_sort(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_thread(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_store(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_expunge(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_copy(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_move(struct imap *k, struct imap_in *in, bool uid);
struct imap_answer imap_append(struct imap *k, struct imap_in *in, bool);
struct imap_answer imap_replace(struct imap *k, struct imap_in *in, bool uid);
/* The store can take several messages at once. */
bool imap_may_append_many(const struct imap *k);

/* imap_multisearch.c */
struct imap_answer imap_esearch(struct imap *k, struct imap_in *in, bool);
/* imap_context.c */
struct imap_answer imap_cancelupdate(struct imap *k, struct imap_in *in, bool);

/* imap_learn.c: what was done to messages of this mailbox, UIDs of `to` or of
 * the selected one, may be a word on junk. */
void imap_learn_copied(struct imap *k, int64_t to,
	const struct mr_range *uids, size_t n);
void imap_learn_appended(struct imap *k, int64_t mailbox, uint32_t uid,
	const char *keywords);
void imap_learn_marked(struct imap *k, const struct mr_range *uids, size_t n,
	const struct mr_flag_change *c);

/* imap_name.c */
/* A mailbox name as the client sent it (modified UTF-7, or UTF-8 once
 * UTF8=ACCEPT is enabled) as the store's UTF-8, NUL-ended in the command
 * arena; "inbox" becomes INBOX. NULL: not a name. */
const char *imap_name_in(struct imap *k, struct str name);
/* The same for a pattern of LIST, whose case stays. */
const char *imap_pattern_in(struct imap *k, struct str pattern);
/* The other way, as an IMAP astring appended to out. */
void imap_name_out(struct imap *k, struct buf *out, const char *name);
/* RFC 9051 6.3.9: '*' is anything, '%' anything without '/'. INBOX matches
 * in any case. */
bool imap_name_matches(const char *pattern, const char *name);
/* "* 3 FETCH (", or "* 71 UIDFETCH (" where numbers are not used any more
 * (RFC 9586 3.3). */
void imap_fetch_out(const struct imap *k, struct buf *out, uint32_t seq,
	uint32_t uid);
/* "(\Seen \Answered keyword)" for flags and keywords (blank between). */
void imap_flags_out(struct buf *out, uint32_t flags, struct str keywords,
	bool recent);

#endif
