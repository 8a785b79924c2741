/* SPDX-License-Identifier: MIT */
/*
 * mailroom/plugin.h - the contract between Mailroom and its plugins.
 *
 * A plugin is a shared object that exports one const struct mr_plugin,
 * through the MR_PLUGIN macro:
 *
 *	static enum mr_verdict
 *	on_message(struct mr_call *call)
 *	{
 *		mr_header_add(call, "X-Seen-By", "my filter");
 *		return MR_PASS;
 *	}
 *	static const struct mr_filter filter = {
 *		.size = sizeof filter, .message = on_message,
 *	};
 *	MR_PLUGIN = {
 *		MR_PLUGIN_HEAD, .name = "mine", .version = "1.0",
 *		.filter = &filter,
 *	};
 *
 * Build: cc -shared -fPIC -Wl,-z,defs mine.c -o mine.so
 *
 * Compatibility. `abi` changes only when the meaning of what is here breaks.
 * Every struct begins with its `size`: fields are only ever appended, and a
 * field that an older plugin does not have reads as zero. A plugin must look
 * at host->size before it calls a function that is newer than the oldest
 * host it wants to run under (MR_HAS).
 *
 * Threads. Hooks of one session never overlap; hooks of different sessions
 * do. Consecutive hooks of a session may come on different threads. Hooks may
 * block (files, sockets) up to the deadline of the call.
 *
 * The order of calls for one connection:
 *
 *	connect
 *	helo                    (again after STARTTLS and for each new EHLO)
 *	for each message
 *		mail
 *		rcpt            (for each recipient)
 *		data
 *		message         (all of it is there; edits are allowed)
 *		reset           (always, whatever became of the message)
 *	disconnect              (always, if connect was called)
 *
 * After a plugin says MR_DONE it is not called again for this message (in
 * connect and helo: for this session), but for reset and disconnect.
 */
#ifndef MAILROOM_PLUGIN_H
#define MAILROOM_PLUGIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <mailroom/setting.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MR_ABI 1u

/* What a filter says about the step it was shown. The first refusal in
 * configured order wins; no plugin can silence another. A value not listed
 * here counts as MR_TEMPFAIL. */
enum mr_verdict {
	MR_PASS = 0,	/* go on */
	MR_DONE,	/* go on, and do not ask me again for this message */
	MR_TEMPFAIL,	/* 4xx to this step; at rcpt to this recipient only */
	MR_REJECT,	/* 5xx to this step; at rcpt to this recipient only */
	MR_DISCARD,	/* say 250 and drop the message (recorded) */
	MR_QUARANTINE,	/* accept and hold; later filters are still asked */
	MR_HANGUP,	/* 421 and close the connection */
};

enum mr_log_level { MR_LOG_DEBUG, MR_LOG_INFO, MR_LOG_WARN, MR_LOG_ERROR };

/* A view of bytes: `len` bytes at `at`. Those that the host returns also
 * have a NUL behind them. */
struct mr_str {
	const char *at;
	size_t len;
};

/* Facts of the session and the envelope, all as text; an absent fact is the
 * empty string. Their number only grows. */
