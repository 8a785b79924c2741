/*
 * folder_name.c - see folder_name.h.
 */
#include "move/folder_name.h"

#include "base/enc.h"

#define NAME_MOST 900		/* bytes of UTF-8 that the store surely takes */

/* -------------------------------------------------------------------- in */

/* "\2e", as Dovecot's listescape writes what a name cannot hold. */
static bool
is_escape(struct str s, char *c)
{
	int high, low;

	if (s.len < 3 || s.at[0] != '\\')
		return false;
	high = hex_value(s.at[1]);
	low = hex_value(s.at[2]);
	if (high < 0 || low < 0)
		return false;
	*c = (char)(high << 4 | low);
	return true;
}

static void
add_char(struct buf *out, char c)
{
	if ((unsigned char)c < ' ' || c == 127 || c == '/')
		c = '_';
	buf_addc(out, c);
}

static void
add_level(struct buf *out, struct str level)
{
	struct buf plain;
	struct str text;
	size_t i;
	char c;

	buf_init(&plain, NAME_MOST);
	if (enc_is_ascii(level) && enc_utf7_to_utf8(&plain, level))
		text = buf_str(&plain);
	else
		text = level;
	if (out->len)
		buf_addc(out, '/');
	for (i = 0; i < text.len; i++) {
		struct str rest = str_sub(text, i, text.len);

		if (is_escape(rest, &c)) {
			add_char(out, c);
			i += 2;
		} else {
			add_char(out, text.at[i]);
		}
	}
	buf_free(&plain);
}

const char *
folder_name_in(struct arena *a, struct str name, char separator)
{
	const char *text = "";
	struct buf out;
	size_t i;

	buf_init(&out, NAME_MOST);
	while (name.len) {
		struct str level = str_cut(&name, separator);

		if (level.len)
			add_level(&out, level);
	}
	if (!enc_is_utf8(buf_str(&out)))	/* some old charset */
		for (i = 0; i < out.len; i++)
			if ((unsigned char)out.at[i] > 126)
				out.at[i] = '_';
	if (!out.full)
		text = arena_cstr(a, buf_str(&out));
	buf_free(&out);
	return text;
}

/* ------------------------------------------------------------------- out */

static void
escape_level(struct buf *out, struct str level, char separator)
{
	size_t i;

	for (i = 0; i < level.len; i++) {
		char c = level.at[i];
		/* A backslash that would be read as an escape, too. */
		bool is_taken = c == separator || c == '/' || c == '\\' ||
			(i == 0 && (c == '.' || c == '~'));

		if (is_taken)
			buf_addf(out, "\\%02x", (unsigned)(unsigned char)c);
		else
			buf_addc(out, c);
	}
}

void
folder_name_out(struct buf *out, struct str name, char separator)
{
	struct buf level;

	buf_init(&level, BUF_NO_CAP);
	while (name.len) {
		struct str one = str_cut(&name, '/');

		buf_reset(&level);
		enc_utf8_to_utf7(&level, one);
		escape_level(out, buf_str(&level), separator);
		if (name.len)
			buf_addc(out, separator);
	}
	buf_free(&level);
}

/* --------------------------------------------------------------- special */

