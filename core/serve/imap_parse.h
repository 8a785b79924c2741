/*
 * imap_parse.h - reading IMAP commands and their arguments (RFC 9051
 * section 9; RFC 3501 where a client is older).
 *
 * imap_read brings a whole command into the command arena, literals
 * included, asking for synchronising ones (RFC 7888 for the others). The
 * exception is the message of an APPEND or REPLACE: reading stops in front of
 * that literal and the verb takes it as a stream. The arguments are then walked
 * with the functions below: each takes one thing off the front and returns
 * false, with in->wrong set, when something else stands there. Also the entry
 * of a fuzz target.
 */
#ifndef SERVE_IMAP_PARSE_H
#define SERVE_IMAP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>	/* struct mr_range */

#include "base/arena.h"
#include "base/str.h"
#include "net/stream.h"

#define IMAP_COMMAND_MOST (256 * 1024)	/* bytes, literals included */
#define IMAP_LITERAL_MOST (128 * 1024)	/* but for APPEND's message */
#define IMAP_SET_MOST 65536		/* ranges in one sequence set */

struct imap_in {
	struct str rest;	/* what is not read yet; literals stand in it as
				   they came: "{3}" CR LF "abc" */
	struct arena *arena;	/* the command's */
	const char *wrong;	/* first thing that was not as it should be */
};

enum imap_got {
	IMAP_GOT_COMMAND,
	IMAP_GOT_LITERAL,	/* APPEND: *literal is waiting to be read */
	IMAP_GOT_BAD,		/* not a command: wrong says why; tag may be set */
	IMAP_GOT_LONG,		/* too large; it was passed over where possible */
	IMAP_GOT_LOST,
};

struct imap_literal {		/* announced, not read */
	uint64_t length;
	bool synchronising;	/* "+ ..." must be sent before it comes */
	bool binary;		/* literal8, "~{n}" */
	bool waiting;		/* a verb that sends "+" or reads sets this
				   false first, and then reads all of it; what
				   is left waiting, the loop passes over */
};

struct imap_command {
	struct str tag, verb;	/* verb without a leading "UID " */
	bool uid;
	struct imap_in in;	/* the arguments, behind the blank */
	struct imap_literal literal;
	bool unfinished;	/* its last CR LF is not read yet */
};

/* Reads the next command. *out is filled as far as the answer allows. With
 * IMAP_GOT_LITERAL in.rest ends in front of its "{". */
enum imap_got imap_read(struct stream *s, struct arena *a,
	struct imap_command *out);
/* Reads the rest of a command behind a streamed literal (up to CR LF, or to
 * another literal of the same kind); in.rest is then that part alone. */
enum imap_got imap_read_more(struct stream *s, struct arena *a,
	struct imap_command *c);
/* Brings the stream behind a command of which a verb has left a part unread:
 * literals that come without being asked for are read and dropped. */
void imap_pass_over(struct stream *s, struct arena *a,
	struct imap_command *c);

bool imap_blank(struct imap_in *in);		/* exactly one SP */
bool imap_char(struct imap_in *in, char c);	/* that character */
bool imap_is_char(const struct imap_in *in, char c);	/* looks only */
bool imap_end(struct imap_in *in);		/* nothing is left */
bool imap_atom(struct imap_in *in, struct str *out);
bool imap_string(struct imap_in *in, struct str *out);	/* quoted, literal */
bool imap_astring(struct imap_in *in, struct str *out);
bool imap_nstring(struct imap_in *in, struct str *out);	/* NIL: at NULL */
bool imap_list_mailbox(struct imap_in *in, struct str *out);	/* % and * too */
bool imap_number(struct imap_in *in, uint32_t *out);
bool imap_number64(struct imap_in *in, uint64_t *out);
/* "(a b c)" or one bare word where `bare`; items are atoms with \ allowed.
 * The array is in the arena. */
bool imap_words(struct imap_in *in, bool bare, struct str **out, size_t *n);
/* Flags of a list as bits and keywords (blank between, NUL-ended, arena).
 * \Recent and unknown \X are errors, as RFC 9051 2.3.2 says. */
bool imap_flag_list(struct imap_in *in, bool bare, uint32_t *flags,
	const char **keywords);
/* A sequence set. '*' is UINT32_MAX; "$" (RFC 5182) sets *saved. Ranges have
 * first <= last, in the order given. */
bool imap_set(struct imap_in *in, struct mr_range **out, size_t *n,
	bool *saved);
/* "date-time" of APPEND in quotes; "date" of SEARCH, quoted or not. */
bool imap_date_time(struct imap_in *in, int64_t *wall_ms);
bool imap_day(struct imap_in *in, int64_t *day);

#endif