enum mr_fact {
	MR_FACT_SESSION = 1,	/* id of the session, as in the log */
	MR_FACT_QUEUE_ID,	/* id of the message, from mail on */
	MR_FACT_HOSTNAME,	/* our name */
	MR_FACT_AUTHSERV_ID,	/* our name in Authentication-Results */
	MR_FACT_SOFTWARE,	/* "Mailroom 0.1.0" */
	MR_FACT_LISTENER,	/* NAME of [listen.NAME] */
	MR_FACT_CHAIN,		/* "inbound", "submission", ... */
	MR_FACT_PROTOCOL,	/* "SMTP", "ESMTP", "ESMTPS", "ESMTPSA", ... */
	MR_FACT_PEER_ADDRESS,	/* "192.0.2.1", "2001:db8::1"; no zone, v4-mapped
				   addresses as v4; "" for a unix socket */
	MR_FACT_PEER_PORT,
	MR_FACT_PEER_NAME,	/* confirmed host name, or "" */
	MR_FACT_LOCAL_ADDRESS,
	MR_FACT_LOCAL_PORT,
	MR_FACT_HELO,
	MR_FACT_TLS_VERSION,	/* "TLSv1.3" */
	MR_FACT_TLS_CIPHER,
	MR_FACT_TLS_BITS,
	MR_FACT_AUTH_LOGIN,	/* account that logged in */
	MR_FACT_AUTH_MECHANISM,	/* "PLAIN" */
	MR_FACT_SENDER,		/* reverse-path without <>, "" is the null one */
	MR_FACT_SENDER_ARGS,	/* ESMTP arguments as sent, blank between */
	MR_FACT_RCPT_REFUSED,	/* in rcpt, to filters with MR_WANT_REFUSED: the
				   reply "550 5.1.1 ..." the core will give */
	MR_FACT_RCPT_MAILER,	/* in rcpt: "local", "relay" or "error" */
	MR_FACT_LISTENER_PURPOSE,	/* "mx" or "submission" */
};

/* A header field of the message as it stands after all edits so far. `value`
 * is what follows the colon, folds as CRLF + blank, without the final CRLF. */
struct mr_header {
	uint64_t id;		/* stays the same while the field lives */
	struct mr_str name;
	struct mr_str value;
};

struct mr_rcpt {
	struct mr_str address;	/* forward-path without <> */
	struct mr_str args;	/* ESMTP arguments as sent, blank between */
};

/* One result of sender authentication, RFC 8601 section 2.2. Strings are
 * copied by the host. */
struct mr_result {
	uint32_t size;
	const char *method;	/* "spf", "dkim", "dmarc", ... */
	const char *value;	/* "pass", "fail", ... */
	const char *reason;	/* or NULL */
	const char *props;	/* "smtp.mailfrom=a@b header.d=c" or NULL */
};

/* Record types that dns asks for, RFC 1035 and later. */
#define MR_DNS_A 1
#define MR_DNS_CNAME 5
#define MR_DNS_PTR 12
#define MR_DNS_MX 15
#define MR_DNS_TXT 16
#define MR_DNS_AAAA 28
#define MR_DNS_TLSA 52

enum mr_dns_status {
	MR_DNS_OK,		/* at least one record */
	MR_DNS_NODATA,		/* the name is there, not with this type */
	MR_DNS_NXDOMAIN,
	MR_DNS_TEMPFAIL,	/* time-out, server failure, no resolver */
	MR_DNS_BOGUS,		/* DNSSEC validation failed */
};

struct mr_dns_record {
	uint32_t ttl;
	uint16_t preference;	/* of MX */
	struct mr_str data;	/* A, AAAA: 4 or 16 address bytes; MX, PTR,
				   CNAME: a name without final dot; TXT: its
				   strings joined; else the raw data */
};

struct mr_dns_answer {
	uint32_t size;
	uint32_t status;	/* enum mr_dns_status */
	uint32_t secure;	/* proved by DNSSEC */
	uint32_t n;
	const struct mr_dns_record *record;
};

struct mr_host;

/* One call of a hook. The host makes it; it is valid until the hook
 * returns. */
struct mr_call {
	uint32_t size;
	const struct mr_host *host;
	void *config;		/* your config_size bytes, settings filled in;
				   shared by all threads */
	void *session;		/* your session_size bytes, zeroed at connect */
	void *message;		/* your message_size bytes, zeroed at mail; NULL
				   outside a message */
	void *core;		/* the host's own */
};

/* The services of the host. Append-only. Functions that need a message say
 * so; called outside one they return -1 or an empty view. Views live until
 * the hook returns. None blocks unless it says so. */
struct mr_host {
	uint32_t size;
	uint32_t abi;
	const char *version;	/* "0.1.0" */

