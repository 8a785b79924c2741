/*
 * pop3_mail.c - the maildrop: its list, and the verbs on messages (RFC 1939
 * 5 to 7).
 *
 * The list has no message ids: RETR looks its message up by UID, which costs
 * one row and finds out whether it is still there. Bodies go from the store
 * to the stream in blocks, so memory does not depend on their size.
 */
#include "serve/pop3.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "serve/row_cache.h"

#define BLOCK 32768
#define LOCKS "%s/tmp/pop3.lock"	/* a byte for each maildrop, none written */

/* -------------------------------------------------------------- the list */

static int
add_mail(void *arg, const struct mr_row *row)
{
	struct pop3 *k = arg;

	if (k->n_mail == k->room) {	/* more came since we asked */
		k->room += k->room / 2 + 16;
		k->mail = mem_grow(k->mail, k->room * sizeof *k->mail);
	}
	k->mail[k->n_mail++] = (struct pop3_mail){.length = row->length,
		.uid = row->uid, .message_id = row->message_id};
	return 0;
}

/* RFC 1939 3: one session at a time. A lock of the kernel on one byte of a
 * file that all workers share: it is let go of however the session ends, and
 * its process. As an open file description lock it keeps sessions of one
 * process apart too. */
static int
lock_maildrop(struct pop3 *k, struct mr_error *me)
{
	struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = k->mailbox & INT64_MAX, .l_len = 1};
	bool is_taken;

	if (!k->house->limits->pop3_exclusive)
		return MR_STORE_OK;
	k->lock = open(arena_printf(&k->session->command, LOCKS,
		k->house->data), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (k->lock >= 0 && fcntl(k->lock, F_OFD_SETLK, &byte) == 0)
		return MR_STORE_OK;
	is_taken = k->lock >= 0 && (errno == EAGAIN || errno == EACCES);
	snprintf(me->text, sizeof me->text, "the lock of the maildrop: %s",
		strerror(errno));
	pop3_close_maildrop(k);
	return is_taken ? MR_STORE_BUSY : MR_STORE_FAILED;
}

void
pop3_close_maildrop(struct pop3 *k)
{
	if (k->lock >= 0)
		close(k->lock);
	k->lock = -1;
}

int
pop3_open_maildrop(struct pop3 *k, struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_mailbox box = {.id = 0};
	struct row_query q = {.want = MR_ROW_MESSAGE, .each = add_mail,
		.arg = k};
	int code;

	code = s->op->mailbox_find(s->self, k->sasl.account, "INBOX", &box,
		me);
	if (code != MR_STORE_OK)
		return code;
	k->mailbox = box.id;
	k->uidvalidity = box.uidvalidity;
	code = lock_maildrop(k, me);
	if (code != MR_STORE_OK)
		return code;
	k->room = box.messages;
	if (k->room)
		k->mail = mem_grow(NULL, k->room * sizeof *k->mail);
	q.mailbox = box.id;
	return row_cache_scan(k->house->rows, s, &q, me);
}

static unsigned
number_of(const struct pop3 *k, const struct pop3_mail *mail)
{
	return (unsigned)(mail - k->mail) + 1;
}

struct pop3_answer
pop3_stat(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	uint64_t bytes = 0;
	size_t i, n = 0;

	(void)args;
	(void)mail;
	for (i = 0; i < k->n_mail; i++) {
		if (k->mail[i].deleted)
			continue;
		bytes += k->mail[i].length;
		n++;
	}
	return pop3_printf(k, "+OK ", "%zu %llu", n,
		(unsigned long long)bytes);
}

static void
write_sizes(struct pop3 *k)
{
	size_t i;

	for (i = 0; i < k->n_mail; i++)
		if (!k->mail[i].deleted)
			stream_printf(&k->session->stream, "%zu %llu\r\n",
				i + 1, (unsigned long long)k->mail[i].length);
}

struct pop3_answer
pop3_list(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	if (args.len)
		return POP3_ERR("Syntax: LIST [number]");
	if (mail)
		return pop3_printf(k, "+OK ", "%u %llu", number_of(k, mail),
			(unsigned long long)mail->length);
	return (struct pop3_answer){"+OK ", STR("Sizes follow"), write_sizes};
}

/* RFC 1939 7: the id never changes and is never used again, which is what
 * IMAP promises of the pair uidvalidity and UID. */
static void
write_ids(struct pop3 *k)
{
	size_t i;

	for (i = 0; i < k->n_mail; i++)
		if (!k->mail[i].deleted)
			stream_printf(&k->session->stream, "%zu %08x%08x\r\n",
				i + 1, k->uidvalidity, k->mail[i].uid);
}

struct pop3_answer
pop3_uidl(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	if (args.len)
		return POP3_ERR("Syntax: UIDL [number]");
	if (mail)
		return pop3_printf(k, "+OK ", "%u %08x%08x",
			number_of(k, mail), k->uidvalidity, mail->uid);
	return (struct pop3_answer){"+OK ", STR("Ids follow"), write_ids};
}

/* -------------------------------------------------------------- messages */

/* Where a body stands on its way out. */
struct pour {
	struct stream *to;
	uint64_t lines;		/* of the text, still to come */
	bool at_start;		/* of a line */
	bool is_blank;		/* the line so far has nothing but CRs */
	bool in_text;		/* behind the empty line */
	bool ended;		/* has all that was asked for */
};

/* A line, or the part of one that a block holds. Dots are stuffed behind a
 * bare LF too: a client that takes that for a line end must not find the
 * end of the message there. */
