/*
 * milter_text.h - frames of the milter protocol as lines that people read,
 * and back, byte for byte.
 *
 *	> negotiate 6 0x1ff 0x1fffff
 *	< negotiate 6 0x11 0x40
 *	> macros C "j" "mail.example.org"
 *	> connect "client.example.net" 4 40000 "192.0.2.1"
 *	< continue
 *	> header "Subject" " hello"
 *	< add-header "X-Seen" " yes"
 *
 * '>' goes to the filter, '<' comes from it. Strings escape as in C. What does
 * not have the form of its command stands as its bytes: > 0x43 "...".
 */
#ifndef PROC_MILTER_TEXT_H
#define PROC_MILTER_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum milter_way { MILTER_TO_FILTER = '>', MILTER_FROM_FILTER = '<' };

struct milter_frame {
	enum milter_way way;
	char command;
	struct str data;
};

/* Appends the line, without its end. */
void milter_text_write(struct buf *out, const struct milter_frame *f);
/* The data go into *data (replaced), which f->data then is a view of. -1: e
 * says what is wrong with the line. */
int milter_text_read(struct str line, struct milter_frame *f,
	struct buf *data, struct err *e);

#endif
