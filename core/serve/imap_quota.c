/*
 * imap_quota.c - GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208).
 *
 * An account has one root for all its mailboxes: "", or its name to those it
 * shares them with. The resources are STORAGE, in units of 1024 octets (section
 * 5.1), and MESSAGE (section 5.2); one without a limit is not told. Limits are
 * the administrator's to set.
 */
#include <inttypes.h>

#include "mail/mime.h"
#include "serve/imap.h"
#include "serve/imap_place.h"

#define UNIT 1024

bool
imap_has_quota(const struct imap *k)
{
	const struct mr_store *op = k->house->store.op;

	return MR_HAS(op, quota_get) && op->quota_get;
}

/* What is used counts as a whole unit once it is begun. */
uint64_t
imap_quota_units(uint64_t bytes)
{
	return bytes / UNIT + (bytes % UNIT != 0);
}

static struct imap_answer
tell_quota(struct imap *k, const char *account, const char *root)
{
	const struct store *s = &k->house->store;
	struct stream *to = &k->session->stream;
	struct mr_quota q = {.size = sizeof q};
	struct mr_error me = {{0}};
	struct buf b;
	int code;

	if (!imap_has_quota(k))
		return IMAP_ANSWER(IMAP_NO, "CANNOT", "No quotas are kept here");
	code = s->op->quota_get(s->self, account, &q, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* QUOTA ");
	mime_imap_string(&b, str_from(root));
	buf_adds(&b, " (");
	stream_write_str(to, buf_str(&b));
	buf_free(&b);
	if (q.byte_limit)
		stream_printf(to, "STORAGE %" PRIu64 " %" PRIu64,
			imap_quota_units(q.bytes), q.byte_limit / UNIT);
	if (q.message_limit)
		stream_printf(to, "%sMESSAGE %" PRIu64 " %" PRIu64,
			q.byte_limit ? " " : "", q.messages, q.message_limit);
	stream_puts(to, ")\r\n");
	return IMAP_ANSWER(IMAP_OK, NULL, "Done");
}

struct imap_answer
imap_getquota(struct imap *k, struct imap_in *in, bool uid)
{
	struct str root;

	(void)uid;
	if (!imap_astring(in, &root) || !imap_end(in))
		return imap_bad(k, in);
	if (root.len)
		return IMAP_ANSWER(IMAP_NO, "NONEXISTENT",
			"The only quota root is \"\"");
	return tell_quota(k, k->account, "");
}

/* One's own mailbox need not be there (section 4.1.2); in another's one has to
 * be let in to be told how much room there is. */
static int
find_place(struct imap *k, struct str word, struct imap_place *p,
	struct mr_error *me)
{
	int code = imap_place_name(k, word, p);

	if (code != MR_STORE_OK)
		return MR_STORE_MISSING;
	return imap_place_is_own(k, p) ? MR_STORE_OK :
		imap_place_find(k, word, MR_RIGHT_INSERT, p, me);
}

struct imap_answer
imap_getquotaroot(struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_error me = {{0}};
	struct imap_place p;
	const char *root;
	struct str word;
	struct buf b;
	int code;

	(void)uid;
	if (!imap_astring(in, &word) || !imap_end(in))
		return imap_bad(k, in);
	code = find_place(k, word, &p, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	root = imap_place_is_own(k, &p) ? "" : p.account;
	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* QUOTAROOT ");
	imap_name_out(k, &b, p.shown);
	buf_addc(&b, ' ');
	mime_imap_string(&b, str_from(root));
	buf_adds(&b, "\r\n");
	stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
	return tell_quota(k, p.account, root);
}

struct imap_answer
imap_setquota(struct imap *k, struct imap_in *in, bool uid)
{
	struct str root, *limit;
	size_t n;

	(void)uid;
	if (!imap_astring(in, &root) || !imap_blank(in) ||
		!imap_words(in, false, &limit, &n) || !imap_end(in))
		return imap_bad(k, in);
	return IMAP_ANSWER(IMAP_NO, "NOPERM",
		"Limits are set by the administrator");
}
