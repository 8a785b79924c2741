/*
 * smtp_dry.h - a session that nobody holds: one message goes through the
 * real verbs, with the real chain, and nothing of it is kept.
 *
 * For the command line, on its one thread. The house is the caller's; its
 * store is asked, and never told: what would be committed is handed out.
 */
#ifndef SERVE_SMTP_DRY_H
#define SERVE_SMTP_DRY_H

#include "mail/reply.h"
#include "serve/serve.h"

struct smtp_dry {
	struct house *house;		/* its store is replaced meanwhile */
	const struct listener *listener;
	struct sock_addr peer;
	const char *helo;
	const char *login;		/* "" for a stranger */
	const char *sender;
	const char *const *rcpt;
	size_t n_rcpt;
	struct str message;		/* with LF or CR LF */
	/* Each command (without its message) with what was answered. */
	void (*said)(void *arg, const char *command,
		const struct reply *answer);
	/* Where it would go; the last word, after DATA. */
	void (*placed)(void *arg, const struct mr_commit *c);
	void *arg;
};

/* -1: it could not be run at all. A refusal is an answer. */
int smtp_dry_run(const struct smtp_dry *d, struct err *e);

#endif
