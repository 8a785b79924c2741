/*
 * imap_mailbox.c - STATUS, CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE
 * (RFC 9051 section 6.3).
 */
#include <inttypes.h>

#include "serve/imap.h"
#include "serve/imap_object.h"
#include "serve/row_cache.h"

#define LEVELS_MOST 16
#define NAME_MOST 255		/* bytes of a name that is made here */
#include "serve/imap_place.h"

/* --------------------------------------------------------------- STATUS */

enum status_item {
	STATUS_MESSAGES = 1, STATUS_RECENT = 2, STATUS_UIDNEXT = 4,
	STATUS_UIDVALIDITY = 8, STATUS_UNSEEN = 16, STATUS_DELETED = 32,
	STATUS_SIZE = 64, STATUS_HIGHESTMODSEQ = 128, STATUS_APPENDLIMIT = 256,
	STATUS_MAILBOXID = 512, STATUS_DELETED_STORAGE = 1024,
};

static const struct {
	const char *name;
	unsigned bit;
} status_items[] = {
	{"MESSAGES", STATUS_MESSAGES}, {"RECENT", STATUS_RECENT},
	{"UIDNEXT", STATUS_UIDNEXT}, {"UIDVALIDITY", STATUS_UIDVALIDITY},
	{"UNSEEN", STATUS_UNSEEN}, {"DELETED", STATUS_DELETED},
	{"SIZE", STATUS_SIZE}, {"HIGHESTMODSEQ", STATUS_HIGHESTMODSEQ},
	{"APPENDLIMIT", STATUS_APPENDLIMIT},
	{"MAILBOXID", STATUS_MAILBOXID},
	{"DELETED-STORAGE", STATUS_DELETED_STORAGE},
};

static unsigned
find_status(struct str word)
{
	size_t i;

	for (i = 0; i < sizeof status_items / sizeof *status_items; i++)
		if (str_iis(word, status_items[i].name))
			return status_items[i].bit;
	return 0;
}

bool
imap_status_items(struct imap_in *in, unsigned *items)
{
	struct str *word;
	size_t n, i;

	*items = 0;
	if (!imap_words(in, false, &word, &n))
		return false;
	for (i = 0; i < n; i++) {
		*items |= find_status(word[i]);
		if (!find_status(word[i]))
			in->wrong = "A status item is not known";
	}
	if (!n)
		in->wrong = "A status item is missing";
	return !in->wrong;
}

static int
count_row(void *arg, const struct mr_row *row)
{
	(void)row;
	++*(uint64_t *)arg;
	return 0;
}

static int
count_deleted(void *arg, const struct mr_row *row)
{
	*(uint64_t *)arg += row->flags & MR_FLAG_DELETED ? 1 : 0;
	return 0;
}

static int
add_deleted(void *arg, const struct mr_row *row)
{
	*(uint64_t *)arg += row->flags & MR_FLAG_DELETED ? row->length : 0;
	return 0;
}

/* What EXPUNGE would give back, in the units of RFC 9208 section 5.1. */
static int
count_storage(struct imap *k, const struct mr_mailbox *m, uint64_t *out,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	uint64_t bytes = 0;
	int code = s->op->scan(s->self, m->id, NULL, 0, 0, MR_ROW_MESSAGE,
		add_deleted, &bytes, me);

	*out = imap_quota_units(bytes);
	return code;
}

/* What the store does not count by itself. */
static int
count_rows(struct imap *k, const struct mr_mailbox *m, unsigned item,
	uint64_t *out, struct mr_error *me)
{
	const struct house *h = k->house;
	bool recent = item == STATUS_RECENT;
	struct mr_range from = {recent ? m->recent_uid : 1, UINT32_MAX};
	struct row_query q = {.mailbox = m->id, .range = &from, .n = 1,
		.each = recent ? count_row : count_deleted, .arg = out};

	*out = 0;
	if (recent && m->recent_uid >= m->uidnext)
		return MR_STORE_OK;
	return row_cache_scan(h->rows, &h->store, &q, me);
}