	/* A line in the server's log, with plugin, session and message added.
	 * Control characters are escaped. Never pass secrets. */
	void (*log)(struct mr_call *call, enum mr_log_level level,
		const char *text);
	/* The reply that goes with a refusal of this hook: code 4xx for
	 * TEMPFAIL, 5xx for REJECT, 421 for HANGUP (else the default text is
	 * used); enhanced "5.7.1" (RFC 3463) or NULL; text may have several
	 * lines divided by LF. With QUARANTINE and DISCARD the text is the
	 * reason that is recorded. */
	void (*say)(struct mr_call *call, int code, const char *enhanced,
		const char *text);
	/* Milliseconds left until the host gives this call up. */
	int64_t (*deadline)(struct mr_call *call);
	/* Zeroed memory that lives as long as the session / the message. */
	void *(*session_alloc)(struct mr_call *call, size_t size);
	void *(*message_alloc)(struct mr_call *call, size_t size);
	/* One fact as it is now; see enum mr_fact. */
	struct mr_str (*fact)(struct mr_call *call, enum mr_fact fact);

	/* Envelope, from mail on. Returns 0, or -1 past the last. */
	int (*rcpt)(struct mr_call *call, size_t index, struct mr_rcpt *out);

	/* Content, in the message hook. header: by position from the top,
	 * 0 first, our own Received left out; -1 past the last. body_read
	 * returns the number of bytes copied, 0 at the end, -1 if the spool
	 * cannot be read (then say TEMPFAIL); may block on disk. */
	int (*header)(struct mr_call *call, size_t index,
		struct mr_header *out);
	uint64_t (*body_size)(struct mr_call *call);
	int64_t (*body_read)(struct mr_call *call, uint64_t offset, void *out,
		size_t len);

	/* Edits, in the message hook. They are seen at once by this plugin,
	 * by later ones when this hook returned PASS, DONE or QUARANTINE, and
	 * are undone when it refuses. Values have no leading blank and may
	 * hold folds (LF or CRLF followed by a blank); a line end without a
	 * blank behind gets one, so that no value becomes a second field.
	 * Return 0, or -1 for a bad name, an unknown id or no message. */
	int (*header_add)(struct mr_call *call, const char *name,
		const char *value);			/* at the end */
	int (*header_insert)(struct mr_call *call, size_t index,
		const char *name, const char *value);	/* 0: above all, our
				Received included; 1: right below Received;
				n: behind the (n-1)th visible field */
	int (*header_change)(struct mr_call *call, uint64_t id,
		const char *name, const char *value);	/* name NULL: keep */
	int (*header_remove)(struct mr_call *call, uint64_t id);
	/* From here to the end of the hook, values given to the three above
	 * stand exactly behind the colon, leading blank or none (1), or get
	 * one blank in front (0, the rule). For hosts of other filters. */
	void (*header_exact)(struct mr_call *call, int on);
	/* Takes back all edits that this hook has made so far. */
	void (*edits_undo)(struct mr_call *call);
	/* The first call in a hook empties the body, further ones append. Line
	 * ends become CRLF, a missing last one is added. */
	int (*body_replace)(struct mr_call *call, const void *bytes,
		size_t len);
	/* The envelope, in the message hook. Recipients that are added are
	 * routed by the server and may lead anywhere. Return as above. */
	int (*sender_change)(struct mr_call *call, const char *address,
		const char *args);			/* args NULL: keep */
	int (*rcpt_add)(struct mr_call *call, const char *address,
		const char *args);
	int (*rcpt_remove)(struct mr_call *call, const char *address);

	/* Authentication results of this message: added by verifiers, read by
	 * those that judge them. get returns -1 past the last. */
	int (*result_add)(struct mr_call *call, const struct mr_result *r);
	int (*result)(struct mr_call *call, size_t index,
		struct mr_result *out);

	/* One DNS look-up by the server's validating resolver; blocks up to
	 * the deadline of the call. Fills *out, whose records live until the
	 * hook returns; what failed is in its status. */
	void (*dns)(struct mr_call *call, const char *name, uint32_t type,
		struct mr_dns_answer *out);

