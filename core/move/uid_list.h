/*
 * uid_list.h - the files beside a Maildir in which servers keep what file
 * names cannot hold: UIDs (dovecot-uidlist versions 1 and 3, Courier's
 * courierimapuiddb), keywords (dovecot-keywords, Courier's :list),
 * subscriptions. Others wrote them: what does not fit is passed over.
 */
#ifndef MOVE_UID_LIST_H
#define MOVE_UID_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* A file name up to what changes of it: "1234.abc,S=5:2,RS" is "1234.abc,S=5". */
struct str uid_list_base(struct str file);

struct uid_entry {
	struct str base;	/* views into the text */
	uint32_t uid;
};

struct uid_list {
	uint32_t uidvalidity, uidnext;
	struct uid_entry *entry;	/* sorted by base; malloc */
	size_t n;
};

/* false: not such a file. The text must outlive the list. */
bool uid_list_read(struct str text, struct uid_list *out);
uint32_t uid_list_find(const struct uid_list *l, struct str base);
void uid_list_free(struct uid_list *l);

/* Names of keywords by letter, 'a' first ("0 $Forwarded" is a line). */
#define UID_LIST_LETTERS 26
struct keyword_letters {
	struct str name[UID_LIST_LETTERS];
};
void keyword_letters_read(struct str text, struct keyword_letters *out);
/* Something that may stand in a FLAGS list (RFC 9051 section 9). */
bool keyword_is_good(struct str word);

/* Courier's courierimapkeywords/:list: names, an empty line, then
 * "base:0 2". */
struct keyword_file {
	struct str *name;
	size_t n_name;
	struct uid_entry *entry;	/* sorted by base; uid: place of `words` */
	struct str *words;		/* "0 2" */
	size_t n;
};
void keyword_file_read(struct str text, struct keyword_file *out);
/* Calls each for the keywords of a file. */
void keyword_file_each(const struct keyword_file *f, struct str base,
	void (*each)(void *arg, struct str name), void *arg);
void keyword_file_free(struct keyword_file *f);

/* The next name of Dovecot's `subscriptions` (both versions) or Courier's
 * courierimapsubscribed; empty at the end. *separator of its levels. */
struct subscription_file {
	struct str rest;
	bool is_v2, is_courier;
};
void subscription_file_open(struct str text, bool is_courier,
	struct subscription_file *out);
const char *subscription_file_next(struct subscription_file *f,
	struct arena *a, char separator);

#endif
