/*
 * folder_name.h - names of mailboxes between folders on disk, or another
 * server, and the store.
 */
#ifndef MOVE_FOLDER_NAME_H
#define MOVE_FOLDER_NAME_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "plug/store.h"

/* A name whose levels `separator` divides, in modified UTF-7 (RFC 3501 5.1.3)
 * or what else it may be, as the store takes it: UTF-8, '/', no empty levels,
 * no control characters. Dovecot's escapes (\2e) are undone. "": none. */
const char *folder_name_in(struct arena *a, struct str name, char separator);
/* The other way: levels of a Maildir++ name, modified UTF-7; a '.' or what
 * cannot stand in a name of a file becomes an escape. */
void folder_name_out(struct buf *out, struct str name, char separator);

/* What a mailbox is for, by a name that other programs give it. */
enum mr_special folder_name_special(struct str name);

/* Before mailboxes of these names are imported: where one is known to be for
 * Sent and the like, and the account's own mailbox for that was never used,
 * that one takes its name. */
int folder_name_adopt(const struct store *s, const char *account,
	const char *const *name, size_t n, struct err *e);
/* The same, where the other server says what some of them are for. */
int folder_name_adopt_as(const struct store *s, const char *account,
	const char *const *name, const enum mr_special *special, size_t n,
	struct err *e);

#endif
