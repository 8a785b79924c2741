/*
 * imap_acl.c - SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314).
 *
 * The owner has all rights and nobody can take them away. The right p is kept
 * and enforced nowhere: what is sent to user+tag@domain comes to INBOX.
 */
#include "serve/imap_acl.h"

#include "base/buf.h"
#include "mail/mime.h"
#include "serve/imap.h"
#include "serve/imap_place.h"

#define IDENTIFIER_MOST 320

/* ---------------------------------------------------------------- rights */

/* In the order in which they are shown. The last two are those of RFC 2086
 * that became several (RFC 4314 section 2.1.1). */
static const struct {
	char letter;
	uint32_t rights;
} letters[] = {
	{'l', MR_RIGHT_LOOKUP}, {'r', MR_RIGHT_READ}, {'s', MR_RIGHT_SEEN},
	{'w', MR_RIGHT_WRITE}, {'i', MR_RIGHT_INSERT}, {'p', MR_RIGHT_POST},
	{'k', MR_RIGHT_CREATE}, {'x', MR_RIGHT_DELETE},
	{'t', MR_RIGHT_TRASH}, {'e', MR_RIGHT_EXPUNGE}, {'a', MR_RIGHT_ADMIN},
	{'c', MR_RIGHT_CREATE},
	{'d', MR_RIGHT_DELETE | MR_RIGHT_TRASH | MR_RIGHT_EXPUNGE},
};
#define N_LETTERS (sizeof letters / sizeof *letters)

const char *
imap_rights_out(uint32_t rights, char out[IMAP_RIGHTS_ROOM])
{
	size_t i, n = 0;

	for (i = 0; i < N_LETTERS; i++)
		if (rights & letters[i].rights)
			out[n++] = letters[i].letter;
	out[n] = '\0';
	return n ? out : "\"\"";
}

bool
imap_rights_in(struct str word, uint32_t *rights)
{
	size_t i, j;

	*rights = 0;
	for (i = 0; i < word.len; i++) {
		for (j = 0; j < N_LETTERS &&
			letters[j].letter != word.at[i]; j++)
			;
		if (j == N_LETTERS)
			return false;
		*rights |= letters[j].rights;
	}
	return true;
}

/* ------------------------------------------------------------- arguments */

/* An account's name or "anyone", perhaps behind "-"; names have no case. */
static bool
take_identifier(struct imap_in *in, const char **out)
{
	struct str word;
	char *name;
	size_t i;

	if (!imap_astring(in, &word))
		return false;
	if (!word.len || word.len > IDENTIFIER_MOST ||
		str_has_byte(word, '\0') || str_is(word, "-")) {
		in->wrong = "That is not an identifier";
		return false;
	}
	name = arena_cstr(in->arena, word);
	for (i = 0; i < word.len; i++)
		name[i] = to_lower(name[i]);
	*out = name;
	return true;
}

/* "+lr", "-w", "lrs", "" */
static bool
take_rights(struct imap_in *in, uint32_t *op, uint32_t *rights)
{
	struct str word;

	if (!imap_astring(in, &word))
		return false;
	*op = MR_FLAGS_SET;
	if (str_starts(word, "+"))
		*op = MR_FLAGS_ADD;
	if (str_starts(word, "-"))
		*op = MR_FLAGS_REMOVE;
	if (*op != MR_FLAGS_SET)
		word = str_sub(word, 1, word.len);
	if (imap_rights_in(word, rights))
		return true;
	in->wrong = "A right is not known";	/* RFC 4314 section 3.1: BAD */
	return false;
}

static struct imap_answer
outcome(struct imap *k, int code, const struct mr_error *me)
{
	return code == MR_STORE_OK ? IMAP_ANSWER(IMAP_OK, NULL, "Done") :
		imap_store_failed(k, code, me);
}

static int
find(struct imap *k, struct str name, uint32_t needs, struct imap_place *p,
	struct mr_error *me)
{
	return imap_has_acl(k) ? imap_place_find(k, name, needs, p, me) :
		MR_STORE_INVALID;
}

/* -------------------------------------------------------------- changing */

struct grant {
	struct str mailbox;
	const char *identifier;
	uint32_t op, rights;
};

static struct imap_answer
change(struct imap *k, const struct grant *g)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_place p;
	int code = find(k, g->mailbox, MR_RIGHT_ADMIN, &p, &me);

	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	if (str_is(str_from(g->identifier), p.account))
		return IMAP_ANSWER(IMAP_NO, "CANNOT",
			"The owner always has all rights");
	code = s->op->acl_set(s->self, p.m.id, g->identifier, g->op,
		g->rights, &me);
	return code == MR_STORE_INVALID ? IMAP_ANSWER(IMAP_NO, "CANNOT",
		"There is no such account") : outcome(k, code, &me);
}