static int
status_value(struct imap *k, const struct mr_mailbox *m, unsigned item,
	uint64_t *out, struct mr_error *me)
{
	switch (item) {
	case STATUS_MESSAGES:
		*out = m->messages;
		break;
	case STATUS_UIDNEXT:
		*out = m->uidnext;
		break;
	case STATUS_UIDVALIDITY:
		*out = m->uidvalidity;
		break;
	case STATUS_UNSEEN:
		*out = m->unseen;
		break;
	case STATUS_SIZE:
		*out = m->bytes;
		break;
	case STATUS_HIGHESTMODSEQ:
		k->enabled |= IMAP_CONDSTORE;	/* RFC 7162 3.1 */
		*out = m->modseq;
		break;
	case STATUS_APPENDLIMIT:
		*out = (uint64_t)k->house->limits->message_size;
		break;
	case STATUS_DELETED_STORAGE:
		return count_storage(k, m, out, me);
	default:
		return count_rows(k, m, item, out, me);
	}
	return MR_STORE_OK;
}

const char *
imap_mailbox_object(struct imap *k, int64_t id)
{
	const char *text;
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	imap_object_out(&b, IMAP_OBJECT_MAILBOX, (uint64_t)id);
	text = arena_cstr(&k->session->command, buf_str(&b));
	buf_free(&b);
	return text;
}

/* " MESSAGES 17" */
static int
add_item(struct imap *k, const struct mr_mailbox *m, size_t i, struct buf *out,
	struct mr_error *me)
{
	uint64_t value = 0;
	int code = MR_STORE_OK;

	buf_addf(out, "%s%s ", out->at[out->len - 1] == '(' ? "" : " ",
		status_items[i].name);
	if (status_items[i].bit == STATUS_MAILBOXID) {
		imap_object_out(out, IMAP_OBJECT_MAILBOX, (uint64_t)m->id);
		return code;
	}
	code = status_value(k, m, status_items[i].bit, &value, me);
	buf_addf(out, "%" PRIu64, value);
	return code;
}

int
imap_status_line(struct imap *k, const struct mr_mailbox *m, const char *name,
	unsigned items, struct mr_error *me)
{
	int code = MR_STORE_OK;
	struct buf b;
	size_t i;

	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* STATUS ");
	imap_name_out(k, &b, name);
	buf_adds(&b, " (");
	for (i = 0; i < sizeof status_items / sizeof *status_items &&
		code == MR_STORE_OK; i++)
		if (items & status_items[i].bit)
			code = add_item(k, m, i, &b, me);
	buf_adds(&b, ")\r\n");
	if (code == MR_STORE_OK)
		stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
	return code;
}

struct imap_answer
imap_status(struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_error me = {{0}};
	struct imap_place p;
	struct str word;
	unsigned items;
	int code;

	(void)uid;
	if (!imap_astring(in, &word) || !imap_blank(in) ||
		!imap_status_items(in, &items) || !imap_end(in))
		return imap_bad(k, in);
	code = imap_place_find(k, word, MR_RIGHT_READ, &p, &me);
	if (code == MR_STORE_OK)
		code = imap_status_line(k, &p.m, p.shown, items, &me);
	return code == MR_STORE_OK ? IMAP_ANSWER(IMAP_OK, NULL, "Done") :
		imap_store_failed(k, code, &me);
}

/* -------------------------------------------------------------- changing */

static struct imap_answer
outcome(struct imap *k, int code, const struct mr_error *me)
{
	return code == MR_STORE_OK ? IMAP_ANSWER(IMAP_OK, NULL, "Done") :
		imap_store_failed(k, code, me);
}

/* "(USE (\Drafts))", RFC 6154 section 3. false with in->wrong for bad
 * syntax; *special UINT32_MAX for a use that we have not. */
static bool
take_use(struct imap_in *in, uint32_t *special)
{
	struct str word, *use;
	size_t n;

	*special = MR_SPECIAL_NONE;
	if (!in->rest.len)
		return true;
	if (!imap_blank(in) || !imap_char(in, '(') || !imap_atom(in, &word) ||
		!imap_blank(in) || !imap_words(in, false, &use, &n) ||
		!imap_char(in, ')') || !imap_end(in))
		return false;
	if (!str_iis(word, "USE")) {
		in->wrong = "That parameter is not known";
		return false;
	}
	if (n)
		*special = n == 1 ? imap_special_find(use[0]) : UINT32_MAX;
	return true;
}

