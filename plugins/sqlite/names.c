/*
 * names.c - accounts and mailboxes by name, what a name may be, and making
 * mailboxes.
 *
 * Part of other changes: the functions here run on the writing thread inside
 * one, or on a reader's snapshot.
 */
#include "sq.h"

#include <string.h>
#include <strings.h>

int
sq_account_id(struct sq_db *db, const char *account, int64_t *id,
	struct mr_error *err)
{
	int code = sq_number(db, err, id,
		"SELECT id FROM account WHERE name = ?", "s", account);

	return code == MR_STORE_MISSING ?
		sq_fail(err, code, "there is no account %s", account) : code;
}

static const char *
canonical(const char *name)
{
	return strcasecmp(name, "INBOX") ? name : "INBOX";
}

int
sq_mailbox_id(struct sq_db *db, int64_t account, const char *name,
	int64_t *id, struct mr_error *err)
{
	int code = sq_number(db, err, id, "SELECT id FROM mailbox"
		" WHERE account = ? AND name = ?", "is", account,
		canonical(name));

	return code == MR_STORE_MISSING ?
		sq_fail(err, code, "there is no mailbox %s", name) : code;
}

int
sq_mailbox_check(struct sq_db *db, int64_t mailbox, struct mr_error *err)
{
	int64_t n;
	int code = sq_number(db, err, &n, "SELECT 1 FROM mailbox WHERE id = ?",
		"i", mailbox);

	return code == MR_STORE_MISSING ?
		sq_fail(err, code, "there is no such mailbox") : code;
}

/* Length of one UTF-8 character (RFC 3629), 0 for what is none. */
static size_t
utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 :
		s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0, i;

	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool
sq_is_text(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	for (; *s; s += n) {
		n = utf8_length(s);
		if (!n || *s < ' ' || *s == 127)
			return false;
	}
	return true;
}

bool
sq_lower(struct mr_str in, char out[SQ_ADDRESS_MOST + 1])
{
	size_t i;

	if (!in.len || in.len > SQ_ADDRESS_MOST)
		return false;
	for (i = 0; i < in.len; i++)
		out[i] = in.at[i] >= 'A' && in.at[i] <= 'Z' ?
			(char)(in.at[i] + 32) : in.at[i];
	out[i] = '\0';
	return strlen(out) == in.len && sq_is_text(out);
}

int
sq_check_name(const char *name, struct mr_error *err)
{
	size_t len = strlen(name);

	if (!len || len > SQ_NAME_MOST)
		return sq_fail(err, MR_STORE_INVALID,
			"a mailbox name has 1 to %d bytes", SQ_NAME_MOST);
	if (name[0] == '/' || name[len - 1] == '/' || strstr(name, "//"))
		return sq_fail(err, MR_STORE_INVALID,
			"a level of the mailbox name is empty");
	if (!sq_is_text(name))
		return sq_fail(err, MR_STORE_INVALID, "a mailbox name is UTF-8 "
			"without control characters");
	return MR_STORE_OK;
}

/* Grows from one mailbox to the next, and follows the clock: a name that is
 * made again never meets an old UIDVALIDITY. */
static int
next_uidvalidity(struct sq_tx *tx, int64_t *out, struct mr_error *err)
{
	int64_t last = 0, now = tx->now_ms / 1000;
	int code = sq_number(tx->db, err, &last,
		"SELECT coalesce(max(value), 0) FROM counter"
		" WHERE name = 'uidvalidity'", "");

	if (code != MR_STORE_OK)
		return code;
	*out = now > last ? now : last + 1;
	return sq_run(tx->db, err, "INSERT INTO counter VALUES"
		" ('uidvalidity', ?) ON CONFLICT (name) DO UPDATE"
		" SET value = excluded.value", "i", *out);
}

/* Who may do what in the parent may do it here (RFC 4314 section 3). */
static int
take_rights(struct sq_tx *tx, int64_t account, const char *name, int64_t id,
	struct mr_error *err)
{
	const char *slash = strrchr(name, '/');
	char parent[SQ_NAME_MOST + 1];

	if (!slash)
		return MR_STORE_OK;
	snprintf(parent, sizeof parent, "%.*s", (int)(slash - name), name);
	return sq_run(tx->db, err, "INSERT INTO acl (mailbox, identifier,"
		" rights) SELECT ?1, a.identifier, a.rights FROM acl a"
		" JOIN mailbox m ON m.id = a.mailbox WHERE m.account = ?2"
		" AND m.name = ?3", "iis", id, account, parent);
}

static int
make_one(struct sq_tx *tx, int64_t account, const char *name,
	uint32_t special, int64_t *id, struct mr_error *err)
{
	int64_t validity;
	int code = next_uidvalidity(tx, &validity, err);

	if (code != MR_STORE_OK)
		return code;
	code = sq_number(tx->db, err, id, "INSERT INTO mailbox"
		" (account, name, special, uidvalidity) VALUES (?, ?, ?, ?)"
		" RETURNING id", "isii", account, name, (int64_t)special,
		validity);
	sq_changed(tx, MR_CHANGE_ACCOUNT, account, 0);
	return code == MR_STORE_OK ? take_rights(tx, account, name, *id, err) :
		code;
}

int
sq_mailbox_make(struct sq_tx *tx, int64_t account, const char *name,
	uint32_t special, int64_t *id, struct mr_error *err)
{
	char part[SQ_NAME_MOST + 1];
	const char *at;
	int code;

	name = canonical(name);
	code = sq_check_name(name, err);
	if (code != MR_STORE_OK)
		return code;
	if (sq_mailbox_id(tx->db, account, name, id, NULL) == MR_STORE_OK)
		return sq_fail(err, MR_STORE_EXISTS, "there is a mailbox %s "
			"already", name);
	for (at = strchr(name, '/'); at; at = strchr(at + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(at - name), name);
		if (sq_mailbox_id(tx->db, account, part, id, NULL) ==
			MR_STORE_OK)
			continue;
		code = make_one(tx, account, canonical(part), 0, id, err);
		if (code != MR_STORE_OK)
			return code;
	}
	return make_one(tx, account, name, special, id, err);
}