enum mr_special
folder_name_special(struct str name)
{
	static const struct {
		enum mr_special special;
		const char *name;
	} known[] = {
		{MR_SPECIAL_SENT, "Sent"}, {MR_SPECIAL_SENT, "Sent Items"},
		{MR_SPECIAL_SENT, "Sent Messages"},
		{MR_SPECIAL_SENT, "Sent Mail"}, {MR_SPECIAL_SENT, "sent-mail"},
		{MR_SPECIAL_SENT, "[Gmail]/Sent Mail"},
		{MR_SPECIAL_SENT, "Gesendet"},
		{MR_SPECIAL_SENT, "Gesendete Objekte"},
		{MR_SPECIAL_SENT, "Gesendete Elemente"},
		{MR_SPECIAL_SENT, "Envoy\303\251s"},
		{MR_SPECIAL_SENT, "Enviados"},
		{MR_SPECIAL_DRAFTS, "Drafts"}, {MR_SPECIAL_DRAFTS, "Draft"},
		{MR_SPECIAL_DRAFTS, "[Gmail]/Drafts"},
		{MR_SPECIAL_DRAFTS, "Entw\303\274rfe"},
		{MR_SPECIAL_DRAFTS, "Brouillons"},
		{MR_SPECIAL_DRAFTS, "Borradores"},
		{MR_SPECIAL_TRASH, "Trash"},
		{MR_SPECIAL_TRASH, "Deleted Items"},
		{MR_SPECIAL_TRASH, "Deleted Messages"},
		{MR_SPECIAL_TRASH, "[Gmail]/Trash"},
		{MR_SPECIAL_TRASH, "Papierkorb"},
		{MR_SPECIAL_TRASH, "Gel\303\266schte Elemente"},
		{MR_SPECIAL_TRASH, "Corbeille"},
		{MR_SPECIAL_TRASH, "Papelera"},
		{MR_SPECIAL_JUNK, "Junk"}, {MR_SPECIAL_JUNK, "Spam"},
		{MR_SPECIAL_JUNK, "Junk E-mail"},
		{MR_SPECIAL_JUNK, "Junk Email"},
		{MR_SPECIAL_JUNK, "Bulk Mail"},
		{MR_SPECIAL_JUNK, "[Gmail]/Spam"},
		{MR_SPECIAL_ARCHIVE, "Archive"},
		{MR_SPECIAL_ARCHIVE, "Archives"},
		{MR_SPECIAL_ARCHIVE, "Archiv"},
		{MR_SPECIAL_ARCHIVE, "[Gmail]/All Mail"},
	};
	size_t i;

	if (str_istarts(name, "INBOX/"))
		name = str_sub(name, 6, name.len);
	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (str_iis(name, known[i].name))
			return known[i].special;
	return MR_SPECIAL_NONE;
}

struct own {
	char *name[MR_SPECIAL_ARCHIVE + 1];	/* never used; or NULL */
};

static int
find_own(void *arg, const struct mr_mailbox *m)
{
	struct own *own = arg;

	if (m->special > MR_SPECIAL_NONE && m->special <= MR_SPECIAL_ARCHIVE &&
		m->uidnext == 1 && !own->name[m->special])
		own->name[m->special] = mem_cstr(m->name);
	return 0;
}

static bool
is_listed(const char *const *name, size_t n, const char *what)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(name[i], what))
			return true;
	return false;
}

/* Of several that could be it, the first one. A name that is there already
 * is nobody's to take. */
static void
adopt(const struct store *s, const char *account, const char *own,
	const char *name)
{
	struct mr_error me = {{0}};

	if (s->op->mailbox_rename(s->self, account, own, name, &me) !=
		MR_STORE_OK)
		return;
	s->op->subscribe(s->self, account, own, 0, &me);
	s->op->subscribe(s->self, account, name, 1, &me);
}

int
folder_name_adopt(const struct store *s, const char *account,
	const char *const *name, size_t n, struct err *e)
{
	return folder_name_adopt_as(s, account, name, NULL, n, e);
}

int
folder_name_adopt_as(const struct store *s, const char *account,
	const char *const *name, const enum mr_special *special, size_t n,
	struct err *e)
{
	struct own own = {{NULL}};
	struct mr_error me = {{0}};
	int code = s->op->mailbox_list(s->self, account, find_own, &own, &me);
	size_t i, k;

	for (i = 0; i < n && code == MR_STORE_OK; i++) {
		k = special && special[i] ? special[i] :
			folder_name_special(str_from(name[i]));
		if (!own.name[k] || is_listed(name, n, own.name[k]))
			continue;
		adopt(s, account, own.name[k], name[i]);
		free(own.name[k]);
		own.name[k] = NULL;
	}
	for (k = 0; k <= MR_SPECIAL_ARCHIVE; k++)
		free(own.name[k]);
	return store_result(code, &me, e);
}