/* The id is said at once (RFC 8474 4.1). */
static struct imap_answer
created(struct imap *k, const struct imap_place *p)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct mr_mailbox m;
	int code = s->op->mailbox_find(s->self, p->account, p->name, &m, &me);

	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	return IMAP_ANSWER(IMAP_OK, arena_printf(&k->session->command,
		"MAILBOXID %s", imap_mailbox_object(k, m.id)), "Done");
}

struct imap_answer
imap_create(struct imap *k, struct imap_in *in, bool uid)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_place p;
	struct str word;
	uint32_t special;
	int code;

	(void)uid;
	if (!imap_astring(in, &word) || !take_use(in, &special))
		return imap_bad(k, in);
	if (special == UINT32_MAX)
		return IMAP_ANSWER(IMAP_NO, "USEATTR",
			"No mailbox can have that use");
	code = imap_place_new(k, word, &p, &me);
	/* What others' mailboxes are for is not for us to say. */
	if (code == MR_STORE_OK && special && !imap_place_is_own(k, &p))
		code = IMAP_NO_RIGHT;
	if (code == MR_STORE_OK)
		code = s->op->mailbox_create(s->self, p.account, p.name,
			special, &me);
	if (code != MR_STORE_OK)
		return outcome(k, code, &me);
	if (k->enabled & IMAP_REV2 && !str_is(word, p.shown))
		imap_list_line(k, p.shown, word);	/* RFC 9051 6.3.4 */
	return created(k, &p);
}

struct imap_answer
imap_delete(struct imap *k, struct imap_in *in, bool uid)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_place p;
	struct str word;
	int code;

	(void)uid;
	if (!imap_astring(in, &word) || !imap_end(in))
		return imap_bad(k, in);
	code = imap_place_find(k, word, MR_RIGHT_DELETE, &p, &me);
	if (code == MR_STORE_OK)
		code = s->op->mailbox_delete(s->self, p.account, p.name, &me);
	if (code == MR_STORE_OK && k->box && k->box->id == p.m.id) {
		stream_puts(&k->session->stream,
			"* OK [CLOSED] The mailbox was selected\r\n");
		imap_deselect(k);
	}
	if (code == MR_STORE_INVALID && !str_is(str_from(p.name), "INBOX"))
		return IMAP_ANSWER(IMAP_NO, "HASCHILDREN",
			"There are mailboxes below it");
	return outcome(k, code, &me);
}

struct imap_answer
imap_rename(struct imap *k, struct imap_in *in, bool uid)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_place from, to;
	struct str one, two;
	int code;

	(void)uid;
	if (!imap_astring(in, &one) || !imap_blank(in) ||
		!imap_astring(in, &two) || !imap_end(in))
		return imap_bad(k, in);
	code = imap_place_find(k, one, MR_RIGHT_DELETE, &from, &me);
	if (code == MR_STORE_OK)
		code = imap_place_new(k, two, &to, &me);
	/* A mailbox does not change its owner. */
	if (code == MR_STORE_OK && !str_is(str_from(from.account), to.account))
		code = MR_STORE_INVALID;
	if (code == MR_STORE_OK)
		code = s->op->mailbox_rename(s->self, from.account, from.name,
			to.name, &me);
	if (code == MR_STORE_OK && k->enabled & IMAP_REV2)
		imap_list_line(k, to.shown, str_from(from.shown));
	return outcome(k, code, &me);
}

static struct imap_answer
subscribe(struct imap *k, struct imap_in *in, bool on)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_place p;
	struct str word;
	int code;

	if (!imap_astring(in, &word) || !imap_end(in))
		return imap_bad(k, in);
	code = imap_place_name(k, word, &p);
	/* The account's own names need not be there. */
	if (code == MR_STORE_OK && on && !imap_place_is_own(k, &p))
		code = imap_place_find(k, word, MR_RIGHT_LOOKUP, &p, &me);
	if (code == MR_STORE_OK)
		code = s->op->subscribe(s->self, k->account, p.shown, on, &me);
	return outcome(k, code, &me);
}

struct imap_answer
imap_subscribe(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	return subscribe(k, in, true);
}

struct imap_answer
imap_unsubscribe(struct imap *k, struct imap_in *in, bool uid)
{
	(void)uid;
	return subscribe(k, in, false);
}