static void
pour_line(struct pour *p, struct str part)
{
	bool whole = part.at[part.len - 1] == '\n';
	size_t i;

	if (p->at_start && part.at[0] == '.')
		stream_puts(p->to, ".");
	if (p->at_start)
		p->is_blank = true;
	for (i = 0; p->is_blank && i < part.len - whole; i++)
		p->is_blank = part.at[i] == '\r';
	stream_write_str(p->to, part);
	p->at_start = whole;
	if (!whole)
		return;
	if (p->in_text)
		p->lines--;
	else
		p->in_text = p->is_blank;
	p->ended = p->in_text && p->lines == 0;
}

static void
pour_block(struct pour *p, struct str block)
{
	size_t n;

	while (block.len && !p->ended) {
		n = str_find(block, '\n');
		n += n < block.len;
		pour_line(p, str_sub(block, 0, n));
		block = str_sub(block, n, block.len);
	}
}

/* False: the store failed, which after "+OK" can only be said by hanging
 * up: a dot would pass a torn message for a whole one. */
static bool
pour_body(struct pop3 *k, struct pour *p, struct mr_error *me)
{
	const struct mr_store *op = k->house->store.op;
	char *block = arena_alloc(&k->session->command, BLOCK);
	uint64_t at = 0;
	int64_t n;

	while (at < k->body.length && !p->ended && !stream_failed(p->to)) {
		n = op->body_read(k->body.handle, at, block, BLOCK, me);
		if (n == 0)
			snprintf(me->text, sizeof me->text,
				"the message is shorter than it should be");
		if (n <= 0)
			return false;
		pour_block(p, str_of(block, (size_t)n));
		at += (uint64_t)n;
	}
	return true;
}

static void
write_message(struct pop3 *k)
{
	struct pour p = {.to = &k->session->stream, .lines = k->body.lines,
		.at_start = true};
	struct mr_error me = {""};

	if (!pour_body(k, &p, &me)) {
		pop3_log_trouble(k, MR_STORE_FAILED, &me);
		stream_fail(p.to, ERR_STORE, "message cannot be read");
	}
	if (!p.at_start)
		stream_puts(p.to, "\r\n");
	k->house->store.op->body_close(k->body.handle);
	k->body = (struct pop3_body){.handle = NULL};
}

/* Opens the body for write_message. */
static struct pop3_answer
show_message(struct pop3 *k, const struct pop3_mail *mail, uint64_t lines)
{
	const struct store *s = &k->house->store;
	struct mr_error me = {""};
	struct pop3_answer r;
	int code = s->op->body_open(s->self, mail->message_id,
		&k->body.handle, &k->body.length, &me);

	if (code == MR_STORE_MISSING)
		return POP3_ERR("The message was removed meanwhile");
	if (code != MR_STORE_OK)
		return pop3_trouble(k, code, &me);
	k->body.lines = lines;
	r = pop3_printf(k, "+OK ", "%llu octets",
		(unsigned long long)k->body.length);
	r.rest = write_message;
	return r;
}

struct pop3_answer
pop3_retr(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	if (args.len)
		return POP3_ERR("Syntax: RETR number");
	return show_message(k, mail, UINT64_MAX);
}

struct pop3_answer
pop3_top(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	uint64_t lines;

	if (!str_u64(str_trim_blank(args), UINT32_MAX, &lines))
		return POP3_ERR("Syntax: TOP number lines");
	return show_message(k, mail, lines);
}

/* -------------------------------------------------------------- deletion */

struct pop3_answer
pop3_dele(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	if (args.len)
		return POP3_ERR("Syntax: DELE number");
	mail->deleted = true;
	return pop3_printf(k, "+OK ", "%u is marked", number_of(k, mail));
}

struct pop3_answer
pop3_rset(struct pop3 *k, struct str args, struct pop3_mail *mail)
{
	size_t i;

	(void)args;
	(void)mail;
	for (i = 0; i < k->n_mail; i++)
		k->mail[i].deleted = false;
	return POP3_OK("No message is marked");
}

/* Runs of marked UIDs. Only neighbours are joined: a UID between two that we
 * know of is none of our business. */
static size_t
list_marked(const struct pop3 *k, struct mr_range *range)
{
	size_t i, n = 0;

	for (i = 0; i < k->n_mail; i++) {
		uint32_t uid = k->mail[i].uid;

		if (!k->mail[i].deleted)
			continue;
		if (n && range[n - 1].last + 1 == uid)
			range[n - 1].last = uid;
		else
			range[n++] = (struct mr_range){uid, uid};
	}
	return n;
}

int
pop3_remove_marked(struct pop3 *k, size_t *n, struct mr_retained *kept,
	struct mr_error *me)
{
	const struct store *s = &k->house->store;
	struct mr_range *range;
	int code;
	size_t i;

	*kept = (struct mr_retained){.size = sizeof *kept, .any = 1,
		.mailbox = k->mailbox};

	*n = 0;
	for (i = 0; i < k->n_mail; i++)
		*n += k->mail[i].deleted;
	if (!*n)	/* no range at all would mean every message */
		return MR_STORE_OK;
	range = arena_alloc(&k->session->command, *n * sizeof *range);
	kept->range = range;
	kept->n = list_marked(k, range);
	code = s->op->expunge(s->self, k->mailbox, range, kept->n, 1, me);
	if (code == MR_STORE_OK)
		code = store_retained(s, kept, me);
	*n -= kept->messages;
	return code;
}
