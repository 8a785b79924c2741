/*
 * session.h - one connection: serve one command, then park.
 *
 * The session owns the stream and the session and command arenas; the
 * protocol (smtp, imap, pop3) owns its state and is called for one turn at a
 * time. A protocol's turn reads and answers at most a few commands; the
 * session flushes, resets the command arena, gives buffers back and parks.
 */
#ifndef SERVE_SESSION_H
#define SERVE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "net/park.h"
#include "net/stream.h"
#include "plug/auth.h"
#include "serve/serve.h"

struct session;

enum session_next {
	SESSION_MORE,	/* read the next command */
	SESSION_DELAY,	/* park until session->guest.wake_at, then send what
			   was written and turn again */
	SESSION_IDLE,	/* park for input, wake or timer (IMAP IDLE) */
	SESSION_END,	/* said good-bye, or the stream failed */
};

struct protocol {
	const char *name;
	const char *last_words;	/* said in the clear when this process dies
				   in a command, or NULL */
	/* Greets; may refuse with SESSION_END. After implicit TLS. */
	enum session_next (*open)(struct session *s);
	/* One command: called when input is there. */
	enum session_next (*turn)(struct session *s);
	/* A delay ended, or IDLE was woken (why: enum park_why). NULL: the
	 * session simply goes on. */
	enum session_next (*wake)(struct session *s, unsigned why);
	/* Idle too long (drain false), or the server stops (drain true):
	 * says so to the client. */
	void (*bye)(struct session *s, bool drain);
	/* Releases what is not in the arenas. Always called once. */
	void (*close)(struct session *s);
};
extern const struct protocol smtp_protocol, imap_protocol, pop3_protocol;

struct session {
	struct guest guest;
	struct stream stream;
	const struct listener *listener;
	struct house *house;
	const struct protocol *protocol;
	void *state;			/* the protocol's, in `arena` or its own */
	struct arena arena;		/* session */
	struct arena command;
	int64_t idle_limit;		/* ms */
	struct sock_addr peer;
	struct sock_addr *local;	/* as a PROXY header or XCLIENT says, in
					   `arena`; NULL: sock_local */
	char id[12];
	char peer_key[48];		/* counted in house->peers */
	char network_key[48];		/* the same */
	uint64_t guess;			/* of the login that is tried (guard.h) */
	int64_t pause_end;		/* of the wait for the greeting */
	bool pausing;
	struct str login_key;		/* counted in house->logins */
	enum session_next waiting;	/* DELAY or IDLE while in one, else MORE */
	bool tls;
	bool opened;
};

/* For park_listen: accepts on a listener's descriptor. arg: the listener. */
void session_accept(void *listener, int fd);
/* The same for a connection that exists (non-blocking), of this machine.
 * false: there is no room; it is closed. */
bool session_adopt(struct listener *l, int fd);
/* Upgrades after the protocol has said so: discards pipelined input (RFC
 * 3207 section 4.2). -1: the handshake failed. */
int session_start_tls(struct session *s, struct err *e);
/* Counts a login that was right against limits.connections_per_login, until
 * the session ends. false: too many. */
bool session_take_login(struct session *s, const char *account);
/* The login has ended before the session has. */
void session_give_login(struct session *s);
/* The answer and the next command wait that long. */
enum session_next session_pause(struct session *s, int64_t ms);
/* Observers, and one line "PROTOCOL.auth" of the log, hear who tried and what
 * came of it ("ok" or why not). */
void session_log_login(struct session *s, const char *result,
	struct str account);
/* Tells observers; protocol, listener, session and peer are filled in. */
void session_tell(const struct session *s, struct mr_event *e);
/* Our end of the connection. */
void session_local(const struct session *s, struct sock_addr *out);
/* What a login of this session may rest on. Lives in the session's arena. */
struct sasl_terms session_sasl_terms(struct session *s, const char *service);
/* Clear text may carry a password: TLS, or loopback where allowed. */
bool session_is_private(const struct session *s);

#endif
