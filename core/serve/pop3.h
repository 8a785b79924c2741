/*
 * pop3.h - the state of a POP3 session. Private to pop3*.c.
 *
 * A session sees the INBOX as it was at login: a list of 16 bytes a message.
 * Mail that comes later is not in it; mail that another session removed
 * meanwhile is found to be gone when it is asked for.
 */
#ifndef SERVE_POP3_H
#define SERVE_POP3_H

#include <mailroom/store.h>

#include "plug/auth.h"
#include "serve/session.h"

struct pop3;

/* What a verb says; only the loop writes it. */
struct pop3_answer {
	const char *mark;	/* "+OK ", "-ERR ", "+ "; NULL: nothing */
	struct str text;
	/* Writes the lines of a long answer; the loop adds the last dot. */
	void (*rest)(struct pop3 *k);
};
#define POP3_OK(text_) ((struct pop3_answer){"+OK ", STR(text_), NULL})
#define POP3_ERR(text_) ((struct pop3_answer){"-ERR ", STR(text_), NULL})

struct pop3_mail {
	int64_t message_id;
	uint64_t length;
	uint32_t uid;
	bool deleted;			/* marked; removed at QUIT */
};

/* The message that RETR or TOP is about to write. */
struct pop3_body {
	void *handle;
	uint64_t length;
	uint64_t lines;			/* of the text; UINT64_MAX: all */
};

enum pop3_state { POP3_LOGIN = 1, POP3_MAILDROP = 2 };

struct pop3 {
	struct session *session;
	struct house *house;
	enum pop3_state state;
	struct sasl sasl;		/* sasl.account: who is logged in */
	char login[AUTH_ACCOUNT_MAX];	/* of USER, until PASS */
	int64_t mailbox;
	uint32_t uidvalidity;
	int lock;			/* of the maildrop; -1: none */
	unsigned knocks;		/* at one that another session has */
	struct pop3_mail *mail;		/* in UID order; malloc */
	size_t n_mail, room;
	struct pop3_body body;
	bool in_auth;			/* the next line is SASL's */
	bool quit;
	bool delay;			/* answer, then pause */
	unsigned errors, auth_failures;
};

/* The store could not do it: logged, and never told in detail. */
void pop3_log_trouble(struct pop3 *k, int code, const struct mr_error *me);
struct pop3_answer pop3_trouble(struct pop3 *k, int code,
	const struct mr_error *me);
struct pop3_answer pop3_printf(struct pop3 *k, const char *mark,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* pop3_auth.c. mail is NULL here. */
struct pop3_answer pop3_user(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_pass(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_auth(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_auth_line(struct pop3 *k, struct str line);
/* What a good login opens. No answer and k->knocks: to be called again. */
struct pop3_answer pop3_enter(struct pop3 *k);

/* pop3_mail.c. mail: the message that was named, NULL for none. */
struct pop3_answer pop3_stat(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_list(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_uidl(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_retr(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_top(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_dele(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
struct pop3_answer pop3_rset(struct pop3 *k, struct str args,
	struct pop3_mail *mail);
/* Locks the maildrop and reads its list, at login. MR_STORE_OK or why not;
 * MR_STORE_BUSY: another session has it. */
int pop3_open_maildrop(struct pop3 *k, struct mr_error *me);
void pop3_close_maildrop(struct pop3 *k);
/* QUIT: removes what is marked, all or nothing, but for what must be kept; *n:
 * how many went. */
int pop3_remove_marked(struct pop3 *k, size_t *n, struct mr_retained *kept,
	struct mr_error *me);

#endif
