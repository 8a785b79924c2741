/*
 * imap_admin.h - mailboxes of administrators: what the queue holds, what waits
 * in it, and what was refused.
 *
 * Held and Queue are real mailboxes of the account that are made to agree
 * with the queue whenever an administrator looks. What is moved out of them or
 * expunged acts on the queue. The store changes the mailbox first: cut off in
 * between, the entry is still in the queue and is shown again.
 */
#ifndef SERVE_IMAP_ADMIN_H
#define SERVE_IMAP_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

struct imap;
struct imap_answer;
struct imap_place;
struct store;

/* After the login: makes them where they are missing. */
void imap_admin_begin(struct imap *k);
/* A mailbox of this use is the server's, not the client's to fill. */
bool imap_admin_owns(const struct imap *k, uint32_t special);
/* Makes Held or Queue agree with the queue, or takes old mail out of
 * Rejected; no-op for others. */
void imap_admin_look(struct imap *k, int64_t mailbox, uint32_t special);

/* What is to be done to the queue when messages have left the selected
 * mailbox; in the command arena. */
struct imap_admin_step {
	int what;
	int64_t *message;	/* sorted */
	size_t n, room;
};
/* Before messages are moved. code: how imap_placed found the target. true:
 * *said is the answer, no message is to be moved. */
bool imap_admin_move(struct imap *k, const struct mr_range *range, size_t n,
	const struct imap_place *to, int code, struct imap_admin_step *step,
	struct imap_answer *said);
/* Before those with \Deleted are expunged; n 0: of all. */
void imap_admin_expunge(struct imap *k, const struct mr_range *range,
	size_t n, struct imap_admin_step *step);
/* Afterwards, when it was done. */
void imap_admin_finish(struct imap *k, const struct imap_admin_step *step);

#define ADMIN_REJECTED_MOST 1000
/* What was refused longer ago than it is kept, and all but the newest. */
void imap_admin_trim(const struct store *s, int64_t mailbox);

#endif
