/*
 * err.h - how a function says that the world failed.
 *
 * Kind 2 of the three kinds of trouble: disk, network, DNS, a peer. The
 * callee fills a struct err on its caller's stack and returns -1; the caller
 * handles it, or adds context and passes it up. It is logged once, where it
 * is handled. Refusals are values (mail/reply.h); bugs are assert().
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_kind {
	ERR_NONE,
	ERR_SYS,	/* a system call; sys holds errno */
	ERR_TIMEOUT,	/* a deadline passed or a peer was too slow */
	ERR_CLOSED,	/* the peer went away */
	ERR_PROTOCOL,	/* the peer said what its protocol does not allow */
	ERR_TLS,
	ERR_DNS,
	ERR_CONFIG,	/* the admin's input is wrong */
	ERR_STORE,	/* the store cannot do it now */
	ERR_FULL,	/* no room: disk, quota, cap of a buffer */
	ERR_MISSING,	/* what was named does not exist */
	ERR_EXISTS,	/* what was to be made exists already */
	ERR_REFUSED,	/* the other side said a lasting no */
};

struct err {
	enum err_kind kind;
	int sys;		/* errno, or 0 */
	char text[240];		/* one line, no secrets, no final full stop */
};

/* All three return -1, so that `return err_set(e, ...)` reads well.
 * e may be NULL. err_sys appends strerror(errno). err_wrap puts context
 * before what is there ("opening the queue: ..."), cutting at the end. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_sys(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int err_wrap(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