	/* Small facts that outlive sessions and restarts and that all
	 * processes share; each [plugin.NAME] has its own. key: 1 to 255
	 * bytes; value: up to 4,096; ttl_ms: how long it lives from now on.
	 * All block on the store. state_get: 1 with *value (until the hook
	 * returns), 0 if there is none, -1 if the store cannot tell.
	 * state_set: 0, or -1; an empty value with ttl_ms 0 removes.
	 * state_add: adds to a counter (0 where none is; ttl_ms counts from
	 * its first addition) and gives what it is then. */
	int (*state_get)(struct mr_call *call, const char *key,
		struct mr_str *value);
	int (*state_set)(struct mr_call *call, const char *key,
		struct mr_str value, int64_t ttl_ms);
	int (*state_add)(struct mr_call *call, const char *key, int64_t by,
		int64_t ttl_ms, int64_t *sum);

	/* In the message and learn hooks: the account here that recipient
	 * `index` leads to, of several the first; "" if its mail goes
	 * elsewhere. */
	struct mr_str (*rcpt_account)(struct mr_call *call, size_t index);
	/* In the message hook: into which mailbox the message goes, of each
	 * account that this recipient (NULL: any) leads to. "\Junk" is the
	 * mailbox with that special use (RFC 6154; also \Archive, \Drafts,
	 * \Sent, \Trash); others go by their name. What is missing is
	 * made. It holds for mail that waits or is held, too. The last word
	 * counts. Returns how many recipients have an account here, or -1 for
	 * a bad name, an unknown recipient or no message. */
	int (*file_into)(struct mr_call *call, const char *rcpt,
		const char *mailbox);
};

/* needs / may: what a filter reads and changes; checked when it is loaded. */
#define MR_NEEDS_HEADERS 0x01u	/* reads header fields */
#define MR_NEEDS_BODY 0x02u	/* reads the body */
#define MR_NEEDS_RESULTS 0x04u	/* judges by results of authentication: those
				   who give them must stand before */
#define MR_MAY_HEADERS 0x01u	/* adds, changes or removes header fields */
#define MR_MAY_BODY 0x02u	/* replaces the body */
#define MR_MAY_SENDER 0x04u	/* changes the sender */
#define MR_MAY_RCPTS 0x08u	/* adds or removes recipients */
#define MR_MAY_RESULTS 0x10u	/* verifies, and gives results */
#define MR_MAY_SIGN 0x20u	/* adds a signature over header and body: who
				   changes the body must stand before */
/* wants */
#define MR_WANT_REFUSED 0x01u	/* rcpt also for recipients the core refuses;
				   the verdict is then ignored */
#define MR_WANT_PROCESS 0x02u	/* its own process, unless the admin has said how
				   it is isolated: code of others that may
				   crash or leak */
#define MR_WANT_FRESH 0x04u	/* its own process, if it has one, is replaced
				   after some thousand messages, unless the
				   admin has said when: code that leaks */

/* Role: look at mail on its way in. NULL hooks cost nothing. */
struct mr_filter {
	uint32_t size;
	uint32_t needs, may, wants;
	/* A client is there and was not greeted yet. A refusal is the
	 * greeting. */
	enum mr_verdict (*connect)(struct mr_call *call);
	/* It said HELO or EHLO. A refusal is given at its next MAIL. */
	enum mr_verdict (*helo)(struct mr_call *call, const char *name);
	/* A message begins; sender is without <>, "" for the null one. */
	enum mr_verdict (*mail)(struct mr_call *call, const char *sender);
	/* A recipient that the server would take. A refusal is for it
	 * alone. args: its ESMTP arguments, or "". */
	enum mr_verdict (*rcpt)(struct mr_call *call, const char *rcpt,
		const char *args);
	/* DATA was said; at least one recipient stands. */
	enum mr_verdict (*data)(struct mr_call *call);
	/* All of the message is there and not acknowledged yet: the one
	 * hook in which content can be read and edits be made. */
	enum mr_verdict (*message)(struct mr_call *call);
	/* A command that the server does not know. A refusal's reply is the
	 * answer in place of the server's own. */
	enum mr_verdict (*unknown)(struct mr_call *call, const char *line);
	/* A message that began has ended, however it did: release what is
	 * not of the host. call->message goes after this. */
	void (*reset)(struct mr_call *call);
	/* The session has ended. */
	void (*disconnect)(struct mr_call *call);
	/* Somebody has moved or copied a message that is theirs into their
	 * mailbox of use \Junk (is_junk 1), or from there to another that is
	 * not \Trash (0), or has marked it so. Comes to filters that stand
	 * in [chain] learn, after the fact, one at a time on a thread that
	 * nobody waits for; when too many wait some are left out. The message
	 * is read as in the message hook, up to a size that the host chooses,
	 * and cannot be edited; rcpt(0) is the account. session and message
	 * are of this call alone; reset and disconnect follow. */
	void (*learn)(struct mr_call *call, const char *account, int is_junk);
};

