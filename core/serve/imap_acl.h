/*
 * imap_acl.h - rights as RFC 4314 writes them, a letter each.
 */
#ifndef SERVE_IMAP_ACL_H
#define SERVE_IMAP_ACL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define IMAP_RIGHTS_ROOM 16
/* MR_RIGHT_* as "lrs", or "\"\"" for none. */
const char *imap_rights_out(uint32_t rights, char out[IMAP_RIGHTS_ROOM]);
/* false: a letter stands for no right. */
bool imap_rights_in(struct str word, uint32_t *rights);

#endif