struct imap_answer
imap_setacl(struct imap *k, struct imap_in *in, bool uid)
{
	struct grant g;

	(void)uid;
	if (!imap_astring(in, &g.mailbox) || !imap_blank(in) ||
		!take_identifier(in, &g.identifier) || !imap_blank(in) ||
		!take_rights(in, &g.op, &g.rights) || !imap_end(in))
		return imap_bad(k, in);
	return change(k, &g);
}

struct imap_answer
imap_deleteacl(struct imap *k, struct imap_in *in, bool uid)
{
	struct grant g = {.op = MR_FLAGS_SET};

	(void)uid;
	if (!imap_astring(in, &g.mailbox) || !imap_blank(in) ||
		!take_identifier(in, &g.identifier) || !imap_end(in))
		return imap_bad(k, in);
	return change(k, &g);
}

/* --------------------------------------------------------------- showing */

/* " identifier rights"; a name that is not of ASCII is UTF-8, a literal, as
 * SETACL takes it (RFC 4314 section 8). */
static int
add_row(void *arg, const char *identifier, uint32_t rights)
{
	char room[IMAP_RIGHTS_ROOM];

	buf_addc(arg, ' ');
	mime_imap_string(arg, str_from(identifier));
	buf_addf(arg, " %s", imap_rights_out(rights, room));
	return 0;
}

struct imap_answer
imap_getacl(struct imap *k, struct imap_in *in, bool uid)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {{0}};
	struct imap_place p;
	struct str name;
	struct buf b;
	int code;

	(void)uid;
	if (!imap_astring(in, &name) || !imap_end(in))
		return imap_bad(k, in);
	code = find(k, name, MR_RIGHT_ADMIN, &p, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* ACL ");
	imap_name_out(k, &b, p.shown);
	add_row(&b, p.account, MR_RIGHTS_ALL);
	code = s->op->acl_list(s->self, p.m.id, add_row, &b, &me);
	buf_adds(&b, "\r\n");
	if (code == MR_STORE_OK)
		stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
	return outcome(k, code, &me);
}

/* The rights that an identifier always has, then those that can be given,
 * each by itself but c and d, which stand for others (RFC 4314 3.7). */
struct imap_answer
imap_listrights(struct imap *k, struct imap_in *in, bool uid)
{
	char room[IMAP_RIGHTS_ROOM];
	struct mr_error me = {{0}};
	const char *identifier;
	struct imap_place p;
	struct str name;
	struct buf b;
	int code;

	(void)uid;
	if (!imap_astring(in, &name) || !imap_blank(in) ||
		!take_identifier(in, &identifier) || !imap_end(in))
		return imap_bad(k, in);
	code = find(k, name, MR_RIGHT_ADMIN, &p, &me);
	if (code != MR_STORE_OK)
		return imap_store_failed(k, code, &me);
	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* LISTRIGHTS ");
	imap_name_out(k, &b, p.shown);
	buf_addc(&b, ' ');
	mime_imap_string(&b, str_from(identifier));
	buf_addf(&b, " %s\r\n", str_is(str_from(identifier), p.account) ?
		imap_rights_out(MR_RIGHTS_ALL, room) :
		"\"\" l r s w i p k x t e a c d");
	stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
	return IMAP_ANSWER(IMAP_OK, NULL, "Done");
}

void
imap_myrights_line(struct imap *k, const char *shown, uint32_t rights)
{
	char room[IMAP_RIGHTS_ROOM];
	struct buf b;

	buf_init(&b, BUF_NO_CAP);
	buf_adds(&b, "* MYRIGHTS ");
	imap_name_out(k, &b, shown);
	buf_addf(&b, " %s\r\n", imap_rights_out(rights, room));
	stream_write_str(&k->session->stream, buf_str(&b));
	buf_free(&b);
}

/* Whoever may do anything with the mailbox may ask (RFC 4314 section 4). */
struct imap_answer
imap_myrights(struct imap *k, struct imap_in *in, bool uid)
{
	struct mr_error me = {{0}};
	struct imap_place p;
	struct str name;
	int code;

	(void)uid;
	if (!imap_astring(in, &name) || !imap_end(in))
		return imap_bad(k, in);
	code = find(k, name, 0, &p, &me);
	if (code == MR_STORE_OK && !p.rights)
		code = MR_STORE_MISSING;
	if (code == MR_STORE_OK)
		imap_myrights_line(k, p.shown, p.rights);
	return outcome(k, code, &me);
}