/* Role: check a login. `self` is the config struct. */
enum mr_auth_answer {
	MR_AUTH_OK = 0,
	MR_AUTH_DENIED,		/* known here, and wrong or disabled */
	MR_AUTH_UNKNOWN,	/* not mine: the next auth plugin is asked */
	MR_AUTH_TEMPFAIL,
};

#define MR_SCRAM_KEYS 32

struct mr_scram_key {
	uint8_t stored[32], server[32];	/* as long as the hash */
	char name[64];		/* of an app password, "" the account's own */
	int64_t used_ms;	/* wall clock */
};

struct mr_scram {
	uint32_t size;
	uint32_t iterations;
	uint8_t salt[64];
	size_t salt_len;
	char account[324];	/* its canonical name */
	struct mr_scram_key key[MR_SCRAM_KEYS];
	size_t n_keys;
};

struct mr_auth {
	uint32_t size;
	/* May block. account receives the canonical name of the account
	 * ("user@domain", NUL-ended, at most account_size bytes with the NUL).
	 * Must take as long for a wrong login as for a wrong password. */
	enum mr_auth_answer (*verify)(void *self, struct mr_str login,
		struct mr_str password, const char *service,
		char *account, size_t account_size);
	/* Keys of the login for SCRAM (RFC 5802): without this, SCRAM is not
	 * offered. All have the one salt and count, which are set for logins
	 * that do not exist too, and then always the same ones, with DENIED.
	 * OK: *out has at least one key for this service. */
	enum mr_auth_answer (*scram)(void *self, struct mr_str login,
		const char *service, int is_sha256, struct mr_scram *out);
	/* One of them was the right one; for its date of last use. May be
	 * NULL. */
	void (*scram_used)(void *self, const char *account,
		const struct mr_scram_key *key);
	/* A token instead of a password: OAUTHBEARER (RFC 7628), XOAUTH2. The
	 * plugin says whose it is; login is what the client said, or empty. */
	enum mr_auth_answer (*token)(void *self, struct mr_str login,
		struct mr_str token, const char *service, char *account,
		size_t account_size);
};

/* Role: say where an address leads. */
enum mr_route_answer {
	MR_ROUTE_NOT_MINE = 0,	/* not a domain of mine: ask the next */
	MR_ROUTE_FOUND,		/* targets were added */
	MR_ROUTE_UNKNOWN_USER,
	MR_ROUTE_OVER_QUOTA,
	MR_ROUTE_DISABLED,
	MR_ROUTE_TEMPFAIL,
};

struct mr_target {
	uint32_t size;
	const char *account;	/* canonical account; "" when forwarded */
	const char *mailbox;	/* "INBOX", or another mailbox */
	const char *forward;	/* address to send to instead, or "" */
	const char *sender;	/* with forward: who gets bounces in the
				   sender's place (a list's owner), or NULL */
};

struct mr_route {
	uint32_t size;
	/* Both may block. resolve calls add for each target, in order. */
	enum mr_route_answer (*resolve)(void *self, struct mr_str address,
		uint64_t message_size,
		void (*add)(void *arg, const struct mr_target *t), void *arg);
	/* 1: this account may send as that address; 0: no; -1: cannot tell. */
	int (*may_send)(void *self, const char *account,
		struct mr_str address);
	/* 1: mail for this domain ends here; 0: no; -1: cannot tell. */
	int (*is_local)(void *self, struct mr_str domain);
};

