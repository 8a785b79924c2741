/*
 * imap_place.c - the one way from a client's mailbox name to a mailbox.
 *
 * A name under IMAP_OTHERS is never one of the account's own, whether there
 * is such a mailbox or not. What an account has no right to look up is
 * MISSING, as if it were not there (RFC 4314 section 6).
 */
#include "serve/imap_place.h"

#include "serve/imap.h"
#include "serve/imap_admin.h"

#define LEVELS_MOST 16
#define NAME_MOST 255		/* bytes of a name that is made here */
#define CHANGES (MR_RIGHT_SEEN | MR_RIGHT_WRITE | MR_RIGHT_TRASH)

bool
imap_has_acl(const struct imap *k)
{
	const struct mr_store *op = k->house->store.op;

	return MR_HAS(op, acl_shared) && op->acl_list && op->acl_set &&
		op->acl_rights && op->acl_shared;
}

bool
imap_place_is_own(const struct imap *k, const struct imap_place *p)
{
	return str_is(str_from(p->account), k->account);
}

const char *
imap_place_shown(struct imap *k, const char *owner, const char *name)
{
	return arena_printf(&k->session->command, IMAP_OTHERS "/%s/%s", owner,
		name);
}

/* "Other Users/owner@domain/name"; INBOX is that of its owner in any case. */
static int
split_other(struct imap *k, struct str rest, struct imap_place *out)
{
	struct arena *a = &k->session->command;
	struct str owner;
	char *account, *name;
	size_t i;

	str_cut(&rest, '/');
	owner = str_cut(&rest, '/');
	if (!owner.len || !rest.len)
		return MR_STORE_INVALID;
	account = arena_cstr(a, owner);
	for (i = 0; i < owner.len; i++)
		account[i] = to_lower(account[i]);
	out->account = account;
	name = arena_cstr(a, rest);
	if (str_istarts(rest, "INBOX") && (rest.len == 5 ||
		rest.at[5] == '/'))
		memcpy(name, "INBOX", 5);
	out->name = name;
	out->shown = imap_place_shown(k, account, out->name);
	return MR_STORE_OK;
}

static bool
is_other(const char *name)
{
	struct str s = str_from(name);

	return str_is(str_cut(&s, '/'), IMAP_OTHERS);
}

int
imap_place_name(struct imap *k, struct str name, struct imap_place *out)
{
	const char *text = imap_name_in(k, name);

	*out = (struct imap_place){.shown = text, .account = k->account,
		.name = text};
	if (!text)
		return MR_STORE_INVALID;
	if (imap_has_acl(k) && is_other(text))
		return split_other(k, str_from(text), out);
	return MR_STORE_OK;
}

/* ---------------------------------------------------------------- rights */

/* What this account may do in out->m. */
static int
read_rights(struct imap *k, struct imap_place *out, struct mr_error *me)
{
	const struct store *s = &k->house->store;

	out->rights = MR_RIGHTS_ALL;
	if (imap_place_is_own(k, out) && imap_admin_owns(k, out->m.special))
		out->rights &= ~(uint32_t)MR_RIGHT_INSERT;
	return imap_place_is_own(k, out) ? MR_STORE_OK : s->op->acl_rights(
		s->self, out->m.id, k->account, &out->rights, me);
}

/* Having another right is enough to know that there is something. */
static int
check_rights(const struct imap_place *p, uint32_t needs)
{
	if ((p->rights & needs) == needs)
		return MR_STORE_OK;
	return p->rights & MR_RIGHT_LOOKUP ? IMAP_NO_RIGHT : MR_STORE_MISSING;
}

static int
look_up(struct imap *k, struct imap_place *p, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	int code = s->op->mailbox_find(s->self, p->account, p->name, &p->m,
		me);

	return code == MR_STORE_OK ? read_rights(k, p, me) : code;
}

/* It shows what the queue is like now. */
static int
look_at_queue(struct imap *k, struct imap_place *p, struct mr_error *me)
{
	const struct store *s = &k->house->store;

	imap_admin_look(k, p->m.id, p->m.special);
	return s->op->mailbox_get(s->self, p->m.id, &p->m, me);
}

int
imap_place_find(struct imap *k, struct str name, uint32_t needs,
	struct imap_place *out, struct mr_error *me)
{
	int code = imap_place_name(k, name, out);

	if (code != MR_STORE_OK)
		return MR_STORE_MISSING;
	code = look_up(k, out, me);
	if (code == MR_STORE_OK && needs & MR_RIGHT_READ &&
		imap_place_is_own(k, out) && out->m.special >= MR_SPECIAL_HELD)
		code = look_at_queue(k, out, me);
	return code == MR_STORE_OK ? check_rights(out, needs) : code;
}

bool
imap_place_refresh(struct imap *k)
{
	const struct store *s = &k->house->store;
	struct imap_box *b = k->box;
	struct mr_error me = {{0}};

	if (!b || !b->owner)
		return true;
	return s->op->acl_rights(s->self, b->id, k->account, &b->rights,
		&me) == MR_STORE_OK && b->rights & MR_RIGHT_READ;
}

/* ------------------------------------------------------------- new names */

static bool
is_new_name(const char *name)
{
	size_t i, levels = 1;

	for (i = 0; name[i]; i++) {
		if (name[i] == '%' || name[i] == '*')
			return false;
		levels += name[i] == '/';
	}
	return i <= NAME_MOST && levels <= LEVELS_MOST;
}

/* The nearest mailbox above it that there is must let us; without one only
 * the owner may. */
static int
check_above(struct imap *k, const struct imap_place *p, struct mr_error *me)
{
	struct imap_place above = *p;
	struct str name = str_from(p->name);
	int code = MR_STORE_MISSING;

	while (code == MR_STORE_MISSING && str_has_byte(name, '/')) {
		name = str_sub(name, 0, str_rfind(name, '/'));
		above.name = arena_cstr(&k->session->command, name);
		code = look_up(k, &above, me);
	}
	if (code == MR_STORE_MISSING)
		return IMAP_NO_RIGHT;
	return code == MR_STORE_OK ? check_rights(&above, MR_RIGHT_CREATE) :
		code;
}

int
imap_place_new(struct imap *k, struct str name, struct imap_place *out,
	struct mr_error *me)
{
	int code;

	/* One slash at the end says that others are to come below it (RFC
	 * 9051 6.3.4). */
	if (str_ends(name, "/"))
		name.len--;
	code = imap_place_name(k, name, out);
	if (code != MR_STORE_OK || !is_new_name(out->name))
		return MR_STORE_INVALID;
	out->rights = MR_RIGHTS_ALL;
	if (imap_place_is_own(k, out))
		return MR_STORE_OK;
	code = check_above(k, out, me);
	return code == MR_STORE_MISSING ? IMAP_NO_RIGHT : code;
}

/* ----------------------------------------------------------------- flags */

bool
imap_place_limit(uint32_t rights, uint32_t *flags, const char **keywords)
{
	bool had = *flags || **keywords;
	uint32_t may = 0;

	if ((rights & CHANGES) == CHANGES)
		return true;
	if (rights & MR_RIGHT_SEEN)
		may |= MR_FLAG_SEEN;
	if (rights & MR_RIGHT_TRASH)
		may |= MR_FLAG_DELETED;
	if (rights & MR_RIGHT_WRITE)
		may |= ~(MR_FLAG_SEEN | MR_FLAG_DELETED);
	else
		*keywords = "";
	*flags &= may;
	return !had || *flags || **keywords;
}
