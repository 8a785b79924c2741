/*
 * imap_learn.c - which commands say that a message is junk, or is not.
 *
 * A move or copy into \Junk, and one out of it to anywhere but \Trash: who
 * empties Junk does not praise it. $Junk and $NotJunk (RFC 9051 2.3.2), when
 * they are set. The session only leaves a note (learn.h).
 */
#include "serve/imap.h"
#include "serve/learn.h"

/* What a mailbox is for; none also where the store cannot tell. */
static uint32_t
use_of(struct imap *k, int64_t mailbox)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct mr_mailbox m;

	return s->op->mailbox_get(s->self, mailbox, &m, &me) == MR_STORE_OK ?
		m.special : MR_SPECIAL_NONE;
}

void
imap_learn_copied(struct imap *k, int64_t to, const struct mr_range *uids,
	size_t n)
{
	uint32_t from_use, to_use;

	if (!k->house->learn || !n)
		return;
	from_use = use_of(k, k->box->id);
	to_use = use_of(k, to);
	if (to_use == MR_SPECIAL_JUNK && from_use != MR_SPECIAL_JUNK)
		learn_post(k->house->learn, k->account, to, uids, n, true);
	else if (from_use == MR_SPECIAL_JUNK && to_use != MR_SPECIAL_JUNK &&
		to_use != MR_SPECIAL_TRASH)
		learn_post(k->house->learn, k->account, to, uids, n, false);
}

static bool
has_word(const char *words, const char *word)
{
	struct str rest = str_from(words ? words : ""), one;

	while ((one = str_word(&rest)).len)
		if (str_iis(one, word))
			return true;
	return false;
}

/* Both at once say nothing. */
static void
heed_keywords(struct imap *k, int64_t mailbox, const struct mr_range *uids,
	size_t n, const char *keywords)
{
	bool junk = has_word(keywords, "$Junk");

	if (junk != has_word(keywords, "$NotJunk"))
		learn_post(k->house->learn, k->account, mailbox, uids, n,
			junk);
}

void
imap_learn_appended(struct imap *k, int64_t mailbox, uint32_t uid,
	const char *keywords)
{
	struct mr_range one = {uid, uid};

	if (!k->house->learn)
		return;
	if (use_of(k, mailbox) == MR_SPECIAL_JUNK)
		learn_post(k->house->learn, k->account, mailbox, &one, 1,
			true);
	else
		heed_keywords(k, mailbox, &one, 1, keywords);
}

void
imap_learn_marked(struct imap *k, const struct mr_range *uids, size_t n,
	const struct mr_flag_change *c)
{
	if (k->house->learn && c->op != MR_FLAGS_REMOVE)
		heed_keywords(k, k->box->id, uids, n, c->keywords);
}
