/*
 * move.c - files that other mail servers keep beside a Maildir: lists of
 * UIDs, keywords and subscriptions, names of folders, and the header
 * of a message in an mbox. Whatever they hold,
 * names that come out are such that the store takes them.
 */
#include <assert.h>
#include <stdint.h>

#include "base/enc.h"
#include "move/folder_name.h"
#include "move/imap_reply.h"
#include "move/mbox.h"
#include "move/uid_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(const char *name)
{
	struct str s = str_from(name);
	size_t i;

	assert(enc_is_utf8(s));
	assert(!str_starts(s, "/") && !str_ends(s, "/"));
	for (i = 0; i < s.len; i++)
		assert((unsigned char)s.at[i] >= ' ' && s.at[i] != 127);
}

static void
try_name(struct str in, struct arena *a)
{
	const char *name = folder_name_in(a, in, '.'), *again;
	struct buf out;

	check_name(name);
	buf_init(&out, BUF_NO_CAP);
	folder_name_out(&out, str_from(name), '.');
	again = folder_name_in(a, buf_str(&out), '.');
	assert(!strcmp(name, again));
	buf_free(&out);
	folder_name_special(str_from(name));
}

static void
take_keyword(void *arg, struct str name)
{
	(void)arg;
	assert(keyword_is_good(name));
}

static void
try_uids(struct str in)
{
	struct uid_list l;
	size_t i;

	if (!uid_list_read(in, &l))
		return;
	for (i = 0; i < l.n; i++)
		assert(uid_list_find(&l, l.entry[i].base));
	uid_list_free(&l);
}

static void
try_keywords(struct str in)
{
	struct keyword_letters letters;
	struct keyword_file f;
	size_t i;

	keyword_letters_read(in, &letters);
	keyword_file_read(in, &f);
	for (i = 0; i < f.n; i++)
		keyword_file_each(&f, f.entry[i].base, take_keyword, NULL);
	keyword_file_free(&f);
}

static void
try_subscriptions(struct str in, struct arena *a)
{
	struct subscription_file f;
	const char *name;

	subscription_file_open(in, in.len & 1, &f);
	while (*(name = subscription_file_next(&f, a, '.')))
		check_name(name);
}

static void
try_header(struct str in)
{
	struct mbox_notes n;
	struct str words;
	struct buf out;
	int64_t when;

	mbox_from_line(in, &when);
	buf_init(&out, BUF_NO_CAP);
	mbox_read_header(in, &out, &n);
	assert(out.len <= in.len);
	words = str_from(n.keywords);
	while (words.len)
		assert(keyword_is_good(str_word(&words)));
	buf_free(&out);
}

static void
try_reply(struct str in, struct arena *a)
{
	struct imap_fetched f;
	struct imap_listed l;
	struct buf body;
	struct str words;
	uint32_t n;

	buf_init(&body, 1 << 20);
	if (imap_reply_fetch(in, &f, &body)) {
		words = str_from(f.keywords);
		while (words.len)
			assert(keyword_is_good(str_word(&words)));
	}
	buf_free(&body);
	if (imap_reply_list(in, a, &l))
		check_name(folder_name_in(a, str_from(l.name), l.separator));
	imap_reply_code(in, "UIDNEXT ");
	imap_reply_exists(in, &n);
	imap_reply_prefix(in, a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of(data, size);
	struct arena a;

	arena_init(&a);
	try_name(in, &a);
	try_uids(in);
	try_keywords(in);
	try_subscriptions(in, &a);
	try_header(in);
	try_reply(in, &a);
	arena_free(&a);
	return 0;
}