struct mr_store;	/* mailroom/store.h */

/* Role: hand mail of the queue to something else than another server. The
 * runner calls it, on its delivery threads: several deliveries at once. */
struct mr_delivery {
	uint32_t size;
	const char *message;	/* id of the message, as in the log; the same
				   at each attempt */
	const char *route;	/* NAME of the [route.NAME] that chose you */
	const char *sender;	/* reverse-path without <>, "" is the null one */
	const struct mr_rcpt *rcpt;	/* without quotes they do not need */
	size_t n_rcpt;		/* at least 1; all have the same domain */
	uint64_t length;	/* of the message in bytes, lines in CRLF */
	int64_t arrived_ms;	/* when we took it, wall clock */
	/* Copies up to len bytes from offset. Returns how many, 0 at the end,
	 * -1 if the message cannot be read (then say nothing, or 451). May
	 * block on disk. */
	int64_t (*read)(struct mr_delivery *d, uint64_t offset, void *out,
		size_t len);
	/* Milliseconds left until you must have returned. */
	int64_t (*deadline)(struct mr_delivery *d);
	/* What became of rcpt[index]: 2xx delivered and safe there, 4xx try
	 * again later, 5xx never, the sender is told. enhanced "5.1.1" (RFC
	 * 3463) or NULL; text, one line, or NULL. The last word counts; a
	 * recipient without one, and any other code, is tried again. */
	void (*result)(struct mr_delivery *d, size_t index, int code,
		const char *enhanced, const char *text);
	void *core;		/* the host's own */
};

struct mr_transport {
	uint32_t size;
	/* May block up to the deadline. A message can come again after a
	 * crash, even if it was delivered: nothing is ever lost for that. */
	void (*deliver)(void *self, struct mr_delivery *d);
};

/* Role: hear of what happened. Never asked, cannot change anything. */
enum mr_event_kind {
	MR_EVENT_SESSION_OPENED = 1,	/* a client was let in */
	MR_EVENT_SESSION_CLOSED,
	MR_EVENT_LOGIN_OK,
	MR_EVENT_LOGIN_DENIED,
	MR_EVENT_MESSAGE_ACCEPTED,	/* is safe here; text: "discarded" if a
					   filter dropped it */
	MR_EVENT_MESSAGE_HELD,		/* is safe, and waits for an admin */
	MR_EVENT_MESSAGE_REFUSED,	/* after DATA */
	MR_EVENT_DELIVERED,		/* out of the queue, per recipient */
	MR_EVENT_DEFERRED,		/* will be tried again */
	MR_EVENT_BOUNCED,		/* given up; the sender is told */
};

/* What is not known or does not apply is "" or 0, never NULL. */
struct mr_event {
	uint32_t size;
	uint32_t kind;		/* enum mr_event_kind; unknown ones may come */
	int64_t time_ms;	/* wall clock */
	uint64_t dropped;	/* events lost before this one, since there
				   was no room for them */
	const char *role;	/* process: "smtp", "mailbox", "runner" */
	const char *protocol;	/* "smtp", "imap", "pop3" */
	const char *listener;
	const char *session, *message;	/* ids, as in the log */
	const char *peer;	/* address of the client */
	const char *account;	/* that logged in, or was tried */
	const char *sender, *rcpt;
	const char *host;	/* queue: who answered */
	const char *text;	/* the reply, or the reason */
	uint64_t length;	/* of the message; of a session: bytes read */
	uint64_t n_rcpt;
};

struct mr_observer {
	uint32_t size;
	uint32_t reserved;	/* 0 */
	/* Kinds to be told of, 1 << kind each; 0: all. */
	uint64_t wants;
	/* Comes from one thread of the process, after the fact and in order.
	 * While it blocks events queue up, and are dropped when there are too
	 * many; nobody else waits. The event is valid during the call. */
	void (*event)(void *self, const struct mr_event *e);
};

/* Role: fetch small documents by HTTPS. The core says where the host is, so
 * that all look-ups go through its resolver. */
struct mr_fetch {
	uint32_t size;
	uint32_t reserved;	/* 0 */
	const char *url;	/* "https://host:port/path" */
	const char *address;	/* of host: "192.0.2.1", "2001:db8::1" */
	int64_t timeout_ms;	/* of the whole */
	size_t most;		/* bytes; a larger document is a failure */
	/* Comes at most once, before fetch returns, whatever the status. type
	 * is that of the document, "" where none was said. */
	void (*found)(void *arg, struct mr_str body, const char *type);
	void *arg;
	char *error;		/* say why it failed; name the certificate if
				   that is it */
	size_t error_size;
};

struct mr_fetcher {
	uint32_t size;
	uint32_t reserved;	/* 0 */
	/* From several threads at once. May block up to the time-out. The
	 * certificate must be the host's, by the system's authorities; no
	 * redirection is followed. The status of HTTP; -1 with error. */
	int (*fetch)(void *self, const struct mr_fetch *f);
};

/* What open is told, beside the parsed settings. Valid during the call. */
struct mr_open {
	uint32_t size;
	const struct mr_host *host;
	const char *instance;	/* NAME of [plugin.NAME] */
	const char *data;	/* the server's data directory */
	const char *hostname;
	const char *role;	/* "smtp", "mailbox", "runner", "cli" */
	char *error;		/* say why open failed */
	size_t error_size;
};

struct mr_plugin {
	uint32_t abi;		/* MR_ABI */
	uint32_t size;		/* sizeof(struct mr_plugin) */
	const char *name;	/* lower case */
	const char *version;
	const char *summary;	/* one line */
	const struct mr_setting *settings;	/* or NULL */
	size_t config_size;	/* what the host allocates for you, zeroed */
	size_t session_size;
	size_t message_size;
	/* Once a process, in the process that serves; before any hook. May
	 * start threads. 0, or -1 with open->error written. */
	int (*open)(void *config, struct mr_open *open);
	void (*close)(void *config);
	const struct mr_filter *filter;
	const struct mr_auth *auth;
	const struct mr_route *route;
	const struct mr_store *store;
	const struct mr_transport *transport;
	const struct mr_observer *observer;
	const struct mr_fetcher *fetcher;
};

#define MR_PLUGIN_HEAD .abi = MR_ABI, .size = sizeof(struct mr_plugin)
#define MR_PLUGIN_SYMBOL "mailroom_plugin"
#if defined(__GNUC__)
#define MR_EXPORT_ __attribute__((visibility("default")))
#else
#define MR_EXPORT_
#endif
#ifdef __cplusplus
#define MR_PLUGIN extern "C" MR_EXPORT_ const struct mr_plugin mailroom_plugin; \
	const struct mr_plugin mailroom_plugin
#else
#define MR_PLUGIN MR_EXPORT_ const struct mr_plugin mailroom_plugin
#endif

/* True if the struct at p (host, filter, ...) is new enough for `field`. */
#define MR_HAS(p, field) \
	((p)->size >= offsetof(__typeof__(*(p)), field) + sizeof (p)->field)

/* Conveniences; each is one call of the host table. */
static inline void
mr_say(struct mr_call *call, int code, const char *enhanced, const char *text)
{
	call->host->say(call, code, enhanced, text);
}

static inline const char *
mr_fact(struct mr_call *call, enum mr_fact fact)
{
	return call->host->fact(call, fact).at;
}

static inline int
mr_header_add(struct mr_call *call, const char *name, const char *value)
{
	return call->host->header_add(call, name, value);
}

/* -1 also under a host that cannot file. */
static inline int
mr_file_into(struct mr_call *call, const char *rcpt, const char *mailbox)
{
	return MR_HAS(call->host, file_into) ?
		call->host->file_into(call, rcpt, mailbox) : -1;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline void
mr_log(struct mr_call *call, enum mr_log_level level, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	call->host->log(call, level, text);
}

#ifdef __cplusplus
}
#endif
#endif
